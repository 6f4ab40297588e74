"""Items that are no hosts: what they hang together with, and on which hosts they rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from cmdb.enums import ItemKind, Link, RelationKind
from cmdb.models import ConfigurationItem, Host, Relation
from cmdb.queries.hosts import supported_services
from patchflow.kernel.models import User

OTHERS = tuple(kind for kind in ItemKind if kind != ItemKind.HOST)
"""Kinds of items of which people say what they are."""
HERE = {
    RelationKind.DEPENDS_ON: Link.DEPENDS_ON,
    RelationKind.RUNS_ON: Link.RUNS_ON,
    RelationKind.MEMBER_OF: Link.MEMBER_OF,
    RelationKind.CONNECTS_TO: Link.CONNECTS_TO,
}
THERE = {
    RelationKind.DEPENDS_ON: Link.NEEDED_BY,
    RelationKind.RUNS_ON: Link.CARRIES,
    RelationKind.MEMBER_OF: Link.MEMBERS,
    RelationKind.CONNECTS_TO: Link.CONNECTS_TO,
}
"""Kind of relation → how it is said from its source, and from its target."""


@dataclass(frozen=True)
class Linked:
    """A relation, said from the side of one of its items."""

    relation: Relation
    how: Link
    other: ConfigurationItem


def links_of(item: ConfigurationItem, actor: User) -> list[Linked]:
    """How the item hangs together with others that `actor` sees. Two queries."""
    seen = ConfigurationItem.objects.all().visible_to(actor)
    rows = Relation.objects.filter(Q(source=item, target__in=seen) | Q(target=item, source__in=seen))
    found = []
    for row in rows.select_related("source__host", "target__host"):
        mine = row.source_id == item.pk
        kind = RelationKind(row.kind)
        found.append(Linked(row, HERE[kind] if mine else THERE[kind], row.target if mine else row.source))
    return sorted(found, key=lambda one: (one.how, one.other.name, one.other.pk))


def hosts_under(item_ids: Iterable[int]) -> dict[int, set[int]]:
    """Item id → ids of the live hosts on which it rests, directly or through others. Three queries."""
    wanted = set(item_ids)
    hosts = dict(Host.objects.live().values_list("ci_id", "pk"))
    found: dict[int, set[int]] = {pk: set() for pk in wanted}
    for ci_id, above in supported_services(hosts, kinds=OTHERS).items():
        for pk in wanted.intersection(above):
            found[pk].add(hosts[ci_id])
    return found
