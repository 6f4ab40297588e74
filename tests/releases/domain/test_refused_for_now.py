"""A host that refuses for now: tried again by itself, each time as a new attempt, until it does it or the rollout ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from releases.domain import rollouts
from releases.domain.working import BACK_OFF
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


def held_up(make: Make, *, together: bool) -> Deployment:
    """A rollout at work whose first host's package manager is held by somebody else; the other host is done."""
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}])
    deployment.habit(0, "locked")
    deployment.start()
    deployment.work(turns=4, together=together)
    assert deployment.states() == ["pending", "succeeded"]
    return deployment


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a crew"])
def test_it_waits_says_why_and_is_tried_again_under_a_new_key(make: Make, together: bool) -> None:
    deployment = held_up(make, together=together)
    job = deployment.job()
    assert (job.code, job.attempt, job.lease_until) == ("locked", 2, None)
    assert job.statement.startswith("Will be tried again at ")
    assert "another process holds the package manager" in job.statement
    assert job.not_before
    assert job.not_before - deployment.clock.at <= BACK_OFF
    deployment.pass_time(minutes=3)
    deployment.work(turns=4, together=together)
    assert (deployment.job().state, deployment.job().attempt) == ("pending", 3), "held up still"
    deployment.habit(0, None)
    deployment.pass_time(minutes=3)
    deployment.work(together=together)
    assert deployment.states() == ["succeeded", "succeeded"]
    assert deployment.rollout.state == "completed"
    keys = [effect.job_key for effect in deployment.simulator.effects()]
    assert len(keys) == len(set(keys)) == 2, "each host was changed once"


def test_it_does_not_count_against_the_limit_of_its_ring(make: Make) -> None:
    deployment = held_up(make, together=True)
    for _time in range(4):
        deployment.pass_time(minutes=3)
        deployment.work(turns=3, together=True)
    assert (deployment.rollout.state, deployment.job().state) == ("running", "pending")


def test_a_stop_does_not_wait_for_it(make: Make) -> None:
    deployment = held_up(make, together=True)
    rollouts.stop(rollout_id=deployment.rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert (deployment.states(), deployment.rollout.state) == (["cancelled", "succeeded"], "stopped")
