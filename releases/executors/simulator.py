"""The simulator: hosts that exist in a ledger only. Same port, same words, no host is touched.

For a demo without a fleet, a rehearsal, and tests that need a witness: its ledger remembers what was really
"installed", apart from what its jobs claim. The course of a job is fixed when it starts, by the seed and the job's
key; time passes by the clock that is given.
"""

import functools
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError, Unreachable
from patchflow.kernel.blockers import kept
from patchflow.kernel.json_text import read, text_from
from releases.enums import SIMULATOR
from releases.executors.base import (
    Action,
    ArtifactSpec,
    Batch,
    CancelAnswer,
    CancelWord,
    DryRun,
    Handle,
    JobOrder,
    JobProgress,
    JobResult,
    Observed,
    ObserveSpec,
    PackageChange,
    PackageState,
    Stage,
    StartAnswer,
    StartedJob,
    StartWord,
    Way,
)
from releases.executors.simulator_ledger import Effect, KnownJob, Ledger, Moment, SimulatorLedger
from releases.executors.simulator_plan import HABITS, LOCKED, Habit, Habits, plan_for
from releases.executors.verdicts import verdict_of
from releases.executors.wire import parts_of

SILENT = "simulator: the host does not answer"


class SimulatorExecutor:
    """Answers like a real executor. `clock` gives the present (aware); the same seed and keys give the same course."""

    name = SIMULATOR
    honours = frozenset({"restart", "countdown_seconds", "steps", "stage_hours"})
    needs_connection = True

    def __init__(
        self, ledger: Path | Ledger, *, clock: Callable[[], datetime], seed: int = 0, habits: Habits | None = None
    ) -> None:
        self.ledger = SimulatorLedger(ledger) if isinstance(ledger, Path) else ledger
        self.clock = clock
        self.seed = seed
        self.habits = habits or Habits()

    def switch(self, address: str, habit: Habit | None) -> None:
        """From now on jobs given to this host take that course (`HABITS`); None: by the rates again."""
        if habit is not None and habit not in HABITS:
            raise ValueError(f"simulator: no such habit: {habit}")
        with self.ledger.at(self.clock()) as moment:
            moment.switch(address, habit)

    def furnish(self, address: str, packages: Sequence[PackageState], *, only_new: bool = False) -> None:
        """Puts packages on a simulated host; `only_new`: those of which it knows nothing yet. Unfurnished ones are taken to
        be where an order says they come from."""
        with self.ledger.at(self.clock()) as moment:
            known = {(s.name, s.arch) for s in moment.all_states(address)} if only_new else set()
            for state in packages:
                if (state.name, state.arch) not in known:
                    moment.put(address, state)

    def effects(self, *, job_key: str = "") -> list[Effect]:
        """What was really changed, in order; of one job or of all."""
        with self.ledger.at(self.clock()) as moment:
            return moment.effects(job_key)

    # ------------------------------------------------------------------------ port

    def start(self, batch: Batch) -> Handle:
        with self.ledger.at(self.clock()) as moment:
            return self._handle(batch.orders, [self._start(moment, order) for order in batch.orders])

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        return self._handle(orders, [_answer("already", "attached, not asked")] * len(orders))

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        seen = after or {}
        with self.ledger.at(self.clock()) as moment:
            return [_progress(moment, job, seen.get(job.job_key, 0)) for job in handle.jobs]

    def observe(self, spec: ObserveSpec) -> Observed:
        with self.ledger.at(self.clock()) as moment:
            return _observed(moment, spec)

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        with self.ledger.at(self.clock()) as moment:
            return [_seen(moment, spec) for spec in specs]

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        with self.ledger.at(self.clock()) as moment:
            return [CancelAnswer(job_key=job.job_key, word=(said := _cancel(moment, job))[0], reason=f"simulator: {said[1]}")
                    for job in handle.jobs]  # fmt: skip

    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        """Only the wanted packages: simulated hosts know no dependencies, and fetch nothing. Files are invented, one per package."""
        with self.ledger.at(self.clock()) as moment:
            if moment.habit(endpoint.address) == "unreachable":
                raise Unreachable(SILENT)
            have = {state.name: state for state in moment.all_states(endpoint.address)}
        changes = tuple(
            PackageChange(
                name=name,
                arch=have[name].arch if name in have else "all",
                from_version=have[name].version if name in have else "",
                to_version=version,
            )
            for name, version in wanted
        )
        changes = tuple(change for change in changes if change.from_version != change.to_version)
        return DryRun(
            changes=changes,
            removals=tuple(change.name for change in changes if not change.to_version),
            artifacts=tuple(simulated_artifact(change) for change in changes if change.to_version),
        )

    # --------------------------------------------------------------------- one job

    def _start(self, moment: Moment, order: JobOrder) -> StartAnswer:
        address, habit = order.endpoint.address, moment.habit(order.endpoint.address)
        if habit == "unreachable":
            return _answer("unreachable", "the host does not answer")
        known = None if habit == "forget" else moment.job(order.job_key)
        said = text_from(parts_of(order))
        if known and order.fence < known.fence:
            return _answer("stale", f"a newer claim was here: {known.fence}")
        if known and known.course:
            moment.raise_fence(order.job_key, order.fence)
            if known.said != said and read(known.said) != read(said):
                return _answer("different", "this key is known for another order")
            return _answer("already", f"at {known.course.stage(moment.now)}")
        if other := moment.busy_job(address, but="" if habit == "forget" else order.job_key):
            lives = moment.job(other)
            if lives and lives.said and order.action is not Action.STAGE and read(lives.said)["action"] == Action.STAGE:
                moment.cancel(other, address, lives.fence)  # what only lays files ready makes way
            return _answer("busy", f"job {other} lives on this host")
        moment.take_for_granted(address, order.packages)
        states = moment.states(address, order.packages)
        there = bool(states) and all(_is(s, c) for s, c in zip(states, order.packages, strict=True))
        chance = random.Random(f"{self.seed}:{order.job_key}")  # noqa: S311 - a course, not a secret
        habit = habit or self.habits.drawn(chance)
        moment.accept(order, said, plan_for(order, habit=habit, habits=self.habits, chance=chance, there=there))
        return _answer("accepted", "")

    def _handle(self, orders: Sequence[JobOrder], answers: Sequence[StartAnswer]) -> Handle:
        jobs = tuple(
            StartedJob(job_key=order.job_key, fence=order.fence, endpoint=order.endpoint, answer=answer)
            for order, answer in zip(orders, answers, strict=True)
        )
        return Handle(executor=self.name, jobs=jobs)


def simulated_artifact(change: PackageChange) -> ArtifactSpec:
    """The invented file of a simulated package: always the same one for the same name, version and architecture."""
    filename = f"{change.name}_{change.to_version}_{change.arch}.deb"
    digest = hashlib.sha256(f"simulator {filename}".encode()).hexdigest()
    size = 1000 + int(digest[:4], 16)
    return ArtifactSpec(
        filename=filename, package=change.name, version=change.to_version, arch=change.arch, sha256=digest, size=size
    )


def _answer(word: StartWord, reason: str) -> StartAnswer:
    return StartAnswer(word=word, reason=f"simulator: {reason}" if reason else "")


def _is(state: PackageState, change: PackageChange) -> bool:
    return (state.version, state.status) == (change.to_version, "installed" if change.to_version else "")


def _progress(moment: Moment, job: StartedJob, after: int) -> JobProgress:
    if moment.habit(job.endpoint.address) == "unreachable":
        return JobProgress(job_key=job.job_key, reachable=False, reason=SILENT)
    known = moment.job(job.job_key)
    if known is None or known.course is None or moment.habit(job.endpoint.address) == "forget":
        return JobProgress(job_key=job.job_key, reachable=True, reason="simulator: the host does not know this job")
    return JobProgress(
        job_key=job.job_key,
        reachable=True,
        known=True,
        alive=known.course.alive(moment.now),
        stage=known.course.stage(moment.now),
        events=known.course.events_until(moment.now, after=after),
        result=_result(moment, known),
    )


def _result(moment: Moment, known: KnownJob) -> JobResult | None:
    course = known.course
    last = course.last(moment.now) if course else None
    if course is None or last is None or not last[0].final:
        return None
    cancelled = last[0] is Stage.CANCELLED
    return JobResult(
        outcome=last[0],
        code="cancelled" if cancelled else course.plan.code,
        reason=last[1],
        permanent=last[0] is Stage.REFUSED and course.plan.code != LOCKED,
        packages=moment.states(known.address, known.packages),
        restarted=course.plan.restarts and not cancelled,
        boot_id=_boot_id(moment, known.address),
        log_tail="simulator: there is no log, nothing was run",
    )


def _cancel(moment: Moment, job: StartedJob) -> tuple[CancelWord, str]:
    if moment.habit(job.endpoint.address) == "unreachable":
        return "unreachable", kept("the host does not answer")
    known = moment.job(job.job_key)
    if known and job.fence < known.fence:
        return "stale", f"a newer claim was here: {known.fence}"
    if known and known.course and known.course.ended(moment.now):
        return "ended", str(known.course.stage(moment.now))
    if known and known.course and known.course.installing(moment.now):
        return "too_late", kept("what runs is not stopped")
    moment.cancel(job.job_key, job.endpoint.address, job.fence)
    return "cancelled", kept("nothing was installed") if known else kept("it was not here")


def _observed(moment: Moment, spec: ObserveSpec) -> Observed:
    address = spec.endpoint.address
    if moment.habit(address) == "unreachable":
        raise Unreachable(SILENT)
    states, known = moment.states(address, spec.packages), moment.job(spec.job_key)
    if moment.habit(address) == "forget" and known and not (known.course and known.course.busy(moment.now)):
        known = None  # its package database remembers, its ledger does not
    course, now = known.course if known else None, moment.now
    running = ("simulator",) if course and course.busy(now) else ()
    interrupted = not running and any(state.status not in ("", "installed") for state in states)
    stage, alive = (course.stage(now), course.alive(now)) if course else (None, False)
    result = _result(moment, known) if known else None
    verdict, reason = verdict_of(
        spec,
        states=states,
        apt_running=running,
        interrupted=interrupted,
        alive=alive,
        stage=stage,
        result=result,
        health_failures=(),
    )
    return Observed(
        verdict=verdict,
        reason=f"simulator: {reason.removeprefix('simulator: ')}",
        packages=states,
        apt_running=running,
        audit="simulator: unfinished packages" if interrupted else "",
        interrupted=interrupted,
        boot_id=_boot_id(moment, address),
        machine_id=_drawn_of(address),
        restart_needed=False,
        health_failures=(),
        ledger_stage=stage,
        ledger_alive=alive,
        result=result,
    )


def _seen(moment: Moment, spec: ObserveSpec) -> Observed | RemoteError:
    try:
        return _observed(moment, spec)
    except Unreachable as error:
        return error


def _boot_id(moment: Moment, address: str) -> str:
    return _drawn_of(f"{address} {moment.starts(address)}")


@functools.lru_cache(maxsize=100_000)
def _drawn_of(text: str) -> str:
    """An id of a host that follows from what it is of."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
