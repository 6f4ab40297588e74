"""The simulator keeps the same promises as a real executor, and its ledger tells what was really done."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import Unreachable
from releases.executors.base import (
    Action,
    Batch,
    JobOrder,
    ObserveSpec,
    PackageChange,
    PackageState,
    RestartPolicy,
    Stage,
    Verdict,
)
from releases.executors.simulator import SimulatorExecutor, simulated_artifact
from releases.executors.simulator_client import SimulatorClient
from releases.executors.simulator_journal import JournalLedger
from releases.executors.simulator_plan import Habit, Habits
from tests.fakes.simulator import served

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
CHANGE = PackageChange(name="openssl", arch="amd64", from_version="3.0.20", to_version="3.0.22")


Simulator = SimulatorExecutor | SimulatorClient


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["file", "process"])
def simulator(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Simulator]:
    """The same promises by the file inside a worker, and by the process behind a socket."""
    if request.param == "file":
        yield SimulatorExecutor(tmp_path / "ledger.sqlite", clock=clock, seed=1)
        return
    with served(JournalLedger(tmp_path / "hosts.journal"), clock, seed=1) as where:
        yield SimulatorClient(where)


def order(key: str = "JOB-1.1", host: str = "web01", **more: object) -> JobOrder:
    plain = JobOrder(
        job_key=key,
        fence=1,
        endpoint=Endpoint(address=host),
        action=Action.INSTALL,
        packages=(CHANGE,),
        artifacts=(simulated_artifact(CHANGE),),
    )
    return replace(plain, **more)


def word(simulator: Simulator, one: JobOrder) -> str:
    return simulator.start(Batch(orders=(one,))).jobs[0].answer.word


def verdict(simulator: Simulator, one: JobOrder) -> Verdict:
    spec = ObserveSpec(endpoint=one.endpoint, job_key=one.job_key, action=one.action, packages=one.packages)
    return simulator.observe(spec).verdict


def test_job_goes_through_its_stages_as_time_passes(simulator: Simulator, clock: Clock) -> None:
    handle = simulator.start(Batch(orders=(order(restart=RestartPolicy(mode="always")),)))
    assert [event.stage for event in simulator.events(handle)[0].events] == [Stage.ACCEPTED]
    assert verdict(simulator, order()) is Verdict.RUNNING

    clock.forward(60)
    progress = simulator.events(handle)[0]

    assert [event.stage.value for event in progress.events] == [
        "accepted", "staged", "installing", "restarting", "verifying", "succeeded",
    ]  # fmt: skip
    assert all("simulator" in event.message for event in progress.events)
    assert progress.result is not None
    assert (progress.result.outcome, progress.result.restarted) == (Stage.SUCCEEDED, True)
    assert progress.result.packages == (
        PackageState(name="openssl", arch="amd64", version="3.0.22", status="installed"),
    )
    assert simulator.events(handle, after={"JOB-1.1": 4})[0].events == progress.events[4:]
    assert verdict(simulator, order()) is Verdict.SUCCEEDED


def test_same_order_again_is_done_once_also_by_another_process(
    simulator: Simulator, clock: Clock, tmp_path: Path
) -> None:
    assert word(simulator, order()) == "accepted"
    again: Simulator = SimulatorExecutor(tmp_path / "ledger.sqlite", clock=clock, seed=1)
    if isinstance(simulator, SimulatorClient):
        again = SimulatorClient(simulator.where)
    assert word(again, order()) == "already"
    assert word(again, order(fence=2)) == "already"
    assert word(again, order(fence=1)) == "stale"
    assert word(again, order(fence=2, packages=())) == "different"

    clock.forward(60)
    assert word(again, order(fence=2)) == "already"
    assert Counter(effect.job_key for effect in again.effects()) == {"JOB-1.1": 1}


def test_two_jobs_on_one_host_do_not_meet(simulator: Simulator, clock: Clock) -> None:
    assert word(simulator, order()) == "accepted"
    assert word(simulator, order("JOB-2.1")) == "busy"
    assert word(simulator, order("JOB-3.1", host="web02")) == "accepted"
    clock.forward(60)
    assert word(simulator, order("JOB-2.1")) == "accepted"
    clock.forward(60)
    assert verdict(simulator, order("JOB-2.1")) is Verdict.SUCCEEDED
    assert len(simulator.effects()) == 2


@pytest.mark.parametrize(
    ("habit", "outcome", "found", "changed"),
    [
        ("well", Stage.SUCCEEDED, Verdict.SUCCEEDED, 1),
        ("fail", Stage.FAILED, Verdict.FAILED, 1),
        ("lie", Stage.SUCCEEDED, Verdict.FAILED, 0),
        ("lose", None, Verdict.SUCCEEDED, 1),
        ("vanish", None, Verdict.UNDONE, 0),
        ("refuse", Stage.REFUSED, Verdict.UNDONE, 0),
    ],
)
def test_habits_and_what_looking_finds(
    simulator: Simulator, clock: Clock, habit: Habit, outcome: Stage | None, found: Verdict, changed: int
) -> None:
    simulator.switch("web01", habit)
    handle = simulator.start(Batch(orders=(order(),)))
    clock.forward(120)

    progress = simulator.events(handle)[0]

    assert (progress.result and progress.result.outcome) == outcome
    assert progress.alive is False
    assert verdict(simulator, order()) is found
    assert len(simulator.effects(job_key="JOB-1.1")) == changed


def test_slow_job_is_still_at_it(simulator: Simulator, clock: Clock) -> None:
    simulator.switch("web01", "slow")
    handle = simulator.start(Batch(orders=(order(),)))
    clock.forward(30)
    assert simulator.events(handle)[0].alive
    clock.forward(300)
    assert verdict(simulator, order()) is Verdict.SUCCEEDED


def test_unreachable_host_answers_nothing_until_it_is_back(simulator: Simulator, clock: Clock) -> None:
    handle = simulator.start(Batch(orders=(order(),)))
    simulator.switch("web01", "unreachable")
    clock.forward(60)
    assert simulator.events(handle)[0].reachable is False
    assert word(simulator, order("JOB-9.1")) == "unreachable"
    assert [answer.word for answer in simulator.cancel(handle)] == ["unreachable"]
    with pytest.raises(Unreachable, match="simulator"):
        verdict(simulator, order())
    simulator.switch("web01", None)
    assert verdict(simulator, order()) is Verdict.SUCCEEDED


def test_cancel_before_during_and_after(simulator: Simulator, clock: Clock) -> None:
    first = simulator.start(Batch(orders=(order(),)))
    assert [answer.word for answer in simulator.cancel(first)] == ["cancelled"]
    clock.forward(60)
    progress = simulator.events(first)[0]
    assert progress.result is not None
    assert (progress.result.outcome, simulator.effects()) == (Stage.CANCELLED, [])

    second = simulator.start(Batch(orders=(order("JOB-2.1"),)))
    while Stage.INSTALLING not in [event.stage for event in simulator.events(second)[0].events]:
        clock.forward(0.5)
    assert [answer.word for answer in simulator.cancel(second)] == ["too_late"]
    clock.forward(60)
    assert [answer.word for answer in simulator.cancel(second)] == ["ended"]
    assert len(simulator.effects(job_key="JOB-2.1")) == 1


def test_cancelled_order_that_arrives_later_does_not_run(simulator: Simulator, clock: Clock) -> None:
    assert [answer.word for answer in simulator.cancel(simulator.attach([order()]))] == ["cancelled"]
    handle = simulator.start(Batch(orders=(order(),)))
    clock.forward(60)
    progress = simulator.events(handle)[0]
    assert progress.result is not None
    assert (progress.result.outcome, simulator.effects()) == (Stage.CANCELLED, [])


def test_not_needed_where_it_is_already_and_rollback_goes_back(simulator: Simulator, clock: Clock) -> None:
    simulator.furnish("web01", [PackageState(name="openssl", arch="amd64", version="3.0.22", status="installed")])
    handle = simulator.start(Batch(orders=(order(),)))
    clock.forward(60)
    result = simulator.events(handle)[0].result
    assert result is not None
    assert (result.outcome, simulator.effects()) == (Stage.NOT_NEEDED, [])

    back = replace(CHANGE, from_version="3.0.22", to_version="3.0.20")
    handle = simulator.start(Batch(orders=(order("JOB-2.1", action=Action.ROLLBACK, packages=(back,)),)))
    clock.forward(60)
    assert [(e.from_version, e.to_version) for e in simulator.effects()] == [("3.0.22", "3.0.20")]


def test_same_seed_same_course_and_rates_are_kept(tmp_path: Path, clock: Clock) -> None:
    def outcomes(name: str, seed: int) -> list[str]:
        habits = Habits(rates={"fail": 0.2, "lose": 0.1})
        simulator = SimulatorExecutor(tmp_path / name, clock=clock, seed=seed, habits=habits)
        orders = tuple(order(f"JOB-{n}.1", host=f"h{n}") for n in range(200))
        handle = simulator.start(Batch(orders=orders))
        clock.forward(300)
        return [str(p.result.outcome) if p.result else "silent" for p in simulator.events(handle)]

    first, again, other = outcomes("a", 7), outcomes("b", 7), outcomes("c", 8)

    assert first == again
    assert first != other
    counted = Counter(first)
    assert 20 <= counted["failed"] <= 60
    assert 8 <= counted["silent"] <= 35


def test_hosts_without_a_ledger_do_again_what_comes_again(simulator: Simulator, clock: Clock) -> None:
    simulator.switch("web01", "forget")
    handle = simulator.start(Batch(orders=(order(),)))
    assert simulator.events(handle)[0].known is False
    assert word(simulator, order()) == "busy", "the package manager runs"
    clock.forward(60)
    assert verdict(simulator, order()) is Verdict.SUCCEEDED, "the package database remembers"
    simulator.furnish("web01", [PackageState(name="openssl", arch="amd64", version="3.0.20", status="installed")])
    assert word(simulator, order()) == "accepted"
    clock.forward(60)
    assert len(simulator.effects()) == 2


def test_many_hosts_are_seen_together_and_those_away_say_so(simulator: Simulator, clock: Clock) -> None:
    orders = tuple(order(f"JOB-{n}.1", host=f"h{n}") for n in range(3))
    simulator.start(Batch(orders=orders))
    clock.forward(60)
    simulator.switch("h1", "unreachable")
    specs = [ObserveSpec(endpoint=o.endpoint, job_key=o.job_key, action=o.action, packages=o.packages) for o in orders]
    seen = simulator.observe_all(specs)
    assert [getattr(one, "verdict", None) for one in seen] == [Verdict.SUCCEEDED, None, Verdict.SUCCEEDED]
    assert isinstance(seen[1], Unreachable)


def test_dry_run_knows_what_is_furnished(simulator: Simulator) -> None:
    simulator.furnish("web01", [PackageState(name="openssl", arch="amd64", version="3.0.20", status="installed")])

    plan = simulator.dry_run(Endpoint(address="web01"), [("openssl", "3.0.22")])

    assert plan.changes == (CHANGE,)
    assert plan.artifacts == (simulated_artifact(CHANGE),)
