"""What was decided about the changes of a cycle: its rounds, and the meetings before which they came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F

from changes.models import RFC, AgendaItem, BreakGlass, Cycle, Meeting
from changes.queries.board import RFC_LABEL
from patchflow.kernel.enums import RoundState
from patchflow.kernel.models import SignOffRound, User


@dataclass(frozen=True, slots=True)
class Decision:
    """A round about one of the changes."""

    round: SignOffRound
    rfc: RFC


@dataclass(frozen=True, slots=True)
class Sitting:
    """A meeting on whose agenda so many rounds of the cycle stand or stood."""

    meeting: Meeting
    items: int


@dataclass(frozen=True, slots=True)
class Decisions:
    """`changes`: state → RFCs; `rounds`: the open ones first, then the newest; `glass_owed`: broken, and not reviewed yet."""

    changes: dict[str, int]
    rounds: Sequence[Decision]
    meetings: Sequence[Sitting]
    glass_owed: Sequence[RFC]

    @property
    def counts(self) -> dict[str, int]:
        """State → rounds, in the order of the states."""
        found = Counter(one.round.state for one in self.rounds)
        return {state: found[state] for state in RoundState.values if found[state]}


def decisions_of(cycle: Cycle, actor: User) -> Decisions:
    """Of the changes that the actor may see, and of the meetings. Five queries."""
    rfcs = {rfc.pk: rfc for rfc in RFC.objects.visible_to(actor).filter(cycle=cycle).order_by("pk")}
    about = SignOffRound.objects.filter(subject_type=RFC_LABEL, subject_id__in=list(rfcs)).defer("document", "excluded")
    rounds = sorted(about.order_by("-pk"), key=lambda one: not one.is_open)
    items = AgendaItem.objects.filter(round__in=[one.pk for one in rounds]).values_list("meeting_id", flat=True)
    on_agenda = Counter(items.order_by("meeting_id"))
    meetings = Meeting.objects.visible_to(actor).filter(pk__in=list(on_agenda)).order_by("starts_at", "pk")
    glass = BreakGlass.objects.filter(rfc__in=list(rfcs), broken_at__isnull=False, reviewed_at__isnull=True)
    return Decisions(
        changes=dict(Counter(rfc.state for rfc in rfcs.values())),
        rounds=[Decision(one, rfcs[one.subject_id]) for one in rounds],
        meetings=[Sitting(one, on_agenda[one.pk]) for one in meetings],
        glass_owed=[rfcs[pk] for pk in glass.order_by(F("rfc_id")).values_list("rfc_id", flat=True).distinct()],
    )
