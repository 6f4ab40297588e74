"""Who answers for the items that a change reaches: owners, and where an item has none, the people of its support group."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from changes.enums import Owners
from cmdb.models import ConfigurationItem, Host, SupportGroup
from cmdb.queries.hosts import supported_services
from patchflow.kernel.enums import Basis
from patchflow.kernel.levels import Asked
from patchflow.kernel.models import User

Keys = Sequence[frozenset[str]] | None
RIGHT = "rfc.approve"


@dataclass(frozen=True)
class Answering:
    """Who is asked, and the names of the items for which nobody can be."""

    asked: list[Asked]
    nobody: list[str]


def items_of(host_ids: Collection[int], *, services: bool) -> set[int]:
    """Ids of the items of these hosts, or of the services that rest on them."""
    items = set(Host.objects.filter(pk__among=host_ids).values_list("ci_id", flat=True))
    if not services:
        return items
    return {pk for found in supported_services(items).values() for pk in found}


def answering(host_ids: Collection[int], *, services: bool, over: Keys, out: Collection[int] = ()) -> Answering:
    """The owners of the items who may decide for some of the hosts concerned (`over`) and are not `out`, else the people of
    the items' support groups who may. A fixed number of queries, and one for each person."""
    rows = ConfigurationItem.objects.filter(pk__among=items_of(host_ids, services=services))
    items = list(rows.select_related("owner").order_by("name", "pk"))
    may: dict[int, bool] = dict.fromkeys(out, False)
    via = Owners.SERVICES if services else Owners.TARGETS
    unowned = [one for one in items if one.owner is None or not _may(one.owner, over, may)]
    groups = people_of({one.support_group for one in unowned if one.support_group}, over=over, out=out)
    asked = {
        one.owner_id: Asked(one.owner, via, Basis.OWNER) for one in items if one.owner and _may(one.owner, over, may)
    }
    nobody = [one.name for one in unowned if not groups.get(one.support_group)]
    for name in sorted({one.support_group for one in unowned}):
        for user in groups.get(name, []):
            asked.setdefault(user.pk, Asked(user, name, Basis.GROUP))
    return Answering(list(asked.values()), nobody)


def owns(person: User, host_ids: Collection[int], *, services: bool) -> bool:
    """Whether the person owns one of the items of these hosts, or of the services that rest on them."""
    items = ConfigurationItem.objects.filter(pk__among=items_of(host_ids, services=services))
    return items.filter(owner=person).exists()


def people_of(names: Iterable[str], *, over: Keys, out: Collection[int] = ()) -> dict[str, list[User]]:
    """Name of a support group → its lead and members who may decide for some of the hosts concerned."""
    may: dict[int, bool] = dict.fromkeys(out, False)
    rows = SupportGroup.objects.filter(name__in=list(names)).select_related("lead").prefetch_related("members")
    found: dict[str, list[User]] = {}
    for group in rows:
        people = {one.pk: one for one in [group.lead, *group.members.all()] if one is not None}
        found[group.name] = [one for _pk, one in sorted(people.items()) if _may(one, over, may)]
    return found


def _may(person: User, over: Keys, known: dict[int, bool]) -> bool:
    if person.pk not in known:
        known[person.pk] = person.is_person and person.holds_for_some(RIGHT, over=over)
    return known[person.pk]
