"""How groups and classes of hosts stand against the baselines in force: five results that leave no host out, and why.

A host is judged by the baselines of the group that is looked at, where that group has one for its platform, else by those
of its platform. Where there are several the worst counts; where there is none nobody can say: unknown (law 3).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, QuerySet

from cmdb.enums import BaselineResult, DiscrepancyKind, DiscrepancyState
from cmdb.models import Baseline, Discrepancy, GroupMember, Host, HostGroup
from cmdb.models.group import members_of
from cmdb.queries.baselines import (
    ORDER,
    Counted,
    HostResult,
    Interval,
    compliance,
    counted,
    exempt_hosts,
    interval,
    judged,
    result_of,
)
from cmdb.queries.hosts import is_stale
from patchflow.kernel.models import User


@dataclass(frozen=True, slots=True)
class HostStanding:
    """A host, the baseline that decides for it (None: none is in force for it) and its result against that one.
    `explained`: somebody said who brought what is above, and nothing above was seen since."""

    host_id: int
    host_name: str
    baseline: Baseline | None
    found: HostResult
    explained: bool = False

    @property
    def result(self) -> BaselineResult:
        return self.found.result

    @property
    def has_none(self) -> bool:
        """Whether it is at its baseline because it has no package which that names."""
        return self.result == BaselineResult.AT and not self.found.at


@dataclass(frozen=True, slots=True)
class Standing:
    """Hosts, worst first, and the interval of them. The five results share them out: their sum is `total`."""

    hosts: tuple[HostStanding, ...]

    @property
    def interval(self) -> Interval:
        return interval(row.result for row in self.hosts)

    @property
    def total(self) -> int:
        return len(self.hosts)

    @property
    def with_packages(self) -> Interval:
        """The interval of those hosts alone that have, or may have, a package which their baseline names. Who has none of
        them is at it, since nothing is below; a share of many such hosts says little of the others."""
        return interval(row.result for row in self.hosts if not row.has_none)

    def counts(self) -> dict[str, int]:
        """Result → hosts, all five, also those that nobody has."""
        results = [row.result for row in self.hosts]
        return {name: results.count(BaselineResult(name)) for name in BaselineResult.values}

    def ids(self, *results: str) -> list[int]:
        """The hosts with one of these results: the list behind a figure."""
        return [row.host_id for row in self.hosts if row.result in results]

    @property
    def oldest_at(self) -> datetime | None:
        """The audit of the host that was audited longest ago, among those that ever were."""
        return min((row.found.audited_at for row in self.hosts if row.found.audited_at), default=None)


class _Judge:
    """The baselines in force over some hosts, read once; `of` says how one host stands. Seven queries."""

    def __init__(self, hosts: QuerySet[Host], at: datetime, baselines: QuerySet[Baseline]) -> None:
        self.at = at
        rows = list(
            baselines.filter(platform__in=hosts.values("platform")).annotate(size=Count("items")).order_by("name")
        )
        self.by_place: dict[tuple[int, int | None], list[Baseline]] = defaultdict(list)
        for row in rows:
            self.by_place[row.platform_id, row.group_id].append(row)
        self.found = counted([row.pk for row in rows], hosts)
        self.exempt = exempt_hosts([row.name for row in rows], at)
        self.explained = _explained([row.pk for row in rows])

    def of(self, host: Host, group_id: int | None) -> HostStanding:
        applying: list[Baseline] = []
        if host.platform_id is not None:
            own = self.by_place[host.platform_id, group_id] if group_id is not None else []
            applying = own or self.by_place[host.platform_id, None]
        if not applying:
            return HostStanding(host.pk, host.name, None, _nobody_can_say(host, self.at))
        against = [(self._against(host, baseline), baseline) for baseline in applying]
        found, baseline = min(against, key=lambda pair: ORDER.index(pair[0].result))
        return _standing(found, baseline, self.explained)

    def _against(self, host: Host, baseline: Baseline) -> HostResult:
        found = self.found.get((baseline.pk, host.pk), Counted())
        exempt = host.pk in self.exempt[baseline.name]
        return result_of(host, baseline, found, items=getattr(baseline, "size", 0), exempt=exempt, at=self.at)


def _standing(found: HostResult, baseline: Baseline, said: dict[tuple[int, int], datetime]) -> HostStanding:
    when, since = said.get((baseline.pk, found.host_id)), found.above_since
    explained = bool(found.result == BaselineResult.ABOVE and when and since and when >= since)
    return HostStanding(found.host_id, found.host_name, baseline, found, explained)


def _nobody_can_say(host: Host, at: datetime) -> HostResult:
    return HostResult(
        host.pk, host.name, BaselineResult.UNKNOWN, 0, 0, 0, 0, 0, audited_at=host.audited_at, stale=is_stale(host, at)
    )


def _explained(baseline_ids: Iterable[int]) -> dict[tuple[int, int], datetime]:
    """(baseline, host) → when somebody last explained what is above it."""
    keys = {str(pk): pk for pk in baseline_ids}
    rows = Discrepancy.objects.filter(kind=DiscrepancyKind.ABOVE_BASELINE, key__in=keys).exclude(
        state=DiscrepancyState.OPEN
    )
    found: dict[tuple[int, int], datetime] = {}
    for key, host_id, settled_at in rows.order_by("settled_at").values_list("key", "host_id", "settled_at"):
        if settled_at is not None:
            found[keys[key], host_id] = settled_at
    return found


def _seen(actor: User | None) -> QuerySet[Host]:
    return Host.objects.live() if actor is None else Host.objects.live().visible_to(actor)


def _sorted(rows: Iterable[HostStanding]) -> Standing:
    return Standing(tuple(sorted(rows, key=lambda row: (ORDER.index(row.result), row.host_name))))


def of_group(group: HostGroup, *, at: datetime, actor: User | None = None) -> Standing:
    """The members of a group that `actor` sees (None: all), each by the baselines of this group, else of its platform."""
    hosts = _seen(actor).filter(members_of(group.pk))
    judge = _Judge(hosts, at, Baseline.objects.approved())
    return _sorted(judge.of(host, group.pk) for host in hosts.order_by("name"))


def of_baseline(baseline: Baseline, *, at: datetime, actor: User | None = None) -> Standing:
    """The hosts of one baseline, in force or not, each against this very one: a class."""
    said = _explained([baseline.pk])
    return _sorted(_standing(row, baseline, said) for row in compliance(baseline, at=at, actor=actor).hosts)


def of_groups(*, at: datetime, actor: User) -> dict[int, Standing]:
    """Group → how its members stand, of all groups in sight; the same figures as `of_group`, in nine queries for all."""
    groups = set(HostGroup.objects.live().visible_to(actor).values_list("pk", flat=True))
    hosts = {host.pk: host for host in _seen(actor)}
    judge = _Judge(_seen(actor), at, Baseline.objects.approved())
    rows: dict[int, list[HostStanding]] = {pk: [] for pk in groups}
    for group_id, host_id in GroupMember.objects.filter(group_id__in=groups).values_list("group_id", "host_id"):
        if host_id in hosts:
            rows[group_id].append(judge.of(hosts[host_id], group_id))
    return {pk: _sorted(found) for pk, found in rows.items()}


def of_classes(*, at: datetime, actor: User) -> list[tuple[Baseline, Standing]]:
    """Each baseline in force that `actor` sees, with how its hosts stand; the same figures as `of_baseline`, for all of
    them in ten queries."""
    approved = Baseline.objects.approved().visible_to(actor).select_related("platform", "group")
    rows = list(approved.annotate(size=Count("items")).order_by("name"))
    hosts = list(_seen(actor).order_by("name"))
    found = counted([row.pk for row in rows], _seen(actor))
    exempt = exempt_hosts([row.name for row in rows], at)
    said = _explained([row.pk for row in rows])
    members: dict[int, set[int]] = defaultdict(set)
    for group_id, host_id in GroupMember.objects.filter(group__baselines__in=[r.pk for r in rows]).values_list(
        "group_id", "host_id"
    ):
        members[group_id].add(host_id)
    lines: list[tuple[Baseline, Standing]] = []
    for row in rows:
        against = [
            result_of(
                host,
                row,
                found.get((row.pk, host.pk), Counted()),
                items=row.size,
                exempt=host.pk in exempt[row.name],
                at=at,
            )
            for host in hosts
            if _is_about(row, host, members)
        ]
        lines.append((row, _sorted(_standing(result, row, said) for result in against)))
    return lines


def _is_about(baseline: Baseline, host: Host, members: dict[int, set[int]]) -> bool:
    """The same as `hosts_of`, for rows in memory."""
    if baseline.group_id is None:
        return host.platform_id == baseline.platform_id
    return host.pk in members[baseline.group_id] and host.platform_id in (baseline.platform_id, None)


@dataclass(frozen=True, slots=True)
class Reason:
    """One package of a host beside the version that a baseline wants. `verdict`: below, at, above or unknown."""

    package: str
    arch: str
    installed: str
    wanted: str
    verdict: BaselineResult
    seen_at: datetime


def reasons(host: Host, baseline: Baseline) -> list[Reason]:
    """Every package of the host that the baseline has a word on, those that differ first. One query."""
    rows = judged([baseline.pk], Host.objects.filter(pk=host.pk)).select_related("package_version")
    found = []
    for row in rows:
        have, want = row.package_version.key, row.wanted_key
        if have is None or want is None:
            verdict = BaselineResult.UNKNOWN
        else:
            verdict = (
                BaselineResult.AT if have == want else BaselineResult.BELOW if have < want else BaselineResult.ABOVE
            )
        version = row.package_version
        found.append(Reason(version.name, version.arch, version.version, row.wanted, verdict, row.installed_seen_at))
    return sorted(found, key=lambda r: (ORDER.index(r.verdict), r.package, r.arch))


def absent(host: Host, baseline: Baseline) -> list[tuple[str, str]]:
    """What the baseline names and the host does not have: (package, version). Not below: what is not there needs none."""
    have = judged([baseline.pk], Host.objects.filter(pk=host.pk)).values_list(
        "package_version__name", "package_version__arch"
    )
    known = set(have)
    rows = baseline.items.order_by("name").values_list("name", "arch", "version")
    return [(name, version) for name, arch, version in rows if (name, arch) not in known]


def below_versions(baseline_ids: Iterable[int], host_ids: Iterable[int]) -> set[int]:
    """The package versions by which these hosts are below these baselines: what an RFC has to replace."""
    hosts = Host.objects.filter(pk__in=list(host_ids))
    rows = judged(list(baseline_ids), hosts).filter(package_version__key__lt=F("wanted_key"))
    return set(rows.values_list("package_version_id", flat=True))
