"""Walks that turn while hosts are being changed: stopped, lost and found, no window, taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from releases.models import Job, Release
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
    assert walk.reviewed(deployment.release) == "completed"
    outcomes = list(deployment.rfc.targets.order_by("host_id").values_list("outcome", flat=True))
    assert (outcomes.count("done"), outcomes.count("owed")) == (1, 2)
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
    outcomes = deployment.rfc.targets.order_by("host_id").values_list("outcome", flat=True)
    assert list(outcomes) == ["done", "owed"]
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")


def test_the_window_never_comes(walk: Walk, deploying: Deploying) -> None:
    deployment = deploying(hosts=2, latest=walk.at + timedelta(hours=2))
    pk, cast = deployment.rfc.pk, walk.cast
    walk.say(cast.otto, "kill-switch/set", on=True, reason="the network is down")
    deployment.start()
    deployment.work()
    assert deployment.states() == ["pending"] * 2
    deployment.pass_time(hours=3)
    deployment.work()
    assert deployment.states() == ["refused"] * 2
    come(walk, deployment)
    assert ended(deployment) == ("deployed", "failed")
    assert walk.reviewed(deployment.release) == "completed"
    assert walk.state(pk) == "in_review"
    assert walk.closed(pk, "not_needed") == ("closed", "completed")


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
    outcomes = list(deployment.rfc.targets.order_by("host_id").values_list("outcome", flat=True))
    assert outcomes == ["done", "owed", "owed", "done"]
    assert walk.closed(pk, "successful_with_issues") == ("closed", "completed")
