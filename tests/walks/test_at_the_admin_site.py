"""The walks of the process as people take them at the admin site, from the first row to the last, through `/admin/` alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changes.models import RFC, Meeting
from patchflow.kernel.models import AuditEntry
from releases.models import Rollout
from tests.factories import releases as stages
from tests.factories.releases import Yard
from tests.walks.conftest import Walk
from tests.walks.process import Process, local, question
from tests.walks.test_kinds import stage_one

pytestmark = pytest.mark.django_db


@pytest.fixture
def process(walk: Walk, yard: Yard) -> Process:
    return Process(walk, yard)


def states(subject: Any) -> list[tuple[str, str]]:
    """The states it came to, and who brought it there, from the audit trail, oldest first."""
    rows = AuditEntry.objects.filter(object_type=subject._meta.label_lower, object_id=subject.pk, outcome="done")
    return list(rows.exclude(after_state="").order_by("pk").values_list("after_state", "actor__username"))


def test_normal(process: Process) -> None:
    cast, desk, walk = process.cast, process.desk, process.walk
    rfc = process.raised()
    round_ = process.asked(rfc)
    desk.decide(cast.sam, round_)
    meeting = desk.make(cast.che, Meeting, kind="cab", starts_at=local(walk.at + timedelta(hours=1)), place="Room 4")
    [item] = meeting.items.all()
    assert item.round_id == round_.pk
    desk.press(cast.che, "publish", meeting)
    walk.wait(hours=1)
    desk.press(cast.cal, "open", meeting)
    desk.press(cast.cal, "begin", item)
    assert "the members' own votes" in desk.refused(cast.cal, "conclude", item, outcome="Yes.").lower()
    desk.decide(cast.cal, round_)
    desk.decide(cast.mia, round_)
    desk.press(cast.cal, "attendance", meeting, **{f"p{person.pk}": "present" for person in (cast.cal, cast.mia)})
    assert desk.press(cast.cal, "minute", meeting, notes="Unanimous.").state == "minuted"
    rfc.refresh_from_db()
    assert (rfc.state, meeting.items.get().outcome) == ("authorized", "passed")

    release = process.sealed(rfc)
    assert "You built this release" in desk.refused(cast.rex, "decide", question(release), verdict="approve")
    release = desk.press(cast.rex, "deploy", process.signed(release))
    release = process.nights_pass(release)
    assert (release.state, release.outcome) == ("deployed", "full")
    assert desk.refused(cast.rex, "accept", release)
    assert process.reviewed(release).state == "completed"
    assert process.closed(rfc, "successful") == ("closed", "completed")
    assert states(rfc) == [
        ("draft", "ann"),
        ("submitted", "ann"),
        ("evaluating", "che"),
        ("awaiting_approval", "che"),
        ("authorized", "mia"),
        ("implementing", "rex"),
        ("in_review", "bot"),
        ("closed", "che"),
    ]


def test_emergency(process: Process) -> None:
    cast, desk = process.cast, process.desk
    rfc = process.raised(kind="emergency", test_plan="", implementation_plan="")
    desk.press(cast.che, "request_approval", rfc)
    desk.decide(cast.cal, question(rfc))
    rfc.refresh_from_db()
    assert rfc.state == "authorized"
    release = process.signed(process.sealed(rfc), cast.gus, cast.cal)
    assert release.state == "ready"
    release = process.nights_pass(desk.press(cast.rex, "deploy", release))
    assert process.reviewed(release).state == "completed"
    assert "owe" in desk.refused(cast.che, "close", rfc, code="successful")
    for name in ("implementation_plan", "test_plan"):
        desk.press(cast.ann, "bring_owed", rfc, name=name, text="As it was done.")
    assert process.closed(rfc, "successful") == ("closed", "completed")


def test_refused_then_revised(process: Process) -> None:
    cast, desk = process.cast, process.desk
    rfc = process.raised()
    round_ = process.asked(rfc)
    desk.decide(cast.sam, round_)
    assert "A refusal needs a comment" in desk.refused(cast.cal, "decide", round_, verdict="refuse")
    desk.decide(cast.cal, round_, "refuse", "Which hosts first?")
    rfc.refresh_from_db()
    assert rfc.state == "evaluating"
    assert desk.refused(cast.cal, "decide", round_, verdict="approve")
    rfc = desk.press(
        cast.ann, "revise", rfc, implementation_plan="The test hosts first.", reason="asked by the board"
    )  # fmt: skip
    assert rfc.implementation_plan == "The test hosts first."
    assert rfc.title == RFC.objects.get(pk=rfc.pk).title
    assert desk.refused(cast.che, "request_approval", rfc)
    desk.press(cast.che, "score", rfc)
    desk.press(cast.che, "request_approval", rfc)
    for person in (cast.sam, cast.cal, cast.mia):
        desk.decide(person, question(rfc))
    rfc.refresh_from_db()
    assert rfc.state == "authorized"
    rfc = desk.press(cast.ann, "cancel", rfc, reason="the service is retired")
    cycle = desk.press(cast.che, "close_unneeded", rfc.cycle, reason="nothing came of it")
    assert (rfc.state, cycle.state) == ("cancelled", "completed")


def test_what_was_shown_is_what_is_signed(process: Process) -> None:
    """A form that lay open while the change was revised signs nothing."""
    cast, desk = process.cast, process.desk
    rfc = process.raised()
    round_ = process.asked(rfc)
    seen = round_.digest
    desk.press(cast.ann, "revise", rfc, implementation_plan="Another.", reason="better")
    desk.press(cast.che, "score", rfc)
    desk.press(cast.che, "request_approval", rfc)
    assert "What you saw has been changed" in desk.refused(
        cast.sam, "decide", question(rfc), verdict="approve", digest_seen=seen
    )


def test_halted_and_rolled_back(process: Process) -> None:
    cast, desk, walk = process.cast, process.desk, process.walk
    rfc = process.authorized(process.raised())
    release = process.signed(process.sealed(rfc))
    assert desk.refused(cast.gus, "deploy", release)
    release = desk.press(cast.rex, "deploy", release)
    walk.come(stage_one(process.yard, release))
    rollout = Rollout.objects.get(release=release)
    assert desk.press(cast.otto, "halt", rollout, reason="log-in is broken").state == "halted"
    assert desk.refused(cast.otto, "roll_back", rollout, reason="log-in is broken")
    desk.press(cast.rex, "roll_back", rollout, reason="log-in is broken")
    process.yard.world.at = walk.at
    release = process.nights_pass(release)
    assert (release.state, release.outcome) == ("rolled_back", "rolled_back")
    machines = [process.yard.machine(host) for host in process.yard.world.hosts]
    assert {machine.packages["openssl"] for machine in machines} == {stages.OLD}
    assert process.reviewed(release).state == "completed"
    assert process.closed(rfc, "backed_out") == ("closed", "completed")
