"""kill -9 of the worker at every named place, and at any moment: nothing lost, nothing done twice, nothing stuck.

The witness is the simulator's own ledger, which no killed process writes for us. Workers are processes of their own on a
database file of their own, so that what a dead one leaves behind is what the next one finds.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from patchflow.kernel import faults
from releases.domain import crews, rollouts, stagings, working
from releases.executors.base import PackageState
from releases.executors.simulator_plan import Habit
from releases.models import AcceptanceRun, Job, Release, Rollout, Staging  # noqa: F401  loaded before a process is forked
from tests.factories.rollouts import PACKAGE, Deployment

ROOT = Path(__file__).resolve().parents[3]
Make = Callable[..., Deployment]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.integration]

WELL = [
    "after_claim", "after_tick", "after_lease", "before_start", "after_start", "after_events", "before_stage", "after_stage",
    "before_install", "after_install", "before_verify", "after_verify", "after_observe", "before_succeed", "after_succeed",
    "before_release", "before_finish", "after_finish",
]  # fmt: skip
OUT_OF_SIGHT = ["before_lose", "after_lose", "after_look", "before_observe_succeeded", "after_observe_succeeded"]
CREW = [
    "after_leases", "before_give", "given", "after_give", "after_journals", "after_looks", "before_record", "after_record",
    "before_leave",
]  # fmt: skip
AHEAD = ["after_staging_leases", "before_staging", "staging_given", "staging_heard", "staging_recorded"]
ELSEWHERE = {"before_send", "after_send"}
"""Of notices: `tests/patchflow/notices/test_smtp.py` kills there."""


def around(*moves: str) -> list[str]:
    return [f"{side}_{move}" for move in moves for side in ("before", "after")]


def _unknown(deployment: Deployment) -> None:
    """Its only host has fallen silent while it installs."""
    deployment.habit(0, "lose")
    deployment.start()
    deployment.tick()
    assert deployment.visit() == "unknown"
    deployment.pass_time(minutes=1)
    deployment.habit(0, None)


def _furnished(deployment: Deployment, version: str, status: str = "installed") -> None:
    state = PackageState(name="openssl", arch="amd64", version=version, status=status)
    deployment.simulator.furnish(deployment.hosts[0].name, [state])


def _not_needed(deployment: Deployment) -> None:
    _furnished(deployment, PACKAGE["to"])
    deployment.start()


def _habit(habit: Habit) -> Callable[[Deployment], None]:
    def prepare(deployment: Deployment) -> None:
        deployment.habit(0, habit)
        deployment.start()

    return prepare


def _interrupted(deployment: Deployment) -> None:
    _unknown(deployment)
    _furnished(deployment, PACKAGE["to"], "half-configured")


def _otherwise(deployment: Deployment) -> None:
    _unknown(deployment)
    _furnished(deployment, "9.9-1")


def _never_seen(deployment: Deployment) -> None:
    _unknown(deployment)
    deployment.habit(0, "unreachable")
    deployment.pass_time(hours=25)


def _stopped(deployment: Deployment) -> None:
    rollout = deployment.start()
    deployment.tick()
    rollouts.stop(rollout_id=rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)


SCENES: dict[str, tuple[Callable[[Deployment], object], dict[str, Any], list[str]]] = {
    "restarts": (Deployment.start, {"profile": {"restart": "always"}}, around("restart")),
    "not needed": (_not_needed, {}, around("skip")),
    "fails": (_habit("fail"), {}, around("fail")),
    "refuses": (_habit("refuse"), {}, around("refuse")),
    "is not to be reached": (_habit("unreachable"), {}, around("release")),
    "vanishes": (_habit("vanish"), {}, around("lose", "observe_undone")),
    "was interrupted": (_interrupted, {}, ["before_recovery", "after_recovery"]),
    "shows something else": (_otherwise, {}, around("observe_failed")),
    "is never seen again": (_never_seen, {}, around("give_up")),
    "is stopped": (_stopped, {}, around("cancel")),
}
"""What becomes of one host: (how it begins, what is special about the deployment, places on that way)."""


@dataclass
class Yard:
    """A database file with a started deployment, and the simulator's ledger beside it; copied for each trial."""

    deployment: Deployment
    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "patchflow.sqlite3"

    def process(self, act: Callable[[], Any], *, fault: str = "", kill_after: float | None = None) -> tuple[int, Any]:
        """Runs `act` in a process of its own: (signal that ended it or 0, what it returned)."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._child(act, fault, writer)
        os.close(writer)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)
        with os.fdopen(reader) as pipe:
            said = pipe.read()
        _pid, status = os.waitpid(pid, 0)
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, said
        return (os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0), json.loads(said) if said else None

    def _child(self, act: Callable[[], Any], fault: str, writer: int) -> None:
        code = 0
        try:
            connections["default"].__dict__["connection"] = None  # the parent's stays the parent's
            connections["default"].settings_dict["NAME"] = str(self.database)
            self.deployment.simulator.ledger.path = self.folder / "hosts.sqlite3"
            os.environ["PATCHFLOW_FAULT"] = fault
            faults._passed.clear()
            said = json.dumps(act())
        except BaseException:
            code, said = 3, traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(code)

    def work(self, *, together: bool = False) -> dict[str, Any]:
        """What a worker does until nothing is left, and how things stand then. `together`: by crews."""
        self.deployment.clock.at = datetime.fromtimestamp(self.deployment.clock.at.timestamp() + 60, UTC)
        Job.objects.filter(lease_until__isnull=False).update(lease_until=datetime(2000, 1, 1, tzinfo=UTC))
        for _wait in range(6):  # what waits a minute before it is tried again is come back to
            self.deployment.work(together=together)
            if Rollout.objects.get().ended_at:
                break
            self.deployment.pass_time(minutes=5)
        return self.stand()

    def stand(self) -> dict[str, Any]:
        return {
            "states": self.deployment.states(),
            "rollout": Rollout.objects.get().state,
            "release": Release.objects.get().state,
            "attempts": sorted(Job.objects.values_list("attempt", flat=True)),
            "effects": sorted(e.address for e in self.deployment.simulator.effects()),
            "leases": Job.objects.filter(lease_until__isnull=False).count(),
        }

    def copy(self, folder: Path) -> Yard:
        shutil.copytree(self.folder, folder)
        return Yard(self.deployment, folder)


@pytest.fixture
def yard(make: Make, tmp_path: Path) -> Callable[..., Yard]:
    if connection.vendor != "sqlite":
        pytest.skip("each trial works on a copy of a database file")

    def run(prepare: Callable[[Deployment], object] = Deployment.start, **given: Any) -> Yard:
        deployment = make(**given)
        prepare(deployment)
        folder = tmp_path / "yard"
        folder.mkdir()
        with connection.cursor() as cursor:
            cursor.execute(f"VACUUM INTO '{folder / 'patchflow.sqlite3'}'")
        shutil.copy(deployment.simulator.ledger.path, folder / "hosts.sqlite3")
        return Yard(deployment, folder)

    return run


def all_well(yard: Yard) -> dict[str, Any]:
    hosts = [h.name for h in yard.deployment.hosts]
    return {
        "states": ["succeeded"] * len(hosts), "rollout": "completed", "release": "deployed", "attempts": [1] * len(hosts),
        "effects": sorted(hosts), "leases": 0,
    }  # fmt: skip


def trials(
    yard: Yard, points: list[str], tmp_path: Path, *, together: bool = False, wanted: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Fault → what was wrong after it; empty: all held. `wanted`: how things stand where nobody dies."""
    wrong: dict[str, Any] = {}
    for point in points:
        trial = yard.copy(tmp_path / point)
        act = functools.partial(trial.work, together=together)
        ended_by, _said = trial.process(act, fault=point)
        died = ended_by == signal.SIGKILL
        _ended_by, stand = trial.process(act)
        if not died or stand != (wanted or all_well(yard)):
            wrong[point] = {"died": died, **stand}
    return wrong


def test_a_worker_may_die_at_every_named_place(yard: Callable[..., Yard], tmp_path: Path) -> None:
    made = yard(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    assert trials(made, WELL, tmp_path) == {}


def test_a_crew_may_die_at_every_named_place(yard: Callable[..., Yard], tmp_path: Path) -> None:
    made = yard(hosts=3, rings=[{"hosts": 3, "concurrency": 2}])
    assert trials(made, CREW, tmp_path, together=True) == {}


def test_who_lays_files_ready_may_die_at_every_named_place(yard: Callable[..., Yard], tmp_path: Path) -> None:
    """Each host gets one order, whoever dies; nothing is installed, and the window's jobs find everything as it should be."""
    made = yard(hosts=2, window={"starts_local": clock_time(12, 42)}, profile={"stage_hours": 4})
    wrong: dict[str, Any] = {}
    for point in AHEAD:
        trial = made.copy(tmp_path / point)
        act = functools.partial(lay_ready, trial)
        ended_by, _said = trial.process(act, fault=point)
        _ended_by, stand = trial.process(act)
        if ended_by != signal.SIGKILL or stand != {"states": ["staged"] * 2, "orders": 2, "effects": 0, "leases": 0}:
            wrong[point] = {"died": ended_by, **stand}
    assert wrong == {}


def lay_ready(trial: Yard) -> dict[str, Any]:
    """What the scheduler and a worker do until no file is to be laid ready any more, and how things stand then."""
    clock = trial.deployment.clock
    clock.at = datetime.fromtimestamp(clock.at.timestamp() + 60, UTC)
    Staging.objects.filter(lease_until__isnull=False).update(lease_until=datetime(2000, 1, 1, tzinfo=UTC))
    for _turn in range(8):
        stagings.sweep(now=clock.at)
        stagings.run(ring_id=trial.deployment.ring().pk, owner="test", now=clock.now)
        clock.wait(15)
    with sqlite3.connect(trial.folder / "hosts.sqlite3") as ledger:
        orders = ledger.execute("select count(*) from jobs where said != ''").fetchone()[0]
    return {
        "states": sorted(Staging.objects.values_list("state", flat=True)),
        "orders": orders,
        "effects": len(trial.deployment.simulator.effects()),
        "leases": Staging.objects.filter(lease_until__isnull=False).count(),
    }


def test_a_worker_may_die_while_it_looks(yard: Callable[..., Yard], tmp_path: Path) -> None:
    made = yard(hosts=1, rings=[{"hosts": 1, "failure_limit": 2}])  # out of sight counts: a limit of one would halt
    made.deployment.habit(0, "lose")
    shutil.copy(made.deployment.simulator.ledger.path, made.folder / "hosts.sqlite3")
    assert trials(made, OUT_OF_SIGHT, tmp_path) == {}


@pytest.mark.parametrize("scene", SCENES)
def test_a_worker_may_die_whatever_becomes_of_the_host(scene: str, yard: Callable[..., Yard], tmp_path: Path) -> None:
    """Where a worker dies on that way, things stand in the end as where none dies."""
    prepare, given, points = SCENES[scene]
    made = yard(prepare, hosts=1, rings=[{"hosts": 1, "failure_limit": 2}], **given)
    undisturbed = made.copy(tmp_path / "undisturbed")
    _ended_by, stand = undisturbed.process(undisturbed.work)
    wrong = trials(made, points, tmp_path, wanted=stand)
    if scene == "is not to be reached":  # who dies before it is written that no order left leaves nobody who knows
        assert wrong.pop("before_release") == {"died": True, **stand, "states": ["unknown"]}
        assert stand["states"] == ["pending"]
    assert wrong == {}


def test_every_named_place_of_the_source_is_died_at() -> None:
    """`fault("…")` as it stands in the code, and around each move that a visit makes."""
    named, moves = set[str](), set[str]()
    for path in [p for app in ("releases", "patchflow", "changes", "cmdb") for p in (ROOT / app).rglob("*.py")]:
        text = path.read_text()
        named |= set(re.findall(r'fault\("(\w+)"\)', text))
        moves |= set(re.findall(r'\.move\(\s*"(\w+)"', text))
    moves |= {*crews.COURSE, *(name for _from, name, _to in working.STEPS)}
    assert 'fault(f"before_{name}")' in (ROOT / "releases/domain/visits.py").read_text()
    died_at = {
        *WELL,
        *OUT_OF_SIGHT,
        *CREW,
        *AHEAD,
        *(point for _prepare, _given, points in SCENES.values() for point in points),
    }
    assert died_at | ELSEWHERE == named | set(around(*moves))


def test_workers_killed_at_any_moment(yard: Callable[..., Yard], tmp_path: Path) -> None:
    """Seeded; each worker lives a small part of what one needs that is left alone. The last one is left alone."""
    made = yard(hosts=6, rings=[{"hosts": 2}, {"hosts": 4, "concurrency": 2}])
    undisturbed = made.copy(tmp_path / "undisturbed")
    began = time.monotonic()
    _ended_by, stand = undisturbed.process(undisturbed.work)
    whole = time.monotonic() - began
    assert stand == all_well(made)

    chance = random.Random(20261118)
    ends = []
    for _worker in range(15):
        ended_by, _said = made.process(made.work, kill_after=chance.uniform(0.02, 0.2) * whole)
        ends.append(ended_by)
        made.deployment.pass_time(minutes=2)  # a worker's clock dies with it; time itself never goes back
    _ended_by, stand = made.process(made.work)
    assert stand == all_well(made)
    assert ends.count(signal.SIGKILL) >= 5, "the kills came too late to show anything"
