"""A whole Patchflow of real processes over simulated hosts, each of which a test may kill or freeze.

Broker, web, any number of workers and schedulers, and the simulator, whose journal is the witness and which is never a
victim. What dies is started again at once, as systemd does; leases and sweeps are short, so that a test sees the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from patchflow.kernel.embedded import wait_for_socket
from tests.faults.oracle import Hosts, Rows, judge
from tests.journeys.person import Person
from tests.journeys.stack import CHECKOUT, QUEUES, Stack, _until_answering

SWEEP, LEASE = 1, 8
"""Seconds. In production 5 and 120."""
QUICK = {"staging": "0.1-0.3", "installing": "0.2-0.8", "restarting": "0.3-1", "verifying": "0.1-0.2"}


@dataclass(frozen=True)
class Yard:
    """Rows of a planned rollout, in a database to be copied for each test."""

    database: str
    release: int
    rollout: int
    rfcs: list[dict[str, int]]
    passwords: dict[str, str]


@dataclass
class Pace:
    """How many processes there are, and how long the hosts take."""

    workers: int = 2
    children: int = 2
    schedulers: int = 1
    hosts: Mapping[str, str] = field(default_factory=lambda: QUICK)


class Site(Stack):
    """One running Patchflow with simulated hosts."""

    def __init__(self, *, folder: Path, database_url: str, yard: Yard, pace: Pace, settings: Mapping[str, str]) -> None:
        times = {"PATCHFLOW_SWEEP_SECONDS": str(SWEEP), "PATCHFLOW_LEASE_SECONDS": str(LEASE)}
        times["PATCHFLOW_EMAIL_URL"] = "dummymail://"
        super().__init__(
            folder=folder, database_url=database_url, passwords=yard.passwords, settings={**times, **settings}
        )
        self.yard, self.pace, self.database_url = yard, pace, database_url
        self.journal = folder / "hosts.journal"
        self.hosts_socket = self.sockets / "hosts.sock"
        self.environment["PATCHFLOW_SIMULATOR"] = str(self.hosts_socket)
        self.chance = random.Random(20261129)
        self._striking = threading.Lock()
        self.start_took = 0.0
        """Seconds until all processes had started and the web answered: what a start costs on this machine."""

    # ------------------------------------------------------------- starting and stopping
    @property
    def workers(self) -> list[str]:
        return [f"worker-{n}" for n in range(self.pace.workers)]

    @property
    def schedulers(self) -> list[str]:
        return [f"scheduler-{n}" for n in range(self.pace.schedulers)]

    def up(self) -> None:
        began = time.monotonic()
        self.start("broker")
        self.start("simulator")
        wait_for_socket(self.sockets / "broker.sock")
        wait_for_socket(self.hosts_socket, 60)
        for name in ("web", *self.workers, *self.schedulers):
            self.start(name)
        _until_answering(f"{self.url}/healthz", 120, self.children["web"])
        self.start_took = time.monotonic() - began
        self._supervisor.start()

    def _command(self, name: str) -> list[str]:
        kind, _dash, number = name.partition("-")
        if kind == "simulator":
            words = [
                sys.executable,
                "manage.py",
                "simulator",
                "--socket",
                str(self.hosts_socket),
                "--ledger",
                str(self.journal),
            ]
            return words + [word for stage, span in self.pace.hosts.items() for word in (f"--{stage}", span)]
        if kind == "worker":
            celery = [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "patchflow",
                "worker",
                "--queues",
                QUEUES,
                "--loglevel",
                "warning",
            ]
            return [
                *celery,
                "--concurrency",
                str(self.pace.children),
                "--hostname",
                f"{name}@%h",
                "--without-mingle",
                "--without-gossip",
            ]
        if kind == "scheduler" and number:
            schedule = ["--schedule", str(self.folder / f"beat-{number}"), "--pidfile", ""]
            return [sys.executable, "-m", "celery", "-A", "patchflow", "beat", "--loglevel", "warning", *schedule]
        return super()._command(name)

    # ------------------------------------------------------------- faults
    def pid(self, name: str) -> int:
        process = self.children[name].process
        assert process is not None
        return process.pid

    def offspring(self, name: str) -> list[int]:
        """The processes that this one has forked."""
        pid = self.pid(name)
        with contextlib.suppress(OSError):
            return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def strike_child(self, name: str) -> bool:
        """kill -9 of one of the processes that this one has forked; False if it has none now."""
        if not (pids := self.offspring(name)):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.chance.choice(pids), signal.SIGKILL)
            return True
        return False

    def strike(self, name: str) -> None:
        """kill -9 of the process and all it has forked, and the next one in its place."""
        child = self.children[name]
        with self._striking:
            if child.alive():
                os.killpg(self.pid(name), signal.SIGKILL)
                assert child.process is not None
                child.process.wait()
            child.again_at = 0.0
            child.start()

    def strike_one(self, worker: str, *, whole: bool) -> bool:
        """kill -9 of a worker or of one of its children; False while it starts: it has nothing yet that could be lost, and a
        Celery worker that loses a child before its loop begins ends by itself."""
        if time.monotonic() - self.children[worker].started < self.start_took or not self.offspring(worker):
            return False
        if not whole:
            return self.strike_child(worker)
        self.strike(worker)
        return True

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """SIGSTOP for as long as the block lasts: it holds its sockets open and answers nothing."""
        os.kill(self.pid(name), signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid(name), signal.SIGCONT)

    # ------------------------------------------------------------- work
    def person(self, name: str) -> Person:
        found = Person(self.url, name, self.passwords[name])
        found.login()
        return found

    def start_rollout(self) -> None:
        self.module("tests.faults.yard", "--start", str(self.yard.release))

    def module(self, *words: str) -> str:
        return module(self.environment, *words)

    def sql(self, statement: str, *given: Any) -> list[tuple[Any, ...]]:
        return sql(self.database_url, statement, *given)

    def rows(self) -> Rows:
        return Rows.read(self.database_url, self.yard.rollout)

    def hosts(self) -> Hosts:
        return Hosts.read(self.journal)

    def state(self) -> str:
        return str(self.sql("SELECT state FROM releases_rollout WHERE id = %s", self.yard.rollout)[0][0])

    def until(self, good: Callable[[], bool], seconds: float, what: str) -> float:
        """Waits until it holds; how long that took. Fails with where the jobs stand."""
        began = time.monotonic()
        while not good():
            waited = time.monotonic() - began
            assert waited < seconds, f"{what}: not within {seconds:.0f} s; jobs: {dict(self.rows().states())}"
            time.sleep(0.25)
        return time.monotonic() - began

    def until_ended(self, seconds: float, *, state: str = "completed") -> float:
        return self.until(lambda: self.state() == state, seconds, f"the rollout is {state}")

    def verdict(self, *, ended: tuple[str, str] = ("completed", "deployed")) -> list[str]:
        """What is wrong after the run and two periods of the sweep; also whether the trail is whole and the counts agree."""
        time.sleep(2 * SWEEP)
        rows, hosts = self.rows(), self.hosts()
        wrong = judge(rows, hosts, ended=ended)
        counted: dict[str, int] = {}
        for ring in self.person("otto").get(f"rollouts/{self.yard.rollout}/counts/"):
            for state, number in ring["counts"].items():
                counted[state] = counted.get(state, 0) + number
        if {state: n for state, n in counted.items() if n} != dict(rows.states()):
            wrong.append(f"counts: REST says {counted}, the rows say {dict(rows.states())}")
        self.manage("verify_audit")  # exits with an error otherwise
        return wrong


def module(environment: Mapping[str, str], *words: str) -> str:
    """`python -m …` with this environment; what it prints."""
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=CHECKOUT, env=dict(environment), capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def sql(url: str, statement: str, *given: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url.replace("postgres://", "postgresql://", 1), autocommit=True) as connection:
        cursor = connection.execute(statement, given or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def make_yard(database: str, url: str, folder: Path, *, rings: str, concurrency: int, rfcs: int) -> Yard:
    """Tables, people, and the rows of a rollout, in the database at `url`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PATCHFLOW_", "DJANGO_"))}
    environment = {
        **kept, "PATCHFLOW_DATABASE_URL": url, "PATCHFLOW_VAR": str(folder), "DJANGO_SETTINGS_MODULE": "patchflow.settings",
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=CHECKOUT,
        env=environment,
        check=True,
        timeout=300,
    )
    words = ["--rings", rings, "--concurrency", str(concurrency), "--rfcs", str(rfcs)]
    said = json.loads(module(environment, "tests.faults.yard", *words))
    return Yard(database=database, **said)
