"""A PostgreSQL of the test's own, all of whose processes can be killed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from tests.journeys.stack import _free_port


def binaries() -> Path:
    """Where Debian keeps the server's programs, or wherever they are on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    there = str(found[-1]) if found else shutil.which("postgres")  # Debian's have pg_dump beside them
    if not there:
        pytest.skip("needs PostgreSQL's own programs (initdb, postgres)")
    return Path(there).parent


class Server:
    """One cluster in a folder; `kill` is kill -9 of all its processes at once."""

    def __init__(self) -> None:
        self.programs, self.port = binaries(), _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="pf-pg-"))
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, self.user)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/patchflow"

    def _run(self, *words: str) -> subprocess.Popen[bytes]:
        who = {"user": self.user, "group": self.user, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **who)  # type: ignore[call-overload, no-any-return]

    def make(self) -> None:
        data, program = str(self.folder / "data"), str(self.programs / "initdb")
        done = self._run(
            program, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8"
        ).wait(120)
        assert done == 0, (self.folder / "log").read_text()

    def start(self) -> None:
        """Starts it; as a crash may have happened, it may have to recover first."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 60,
        }
        words = [str(self.programs / "postgres"), "-D", str(self.folder / "data")]
        self.process = self._run(*words, *(f"--{name}={value}" for name, value in options.items()))

    def wait(self, seconds: float = 60) -> float:
        """Until it takes connections; seconds."""
        began = time.monotonic()
        while True:
            try:
                psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/postgres").close()
                return time.monotonic() - began
            except psycopg.OperationalError:
                assert time.monotonic() - began < seconds, (self.folder / "log").read_text()[-3000:]
                time.sleep(0.05)

    def copy(self, source: str) -> None:
        """The database at this URL, as it is, into ours."""
        self._say("CREATE DATABASE patchflow")
        dump = subprocess.Popen([str(self.programs / "pg_dump"), source], stdout=subprocess.PIPE)
        load = [str(self.programs / "psql"), "-q", "-v", "ON_ERROR_STOP=1", self.url]
        subprocess.run(load, stdin=dump.stdout, check=True, stdout=subprocess.DEVNULL)
        assert dump.wait() == 0
        self._say("CHECKPOINT")

    def _say(self, statement: str) -> None:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def kill(self) -> None:
        """kill -9 of every process of the cluster."""
        assert self.process is not None
        main = self.process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        for pid in [main, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        while self._listens():
            time.sleep(0.01)

    def _listens(self) -> bool:
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
