"""Recording what a host reports: digest first, then read, compare, write; one transaction, the whole report or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from cmdb import rules
from cmdb.domain import departures, groups, identity
from cmdb.domain.permission import demand
from cmdb.domain.software import Difference, record_packages, record_pending
from cmdb.enums import ItemState
from cmdb.models import ConfigurationItem, Fact, Host, Platform
from cmdb.scanners.base import HostReport
from cmdb.signals import inventory_recorded
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User

VOLATILE = ("uptime_s", "notes")
"""Facts that differ at every look and say nothing about the host."""

OWN_COLUMNS = ("serial", "product_uuid")
KNOWN_PARTS = ("system", "refresh", "packages", "pending", "sources", "restart")
LIMITS = {"name": 200, "version": 300, "arch": 20, "source_name": 200, "source_version": 300, "module": 100}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a report. `unchanged`: seen again; `older`: a newer report is known, nothing was written;
    `partial`: parts could not be read, and what was known of them was kept."""

    outcome: Literal["recorded", "partial", "unchanged", "older"]
    packages: int
    came: int = 0
    gone: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.came or self.gone)


def record(*, host_id: int, report: HostReport, source: str, actor: User, at: datetime) -> Recorded:
    """Takes a report of a host. `source` names who says so; `actor` needs inventory.record.

    An unchanged report is one UPDATE of when it was seen. A changed one is written whole or not at all: identity,
    platform, facts, packages as spans, pending updates, restart evidence. Times are the host's (`collected_at`), never
    later than `at`, so that a wrong clock cannot shut out what follows. Raises Blocked (another host shows this
    fingerprint; a Discrepancy is opened), Invalid (a name or version that cannot be kept), NotAllowed.
    """
    collected_at = min(report.collected_at, at)
    digests = _digests(report)
    if actor.scopes_for("inventory.record") is None and _seen_again(host_id, digests[0], report, source, collected_at):
        return Recorded("unchanged", len(report.packages))
    identity.refuse_double(host_id=host_id, fingerprint=report.fingerprint, source=source, actor=actor, at=at)
    return _record(
        host_id=host_id, report=report, source=source, collected_at=collected_at, digests=digests, actor=actor, at=at
    )


def is_complete(report: HostReport) -> bool:
    """Every part was read, packages among them."""
    return report.complete and not _unreadable(report, "packages")


def _digests(report: HostReport) -> tuple[str, str]:
    """(of everything but times and volatile facts, of platform and packages)."""
    packages = sorted(digest(asdict(package)) for package in report.packages)
    machine = [report.package_manager, report.distribution, report.release, report.codename, report.arch]
    software = digest([machine, packages])
    rest = {
        "fingerprint": asdict(report.fingerprint),
        "names": [report.hostname, report.fqdn],
        "kernel": [report.kernel, report.boot_id, report.virtualization],
        "pending": [asdict(update) for update in report.pending],
        "restart": asdict(report.restart),
        "sources": [asdict(one) for one in report.sources],
        "facts": _plain({k: v for k, v in report.facts.items() if k not in VOLATILE}),
        "errors": report.errors,
    }
    return digest([software, rest]), software


def _plain(value: Any) -> Any:
    """Without floats, which have no canonical form here."""
    match value:
        case float():
            return repr(value)
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
    return value


def _seen_again(host_id: int, whole: str, report: HostReport, source: str, collected_at: datetime) -> bool:
    same = Host.objects.live().filter(
        pk=host_id, report_digest=whole, report_source=source, reported_at__lte=collected_at
    )
    seen: dict[str, Any] = {"last_seen_at": collected_at, "reported_at": collected_at}
    if is_complete(report):
        seen["audited_at"] = collected_at
    return bool(same.update(**seen))


@workflow.verb("cmdb.inventory.recorded", Host, "host_id")
def _record(
    *,
    host_id: int,
    report: HostReport,
    source: str,
    collected_at: datetime,
    digests: tuple[str, str],
    actor: User,
    at: datetime,
) -> Recorded:
    host = workflow.lock(Host, host_id)
    demand("inventory.record", host, actor)
    if host.retired_at is not None:
        raise Blocked(
            [Blocker("host.retired", english("%(host)s is retired: what it reports is not recorded.", host=host))]
        )
    if host.reported_at is not None and collected_at < host.reported_at:
        return Recorded("older", len(report.packages))
    _legible(report)
    identity.settle_fingerprint(host, report, source=source, actor=actor, at=at)
    platform = _platform(report) or host.platform
    moved = platform != host.platform
    _describe(host, platform, report, source, collected_at)
    _write_facts(host, report, source, collected_at)
    change = Difference([], 0, 0)
    if not _unreadable(report, "packages"):
        if platform is None:
            sentence = english("The report names no distribution, so its packages cannot be placed.")
            raise Invalid([Blocker("inventory.platform", sentence)])
        if host.package_digest != digests[1]:
            change = record_packages(host, platform, report.packages, at=collected_at)
            host.package_digest = digests[1]
        if not _unreadable(report, "pending"):
            record_pending(host, report, at=collected_at)
    host.report_digest = digests[0]
    complete = is_complete(report)
    if complete:
        host.audited_at = collected_at
    verb = "cmdb.inventory.recorded" if complete else "cmdb.inventory.recorded_partly"
    detail = {"source": source, "collected_at": collected_at, "packages": len(report.packages), "came": change.came}
    entry = audit.entry_for(
        host, verb, actor=actor, at=at, detail={**detail, "gone": change.gone, "errors": report.errors}
    )
    host.save()
    entry.save(force_insert=True)
    if moved:
        groups.refresh_for_host(host, actor=actor, at=at)
    if ConfigurationItem.objects.filter(pk=host.ci_id, state=ItemState.PLANNED).exists():
        workflow.fire(ConfigurationItem, host.ci_id, "enter_service", actor=actor, at=at)
    if change.anything:
        departures.look(host, at=at)
        inventory_recorded.send(sender=Host, host_id=host.pk, package_version_ids_new=change.new_version_ids, at=at)
    return Recorded("recorded" if complete else "partial", len(report.packages), change.came, change.gone)


def _legible(report: HostReport) -> None:
    """The host is not trusted to have said it well: what the columns cannot hold refuses the whole report."""
    for package in report.packages:
        for field, limit in LIMITS.items():
            text = getattr(package, field)
            if (
                len(text) > limit
                or "\x00" in text
                or (not text and field not in ("module", "source_version", "source_name"))
            ):
                sentence = english(
                    "Package %(name)s: its %(what)s cannot be kept, so the report was refused.",
                    name=f"{package.name[:60]!a}",
                    what=field.replace("_", " "),
                )
                raise Invalid([Blocker(f"inventory.{field}", sentence)])
    for update in report.pending:
        if (
            max(len(update.name), len(update.installed), len(update.candidate)) > LIMITS["name"]
            or len(update.arch) > 20
        ):
            raise Invalid(
                [
                    Blocker(
                        "inventory.pending",
                        english("Pending update %(name)s cannot be kept.", name=f"{update.name[:60]!a}"),
                    )
                ]
            )


def _unreadable(report: HostReport, part: str) -> str:
    """Why `part` of the report cannot be taken as the whole truth; empty if it can. An empty package list is none."""
    for error in report.errors:
        prefix = error.partition(":")[0]
        if prefix == part or prefix not in KNOWN_PARTS:
            return error
    if part == "packages" and not report.packages:
        return english("packages: the host reported none at all")
    return ""


def _platform(report: HostReport) -> Platform | None:
    ecosystem = rules.ECOSYSTEM_OF.get(report.package_manager, "")
    if not ecosystem or not report.distribution:
        return None
    platform, _made = Platform.objects.get_or_create(
        ecosystem=ecosystem,
        distribution=report.distribution[:40],
        release=report.release[:40],
        codename=report.codename[:40],
        arch=rules.architecture(ecosystem, report.arch)[:20],
    )
    return platform


def _describe(host: Host, platform: Platform | None, report: HostReport, source: str, collected_at: datetime) -> None:
    host.platform = platform
    host.report_source, host.reported_at, host.last_seen_at = source[:40], collected_at, collected_at
    host.report_errors = list(report.errors) or ([] if is_complete(report) else [_unreadable(report, "packages")])
    host.fqdn = host.fqdn or report.fqdn[:255]
    if not _unreadable(report, "system"):
        host.kernel_running, host.boot_id = report.kernel[:120], report.boot_id[:64]
        host.serial = str(report.facts.get("serial", ""))[:120]
        host.product_uuid = str(report.facts.get("product_uuid", ""))[:64]
    if _unreadable(report, "restart"):
        host.restart_needed, host.restart_reasons = None, []
    else:
        host.restart_needed, host.restart_reasons = report.restart.needed, list(report.restart.reasons)


def _write_facts(host: Host, report: HostReport, source: str, collected_at: datetime) -> None:
    """Upserts what the report says as this source's facts; another source's and a person's stay as they are."""
    said: dict[str, Any] = {
        k: v for k, v in report.facts.items() if k not in (*VOLATILE, *OWN_COLUMNS) and v not in ("", None)
    }
    said |= {"hostname": report.hostname, "virtualization": report.virtualization}
    if not _unreadable(report, "sources"):
        said["sources"] = [asdict(one) for one in report.sources]
    if not _unreadable(report, "restart"):
        said |= {"restart_packages": report.restart.packages, "restart_processes": report.restart.processes}
        said["kernel_installed"] = report.restart.kernel_installed
    facts = [
        Fact(host=host, key=key[:80], value=_plain(value), source=source[:40], seen_at=collected_at)
        for key, value in said.items()
        if value not in ("", None)
    ]
    Fact.objects.bulk_create(
        facts,
        update_conflicts=True,
        unique_fields=["host", "key", "source"],
        update_fields=["value", "seen_at"],
        batch_size=500,
    )
    if report.complete:
        Fact.objects.filter(host=host, source=source[:40]).exclude(key__in=[fact.key for fact in facts]).delete()
