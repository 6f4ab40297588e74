"""What is known of hosts: as targets of a change, and as a page shows them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from cmdb.enums import ItemKind, ItemState, MachineKind, RelationKind
from cmdb.models import ConfigurationItem, Exemption, Fact, GroupMember, Host, Platform, Relation
from cmdb.models.host import fingerprint_of
from patchflow.kernel.models import AuditEntry
from patchflow.kernel.values import value

UPWARD = (RelationKind.DEPENDS_ON, RelationKind.RUNS_ON)


def stale_after() -> timedelta:
    """Facts older than this say nothing about now (law 3; default 48 h)."""
    limit: timedelta = settings.PATCHFLOW["FACTS_STALE_AFTER"]
    return limit


def is_stale(host: Host, at: datetime) -> bool:
    """Whether the host's packages were never read, or too long ago."""
    return host.audited_at is None or at - host.audited_at > stale_after()


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A host as changes and releases need it. `exempt`: the exemptions in force for it, as (kind, subject) pairs;
    `services`: ids of the services that it supports, directly or through what runs on it; `fingerprint` empty: not yet
    known, so the host cannot be in a manifest."""

    host_id: int
    name: str
    fingerprint: str
    status: str
    retired: bool
    exempt: tuple[tuple[str, str], ...]
    platform_id: int | None
    platform_label: str
    audited_at: datetime | None
    last_seen_at: datetime | None
    group_ids: frozenset[int]
    criticality: int
    environment: str
    restart_needed: bool | None
    services: tuple[int, ...]


@value()
class ActingFacts:
    """What decides whether a host may be acted on now; see `TargetFacts`. `kind`: server or workstation, empty where nobody
    knows."""

    ci_id: int
    fingerprint: str
    status: str
    retired: bool
    exempt: tuple[tuple[str, str], ...]
    audited_at: datetime | None
    kind: str


def acting_facts(
    host_ids: Iterable[int], *, at: datetime, kinds: Mapping[int, str] | None = None
) -> dict[int, ActingFacts]:
    """Host id → facts; unknown ids are missing. At most four queries, however many hosts. `kinds`: `machine_kinds` of them,
    where they are at hand."""
    columns = ("pk", "ci_id", "machine_id", "ssh_host_key", "is_local", "ci__state", "retired_at", "audited_at")
    hosts = list(Host.objects.filter(pk__among=list(host_ids)).order_by().values_list(*columns))
    ids = [host[0] for host in hosts]
    exempt, kinds = _exemptions(ids, at), machine_kinds(ids) if kinds is None else kinds
    return {
        pk: ActingFacts(
            ci_id=ci_id,
            fingerprint=fingerprint_of(machine_id, key, is_local=is_local),
            status=str(state),
            retired=retired_at is not None,
            exempt=tuple(sorted(exempt.get(pk, ()))),
            audited_at=audited_at,
            kind=kinds.get(pk, ""),
        )
        for pk, ci_id, machine_id, key, is_local, state, retired_at, audited_at in hosts
    }


def target_facts(host_ids: Iterable[int], *, at: datetime) -> dict[int, TargetFacts]:
    """Host id → facts; unknown ids are missing. At most five queries, however many hosts."""
    names = (
        "pk", "name", "machine_id", "ssh_host_key", "is_local", "retired_at", "platform_id", "audited_at", "last_seen_at",
        "restart_needed", "ci_id", "ci__state", "ci__criticality", "ci__environment", "platform__distribution",
        "platform__release", "platform__codename", "platform__arch",
    )  # fmt: skip
    hosts = list(Host.objects.filter(pk__among=list(host_ids)).order_by().values_list(*names, named=True))
    ids = [host.pk for host in hosts]
    platforms = {
        host.platform_id: str(
            Platform(
                distribution=host.platform__distribution, release=host.platform__release, codename=host.platform__codename,
                arch=host.platform__arch,
            )
        )
        for host in {host.platform_id: host for host in hosts if host.platform_id}.values()
    }  # fmt: skip
    groups = _groups_of(ids)
    exempt = _exemptions(ids, at, groups)
    services = supported_services({host.ci_id for host in hosts})
    return {
        host.pk: TargetFacts(
            host_id=host.pk,
            name=host.name,
            fingerprint=fingerprint_of(host.machine_id, host.ssh_host_key, is_local=host.is_local),
            status=str(host.ci__state),
            retired=host.retired_at is not None,
            exempt=tuple(sorted(exempt.get(host.pk, ()))),
            platform_id=host.platform_id,
            platform_label=platforms.get(host.platform_id or 0, ""),
            audited_at=host.audited_at,
            last_seen_at=host.last_seen_at,
            group_ids=frozenset(groups[host.pk]),
            criticality=host.ci__criticality,
            environment=host.ci__environment,
            restart_needed=host.restart_needed,
            services=services.get(host.ci_id, ()),
        )
        for host in hosts
    }


def _groups_of(ids: list[int]) -> dict[int, set[int]]:
    groups: dict[int, set[int]] = defaultdict(set)
    rows = GroupMember.objects.filter(host_id__among=ids).order_by()
    for host_id, group_id in rows.values_list("host_id", "group_id"):
        groups[host_id].add(group_id)
    return groups


def _exemptions(
    ids: list[int], at: datetime, groups: dict[int, set[int]] | None = None
) -> dict[int, set[tuple[str, str]]]:
    """Host id → its exemptions in force. Its groups are read, where they are not given, only if a group has one."""
    found: dict[int, set[tuple[str, str]]] = defaultdict(set)
    rows = list(Exemption.objects.in_force(at).values_list("host_id", "group_id", "kind", "subject"))
    if groups is None:
        groups = _groups_of(ids) if any(group_id is not None for _host, group_id, *_ in rows) else {}
    for host_id, group_id, kind, subject in rows:
        for pk in ids:
            if pk == host_id or (group_id is not None and group_id in groups.get(pk, ())):
                found[pk].add((kind, subject))
    return found


def supported_services(
    item_ids: Iterable[int], *, kinds: Iterable[str] = (ItemKind.SERVICE,)
) -> dict[int, tuple[int, ...]]:
    """Item id → ids of the services (or items of these kinds), not retired, that rest on it: what depends or runs on it, the clusters it
    belongs to, and so on upwards. Derived from relations. Two queries."""
    above: dict[int, set[int]] = defaultdict(set)
    for source, target, kind in Relation.objects.values_list("source_id", "target_id", "kind"):
        if kind in UPWARD:
            above[target].add(source)
        elif kind == RelationKind.MEMBER_OF:
            above[source].add(target)
    reached = {item: _closure(item, above) for item in item_ids}
    every = {pk for pks in reached.values() for pk in pks}
    live = ConfigurationItem.objects.filter(pk__in=every, kind__in=list(kinds)).exclude(state=ItemState.RETIRED)
    services = set(live.values_list("pk", flat=True))
    return {item: tuple(sorted(pks & services)) for item, pks in reached.items()}


def related_hosts(host_ids: Collection[int]) -> set[int]:
    """Live hosts that stand in relation to these: under the same services and clusters, or carrying them, or carried by
    them. These themselves are left out. Three queries."""
    above: dict[int, set[int]] = defaultdict(set)
    below: dict[int, set[int]] = defaultdict(set)
    for source, target, kind in Relation.objects.values_list("source_id", "target_id", "kind"):
        if kind in UPWARD:
            above[target].add(source)
            below[source].add(target)
        elif kind == RelationKind.MEMBER_OF:
            above[source].add(target)
            below[target].add(source)
    hosts = dict(Host.objects.live().values_list("ci_id", "pk"))
    wanted = set(host_ids)
    mine = {item for item, pk in hosts.items() if pk in wanted}
    reached = mine | _reach(mine, above)
    return {hosts[item] for item in reached | _reach(reached, below) if item in hosts} - wanted


def _reach(starts: Collection[int], edges: dict[int, set[int]]) -> set[int]:
    """Everything that can be reached from any of these, one walk for all of them."""
    seen, stack = set[int](), list(starts)
    while stack:
        for neighbor in edges.get(stack.pop(), ()):
            if neighbor not in seen:
                seen.add(neighbor)
                stack.append(neighbor)
    return seen


def _closure(start: int, edges: dict[int, set[int]]) -> set[int]:
    seen, stack = set[int](), [start]
    while stack:
        for neighbor in edges.get(stack.pop(), ()):
            if neighbor not in seen and neighbor != start:
                seen.add(neighbor)
                stack.append(neighbor)
    return seen


@dataclass(frozen=True, slots=True)
class FactRow:
    """One fact as shown: the value that counts, who says so since when, and what others say instead."""

    key: str
    value: Any
    source: str
    seen_at: datetime
    locked_by: str
    others: tuple[tuple[str, Any], ...]


def facts_of(host: Host) -> list[FactRow]:
    """The host's facts by key. A person's value outranks discovery until released; else the newest counts. Disagreement
    stays visible in `others`. One query."""
    rows: dict[str, list[Fact]] = defaultdict(list)
    for fact in Fact.objects.filter(host=host).select_related("locked_by").order_by("key"):
        rows[fact.key].append(fact)
    return [_fact_row(host, key, facts) for key, facts in rows.items()]


def _fact_row(host: Host, key: str, facts: list[Fact]) -> FactRow:
    def seen(fact: Fact) -> datetime:
        # What the newest report said unchanged was seen with it: one UPDATE of the host stands for all its facts.
        return host.reported_at if fact.source == host.report_source and host.reported_at else fact.seen_at

    first = max(facts, key=lambda fact: (fact.locked_by_id is not None, seen(fact)))
    others = tuple((f.source, f.value) for f in facts if f is not first and f.value != first.value)
    locked_by = first.locked_by.get_username() if first.locked_by else ""
    return FactRow(key, first.value, first.source, seen(first), locked_by, others)


def machine_kinds(host_ids: Iterable[int]) -> dict[int, str]:
    """Host id → server or workstation, by a person's word or else the newest; hosts of which nobody knows are missing.
    One query."""
    facts = Fact.objects.filter(host_id__among=list(host_ids), key="machine_kind")
    by_weight = facts.annotate(locked=Q(locked_by__isnull=False)).order_by("locked", "seen_at")
    told = dict(by_weight.values_list("host_id", "value"))  # of one host the last row stays
    known = MachineKind.values
    return {pk: kind for pk, kind in told.items() if kind in known}


def history_of(host: Host) -> QuerySet[AuditEntry]:
    """The entries about the host and its item, newest first."""
    about = Q(object_type=host._meta.label_lower, object_id=str(host.pk))
    about |= Q(object_type=ConfigurationItem._meta.label_lower, object_id=str(host.ci_id))
    return AuditEntry.objects.filter(about).order_by("-pk")
