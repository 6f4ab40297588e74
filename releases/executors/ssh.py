"""Hosts over SSH (or this computer), by apt or dnf, with the ledger on the host itself."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, get_args

from cmdb.remote import transport
from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import BadAnswer, RemoteError
from patchflow.kernel.blockers import kept
from releases.executors.base import (
    Batch,
    CancelAnswer,
    CancelWord,
    DryRun,
    Handle,
    JobOrder,
    JobProgress,
    Observed,
    ObserveSpec,
    Stage,
    StartAnswer,
    StartedJob,
    StartWord,
    Way,
)
from releases.executors.verdicts import verdict_of
from releases.executors.wire import (
    UNREADABLE,
    checks_said,
    dry_run_heard,
    order_said,
    progress_heard,
    result_heard,
    states_heard,
    text_heard,
    way_said,
)

ON_HOST = "releases.executors.onhost"
Thing = TypeVar("Thing")
Told = TypeVar("Told")


class SshExecutor:
    """Orders run detached on the host and are found there again by their key; we keep nothing.

    `timeout` is for one question to one host, in seconds; `parallel` how many hosts are asked at a time.
    """

    name = "ssh"
    honours = frozenset({"restart", "countdown_seconds", "steps", "stage_hours"})
    needs_connection = True

    def __init__(self, *, timeout: float = 30, parallel: int = 10) -> None:
        self.timeout = timeout
        self.parallel = parallel

    def start(self, batch: Batch) -> Handle:
        answers = self._each(batch.orders, self._start)
        return self._handle(batch.orders, answers)

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        return self._handle(orders, [StartAnswer(word="already", reason="attached, not asked")] * len(orders))

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        seen = after or {}

        def one(job: StartedJob) -> JobProgress:
            try:
                said = self._ask(job.endpoint, verb="events", key=job.job_key, after=seen.get(job.job_key, 0))
                return progress_heard(job.job_key, said)
            except UNREADABLE as error:
                return JobProgress(job_key=job.job_key, reachable=False, reason=_unreadable(error))
            except RemoteError as error:
                return JobProgress(job_key=job.job_key, reachable=False, reason=error.reason)

        return self._each(handle.jobs, one)

    def observe(self, spec: ObserveSpec) -> Observed:
        said = self._ask(
            spec.endpoint,
            verb="observe",
            key=spec.job_key,
            packages=[{"name": change.name, "arch": change.arch} for change in spec.packages],
            health=checks_said(spec.health),
        )
        try:
            return _observed(spec, said)
        except UNREADABLE as error:
            raise BadAnswer(f"{spec.endpoint}: {_unreadable(error)}") from error

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        def one(spec: ObserveSpec) -> Observed | RemoteError:
            try:
                return self.observe(spec)
            except RemoteError as error:
                return error

        return self._each(specs, one)

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        def one(job: StartedJob) -> CancelAnswer:
            try:
                said = self._ask(job.endpoint, verb="cancel", key=job.job_key, fence=job.fence)
                return CancelAnswer(
                    job_key=job.job_key, word=_word(said, CancelWord), reason=text_heard(said["reason"])
                )
            except UNREADABLE as error:
                return CancelAnswer(job_key=job.job_key, word="unreachable", reason=_unreadable(error))
            except RemoteError as error:
                return CancelAnswer(job_key=job.job_key, word="unreachable", reason=error.reason)

        return self._each(handle.jobs, one)

    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        asked = {"wanted": [list(pair) for pair in wanted], "refresh": refresh, **way_said(way)}
        said = self._ask(endpoint, timeout=300, verb="dry_run", **asked)
        try:
            return dry_run_heard(said)
        except UNREADABLE as error:
            raise BadAnswer(f"{endpoint}: {_unreadable(error)}") from error

    def _start(self, order: JobOrder) -> StartAnswer:
        try:
            said = self._ask(
                order.endpoint,
                verb="start",
                key=order.job_key,
                fence=order.fence,
                order=order_said(order),
                **way_said(order.way),
            )
            return StartAnswer(word=_word(said, StartWord), reason=text_heard(said["reason"]))
        except UNREADABLE as error:
            return StartAnswer(word="unreachable", reason=_unreadable(error), unknown=True)
        except RemoteError as error:
            return StartAnswer(word="unreachable", reason=error.reason, unknown=error.started)

    def _ask(self, endpoint: Endpoint, *, timeout: float | None = None, **request: Any) -> dict[str, Any]:
        said = transport.ask(endpoint, ON_HOST, request, timeout=timeout or self.timeout)
        if not isinstance(said, dict) or "error" in said:
            raise BadAnswer(f"{endpoint}: {said['error'] if isinstance(said, dict) else 'unreadable answer'}")
        return said

    def _handle(self, orders: Sequence[JobOrder], answers: Sequence[StartAnswer]) -> Handle:
        jobs = tuple(
            StartedJob(job_key=order.job_key, fence=order.fence, endpoint=order.endpoint, answer=answer)
            for order, answer in zip(orders, answers, strict=True)
        )
        return Handle(executor=self.name, jobs=jobs)

    def _each(self, things: Sequence[Thing], ask: Callable[[Thing], Told]) -> list[Told]:
        if not things:
            return []
        with ThreadPoolExecutor(max_workers=min(self.parallel, len(things))) as pool:
            return list(pool.map(ask, things))


def _word(said: Mapping[str, Any], known: Any) -> Any:
    """The host's word, if it is one of these. Raises KeyError, ValueError."""
    if said["word"] not in get_args(known):
        raise ValueError(f"no such word: {said['word']!r}")
    return said["word"]


def _unreadable(error: Exception) -> str:
    return text_heard(kept("unreadable answer: %(error)s", error=repr(error)))


def _observed(spec: ObserveSpec, said: Mapping[str, Any]) -> Observed:
    states, running = states_heard(said["packages"]), tuple(map(text_heard, said["apt_running"]))
    stage = Stage(said["stage"]) if said["stage"] else None
    result, ill = result_heard(said["result"]), tuple(map(text_heard, said["health"]))
    verdict, reason = verdict_of(
        spec,
        states=states,
        apt_running=running,
        interrupted=bool(said["interrupted"]),
        alive=bool(said["alive"]),
        stage=stage,
        result=result,
        health_failures=ill,
    )
    return Observed(
        verdict=verdict,
        reason=reason,
        packages=states,
        apt_running=running,
        audit=text_heard(said["audit"]),
        interrupted=bool(said["interrupted"]),
        boot_id=text_heard(said["boot_id"]),
        machine_id=text_heard(said["machine_id"]),
        restart_needed=bool(said["restart_needed"]),
        health_failures=ill,
        ledger_stage=stage,
        ledger_alive=bool(said["alive"]),
        result=result,
    )
