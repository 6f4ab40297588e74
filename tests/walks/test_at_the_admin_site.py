"""The walks of the process as people take them at the admin site, from the first row to the last, through `/admin/` alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from changes.models import RFC, Meeting
from patchflow.kernel import signoffs
from patchflow.kernel.models import AuditEntry, SignOffRound, User
from releases.domain import acceptance_work
from releases.models import AcceptanceRun, PostImplementationReview, Release, Rollout
from tests.factories import releases as stages
from tests.factories.changes import PLANS
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import rolled_out
from tests.walks.conftest import Walk
from tests.walks.desk import Desk
from tests.walks.test_kinds import stage_one

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(walk: Walk) -> Desk:
    return Desk(walk.cast)


def local(at: Any) -> str:
    """A moment as it is typed into a form."""
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M}"


def question(subject: Any) -> SignOffRound:
    """The open round about it."""
    round_ = signoffs.open_round_of(subject)
    assert round_ is not None
    return round_


class Process:
    """The steps that the walks have in common; each is pressed at the site by whoever does it."""

    def __init__(self, walk: Walk, desk: Desk, yard: Yard) -> None:
        self.walk, self.desk, self.yard, self.cast = walk, desk, yard, walk.cast

    def raised(self, **typed: Any) -> RFC:
        """ann raises it from the row of the update, and submits it."""
        given = {
            "host_ids": [h.pk for h in self.yard.world.hosts],
            **PLANS,
            "not_after": local(self.walk.at + timedelta(days=20)),
        }
        self.desk.press(self.cast.ann, "raise", self.yard.world.update, **{**given, **typed})
        rfc: RFC = self.desk.press(self.cast.ann, "submit", RFC.objects.latest("pk"))
        return rfc

    def asked(self, rfc: RFC) -> SignOffRound:
        """che evaluates it and asks the board."""
        self.desk.press(self.cast.che, "evaluate", rfc)
        self.desk.press(self.cast.che, "request_approval", rfc)
        return question(rfc)

    def authorized(self, rfc: RFC) -> RFC:
        round_ = self.asked(rfc)
        for person in (self.cast.sam, self.cast.cal, self.cast.mia):
            self.desk.decide(person, round_)
        return RFC.objects.get(pk=rfc.pk)

    def sealed(self, rfc: RFC) -> Release:
        """rex composes, plans and has it built, tia tests, rex seals."""
        desk, rex, tia, at = self.desk, self.cast.rex, self.cast.tia, self.walk.at
        self.yard.world.at = at
        release = desk.make(rex, Release, rfc_ids=[rfc.pk], title="At the admin site")
        desk.press(rex, "rings", release)
        desk.press(
            rex, "windows", release, window_ids=[self.yard.window.pk], earliest_at=local(at),
            latest_at=local(at + timedelta(days=14)),
        )  # fmt: skip
        desk.press(rex, "profile", release, profile_id=self.yard.profile.pk)
        desk.press(tia, "plan_test", release, update_id=self.yard.world.update.pk, host_id=self.yard.test_host.pk)
        desk.press(rex, "build", release)
        assert stages.work(self.yard, release).state == "built"
        release = desk.press(tia, "test", release)
        self._tested(release)
        found: Release = desk.press(rex, "seal", Release.objects.get(pk=release.pk))
        return found

    def _tested(self, release: Release) -> None:
        """The workers do what was asked for."""
        for _turn in range(20):
            for run in AcceptanceRun.objects.filter(plan__release=release):
                AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
                acceptance_work.advance(run_id=run.pk, owner="test", now=self.yard.at)
        assert {run.state for run in AcceptanceRun.objects.filter(plan__release=release)} == {"passed"}

    def signed(self, release: Release, *people: User) -> Release:
        round_ = question(release)
        for person in people or (self.cast.gus,):
            self.desk.decide(person, round_)
        return Release.objects.get(pk=release.pk)

    def nights_pass(self, release: Release) -> Release:
        """The dispatcher does the rest."""
        done = rolled_out(self.yard, release)
        self.walk.come(Rollout.objects.filter(release=release).latest("pk").ended_at or self.walk.at)
        return done

    def reviewed(self, release: Release) -> Release:
        """rex answers, che completes, rex accepts."""
        desk, review = self.desk, PostImplementationReview.objects.get(release=release)
        answers = {f"q{n}": "Yes." for n in range(len(review.questions))}
        desk.press(self.cast.rex, "answer", review, **answers)
        desk.press(self.cast.che, "complete", review, lessons="Tell the help desk first.")
        found: Release = desk.press(self.cast.rex, "accept", release)
        return found

    def closed(self, rfc: RFC, code: str) -> tuple[str, str]:
        """che closes it; its state and its cycle's."""
        now = self.desk.press(self.cast.che, "close", rfc, code=code, summary="As reviewed.")
        return str(now.state), str(now.cycle.state)


@pytest.fixture
def process(walk: Walk, desk: Desk, yard: Yard) -> Process:
    return Process(walk, desk, yard)


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
