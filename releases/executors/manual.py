"""The executor `manual`: a person does it, a scan of the host verifies.

An order becomes a task that waits for a person; what the person says is told as the journal of the job, and counts for
nothing until a scan shows it (law 7), or, where no scanner reaches the host, a second person attests what they saw. Tests
and dry runs of hosts that answer are done by a helper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError, Unreachable
from patchflow.kernel.blockers import kept
from releases.executors.base import (
    Batch,
    CancelAnswer,
    DryRun,
    Executor,
    Handle,
    JobEvent,
    JobOrder,
    JobProgress,
    JobResult,
    Observed,
    ObserveSpec,
    PackageState,
    Stage,
    StartAnswer,
    StartedJob,
    Way,
)
from releases.executors.verdicts import verdict_of

PAUSE = 30.0
"""Seconds until a task is looked at again by itself; what its person says rings at once."""

Sight = Literal["none", "waiting", "scanned", "attested"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as its person has left it. `over`: its time is over, and nobody knows what was done."""

    events: tuple[JobEvent, ...]
    outcome: Stage | None
    over: bool = False
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a host since its task was done: by a scan, by a second person, not yet, or not at all (and why)."""

    sight: Sight
    packages: tuple[PackageState, ...] = ()
    reason: str = ""
    machine_id: str = ""


class Desk(Protocol):
    """Where the tasks lie. `None` for a key that is no job of a rollout."""

    def take(self, order: JobOrder) -> StartAnswer | None: ...
    def task(self, job_key: str) -> Task | None: ...
    def call_off(self, job_key: str) -> bool | None: ...
    def seen(self, spec: ObserveSpec) -> Seen | None: ...


class ManualExecutor:
    """Answers like any executor; nothing is sent to a host."""

    name = "manual"
    honours = frozenset({"restart", "countdown_seconds", "steps", "close_programs"})
    needs_connection = False

    def __init__(self, desk: Desk, helper: Executor) -> None:
        self.desk, self.helper = desk, helper

    def start(self, batch: Batch) -> Handle:
        jobs: list[StartedJob] = []
        for order in batch.orders:
            answer = self.desk.take(order)
            if answer is None:
                jobs += self.helper.start(Batch(orders=(order,))).jobs
            else:
                jobs.append(_started(order, answer))
        return Handle(executor=self.name, jobs=tuple(jobs))

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        answer = StartAnswer(word="already", reason="attached, not asked")
        return Handle(executor=self.name, jobs=tuple(_started(order, answer) for order in orders))

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        seen = after or {}
        return [self._progress(job, seen) for job in handle.jobs]

    def _progress(self, job: StartedJob, seen: Mapping[str, int]) -> JobProgress:
        task = self.desk.task(job.job_key)
        if task is None:
            if "-acc-" in job.job_key:
                return self.helper.events(Handle(executor=self.name, jobs=(job,)), after=seen)[0]
            return JobProgress(job_key=job.job_key, reachable=True, reason=kept("no task of this key is known"))
        new = tuple(event for event in task.events if event.seq > seen.get(job.job_key, 0))
        result = None
        if task.outcome is not None:
            permanent = task.outcome is Stage.REFUSED and task.code != "not_begun"
            result = JobResult(outcome=task.outcome, code=task.code, reason=task.reason, permanent=permanent)
        return JobProgress(
            job_key=job.job_key, reachable=True, known=True, alive=result is None and not task.over,
            stage=task.events[-1].stage, events=new, result=result, reason=task.reason, pause=PAUSE,
        )  # fmt: skip

    def observe(self, spec: ObserveSpec) -> Observed:
        """By the newest scan since it was done, else by what a second person attested. Raises Unreachable where neither is."""
        seen = self.desk.seen(spec)
        if seen is None:
            return self.helper.observe(spec)
        if seen.sight == "none":
            raise Unreachable(seen.reason)
        waiting = seen.sight == "waiting"
        verdict, reason = verdict_of(
            spec, states=seen.packages, apt_running=(kept("a scan of the host"),) if waiting else (), interrupted=False, alive=False,
            stage=Stage.VERIFYING, result=None, health_failures=(),
        )  # fmt: skip
        return Observed(
            verdict=verdict, reason=reason if waiting else f"{seen.reason}: {reason}", packages=seen.packages, apt_running=(),
            audit="", interrupted=False, boot_id="", machine_id=seen.machine_id, restart_needed=False, health_failures=(),
            ledger_stage=None, ledger_alive=False, result=None, attested=seen.sight == "attested",
        )  # fmt: skip

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        found: list[Observed | RemoteError] = []
        for spec in specs:
            try:
                found.append(self.observe(spec))
            except RemoteError as error:
                found.append(error)
        return found

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        answers = []
        for job in handle.jobs:
            called = self.desk.call_off(job.job_key)
            if called is None:
                answers += self.helper.cancel(Handle(executor=self.name, jobs=(job,)))
            else:
                reason = "" if called else kept("its person has begun, and is not interrupted")
                answers.append(
                    CancelAnswer(job_key=job.job_key, word="cancelled" if called else "too_late", reason=reason)
                )
        return answers

    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        return self.helper.dry_run(endpoint, wanted, refresh=refresh, way=way)


def _started(order: JobOrder, answer: StartAnswer) -> StartedJob:
    return StartedJob(job_key=order.job_key, fence=order.fence, endpoint=order.endpoint, answer=answer)


def journal(job_key: str, lines: Sequence[tuple[datetime, Stage, str]]) -> tuple[JobEvent, ...]:
    """What a task tells, as the lines of a journal."""
    return tuple(
        JobEvent(job_key=job_key, seq=seq, at=at, stage=stage, message=words)
        for seq, (at, stage, words) in enumerate(lines, start=1)
    )
