"""Which hosts miss an update, and which updates a host misses, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from django.conf import settings

from changes.enums_identify import AppliesVerdict, Basis, NameKind
from changes.models import SoftwareUpdate
from changes.queries import findings
from changes.queries.findings import Finding
from cmdb import versions
from cmdb.versions import deb

if TYPE_CHECKING:
    from patchflow.kernel.models import User

MISSING = (AppliesVerdict.APPLICABLE, AppliesVerdict.APPLICABLE_AFTER_CHANNEL)
V = AppliesVerdict


@dataclass(frozen=True, slots=True)
class MissingHost:
    """A host and what an update is to it, by the package that decides.

    `installed_version` is the version that was compared (the source's, where the statement is about a source).
    `installable`: the host's own package manager offers the fixed version or a later one; None where that cannot be
    said. `since`: when both the installation and the fix were known here. `covered_by`: a newer update that contains
    this one and applies too.
    """

    host_id: int
    host_name: str
    package: str
    arch: str
    installed_version: str
    fixed_version: str
    verdict: str
    installable: bool | None
    basis: str
    since: datetime
    low_confidence: bool = False
    exempt: bool = False
    held: bool = False
    candidate: str = ""
    packages: int = 1
    audited_at: datetime | None = None
    reason: str = ""

    @property
    def verdict_label(self) -> str:
        return str(AppliesVerdict(self.verdict).label)

    @property
    def why(self) -> str:
        """The rule that decided, as a sentence."""
        return str(Basis(self.basis).label)


@dataclass(frozen=True, slots=True)
class MissingUpdate:
    """An update and what it is to a host; `update` None where the vendor has no fix (then `advisory_id` names it)."""

    update: SoftwareUpdate | None
    advisory_id: int | None
    on_host: MissingHost
    covered_by: int | None

    @property
    def verdict(self) -> str:
        return self.on_host.verdict


def hosts_missing(update_id: int, *, actor: User | None = None, at: datetime | None = None) -> list[MissingHost]:
    """The hosts that miss an update, by name, each once; only those that `actor` may see.

    Exempt hosts are left out. With `at`, hosts whose facts are stale by then are unknown, so they are left out too.
    """
    return [
        host for host in hosts_concerned(update_id, actor=actor, at=at) if host.verdict in MISSING and not host.exempt
    ]


def hosts_concerned(update_id: int, *, actor: User | None = None, at: datetime | None = None) -> list[MissingHost]:
    """The hosts on which the update is not known to be fixed, with verdict and reason; each once, the worst verdict."""
    update = SoftwareUpdate.objects.get(pk=update_id)
    rows = findings.of_update(update_id, actor=actor)
    hosts = [_judged(list(several), update.ecosystem) for _, several in groupby(rows, key=lambda row: row.host_id)]
    return [_aged(host, at) for host in hosts]


def concerned_among(
    host_ids: Iterable[int], updates: Iterable[SoftwareUpdate], *, at: datetime
) -> dict[int, list[MissingHost]]:
    """Update → those of these hosts on which it is not known to be fixed, as `hosts_concerned` has them. One query."""
    by_id = {update.pk: update for update in updates}
    found: dict[int, list[MissingHost]] = {}
    rows = findings.of_updates(by_id, host_ids)
    for _, of_host in groupby(rows, key=lambda row: row.host_id):
        several: dict[int, list[Finding]] = {}
        for row in of_host:
            several.setdefault(row.update_id or 0, []).append(row)
        for pk, listed in several.items():
            found.setdefault(pk, []).append(_aged(_judged(listed, by_id[pk].ecosystem), at))
    return found


def updates_missing_on(host_id: int, *, at: datetime | None = None) -> list[MissingUpdate]:
    """What a host misses, and what is unknown about it: by update, the gravest first; statements without a fix last.

    An update that a newer one contains, which applies too, is `covered_by` it (R12).
    """
    rows = sorted(findings.of_hosts([host_id]), key=lambda row: (row.update_id or 0, row.advisory_id or 0))
    updates = SoftwareUpdate.objects.in_bulk({row.update_id for row in rows if row.update_id})
    found = []
    for (update_id, advisory_id), several in groupby(rows, key=lambda row: (row.update_id, _unfixed(row))):
        update = updates.get(update_id) if update_id else None
        listed = list(several)
        host = _aged(_judged(listed, update.ecosystem if update else ""), at)
        found.append(MissingUpdate(update, advisory_id or listed[0].advisory_id, host, None))
    applies = {each.update.pk for each in found if each.update and each.verdict in MISSING}
    found = [
        replace(each, covered_by=each.update.superseded_by_id)
        if each.update and each.update.superseded_by_id in applies
        else each
        for each in found
    ]
    return sorted(found, key=_gravity)


def verdict_counts(update_ids: Iterable[int], *, actor: User | None = None) -> dict[int, dict[str, int]]:
    """Update → verdict (or "exempt") → number of hosts, as lists show them."""
    return findings.counts(update_ids, actor=actor)


def _unfixed(row: Finding) -> int:
    return 0 if row.update_id else row.advisory_id or 0


def _gravity(each: MissingUpdate) -> tuple[int, int, int, int, str]:
    update = each.update
    if update is None:
        return (1, 0, 0, 0, each.on_host.package)
    order = findings.RANKED.index(each.verdict) if each.verdict in findings.RANKED else len(findings.RANKED)
    return (0, int(each.covered_by is not None), order, -update.severity_rank, update.name)


def _judged(rows: list[Finding], ecosystem: str) -> MissingHost:
    """One host's verdict on one update from its packages: the first of RANKED that any of them has."""
    counted = [row for row in rows if not row.exempt] or rows
    # Where both say the same, what an advisory states is the reason, and not that the host offers it.
    worst = min(counted, key=lambda row: (_order(row), row.advisory_id is None, row.package, row.arch))
    offered = _installable(worst, ecosystem)
    verdict, basis = worst.verdict, worst.basis
    if verdict == V.APPLICABLE_AFTER_CHANNEL and offered:
        verdict, basis = V.APPLICABLE, Basis.BELOW  # the host is entitled: its package manager offers the channel's fix
    # A signed kernel is built from a source numbered otherwise (6.1.76+1): its own version was compared.
    source = worst.name_kind == NameKind.SOURCE and not worst.package.startswith("linux-image-")
    return MissingHost(
        host_id=worst.host_id,
        host_name=worst.host_name,
        package=worst.package,
        arch=worst.arch,
        installed_version=worst.installed_source_version if source else worst.installed_version,
        fixed_version=worst.fixed_version,
        verdict=str(verdict),
        installable=offered,
        basis=str(basis),
        since=max(min(row.installed_seen_at for row in rows), worst.known_at),
        low_confidence=worst.low_confidence,
        exempt=all(row.exempt for row in rows),
        held=any(row.held for row in counted),
        candidate=worst.candidate,
        packages=len({(row.package, row.arch) for row in counted}),
        audited_at=worst.audited_at,
        reason=worst.reason,
    )


def _order(row: Finding) -> int:
    return findings.RANKED.index(row.verdict) if row.verdict in findings.RANKED else len(findings.RANKED)


def _installable(row: Finding, ecosystem: str) -> bool | None:
    """Whether the offered candidate is the fixed version or later (R13: a fix may be announced before it can be had).

    A binary's version is compared with a source's fix only where the package numbers both alike; else nobody can say.
    """
    if not row.candidate and row.package.startswith("linux-image-"):
        return None  # a newer kernel is offered as a package of another name
    if not row.candidate or not row.fixed_version:
        return False
    candidate = row.candidate
    if row.name_kind == NameKind.SOURCE:
        plain = deb.source_version(row.installed_version) if ecosystem == "deb" else row.installed_version
        if plain != row.installed_source_version:
            return None
        candidate = deb.source_version(candidate) if ecosystem == "deb" else candidate
    try:
        return versions.key(ecosystem, candidate) >= versions.key(ecosystem, row.fixed_version)
    except (versions.InvalidVersion, LookupError):
        return None


def _aged(host: MissingHost, at: datetime | None) -> MissingHost:
    """Law 3: what was last looked at too long ago is unknown, whatever it was then."""
    if at is None:
        return host
    limit: timedelta = settings.PATCHFLOW["FACTS_STALE_AFTER"]
    if host.audited_at is not None and at - host.audited_at <= limit:
        return host
    return replace(host, verdict=str(V.UNKNOWN), basis=str(Basis.STALE))
