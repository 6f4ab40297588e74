"""Which approval routes a change meets, and by what. Asked when a round opens, and on its page before that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changes.enums import RFCKind, RiskLevel
from changes.models import RFC, ApprovalRoute, RFCTarget, RiskAssessment
from cmdb.models import ConfigurationItem, HostGroup
from cmdb.queries.hosts import TargetFacts, target_facts
from patchflow.kernel.blockers import English, english, label_of
from patchflow.kernel.models import User

RANK = {level: rank for rank, level in enumerate((RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH))}


@dataclass(frozen=True)
class Met:
    """A route that a change meets: the hosts by which it does, and the sentence that says so."""

    route: ApprovalRoute
    host_ids: tuple[int, ...]
    why: English


def asked_as(rfc: RFC) -> str:
    """The kind whose levels are asked: a standard change without a licence is asked about like a normal one."""
    return RFCKind.NORMAL if rfc.kind == RFCKind.STANDARD else rfc.kind


def routes_met(rfc: RFC, *, at: datetime) -> list[Met]:
    """The routes in force that `rfc` meets as it stands. What is not known (a risk not assessed) meets. At most ten queries."""
    routes = list(ApprovalRoute.objects.in_force().prefetch_related("groups", "services"))
    found = _each([rfc], routes, at=at) if routes else {}
    return found.get(rfc.pk, [])


def routes_missed(rfc: RFC, *, at: datetime) -> list[ApprovalRoute]:
    """The routes in force that `rfc` would meet, but that every group or service that they name is retired."""
    rows = ApprovalRoute.objects.in_force().prefetch_related("groups", "services")
    gone = [one for one in rows if all_retired(one.groups.all()) or all_retired(one.services.all())]
    found = _each([rfc], gone, at=at, but_retired=True) if gone else {}
    return [met.route for met in found.get(rfc.pk, [])]


def meeting(route: ApprovalRoute, rfcs: Sequence[RFC], *, at: datetime) -> list[RFC]:
    """Those of `rfcs` that meet `route` as they stand. As many queries as for one."""
    found = _each(rfcs, [route], at=at)
    return [rfc for rfc in rfcs if found.get(rfc.pk)]


def named_for(actor: User) -> tuple[set[int], set[int]]:
    """The ids of the groups and of the services in routes that `actor` may see by name. Two queries."""
    groups = HostGroup.objects.visible_to(actor).filter(pk__in=ApprovalRoute.objects.values("groups"))
    items = ConfigurationItem.objects.all().visible_to(actor).filter(pk__in=ApprovalRoute.objects.values("services"))
    return set(groups.values_list("pk", flat=True)), set(items.values_list("pk", flat=True))


def _each(
    rfcs: Sequence[RFC], routes: Sequence[ApprovalRoute], *, at: datetime, but_retired: bool = False
) -> dict[int, list[Met]]:
    """RFC id → the routes that it meets; `but_retired`: groups and services that are all retired are not asked about."""
    ids = [rfc.pk for rfc in rfcs]
    rows = RFCTarget.objects.filter(rfc__in=ids, removed_at__isnull=True, left_at__isnull=True)
    hosts: dict[int, list[int]] = defaultdict(list)
    for rfc_id, host_id in rows.order_by("host_name", "pk").values_list("rfc_id", "host_id"):
        hosts[rfc_id].append(host_id)
    facts = target_facts({pk for found in hosts.values() for pk in found}, at=at)
    levels = dict(RiskAssessment.objects.filter(rfc__in=ids).order_by("pk").values_list("rfc_id", "level"))
    found: dict[int, list[Met]] = {}
    for rfc in rfcs:
        of = [facts[pk] for pk in hosts[rfc.pk] if pk in facts]
        asked = (
            _met(route, rfc, of, level=levels.get(rfc.pk, ""), but_retired=but_retired)
            for route in routes
            if asked_as(rfc) in route.kinds
        )
        found[rfc.pk] = [met for met in asked if met is not None]
    return found


def _met(route: ApprovalRoute, rfc: RFC, facts: Sequence[TargetFacts], *, level: str, but_retired: bool) -> Met | None:
    if route.min_risk and level and RANK[RiskLevel(level)] < RANK[RiskLevel(route.min_risk)]:
        return None
    if route.classes and rfc.update_class not in route.classes:
        return None
    concerned = _concerned(route, facts, but_retired=but_retired)
    if not concerned and (facts or _asks_items(route)):
        return None
    return Met(route, tuple(one.host_id for one in concerned), _why(route, rfc, level))


def _asks_items(route: ApprovalRoute) -> bool:
    """Whether it asks something of the hosts themselves."""
    items = (route.max_criticality, route.environments, list(route.groups.all()), list(route.services.all()))
    return any(items) or route.level.get("owners") == "services"


def _concerned(route: ApprovalRoute, facts: Iterable[TargetFacts], *, but_retired: bool) -> list[TargetFacts]:
    """The targets that meet all that the route asks of a target."""
    groups, services = (
        set() if but_retired and all_retired(rows) else {one.pk for one in rows}
        for rows in (list(route.groups.all()), list(route.services.all()))
    )
    owners_of_services = route.level.get("owners") == "services"
    return [
        one
        for one in facts
        if (route.max_criticality is None or one.criticality <= route.max_criticality)
        and (not route.environments or one.environment in route.environments)
        and (not groups or groups & one.group_ids)
        and (not services or services & set(one.services))
        and (not owners_of_services or one.services)
    ]


def all_retired(rows: Iterable[Any]) -> bool:
    """Whether some are named, and none of them is in use any more."""
    standing = [one.retired_at for one in rows]
    return bool(standing) and None not in standing


def _why(route: ApprovalRoute, rfc: RFC, level: str) -> English:
    """Which route, and what of the change it meets. No host is named or counted: whoever sees the change reads it."""
    said = english("route “%(route)s”", route=route.name)
    if route.min_risk:
        risk = label_of(RiskAssessment(level=level), "level") if level else english("not assessed")
        said = english("%(said)s, risk %(risk)s", said=said, risk=risk)
    if route.classes:
        said = english("%(said)s, class %(urgency)s", said=said, urgency=label_of(rfc, "update_class"))
    return said
