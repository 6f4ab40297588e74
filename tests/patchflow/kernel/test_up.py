"""`manage.py up` for real: everything answers, what dies comes back, and nothing is left when the runner is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.integration, pytest.mark.native, pytest.mark.xdist_group("up")]


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes(marker: str) -> dict[int, str]:
    """Pid → command line of the processes whose environment carries `marker`."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if (
                    marker.encode() in (folder / "environ").read_bytes()
                    and (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
                ):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def until(what: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():  # type: ignore[operator]
            return
        time.sleep(0.2)
    raise AssertionError("it did not come true in time")


def answers(port: int, path: str = "/healthz") -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as response:
            return response.status == 200
    except OSError:
        return False


def _hears_ctrl_c() -> None:
    """Tests that run in the background of a shell ignore it, and what they start would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Runner:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.marker = f"PATCHFLOW_VAR={folder}"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PATCHFLOW_", "DJANGO_"))}
        self.log = folder / "runner.log"
        self.web_log = folder / "log" / "web.log"
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--workers", "1"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | {"PATCHFLOW_VAR": str(folder)},
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_hears_ctrl_c,
            )

    def children(self) -> dict[int, str]:
        return {pid: line for pid, line in processes(self.marker).items() if pid != self.process.pid}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    started = Runner(tmp_path)
    try:
        until(lambda: answers(started.port) or started.process.poll() is not None, 240)
        assert started.process.poll() is None, started.log.read_text()
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.process.kill()
        started.process.wait()
        for pid in started.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_up_serves_restarts_the_dead_and_leaves_nothing(runner: Runner) -> None:
    assert answers(runner.port, "/readyz")
    assert "First administrator: admin /" in runner.log.read_text()
    assert not answers(runner.port, "/changes/calendar/feed/a-B_c9.ics")
    until(lambda: "/changes/calendar/feed/***.ics" in runner.web_log.read_text())
    assert "a-B_c9" not in runner.web_log.read_text()

    def pids(part: str) -> set[int]:
        return {pid for pid, line in runner.children().items() if part in line}

    until(lambda: pids("celery -A patchflow worker"))
    until(lambda: len(pids("--beat")) == 2)  # the scheduler, and its beat
    ticking = pids("--beat")
    os.kill(max(ticking), signal.SIGKILL)
    until(lambda: len(pids("--beat")) == 2 and not ticking & pids("--beat"))
    masters = min(pids("gunicorn"))
    os.kill(masters, signal.SIGKILL)
    until(lambda: answers(runner.port) and masters not in runner.children())

    runner.process.kill()
    runner.process.wait()
    until(lambda: not runner.children(), 30)


def test_ctrl_c_stops_everything(runner: Runner) -> None:
    runner.process.send_signal(signal.SIGINT)
    assert runner.process.wait(45) == 0
    until(lambda: not runner.children(), 10)


def test_a_port_in_use_says_so(tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = os.environ | {"PATCHFLOW_VAR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "patchflow.settings"}
        done = subprocess.run(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert f"Port {port} on 127.0.0.1 is in use" in done.stderr
