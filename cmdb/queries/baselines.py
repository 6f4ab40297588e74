"""How hosts stand against a baseline: below | at | above | exempt | unknown, with age, and the honest interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery

from cmdb.enums import BaselineResult, ExemptionKind
from cmdb.models import Baseline, BaselineItem, Exemption, Host, Installation, PackageVersion
from cmdb.models.group import members_of
from cmdb.queries.hosts import is_stale
from patchflow.kernel.models import User


@dataclass(frozen=True, slots=True)
class HostResult:
    """One host against one baseline: packages below, at, above, and those whose version cannot be read. `audited_at`
    says how old this is; `stale`: too old to count."""

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


def compliance(baseline: Baseline, *, at: datetime, actor: User | None = None) -> Compliance:
    """Compares installed versions with the baseline, on the hosts that `actor` sees (None: all). Eight queries.

    A package of the baseline that is not installed is *absent*, which is not below: what is not there needs no update.
    A host is unknown if its facts are stale or a version cannot be read and nothing is below for certain; exempt if
    something is below and an exemption from this baseline is in force.
    """
    hosts = hosts_of(baseline)
    if actor is not None:
        hosts = hosts.filter(pk__in=Host.objects.visible_to(actor))
    counts = {name: _counted(baseline, hosts, wanted) for name, wanted in _verdicts().items()}
    exempt = _exempt_hosts(baseline, at)
    items = baseline.items.count()
    rows = []
    for host in hosts.order_by("name"):
        below, same, above, unreadable = (
            counts[name].get(host.pk, 0) for name in ("below", "at", "above", "unreadable")
        )
        stale = is_stale(host, at)
        result = _result(below, above, unreadable, stale=stale, exempt=host.pk in exempt)
        absent = max(items - below - same - above - unreadable, 0)
        rows.append(
            HostResult(host.pk, host.name, result, below, same, above, unreadable, absent, host.audited_at, stale)
        )
    order = [
        BaselineResult.BELOW,
        BaselineResult.UNKNOWN,
        BaselineResult.EXEMPT,
        BaselineResult.ABOVE,
        BaselineResult.AT,
    ]
    return Compliance(
        baseline.pk, tuple(sorted(rows, key=lambda r: order.index(r.result))), interval(r.result for r in rows)
    )


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


def _verdicts() -> dict[str, Q]:
    return {
        "below": Q(key__lt=F("wanted")),
        "at": Q(key=F("wanted")),
        "above": Q(key__gt=F("wanted")),
        "unreadable": Q(key__isnull=True) | Q(wanted__isnull=True),
    }


def _judged(baseline: Baseline) -> QuerySet[PackageVersion]:
    """The package versions that the baseline has a word on, each once, beside the wanted key."""
    named = BaselineItem.objects.filter(baseline=baseline, name=OuterRef("name"), arch=OuterRef("arch"))
    names = BaselineItem.objects.filter(baseline=baseline).values("name")
    known = PackageVersion.objects.filter(platform_id=baseline.platform_id, name__in=names)
    return known.annotate(item=Subquery(named.values("pk")[:1]), wanted=Subquery(named.values("key")[:1])).filter(
        item__isnull=False
    )


def _counted(baseline: Baseline, hosts: QuerySet[Host], wanted: Q) -> dict[int, int]:
    versions = _judged(baseline).filter(wanted).values("pk")
    rows = Installation.objects.open().filter(host__in=hosts, package_version__in=versions)
    return dict(rows.values("host_id").annotate(count=Count("pk")).values_list("host_id", "count"))


def _exempt_hosts(baseline: Baseline, at: datetime) -> set[int]:
    rows = Exemption.objects.in_force(at).filter(kind=ExemptionKind.BASELINE, subject=baseline.name)
    return set(rows.values_list("host_id", flat=True)) | set(rows.values_list("group__memberships__host_id", flat=True))


def of_host(host: Host, *, at: datetime) -> list[tuple[Baseline, HostResult]]:
    """The approved baselines that a host is compared with, those of its groups first, each with its result."""
    applying = Baseline.objects.approved().filter(platform__isnull=False, platform=host.platform)
    applying = applying.filter(Q(group__isnull=True) | Q(group__memberships__host=host)).select_related(
        "group", "platform"
    )
    found = []
    for baseline in applying.order_by(F("group_id").desc(nulls_last=True), "name"):
        counts = {
            n: _counted(baseline, Host.objects.filter(pk=host.pk), q).get(host.pk, 0) for n, q in _verdicts().items()
        }
        stale, exempt = is_stale(host, at), host.pk in _exempt_hosts(baseline, at)
        result = _result(counts["below"], counts["above"], counts["unreadable"], stale=stale, exempt=exempt)
        absent = max(baseline.items.count() - sum(counts.values()), 0)
        row = HostResult(
            host.pk,
            host.name,
            result,
            below=counts["below"],
            at=counts["at"],
            above=counts["above"],
            unreadable=counts["unreadable"],
            absent=absent,
            audited_at=host.audited_at,
            stale=stale,
        )
        found.append((baseline, row))
    return found
