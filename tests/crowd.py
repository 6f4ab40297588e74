"""Many people at the same moment, each over a connection of its own."""

from __future__ import annotations

import fcntl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections

from patchflow.kernel.errors import Refusal

#: Crowds of fifty run one after the other: two of them at once are more connections than a PostgreSQL gives by default.
CROWD = pytest.mark.xdist_group("crowd")
PATIENCE = 60
"""Seconds that one of a crowd waits for a connection while servers and workers of other tests hold theirs."""


@contextmanager
def _alone() -> Iterator[None]:
    """No other crowd on this machine, whichever process runs it."""
    with (Path(tempfile.gettempdir()) / "patchflow-crowd.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _connect() -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connections["default"].ensure_connection()
            return
        except OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def together(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Does all at the same moment, each in a thread that is connected by then.

    For each what it returned, or the refusal it ended with; any other error is raised, the first of them.
    """
    ready, wrong = threading.Barrier(len(acts)), list[BaseException]()
    found: list[Any] = [None] * len(acts)

    def run(place: int) -> None:
        try:
            _connect()
            ready.wait(timeout=120)
            found[place] = acts[place]()
        except Refusal as refusal:
            found[place] = refusal
        except threading.BrokenBarrierError as error:
            wrong.append(error)
        except BaseException as error:
            wrong.insert(0, error)
            ready.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    with _alone():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if wrong:
        raise wrong[0]
    return found
