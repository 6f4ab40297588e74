"""Levels of a sign-off round before it opens: who is asked, by what right, and what keeps them from being asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import NamedTuple

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.enums import Basis, Quorum
from patchflow.kernel.models import RoleGrant, User


class Asked(NamedTuple):
    """Somebody to be asked: `via` names the role or the group. By `role` the right must reach every host concerned; an owner,
    or somebody of a group, speaks for a part, and must have it for a part."""

    user: User
    via: str
    basis: str = Basis.ROLE


@dataclass(frozen=True)
class LevelSpec:
    """A level to be asked: `amount` is a number or a percentage, as `quorum` says; `missing` is why it cannot be asked as it
    should, `reason` which rule asks it."""

    name: str
    voters: Sequence[Asked | tuple[User, str]]
    quorum: str = Quorum.FIRST
    amount: int = 1
    deadline_at: datetime | None = None
    escalate_to: str = ""
    veto: bool = False
    reason: str = ""
    missing: Sequence[Blocker] = ()


def needed(quorum: str, amount: int, asked: int) -> int:
    """Signatures that a level of `asked` people needs; at least one."""
    match quorum:
        case Quorum.FIRST:
            return 1
        case Quorum.ALL:
            return max(asked, 1)
        case Quorum.COUNT:
            return max(amount, 1)
        case Quorum.PERCENT:
            return max(ceil(asked * amount / 100), 1)
    raise ValueError(f"unknown quorum {quorum!r}")


def voters_by_role(role: str, over: Sequence[frozenset[str]] | None = None) -> list[tuple[User, str]]:
    """The active people who hold `role` for all hosts concerned (`over`: the scope keys of each), with the right named."""
    grants = RoleGrant.objects.filter(role=role, user__is_active=True).select_related("user").order_by("user__username")
    found: dict[int, tuple[User, str]] = {}
    for grant in grants:
        if not grant.scope or (bool(over) and all(grant.scope in keys for keys in over or ())):
            found.setdefault(grant.user_id, (grant.user, role))
    return list(found.values())


def why_not_ask(levels: Sequence[LevelSpec], excluded: Mapping[int, str]) -> list[Blocker]:
    """What keeps these levels from being asked: none named, nobody who answers, too few people, or too few beside those
    whom the levels before need."""
    if not levels:
        said = "The approval policy names no level: a round without one would pass by itself."
        return [Blocker("round.no_level", said)]
    chosen = [(spec, able(spec, excluded)) for spec in levels]
    blockers = [blocker for spec in levels for blocker in spec.missing]
    for spec, people in chosen:
        if len(people) < needed(spec.quorum, spec.amount, len(people)):
            blockers.append(_too_few(spec, len(people), excluded))
    needs = [
        (needed(spec.quorum, spec.amount, len(people)), [one.user.pk for one in people]) for spec, people in chosen
    ]
    if not blockers and (short := first_short(needs)) is not None:
        sentence = english(
            "Level “%(name)s” has too few people besides those whom the other levels need: in one round nobody counts twice.",
            name=levels[short].name,
        )
        blockers.append(Blocker("round.voters_shared", sentence, tone="wait"))
    return blockers


def able(spec: LevelSpec, excluded: Mapping[int, str]) -> list[Asked]:
    """Who of a level can sign: not those who are excluded, and no program."""
    asked = (Asked(*one) for one in spec.voters)
    return [one for one in asked if one.user.pk not in excluded and one.user.is_active and one.user.is_person]


def _too_few(spec: LevelSpec, people: int, excluded: Mapping[int, str]) -> Blocker:
    out = ", ".join(f"{one[0]} ({excluded[one[0].pk]})" for one in spec.voters if one[0].pk in excluded)
    sentence = english(
        "Level “%(name)s” has %(people)s people who can sign; its quorum needs more.%(why)s",
        name=spec.name,
        people=people,
        why=english(" Left out: %(reason)s.", reason=out) if out else "",
    )
    return Blocker("round.voters_missing", sentence, tone="wait")


def first_short(needs: Sequence[tuple[int, Collection[int]]]) -> int | None:
    """Of levels as (how many must still sign, who can) the place of the first whose people cannot be had beside those that the
    ones before it need, since a person counts once in a round; None if all can. Seats are given by augmenting paths (Kuhn)."""
    held_by: dict[int, int] = {}  # person → place of the level that needs them

    def seat(place: int, tried: set[int]) -> bool:
        for pk in needs[place][1]:
            if pk not in tried:
                tried.add(pk)
                if pk not in held_by or (held_by[pk] != place and seat(held_by[pk], tried)):
                    held_by[pk] = place
                    return True
        return False

    for place, (count, _people) in enumerate(needs):
        if not all(seat(place, set()) for _n in range(count)):
            return place
    return None
