"""Packages of a host: read what was, compare, write the difference. A fixed number of queries, whatever their number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cmdb import rules, versions
from cmdb.domain import recordsets
from cmdb.models import Host, Installation, PackageVersion, PendingUpdate, Platform
from cmdb.scanners.base import HostReport, InstalledPackage
from cmdb.scanners.base import PendingUpdate as ReportedUpdate
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict

IDENTITY = {
    "name": "text",
    "version": "text",
    "arch": "text",
    "source_name": "text",
    "source_version": "text",
    "module": "text",
    "origin_class": "text",
}
KEYS = {"key": "text", "source_key": "text"}
STATUS = {"status": "text", "held": "bool"}
PENDING = {
    "name": "text",
    "arch": "text",
    "installed_version": "text",
    "candidate_version": "text",
    "source_name": "text",
    "origin": "text",
    "suite": "text",
    "is_security": "bool",
    "kept_back": "bool",
}


class Package(NamedTuple):
    """What makes a package version the same one on every host of a platform."""

    name: str
    version: str
    arch: str
    source_name: str
    source_version: str
    module: str
    origin_class: str

    @property
    def without_origin(self) -> tuple[str, ...]:
        return tuple(self)[:-1]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a report changed: versions new to this host (ids), and how many came and went."""

    new_version_ids: list[int]
    came: int
    gone: int

    @property
    def anything(self) -> bool:
        return bool(self.came or self.gone)


def key_of(ecosystem: str, text: str) -> str | None:
    """The sortable key, or None for a version that cannot be read: it stays as written and counts as unknown."""
    try:
        return versions.key(ecosystem, text)
    except versions.InvalidVersion:
        return None


def _reported(platform: Platform, package: InstalledPackage) -> Package:
    own = rules.origin_class(platform.distribution, package.origin.origin, package.origin.label)
    return Package(
        package.name, package.version, package.arch, package.source_name, package.source_version, package.module, own
    )


def record_packages(
    host: Host, platform: Platform, packages: Iterable[InstalledPackage], *, at: datetime
) -> Difference:
    """Makes the open installations of `host` what the report says: spans closed for what has gone, opened for what came.

    An origin that the report does not know leaves a known one as it was: an archive forgets versions that it replaced.
    """
    columns = ("pk", "status", "held", "package_version__platform_id", *(f"package_version__{c}" for c in IDENTITY))
    have: dict[tuple[int, Package], tuple[int, str, bool]] = {}
    known: dict[tuple[str, ...], str] = {}
    for pk, status, held, platform_id, *parts in Installation.objects.open().filter(host=host).values_list(*columns):
        package = Package(*parts)
        have[platform_id, package] = (pk, status, held)
        if platform_id == platform.pk and package.origin_class != "unknown":
            known[package.without_origin] = package.origin_class
    want: dict[tuple[int, Package], tuple[str, bool]] = {}
    for reported in packages:
        package = _reported(platform, reported)
        if package.origin_class == "unknown":
            package = package._replace(origin_class=known.get(package.without_origin, "unknown"))
        want[platform.pk, package] = (reported.status[:40], reported.held)
    gone = [pk for place, (pk, _s, _h) in have.items() if place not in want]
    Installation.objects.filter(pk__in=gone).update(gone_seen_at=at)
    _restate({pk: want[place] for place, (pk, s, h) in have.items() if place in want and want[place] != (s, h)})
    new = {package: state for (_p, package), state in want.items() if (platform.pk, package) not in have}
    return Difference(_install(host, platform, new, at=at), came=len(new), gone=len(gone))


def _restate(changed: dict[int, tuple[str, bool]]) -> None:
    for state in set(changed.values()):
        pks = [pk for pk, now in changed.items() if now == state]
        Installation.objects.filter(pk__in=pks).update(status=state[0], held=state[1])


def _install(host: Host, platform: Platform, new: dict[Package, tuple[str, bool]], *, at: datetime) -> list[int]:
    rows: list[dict[str, Any]] = []
    for package, (status, held) in new.items():
        row: dict[str, Any] = dict(package._asdict(), status=status, held=held)
        row["key"] = key_of(platform.ecosystem, package.version)
        row["source_key"] = key_of(platform.ecosystem, package.source_version)
        rows.append(row)
    constants = {"platform_id": platform.pk, "key_version": versions.KEY_VERSION}
    recordsets.insert(PackageVersion, {**IDENTITY, **KEYS}, rows, constants)
    ids = recordsets.insert_joined(
        Installation,
        "package_version",
        IDENTITY,
        STATUS,
        rows,
        {"host_id": host.pk, "installed_seen_at": at, "gone_seen_at": None},
        within=("platform_id", platform.pk),
    )
    if len(ids) != len(new):
        raise Conflict(
            english("%(lost)s packages could not be written; the whole report was left out.", lost=len(new) - len(ids))
        )
    return ids


def record_pending(host: Host, report: HostReport, *, at: datetime) -> int:
    """Makes the open pending updates what the report says; returns how many stand open now. Three queries at most."""
    source_of = {(p.name, p.arch): p.source_name for p in report.packages}
    want = {
        (u.name, u.arch, u.installed, u.candidate): _pending_row(u, source_of.get((u.name, u.arch), ""))
        for u in report.pending
    }
    told = ("name", "arch", "installed_version", "candidate_version")
    have: dict[tuple[str, ...], PendingUpdate] = {
        tuple(getattr(row, name) for name in told): row
        for row in PendingUpdate.objects.filter(host=host, gone_seen_at__isnull=True)
    }
    gone = [row.pk for place, row in have.items() if place not in want or _differs(row, want[place])]
    PendingUpdate.objects.filter(pk__in=gone).update(gone_seen_at=at)
    closed = set(gone)
    new = [row for place, row in want.items() if place not in have or have[place].pk in closed]
    recordsets.insert(PendingUpdate, PENDING, new, {"host_id": host.pk, "seen_at": at, "gone_seen_at": None})
    return len(want)


def _pending_row(update: ReportedUpdate, source_name: str) -> dict[str, Any]:
    return {
        "name": update.name,
        "arch": update.arch,
        "installed_version": update.installed,
        "candidate_version": update.candidate,
        "source_name": source_name,
        "origin": (update.origin.label or update.origin.origin)[:120],
        "suite": (update.origin.suite or update.origin.codename)[:120],
        "is_security": update.security,
        "kept_back": update.kept_back,
    }


def _differs(row: PendingUpdate, want: dict[str, Any]) -> bool:
    return any(
        getattr(row, name) != want[name] for name in ("source_name", "origin", "suite", "is_security", "kept_back")
    )
