"""Who may do what here, and pure questions about what was reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchflow.kernel.rules import capability, rule

if TYPE_CHECKING:
    from cmdb.models import Baseline, Exemption
    from patchflow.kernel.models import User

records_inventory = capability("inventory.record")


@rule("cmdb.in_service", "A host enters service by its first scan, or by a configuration manager.")
def may_enter_service(item: Any, actor: User) -> bool:
    """The scan's recorder, or who may edit the host."""
    return records_inventory(item, actor) or capability("host.edit")(item, actor)


@rule("baseline.own", "You proposed this baseline: another person approves it.")
def not_proposer(baseline: Baseline, actor: User) -> bool:
    return baseline.proposed_by_id != actor.pk


@rule("baseline.in_force", "A baseline is superseded by the approval or adoption of its next version.")
def may_put_in_force(baseline: Baseline, actor: User) -> bool:
    """Who approves or adopts the next version also ends this one."""
    return any(capability(name)(baseline, actor) for name in ("baseline.approve", "baseline.adopt"))


@rule("exemption.own", "You asked for this exemption: another person grants it.")
def not_asker(exemption: Exemption, actor: User) -> bool:
    return exemption.requested_by_id != actor.pk


# --- what a report says -------------------------------------------------------------------------------------------------
ECOSYSTEM_OF = {"dpkg": "deb", "rpm": "rpm"}
DEB_ARCHITECTURE = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "i386": "i386",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
}
"""The kernel's name of a machine (`uname -m`) → Debian's name of its architecture (dpkg's cputable)."""

OWN_ORIGINS = {
    "debian": {"debian", "debian backports"},
    "ubuntu": {"ubuntu"},
    "rocky": {"rocky", "baseos", "appstream", "extras", "crb"},
    "almalinux": {"almalinux", "baseos", "appstream", "extras", "crb"},
    "fedora": {"fedora", "updates"},
}
"""What the distributions' own archives call themselves, in lower case."""


def architecture(ecosystem: str, machine: str) -> str:
    """The host's architecture as its package manager names it."""
    return DEB_ARCHITECTURE.get(machine, machine) if ecosystem == "deb" else machine


def origin_class(distribution: str, origin: str, label: str) -> str:
    """Whether a package version is the distribution's own. Silence is unknown, never "distribution".

    `origin` is how the archive's signed release file names itself; `label` "local" means: in no archive that the host
    knows, which also happens to a version that the archive has since replaced: unknown.
    """
    said = origin.strip().lower()
    if not said:
        return "unknown"
    own = OWN_ORIGINS.get(distribution, {distribution})
    return "distribution" if said in own else "third_party"


def is_stale(age_hours: float | None, *, limit_hours: float) -> bool:
    """Facts older than the limit, or never seen, say nothing about now (law 3)."""
    return age_hours is None or age_hours > limit_hours
