"""Visits to many jobs together: what a single visit does with one of them, by one call and one transaction for all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cmdb.models import ScanRun
from patchflow.kernel import audit, queue, registry
from patchflow.kernel.models import AuditEntry
from releases.domain import crews, jobs, rollouts
from releases.domain.crews import Crew, work_together
from releases.domain.visits import told
from releases.domain.working import work
from releases.executors.base import JobResult, PackageState, Stage
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_plan import HABITS, Habit, Habits
from releases.models import Job, JobEvent, PermissionSlip, Ring
from tests.factories.people import Cast
from tests.factories.rollouts import PACKAGE, Deployment
from tests.factories.steps import service_steps

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


@dataclass
class Counted:
    """An executor that counts how often it is asked."""

    behind: Any
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.behind, name)
        if name not in ("start", "events", "observe", "observe_all", "cancel"):
            return found

        def ask(*given: Any, **more: Any) -> Any:
            self.calls.append(name)
            return found(*given, **more)

        return ask


def _stand(deployment: Deployment) -> list[Any]:
    """All that a visit leaves of each host, without what names the one deployment."""
    found = []
    for number, host in enumerate(deployment.hosts):
        job = deployment.job(number)
        trail = AuditEntry.objects.filter(object_type="releases.job", object_id=str(job.pk), outcome="done")
        steps = [(e.verb, e.before_state, e.after_state, sorted(e.detail)) for e in trail.order_by("id")]
        journal = list(
            JobEvent.objects.filter(job=job).order_by("attempt", "seq").values_list("seq", "stage", "message")
        )
        slips = [
            (slip.verdict, re.sub(r"window \d+", "window", slip.statement))
            for slip in PermissionSlip.objects.filter(job=job).order_by("pk")
        ]
        effects = [e.to_version for e in deployment.simulator.effects() if e.address == host.name]
        seen = job.result.get("seen", {}).get("verdict")
        own = job.result.get("own", {}).get("outcome")
        found.append((
            host.name, job.state, job.attempt, job.code, job.lease_until, job.lease_owner, steps, journal, slips, effects, seen, own,
            ScanRun.objects.filter(results__host=host).exists(),
        ))  # fmt: skip
    return found


def undone(act: Callable[[], Any]) -> Any:
    """What `act` found, its rows taken back: the next one begins with the same."""
    with transaction.atomic():
        found = act()
        transaction.set_rollback(True)
    return found


def test_visits_together_leave_what_visits_one_by_one_leave(make: Make, cast: Cast, now: datetime) -> None:
    """A host of each habit, one where nothing is needed, one that must be restarted by the profile: the same rows, the same
    entries, the same journal, whether ten are visited by one worker or each by its own."""
    habits: list[Habit | None] = [*(h for h in HABITS if h != "slow"), None, None]
    steps = service_steps(cast, now)

    def stand(together: bool) -> list[Any]:
        ring = {"hosts": len(habits), "concurrency": len(habits), "failure_limit": 99, "success_percent": 1}
        deployment = make(hosts=len(habits), rings=[ring], steps=steps)
        for number, habit in enumerate(habits):
            deployment.habit(number, habit)
        there = PackageState(name=PACKAGE["name"], arch=PACKAGE["arch"], version=PACKAGE["to"], status="installed")
        deployment.simulator.furnish(deployment.hosts[-1].name, [there])
        deployment.start()
        deployment.work(together=together, turns=6)
        return _stand(deployment)

    one_by_one, all_together = (undone(lambda together=way: stand(together)) for way in (False, True))
    assert [row[1] for row in one_by_one] == [
        "succeeded", "installing", "failed", "failed", "succeeded", "undone", "refused", "pending", "succeeded", "pending",
        "failed", "failed", "succeeded", "not_needed",
    ]  # fmt: skip
    for single, crew in zip(one_by_one, all_together, strict=True):
        assert crew[1:] == single[1:]


def test_the_executor_is_asked_as_often_for_forty_hosts_as_for_four(make: Make) -> None:
    def asked(number: int) -> tuple[int, float]:
        deployment = make(hosts=number, rings=[{"hosts": number, "concurrency": number, "soak_seconds": 3600}])
        counted = Counted(deployment.simulator)
        registry.executors._items[deployment.release.executor] = counted
        deployment.start()
        deployment.tick()
        ids = list(Job.objects.filter(rollout=deployment.rollout).values_list("pk", flat=True))
        with CaptureQueriesContext(connection) as queries:
            assert jobs.run_many(job_ids=ids, owner="t", now=deployment.clock.now, wait=deployment.clock.wait) == number
        assert deployment.states() == ["succeeded"] * number
        assert len(deployment.simulator.effects()) == number
        return counted.calls.count("start"), len(queries) / counted.calls.count("events")

    few, many = undone(lambda: asked(4)), undone(lambda: asked(40))
    assert few[0] == many[0] == 1
    assert many[1] <= few[1] * 1.5


def test_crews_that_came_apart_come_together_again(make: Make) -> None:
    """A message for one host takes what else is free of its ring, and of no other; not what somebody holds or what waits."""
    deployment = make(hosts=6, rings=[{"hosts": 5, "concurrency": 5}, {"hosts": 1}])
    deployment.start()
    deployment.tick()
    ids = [deployment.job(n).pk for n in range(6)]
    queue.claim(Job.objects.filter(pk=ids[1]), owner="other", lease=timedelta(minutes=5))
    Job.objects.filter(pk=ids[2]).update(not_before=timezone.now() + timedelta(hours=1))
    Job.objects.filter(pk=ids[5]).update(state="claimed")

    def visit(*pks: int) -> int:
        return jobs.run_many(job_ids=pks, owner="t", now=deployment.clock.now, wait=deployment.clock.wait)

    assert visit(ids[1]) == 0, "a message for what somebody holds keeps nobody"
    assert visit(ids[4]) == 3
    assert deployment.states() == ["succeeded", "claimed", "claimed", "succeeded", "succeeded", "claimed"]


def test_a_crew_takes_the_longest_unheard_and_no_more_than_its_size(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CREW", 3)
    deployment = make(hosts=5, rings=[{"hosts": 5, "concurrency": 5}])
    deployment.start()
    deployment.tick()
    ids = [deployment.job(n).pk for n in range(5)]
    for n, minutes in ((0, 1), (1, 3), (2, 2), (3, 4)):
        Job.objects.filter(pk=ids[n]).update(heard_at=timezone.now() - timedelta(minutes=minutes))
    assert {claim.pk for claim in jobs._hold([ids[0]], "t")} == {ids[0], ids[4], ids[3]}


@dataclass
class DiesAtTheSecondLook(Counted):
    """An executor whose worker dies as it looks at hosts for the second time."""

    def __getattr__(self, name: str) -> Any:
        if name == "observe_all" and self.calls.count(name) == 1:
            raise KeyboardInterrupt
        return super().__getattr__(name)


def test_a_worker_that_dies_between_two_slices_keeps_what_it_has_recorded(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first slice with a success recorded stays, and the next visit goes on from there."""
    monkeypatch.setattr(crews, "SLICE", 1)
    monkeypatch.setattr(crews, "QUICK", 0.0)
    deployment = make(hosts=5, rings=[{"hosts": 5, "concurrency": 5}])
    deployment.simulator.habits = Habits(
        staging=(1, 1), installing=(2, 2), restarting=(3, 3), verifying=(1, 1)
    )  # all as one
    deployment.start()
    deployment.tick()
    ids = [deployment.job(n).pk for n in range(5)]
    registry.executors._items[deployment.release.executor] = DiesAtTheSecondLook(deployment.simulator)
    with pytest.raises(KeyboardInterrupt):
        jobs.run_many(job_ids=ids, owner="t", now=deployment.clock.now, wait=deployment.clock.wait)
    assert deployment.states().count("succeeded") == 1
    registry.executors._items[deployment.release.executor] = deployment.simulator
    Job.objects.filter(pk__in=ids).update(lease_until=None)
    deployment.work(together=True)
    assert deployment.states() == ["succeeded"] * 5
    assert len(deployment.simulator.effects()) == 5


def test_a_crew_whose_lease_was_taken_over_writes_nothing(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    deployment.start()
    deployment.tick()
    rows = Job.objects.filter(rollout=deployment.rollout)
    late = queue.claim(rows, owner="late", lease=timedelta(seconds=-1), limit=3)
    crew = Crew(late, deployment.clock.now, deployment.clock.wait)
    quick = queue.claim(rows.filter(pk=late[0].pk), owner="quick", lease=timedelta(minutes=5))
    assert len(quick) == 1
    work_together(crew, work)
    assert deployment.states() == ["claimed", "succeeded", "succeeded"]
    assert [e.address for e in deployment.simulator.effects()] == [h.name for h in deployment.hosts[1:]]
    assert Job.objects.get(pk=late[0].pk).lease_owner == "quick"


def test_orders_that_may_have_arrived_are_looked_for_together(make: Make) -> None:
    """A worker died after two of three hosts took the order; nothing is ordered twice, the third is ordered now."""
    from releases.domain.orders import order_for
    from releases.executors.base import Batch

    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    deployment.start()
    deployment.tick()
    ids = [deployment.job(n).pk for n in range(3)]
    Job.objects.filter(pk__in=ids).update(ordered_at=deployment.clock.at)
    taken = tuple(order_for(deployment.job(n), fence=deployment.job(n).fence) for n in (0, 1))
    deployment.simulator.start(Batch(orders=taken))
    jobs.run_many(job_ids=ids, owner="t", now=deployment.clock.now, wait=deployment.clock.wait)
    assert deployment.states() == ["succeeded"] * 3
    assert len(deployment.simulator.effects()) == 3


def test_a_stop_reaches_a_crew_before_and_after_its_orders(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    deployment.start()
    deployment.tick()
    ids = [deployment.job(n).pk for n in range(3)]
    waits: list[float] = []

    def wait(seconds: float) -> None:
        if not waits:
            rollouts.stop(
                rollout_id=deployment.rollout.pk, reason="smoke", actor=deployment.cast.otto, at=deployment.clock.at
            )
        waits.append(seconds)
        deployment.clock.wait(seconds)

    deployment.habit(0, "slow")  # still fetches its files when it is told
    (other,) = queue.claim(Job.objects.filter(pk=ids[2]), owner="other", lease=timedelta(minutes=5))
    jobs.run_many(job_ids=ids[:2], owner="t", now=deployment.clock.now, wait=wait)
    queue.release(Job, other)
    jobs.run_many(job_ids=ids[2:], owner="t", now=deployment.clock.now, wait=deployment.clock.wait)
    deployment.work(together=True)
    assert deployment.states()[0] == deployment.states()[2] == "cancelled"
    assert deployment.rollout.state == "stopped"
    assert len(deployment.simulator.effects()) <= 1


@pytest.mark.parametrize("code", [1.5, 1.0, 2**70, -(2**64), 7, "NUL \x00", "a,1.5e3", "lone \ud800"], ids=repr)
def test_what_a_host_tells_amiss_keeps_no_crew_from_its_work(code: Any, cast: Cast, now: datetime) -> None:
    """It is kept as JSON that every entry and every column takes."""
    kept = told(
        JobResult(
            outcome=Stage.SUCCEEDED,
            code=code,
            packages=(PackageState(name="a", arch="all", version="1", status="installed"),),
        )
    )
    assert (kept["own"]["outcome"], kept["own"]["packages"][0]["name"]) == ("succeeded", "a")
    assert type(kept["own"]["code"]) is (int if isinstance(code, int) else str)
    audit.record(audit.named("x"), "release.job.succeeded", actor=cast.ann, at=now, detail={"result": kept})


def _not_waited_for(queries: CaptureQueriesContext) -> int:
    return len([q for q in queries if "synchronous_commit" in q["sql"]])


@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_a_crew_waits_for_the_disk_before_it_orders_and_not_for_what_it_hears(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    with CaptureQueriesContext(connection) as queries:
        deployment.start()
    assert _not_waited_for(queries) == 0, "what a person was told is done is on the disk"
    with CaptureQueriesContext(connection) as queries:
        deployment.tick()
    assert _not_waited_for(queries) == 1
    said: list[int] = []
    start = SimulatorExecutor.start

    def given(self: SimulatorExecutor, batch: Any) -> Any:
        said.append(_not_waited_for(queries))
        return start(self, batch)

    monkeypatch.setattr(SimulatorExecutor, "start", given)
    with CaptureQueriesContext(connection) as queries:
        deployment.work(together=True)
    assert set(deployment.states()) == {"succeeded"}
    assert said == [0], "whatever was written before an order was given is on the disk"
    assert _not_waited_for(queries) >= 1


@pytest.mark.parametrize("name", ["halt", "pause", "stop", "ring"])
def test_what_stands_still_between_a_lease_and_its_order_is_ordered_nothing(
    name: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gates are asked at the moment of acting, whatever was let through before."""
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}])
    counted = Counted(deployment.simulator)
    registry.executors._items[deployment.release.executor] = counted
    deployment.start()
    deployment.tick()
    at, who, pk = deployment.clock.at, deployment.cast, deployment.rollout.pk

    def meanwhile(point: str) -> None:
        if point != "after_leases":
            return
        match name:
            case "halt":
                rollouts.halt(rollout_id=pk, cause="smoke", actor=who.otto, at=at)
            case "pause":
                rollouts.pause(rollout_id=pk, reason="smoke", actor=who.otto, at=at)
            case "stop":
                rollouts.stop(rollout_id=pk, reason="smoke", actor=who.otto, at=at)
            case "ring":
                Ring.objects.filter(rollout=pk).update(state="failed")

    monkeypatch.setattr(jobs, "fault", meanwhile)
    ids = [deployment.job(n).pk for n in range(2)]
    jobs.run_many(job_ids=ids, owner="t", now=deployment.clock.now, wait=deployment.clock.wait)
    assert "start" not in counted.calls
    assert set(deployment.states()) <= {"pending", "cancelled"}
