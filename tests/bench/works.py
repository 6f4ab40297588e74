"""Broker, simulator and workers as processes of their own, for figures of a whole Patchflow on the test's database."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from django.db import connection

from patchflow.kernel.embedded import Child, broker_command, broker_urls, wait_for_socket
from releases.domain import rollouts
from releases.models import Rollout
from tests.bench.tasks import QUEUE
from tests.factories.people import Cast
from tests.faults.yard import make_yard

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 2
"""Worker processes: as many as there are cores, for Patchflow and for its peer alike."""


@dataclass
class Works:
    """What runs; `celery` sends to its broker, `redis` looks into it."""

    folder: Path
    celery: Celery
    redis: Any
    children: dict[str, Child]

    def waiting(self, queue: str) -> int:
        """Messages of a queue, and those that a worker has taken and not yet done."""
        return int(self.redis.llen(queue)) + int(self.redis.hlen("unacked"))

    def send(self, task: str, queue: str, **ids: Any) -> None:
        self.celery.send_task(task, kwargs=ids, queue=queue)

    def until_done(self, queue: str, seconds: float = 300) -> None:
        """Until no message of the queue is left to do."""
        end = time.monotonic() + seconds
        while self.waiting(queue):
            assert time.monotonic() < end, f"{self.waiting(queue)} messages of {queue} are left"
            time.sleep(0.01)

    def processor_seconds(self) -> dict[str, float]:
        """What each process and those it started have used of the processors so far, the database's backends as one."""
        found = {name: _used(child.process.pid) for name, child in self.children.items() if child.process}
        with connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
            found["database"] = sum(_used(pid) for (pid,) in cursor.fetchall())
        return found


def _used(pid: int) -> float:
    """Seconds of one process and its children; nothing of one that is on another machine."""
    total = 0.0
    with contextlib.suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += _used(int(child))
    return total


@contextlib.contextmanager
def working() -> Iterator[Works]:
    """Broker, simulator and workers, for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="pfb-"))  # short: a socket's path stays below 108 bytes
    base, _slash, _name = os.environ["PATCHFLOW_DATABASE_URL"].rpartition("/")
    environment = os.environ | broker_urls(folder / "broker.sock") | {
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "PATCHFLOW_DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}",
        "PATCHFLOW_SIMULATOR": str(folder / "simulator.sock"),
        "PATCHFLOW_VAR": str(folder),
        "PATCHFLOW_LOG_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    simulator = [sys.executable, "manage.py", "simulator", "--socket", str(folder / "simulator.sock")]
    simulator += ["--ledger", str(folder / "journal"), "--beginning", "0"]
    for span in ("staging", "installing", "restarting", "verifying"):
        simulator += [f"--{span}", "0"]
    worker = [sys.executable, "-m", "celery", "-A", "patchflow", "worker", "--concurrency", str(PROCESSES)]
    worker += [
        "--queues",
        "tick,exec,default",
        "--include",
        "tests.bench.tasks",
        "--loglevel",
        "error",
        "--without-gossip",
    ]
    commands = {
        "broker": broker_command(folder, folder / "broker.sock"),
        "simulator": simulator,
        "workers": worker,
    }
    children = {name: Child(name, words, environment, folder / f"{name}.log") for name, words in commands.items()}
    celery = Celery("bench", broker=environment["PATCHFLOW_BROKER_URL"], set_as_current=False)
    try:
        children["broker"].start()
        wait_for_socket(folder / "broker.sock")
        for name in ("simulator", "workers"):
            children[name].start()
        wait_for_socket(folder / "simulator.sock", 60)
        works = Works(folder, celery, redis.Redis(unix_socket_path=str(folder / "broker.sock")), children)
        _until_ready(works)
        yield works
    finally:
        celery.close()
        for child in reversed(children.values()):
            child.stop(patience=5)
        shutil.rmtree(folder, ignore_errors=True)


def _until_ready(works: Works) -> None:
    """Until the workers answer, and every process of theirs has done something (and so has read what it needs)."""
    end = time.monotonic() + 120
    while not works.celery.control.ping(timeout=1):
        assert time.monotonic() < end, (works.folder / "workers.log").read_text()
    take(works)
    for number in range(200):
        works.send("tests.bench.tasks.nothing", QUEUE, number=number)
    works.until_done(QUEUE)
    works.celery.control.cancel_consumer(QUEUE, reply=True, timeout=5)


def planned(cast: Cast, hosts: int) -> Rollout:
    """A planned rollout of so many hosts, all of which may run at once."""
    at = datetime.now(UTC)
    ring = {"hosts": hosts, "concurrency": hosts, "failure_limit": hosts, "success_percent": 1, "soak_seconds": 0}
    release = make_yard(cast, at, [ring])
    return rollouts.plan(release_id=release.pk, actor=cast.rex, at=at)


def until(holds: Callable[[], bool], works: Works, seconds: float = 600, pause: float = 0.05) -> None:
    """Until it holds, asked every `pause` seconds; meanwhile the sweep is rung for, as the scheduler does."""
    end, swept = time.monotonic() + seconds, time.monotonic()
    while not holds():
        assert time.monotonic() < end, (works.folder / "workers.log").read_text()[-3000:]
        if time.monotonic() - swept > 5:
            works.send("patchflow.kernel.tasks.sweep", "default")
            swept = time.monotonic()
        time.sleep(pause)


def take(works: Works) -> None:
    """Tells the workers to take what is in the queue of nothings, and does not wait for their answer."""
    works.celery.control.add_consumer(QUEUE)
