"""Approval routes that ask nobody: every group or service that they name is retired, or nobody of their level may decide.

Such a route is no silent yes: its list, its page, the page on which a group or service is retired, and the trail of each change
of which it would have been asked say so (`queries.routing.routes_missed`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from changes.models import ApprovalRoute
from changes.queries.owners import RIGHT
from changes.queries.routing import all_retired
from cmdb.models import SupportGroup
from patchflow.kernel.blockers import English, english
from patchflow.kernel.levels import needed
from patchflow.kernel.models import RoleGrant
from patchflow.kernel.people import persons
from patchflow.kernel.roles import roles_with


@dataclass(frozen=True)
class Deciders:
    """Who may decide about changes somewhere: role → ids, support group → ids of its people who may."""

    by_role: dict[str, set[int]]
    by_group: dict[str, set[int]]


def deciders() -> Deciders:
    """Three queries."""
    people = set(persons().values_list("pk", flat=True))
    by_role: dict[str, set[int]] = {role: set() for role in roles_with(RIGHT)}
    for role, user_id in RoleGrant.objects.filter(role__in=by_role).values_list("role", "user_id"):
        by_role[role] |= {user_id} & people
    may = {pk for found in by_role.values() for pk in found}
    by_group: dict[str, set[int]] = {}
    for name, lead, member in SupportGroup.objects.values_list("name", "lead_id", "members__pk"):
        by_group[name] = by_group.get(name, set()) | ({lead, member} & may)
    return Deciders(by_role, by_group)


def why_idle(route: ApprovalRoute, known: Deciders) -> list[English]:
    """Why this route, in force, asks nobody; empty if it asks somebody, or depends on the owners of the hosts. No query where
    its groups and services were read before."""
    if route.retired_at is not None:
        return []
    found = []
    if all_retired(route.groups.all()):
        found.append(english("Every host group that it names is retired: no change meets it."))
    if all_retired(route.services.all()):
        found.append(english("Every service that it names is retired: no change meets it."))
    return [*found, *_unanswered(route, known)]


def _unanswered(route: ApprovalRoute, known: Deciders) -> Iterable[English]:
    level = route.level
    if level.get("owners"):
        return
    asked = {pk for role in level["roles"] for pk in known.by_role.get(role, ())} | known.by_group.get(
        level.get("group", ""), set()
    )
    wanted = needed(level["quorum"], level["amount"], len(asked))
    if len(asked) < wanted:
        yield english(
            "Of those whom its level asks %(people)s may decide, and it needs %(needed)s: a round that asks it does not open.",
            people=len(asked),
            needed=wanted,
        )


def resting_on(
    rows: Sequence[ApprovalRoute], *, groups: Collection[int] = (), services: Collection[int] = ()
) -> list[ApprovalRoute]:
    """Those of these routes that ask nobody once these groups and services are retired as well."""
    found = []
    for route in rows:
        of_groups = [g for g in route.groups.all() if g.retired_at is None]
        of_services = [s for s in route.services.all() if s.retired_at is None]
        if (of_groups and {g.pk for g in of_groups} <= set(groups)) or (
            of_services and {s.pk for s in of_services} <= set(services)
        ):
            found.append(route)
    return found
