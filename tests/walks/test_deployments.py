"""Walks that turn while hosts are being changed: stopped, lost and found, no window, taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from releases.models import Job, PostImplementationReview, Release
from tests.factories.people import make_user
from tests.factories.rollouts import Deployment
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db
Deploying = Callable[..., Deployment]


def come(walk: Walk, deployment: Deployment) -> None:
    """The people act when the hosts are where they are."""
    walk.come(deployment.clock.at)
    deployment.clock.at = walk.at


def ended(deployment: Deployment) -> tuple[str, str]:
    release = Release.objects.get(pk=deployment.release.pk)
    return str(release.state), str(release.outcome)


def outcomes(deployment: Deployment) -> list[str]:
    """What the RFC says became of each of its targets."""
    return list(deployment.rfc.targets.order_by("host_id").values_list("outcome", flat=True))


def test_cancelled_while_deploying_is_stopped_instead(walk: Walk, deploying: Deploying) -> None:
    deployment = deploying(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    pk, cast = deployment.rfc.pk, walk.cast
    deployment.start()
    deployment.work(until=lambda: "succeeded" in deployment.states())
    come(walk, deployment)
    assert walk.refused(cast.ann, f"rfcs/{pk}/cancel", reason="no longer wanted") == {"rfc.stop_it"}
    assert walk.refused(cast.che, f"rfcs/{pk}/stop", reason="no longer wanted") == {"rfc.rollout_open"}
    walk.say(cast.otto, f"rollouts/{deployment.rollout.pk}/stop", reason="no longer wanted")
    deployment.work()
    come(walk, deployment)
    assert (deployment.rollout.state, ended(deployment)) == ("stopped", ("deployed", "partial"))
    assert walk.say(cast.che, f"rfcs/{pk}/stop", reason="no longer wanted")["state"] == "in_review"
    review = PostImplementationReview.objects.get(release=deployment.release)
    walk.say(cast.rex, f"reviews/{review.pk}/answer", answers=dict.fromkeys(review.questions, "Yes."))
    assert walk.refused(cast.che, f"reviews/{review.pk}/complete", lessons="None.") == {"review.four_eyes"}
    assert walk.reviewed(deployment.release, by=make_user("max", "change_manager")) == "completed"
    assert sorted(outcomes(deployment)) == ["done", "owed", "owed"]
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")


def test_a_lost_host_is_found_again_and_the_record_corrected_by_a_new_row(walk: Walk, deploying: Deploying) -> None:
    deployment = deploying(hosts=2, rings=[{"hosts": 2, "concurrency": 1, "failure_limit": 2}])
    pk, cast = deployment.rfc.pk, walk.cast
    deployment.habit(0, "slow")
    deployment.habit(1, "fail")
    deployment.start()
    deployment.tick()
    deployment.killed_when(lambda: deployment.job().state == "installing")
    deployment.habit(0, "unreachable")
    while deployment.job().state != "lost":
        deployment.visit()
        due = deployment.job().not_before
        deployment.clock.at = max(deployment.clock.at, due or deployment.clock.at) + timedelta(seconds=20)
    come(walk, deployment)
    deployment.habit(0, None)
    job = deployment.job()
    before = list(job.events.values_list("pk", flat=True))
    walk.say(cast.otto, f"jobs/{job.pk}/look")
    deployment.visit()
    assert Job.objects.get(pk=job.pk).state == "succeeded"
    assert set(before) <= set(job.events.values_list("pk", flat=True)), "nothing is edited or removed"
    come(walk, deployment)
    deployment.work()
    come(walk, deployment)
    walk.say(cast.otto, f"rollouts/{deployment.rollout.pk}/stop", reason="the other one is mended by hand")
    deployment.work()
    come(walk, deployment)
    assert ended(deployment) == ("deployed", "partial")
    assert walk.reviewed(deployment.release) == "completed"
    assert outcomes(deployment) == ["done", "owed"]
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")


def test_the_window_never_comes(walk: Walk, deploying: Deploying) -> None:
    """The first ring is done; the others wait for the next week, which is frozen: at the latest start they are refused."""
    rings = [{"hosts": 1, "soak_seconds": 10 * 3600}, {"hosts": 2}]
    deployment = deploying(hosts=3, rings=rings, latest=walk.at + timedelta(days=8))
    pk, cast = deployment.rfc.pk, walk.cast
    deployment.start()
    deployment.work()
    deployment.pass_time(hours=11)
    deployment.work()
    assert deployment.states() == ["succeeded", "pending", "pending"]
    assert {job.code for job in deployment.ring(1).jobs.all()} == {"window"}, "each says when its window opens"
    come(walk, deployment)
    span = {
        "starts_at": (walk.at + timedelta(days=1)).isoformat(),
        "ends_at": (walk.at + timedelta(days=9)).isoformat(),
    }
    walk.say(cast.che, "freezes", name="Fair", reason="the fair is on", passes=["emergency"], **span)
    deployment.pass_time(days=6, hours=14)
    deployment.work()
    assert deployment.states() == ["succeeded", "pending", "pending"], "the window is open, and frozen"
    assert "Fair" in deployment.rollout.statement
    deployment.pass_time(days=1)
    deployment.work()
    assert deployment.states() == ["succeeded", "refused", "refused"]
    come(walk, deployment)
    said = {(job["state"], job["reason"]) for job in walk.look(cast.otto, "jobs")["results"]}
    assert said >= {("refused", "The latest start that was signed has passed.")}
    assert (deployment.rollout.state, deployment.rollout.reason) == ("halted", "Ring ring 1: none of 2 hosts reported.")
    walk.say(cast.otto, f"rollouts/{deployment.rollout.pk}/stop", reason="the next release takes them up")
    deployment.work()
    come(walk, deployment)
    assert (deployment.rollout.state, ended(deployment)) == ("stopped", ("deployed", "partial"))
    assert walk.reviewed(deployment.release) == "completed"
    assert outcomes(deployment) == ["done", "owed", "owed"]
    assert walk.state(pk) == "in_review"
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")


def test_the_window_comes_for_no_host_at_all(walk: Walk, deploying: Deploying) -> None:
    """Begun after its last window before the latest start has closed: every host is refused with the date of the next one."""
    deployment = deploying(hosts=2, latest=walk.at + timedelta(days=2))
    pk = deployment.rfc.pk
    deployment.pass_time(hours=8)
    deployment.start()
    deployment.work()
    assert deployment.states() == ["refused"] * 2
    assert "comes after the latest start that was signed" in deployment.job().reason
    come(walk, deployment)
    assert (deployment.rollout.state, deployment.rollout.reason) == ("halted", "Ring ring 0: none of 2 hosts reported.")
    walk.say(walk.cast.otto, f"rollouts/{deployment.rollout.pk}/stop", reason="the next release takes them up")
    deployment.work()
    come(walk, deployment)
    assert (deployment.rollout.state, ended(deployment)) == ("stopped", ("deployed", "failed"))
    assert walk.reviewed(deployment.release) == "completed"
    assert outcomes(deployment) == ["owed", "owed"]
    assert walk.closed(pk, "failed") == ("closed", "completed")


def test_taken_back(walk: Walk, deploying: Deploying) -> None:
    deployment = deploying(hosts=2)
    pk, cast = deployment.rfc.pk, walk.cast
    deployment.start()
    deployment.work()
    come(walk, deployment)
    assert ended(deployment) == ("deployed", "full")
    walk.say(cast.rex, f"rollouts/{deployment.rollout.pk}/roll_back", reason="log-in is broken")
    deployment.work()
    come(walk, deployment)
    assert ended(deployment) == ("rolled_back", "rolled_back")
    assert walk.reviewed(deployment.release) == "completed"
    assert walk.closed(pk, "backed_out") == ("closed", "completed")


def test_a_failed_ring_is_accepted_as_it_is_and_what_it_owes_goes_on(walk: Walk, deploying: Deploying) -> None:
    deployment = deploying(hosts=4, rings=[{"hosts": 3, "concurrency": 1}, {"hosts": 1}])
    pk, cast = deployment.rfc.pk, walk.cast
    deployment.habit(1, "lie")
    deployment.start()
    deployment.work()
    come(walk, deployment)
    rollout, ring = f"rollouts/{deployment.rollout.pk}", deployment.ring().pk
    assert deployment.states() == ["succeeded", "failed", "pending", "pending"]
    assert walk.refused(cast.rex, f"{rollout}/resume") == {"rollout.ring_failed"}
    walk.say(cast.otto, f"{rollout}/propose_partial", ring=ring, reason="The rest follows next month.")
    [asked] = walk.look(cast.che, f"{rollout}/partial")
    assert (asked["ring"], asked["state"], len(asked["document"]["missed"])) == (ring, "open", 2)
    signature = {"ring": ring, "verdict": "approve", "digest_seen": asked["digest"]}
    assert "signoff.four_eyes" in walk.refused(cast.rex, f"{rollout}/decide_partial", **signature), "rex has started it"
    assert walk.refused(cast.che, f"{rollout}/decide_partial", **signature | {"digest_seen": "0" * 64})
    assert deployment.ring().state == "failed"
    walk.say(cast.che, f"{rollout}/decide_partial", **signature)
    assert deployment.states() == ["succeeded", "failed", "cancelled", "pending"]
    walk.say(cast.rex, f"{rollout}/resume")
    deployment.work()
    come(walk, deployment)
    assert deployment.states() == ["succeeded", "failed", "cancelled", "succeeded"]
    assert (deployment.rollout.state, ended(deployment)) == ("completed", ("deployed", "partial"))
    assert walk.reviewed(deployment.release) == "completed"
    assert outcomes(deployment) == ["done", "owed", "owed", "done"]
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")
