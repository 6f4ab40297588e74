"""Deployed, reviewed, completed: figures from rows, evidence to the RFCs, the event to the cycle, a baseline that was signed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import change_tasks, rfcs
from changes.models import RFC, Cycle, CycleEvent, Evidence, RFCTarget
from cmdb.domain import baselines
from cmdb.models import Baseline
from patchflow.kernel import service_accounts, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant, User
from patchflow.reports.queries.waiting import waiting_for
from releases.domain import advance, jobs, owed, readiness, releases, reviews, rollbacks
from releases.models import Job, PostImplementationReview, Release, Rollout
from releases.queries.reviews import figures
from tests.factories.people import make_user
from tests.factories.releases import NEW, OLD, Yard, manifest_of, ready

QUESTIONS = 4


class Night:
    """A clock in the service window; waiting lets it pass."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def rolled_out(yard: Yard, release: Release, *, days: int = 30) -> Release:
    """Lets nights pass until the rollout has ended."""
    clock = Night(yard.at.replace(hour=22, minute=5))
    for _ in range(days * 24):
        rollout = Rollout.objects.filter(release=release).latest("pk")
        if rollout.ended_at:
            break
        _hosts_audited(yard, clock.at)
        advance.advance(rollout_id=rollout.pk, now=clock.at)
        for pk in Job.objects.filter(jobs.DUE, rollout=rollout).values_list("pk", flat=True):
            Job.objects.filter(pk=pk).update(not_before=None)
            jobs.run(job_id=pk, owner="test", now=clock.now, wait=clock.wait)
        clock.at += (
            timedelta(hours=1)
            if Job.objects.filter(rollout=rollout, state="pending").exists()
            else timedelta(minutes=30)
        )
    return Release.objects.get(pk=release.pk)


def _hosts_audited(yard: Yard, at: datetime) -> None:
    for host in yard.world.hosts:
        type(host).objects.filter(pk=host.pk).update(audited_at=at, last_seen_at=at)


def deployed(yard: Yard) -> Release:
    release = ready(yard)
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    release = rolled_out(yard, release)
    assert release.state == "deployed", (release.state, list(Job.objects.values_list("state", "statement")))
    return release


def told(release: Release) -> set[str]:
    """What the RFCs say became of their targets."""
    return set(RFCTarget.objects.filter(rfc__in=release.rfc_ids()).values_list("outcome", flat=True))


def review_of(release: Release) -> PostImplementationReview:
    return PostImplementationReview.objects.get(release=release)


def answered(yard: Yard, release: Release) -> PostImplementationReview:
    review = review_of(release)
    given = dict.fromkeys(review.questions, "Yes.")
    return reviews.answer(review_id=review.pk, answers=given, actor=yard.cast.rex, at=yard.at)


def completed(yard: Yard, release: Release) -> PostImplementationReview:
    review = answered(yard, release)
    return reviews.complete(
        review_id=review.pk,
        lessons="Tell the help desk first.",
        actions="",
        actor=yard.cast.che,
        at=yard.at + timedelta(days=3),
    )


def test_home_shows_the_review_to_who_may_complete_it_and_then_the_release(yard: Yard) -> None:
    release = deployed(yard)
    che, rex = yard.cast.che, yard.cast.rex
    assert [(t.act, t.url) for t in waiting_for(che, at=yard.at)] == [("Review", f"/reviews/{review_of(release).pk}/")]
    assert waiting_for(rex, at=yard.at) == [], "who started it waits for the review"
    completed(yard, release)
    assert waiting_for(che, at=yard.at) == []
    assert [(t.act, t.url) for t in waiting_for(rex, at=yard.at)] == [("Complete", f"/releases/{release.pk}/")]


def test_deploy_begins_the_rfcs_and_starts_the_rollout(yard: Yard) -> None:
    release = releases.deploy(release_id=ready(yard).pk, actor=yard.cast.rex, at=yard.at)
    assert (release.state, release.started_by) == ("deploying", yard.cast.rex)
    assert RFC.objects.get(pk=release.rfc_ids()[0]).state == "implementing"
    assert Rollout.objects.get(release=release).state == "running"


def test_the_whole_walk_ends_completed_with_nothing_left_hanging(yard: Yard) -> None:
    release = deployed(yard)
    assert release.outcome == "full"
    assert all(yard.machine(h).packages == {"openssl": NEW} for h in yard.world.hosts)
    completed(yard, release)
    release = releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at + timedelta(days=3))
    assert release.state == "completed"
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    assert (rfc.state, rfc.outcome) == ("in_review", "full")
    kinds = dict(Evidence.objects.filter(rfc=rfc).order_by("pk").values_list("kind", "passed"))
    assert kinds == {
        "acceptance": True, "rollback_rehearsal": True, "manifest": None, "readiness": True, "deployment": True, "review": True,
    }  # fmt: skip
    cycle = Cycle.objects.get(rfcs=rfc)
    assert CycleEvent.objects.filter(cycle=cycle, kind="release_completed", cause=release.number).exists()
    rfcs.close(rfc_id=rfc.pk, code="successful", actor=yard.cast.che, at=yard.at + timedelta(days=3))
    assert Cycle.objects.get(pk=cycle.pk).state == "completed"
    assert not release.links.filter(left_at__isnull=True).exists()


def test_figures_are_what_the_rows_say(yard: Yard) -> None:
    release = deployed(yard)
    found = review_of(release).figures
    assert found["hosts"] == {"manifest": 3, "done": 3, "taken_back": 0, "jobs": 3}
    assert found["states"] == {"succeeded": 3}
    assert [(r["name"], r["hosts"], r["succeeded"], r["failed"]) for r in found["rings"]] == [
        ("Pilot", 1, 1, 0),
        ("All others", 2, 2, 0),
    ]
    assert (found["failures"], found["owed"], found["restarts"]) == ({}, [], 0)
    assert found["acceptance"] == {"passed": 1, "asked": 1, "back": 1}
    assert found["seconds"] == int((release.finished_at - release.started_at).total_seconds())
    (exposure,) = found["exposure"]
    assert exposure["days"] == (release.finished_at - yard.world.update.notified_at).days


def test_a_host_that_fails_is_owed_and_counted_by_cause(yard: Yard) -> None:
    last = yard.world.hosts[0]
    yard.machine(last).fails.add("openssl")
    release = ready(yard)
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    clock = Night(yard.at.replace(hour=22, minute=5))
    rollout = Rollout.objects.get(release=release)
    for _ in range(60):
        _hosts_audited(yard, clock.at)
        advance.advance(rollout_id=rollout.pk, now=clock.at)
        for pk in Job.objects.filter(jobs.DUE, rollout=rollout).values_list("pk", flat=True):
            Job.objects.filter(pk=pk).update(not_before=None)
            jobs.run(job_id=pk, owner="test", now=clock.now, wait=clock.wait)
        clock.at += timedelta(minutes=10)
    found = figures(Release.objects.get(pk=release.pk), at=clock.at)
    assert last.name in found["owed"]
    assert found["failures"] == {"postinst": 1}


# --- gates ------------------------------------------------------------------------------------------------------------
def test_accept_waits_for_the_review(yard: Yard) -> None:
    release = deployed(yard)
    with pytest.raises(Blocked) as refused:
        releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert [b.code for b in refused.value.blockers] == ["release.not_reviewed"]
    answered(yard, release)
    with pytest.raises(Blocked):
        releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at)


def test_a_review_is_completed_by_another_than_who_started_with_every_question_answered(yard: Yard) -> None:
    release = deployed(yard)
    review = review_of(release)
    given = {"review_id": review.pk, "lessons": "", "actions": "", "at": yard.at}
    with pytest.raises(Blocked) as refused:
        reviews.complete(actor=yard.cast.che, **given)
    assert [b.code for b in refused.value.blockers] == ["review.unanswered"] * QUESTIONS
    answered(yard, release)
    with pytest.raises(NotAllowed) as denied:
        reviews.complete(actor=yard.cast.rex, **given)
    assert [b.code for b in denied.value.blockers] == ["review.four_eyes"]
    with pytest.raises(NotAllowed):
        reviews.complete(actor=yard.cast.ann, **given)
    with pytest.raises(Invalid):
        reviews.answer(review_id=review.pk, answers={"Anything else?": "no"}, actor=yard.cast.rex, at=yard.at)
    assert reviews.complete(actor=yard.cast.che, **given).state == "completed"
    with pytest.raises(Conflict):
        reviews.answer(review_id=review.pk, answers={review.questions[0]: "No."}, actor=yard.cast.rex, at=yard.at)


def test_who_carried_out_a_part_of_a_change_does_not_complete_the_review_of_its_release(yard: Yard) -> None:
    """The same hands as for the review of the change: a task of its implementation, a rollout, the end; not a test, not a plan."""
    release = deployed(yard)
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    max_, eva, tom = (make_user(name, "change_manager", "operator") for name in ("max", "eva", "tom"))
    for person, stage in ((max_, "implementation"), (tom, "testing")):
        task = change_tasks.add(rfc_id=rfc.pk, title="Move it", stage=stage, actor=yard.cast.che, at=yard.at)
        change_tasks.begin(task_id=task.pk, actor=person, at=yard.at)
        change_tasks.finish(task_id=task.pk, outcome="It is moved.", actor=person, at=yard.at)
    review = answered(yard, release)
    given = {"review_id": review.pk, "lessons": "", "actions": "", "at": yard.at}
    Rollout.objects.filter(release=release).update(started_by=eva)
    for person in (max_, eva):
        with pytest.raises(NotAllowed) as refused:
            reviews.complete(actor=person, **given)
        assert [b.code for b in refused.value.blockers] == ["review.four_eyes"]
        assert [b.code for b in workflow.why_not(review, "complete", actor=person, at=yard.at)] == ["review.four_eyes"]
        assert waiting_for(person, at=yard.at) == []
        assert person.pk in readiness.excluded(release), "nor do they sign what is to be deployed of it yet"
    assert [t.act for t in waiting_for(tom, at=yard.at)] == ["Review"]
    assert tom.pk not in readiness.excluded(release)
    assert reviews.complete(actor=tom, **given).completed_by == tom


def test_a_program_whose_token_they_know_completes_it_no_more_than_they(yard: Yard) -> None:
    release = deployed(yard)
    max_ = make_user("max", "change_manager", "administrator")
    task = change_tasks.add(
        rfc_id=release.rfc_ids()[0], title="Move it", stage="implementation", actor=yard.cast.che, at=yard.at
    )
    change_tasks.begin(task_id=task.pk, actor=max_, at=yard.at)
    program = service_accounts.add(username="pipeline", actor=yard.cast.ada, at=yard.at)
    RoleGrant.objects.create(user=program, role="change_manager")
    service_accounts.give_token(user_id=program.pk, days=1, actor=max_, at=yard.at)
    review = answered(yard, release)
    with pytest.raises(NotAllowed) as refused:
        reviews.complete(review_id=review.pk, lessons="", actions="", actor=User.objects.get(pk=program.pk), at=yard.at)
    assert "review.four_eyes" in [b.code for b in refused.value.blockers]


def test_a_corrected_answer_is_a_new_row(yard: Yard) -> None:
    review = answered(yard, deployed(yard))
    reviews.answer(review_id=review.pk, answers={review.questions[0]: "No."}, actor=yard.cast.che, at=yard.at)
    assert list(review.answers.filter(question=review.questions[0]).values_list("answer", flat=True)) == ["Yes.", "No."]


# --- baselines ----------------------------------------------------------------------------------------------------------
def test_a_baseline_is_proposed_from_the_manifest_and_adopted(yard: Yard) -> None:
    release = deployed(yard)
    completed(yard, release)
    releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    baseline = Baseline.objects.get()
    assert (baseline.name, baseline.state, baseline.source_digest) == (
        "debian-12-amd64",
        "approved",
        manifest_of(release).digest,
    )
    assert list(baseline.items.values_list("name", "version")) == [("openssl", NEW)]


def test_a_baseline_with_more_than_was_signed_is_not_adopted(yard: Yard) -> None:
    release = deployed(yard)
    completed(yard, release)
    release = releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    digest = manifest_of(release).digest
    platform = Baseline.objects.get().platform
    wider = baselines.propose(
        name="debian-12-amd64", platform_id=platform.pk, items=[("openssl", "amd64", NEW), ("sudo", "amd64", "9")],
        source_digest=digest, actor=yard.cast.rex, at=yard.at,
    )  # fmt: skip
    with pytest.raises(Blocked) as refused:
        baselines.adopt(baseline_id=wider.pk, actor=yard.cast.cora, at=yard.at)
    assert [b.code for b in refused.value.blockers] == ["baseline.not_contained"]
    forged = baselines.propose(
        name="debian-12-amd64", platform_id=platform.pk, items=[("openssl", "amd64", NEW)], source_digest="f" * 64,
        actor=yard.cast.rex, at=yard.at,
    )  # fmt: skip
    with pytest.raises(Blocked) as refused:
        baselines.adopt(baseline_id=forged.pk, actor=yard.cast.cora, at=yard.at)
    assert [b.code for b in refused.value.blockers] == ["baseline.no_manifest"]


# --- taken back, stopped ------------------------------------------------------------------------------------------------
def test_a_release_that_was_taken_back_is_reviewed_and_completed_too(yard: Yard) -> None:
    release = deployed(yard)
    assert told(release) == {"done"}
    rollbacks.roll_back(
        release_id=release.pk, reason="the shop is white", actor=yard.cast.rex, at=yard.at.replace(hour=23)
    )
    release = rolled_out(yard, release)
    assert (release.state, release.outcome) == ("rolled_back", "rolled_back")
    assert told(release) == {"owed"}
    assert all(yard.machine(h).packages == {"openssl": OLD} for h in yard.world.hosts)
    found = completed(yard, release).figures
    assert found["hosts"] == {"manifest": 3, "done": 0, "taken_back": 3, "jobs": 3}
    assert found["owed"] == sorted(host.name for host in yard.world.hosts)
    assert owed.owed_hosts(release.pk) == [host.pk for host in sorted(yard.world.hosts, key=lambda h: h.name)]
    release = releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert release.state == "completed"
    assert RFC.objects.get(pk=release.rfc_ids()[0]).outcome == "rolled_back"
    assert not Baseline.objects.exists(), "what was taken back is no baseline"


def test_stop_is_refused_while_the_rollout_is_open(yard: Yard) -> None:
    release = releases.deploy(release_id=ready(yard).pk, actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Blocked) as refused:
        releases.stop(release_id=release.pk, reason="enough", actor=yard.cast.rex, at=yard.at)
    assert "release.open_rollout" in {b.code for b in refused.value.blockers}


def test_a_deploying_release_is_not_cancelled_nor_revised(yard: Yard) -> None:
    release = releases.deploy(release_id=ready(yard).pk, actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Conflict):
        releases.cancel(release_id=release.pk, reason="x", actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Conflict):
        releases.revise(release_id=release.pk, reason="x", actor=yard.cast.rex, at=yard.at)


def test_finished_takes_only_outcomes_of_its_state(yard: Yard) -> None:
    release = ready(yard)
    with pytest.raises(Conflict):
        releases.finished(release_id=release.pk, outcome="full", actor=yard.cast.bot, at=yard.at)
    with pytest.raises(Invalid):
        releases.finished(release_id=release.pk, outcome="splendid", actor=yard.cast.bot, at=yard.at)
