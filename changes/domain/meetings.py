"""Meetings of the boards: planned with an agenda that fills itself, published to the members, held, minuted.

A meeting signs nothing. In session members cast their own votes in the rounds that are open; the minutes are made from rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from changes.domain.agendas import append, demand, fill_in
from changes.enums_meeting import AgendaItemState, MeetingKind, Presence
from changes.models import AgendaItem, Attendee, Meeting, Minutes
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english_n
from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.integrity import digest, plain
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.kernel.numbers import next_number
from patchflow.kernel.people import persons
from patchflow.kernel.registry import gate
from patchflow.notices.delivery import tell

BOARDS: dict[str, tuple[str, ...]] = {
    MeetingKind.CAB: ("cab_chair", "cab_member"),
    MeetingKind.ECAB: ("cab_chair", "security_officer"),
}
"""Which roles sit on a board."""


def members_of(kind: str) -> list[User]:
    """Who sits on this board now, the chair first."""
    found: dict[int, User] = {}
    for role in BOARDS[kind]:
        for user, _via in voters_by_role(role):
            found.setdefault(user.pk, user)
    return list(found.values())


@workflow.verb("change.meeting.planned")
def plan(
    *, kind: str, starts_at: datetime, actor: User, at: datetime, minutes: int = 60, place: str = "",
    chair_id: int | None = None, member_ids: Sequence[int] | None = None,
) -> Meeting:  # fmt: skip
    """Plans a meeting; its agenda is filled with the open rounds that ask its members. Needs meeting.manage.

    Members are who sits on the board unless `member_ids` says otherwise; the chair is the actor, or the board's first.
    """
    demand(None, actor)
    if kind not in MeetingKind.values:
        raise Invalid("Choose CAB or emergency CAB.", code="meeting.kind")
    if starts_at <= at:
        raise Invalid("It must begin in the future.", code="meeting.starts_at")
    if not 5 <= minutes <= 600:
        raise Invalid("A meeting lasts 5 to 600 minutes.", code="meeting.minutes")
    people = _members(kind, member_ids)
    if not people:
        raise Blocked("Nobody sits on this board: give people its roles first.", code="meeting.nobody")
    chair = next((p for p in people if p.pk == (chair_id or actor.pk)), None) or people[0]
    meeting = _new(kind, starts_at, minutes, place.strip(), chair, people, actor=actor, at=at)
    fill_in(meeting, actor=actor, at=at)
    return meeting


def _members(kind: str, member_ids: Sequence[int] | None) -> list[User]:
    if member_ids is None:
        return members_of(kind)
    people = {u.pk: u for u in persons().filter(pk__in=member_ids)}
    if set(member_ids) - set(people):
        raise Invalid("Every member must be a person who can log in.", code="meeting.member_ids")
    return [people[pk] for pk in dict.fromkeys(member_ids)]


def _new(
    kind: str, starts_at: datetime, minutes: int, place: str, chair: User, people: Sequence[User], *, actor: User,
    at: datetime, follows: Meeting | None = None,
) -> Meeting:  # fmt: skip
    meeting = Meeting.objects.create(
        number=next_number(kind.upper(), at=starts_at), kind=kind, state_at=at, starts_at=starts_at, minutes=minutes,
        place=place, chair=chair, planned_by=actor, planned_at=at, follows=follows,
    )  # fmt: skip
    Attendee.objects.bulk_create([Attendee(meeting=meeting, user=person) for person in people])
    detail = {"starts_at": starts_at, "members": [p.get_username() for p in people], "chair": chair.get_username()}
    audit.record(meeting, "change.meeting.planned", actor=actor, at=at, after=meeting.state, detail=detail)
    return meeting


@gate("changes.meeting", "publish")
def has_agenda(meeting: Meeting, **_: Any) -> list[Blocker]:
    """Nobody is called to a meeting about nothing."""
    if meeting.items.filter(state=AgendaItemState.OPEN).exists():
        return []
    return [Blocker("meeting.agenda_empty", "The agenda is empty: add an item, or fill it.", tone="wait")]


@gate("changes.meeting", "minute")
def is_done(meeting: Meeting, **_: Any) -> list[Blocker]:
    """Every item is settled, and it is known who was there."""
    found = []
    left = meeting.items.filter(state=AgendaItemState.OPEN).count()
    if left:
        sentence = english_n(
            "One item is open: decide, carry over or withdraw it.",
            "%(n)s items are open: decide, carry over or withdraw them.",
            left,
        )
        found.append(Blocker("meeting.items_open", sentence, tone="wait"))
    if not meeting.attendees.filter(presence=Presence.PRESENT).exists():
        found.append(Blocker("meeting.attendance", "Record who is there.", tone="wait"))
    return found


@workflow.verb("change.meeting.agenda_published", Meeting, "meeting_id")
def publish(*, meeting_id: int, actor: User, at: datetime) -> Meeting:
    """Sends the agenda to the members. Needs meeting.manage and at least one item."""
    meeting = workflow.fire(Meeting, meeting_id, "publish", actor=actor, at=at)
    items = meeting.items.filter(state=AgendaItemState.OPEN).order_by("position")
    lines = [[f"{n}. {i.title}", str(i.minutes)] for n, i in enumerate(items, start=1)]
    _tell(meeting, "meeting_agenda", at=at, items=lines)
    return meeting


@workflow.verb("change.meeting.opened", Meeting, "meeting_id")
def open_session(*, meeting_id: int, actor: User, at: datetime) -> Meeting:
    """Opens the session; whoever opens it is there. Needs meeting.manage."""
    meeting = workflow.fire(Meeting, meeting_id, "open", actor=actor, at=at)
    meeting.attendees.filter(user=actor).update(presence=Presence.PRESENT)
    return meeting


@workflow.verb("change.meeting.postponed", Meeting, "meeting_id")
def postpone(*, meeting_id: int, starts_at: datetime, reason: str, actor: User, at: datetime) -> Meeting:
    """Ends a meeting that was not held; a new one at `starts_at` takes its members and its open items. Needs meeting.manage.
    Returns the new one."""
    if not reason.strip():
        raise Invalid("Say why.", code="invalid.reason")
    if starts_at <= at:
        raise Invalid("It must begin in the future.", code="meeting.starts_at")
    old = workflow.fire(Meeting, meeting_id, "postpone", actor=actor, at=at, reason=reason.strip(), to=starts_at)
    people = [a.user for a in old.attendees.select_related("user")]
    new = _new(old.kind, starts_at, old.minutes, old.place, old.chair, people, actor=actor, at=at, follows=old)
    for item in old.items.filter(state=AgendaItemState.OPEN).select_related("round").order_by("position"):
        facts = {"reason": reason.strip(), "to": new.number}
        workflow.fire(AgendaItem, item.pk, "carry_over", actor=actor, at=at, **facts)
        append(new, title=item.title, minutes=item.minutes, round_=item.round, consent=item.consent, text=item.text)
    _tell(old, "meeting_moved", at=at, to=new.starts_at)
    return new


@workflow.verb("change.meeting.cancelled", Meeting, "meeting_id")
def cancel(*, meeting_id: int, reason: str, actor: User, at: datetime) -> Meeting:
    """Ends a meeting that is not held; its items are withdrawn, their rounds go on. Needs meeting.manage."""
    if not reason.strip():
        raise Invalid("Say why.", code="invalid.reason")
    meeting = workflow.fire(Meeting, meeting_id, "cancel", actor=actor, at=at, reason=reason.strip())
    for item in meeting.items.filter(state=AgendaItemState.OPEN):
        workflow.fire(AgendaItem, item.pk, "withdraw", actor=actor, at=at, reason=reason.strip())
    _tell(meeting, "meeting_moved", at=at, to=None)
    return meeting


@workflow.verb("change.meeting.minuted", Meeting, "meeting_id")
def minute(*, meeting_id: int, actor: User, at: datetime, notes: str = "") -> Minutes:
    """Closes the session and seals its minutes: made from rows, with the chair's notes. Needs meeting.manage. Gates: no item
    open, attendance recorded. Nothing of them is edited afterwards."""
    meeting = workflow.lock(Meeting, meeting_id)
    document = plain(minutes_document(meeting, closed_at=at, notes=notes.strip()))
    sealed = digest(document)
    workflow.fire(Meeting, meeting_id, "minute", actor=actor, at=at, digest=sealed)
    minutes = Minutes.objects.create(
        meeting=meeting, document=document, digest=sealed, notes=notes.strip(), sealed_by=actor, sealed_at=at
    )
    _tell(meeting, "meeting_minuted", at=at, digest=sealed)
    return minutes


def minutes_document(meeting: Meeting, *, closed_at: datetime, notes: str) -> dict[str, Any]:
    """The minutes as rows say them: who was there, each item with its votes and its end, and the chair's notes."""
    items = meeting.items.select_related("round", "pulled_by").order_by("position", "pk")
    return {
        "schema": 1,
        "meeting": meeting.number,
        "board": meeting.kind,
        "place": meeting.place,
        "chair": meeting.chair.get_username(),
        "opened_at": meeting.opened_at,
        "closed_at": closed_at,
        "attendance": [
            {"person": a.user.get_username(), "presence": a.presence}
            for a in meeting.attendees.select_related("user").order_by("user__username")
        ],
        "items": [_item_document(n, item) for n, item in enumerate(items, start=1)],
        "notes": notes,
    }


def _item_document(number: int, item: AgendaItem) -> dict[str, Any]:
    votes = []
    if item.round is not None:
        for s in item.round.signoffs.select_related("user", "on_behalf_of", "level"):
            behalf = s.on_behalf_of.get_username() if s.on_behalf_of else None
            votes.append(
                {"level": s.level.name, "person": s.user.get_username(), "for": behalf, "verdict": s.verdict,
                 "comment": s.comment, "at": s.decided_at}
            )  # fmt: skip
    return {
        "number": number,
        "title": item.title,
        "minutes_planned": item.minutes,
        "begun_at": item.begun_at,
        "settled_at": item.settled_at,
        "consent": item.consent,
        "pulled_by": item.pulled_by.get_username() if item.pulled_by else None,
        "state": item.state,
        "outcome": item.outcome,
        "round": item.round_id,
        "digest": item.round.digest if item.round else None,
        "votes": votes,
    }


def _tell(meeting: Meeting, kind: str, *, at: datetime, **facts: Any) -> None:
    people = [a.user for a in meeting.attendees.select_related("user")]
    board = str(meeting.get_kind_display())
    tell(
        kind=kind, people=people, key=f"meeting:{meeting.pk}:{kind}", at=at, url=meeting.get_absolute_url(),
        meeting=meeting, board=board, **facts,
    )  # fmt: skip
