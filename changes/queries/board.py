"""The board's questions: what waits for whom, and everything a decision needs on one screen.

Who is asked may read what they decide about, even without rights on its hosts (a decision is not made blind).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, QuerySet

from changes.models import RFC, ChangeModel
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.enums import RoundState
from patchflow.kernel.models import SignOffLevel, SignOffRound, User
from patchflow.kernel.signoffs import Tally, tally, why_not_sign

RFC_LABEL = "changes.rfc"
MODEL_LABEL = "changes.changemodel"


def rounds_visible_to(actor: User) -> QuerySet[SignOffRound]:
    """Rounds of RFCs that the actor may see, of models for all who see changes, and those that ask the actor."""
    rounds = SignOffRound.objects.filter(subject_type__in=[RFC_LABEL, MODEL_LABEL])
    scopes = actor.scopes_for("rfc.view")
    seen = Q(levels__voters__user=actor)
    if scopes is None or scopes:
        rfcs = RFC.objects.visible_to(actor).values("pk")
        seen |= Q(subject_type=RFC_LABEL, subject_id__in=rfcs) | Q(subject_type=MODEL_LABEL)
    return SignOffRound.objects.filter(pk__in=rounds.filter(seen).values("pk")).order_by("-pk")


def subject_of_round(round_: SignOffRound) -> RFC | ChangeModel:
    """What a round is about."""
    if round_.subject_type == RFC_LABEL:
        return RFC.objects.select_related("requested_by", "cycle").get(pk=round_.subject_id)
    return ChangeModel.objects.get(pk=round_.subject_id)


def waiting_for(actor: User) -> QuerySet[SignOffRound]:
    """Open rounds whose present level asks `actor`, who has not signed and is not left out; the tightest deadline first."""
    return (
        SignOffRound.objects.filter(
            subject_type__in=[RFC_LABEL, MODEL_LABEL],
            state=RoundState.OPEN,
            levels__position=F("position"),
            levels__voters__user=actor,
        )
        .exclude(signoffs__user=actor)
        .exclude(excluded__has_key=str(actor.pk))
        .order_by(F("not_before").asc(nulls_last=True), "pk")
        .distinct()
    )


@dataclass(frozen=True)
class Rung:
    """A level as the ladder shows it."""

    level: SignOffLevel
    tally: Tally
    current: bool
    passed: bool


def ladder_of(round_: SignOffRound) -> list[Rung]:
    """The levels of a round with their counts."""
    rungs = []
    for level in round_.levels.prefetch_related("voters__user", "signoffs__user"):
        count = tally(level)
        current = round_.is_open and level.position == round_.position
        rungs.append(Rung(level, count, current, count.passed))
    return rungs


def why_not(round_: SignOffRound, actor: User) -> list[Blocker]:
    """Every reason why `actor` cannot decide now, the same as the verb raises."""
    if not round_.is_open:
        return [Blocker("signoff.round_over", f"This round is {round_.get_state_display()}.")]
    return why_not_sign(round_, subject_of_round(round_), actor)


def next_item(actor: User, *, after: SignOffRound | None = None) -> SignOffRound | None:
    """The next round that waits for `actor`, other than `after`."""
    rows = waiting_for(actor)
    return rows.exclude(pk=after.pk).first() if after else rows.first()


def decided_recently(actor: User, *, since: datetime) -> QuerySet[SignOffRound]:
    """Rounds that the actor may see and that ended since then, newest first."""
    return rounds_visible_to(actor).filter(closed_at__gte=since).order_by("-closed_at")
