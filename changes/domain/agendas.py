"""The agenda: what comes before the board, in which order, for how long, and how each item ends.

An item about a round is decided by nothing but the members' signatures; the meeting only notes it. Locks: whatever the vote
locks, then the meeting, then its items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Max

from changes.enums_meeting import AgendaItemState, MeetingState, Presence
from changes.models import AgendaItem, Meeting
from changes.queries.meetings import next_of_kind, proposals
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import RoundState, Verdict
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed, Refusal
from patchflow.kernel.models import SignOff, SignOffRound, User
from patchflow.kernel.people import persons
from patchflow.kernel.registry import sweep
from patchflow.kernel.rules import capability, failing

BEFORE = (MeetingState.PLANNED, MeetingState.AGENDA_PUBLISHED)
LIVE = (*BEFORE, MeetingState.IN_SESSION)


def demand(meeting: Meeting | None, actor: User) -> None:
    """Raises NotAllowed unless the actor manages meetings."""
    if refused := failing([capability("meeting.manage")], meeting, actor):
        raise NotAllowed(refused)


def in_state(meeting: Meeting, *states: str) -> None:
    """Raises Conflict unless the meeting stands in one of `states`."""
    if meeting.state not in states:
        raise Conflict(english("The meeting is %(state)s.", state=label_of(meeting)), code="conflict.state")


def why_not_fill(meeting: Meeting, actor: User) -> list[Blocker]:
    """Why this person cannot add to the agenda now, the same as the verb raises."""
    try:
        demand(meeting, actor)
        in_state(meeting, *LIVE)
    except Refusal as refusal:
        return refusal.blockers
    return []


def managed(meeting_id: int, actor: User, *states: str) -> Meeting:
    """The meeting, locked, if the actor manages it and it stands in one of `states`."""
    meeting = workflow.lock(Meeting, meeting_id)
    demand(meeting, actor)
    in_state(meeting, *states)
    return meeting


def append(
    meeting: Meeting,
    *,
    title: str,
    minutes: int,
    round_: SignOffRound | None = None,
    consent: bool = False,
    text: str = "",
) -> AgendaItem:
    """A row at the end of the agenda; the caller has the meeting's lock."""
    last = meeting.items.aggregate(Max("position"))["position__max"] or 0
    return AgendaItem.objects.create(
        meeting=meeting, round=round_, title=title[:200], text=text, position=last + 1, minutes=minutes, consent=consent
    )


def fill_in(meeting: Meeting, *, actor: User, at: datetime) -> list[AgendaItem]:
    """Puts on the agenda what the system proposes; the caller has the meeting's lock."""
    added = [
        append(meeting, title=p.round.subject_label, minutes=p.minutes, round_=p.round, consent=p.consent)
        for p in proposals(meeting)
    ]
    if added:
        detail = {"items": [item.title for item in added], "consent": [i.title for i in added if i.consent]}
        audit.record(meeting, "change.meeting.item_added", actor=actor, at=at, detail=detail)
    return added


@workflow.verb("change.meeting.item_added", Meeting, "meeting_id")
def fill(*, meeting_id: int, actor: User, at: datetime) -> list[AgendaItem]:
    """Adds the open rounds that ask members of this board and stand on no agenda. Needs meeting.manage."""
    meeting = managed(meeting_id, actor, *LIVE)
    return fill_in(meeting, actor=actor, at=at)


@workflow.verb("change.meeting.item_added", Meeting, "meeting_id")
def add_topic(
    *, meeting_id: int, title: str, actor: User, at: datetime, minutes: int = 10, text: str = ""
) -> AgendaItem:
    """Adds a point about which nobody signs (the last minutes, a policy). Needs meeting.manage."""
    meeting = managed(meeting_id, actor, *LIVE)
    if not title.strip():
        raise Invalid("Give it a title.", code="agenda.title")
    item = append(meeting, title=title.strip(), minutes=minutes, text=text.strip())
    audit.record(meeting, "change.meeting.item_added", item, actor=actor, at=at, detail={"title": item.title})
    return item


@workflow.verb("change.meeting.arranged", Meeting, "meeting_id")
def arrange(*, meeting_id: int, items: Sequence[Mapping[str, Any]], actor: User, at: datetime) -> Meeting:
    """Sets order, minutes and consent: `items` are {id, minutes, consent} in the order wanted; what is left out follows.

    Needs meeting.manage. Raises Invalid (not an open item of this meeting; minutes), Blocked (into the consent block goes
    only what nobody has pulled out or objected to).
    """
    meeting = managed(meeting_id, actor, *LIVE)
    known = {item.pk: item for item in meeting.items.select_related("round")}
    order: list[AgendaItem] = []
    for given in items:
        item = known.pop(int(given["id"]), None)
        minutes = int(given.get("minutes", item.minutes if item else 0))
        if item is None or not 1 <= minutes <= 240:
            raise Invalid("Name items of this meeting, each for 1 to 240 minutes.", code="agenda.items")
        item.minutes = minutes
        if item.is_open:
            _set_consent(item, bool(given.get("consent", item.consent)))
        order.append(item)
    order += sorted(known.values(), key=lambda one: one.position)
    for place, item in enumerate(order, start=1):
        item.position = place
        item.save(update_fields=["position", "minutes", "consent"])
    detail = {"items": [{"title": i.title, "minutes": i.minutes, "consent": i.consent} for i in order]}
    audit.record(meeting, "change.meeting.arranged", actor=actor, at=at, detail=detail)
    return meeting


def _set_consent(item: AgendaItem, consent: bool) -> None:
    if consent and not item.consent:
        if item.round is None:
            raise Blocked("Nobody signs this item, so it has no place in the consent block.", code="agenda.consent")
        if item.pulled_by_id or item.round.signoffs.filter(verdict=Verdict.REFUSE).exists():
            raise Blocked(
                english("%(title)s: a member wants to talk about it.", title=item.title), code="agenda.pulled"
            )
    item.consent = consent


@workflow.verb("change.meeting.item_begun", Meeting, "meeting_id")
def begin(*, meeting_id: int, item_id: int, actor: User, at: datetime) -> AgendaItem:
    """Puts an item before the board: every screen that follows the session shows it. Needs meeting.manage."""
    meeting = managed(meeting_id, actor, MeetingState.IN_SESSION)
    item = meeting.items.filter(pk=item_id).first()
    if item is None:
        raise Conflict("This item is not on the agenda.", code="conflict.gone")
    if item.begun_at is None:
        item.begun_at = at
        item.save(update_fields=["begun_at"])
    meeting.current = item
    meeting.save(update_fields=["current"])
    audit.record(meeting, "change.meeting.item_begun", item, actor=actor, at=at)
    return item


@workflow.verb("change.meeting.item_begun", Meeting, "meeting_id")
def begin_next(*, meeting_id: int, actor: User, at: datetime) -> AgendaItem:
    """Puts the first open item after the present one before the board; the consent block comes as a whole, not one by one."""
    meeting = managed(meeting_id, actor, MeetingState.IN_SESSION)
    item = _following(meeting)
    if item is None:
        raise Blocked(_DONE)
    return begin(meeting_id=meeting_id, item_id=item.pk, actor=actor, at=at)


_DONE = Blocker("agenda.done", "No item is left to talk about.")


def _following(meeting: Meeting) -> AgendaItem | None:
    here = meeting.current.position if meeting.current else 0
    rows = meeting.items.filter(state=AgendaItemState.OPEN, consent=False).exclude(pk=meeting.current_id or 0)
    return rows.filter(position__gte=here).order_by("position").first() or rows.order_by("position").first()


def why_not_begin_next(meeting: Meeting, actor: User) -> list[Blocker]:
    """Why this person cannot go on to the next item now, the same as the verb raises."""
    try:
        demand(meeting, actor)
        in_state(meeting, MeetingState.IN_SESSION)
    except Refusal as refusal:
        return refusal.blockers
    return [] if _following(meeting) else [_DONE]


@workflow.verb("change.meeting.item_pulled", Meeting, "meeting_id")
def pull(*, meeting_id: int, item_id: int, actor: User, at: datetime, reason: str = "") -> AgendaItem:
    """Takes an item out of the consent block, so that it is talked about. Any member may; it does not go back."""
    meeting = workflow.lock(Meeting, meeting_id)
    item = meeting.items.select_related("round").filter(pk=item_id).first()
    _may_pull(meeting, item, actor)
    assert item is not None  # noqa: S101
    _pull(meeting, item, reason.strip(), actor=actor, at=at)
    return item


def _may_pull(meeting: Meeting, item: AgendaItem | None, actor: User) -> None:
    asked = item is not None and item.round is not None and item.round.levels.filter(voters__user=actor).exists()
    if not asked and not meeting.attendees.filter(user=actor).exists():
        raise NotAllowed("Only members of the board pull an item out.", code="agenda.not_member")
    in_state(meeting, *LIVE)
    if item is None or not item.consent or not item.is_open or item.round is None:
        raise Conflict("It does not stand in the consent block.", code="agenda.not_in_block")


def why_not_pull(item: AgendaItem, actor: User) -> list[Blocker]:
    """Why this person cannot pull it out of the consent block now, the same as the verb raises."""
    try:
        _may_pull(item.meeting, item, actor)
    except Refusal as refusal:
        return refusal.blockers
    return []


def _pull(meeting: Meeting, item: AgendaItem, reason: str, *, actor: User, at: datetime) -> None:
    item.consent, item.pulled_by, item.pulled_reason = False, actor, reason
    item.save(update_fields=["consent", "pulled_by", "pulled_reason"])
    audit.record(meeting, "change.meeting.item_pulled", item, actor=actor, at=at, detail={"reason": reason})


@workflow.verb("change.meeting.item_carried_over", Meeting, "meeting_id")
def carry_over(*, meeting_id: int, item_id: int, reason: str, actor: User, at: datetime) -> AgendaItem:
    """Leaves an item for the next meeting of this board: it is put on its agenda if there is one, else proposed again as
    long as its round is open. The round goes on. Needs meeting.manage and a reason."""
    meeting = managed(meeting_id, actor, *LIVE)
    said = _reason(reason)
    item = _of(meeting, item_id)
    following = next_of_kind(meeting)
    to = following.number if following else ""
    done = workflow.fire(AgendaItem, item.pk, "carry_over", actor=actor, at=at, reason=said, to=to)
    _forget(meeting, item)
    if following is not None:
        later = workflow.lock(Meeting, following.pk)
        append(later, title=item.title, minutes=item.minutes, round_=item.round, text=item.text)
        detail = {"title": item.title, "from": meeting.number}
        audit.record(later, "change.meeting.item_added", actor=actor, at=at, detail=detail)
    return done


@workflow.verb("change.meeting.item_withdrawn", Meeting, "meeting_id")
def withdraw(*, meeting_id: int, item_id: int, reason: str, actor: User, at: datetime) -> AgendaItem:
    """Takes an item off the agenda; its round goes on. Needs meeting.manage and a reason."""
    meeting = managed(meeting_id, actor, *LIVE)
    said = _reason(reason)
    item = _of(meeting, item_id)
    done = workflow.fire(AgendaItem, item.pk, "withdraw", actor=actor, at=at, reason=said)
    _forget(meeting, item)
    return done


@workflow.verb("change.meeting.item_decided", Meeting, "meeting_id")
def conclude(*, meeting_id: int, item_id: int, outcome: str, actor: User, at: datetime) -> AgendaItem:
    """Writes down how a point ended about which nobody signs. Needs meeting.manage. An item with a round is refused: its
    members' votes decide it."""
    meeting = managed(meeting_id, actor, MeetingState.IN_SESSION)
    item = _of(meeting, item_id)
    if item.round is not None:
        raise NotAllowed(
            "The members' own votes decide this item; a meeting votes for nobody.", code="agenda.undecided"
        )
    if not outcome.strip():
        raise Invalid("Say what was decided.", code="agenda.outcome")
    return workflow.fire(AgendaItem, item.pk, "decide", actor=actor, at=at, outcome=outcome.strip())


@workflow.verb("change.meeting.attendance_recorded", Meeting, "meeting_id")
def attend(*, meeting_id: int, presence: Mapping[int, str], actor: User, at: datetime) -> Meeting:
    """Records who is there: user id → presence; a person who is not invited yet becomes a member of this meeting.

    Needs meeting.manage. Raises Invalid (an unknown word, or nobody).
    """
    meeting = managed(meeting_id, actor, *LIVE)
    people = persons().filter(pk__in=presence)
    if not presence or set(presence.values()) - set(Presence.values) or people.count() != len(presence):
        raise Invalid("Say of each person: invited, present, excused or absent.", code="meeting.presence")
    for person in people:
        meeting.attendees.update_or_create(user=person, defaults={"presence": presence[person.pk]})
    detail = {p.get_username(): presence[p.pk] for p in people}
    audit.record(meeting, "change.meeting.attendance_recorded", actor=actor, at=at, detail=detail)
    return meeting


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("Say why.", code="invalid.reason")
    return reason.strip()


def _of(meeting: Meeting, item_id: int) -> AgendaItem:
    item = meeting.items.select_related("round").filter(pk=item_id).first()
    if item is None:
        raise Conflict("This item is not on the agenda.", code="conflict.gone")
    return item


def _forget(meeting: Meeting, item: AgendaItem) -> None:
    if meeting.current_id == item.pk:
        Meeting.objects.filter(pk=meeting.pk).update(current=None)


# --- what votes do to the agenda ---------------------------------------------------------------------------------------------
@signoffs.after_vote
def note_vote(signed: SignOff, *, actor: User, at: datetime) -> None:
    """Notes a vote on the agenda that has its round: a refusal takes it out of the consent block, an end settles it. In the
    transaction of the vote, after its locks."""
    round_ = SignOffRound.objects.defer("document").get(pk=signed.round_id)
    for item in AgendaItem.objects.filter(round=round_, state=AgendaItemState.OPEN).select_related("round"):
        if not round_.is_open:
            settle(item, at=at)
        elif item.consent and signed.verdict == Verdict.REFUSE:
            meeting = workflow.lock(Meeting, item.meeting_id)
            _pull(meeting, item, signed.comment, actor=actor, at=at)


def settle(item: AgendaItem, *, at: datetime) -> AgendaItem:
    """Ends an item whose round has ended: decided by its votes, or withdrawn because there is nothing left to decide."""
    assert item.round is not None  # noqa: S101
    bot, round_ = User.bot(), item.round
    if round_.state in (RoundState.PASSED, RoundState.REFUSED):
        return workflow.fire(AgendaItem, item.pk, "decide", actor=bot, at=at, outcome=round_.state)
    ended = english("The round is %(state)s.", state=label_of(round_))
    reason = f"{ended} {round_.reason}".strip()
    return workflow.fire(AgendaItem, item.pk, "withdraw", actor=bot, at=at, reason=reason)


@sweep("agendas")
def settle_ended(*, now: datetime) -> int:
    """Ends items whose round ended elsewhere (expired, void, taken back); reads first, writes only then."""
    rows = AgendaItem.objects.filter(state=AgendaItemState.OPEN, round__isnull=False).exclude(
        round__state=RoundState.OPEN
    )
    found = list(rows.select_related("round").order_by("meeting", "pk"))
    for item in found:
        settle(item, at=now)
    return len(found)
