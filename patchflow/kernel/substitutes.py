"""Substitutes: who signs for whom while somebody is away.

A substitute signs on the seat of the absent person and never beside it: a seat counts once, and so does a person. Nobody
gets a right by being named: the substitute must hold a role that decides, as the absent person must.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import SignOffLevel, SignOffRound, Substitution, User
from patchflow.kernel.registry import signoff_subjects
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signals import substitute_named
from patchflow.kernel.workflow import lock, verb


@verb("access.substitute.named", User, "user_id")
def name_substitute(
    *, user_id: int, substitute_id: int, starts_at: datetime, ends_at: datetime, actor: User, at: datetime,
    reason: str = "",
) -> Substitution:  # fmt: skip
    """Lets somebody sign for `user` from `starts_at` until `ends_at`. For oneself, or, with grant.edit, for another.

    Raises NotAllowed (not yours, or you name yourself), Invalid (dates; the substitute decides nothing), Conflict (a
    substitute is named for some of that time already).
    """
    user = lock(User, user_id)
    _demand(user, actor)
    substitute = User.objects.filter(pk=substitute_id, is_active=True).first()
    if substitute is None or not substitute.is_person or substitute.pk == user.pk:
        raise Invalid("Choose another person who can log in.", code="substitute.substitute_id")
    if substitute.pk == actor.pk:
        raise NotAllowed("Nobody makes themselves somebody's substitute.", code="substitute.own")
    if not decides(substitute):
        raise Invalid(
            english("%(substitute)s holds no role that decides, so cannot sign for you.", substitute=substitute),
            code="substitute.substitute_id",
        )
    if ends_at <= max(starts_at, at):
        raise Invalid("It must end after it starts, and not in the past.", code="substitute.ends_at")
    taken = Substitution.objects.filter(user=user, starts_at__lt=ends_at, ends_at__gt=starts_at)
    if other := taken.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=starts_at)).select_related("substitute").first():
        raise Conflict(
            english(
                "%(substitute)s is named for some of that time already: end that first.", substitute=other.substitute
            ),
            code="substitute.taken",
        )
    named = Substitution.objects.create(
        user=user, substitute=substitute, starts_at=starts_at, ends_at=ends_at, reason=reason.strip(), named_by=actor,
        named_at=at,
    )  # fmt: skip
    detail = {"user": user.username, "substitute": substitute.username, "starts_at": starts_at, "ends_at": ends_at}
    audit.record(named, "access.substitute.named", actor=actor, at=at, after="named", detail=detail)
    substitute_named.send(sender=Substitution, substitution_id=named.pk, at=at)
    return named


@verb("access.substitute.ended", Substitution, "substitution_id")
def end(*, substitution_id: int, actor: User, at: datetime) -> Substitution:
    """Ends a substitution at once; what was signed stays. Raises NotAllowed, Conflict (over already)."""
    found = lock(Substitution, substitution_id)
    _demand(found.user, actor)
    if _is_over(found, at):
        raise Conflict(_OVER)
    found.ended_by, found.ended_at = actor, at
    found.save(update_fields=["ended_by", "ended_at"])
    audit.record(found, "access.substitute.ended", actor=actor, at=at, before="named", after="ended")
    return found


_OVER = Blocker("conflict.state", "It is over already.")
_OTHER = Blocker("substitute.other", "A person names their own substitute; for another, an administrator does.")


def _is_over(one: Substitution, at: datetime) -> bool:
    return one.ended_at is not None or one.ends_at <= at


def why_not_end(one: Substitution, actor: User, *, at: datetime) -> list[Blocker]:
    """Why this person cannot end it now, the same as the verb raises."""
    if _is_anothers(one.user, actor):
        return [_OTHER]
    return [_OVER] if _is_over(one, at) else []


def _is_anothers(user: User, actor: User) -> bool:
    return actor.pk != user.pk and bool(failing([capability("grant.edit")], None, actor))


def _demand(user: User, actor: User) -> None:
    if _is_anothers(user, actor):
        raise NotAllowed(_OTHER)


def decides(person: User) -> bool:
    """Whether a role lets this person sign anything anywhere."""
    wanted = {signoff_subjects[name].capability for name in signoff_subjects}
    return any(person.holds_somewhere(one) for one in wanted)


def absent_for(actor: User, *, at: datetime) -> list[int]:
    """The ids of the people for whom `actor` signs now."""
    return list(Substitution.objects.in_force(at).filter(substitute=actor).values_list("user_id", flat=True))


def stand_ins(user_ids: Iterable[int], *, at: datetime) -> dict[int, User]:
    """Absent person's id → who signs for them now."""
    rows = Substitution.objects.in_force(at).filter(user_id__in=list(user_ids)).select_related("substitute")
    return {row.user_id: row.substitute for row in rows}


def counted(round_: SignOffRound) -> set[int]:
    """The ids of all who count in this round already: who signed, and for whom somebody signed."""
    found = set()
    for user_id, behalf_id in round_.signoffs.values_list("user_id", "on_behalf_of_id"):
        found |= {user_id, behalf_id} - {None}
    return found


def seats_of(level: SignOffLevel, actor: User, *, at: datetime) -> list[User]:
    """On whose seats `actor` might sign at this level: on their own alone, else on those of the absent for whom they stand in."""
    asked = {v.user_id: v.user for v in level.voters.select_related("user")}
    if actor.pk in asked:
        return [asked[actor.pk]]
    return [asked[pk] for pk in sorted(absent_for(actor, at=at)) if pk in asked]


def askable(level: SignOffLevel, *, at: datetime) -> list[User]:
    """Whom to ask, or to remind, at a level: its voters who have not been counted, and who stands in for them now."""
    taken = counted(level.round)
    silent = [v.user for v in level.voters.select_related("user").order_by("pk") if v.user_id not in taken]
    others = stand_ins([u.pk for u in silent], at=at)
    return [*silent, *{u.pk: u for u in others.values() if u.pk not in taken}.values()]
