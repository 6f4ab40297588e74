"""The simulator's process inside a test: its own thread, its own event loop, behind a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_journal import JournalLedger
from releases.executors.simulator_server import SimulatorServer


@contextlib.contextmanager
def served(ledger: JournalLedger, clock: Callable[[], datetime], **given: Any) -> Iterator[str]:
    """The address of a simulator that answers for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="pfs-"))  # short: a socket's path stays below 108 bytes
    where, ready, loop = str(folder / "hosts.sock"), threading.Event(), asyncio.new_event_loop()
    server = SimulatorServer(SimulatorExecutor(ledger, clock=clock, **given))
    task = loop.create_task(server.serve(where, ready=ready.set))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(10)
        yield where
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        ledger.close()
        shutil.rmtree(folder)
