"""Which distribution point serves a host: a group's before a site's, the nearer site before the farther one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from cmdb.enums import ItemState, RelationKind
from cmdb.models import DistributionPoint, GroupMember, Host, Relation


@dataclass(frozen=True, slots=True)
class Choice:
    """The one point that serves a host, or none. `rivals`: names of points with the same right to it, of which none is
    taken until people decide."""

    point: DistributionPoint | None = None
    rivals: tuple[str, ...] = ()


NOBODY = Choice()


def choices_for(host_ids: Iterable[int]) -> dict[int, Choice]:
    """Host id → what serves it; hosts that nothing serves are missing. At most four queries, one where there is no point."""
    rows = DistributionPoint.objects.in_service().select_related("site", "group").order_by("pk")
    points = [p for p in rows if p.site is None or p.site.state != ItemState.RETIRED]
    if not points:
        return {}
    ids = list(host_ids)
    found = _by_group(ids, [p for p in points if p.group_id])
    rest = [pk for pk in ids if pk not in found]
    return found | _by_site(rest, [p for p in points if p.site_id])


def choice_for(host_id: int) -> Choice:
    return choices_for([host_id]).get(host_id, NOBODY)


def _by_group(host_ids: list[int], points: list[DistributionPoint]) -> dict[int, Choice]:
    of_group = {point.group_id: point for point in points}
    if not of_group:
        return {}
    found: dict[int, list[DistributionPoint]] = defaultdict(list)
    rows = GroupMember.objects.filter(host_id__among=host_ids, group_id__in=list(of_group)).order_by("group_id")
    for host_id, group_id in rows.values_list("host_id", "group_id"):
        found[host_id].append(of_group[group_id])
    return {host_id: _one_of(mine) for host_id, mine in found.items()}


def _by_site(host_ids: list[int], points: list[DistributionPoint]) -> dict[int, Choice]:
    of_site = {point.site_id: point for point in points}
    if not of_site or not host_ids:
        return {}
    above = _above()
    items = Host.objects.filter(pk__among=host_ids).order_by().values_list("pk", "ci_id")
    nearest = {host_id: _nearest(item, above, of_site) for host_id, item in items}
    return {host_id: _one_of(mine) for host_id, mine in nearest.items() if mine}


def _nearest(
    item: int, above: Mapping[int, set[int]], of_site: Mapping[int | None, DistributionPoint]
) -> list[DistributionPoint]:
    """The points of the sites that are the fewest steps above the item; of several at the same distance all."""
    seen, level = {item}, {item}
    while level:
        level = {outer for inner in level for outer in above.get(inner, ())} - seen
        if mine := [of_site[one] for one in sorted(level) if one in of_site]:
            return mine
        seen |= level
    return []


def members_of_groups(actor: Any) -> dict[int, int]:
    """Group → how many live hosts that the actor may see are in it. One query; groups without any are missing."""
    rows = GroupMember.objects.filter(host__in=Host.objects.live().visible_to(actor)).order_by()
    return dict(rows.values_list("group_id").annotate(n=Count("pk")))


def members_of_sites(actor: Any) -> dict[int, int]:
    """Item → how many live hosts that the actor may see are members of it, directly or through others. Two queries; items
    without any are missing."""
    above = _above()
    found: Counter[int] = Counter()
    for item in Host.objects.live().visible_to(actor).order_by().values_list("ci_id", flat=True):
        found.update(_all_above(item, above))
    return dict(found)


def _above() -> dict[int, set[int]]:
    """Item → the items of which it is a member."""
    above: dict[int, set[int]] = defaultdict(set)
    for inner, outer in Relation.objects.filter(kind=RelationKind.MEMBER_OF).values_list("source_id", "target_id"):
        above[inner].add(outer)
    return above


def _all_above(item: int, above: Mapping[int, set[int]]) -> set[int]:
    """Everything that the item is a member of, however far above it."""
    seen, level = {item}, {item}
    while level:
        level = {outer for inner in level for outer in above.get(inner, ())} - seen
        seen |= level
    return seen - {item}


def _one_of(points: list[DistributionPoint]) -> Choice:
    if len(points) == 1:
        return Choice(points[0])
    return Choice(rivals=tuple(sorted(point.name for point in points)))


def hosts_of(point_ids: Collection[int]) -> dict[int, set[int]]:
    """Point → the live hosts that it serves."""
    found: dict[int, set[int]] = {pk: set() for pk in point_ids}
    live = list(Host.objects.live().order_by().values_list("pk", flat=True)) if found else []
    for host_id, choice in choices_for(live).items():
        if choice.point is not None and choice.point.pk in found:
            found[choice.point.pk].add(host_id)
    return found


def served_by(point: DistributionPoint, actor: Any) -> QuerySet[Host]:
    """The hosts that it serves, of those that `actor` sees."""
    mine = list(hosts_of([point.pk])[point.pk])
    return Host.objects.live().visible_to(actor).filter(pk__among=mine).order_by("name")
