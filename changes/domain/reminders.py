"""Silence: after half of a level's time its voters are reminded, after three quarters the role above is told, once each.

Silence never means yes: at the deadline the round expires and the change goes back to evaluation.
"""

from __future__ import annotations

from datetime import datetime

from changes.models import RFC
from patchflow.kernel import audit, workflow
from patchflow.kernel.enums import RoundState
from patchflow.kernel.models import SignOffLevel, SignOffRound, User
from patchflow.kernel.registry import sweep
from patchflow.kernel.signoffs import voters_by_role
from patchflow.notices.delivery import tell
from patchflow.notices.models import Notice


def level_started_at(round_: SignOffRound, level: SignOffLevel) -> datetime:
    """When the level began to be asked: the opening, or the last signature of the level before."""
    before = round_.signoffs.filter(level__position__lt=level.position).order_by("-decided_at").first()
    return before.decided_at if before else round_.opened_at


def steps_due(round_: SignOffRound, level: SignOffLevel, *, now: datetime) -> list[str]:
    """Which of `reminded` and `escalated` is due now."""
    if level.deadline_at is None:
        return []
    started = level_started_at(round_, level)
    length = level.deadline_at - started
    due = []
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
    peek = SignOffRound.objects.get(pk=round_id)
    rfc = workflow.lock(RFC, peek.subject_id)
    round_ = workflow.lock(SignOffRound, round_id)
    if not round_.is_open:
        return []
    level = round_.levels.get(position=round_.position)
    sent: list[str] = []
    silent = [v.user for v in level.voters.select_related("user").exclude(user__signoffs__round=round_)]
    above = [user for user, _ in voters_by_role(level.escalate_to, rfc.scope_keys())] if level.escalate_to else []
    for step in steps_due(round_, level, now=at):
        people = silent if step == "reminded" else above
        notice = tell(
            kind=f"approval_{step}",
            people=people,
            key=_key(round_, level, step),
            at=at,
            url=f"/changes/board/{round_.pk}/",
            rfc=rfc,
            level=level,
            silent=silent,
        )
        if notice is not None:
            sent.append(step)
            detail = {"level": level.name, "step": step, "people": [u.get_username() for u in people]}
            audit.record(round_, "signoff.round.reminded", actor=actor, at=at, detail=detail)
    if sent:
        level.reminded_at = at
        level.save(update_fields=["reminded_at"])
    return sent


@sweep("approval_reminders")
def due_reminders(*, now: datetime) -> int:
    """Finds silent levels whose reminder or escalation is due and not sent; reads first, writes only then."""
    count = 0
    rounds = SignOffRound.objects.filter(state=RoundState.OPEN, subject_type=RFC._meta.label_lower)
    for round_ in rounds:
        level = round_.levels.get(position=round_.position)
        due = {_key(round_, level, step) for step in steps_due(round_, level, now=now)}
        if due and Notice.objects.filter(key__in=due).count() < len(due):
            count += len(remind(round_id=round_.pk, actor=User.bot(), at=now))
    return count
