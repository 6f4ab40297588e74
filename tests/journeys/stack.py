"""Patchflow as it runs for its people: web, worker, scheduler and broker as processes of their own, on PostgreSQL.

A test sees what a user sees (REST, commands) and what an administrator can do to it: kill a worker, lose a broker. It
never imports the project's domain, and never touches its tables. Processes that end by themselves are started again, as
systemd does with the units in `docs/how-to/production`: Celery's worker does end when its broker dies while it acknowledges.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from patchflow.kernel.embedded import Child, broker_command, broker_urls, wait_for_socket

log = logging.getLogger(__name__)
CHECKOUT = Path(__file__).resolve().parents[2]
SHORT_TIMES = {
    "PATCHFLOW_SWEEP_SECONDS": "1",
    "PATCHFLOW_LEASE_SECONDS": "15",
    "PATCHFLOW_SILENCE_SECONDS": "20",
    "PATCHFLOW_SOAK_SECONDS": "2",
    "PATCHFLOW_SOAK_FIRST_SECONDS": "1",
}
QUEUES = "tick,default,scan,exec,notify"


class Database:
    """Databases beside the one that PATCHFLOW_DATABASE_URL names; that one itself is never touched."""

    def __init__(self) -> None:
        self.server = os.environ.get("PATCHFLOW_DATABASE_URL", "")
        if not self.server.startswith(("postgres://", "postgresql://")):
            pytest.skip("needs PostgreSQL: set PATCHFLOW_DATABASE_URL")

    def url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.server)._replace(path=f"/{name}"))

    def create(self, name: str, *, like: str = "template0") -> str:
        """A new database, a copy of `like`; its URL."""
        self._say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._say(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return self.url(name)

    def drop(self, name: str) -> None:
        self._say(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _say(self, statement: str) -> None:
        url = self.url("postgres").replace("postgres://", "postgresql://", 1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]


class Stack:
    """One running Patchflow. `folder`: its var; `environment`: what each of its processes sees; `passwords`: its people's."""

    def __init__(
        self, *, folder: Path, database_url: str, passwords: Mapping[str, str], settings: Mapping[str, str]
    ) -> None:
        self.folder, self.passwords = folder, passwords
        self.logs = folder / "log"
        self.logs.mkdir(parents=True)
        self.sockets = Path(tempfile.mkdtemp(prefix="pfj-"))  # short: a socket's path stays below 108 bytes
        self.broker_data = folder / "broker"
        self.broker_data.mkdir()
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PATCHFLOW_", "DJANGO_"))}
        self.environment = {
            **kept,
            **broker_urls(self.sockets / "broker.sock"),
            "DJANGO_SETTINGS_MODULE": "patchflow.settings",
            "PATCHFLOW_DATABASE_URL": database_url,
            "PATCHFLOW_VAR": str(folder),
            "PATCHFLOW_SECRET_KEY": secrets.token_urlsafe(40),
            "PATCHFLOW_BASE_URL": self.url,
            **SHORT_TIMES,
            **settings,
        }
        self.children: dict[str, Child] = {}
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    # ------------------------------------------------------------- starting and stopping
    def up(self) -> None:
        """Everything, in the order in which an administrator starts it; returns when the web answers."""
        self.start("broker")
        wait_for_socket(self.sockets / "broker.sock")
        for name in ("web", "worker", "scheduler"):
            self.start(name)
        _until_answering(f"{self.url}/healthz", 180, self.children["web"])
        self._supervisor.start()

    def down(self) -> None:
        self._over.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for child in reversed(self.children.values()):
            child.stop(patience=0)
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _supervise(self) -> None:
        while not self._over.wait(0.5):
            for child in list(self.children.values()):
                child.supervise(log.info)

    def start(self, name: str) -> None:
        """Starts one process: broker, web, worker or scheduler."""
        child = Child(name, self._command(name), self.environment, self.logs / f"{name}.log")
        child.start()
        self.children[name] = child

    def kill(self, name: str) -> None:
        """kill -9 of the process and of every process it started."""
        process = self.children.pop(name).process
        assert process is not None
        assert process.poll() is None, f"{name} is dead already:\n{self.log(name)}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def lose_broker(self) -> None:
        """The broker dies and its data with it: no message of before is ever seen again."""
        self.kill("broker")
        shutil.rmtree(self.broker_data)
        self.broker_data.mkdir()
        (self.sockets / "broker.sock").unlink(missing_ok=True)

    def start_broker(self) -> None:
        self.start("broker")
        wait_for_socket(self.sockets / "broker.sock")

    def _command(self, name: str) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", "patchflow"]
        match name:
            case "broker":
                return broker_command(self.broker_data, self.sockets / "broker.sock")
            case "web":
                web = [sys.executable, "-m", "gunicorn", "patchflow.wsgi", "--bind", f"127.0.0.1:{self.port}"]
                web += ["--workers", "2", "--worker-class", "gthread", "--threads", "2", "--preload"]
                return [*web, "--access-logfile", "-", "--no-control-socket"]
            case "worker":
                return [*celery, "worker", "--concurrency", "2", "--queues", QUEUES, "--loglevel", "info"]
            case "scheduler":
                schedule = str(self.folder / "beat-schedule")
                return [*celery, "beat", "--loglevel", "warning", "--schedule", schedule, "--pidfile", ""]
        raise ValueError(name)

    # ------------------------------------------------------------- what an administrator types
    def manage(self, *words: str) -> str:
        """A management command; what it prints. The test fails if it exits other than 0."""
        return _manage(self.environment, *words)

    def log(self, name: str, lines: int = 60) -> str:
        """The end of a process's log."""
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"

    def every_log(self) -> str:
        return "\n".join(f"──── {path.stem} ────\n{self.log(path.stem)}" for path in sorted(self.logs.glob("*.log")))


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """A Patchflow for as long as the block lasts."""
    try:
        try:
            stack.up()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{stack.every_log()}") from error
        yield stack
    finally:
        stack.down()


ALSO = {"gus": ["release_manager"], "rex": ["readiness_approver"], "aud": ["auditor"]}
"""Roles beside those of `manage.py people`. Gus may build and start, and rex may sign, so that only four eyes can stop them."""


@dataclass(frozen=True)
class Installation:
    """A database with all tables and the people of a small board; nothing else. Copied for each Patchflow."""

    database: str
    passwords: dict[str, str]


def install(name: str, database_url: str, folder: Path) -> Installation:
    """What an administrator does first: makes the tables, adds people and their roles."""
    environment = {**os.environ, "PATCHFLOW_DATABASE_URL": database_url, "PATCHFLOW_VAR": str(folder)}
    environment["DJANGO_SETTINGS_MODULE"] = "patchflow.settings"
    _manage(environment, "migrate", "--verbosity", "0", "--no-input")
    passwords = dict(re.findall(r"^(\w+) +(\S{12})  ", _manage(environment, "people"), re.MULTILINE))
    words = ["from patchflow.kernel.models import RoleGrant, User"]
    for person, roles in ALSO.items():
        if person not in passwords:
            passwords[person] = secrets.token_urlsafe(12)
            words.append(f"User.objects.create_user({person!r}, password={passwords[person]!r})")
        user = f"User.objects.get(username={person!r})"
        words += [f"RoleGrant.objects.create(user={user}, role={role!r}, scope='')" for role in roles]
    _manage(environment, "shell", "-c", "\n".join(words))
    return Installation(name, passwords)


def _manage(environment: Mapping[str, str], *words: str) -> str:
    command = [sys.executable, "manage.py", *words]
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"manage.py {words[0]}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_answering(url: str, seconds: float, web: Child) -> None:
    end = time.monotonic() + seconds
    while True:
        assert web.alive(), f"{web.name} ended before it answered"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  our own address
                if answer.status == 200:
                    return
        except OSError as error:
            if time.monotonic() > end:
                raise AssertionError(f"{url} does not answer within {seconds:.0f} s: {error}") from error
        time.sleep(0.1)
