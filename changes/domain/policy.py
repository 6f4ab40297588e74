"""Approval policy: which levels a kind of change asks, who votes in them, by when. A change model may hold its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from changes.enums import ModelState, RFCKind
from changes.models import RFC
from patchflow.kernel.blockers import english
from patchflow.kernel.enums import Quorum
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from patchflow.kernel.roles import grantable, roles_with
from patchflow.kernel.signoffs import LevelSpec, voters_by_role

Level = dict[str, Any]


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
            "name": "Service and security",
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
    """The levels in canonical form; Invalid if a role cannot sign, or a quorum cannot be counted."""
    known = {role.name for role in grantable()}
    found: list[Level] = []
    for given in levels:
        roles = [str(r) for r in given.get("roles", [])]
        quorum, amount = str(given.get("quorum", Quorum.FIRST)), int(given.get("amount", 1))
        if not str(given.get("name", "")).strip() or not roles:
            raise Invalid("A level needs a name and at least one role.", code="model.levels")
        if wrong := [r for r in roles if r not in known or r not in roles_with("rfc.approve")]:
            raise Invalid(
                english("These roles approve nothing: %(wrong)s.", wrong=", ".join(wrong)), code="model.levels"
            )
        if quorum not in Quorum.values or amount < 1 or (quorum == Quorum.PERCENT and amount > 100):
            raise Invalid("A quorum is first, all, a number, or a share of up to 100 percent.", code="model.levels")
        limit = {k: int(given[k]) for k in ("working_days", "hours") if given.get(k)}
        if len(limit) != 1 or min(limit.values()) < 1:
            raise Invalid("A level has a deadline in working days or in hours.", code="model.levels")
        escalate_to = str(given.get("escalate_to", ""))
        if escalate_to and escalate_to not in known:
            raise Invalid(
                english("There is no role %(escalate_to)s.", escalate_to=repr(escalate_to)), code="model.levels"
            )
        found.append({"name": str(given["name"]).strip(), "roles": roles, "quorum": quorum, "amount": amount, **limit,
                      "escalate_to": escalate_to})  # fmt: skip
    return found


def levels_for(rfc: RFC) -> list[Level]:
    """The levels that this change must pass: those of its approved model, else the kind's. A standard change without a
    licence is asked about like a normal one."""
    model = rfc.change_model
    if model is not None and model.state == ModelState.APPROVED and model.levels and rfc.kind != RFCKind.STANDARD:
        return list(model.levels)
    return default_levels(rfc.kind)


def level_specs(levels: Sequence[Level], *, over: Sequence[frozenset[str]] | None, at: datetime) -> list[LevelSpec]:
    """The levels with their voters now (by role, for all hosts concerned) and their deadlines, one after the other."""
    specs: list[LevelSpec] = []
    for level in levels:
        voters: dict[int, tuple[User, str]] = {}
        for role in level["roles"]:
            for user, via in voters_by_role(role, over):
                voters.setdefault(user.pk, (user, via))
        deadline = deadline_of(level, at)
        specs.append(
            LevelSpec(
                name=level["name"],
                voters=list(voters.values()),
                quorum=level["quorum"],
                amount=level["amount"],
                deadline_at=deadline,
                escalate_to=level.get("escalate_to", ""),
            )
        )
    return specs


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
