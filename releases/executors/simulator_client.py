"""The simulator's process seen from a worker: the same port, one round trip for any number of hosts."""

import contextlib
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import BadAnswer, RemoteError, Unreachable
from patchflow.kernel.blockers import kept
from patchflow.kernel.json_text import bytes_from, read
from releases.executors.base import (
    Batch,
    CancelAnswer,
    DryRun,
    Handle,
    JobOrder,
    JobProgress,
    Observed,
    ObserveSpec,
    PackageState,
    StartAnswer,
    StartedJob,
    Way,
)
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_ledger import Effect
from releases.executors.simulator_plan import HABITS, Habit
from releases.executors.simulator_wire import (
    job_sent,
    order_sent,
    progress_received,
    seen_received,
    spec_sent,
)
from releases.executors.wire import dry_run_heard

TIMEOUT = 30


class SimulatorClient:
    """Speaks to `manage.py simulator` at `where`: a path of a Unix socket, or `host:port`."""

    name = SimulatorExecutor.name
    honours = SimulatorExecutor.honours
    needs_connection = True

    def __init__(self, where: str, *, timeout: float = TIMEOUT) -> None:
        self.where, self.timeout = where, timeout
        self._lock = threading.Lock()
        self._line: tuple[int, socket.socket, Any] | None = None

    # ------------------------------------------------------------------------ port
    def start(self, batch: Batch) -> Handle:
        try:
            said = self._ask("start", orders=[order_sent(order) for order in batch.orders])
            answers = [StartAnswer(word=word, reason=reason, unknown=unknown) for word, reason, unknown in said]
        except RemoteError as error:
            lost = StartAnswer(word="unreachable", reason=error.reason, unknown=error.started)
            answers = [lost] * len(batch.orders)
        return _handle(batch.orders, answers)

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        answer = StartAnswer(word="already", reason=kept("simulator: attached, not asked"))
        return _handle(orders, [answer] * len(orders))

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        seen = after or {}
        try:
            said = self._ask("events", jobs=[job_sent(job, seen.get(job.job_key, 0)) for job in handle.jobs])
        except RemoteError as error:
            return [JobProgress(job_key=job.job_key, reachable=False, reason=error.reason) for job in handle.jobs]
        return [progress_received(job.job_key, one) for job, one in zip(handle.jobs, said, strict=True)]

    def observe(self, spec: ObserveSpec) -> Observed:
        [seen] = self.observe_all([spec])
        if isinstance(seen, RemoteError):
            raise seen
        return seen

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        try:
            return [seen_received(said) for said in self._ask("observe", specs=[spec_sent(spec) for spec in specs])]
        except RemoteError as error:
            return [error] * len(specs)

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        try:
            said = self._ask("cancel", jobs=[job_sent(job) for job in handle.jobs])
        except RemoteError as error:
            said = [["unreachable", error.reason]] * len(handle.jobs)
        return [
            CancelAnswer(job_key=job.job_key, word=word, reason=reason)
            for job, (word, reason) in zip(handle.jobs, said, strict=True)
        ]

    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        said = self._ask("dry_run", address=endpoint.address, wanted=[list(pair) for pair in wanted])
        if "unreachable" in said:
            raise Unreachable(said["unreachable"])
        return dry_run_heard(said)

    # -------------------------------------------------------------------- switches
    def switch(self, address: str, habit: Habit | None) -> None:
        """From now on jobs given to this host take that course (`HABITS`); None: by the rates again."""
        if habit is not None and habit not in HABITS:
            raise ValueError(f"simulator: no such habit: {habit}")
        self._ask("switch", address=address, habit=habit)

    def furnish(self, address: str, packages: Sequence[PackageState], *, only_new: bool = False) -> None:
        """Puts packages on a simulated host; `only_new`: those of which it knows nothing yet."""
        self._ask("furnish", address=address, packages=[asdict(state) for state in packages], only_new=only_new)

    def effects(self, *, job_key: str = "") -> list[Effect]:
        """What was really changed, in order; of one job or of all."""
        said = self._ask("effects", job_key=job_key)
        return [Effect(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in said]

    # ---------------------------------------------------------------------- asking
    def _ask(self, verb: str, **given: Any) -> Any:
        """One round trip. Raises RemoteError; `started` when the request may have arrived."""
        text = bytes_from({"verb": verb, **given}) + b"\n"
        with self._lock:
            line = self._connect()
            try:
                line[1].sendall(text)
                answer = line[2].readline()
            except OSError as error:
                self._hang_up()
                raise Unreachable(f"simulator: {error}", started=True) from error
            if not answer.endswith(b"\n"):
                self._hang_up()
                raise Unreachable("simulator: its process ended before it answered", started=True)
        said = read(answer)
        if "error" in said:
            raise BadAnswer(f"simulator: {said['error']}")
        return said["said"]

    def _connect(self) -> tuple[int, socket.socket, Any]:
        if self._line is not None and self._line[0] == os.getpid():  # a forked process opens a line of its own
            return self._line
        try:
            if "/" in self.where:
                found = socket.socket(socket.AF_UNIX)
                found.settimeout(self.timeout)
                found.connect(self.where)
            else:
                host, _colon, port = self.where.rpartition(":")
                found = socket.create_connection((host or "127.0.0.1", int(port)), self.timeout)
        except OSError as error:
            raise Unreachable(f"simulator: nobody listens at {self.where}: {error}") from error
        self._line = (os.getpid(), found, found.makefile("rb"))
        return self._line

    def _hang_up(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line[1].close()
            self._line = None


def _handle(orders: Sequence[JobOrder], answers: Sequence[StartAnswer]) -> Handle:
    jobs = tuple(
        StartedJob(job_key=order.job_key, fence=order.fence, endpoint=order.endpoint, answer=answer)
        for order, answer in zip(orders, answers, strict=True)
    )
    return Handle(executor=SimulatorClient.name, jobs=jobs)
