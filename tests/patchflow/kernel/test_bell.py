"""A broker or a cache that stands still or is gone: who rings or remembers goes on at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from patchflow.celery import app
from patchflow.kernel.bell import Bell
from patchflow.kernel.cache import PatientCache
from patchflow.kernel.embedded import broker_command, broker_urls, wait_for_socket

pytestmark = [pytest.mark.integration, pytest.mark.native]
SOON = 2.0
"""Seconds, on a loaded machine; without patience it would be minutes."""


class Broker:
    """A Redis of this test, which may be frozen and killed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socket = folder, folder / "b.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(broker_command(self.folder, self.socket))
        wait_for_socket(self.socket)

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait()


@pytest.fixture
def broker(settings: Any) -> Iterator[Broker]:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "SWEEP_SECONDS": 0.2}
    one = Broker(Path(tempfile.mkdtemp(prefix="pfb-")))
    one.start()
    url, app.conf.broker_url = app.conf.broker_url, broker_urls(one.socket)["PATCHFLOW_BROKER_URL"]
    try:
        yield one
    finally:
        app.conf.broker_url = url
        if one.process is not None and one.process.poll() is None:
            one.signal(signal.SIGKILL)
        shutil.rmtree(one.folder)


def soon(act: Callable[[], Any]) -> Any:
    began = time.monotonic()
    found = act()
    assert time.monotonic() - began < SOON
    return found


def test_a_bell_that_nobody_hears_costs_a_moment_and_rings_again(broker: Broker) -> None:
    bell = Bell()
    ring = lambda: bell.ring("toys.nothing", {"row_id": 1})  # noqa: E731
    assert ring()
    broker.signal(signal.SIGSTOP)
    assert soon(ring) is False
    assert soon(lambda: any(ring() for _ in range(100))) is False
    broker.signal(signal.SIGCONT)
    time.sleep(0.3)
    assert ring()
    broker.signal(signal.SIGKILL)
    assert soon(ring) is False
    broker.socket.unlink(missing_ok=True)
    broker.start()
    time.sleep(0.3)
    assert ring()


def test_a_cache_that_is_away_is_remembered_here(broker: Broker) -> None:
    cache = PatientCache(f"unix://{broker.socket}", {"OPTIONS": {"db": 2}})
    cache.set("counted", 1)
    assert (cache.incr("counted"), cache.away) == (2, False)
    broker.signal(signal.SIGSTOP)
    assert soon(lambda: cache.get("counted")) is None
    assert cache.away
    assert soon(lambda: cache.add("counted", 7))
    assert cache.get("counted") == 7
    with pytest.raises(RedisError):
        soon(cache.reach)
    broker.signal(signal.SIGCONT)
    time.sleep(0.3)
    assert (cache.get("counted"), cache.away) == (2, False)


def test_whoever_follows_hosts_hears_that_others_wait(broker: Broker) -> None:
    bell = Bell()
    waits = lambda: bell.rung_in(["tick", "notify"])  # noqa: E731
    assert not waits()
    assert bell.ring("releases.tasks.run_jobs", {"job_ids": [1]})
    assert not waits()
    assert bell.ring("patchflow.notices.tasks.deliver", {"delivery_id": 1})
    assert waits()
    broker.signal(signal.SIGSTOP)
    assert soon(waits) is False
    broker.signal(signal.SIGCONT)
    time.sleep(0.3)
    assert waits()
