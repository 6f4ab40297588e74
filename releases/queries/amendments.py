"""Questions about late-comers: who could join a sealed manifest, why others cannot, and whether a revision is signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from changes.queries.applicability import hosts_missing
from cmdb.enums import Environment
from cmdb.models import Host
from cmdb.queries.machines import MachineClass, machine_classes
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.signoffs import passed_round_of
from releases.amending import only_joiners
from releases.diversity import trial_of
from releases.enums import AmendmentState
from releases.models import Amendment, BuildClass, Manifest, Release, Rollout
from releases.queries.builds import updates_of, wanted_by_host
from releases.queries.classes import good_at
from releases.queries.manifests import host_entries
from releases.queries.releases import authorizations
from releases.queries.rollouts import Signed, signed
from releases.queries.steps import written_down

UNKNOWN = MachineClass("", known=False)


@dataclass(frozen=True)
class LateComers:
    """Hosts that the changes name, that miss something now, and that the manifest does not name. `entries`: what it would
    say of those that can join (without a ring); `refused`: host → why it cannot. `outside`: they miss the same, and no
    change of the release names them."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[int, Blocker] = field(default_factory=dict)
    outside: list[str] = field(default_factory=list)

    @property
    def found(self) -> bool:
        return bool(self.entries or self.refused or self.outside)


def late_comers(release: Release, base: Manifest, *, actor: User, at: datetime) -> LateComers:
    """Who came late to this manifest, among the hosts that `actor` may see."""
    inside = {host["host"] for host in base.document["hosts"]}
    named = {host_id for one in authorizations(release.rfc_ids(), at=at) for host_id in one.host_ids}
    seen = Host.objects.within(actor, "release.view").filter(pk__in=named - inside)
    late = set(seen.values_list("pk", flat=True))
    wanted = wanted_by_host(release, late) if late else {}
    hosts = Host.objects.select_related("ci").in_bulk(wanted)
    classes = _classes(base)
    class_of, refused = {}, {}
    for host_id, asked in wanted.items():
        like = frozenset((w.name, w.arch, w.version, w.source, w.source_version) for w in asked)
        if one := classes.get((hosts[host_id].platform_id, like)):
            class_of[host_id] = one
        else:
            said = english("%(host)s: what it needs was not built and tested here.", host=hosts[host_id].name)
            refused[host_id] = Blocker("amendment.class", said)
    steps, steps_of_host = written_down(release.profile, class_of)
    rings = [trial for ring in base.document["rings"] if (trial := trial_of(ring))]
    machines = machine_classes(class_of) if rings else {}
    so_far = good_at(_forward(release), {host["host"]: host for host in base.document["hosts"]}) if machines else {}
    good = []
    for entry in host_entries(dict.fromkeys(class_of), class_of, at=at):
        entry.pop("ring")
        entry |= {"steps": steps_of_host[entry["host"]]} if steps else {}
        machine = machines.get(entry["host"], UNKNOWN)
        entry |= {"machine": machine.label} if machine.known else {}
        why = _against(entry, base.document)
        if rings:
            production = hosts[entry["host"]].ci.environment == Environment.PRODUCTION
            why = why or _untried(entry["name"], machine, base.document, so_far, production=production)
        if why:
            refused[entry["host"]] = why
        else:
            good.append(entry)
    return LateComers(good, refused, _outside(release, named | inside, actor))


def _classes(base: Manifest) -> dict[tuple[int | None, frozenset[tuple[str, ...]]], BuildClass]:
    """(platform, packages asked for) → the class that was built for it and that the manifest names."""
    used = {one["class"] for one in base.document["classes"]}
    keys = ("name", "arch", "to", "source", "source_version")
    return {
        (one.platform_id, frozenset(tuple(p[key] for key in keys) for p in one.requested)): one
        for one in base.build.classes.all()
        if one.label in used
    }


def _against(entry: dict[str, Any], document: dict[str, Any]) -> Blocker | None:
    """Why a host that is built for cannot join all the same."""
    if not entry["fingerprint"]:
        return Blocker(
            "amendment.fingerprint",
            english("%(name)s is not known by its fingerprint: scan it.", name=entry["name"]),
            tone="wait",
        )
    back = document["way_back"]
    files = {(a["package"], a["version"], a["arch"]) for a in back["artifacts"]}
    missing = [p for p in entry["packages"] if p["from"] and (p["name"], p["from"], p["arch"]) not in files]
    if back["kind"] == "reinstall_previous" and missing:
        said = english(
            "%(host)s: no file was signed by which %(package)s %(version)s comes back.",
            host=entry["name"],
            package=missing[0]["name"],
            version=missing[0]["from"],
        )
        return Blocker("amendment.way_back", said)
    return None


def _forward(release: Release) -> Rollout | None:
    return Rollout.objects.open().filter(release=release, reverses__isnull=True).first()


def _untried(
    name: str, machine: MachineClass, document: dict[str, Any], good: Mapping[int, Counter[str]], *, production: bool
) -> Blocker | None:
    """Where every class of machine must be tried, nobody joins of an unknown one, or of one that the manifest does not have. A
    production host, which follows every ring, joins only if each of them tries its class: because it asks it; else by hosts
    of it that are good (`good`: by ring), since no ring will fail for those that are not. Of a class of which a ring has too
    few hosts it asks nothing, unless it must."""
    trials = [(ring, trial) for ring in document["rings"] if (trial := trial_of(ring))]
    must = any(trial.must for _ring, trial in trials)
    places = Counter(host["ring"] for host in document["hosts"] if host.get("machine") == machine.label)
    if not machine.known:
        said = english("%(name)s: its class of machine is not known; scan it, or say what it is.", name=name)
        return Blocker("amendment.untried", said, tone="unknown") if must else None
    if must and not places:
        said = english(
            "%(name)s is of a class of machine that no ring tries: %(machine)s.", name=name, machine=machine.label
        )
        return Blocker("amendment.untried", said)
    for ring, trial in trials if production else ():
        if machine.label in trial.asked:
            continue
        if sum(count for number, count in places.items() if number <= ring["ring"]) < trial.least:
            if not trial.must:
                continue
            said = english(
                "%(name)s is of a class of machine that ring %(ring)s does not try before it, as it must: %(machine)s.",
                name=name,
                ring=ring["name"],
                machine=machine.label,
            )
            return Blocker("amendment.untried", said)
        tried = sum(here[machine.label] for number, here in good.items() if number <= ring["ring"])
        if tried < trial.least:
            said = english(
                "%(name)s is of a class of machine that ring %(ring)s has hosts of and does not ask: %(machine)s. Good so far"
                " are %(tried)s of %(least)s: propose it when they are, or revise the release while it is ready.",
                name=name,
                ring=ring["name"],
                machine=machine.label,
                tried=tried,
                least=trial.least,
            )
            return Blocker("amendment.untried", said, tone="wait")
    return None


def _outside(release: Release, known: Collection[int], actor: User) -> list[str]:
    """Hosts that miss an update of the release and that none of its changes names, by name."""
    found = {
        host.host_id: host.host_name
        for update in updates_of(release)
        for host in hosts_missing(update.pk, actor=actor)
        if host.host_id not in known
    }
    return sorted(found.values())


# --- whether a revision is signed ------------------------------------------------------------------------------------------
_compared: dict[tuple[str, str], bool] = {}


def _only_joiners(before: Signed, after: Signed) -> bool:
    """Compared once per pair of digests, since equal digests are equal documents."""
    key = (before.digest, after.digest)
    if key not in _compared:
        while len(_compared) >= 16:
            _compared.pop(next(iter(_compared)))
        _compared[key] = not only_joiners(before.document, after.document)
    return _compared[key]


def signature_of(release: Release, manifest: Signed) -> SignOffRound | None:
    """The passed round over exactly this manifest: the readiness review's; for an amendment its own, if the revision that
    it amends is signed and intact and differs by hosts that joined alone."""
    amendment = Amendment.objects.filter(manifest_id=manifest.manifest_id, state=AmendmentState.ADOPTED).first()
    if amendment is None:
        return passed_round_of(release, digest_now=manifest.digest)
    base = signed(amendment.base_id)
    if not base.intact or not manifest.intact or not _only_joiners(base, manifest):
        return None
    round_ = passed_round_of(amendment, digest_now=manifest.digest)
    return round_ if round_ and signature_of(release, base) else None


def open_amendment(release: Release) -> Amendment | None:
    """The one that is being decided."""
    rows = Amendment.objects.filter(release=release, state=AmendmentState.PROPOSED)
    found: Amendment | None = rows.select_related("base", "proposed_by", "release").first()
    return found


def root_of(manifest: Manifest) -> Manifest:
    """The revision that the readiness review signed, before anybody joined."""
    while amendment := Amendment.objects.filter(manifest=manifest).select_related("base").first():
        manifest = amendment.base
    return manifest
