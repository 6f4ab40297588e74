"""A meeting from its plan to its minutes: it orders, shows and writes down, and votes for nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from changes.domain import agendas, approvals, consent, meetings
from changes.models import RFC, AgendaItem, Meeting, Minutes
from changes.queries.meetings import agenda_of, consent_block
from cmdb.domain import baselines
from patchflow.kernel import append_only, signoffs, substitutes
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import AuditEntry, SignOff, User
from patchflow.notices.models import Delivery
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def before_the_board(world: World, n: int, **given: Any) -> list[RFC]:
    """Changes of low risk at the level of the CAB."""
    rfcs = [made.awaiting(world, **given) for _n in range(n)]
    return [made.approve(rfc, world.cast.sam, at=world.at) for rfc in rfcs]


def to_talk_about(world: World, n: int) -> list[RFC]:
    """The same, of a higher risk: there is no way back."""
    return before_the_board(world, n, way_back="none")


def planned(world: World, **given: Any) -> Meeting:
    return meetings.plan(kind="cab", starts_at=world.at + DAY, actor=world.cast.che, at=world.at, **given)


def in_session(world: World) -> Meeting:
    meeting = planned(world)
    meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=world.at)
    return meetings.open_session(meeting_id=meeting.pk, actor=world.cast.cal, at=world.at + DAY)


def vote(rfc: RFC, person: User, world: World, verdict: str = "approve", comment: str = "") -> SignOff:
    return approvals.decide(
        round_id=made.round_of(rfc).pk, verdict=verdict, comment=comment, actor=person, at=world.at + DAY
    )


def titles(meeting: Meeting, **wanted: Any) -> list[str]:
    return list(meeting.items.filter(**wanted).order_by("position").values_list("title", flat=True))


def test_the_agenda_fills_itself_emergencies_first_consent_last(world: World) -> None:
    (easy,), (talk,) = before_the_board(world, 1), to_talk_about(world, 1)
    urgent = made.awaiting(world, kind="emergency", way_back="none")
    assert [rfc.risk.level for rfc in (easy, talk, urgent)] == ["low", "medium", "medium"]
    meeting = planned(world)
    rows = list(meeting.items.order_by("position").values_list("round__subject_id", "consent", "minutes"))
    assert rows == [(urgent.pk, False, 10), (talk.pk, False, 10), (easy.pk, True, 2)]
    assert {a.user.username for a in meeting.attendees.all()} == {"cal", "mia"}
    assert agendas.fill(meeting_id=meeting.pk, actor=world.cast.che, at=world.at) == []
    ecab = meetings.plan(kind="ecab", starts_at=world.at + DAY, actor=world.cast.cal, at=world.at)
    assert titles(ecab) == []
    agendas.withdraw(
        meeting_id=meeting.pk, item_id=meeting.items.first().pk, reason="ECAB", actor=world.cast.che, at=world.at
    )
    (item,) = agendas.fill(meeting_id=ecab.pk, actor=world.cast.cal, at=world.at)
    assert item.round.subject_id == urgent.pk


def test_a_round_stands_on_one_agenda_only(world: World) -> None:
    before_the_board(world, 1)
    meeting = planned(world)
    (item,) = meeting.items.all()
    with pytest.raises(IntegrityError), transaction.atomic():
        AgendaItem.objects.create(meeting=meeting, round=item.round, title="again", position=9)


def test_publishing_tells_the_members_and_needs_an_item(world: World) -> None:
    meeting = planned(world)
    with pytest.raises(Blocked):
        meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=world.at)
    agendas.add_topic(meeting_id=meeting.pk, title="Minutes of last week", actor=world.cast.che, at=world.at)
    with pytest.raises(NotAllowed):
        meetings.publish(meeting_id=meeting.pk, actor=world.cast.mia, at=world.at)
    meetings.publish(meeting_id=meeting.pk, actor=world.cast.che, at=world.at)
    told = Delivery.objects.filter(notice__kind="meeting_agenda")
    assert {d.user.username for d in told} == {"cal", "mia"}
    assert "1. Minutes of last week (10 min)" in told[0].body


def test_the_members_votes_decide_and_the_meeting_votes_for_nobody(world: World) -> None:
    (rfc,) = before_the_board(world, 1)
    meeting = in_session(world)
    (item,) = meeting.items.all()
    agendas.begin(meeting_id=meeting.pk, item_id=item.pk, actor=world.cast.cal, at=world.at + DAY)
    with pytest.raises(NotAllowed):
        agendas.conclude(meeting_id=meeting.pk, item_id=item.pk, outcome="yes", actor=world.cast.cal, at=world.at)
    vote(rfc, world.cast.cal, world)
    item.refresh_from_db()
    assert item.state == "open"
    vote(rfc, world.cast.mia, world)
    item.refresh_from_db()
    assert (item.state, item.outcome) == ("decided", "passed")
    assert RFC.objects.get(pk=rfc.pk).state == "authorized"


def test_consent_is_one_act_and_a_vote_of_ones_own_for_each_item(world: World) -> None:
    one, two, gone = before_the_board(world, 3)
    meeting = in_session(world)
    block = consent_block(agenda_of(meeting))
    assert len(block) == 3
    seen = {line.item.pk: line.item.round.digest for line in block}
    agendas.pull(
        meeting_id=meeting.pk, item_id=block[2].item.pk, actor=world.cast.mia, at=world.at, reason="Which hosts?"
    )
    result = consent.consent(
        meeting_id=meeting.pk, seen=seen, actor=world.cast.cal, at=world.at + DAY, comment="No talk needed."
    )
    assert [(s.user.username, s.verdict, s.comment) for s in result.signed] == [
        ("cal", "approve", "No talk needed."), ("cal", "approve", "No talk needed."),
    ]  # fmt: skip
    assert {pk: b[0].code for pk, b in result.refused.items()} == {block[2].item.pk: "agenda.not_in_block"}
    again = consent.consent(meeting_id=meeting.pk, seen=seen, actor=world.cast.cal, at=world.at + DAY)
    assert {b[0].code for b in again.refused.values()} == {"signoff.once", "agenda.not_in_block"}
    stale = consent.consent(
        meeting_id=meeting.pk, seen={block[0].item.pk: "0" * 64}, actor=world.cast.mia, at=world.at + DAY
    )
    assert stale.refused[block[0].item.pk][0].code == "signoff.changed"
    outsider = consent.consent(meeting_id=meeting.pk, seen=seen, actor=world.cast.sam, at=world.at + DAY)
    assert (outsider.signed, len(outsider.refused)) == ([], 3)
    consent.consent(meeting_id=meeting.pk, seen=seen, actor=world.cast.mia, at=world.at + DAY)
    assert [RFC.objects.get(pk=r.pk).state for r in (one, two, gone)] == [
        "authorized",
        "authorized",
        "awaiting_approval",
    ]
    assert AuditEntry.objects.filter(verb="change.meeting.consented").count() == 2
    with pytest.raises(Blocked):
        agendas.arrange(
            meeting_id=meeting.pk, items=[{"id": block[2].item.pk, "consent": True}], actor=world.cast.cal, at=world.at
        )


def test_only_members_pull_and_a_refusal_pulls_by_itself(world: World) -> None:
    make_user("max", "cab_chair")
    (rfc,) = before_the_board(world, 1)
    meeting = in_session(world)
    item = meeting.items.get(round=made.round_of(rfc))
    assert item.consent
    with pytest.raises(NotAllowed):
        agendas.pull(meeting_id=meeting.pk, item_id=item.pk, actor=world.cast.ann, at=world.at)
    vote(rfc, world.cast.mia, world, "refuse", "Not in this week.")
    item.refresh_from_db()
    assert (item.consent, item.state, str(item.pulled_by), item.pulled_reason) == (
        False,
        "open",
        "mia",
        "Not in this week.",
    )


def test_arranging_sets_order_and_minutes(world: World) -> None:
    to_talk_about(world, 3)
    meeting = planned(world)
    a, b, c = meeting.items.order_by("position")
    agendas.arrange(
        meeting_id=meeting.pk, items=[{"id": c.pk, "minutes": 25}, {"id": a.pk}], actor=world.cast.che, at=world.at
    )
    assert list(meeting.items.order_by("position").values_list("pk", "minutes")) == [(c.pk, 25), (a.pk, 10), (b.pk, 10)]
    with pytest.raises(Invalid):
        agendas.arrange(meeting_id=meeting.pk, items=[{"id": 0}], actor=world.cast.che, at=world.at)


def test_what_is_carried_over_stands_on_the_next_agenda(world: World) -> None:
    before_the_board(world, 2)
    meeting = in_session(world)
    later = meetings.plan(kind="cab", starts_at=world.at + 8 * DAY, actor=world.cast.che, at=world.at)
    first, second = meeting.items.order_by("position")
    given = {"meeting_id": meeting.pk, "actor": world.cast.cal, "at": world.at}
    agendas.carry_over(item_id=first.pk, reason="The owner is ill.", **given)
    assert titles(later) == [first.title]
    with pytest.raises(Invalid):
        agendas.carry_over(item_id=second.pk, reason=" ", **given)
    agendas.withdraw(item_id=second.pk, reason="Decided by mail.", **given)
    with pytest.raises(Conflict):
        agendas.withdraw(item_id=second.pk, reason="again", **given)
    assert signoffs.rounds_of(RFC.objects.first()).first().is_open


def test_a_round_that_ends_elsewhere_leaves_the_agenda(world: World) -> None:
    (rfc,) = before_the_board(world, 1)
    meeting = planned(world)
    approvals.withdraw(round_id=made.round_of(rfc).pk, reason="facts changed", actor=world.cast.che, at=world.at)
    assert agendas.settle_ended(now=world.at) == 1
    assert agendas.settle_ended(now=world.at) == 0
    assert meeting.items.get().state == "withdrawn"


def test_a_vote_by_any_door_settles_its_agenda_item_in_the_same_moment(world: World) -> None:
    """The page of a baseline votes by the kernel's verb; the agenda hears of it as of every other vote."""
    cast, at = world.cast, world.at
    baseline = baselines.propose(
        name="Web", platform_id=made.make_platform().pk, items=[("bash", "amd64", "5.2-1")], actor=cast.cora, at=at
    )
    round_ = signoffs.open_round_of(baseline)
    assert round_ is not None
    item = agendas.append(planned(world), title="Web", minutes=5, round_=round_, consent=True)
    signoffs.decide(round_id=round_.pk, verdict="refuse", comment="Too new.", actor=cast.sam, at=at)
    item.refresh_from_db()
    assert (item.state, item.outcome) == ("decided", "refused")
    assert agendas.settle_ended(now=at) == 0


def test_postponing_makes_a_new_meeting_and_cancelling_frees_the_items(world: World) -> None:
    before_the_board(world, 1)
    meeting = planned(world)
    new = meetings.postpone(
        meeting_id=meeting.pk, starts_at=world.at + 3 * DAY, reason="No quorum.", actor=world.cast.che, at=world.at
    )
    assert (Meeting.objects.get(pk=meeting.pk).state, new.follows, new.state) == ("postponed", meeting, "planned")
    assert titles(new, state="open") == titles(meeting, state="carried_over")
    assert new.attendees.count() == 2
    meetings.cancel(meeting_id=new.pk, reason="Decided by mail.", actor=world.cast.che, at=world.at)
    assert titles(new, state="open") == []
    assert planned(world).items.count() == 1


def test_minutes_are_made_from_rows_sealed_and_never_edited(world: World) -> None:
    cast = world.cast
    sue = make_user("sue", "service_owner")
    (rfc,) = before_the_board(world, 1)
    substitutes.name_substitute(
        user_id=cast.mia.pk,
        substitute_id=sue.pk,
        starts_at=world.at,
        ends_at=world.at + 9 * DAY,
        actor=cast.mia,
        at=world.at,
    )
    meeting = in_session(world)
    topic = agendas.add_topic(meeting_id=meeting.pk, title="Soak time", actor=cast.cal, at=world.at + DAY)
    given = {"meeting_id": meeting.pk, "actor": cast.cal, "at": world.at + DAY}
    with pytest.raises(Blocked) as refused:
        meetings.minute(**given)
    assert [b.code for b in refused.value.blockers] == ["meeting.items_open"]
    agendas.attend(presence={cast.cal.pk: "present", cast.mia.pk: "excused", sue.pk: "present"}, **given)
    vote(rfc, cast.cal, world)
    vote(rfc, sue, world, comment="Agreed.")
    agendas.conclude(item_id=topic.pk, outcome="24 hours stay.", **given)
    minutes = meetings.minute(notes="A quiet session.", **given)
    assert digest(minutes.document) == minutes.digest
    assert minutes.document["attendance"] == [
        {"person": "cal", "presence": "present"}, {"person": "mia", "presence": "excused"},
        {"person": "sue", "presence": "present"},
    ]  # fmt: skip
    first, second = minutes.document["items"]
    votes = [(v["person"], v["for"], v["verdict"], v["comment"]) for v in first["votes"]]
    assert votes == [("sam", None, "approve", ""), ("cal", None, "approve", ""), ("sue", "mia", "approve", "Agreed.")]
    assert (first["outcome"], second["outcome"], minutes.document["notes"]) == (
        "passed",
        "24 hours stay.",
        "A quiet session.",
    )
    assert AuditEntry.objects.get(verb="change.meeting.minuted", outcome="done").detail["digest"] == minutes.digest
    assert "changes_minutes" in append_only.TABLES
    with pytest.raises(Exception, match="append-only"), transaction.atomic():
        Minutes.objects.update(notes="other")
    with pytest.raises(Conflict):
        agendas.add_topic(meeting_id=meeting.pk, title="late", actor=cast.cal, at=world.at)


def test_who_may_see_a_meeting(world: World) -> None:
    meeting = planned(world)
    scoped = make_user("una", "reader", scope="group:1")
    seen = {name: meeting in Meeting.objects.all().visible_to(user) for name, user in
            (("mia", world.cast.mia), ("che", world.cast.che), ("eve", world.cast.eve), ("una", scoped))}  # fmt: skip
    assert seen == {"mia": True, "che": True, "eve": False, "una": False}


def test_planning_is_checked(world: World) -> None:
    common: dict[str, Any] = {"kind": "cab", "actor": world.cast.che, "at": world.at, "starts_at": world.at + DAY}
    for wrong in ({"kind": "x"}, {"starts_at": world.at}, {"minutes": 1}, {"member_ids": [0]}):
        with pytest.raises(Invalid):
            meetings.plan(**{**common, **wrong})
    for nobody in (world.cast.mia, world.cast.root, world.cast.bot):
        with pytest.raises(NotAllowed):
            meetings.plan(**{**common, "actor": nobody})
