"""One job, whatever happens to its host, its worker and its messages: once in effect, never repeated blindly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from cmdb.models import ScanRun
from patchflow.kernel import queue, workflow
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.models import AuditEntry
from releases.domain import advance, jobs
from releases.domain.orders import order_for
from releases.domain.visits import Visit
from releases.executors.base import Batch
from releases.models import Job, JobEvent, PermissionSlip, Ring, Rollout
from tests.factories.rollouts import PACKAGE, Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


def path(deployment: Deployment, number: int = 0) -> list[str]:
    """The states that a job went through, by the trail."""
    rows = AuditEntry.objects.filter(
        object_type="releases.job", object_id=str(deployment.job(number).pk), outcome="done"
    ).order_by("id")
    return [row.after_state for row in rows if row.after_state]


def test_the_path_of_a_job_is_in_the_trail_step_by_step(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.work()
    assert path(deployment) == ["claimed", "staged", "installing", "verifying", "succeeded"]
    assert [e.stage for e in deployment.job().events.all()] == [
        "accepted",
        "staged",
        "installing",
        "verifying",
        "succeeded",
    ]
    assert ScanRun.objects.filter(results__host=deployment.hosts[0]).exists(), "the inventory follows"


def test_a_restart_that_was_over_before_anybody_looked_is_recorded_too(make: Make) -> None:
    deployment = make(hosts=1, profile={"restart": "always"})
    deployment.start()
    deployment.tick()
    slow = deployment.clock.wait
    deployment.clock.wait = lambda seconds: slow(seconds + 600)  # type: ignore[method-assign]
    deployment.work()
    assert path(deployment) == ["claimed", "staged", "installing", "restarting", "verifying", "succeeded"]


def test_doubled_and_lost_messages_change_nothing(make: Make) -> None:
    deployment = make(hosts=2)
    deployment.start()
    for _again in range(5):
        deployment.tick()
    for _again in range(5):
        deployment.visit(0)
    deployment.visit(1)
    before = (deployment.states(), AuditEntry.objects.count(), JobEvent.objects.count(), PermissionSlip.objects.count())
    for _again in range(5):
        assert deployment.visit(0) == ""
    assert (
        deployment.states(),
        AuditEntry.objects.count(),
        JobEvent.objects.count(),
        PermissionSlip.objects.count(),
    ) == before
    assert len(deployment.simulator.effects()) == 2


def test_a_host_that_falls_silent_while_installing_is_looked_at_not_repeated(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "lose")
    deployment.start()
    deployment.work()
    assert path(deployment)[-2:] == ["unknown", "succeeded"]
    assert len(deployment.simulator.effects()) == 1
    assert deployment.job().result["seen"]["verdict"] == "succeeded"


def test_a_host_that_vanishes_before_it_installs_is_undone_and_may_be_tried_again(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "vanish")
    deployment.start()
    deployment.work()
    assert path(deployment)[-2:] == ["unknown", "undone"]
    assert deployment.simulator.effects() == []
    from releases.domain import rings

    deployment.habit(0, None)
    rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert deployment.states() == ["succeeded"]


def test_what_the_host_refuses_for_good_is_refused_with_its_reason(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "refuse")
    deployment.start()
    deployment.work()
    job = deployment.job()
    assert job.state == "refused"
    assert job.reason
    assert job.result["own"]["outcome"] == "refused"


def test_an_unreachable_host_is_given_back_under_the_same_key(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "unreachable")
    deployment.start()
    deployment.tick()
    key = deployment.job().job_key
    deployment.visit()
    job = deployment.job()
    assert (job.state, job.code, job.job_key, job.lease_until) == ("pending", "unreachable", key, None)
    assert job.not_before == deployment.clock.at + timedelta(minutes=2)
    deployment.habit(0, None)
    deployment.pass_time(minutes=2)
    deployment.work()
    assert deployment.states() == ["succeeded"]


def test_a_host_that_stays_silent_is_lost_after_a_day_and_can_be_found_again(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "slow")
    deployment.start()
    deployment.tick()
    deployment.killed_when(lambda: deployment.job().state == "installing")
    deployment.habit(0, "unreachable")
    waited = []
    for _look in range(60):
        deployment.visit()
        job = deployment.job()
        if job.state == "lost":
            break
        assert job.not_before is not None or job.state == "unknown"
        if job.state == "unknown" and job.not_before:
            waited.append((job.not_before - deployment.clock.at).total_seconds())
        deployment.clock.at = max(deployment.clock.at, job.not_before or deployment.clock.at) + timedelta(seconds=20)
    assert deployment.job().state == "lost"
    assert waited == sorted(waited)
    assert max(waited) <= 3600
    assert deployment.clock.at - deployment.job().unknown_since >= timedelta(hours=24)  # type: ignore[operator]
    deployment.habit(0, None)
    jobs.look_again(job_id=deployment.job().pk, actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.visit()
    assert path(deployment)[-3:] == ["unknown", "lost", "succeeded"]
    assert len(deployment.simulator.effects()) == 1


def test_lost_counts_against_the_limit_and_is_not_tried_again_blindly(make: Make) -> None:
    from patchflow.kernel.errors import Blocked
    from releases.domain import rings

    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    held = queue.claim(Job.objects.all(), owner="t", lease=timedelta(minutes=1))[0]
    visit = Visit(held, deployment.clock.now, deployment.clock.wait)
    visit.move("lose", reason="silent")
    visit.move("give_up", reason="a day has passed")
    deployment.tick()
    assert deployment.rollout.state == "halted"
    with pytest.raises(Blocked):
        rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at)


def test_interrupted_work_is_recovered_once_under_its_own_key(make: Make) -> None:
    """The package was left half-configured and the worker on the host is gone: recovery, then another look."""
    from releases.executors.base import PackageState

    deployment = make(hosts=1)
    deployment.habit(0, "lose")
    deployment.start()
    deployment.tick()
    assert deployment.visit() == "unknown"
    deployment.pass_time(minutes=1)
    half = PackageState(name="openssl", arch="amd64", version=PACKAGE["to"], status="half-configured")
    deployment.simulator.furnish(deployment.hosts[0].name, [half])
    deployment.habit(0, None)
    deployment.work()
    job = deployment.job()
    assert job.recovery_key == f"{job.job_key}-recover"
    assert job.state == "succeeded"
    assert path(deployment)[-2:] == ["unknown", "succeeded"]


def test_a_late_holder_writes_nothing(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    rows = Job.objects.filter(pk=deployment.job().pk)
    first = queue.claim(rows, owner="slow", lease=timedelta(seconds=-1))[0]
    second = queue.claim(rows, owner="quick", lease=timedelta(minutes=5))[0]
    assert second.fence == first.fence + 1
    late = Visit(first, deployment.clock.now, deployment.clock.wait)
    entries = AuditEntry.objects.count()
    with pytest.raises(Conflict):
        late.move("stage")
    with pytest.raises(Conflict):
        late.write(ordered_at=deployment.clock.at)
    with pytest.raises(Conflict):
        late.renew()
    assert deployment.job().state == "claimed"
    assert AuditEntry.objects.filter(outcome="done").count() <= entries
    Visit(second, deployment.clock.now, deployment.clock.wait).move("stage")
    assert deployment.job().state == "staged"


def test_the_host_shuts_out_a_late_holder_too(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    job = deployment.job()
    deployment.simulator.start(Batch(orders=(order_for(job, fence=9),)))
    late = deployment.simulator.start(Batch(orders=(order_for(job, fence=3),)))
    assert late.jobs[0].answer.word == "stale"


def test_one_live_job_per_host_is_a_constraint(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    job = deployment.job()
    rollout = Rollout.objects.create(
        number="RO-2026-90000", release=deployment.release, manifest=deployment.manifest, executor="x", state="cancelled",
        planned_by=deployment.cast.rex, planned_at=deployment.clock.at, state_at=deployment.clock.at,
    )  # fmt: skip
    ring = Ring.objects.create(
        rollout=rollout, position=0, name="r", concurrency=1, failure_limit=1, success_percent=1, soak_seconds=0,
        state_at=deployment.clock.at,
    )  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(
            rollout=rollout, ring=ring, host=job.host, job_key="second", state="unknown", state_at=deployment.clock.at
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(
            rollout=job.rollout, ring=job.ring, host=job.host, job_key="third", state_at=deployment.clock.at
        )


def test_an_order_that_may_have_arrived_is_looked_for_before_anything_else(make: Make) -> None:
    """The worker died after the host took the order; a day later the window is shut, and the work is found and followed."""
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    job = deployment.job()
    Job.objects.filter(pk=job.pk).update(ordered_at=deployment.clock.at)
    deployment.simulator.start(Batch(orders=(order_for(job, fence=job.fence),)))
    deployment.pass_time(days=1)
    deployment.visit()
    assert deployment.states() == ["succeeded"]
    assert len(deployment.simulator.effects()) == 1


def test_an_order_that_never_arrived_asks_the_gates_again(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    Job.objects.filter(pk=deployment.job().pk).update(ordered_at=deployment.clock.at)
    deployment.pass_time(hours=8)
    deployment.visit()
    assert (deployment.job().state, deployment.job().code) == ("pending", "window")
    assert deployment.simulator.effects() == []


def test_a_person_cancels_one_host(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    deployment.start()
    deployment.tick()
    for number in (0, 1):
        jobs.cancel(
            job_id=deployment.job(number).pk, reason="owner called", actor=deployment.cast.otto, at=deployment.clock.at
        )
    assert deployment.states() == ["claimed", "cancelled"]
    deployment.visit(0)
    assert deployment.states() == ["cancelled", "cancelled"]
    assert deployment.simulator.effects() == []
    with pytest.raises(Conflict):
        jobs.cancel(job_id=deployment.job(0).pk, reason="again", actor=deployment.cast.otto, at=deployment.clock.at)
    with pytest.raises(NotAllowed):
        jobs.cancel(job_id=deployment.job(0).pk, reason="again", actor=deployment.cast.eve, at=deployment.clock.at)


def test_the_sweep_finds_what_a_lost_message_left(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    deployment.start()
    deployment.tick()
    assert jobs.sweep(now=deployment.clock.at) == 3
    assert advance.sweep(now=deployment.clock.at) == 1
    deployment.work()
    assert jobs.sweep(now=deployment.clock.at) == 0
    assert advance.sweep(now=deployment.clock.at) == 0


def test_both_doors_say_the_same_for_jobs(make: Make) -> None:
    """A transition fired on one row by either door leaves the same row and the same entry."""
    deployment = make(hosts=2)
    deployment.start()
    facts = {"statement": "s", "slip_key": "run"}
    one, many = deployment.job(0), deployment.job(1)
    workflow.fire(Job, one.pk, "claim", actor=deployment.cast.bot, at=deployment.clock.at, **facts)
    workflow.fire_many(
        Job.objects.filter(pk=many.pk),
        "claim",
        actor=deployment.cast.bot,
        at=deployment.clock.at,
        facts_of=lambda _j: facts,
    )
    one, many = deployment.job(0), deployment.job(1)
    shown = ("state", "statement", "slip_key", "claimed_at", "heard_at", "not_before")
    assert [getattr(one, f) for f in shown] == [getattr(many, f) for f in shown]
    entries = AuditEntry.objects.filter(verb="release.job.claimed")
    assert len({(e.before_state, e.after_state, *sorted(e.detail.items())) for e in entries}) == 1
    assert entries.count() == 2
