"""A host that works for longer than was signed: nothing is ended there, and neither its ring nor a stop waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from releases.domain import jobs, rollouts
from releases.domain.working import RESTART_SILENCE
from releases.models import Job
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
SIGNED = {"max_minutes_each": 30, "max_minutes_total": 120}
LIMIT = timedelta(minutes=30) + RESTART_SILENCE


def hung(make: Make, *, together: bool, hosts: int = 2, **ring: int) -> Deployment:
    """A rollout at work whose first host hangs in its installation; the others are done."""
    deployment = make(hosts=hosts, rings=[{"hosts": hosts, "concurrency": hosts, **ring}], profile=SIGNED)
    deployment.habit(0, "hang")
    deployment.start()
    deployment.work(turns=6, together=together)
    assert deployment.states() == ["installing", *["succeeded"] * (hosts - 1)]
    return deployment


def go_on(deployment: Deployment, *, together: bool, **later: float) -> Job:
    deployment.pass_time(**later)
    deployment.lease_ends()
    deployment.work(turns=2, together=together)
    return deployment.job()


@pytest.mark.parametrize("together", [False, True], ids=["alone", "in a crew"])
def test_it_is_out_of_time_after_its_signed_minutes_and_what_a_restart_may_take(make: Make, together: bool) -> None:
    deployment = hung(make, together=together)
    ordered = deployment.job().ordered_at
    assert ordered
    deployment.clock.at = ordered + LIMIT - timedelta(minutes=1)
    assert go_on(deployment, together=together).state == "installing"
    job = go_on(deployment, together=together, minutes=1)
    assert (job.state, job.code) == ("unknown", "overdue")
    assert job.statement.startswith("Overdue, and looked at until it is known: it has been at work for 5")
    assert "30 were signed for it. Its package manager is not killed: log in there" in job.statement
    assert deployment.simulator.effects(job_key=job.job_key) == []


def test_it_counts_against_the_limit_of_its_ring(make: Make) -> None:
    deployment = hung(make, together=True, failure_limit=1)
    go_on(deployment, together=True, minutes=51)
    deployment.tick()
    assert (deployment.rollout.state, deployment.rollout.rings.get().state) == ("halted", "failed")
    assert "1 of 2 hosts failed or are out of sight" in deployment.rollout.reason


def test_a_stop_ends_although_a_host_hangs(make: Make) -> None:
    deployment = hung(make, together=True)
    rollouts.stop(rollout_id=deployment.rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
    go_on(deployment, together=True, minutes=51)
    assert deployment.rollout.state == "stopping", "it is at work there, and looked at"
    job = go_on(deployment, together=True, hours=25)
    assert job.state == "lost"
    deployment.work()
    assert deployment.rollout.state == "stopped"


def test_what_ends_after_all_is_seen(make: Make) -> None:
    deployment = make(hosts=1, profile=SIGNED)
    deployment.habit(0, "slow")
    deployment.start()
    deployment.tick()
    deployment.killed_when(lambda: deployment.job().state == "installing")
    Job.objects.update(ordered_at=deployment.clock.at - LIMIT)  # its order was given long ago
    assert deployment.visit() == "unknown"
    assert deployment.job().code == "overdue"
    deployment.pass_time(minutes=5)
    assert deployment.visit() == "succeeded"
    assert len(deployment.simulator.effects()) == 1


def test_nothing_is_overdue_before_it_was_ordered(make: Make) -> None:
    deployment = make(hosts=1, profile=SIGNED)
    deployment.habit(0, "hang")
    deployment.start()
    deployment.tick()
    deployment.pass_time(hours=2)
    deployment.clock.wait = lambda seconds: None  # type: ignore[method-assign]
    jobs.run(
        job_id=deployment.job().pk, owner="t", now=deployment.clock.now, wait=lambda _s: deployment.pass_time(seconds=5)
    )
    assert deployment.job().state == "installing"
