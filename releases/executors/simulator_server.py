"""The simulator as a process of its own: thousands of hosts behind one socket, and a ledger that outlives every worker.

One request a line, one answer a line; a request may speak of any number of hosts. `latency` is how long a host takes to
answer, in seconds: requests wait for it beside one another.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import Unreachable
from patchflow.kernel.json_text import bytes_from, read
from releases.executors.base import Batch, Handle, PackageState, StartAnswer, StartedJob
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_wire import (
    Said,
    endpoint_at,
    order_received,
    progress_sent,
    seen_sent,
    spec_received,
)

LONGEST = 64 << 20
"""Bytes of one line at most."""
THERE = StartAnswer(word="already")


class SimulatorServer:
    """Answers for one simulator."""

    def __init__(self, simulator: SimulatorExecutor, *, latency: tuple[float, float] = (0, 0)) -> None:
        self.simulator, self.latency = simulator, latency
        self.verbs: dict[str, Callable[[Said], Any]] = {
            "start": self._start,
            "events": self._events,
            "observe": self._observe,
            "cancel": self._cancel,
            "dry_run": self._dry_run,
            "switch": self._switch,
            "furnish": self._furnish,
            "effects": self._effects,
        }

    async def serve(self, where: str, *, ready: Callable[[], None] = lambda: None) -> None:
        """Listens on a Unix socket (a path) or on `host:port` of this computer, until cancelled."""
        if "/" in where:
            Path(where).unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._talk, where, limit=LONGEST)
        else:
            host, _colon, port = where.rpartition(":")
            server = await asyncio.start_server(self._talk, host or "127.0.0.1", int(port), limit=LONGEST)
        async with server:
            ready()
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                if self.latency[1]:
                    await asyncio.sleep(random.uniform(*self.latency))  # noqa: S311 - a delay, not a secret
                writer.write(self.answer(line))
                await writer.drain()
        writer.close()

    def answer(self, line: bytes) -> bytes:
        """One request, one answer; a request that cannot be read is answered by an error."""
        try:
            asked = read(line)
            said = {"said": self.verbs[asked["verb"]](asked)}
        except (KeyError, TypeError, ValueError) as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        return bytes_from(said) + b"\n"

    # ------------------------------------------------------------------------ verbs
    def _start(self, asked: Said) -> Any:
        handle = self.simulator.start(Batch(orders=tuple(map(order_received, asked["orders"]))))
        return [[job.answer.word, job.answer.reason, job.answer.unknown] for job in handle.jobs]

    def _events(self, asked: Said) -> Any:
        after = {job[0]: job[3] for job in asked["jobs"]}
        return [progress_sent(progress) for progress in self.simulator.events(_handle(asked), after=after)]

    def _observe(self, asked: Said) -> Any:
        return [seen_sent(seen) for seen in self.simulator.observe_all([spec_received(s) for s in asked["specs"]])]

    def _cancel(self, asked: Said) -> Any:
        return [[answer.word, answer.reason] for answer in self.simulator.cancel(_handle(asked))]

    def _dry_run(self, asked: Said) -> Any:
        wanted = [(name, version) for name, version in asked["wanted"]]
        try:
            return asdict(self.simulator.dry_run(Endpoint(address=asked["address"]), wanted))
        except Unreachable as error:
            return {"unreachable": error.reason}

    def _switch(self, asked: Said) -> Any:
        self.simulator.switch(asked["address"], asked["habit"])

    def _furnish(self, asked: Said) -> Any:
        states = [PackageState(**state) for state in asked["packages"]]
        self.simulator.furnish(asked["address"], states, only_new=bool(asked.get("only_new")))

    def _effects(self, asked: Said) -> Any:
        return [{**asdict(e), "at": e.at.isoformat()} for e in self.simulator.effects(job_key=asked["job_key"])]


def _handle(asked: Said) -> Handle:
    jobs = (
        StartedJob(job_key=key, fence=fence, endpoint=endpoint_at(address), answer=THERE)
        for key, fence, address, _after in asked["jobs"]
    )
    return Handle(executor="simulator", jobs=tuple(jobs))
