"""Two workers at once, in processes of their own, on PostgreSQL: one effect per host, no deadlock, no row twice."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable

import pytest
from django.db import connections, transaction

from patchflow.kernel import workflow
from releases.domain import advance, jobs
from releases.models import Job, JobEvent, PermissionSlip, Ring, Rollout
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.pg]


def at_once(workers: int, act: Callable[[int], None]) -> list[str]:
    """Runs `act` in so many processes at once; what went wrong in each, if anything."""
    children = []
    connections.close_all()
    for number in range(workers):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            said = ""
            try:
                act(number)
            except BaseException:
                said = traceback.format_exc()
            os.write(writer, said.encode()[:60000])
            os._exit(0)
        os.close(writer)
        children.append((pid, reader))
    found = []
    for pid, reader in children:
        with os.fdopen(reader) as pipe:
            found.append(pipe.read())
        os.waitpid(pid, 0)
    return [said for said in found if said]


def test_four_workers_advance_and_run_the_same_rollout(make: Make) -> None:
    deployment = make(hosts=12, rings=[{"hosts": 2}, {"hosts": 10, "concurrency": 5}])
    deployment.start()

    def act(_number: int) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            advance.advance(rollout_id=deployment.rollout.pk, now=deployment.clock.at)
            for pk in Job.objects.filter(jobs.DUE).values_list("pk", flat=True):
                jobs.run(job_id=pk, owner=f"worker {_number}", now=deployment.clock.now, wait=deployment.clock.wait)
            deployment.clock.wait(1)
            if Rollout.objects.get().state == "completed":
                return

    assert at_once(4, act) == []
    assert deployment.states() == ["succeeded"] * 12
    assert Rollout.objects.get().state == "completed"
    assert sorted(e.address for e in deployment.simulator.effects()) == sorted(h.name for h in deployment.hosts)
    assert PermissionSlip.objects.filter(job__isnull=False, verdict="run").count() == 12


def test_a_job_is_visited_by_one_worker_at_a_time(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.tick()
    pk = deployment.job().pk

    def act(_number: int) -> None:
        jobs.run(job_id=pk, owner=f"worker {_number}", now=deployment.clock.now, wait=deployment.clock.wait)

    assert at_once(6, act) == []
    assert len(deployment.simulator.effects()) <= 1
    assert Job.objects.get().fence >= 1


def test_who_writes_a_journal_and_waits_for_the_ring_keeps_nobody_from_its_job(make: Make) -> None:
    """A crew copies journals in before it takes the ring; a person who cancels one of its jobs holds the ring and takes the job."""
    deployment = make(hosts=2)
    deployment.start()
    job, ring = deployment.job(), deployment.ring()

    def act(number: int) -> None:
        with transaction.atomic():
            if number == 0:
                workflow.lock(Ring, ring.pk)
                time.sleep(0.6)
                workflow.lock(Job, job.pk)
                return
            time.sleep(0.3)
            JobEvent.objects.create(job=job, attempt=1, seq=1, at=deployment.clock.at, stage="staged")
            workflow.lock(Ring, ring.pk)

    assert at_once(2, act) == []
    assert JobEvent.objects.count() == 1
