"""Dispatching and recording a rollout of thousands of simulated hosts, against Celery's own rate of tasks that do nothing.

The same broker, the same worker processes, the same run: the peer's messages lie in their queue before the workers may
take them. Every host passes all its gates twice, its order, its journal, its verification by a look, its entries.

    PATCHFLOW_DATABASE_URL=postgres://… .venv/bin/python -m pytest tests/bench/test_dispatch.py -q -s -p no:xdist -o norecursedirs=
"""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db.models import Max, Min

from patchflow.kernel import trail
from patchflow.kernel.models import AuditEntry
from releases.domain import rollouts
from releases.domain.advance import CREW
from releases.executors.simulator_journal import read_journal
from releases.models import Job, JobEvent, PermissionSlip, Rollout
from tests.bench.tasks import QUEUE
from tests.bench.works import PROCESSES, Works, planned, take, until, working
from tests.factories.people import make_cast

HOSTS = int(os.environ.get("PATCHFLOW_BENCH_DISPATCH", "5000"))
PER_SECOND, TIMES_PEER = 2000, 2.0
ENTRIES = ("claimed", "staged", "installing", "verifying", "succeeded")
STAGES = ("accepted", "staged", "installing", "verifying", "succeeded")
pytestmark = [pytest.mark.pg, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


def _peer(works: Works, number: int) -> float:
    """Tasks a second that do nothing, from the moment on at which the first are done: workers hear late that they may begin."""
    for n in range(number):
        works.send("tests.bench.tasks.nothing", QUEUE, number=n)
    take(works)
    while (left := works.waiting(QUEUE)) == number:
        time.sleep(0.002)
    began = time.perf_counter()
    works.until_done(QUEUE)
    rate = left / (time.perf_counter() - began)
    works.celery.control.cancel_consumer(QUEUE, reply=True, timeout=5)
    return rate


def test_a_rollout_is_dispatched_and_recorded_at_twice_the_peers_rate(capsys: Any) -> None:
    cast = make_cast()
    rollout = planned(cast, HOSTS)
    with working() as works:
        before = _peer(works, HOSTS)
        used = works.processor_seconds()
        rollouts.start(release_id=rollout.release_id, actor=cast.rex, at=datetime.now(UTC))
        works.send(rollouts.ADVANCE, "exec", rollout_id=rollout.pk)
        ended = Job.objects.filter(rollout=rollout, ended_at__isnull=False)
        until(lambda: ended.count() == HOSTS, works, pause=0.5)  # the rate is of what the rows say: asking costs, too
        spent = {name: now - used.get(name, 0) for name, now in works.processor_seconds().items()}
        until(lambda: Rollout.objects.get(pk=rollout.pk).state == "completed", works)
        after = _peer(works, HOSTS)
        journal = Counter(line[0] for line in read_journal(works.folder / "journal"))
    span = Job.objects.filter(rollout=rollout).aggregate(first=Min("claimed_at"), last=Max("ended_at"))
    rate = HOSTS / (span["last"] - span["first"]).total_seconds()
    peer = max(before, after)
    with capsys.disabled():
        print(
            f"\n{HOSTS:,} hosts, {PROCESSES} worker processes, messages of {CREW} jobs: {rate:,.0f} hosts/s dispatched and recorded"
            f"\nCelery's own tasks that do nothing: {before:,.0f}/s before, {after:,.0f}/s after; ratio {rate / peer:.2f}"
            f"\nprocessor time a host: " + ", ".join(f"{n} {s / HOSTS * 1000:.2f} ms" for n, s in spent.items())
        )
    _nothing_is_missing(rollout, journal)
    assert rate >= TIMES_PEER * peer
    assert rate >= PER_SECOND


def _nothing_is_missing(rollout: Rollout, journal: Counter[str]) -> None:
    """Every host has its states, entries, slip, journal and result; the hosts' own witness says once each."""
    jobs = Job.objects.filter(rollout=rollout)
    assert Counter(jobs.values_list("state", flat=True)) == {"succeeded": HOSTS}
    assert all(job["seen"]["verdict"] == "succeeded" for job in jobs.values_list("result", flat=True))
    entries = AuditEntry.objects.filter(object_type="releases.job", outcome="done")
    assert Counter(entries.values_list("after_state", flat=True)) == dict.fromkeys(ENTRIES, HOSTS)
    events = JobEvent.objects.filter(job__rollout=rollout)
    assert Counter(events.values_list("stage", flat=True)) == dict.fromkeys(STAGES, HOSTS)
    slips = PermissionSlip.objects.filter(rollout=rollout, job__isnull=False)
    assert Counter(slips.values_list("verdict", flat=True)) == {"run": HOSTS}
    assert (journal["order"], journal["effect"]) == (HOSTS, HOSTS)
    assert trail.verify().faults == []
