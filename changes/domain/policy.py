"""Approval policy: which levels a kind of change asks, who votes in them, by when. A change model may hold its own, and routes
(`changes.domain.routing`) ask more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_noop

from changes.enums import ModelState, Owners, RFCKind
from changes.models import RFC
from changes.queries.owners import answering, people_of
from cmdb.models import SupportGroup
from patchflow.kernel.blockers import Blocker, english, english_n
from patchflow.kernel.enums import Basis, Quorum
from patchflow.kernel.errors import Invalid
from patchflow.kernel.levels import Asked, LevelSpec, voters_by_role
from patchflow.kernel.roles import grantable, roles_with

Level = dict[str, Any]
LONGEST = 2000
"""Hours, or working days, that a level may wait."""
MOST_PEOPLE = 1000
"""Signatures that a level may ask."""


def default_levels(kind: str) -> list[Level]:
    """What a kind demands unless its model says otherwise: a normal change asks service owner or security officer first,
    then two of the CAB; an emergency asks the ECAB, first to sign, within four hours."""
    days = settings.PATCHFLOW["ROUND_DEADLINE_WORKING_DAYS"]
    hours = int(settings.PATCHFLOW["ECAB_DEADLINE"] / timedelta(hours=1))
    if kind == RFCKind.EMERGENCY:
        ecab = {"name": "ECAB", "roles": ["cab_chair", "security_officer"], "quorum": Quorum.FIRST, "amount": 1}
        return [{**ecab, "hours": hours, "escalate_to": "change_manager"}]
    return [
        {
            "name": gettext_noop("Service and security"),
            "roles": ["service_owner", "security_officer"],
            "quorum": Quorum.FIRST,
            "amount": 1,
            "working_days": days,
            "escalate_to": "change_manager",
        },
        {
            "name": "CAB",
            "roles": ["cab_member", "cab_chair"],
            "quorum": Quorum.COUNT,
            "amount": 2,
            "working_days": days,
            "escalate_to": "cab_chair",
        },
    ]


def checked(levels: Sequence[Mapping[str, Any]]) -> list[Level]:
    """The levels in canonical form; Invalid if a role cannot sign, nobody is asked, or a quorum cannot be counted."""
    return [_checked(given) for given in levels]


def _checked(given: Mapping[str, Any]) -> Level:
    known = {role.name for role in grantable()}
    roles = [str(r) for r in given.get("roles", [])]
    owners, group = str(given.get("owners") or ""), str(given.get("group") or "").strip()
    quorum, amount = str(given.get("quorum", Quorum.FIRST)), int(given.get("amount", 1))
    if not str(given.get("name", "")).strip() or not (roles or owners or group):
        raise Invalid("A level needs a name, and a role, owners or a support group to ask.", code="model.levels")
    if wrong := [r for r in roles if r not in known or r not in roles_with("rfc.approve")]:
        raise Invalid(english("These roles approve nothing: %(wrong)s.", wrong=", ".join(wrong)), code="model.levels")
    if owners and owners not in Owners.values:
        raise Invalid("Owners are those of the targets, or of the services.", code="model.levels")
    if group and not SupportGroup.objects.filter(name=group).exists():
        raise Invalid(english("There is no support group “%(group)s”.", group=group), code="model.levels")
    if quorum not in Quorum.values or not 1 <= amount <= (100 if quorum == Quorum.PERCENT else MOST_PEOPLE):
        raise Invalid("A quorum is first, all, a number, or a share of up to 100 percent.", code="model.levels")
    limit = {k: int(given[k]) for k in ("working_days", "hours") if given.get(k)}
    if len(limit) != 1 or not 1 <= min(limit.values()) <= LONGEST:
        raise Invalid(
            english("A level has a deadline in working days or in hours, %(longest)s at most.", longest=LONGEST),
            code="model.levels",
        )
    escalate_to = str(given.get("escalate_to", ""))
    if escalate_to and escalate_to not in known:
        raise Invalid(english("There is no role %(escalate_to)s.", escalate_to=repr(escalate_to)), code="model.levels")
    also = {"owners": owners, "group": group, "veto": bool(given.get("veto"))}
    return {
        "name": str(given["name"]).strip(),
        "roles": roles,
        "quorum": quorum,
        "amount": amount,
        **limit,
        "escalate_to": escalate_to,
        **{name: value for name, value in also.items() if value},  # what is not said is not in what was signed earlier
    }


def levels_for(rfc: RFC) -> list[Level]:
    """The levels that this change must pass: those of its approved model, else the kind's. A standard change without a
    licence is asked about like a normal one."""
    model = rfc.change_model
    if model is not None and model.state == ModelState.APPROVED and model.levels and rfc.kind != RFCKind.STANDARD:
        return list(model.levels)
    return default_levels(rfc.kind)


def level_spec(
    level: Level,
    *,
    over: Sequence[frozenset[str]] | None,
    at: datetime,
    hosts: Collection[int] = (),
    out: Collection[int] = (),
    reason: str = "",
) -> LevelSpec:
    """A level with its voters now and its deadline: by role for all hosts concerned (`over`: their scope keys), owners of
    `hosts` or of what rests on them, the people of a support group. Who is asked twice is asked by their role. `out`: who may
    not sign, and so answers for nothing."""
    asked: dict[int, Asked] = {}
    for role in level["roles"]:
        for user, via in voters_by_role(role, over):
            asked.setdefault(user.pk, Asked(user, via))
    missing: list[Blocker] = []
    if owners := level.get("owners"):
        found = answering(hosts, services=owners == Owners.SERVICES, over=over, out=out)
        missing = _unanswered(level["name"], found.nobody)
        for one in found.asked:
            asked.setdefault(one.user.pk, one)
    if group := level.get("group"):
        people = people_of([group], over=over, out=out).get(group, [])
        if not people:
            said = english(
                "Level “%(name)s” asks the support group “%(group)s”, in which nobody may decide about this.",
                name=level["name"],
                group=group,
            )
            missing.append(Blocker("round.group_missing", said, where=reverse("cmdb:support-list"), tone="wait"))
        for user in people:
            asked.setdefault(user.pk, Asked(user, group, Basis.GROUP))
    return LevelSpec(
        name=level["name"],
        voters=list(asked.values()),
        quorum=level["quorum"],
        amount=level["amount"],
        deadline_at=deadline_of(level, at),
        escalate_to=level.get("escalate_to", ""),
        veto=bool(level.get("veto")),
        reason=reason,
        missing=missing,
    )


def _unanswered(name: str, items: Sequence[str]) -> list[Blocker]:
    if not items:
        return []
    sentence = english_n(
        "Level “%(name)s” asks owners, and for one item nobody who may decide answers: %(items)s. Name an owner, or people of "
        "its support group.",
        "Level “%(name)s” asks owners, and for %(n)s items nobody who may decide answers: %(items)s. Name owners, or people of "
        "their support groups.",
        len(items),
        name=name,
        items=", ".join(items[:5]) + (" …" if len(items) > 5 else ""),
    )
    return [Blocker("round.owner_missing", sentence, where=reverse("cmdb:support-items"), tone="wait")]


def deadline_of(level: Level, at: datetime) -> datetime:
    """When silence ends the level, counted from the opening of the round."""
    if hours := level.get("hours"):
        return at + timedelta(hours=hours)
    return working_days_after(at, level.get("working_days", 3))


def working_days_after(at: datetime, days: int) -> datetime:
    """`at` plus so many working days (Monday to Friday): a weekend is not time to decide."""
    moved = at
    while days:
        moved += timedelta(days=1)
        days -= moved.weekday() < 5
    return moved
