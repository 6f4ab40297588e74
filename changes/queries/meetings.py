"""Questions about meetings: what should be on the agenda, how each item stands, what is before the board now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import F, Prefetch

from changes.enums import RiskLevel
from changes.enums_meeting import AgendaItemState, MeetingKind
from changes.models import RFC, AgendaItem, Meeting
from changes.queries.board import RFC_LABEL, counted
from patchflow.kernel.enums import RoundState, Verdict
from patchflow.kernel.models import SignOff, SignOffLevel, SignOffRound, User
from patchflow.kernel.registry import signoff_subjects
from patchflow.kernel.signoffs import Tally
from patchflow.kernel.substitutes import absent_for

TALK, CONSENT = 10, 2
"""Minutes proposed for an item that is talked about, and for one in the consent block."""


@dataclass(frozen=True)
class Proposal:
    """A round that should come before this board."""

    round: SignOffRound
    minutes: int
    consent: bool
    emergency: bool


def proposals(meeting: Meeting) -> list[Proposal]:
    """Open rounds that ask a member of this meeting, now or at a later level, and stand on no agenda: emergencies first,
    then by deadline; what needs no talk at the end. An emergency board takes emergencies only."""
    members = meeting.attendees.values("user")
    asked = SignOffLevel.objects.filter(voters__user__in=members, position__gte=F("round__position"))
    rounds = list(
        SignOffRound.objects.filter(state=RoundState.OPEN, pk__in=asked.values("round"))
        .exclude(agenda_items__state=AgendaItemState.OPEN)
        .defer("document")
        .order_by(F("not_before").asc(nulls_last=True), "pk")
        .distinct()
    )
    urgent, easy = _emergencies(rounds), _without_talk(rounds)
    found = [
        Proposal(r, CONSENT if r.pk in easy else TALK, r.pk in easy, r.pk in urgent)
        for r in rounds
        if r.pk in urgent or meeting.kind == MeetingKind.CAB
    ]
    return sorted(found, key=lambda p: (not p.emergency, p.consent))


def _emergencies(rounds: Iterable[SignOffRound]) -> set[int]:
    by_type: dict[str, list[SignOffRound]] = defaultdict(list)
    for round_ in rounds:
        by_type[round_.subject_type].append(round_)
    found: set[int] = set()
    for label, some in by_type.items():
        subjects = apps.get_model(label)._default_manager.in_bulk([r.subject_id for r in some])
        is_one = signoff_subjects[label].emergency
        found |= {r.pk for r in some if r.subject_id in subjects and is_one(subjects[r.subject_id])}
    return found


def _without_talk(rounds: Iterable[SignOffRound]) -> set[int]:
    """Rounds of changes whose risk is low, as assessed for what stands there, and against which nobody has signed."""
    about = {r.subject_id: r for r in rounds if r.subject_type == RFC_LABEL}
    objected = set(
        SignOff.objects.filter(round__in=about.values(), verdict=Verdict.REFUSE).values_list("round", flat=True)
    )
    easy = set()
    for rfc in RFC.objects.filter(pk__in=about).prefetch_related("assessments"):
        newest = max(rfc.assessments.all(), key=lambda risk: risk.pk, default=None)
        if newest is not None and newest.level == RiskLevel.LOW and about[rfc.pk].pk not in objected:
            easy.add(about[rfc.pk].pk)
    return easy


@dataclass(frozen=True)
class Line:
    """An agenda item as it is listed, with the count of its present level."""

    item: AgendaItem
    tally: Tally | None
    level: SignOffLevel | None
    asked: frozenset[int]
    counted: frozenset[int]

    def asks(self, actor: User, seats: Collection[int]) -> bool:
        """Whether a vote of this person is still missing, `seats` being theirs (`seats_of`)."""
        return not self.asked.isdisjoint(seats) and actor.pk not in self.counted


def seats_of(actor: User, *, at: datetime) -> set[int]:
    """For whom this person decides: themselves, and those who are away."""
    return {actor.pk, *absent_for(actor, at=at)}


def consents_asked(meeting: Meeting, actor: User, *, at: datetime) -> list[Line]:
    """The items of the consent block on which a vote of this person is missing."""
    seats = seats_of(actor, at=at)
    return [line for line in consent_block(agenda_of(meeting)) if line.asks(actor, seats)]


def agenda_of(meeting: Meeting) -> list[Line]:
    """The items in their order; as many queries for fifty as for one."""
    rounds = SignOffRound.objects.defer("document").prefetch_related(
        "levels__voters__user", "levels__signoffs__user", "levels__signoffs__on_behalf_of"
    )
    items = (
        meeting.items.prefetch_related(Prefetch("round", rounds)).select_related("pulled_by").order_by("position", "pk")
    )
    return [_line(item) for item in items]


def _line(item: AgendaItem) -> Line:
    round_ = item.round
    if round_ is None:
        return Line(item, None, None, frozenset(), frozenset())
    levels = list(round_.levels.all())
    level = next((one for one in levels if one.position == round_.position), None)
    signed = [s for one in levels for s in one.signoffs.all()]
    return Line(
        item,
        counted(level) if level else None,
        level,
        frozenset(v.user_id for v in level.voters.all()) if level and round_.is_open else frozenset(),
        frozenset(pk for s in signed for pk in (s.user_id, s.on_behalf_of_id) if pk),
    )


def consent_block(lines: Iterable[Line]) -> list[Line]:
    """What is still approved without talk: open, nobody has objected or pulled it out."""
    return [one for one in lines if one.item.consent and one.item.is_open]


def next_of_kind(meeting: Meeting) -> Meeting | None:
    """The next meeting of the same board that can still take an item."""
    rows = Meeting.objects.to_come().filter(kind=meeting.kind, starts_at__gte=meeting.starts_at).exclude(pk=meeting.pk)
    return rows.order_by("starts_at", "pk").first()
