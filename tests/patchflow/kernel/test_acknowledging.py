"""A real worker whose broker stands still at the very moment at which a task is acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from patchflow.kernel.embedded import Child, broker_command, broker_urls, wait_for_socket
from tests.toys.tasks import QUEUE

pytestmark = [pytest.mark.integration, pytest.mark.native, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="pfb-"))  # short: a socket's path stays below 108 bytes
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def works(folder: Path) -> Iterator[tuple[Child, Child, Celery]]:
    """A broker, a worker of one process, and who sends."""
    socket = folder / "b.sock"
    urls = broker_urls(socket)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHFLOW_", "DJANGO_"))}
    environment = {
        **kept,
        **urls,
        "DJANGO_SETTINGS_MODULE": "patchflow.settings",
        "PATCHFLOW_VAR": str(folder),
        "PYTHONPATH": str(ROOT),
    }
    words = [sys.executable, "-m", "celery", "-A", "patchflow", "worker", "--concurrency", "1", "--queues", QUEUE]
    words += ["--include", "tests.toys.tasks", "--loglevel", "error", "--without-gossip", "--without-mingle"]
    broker = Child("broker", broker_command(folder, socket), environment, folder / "broker.log")
    worker = Child("worker", words, environment, folder / "worker.log")
    sender = Celery("sender", broker=urls["PATCHFLOW_BROKER_URL"], set_as_current=False)
    try:
        broker.start()
        wait_for_socket(socket)
        worker.start()
        yield broker, worker, sender
    finally:
        sender.close()
        for child in (worker, broker):
            child.stop(patience=5)


def until(holds: Callable[[], bool], seconds: float, folder: Path) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, (folder / "worker.log").read_text()[-3000:]
        time.sleep(0.02)


def test_a_worker_goes_on_whose_broker_did_not_hear_that_a_task_was_done(
    folder: Path, works: tuple[Child, Child, Celery]
) -> None:
    broker, worker, sender = works
    assert broker.process is not None

    def send(name: str, seconds: float) -> None:
        sender.send_task(
            "tests.toys.tasks.nap", kwargs={"folder": str(folder), "name": name, "seconds": seconds}, queue=QUEUE
        )

    def unheard(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while "Couldn't ack" not in (folder / "worker.log").read_text():
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True

    for turn in range(6):  # on a loaded machine the broker may have heard before it is frozen: then once more
        name = f"first {turn}"
        send(name, 0.4)
        until((folder / name).exists, 60, folder)
        os.kill(broker.process.pid, signal.SIGSTOP)
        try:  # the task ends, and its worker waits in vain for the broker to take that
            if unheard(25):
                break
        finally:
            os.kill(broker.process.pid, signal.SIGCONT)
    else:
        pytest.fail("the broker heard of every task before it was frozen")
    send("second", 0)
    until((folder / "second").exists, 60, folder)
    assert worker.alive()
