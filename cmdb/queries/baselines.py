"""How hosts stand against a baseline: below | at | above | exempt | unknown, with age, and the honest interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet

from cmdb.enums import BaselineResult, ExemptionKind
from cmdb.models import Baseline, Exemption, Host, Installation
from cmdb.models.group import members_of
from cmdb.queries.hosts import is_stale
from patchflow.kernel.models import User


@dataclass(frozen=True, slots=True)
class HostResult:
    """One host against one baseline: packages below, at, above, and those whose version cannot be read. `audited_at`
    says how old this is; `stale`: too old to count; `above_since`: when the last package above it was first seen."""

    host_id: int
    host_name: str
    result: BaselineResult
    below: int
    at: int
    above: int
    unreadable: int
    absent: int
    audited_at: datetime | None
    stale: bool
    above_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """Good, unknown and bad hosts of `total`. The share of good ones lies between `low` and `high` percent: the unknown
    may be either (law 3). Exempt hosts count as bad that somebody accepted, so they are not good."""

    good: int
    unknown: int
    bad: int
    exempt: int

    @property
    def total(self) -> int:
        return self.good + self.unknown + self.bad + self.exempt

    @property
    def low(self) -> float:
        return 100 * self.good / self.total if self.total else 0.0

    @property
    def high(self) -> float:
        return 100 * (self.good + self.unknown) / self.total if self.total else 100.0


@dataclass(frozen=True, slots=True)
class Compliance:
    """All hosts of a baseline, worst first, and their interval."""

    baseline_id: int
    hosts: tuple[HostResult, ...]
    interval: Interval


def hosts_of(baseline: Baseline) -> QuerySet[Host]:
    """The live hosts that a baseline is about: its platform, and its group if it has one. Members of the group that never
    reported a platform belong to it too, as unknown (law 3)."""
    hosts, same = Host.objects.live(), Q(platform_id=baseline.platform_id)
    if baseline.group_id is None:
        return hosts.filter(same)
    return hosts.filter(members_of(baseline.group_id)).filter(same | Q(platform__isnull=True))


@dataclass(frozen=True, slots=True)
class Counted:
    """Packages of one host against one baseline, by verdict."""

    below: int = 0
    at: int = 0
    above: int = 0
    unreadable: int = 0
    above_since: datetime | None = None

    @property
    def judged(self) -> int:
        return self.below + self.at + self.above + self.unreadable


ORDER = (
    BaselineResult.BELOW,
    BaselineResult.UNKNOWN,
    BaselineResult.EXEMPT,
    BaselineResult.ABOVE,
    BaselineResult.AT,
)
"""Results as lists show them: what asks for somebody first."""

_OF = "package_version__platform__baselines"
_ITEM = f"{_OF}__items"
_KEY, _WANTED = F("package_version__key"), F(f"{_ITEM}__key")
_UNREADABLE = Q(package_version__key__isnull=True) | Q(**{f"{_ITEM}__key__isnull": True})


def judged(baseline_ids: Collection[int], hosts: QuerySet[Host]) -> QuerySet[Any]:
    """The installations that these baselines have a word on, each beside the wanted one (`baseline`, `wanted`, `wanted_key`).
    Of packages that lie beside older ones of themselves (kernels of RPM systems) the newest counts."""
    named = {
        f"{_OF}__in": baseline_ids,
        f"{_ITEM}__name": F("package_version__name"),
        f"{_ITEM}__arch": F("package_version__arch"),
    }
    newer = Installation.objects.open().filter(
        host=OuterRef("host"),
        package_version__platform__ecosystem="rpm",
        package_version__name=OuterRef("package_version__name"),
        package_version__arch=OuterRef("package_version__arch"),
        package_version__key__gt=OuterRef("package_version__key"),
    )
    alone = ~Q(package_version__platform__ecosystem="rpm") | ~Exists(newer)
    return (
        Installation.objects.open()
        .filter(alone, host__in=hosts, **named)
        .annotate(baseline=F(_OF), wanted=F(f"{_ITEM}__version"), wanted_key=_WANTED)
    )


def counted(baseline_ids: Collection[int], hosts: QuerySet[Host]) -> dict[tuple[int, int], Counted]:
    """(baseline, host) → its packages by verdict; pairs of which no package is known are missing. One query."""
    if not baseline_ids:
        return {}
    above = Q(package_version__key__gt=_WANTED)
    rows = (
        judged(baseline_ids, hosts)
        .order_by()
        .values("baseline", "host_id")
        .annotate(
            below=Count("pk", filter=Q(package_version__key__lt=_WANTED)),
            same=Count("pk", filter=Q(package_version__key=_WANTED)),
            above=Count("pk", filter=above),
            unreadable=Count("pk", filter=_UNREADABLE),
            since=Max("installed_seen_at", filter=above),
        )
        .values_list("baseline", "host_id", "below", "same", "above", "unreadable", "since")
    )
    return {(baseline, host): Counted(*figures) for baseline, host, *figures in rows}


def result_of(host: Host, baseline: Baseline, found: Counted, *, items: int, exempt: bool, at: datetime) -> HostResult:
    """One host's result against one baseline of `items` packages."""
    stale = is_stale(host, at)
    return HostResult(
        host.pk,
        host.name,
        _result(found.below, found.above, found.unreadable, stale=stale, exempt=exempt),
        below=found.below,
        at=found.at,
        above=found.above,
        unreadable=found.unreadable,
        absent=max(items - found.judged, 0),
        audited_at=host.audited_at,
        stale=stale,
        above_since=found.above_since,
    )


def compliance(baseline: Baseline, *, at: datetime, actor: User | None = None) -> Compliance:
    """Compares installed versions with the baseline, on the hosts that `actor` sees (None: all). Five queries.

    A package of the baseline that is not installed is *absent*, which is not below: what is not there needs no update.
    A host is unknown if its facts are stale or a version cannot be read and nothing is below for certain; exempt if
    something is below and an exemption from this baseline is in force.
    """
    hosts = hosts_of(baseline)
    if actor is not None:
        hosts = hosts.filter(pk__in=Host.objects.visible_to(actor))
    found = counted([baseline.pk], hosts)
    exempt = exempt_hosts([baseline.name], at).get(baseline.name, set())
    items = baseline.items.count()
    rows = [
        result_of(
            host, baseline, found.get((baseline.pk, host.pk), Counted()), items=items, exempt=host.pk in exempt, at=at
        )
        for host in hosts.order_by("name")
    ]
    worst_first = tuple(sorted(rows, key=lambda r: ORDER.index(r.result)))
    return Compliance(baseline.pk, worst_first, interval(r.result for r in rows))


def interval(results: Iterable[BaselineResult]) -> Interval:
    """The interval over results; above is good as far as updates go, and shown apart."""
    count = Counter(results)
    return Interval(
        good=count[BaselineResult.AT] + count[BaselineResult.ABOVE],
        unknown=count[BaselineResult.UNKNOWN],
        bad=count[BaselineResult.BELOW],
        exempt=count[BaselineResult.EXEMPT],
    )


def _result(below: int, above: int, unreadable: int, *, stale: bool, exempt: bool) -> BaselineResult:
    if stale:
        return BaselineResult.UNKNOWN
    if below:
        return BaselineResult.EXEMPT if exempt else BaselineResult.BELOW
    if unreadable:
        return BaselineResult.UNKNOWN
    return BaselineResult.ABOVE if above else BaselineResult.AT


def exempt_hosts(names: Collection[str], at: datetime) -> dict[str, set[int]]:
    """Name of a baseline → hosts that an exemption in force leaves out of it, directly or by a group. Two queries."""
    rows = Exemption.objects.in_force(at).filter(kind=ExemptionKind.BASELINE, subject__in=names)
    found: dict[str, set[int]] = {name: set() for name in names}
    for column in ("host_id", "group__memberships__host_id"):
        for subject, host_id in rows.values_list("subject", column):
            if host_id is not None:
                found[subject].add(host_id)
    return found


def of_host(host: Host, *, at: datetime) -> list[tuple[Baseline, HostResult]]:
    """The approved baselines that a host is compared with, those of its groups first, each with its result."""
    applying = Baseline.objects.approved().filter(platform__isnull=False, platform=host.platform)
    applying = applying.filter(Q(group__isnull=True) | Q(group__memberships__host=host)).select_related(
        "group", "platform"
    )
    rows = list(applying.annotate(size=Count("items")).order_by(F("group_id").desc(nulls_last=True), "name"))
    found = counted([row.pk for row in rows], Host.objects.filter(pk=host.pk))
    exempt = exempt_hosts([row.name for row in rows], at) if rows else {}
    return [
        (
            row,
            result_of(
                host,
                row,
                found.get((row.pk, host.pk), Counted()),
                items=row.size,
                exempt=host.pk in exempt[row.name],
                at=at,
            ),
        )
        for row in rows
    ]
