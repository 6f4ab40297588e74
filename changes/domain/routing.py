"""Approval routes: written, revised and retired by people; asked when a round opens.

A route only adds. Who is asked by kind, or by a model that the board has signed, is asked whatever the routes say: so nobody
who writes one can take a change away from the board.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from changes.domain import policy
from changes.enums import RFCKind, RiskLevel, UpdateClass
from changes.models import RFC, ApprovalRoute
from changes.queries.routing import Met, routes_met
from cmdb.enums import Criticality, Environment, ItemKind
from cmdb.models import ConfigurationItem, HostGroup
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.enums import Quorum
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.levels import LevelSpec
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

EDIT = capability("approval_route.edit")
ASKED = (RFCKind.NORMAL, RFCKind.EMERGENCY)
"""Kinds that are asked about: a standard change has its licence, or is asked about like a normal one."""
SAYS = ("roles", "owners", "group", "quorum", "amount", "veto")
"""What makes two levels the same question."""


# --- written by people --------------------------------------------------------------------------------------------------------------
@workflow.verb("change.route.written")
def write(*, actor: User, at: datetime, **fields: Any) -> ApprovalRoute:
    """Writes a route that is in force at once: it asks its level of every change that meets it, from the next round on.

    Fields: name, reason, kinds, min_risk, classes, max_criticality, environments, group_ids, service_ids, level (as of a
    change model), asked_last. Needs approval_route.edit. Raises NotAllowed, Invalid, Conflict (a route of that name).
    """
    _demand(actor)
    route = ApprovalRoute(written_by=actor, written_at=at)
    return _save(route, fields, "change.route.written", actor=actor, at=at)


@workflow.verb("change.route.revised", ApprovalRoute, "route_id")
def revise(*, route_id: int, actor: User, at: datetime, **fields: Any) -> ApprovalRoute:
    """Changes a route; rounds that are open stay as they were asked. Needs approval_route.edit and a reason."""
    _demand(actor)
    route = workflow.lock(ApprovalRoute, route_id)
    _in_force(route)
    return _save(route, fields, "change.route.revised", actor=actor, at=at)


@workflow.verb("change.route.retired", ApprovalRoute, "route_id")
def retire(*, route_id: int, reason: str, actor: User, at: datetime) -> ApprovalRoute:
    """Asks it of no further round. Needs approval_route.edit and a reason. Raises NotAllowed, Invalid, Conflict (retired)."""
    _demand(actor)
    if not reason.strip():
        raise Invalid(english("Say why."), code="invalid.reason")
    route = workflow.lock(ApprovalRoute, route_id)
    _in_force(route)
    route.retired_at = at
    route.save(update_fields=["retired_at"])
    detail = {"reason": reason.strip()}
    audit.record(route, "change.route.retired", actor=actor, at=at, before="in_force", after="retired", detail=detail)
    return route


def why_not_edit(route: ApprovalRoute | None, actor: User) -> list[Blocker]:
    """Why this person cannot write, revise or retire it now."""
    gone = [_RETIRED] if route is not None and route.retired_at else []
    return failing([EDIT], None, actor) or gone


_RETIRED = Blocker("conflict.state", "It is retired: write a new one.")


def _demand(actor: User) -> None:
    if refused := failing([EDIT], None, actor):
        raise NotAllowed(refused)


def _in_force(route: ApprovalRoute) -> None:
    if route.retired_at is not None:
        raise Conflict(_RETIRED)


def _save(route: ApprovalRoute, fields: Mapping[str, Any], name: str, *, actor: User, at: datetime) -> ApprovalRoute:
    before = route.content() if route.pk else None
    route.name = str(fields.get("name", route.name)).strip()
    route.reason = str(fields.get("reason", "")).strip()
    route.kinds = _among("kinds", fields.get("kinds", route.kinds), [kind.value for kind in ASKED])
    route.classes = _among("classes", fields.get("classes", route.classes), UpdateClass.values)
    route.environments = _among("environments", fields.get("environments", route.environments), Environment.values)
    route.min_risk = str(fields.get("min_risk", route.min_risk) or "")
    route.max_criticality = fields.get("max_criticality", route.max_criticality) or None
    route.asked_last = bool(fields.get("asked_last", route.asked_last))
    route.level = policy.checked([fields.get("level", route.level) or {}])[0]
    wrong = {
        "name": not route.name,
        "reason": not route.reason,
        "kinds": not route.kinds,
        "min_risk": route.min_risk not in ("", *RiskLevel.values),
        "max_criticality": route.max_criticality not in (None, *Criticality.values),
    }
    said = {
        "name": english("Give it a name."),
        "reason": english("Say why it is asked."),
        "kinds": english("Choose normal, emergency or both."),
        "min_risk": english("Risk is low, medium or high."),
        "max_criticality": english("Criticality is a number from 1, the highest, to 4."),
    }
    if field := next((name for name, is_wrong in wrong.items() if is_wrong), ""):
        raise Invalid(said[field], code=f"invalid.{field}")
    if ApprovalRoute.objects.in_force().filter(name=route.name).exclude(pk=route.pk).exists():
        raise Invalid("There is a route of this name already.", code="invalid.name")
    groups = _rows(
        _choosable(HostGroup.objects.visible_to(actor), route, "groups"), fields.get("group_ids"), "group_ids"
    )
    items = ConfigurationItem.objects.all().visible_to(actor).filter(kind=ItemKind.SERVICE)
    services = _rows(_choosable(items, route, "services"), fields.get("service_ids"), "service_ids")
    try:
        with transaction.atomic():
            route.save()
    except IntegrityError:  # somebody was faster
        raise Invalid("There is a route of this name already.", code="invalid.name") from None
    if groups is not None:
        route.groups.set(groups)
    if services is not None:
        route.services.set(services)
    detail = {"before": before, **route.content()} if before else route.content()
    audit.record(route, name, actor=actor, at=at, after="in_force", detail=detail)
    return route


def _choosable(rows: Any, route: ApprovalRoute, kind: str) -> Any:
    """Those in use, and those that the route names already."""
    kept = getattr(route, kind).values("pk") if route.pk else ()
    return rows.filter(Q(retired_at__isnull=True) | Q(pk__in=kept))


def _among(field: str, given: Collection[str], known: Sequence[str]) -> list[str]:
    if unknown := sorted(set(given) - set(known)):
        sentence = english(
            "Not known: %(unknown)s. Known: %(known)s.", unknown=", ".join(unknown), known=", ".join(known)
        )
        raise Invalid(sentence, code=f"invalid.{field}")
    return [one for one in known if one in given]


def _rows(rows: Any, ids: Collection[int] | None, field: str) -> list[Any] | None:
    if ids is None:
        return None
    found = list(rows.filter(pk__in=list(ids)))
    if len(found) != len(set(ids)):
        raise Invalid("One of these does not exist, is retired, or is not in your scope.", code=f"invalid.{field}")
    return found


# --- asked of a change --------------------------------------------------------------------------------------------------------------
def specs_for(rfc: RFC, *, at: datetime, out: Collection[int] = ()) -> list[LevelSpec]:
    """The levels that a round about `rfc` asks now, with voters and reasons: routes first, the usual ones of its kind or
    model, routes last. Routes that put the same question ask it once. `out`: who may not sign it."""
    over = rfc.scope_keys()
    hosts = list(rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True))
    usual = [policy.level_spec(level, over=over, at=at, hosts=hosts, out=out) for level in policy.levels_for(rfc)]
    met = routes_met(rfc, at=at)
    first, last = (
        [_asked(same, over, at, out) for same in _alike([one for one in met if one.route.asked_last is behind])]
        for behind in (False, True)
    )
    return [*first, *usual, *last]


def _alike(met: Sequence[Met]) -> list[list[Met]]:
    """Routes that put the same question. Of owners it is the same only about the same hosts, or where all of them sign: one of
    many must not answer for another's."""
    found: dict[str, list[Met]] = {}
    for one in met:
        level = one.route.level
        part = sorted(one.host_ids) if level.get("owners") and level["quorum"] != Quorum.ALL else []
        found.setdefault(repr([[level.get(name) for name in SAYS], part]), []).append(one)
    return list(found.values())


def _asked(same: Sequence[Met], over: Sequence[frozenset[str]], at: datetime, out: Collection[int]) -> LevelSpec:
    """One question for all routes that put it: about the hosts of each, by the earliest of their deadlines."""
    level = min((one.route.level for one in same), key=lambda level: policy.deadline_of(level, at))
    hosts = sorted({pk for one in same for pk in one.host_ids})
    why = same[0].why
    for one in same[1:]:
        why = english("%(one)s; %(other)s", one=why, other=one.why)
    return policy.level_spec(level, over=over, at=at, hosts=hosts, out=out, reason=why)
