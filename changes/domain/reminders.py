"""Silence on any round: whoever is asked is told at once, reminded after half of a level's time, and after three quarters the
role above is told, once each.

Silence never means yes: at the deadline the round expires and the question goes back.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.apps import apps
from django.db.models import Model

from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.enums import RoundState
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound, User
from patchflow.kernel.registry import sweep
from patchflow.kernel.substitutes import askable
from patchflow.notices.delivery import tell
from patchflow.notices.models import Notice
from patchflow.notices.subscriptions import mark_read

KINDS = {"asked": "approval_requested", "reminded": "approval_reminded", "escalated": "approval_escalated"}


def level_started_at(round_: SignOffRound, level: SignOffLevel) -> datetime:
    """When the level began to be asked: the opening, or the last signature of the level before."""
    before = [s.decided_at for one in round_.levels.all() if one.position < level.position for s in one.signoffs.all()]
    return max(before, default=round_.opened_at)


def steps_due(round_: SignOffRound, level: SignOffLevel, *, now: datetime) -> list[str]:
    """Which of `asked`, `reminded` and `escalated` is due now."""
    due = ["asked"]
    if level.deadline_at is None:
        return due
    started = level_started_at(round_, level)
    length = level.deadline_at - started
    if now >= started + length / 2:
        due.append("reminded")
    if level.escalate_to and now >= started + length * 3 / 4:
        due.append("escalated")
    return due


def _key(round_: SignOffRound, level: SignOffLevel, step: str) -> str:
    return f"round:{round_.pk}:{level.position}:{step}"


@workflow.verb("signoff.round.reminded", SignOffRound, "round_id")
def remind(*, round_id: int, actor: User, at: datetime) -> list[str]:
    """Sends what is due for the present level of a round and was not sent before; returns the steps sent."""
    peek = SignOffRound.objects.defer("document").get(pk=round_id)
    subject = workflow.lock(apps.get_model(peek.subject_type), peek.subject_id)
    round_ = workflow.lock(SignOffRound, round_id)
    if not round_.is_open:
        return []
    level = round_.levels.get(position=round_.position)
    over = subject.scope_keys() if hasattr(subject, "scope_keys") else None
    silent = askable(level, at=at)
    above = [user for user, _ in voters_by_role(level.escalate_to, over)] if level.escalate_to else []
    sent: list[str] = []
    for step in steps_due(round_, level, now=at):
        people = above if step == "escalated" else silent
        if not _say(round_, level, step, people, silent, at=at, subject=subject):
            continue
        sent.append(step)
        if step != "asked":
            detail = {"level": level.name, "step": step, "people": [u.get_username() for u in people]}
            audit.record(round_, "signoff.round.reminded", actor=actor, at=at, detail=detail)
    if {"reminded", "escalated"} & set(sent):
        level.reminded_at = at
        level.save(update_fields=["reminded_at"])
    return sent


def _say(
    round_: SignOffRound, level: SignOffLevel, step: str, people: list[User], silent: list[User], *, at: datetime,
    subject: Model,
) -> bool:  # fmt: skip
    what, _dash, title = round_.subject_label.partition(" · ")
    notice = tell(
        kind=KINDS[step], people=people, key=_key(round_, level, step), at=at, url=f"/changes/board/{round_.pk}/",
        what=what, title=title, subject=subject, level=level, silent=silent,
    )  # fmt: skip
    return notice is not None


def ask(round_: SignOffRound, *, at: datetime) -> None:
    """Tells whoever the present level asks, and who stands in for them; inside the verb that opened or moved the round."""
    level = round_.levels.get(position=round_.position)
    subject = apps.get_model(round_.subject_type)._default_manager.get(pk=round_.subject_id)
    _say(round_, level, "asked", askable(level, at=at), [], at=at, subject=subject)


@signoffs.after_vote
def answered(signed: SignOff, *, actor: User, at: datetime) -> None:
    """Whoever has decided need not be told any more that the question waits: those notices are read."""
    keys = [_key(signed.round, signed.level, step) for step in KINDS]
    mark_read(actor=actor, at=at, keys=keys)


@sweep("approval_reminders")
def due_reminders(*, now: datetime) -> int:
    """Finds silent levels whose notice is due and not sent; asks as often for many rounds as for one, writes only then."""
    due: dict[str, int] = {}
    rounds = SignOffRound.objects.filter(state=RoundState.OPEN).defer("document").prefetch_related("levels__signoffs")
    for round_ in rounds:
        level = next(one for one in round_.levels.all() if one.position == round_.position)
        due |= {_key(round_, level, step): round_.pk for step in steps_due(round_, level, now=now)}
    told = set(Notice.objects.filter(key__in=due).values_list("key", flat=True))
    late: dict[int, list[str]] = defaultdict(list)
    for key, pk in due.items():
        if key not in told:
            late[pk].append(key)
    return sum(len(remind(round_id=pk, actor=User.bot(), at=now)) for pk in late)
