"""Whose hands did an act: a program acts for whoever was told the text of one of its tokens (four eyes, law 1; ADR 0035)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from patchflow.kernel.blockers import english
from patchflow.kernel.enums import Outcome
from patchflow.kernel.models import AuditEntry, User

GIVEN = "access.user.token_given"


def holders_of(ids: Iterable[int], *, until: datetime | None = None) -> dict[int, set[int]]:
    """Person → the programs among `ids` of which they were ever told a token, or were `until` then. One query; none without ids.

    A token that ended counts too: what was done with it while it lived was done by who knew it.
    """
    wanted = [str(pk) for pk in set(ids)]
    if not wanted:
        return {}
    told = AuditEntry.objects.filter(
        verb=GIVEN, object_type=User._meta.label_lower, object_id__in=wanted, outcome=Outcome.DONE
    )
    if until is not None:
        told = told.filter(effective_at__lte=until)
    found: dict[int, set[int]] = {}
    for person, program in told.values_list("actor_id", "object_id").distinct():
        found.setdefault(person, set()).add(int(program))
    return found


def behind(ids: Iterable[int], *, until: datetime | None = None) -> set[int]:
    """These people and programs, and whoever was told a token of one of these programs (`until` then, if given)."""
    known = set(ids)
    return known | set(holders_of(known, until=until))


def acts_for(actor: User, *, until: datetime | None = None) -> set[int]:
    """The actor, and whom it acts for if it is a program: for an act of `until`, who had a token then. No query for a person."""
    return behind([actor.pk], until=until) if actor.is_service else {actor.pk}


def acted(actor: User, ids: Iterable[int | None]) -> bool:
    """Whether `actor` is one of these (None: nobody), acts for one of them, or one of these acted for the actor."""
    return bool(acted_as(actor, ids))


def acted_as(actor: User, ids: Iterable[int | None]) -> set[int]:
    """Those of `ids` whose acts count as the actor's own (`acted`): for many sets at once. Two queries at most."""
    own, known = acts_for(actor), {pk for pk in ids if pk is not None}
    told = holders_of(known)
    return (known & own).union(*(told.get(person, ()) for person in own))


def with_holders(excluded: Mapping[int, str]) -> dict[int, str]:
    """Who may not decide, and why, with whoever was told a token of a program among them."""
    found = dict(excluded)
    for person, programs in holders_of(excluded).items():
        if person not in found:
            names = User.objects.filter(pk__in=programs).order_by("username").values_list("username", flat=True)
            found[person] = english(
                "You were given a token of %(program)s, whose act counts as yours: somebody else decides.",
                program=", ".join(names),
            )
    return found
