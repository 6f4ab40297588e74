"""The course of a simulated job: fixed when it starts, told piece by piece as time passes. Pure; knows no file."""

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from patchflow.kernel.blockers import kept
from patchflow.kernel.values import value
from releases.executors.base import Action, JobEvent, JobOrder, Stage, Step
from releases.executors.onhost import ways
from releases.executors.onhost.steps import begins, ended, named
from releases.wording import many

Habit = Literal[
    "well", "slow", "hang", "fail", "lie", "lose", "vanish", "refuse", "locked", "forget", "unreachable", "step_before",
    "step_after",
]  # fmt: skip
HABITS: Mapping[Habit, str] = {
    "well": "does what was ordered",
    "slow": "the same, ten times slower",
    "hang": "begins to install and never ends; nothing is changed",
    "fail": "a package's script fails, the package is left half-configured",
    "lie": "reports success and has changed nothing",
    "lose": "falls silent while installing; the change is made all the same",
    "vanish": "falls silent before anything is installed",
    "refuse": "refuses before anything is installed, for good",
    "locked": "refuses for now: another process holds its package manager",
    "forget": "does what was ordered and keeps no ledger: asked again by the same key, it does it again",
    "unreachable": "does not answer",
    "step_before": "the first step before the installation fails, if the order has one",
    "step_after": "the first step after it fails, if the order has one",
}


LOCKED = "locked"
"""The code of a refusal that waiting may end."""
NEVER = 1e9
"""Seconds: some thirty years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How simulated hosts behave: spans in seconds, rates between 0 and 1, drawn once per job. The rest goes well.

    `beginning`: seconds between the files being there and the package manager's start, the same for all.
    """

    staging: tuple[float, float] = (1, 3)
    beginning: float = 0.1
    installing: tuple[float, float] = (2, 8)
    restarting: tuple[float, float] = (3, 10)
    verifying: tuple[float, float] = (1, 2)
    rates: Mapping[Habit, float] = field(default_factory=dict)

    def drawn(self, chance: random.Random) -> Habit:
        """One habit by the rates."""
        at, sum_of_rates = chance.random(), 0.0
        for habit, rate in sorted(self.rates.items()):
            sum_of_rates += rate
            if at < sum_of_rates:
                return habit
        return "well"


@value(kw_only=True)
class Plan:
    """Seconds after acceptance at which each stage is reached; `applied` when the packages change, if they do.

    effect: "full", "half" (left half-configured) or "none". `silent` is when the worker dies without a word.
    """

    stages: tuple[tuple[float, str, str], ...]
    effect: Literal["full", "half", "none"]
    applied: float
    restarts: bool = False
    silent: float | None = None
    code: str = ""
    reason: str = ""

    @classmethod
    def from_said(cls, said: Mapping[str, Any]) -> "Plan":
        return cls(**{**said, "stages": tuple(tuple(stage) for stage in said["stages"])})


def plan_for(order: JobOrder, *, habit: Habit, habits: Habits, chance: random.Random, there: bool) -> Plan:
    """What will become of the order. `there`: every package is at its version already."""

    def span(bounds: tuple[float, float]) -> float:
        return chance.uniform(*bounds) * (10 if habit == "slow" else 1)

    staged = span(habits.staging)
    head: list[tuple[float, str, str]] = [
        (0, Stage.ACCEPTED.value, f"simulator: {order.action.value} of {many(len(order.packages), 'package')}")
    ]

    def short(stage: Stage, code: str, words: str) -> Plan:
        end = (staged, stage.value, f"simulator: {words}")
        return Plan(stages=(*head, end), effect="none", applied=staged, code=code, reason=end[2])

    if there and order.action is not Action.RECOVER:
        return short(Stage.NOT_NEEDED, "not_needed", kept("every package is at its version already"))
    if habit == "refuse":
        return short(Stage.REFUSED, "not_contained", kept("the host would also do what was not signed"))
    if habit == "locked":
        return short(Stage.REFUSED, LOCKED, kept("another process holds the package manager"))
    if habit == "vanish":
        return Plan(stages=tuple(head), effect="none", applied=staged, silent=staged)
    if order.way is not None:
        head.append((0, Stage.ACCEPTED.value, f"simulator: downloads {ways.named(asdict(order.way))}"))
    head.append((staged, Stage.STAGED.value, f"simulator: {many(len(order.artifacts), 'file')} at hand, as signed"))
    if order.action is Action.STAGE:
        end = (staged, Stage.STAGED_ONLY.value, "simulator: staged only")
        return Plan(stages=(*head, end), effect="none", applied=staged, code="staged", reason=end[2])
    told, stopped = steps_told(order, "before", fails=habit == "step_before", at=staged, stage=Stage.STAGED)
    head += told
    staged += 0.1 * len(told)
    if stopped:
        head += given_back(order, at=staged, stage=Stage.STAGED)
        reason = kept("simulator: nothing was installed, because of a step before it: %(step)s", step=stopped)
        end = (staged + 0.1, Stage.FAILED.value, reason)
        return Plan(stages=(*head, end), effect="none", applied=end[0], code="step_before", reason=reason)
    begun = staged + habits.beginning
    words = ", ".join(f"{c.name} {c.from_version or 'none'} -> {c.to_version or 'none'}" for c in order.packages)
    head.append((begun, Stage.INSTALLING.value, f"simulator: {words}"))
    if habit == "hang":
        return Plan(stages=tuple(head), effect="none", applied=NEVER)
    done = begun + span(habits.installing)
    if habit == "lose":
        return Plan(stages=tuple(head), effect="full", applied=done, silent=begun + (done - begun) / 2)
    if habit == "fail":
        reason = kept("simulator: a package's script failed, it is left half-configured")
        end = (done, Stage.FAILED.value, reason)
        return Plan(stages=(*head, end), effect="half", applied=done, code="package_state", reason=reason)
    verifying, restarts = done, order.restart.mode == "always"
    if restarts:
        if order.restart.countdown:
            words = f"simulator: restarts in {order.restart.countdown} s; its users are told"
            head.append((done, Stage.INSTALLING.value, words))
            verifying += order.restart.countdown
        head.append((verifying, Stage.RESTARTING.value, "simulator: restarting the host"))
        verifying += span(habits.restarting)
    head.append((verifying, Stage.VERIFYING.value, "simulator: asking packages and services"))
    told, stopped = steps_told(order, "after", fails=habit == "step_after", at=verifying, stage=Stage.VERIFYING)
    head += told
    verifying += 0.1 * len(told)
    if stopped:
        reason = kept("simulator: installed and verified, but a step after it failed: %(step)s", step=stopped)
        end = (verifying + 0.1, Stage.FAILED.value, reason)
        return Plan(
            stages=(*head, end), effect="full", applied=done, restarts=restarts, code="step_after", reason=reason
        )
    end = (verifying + span(habits.verifying), Stage.SUCCEEDED.value, kept("simulator: installed and verified"))
    effect: Literal["full", "none"] = "none" if habit == "lie" else "full"
    return Plan(stages=(*head, end), effect=effect, applied=done, restarts=restarts, reason=end[2])


FAILS = "simulator: it ended with 1"


def steps_told(
    order: JobOrder, moment: str, *, fails: bool, at: float, stage: Stage
) -> tuple[list[tuple[float, str, str]], str]:
    """What the journal says of the steps of this moment, each told twice, 0.1 s apart; and which one stopped the job.
    `fails`: the first of them does."""
    told: list[tuple[float, str, str]] = []
    for number, step in enumerate(step for step in order.steps if step.moment == moment):
        ill = FAILS if fails and not number else ""
        told += _told(step, ill, at=at + 0.1 * len(told), stage=stage)
        if ill and step.on_failure == "stop":
            return told, f"{named(asdict(step))}: {ill}"
    return told, ""


def given_back(order: JobOrder, *, at: float, stage: Stage) -> list[tuple[float, str, str]]:
    """The steps after it that follow although nothing was installed, all at once."""
    back = [step for step in order.steps if step.moment == "after" and step.runs != "success"]
    return [line for step in back for line in _told(step, "", at=at, stage=stage)]


def _told(step: Step, ill: str, *, at: float, stage: Stage) -> list[tuple[float, str, str]]:
    said = asdict(step)
    return [
        (at, stage.value, f"simulator: {begins(said)}"),
        (at + 0.1, stage.value, f"simulator: {ended(said, ill)}"),
    ]


CALLED_OFF = "simulator: called off before anything was installed"


@value(kw_only=True)
class Course:
    """A plan under way. A cancelled one stands still at that moment."""

    job_key: str
    plan: Plan
    accepted_at: datetime
    cancelled_at: datetime | None = None

    def _reached(self, now: datetime) -> Sequence[tuple[float, str, str]]:
        """The stages of the plan that have been reached: they follow each other in time."""
        span = (min(now, self.cancelled_at) if self.cancelled_at else now) - self.accepted_at
        stages = self.plan.stages
        return stages if _span(stages[-1][0]) <= span else [stage for stage in stages if _span(stage[0]) <= span]

    def _called_off(self, now: datetime) -> bool:
        return self.cancelled_at is not None and self.cancelled_at <= now

    def events_until(self, now: datetime, *, after: int = 0) -> tuple[JobEvent, ...]:
        """What it has written down, from the line after number `after` on."""
        told = [(self._at(seconds), Stage(stage), words) for seconds, stage, words in self._reached(now)]
        if self.cancelled_at is not None and self._called_off(now):
            told.append((max(self.cancelled_at, self.accepted_at), Stage.CANCELLED, CALLED_OFF))
        return tuple(
            JobEvent(job_key=self.job_key, seq=seq, at=at, stage=stage, message=words)
            for seq, (at, stage, words) in enumerate(told, start=1)
            if seq > after
        )

    def last(self, now: datetime) -> tuple[Stage, str] | None:
        """The last stage that was reached, and its words."""
        if self._called_off(now):
            return Stage.CANCELLED, CALLED_OFF
        reached = self._reached(now)
        return (Stage(reached[-1][1]), reached[-1][2]) if reached else None

    def stage(self, now: datetime) -> Stage | None:
        last = self.last(now)
        return last[0] if last else None

    def ended(self, now: datetime) -> bool:
        stage = self.stage(now)
        return stage is not None and stage.final

    def alive(self, now: datetime) -> bool:
        """Whether its worker runs: not ended, and not fallen silent."""
        silent = self.plan.silent is not None and self._at(self.plan.silent) <= now
        return not self.ended(now) and not silent

    def installing(self, now: datetime) -> bool:
        """Whether it is too late to call it off."""
        return any(stage == Stage.INSTALLING for _at, stage, _words in self._reached(now))

    def busy(self, now: datetime) -> bool:
        """Whether packages may still change: apt runs on when its worker is gone."""
        return self.alive(now) or (self.installing(now) and now < self.applied_at)

    @property
    def applied_at(self) -> datetime:
        return self._at(self.plan.applied)

    def applied(self, now: datetime) -> bool:
        return self.cancelled_at is None and self.applied_at <= now

    def _at(self, seconds: float) -> datetime:
        return self.accepted_at + _span(seconds)


@functools.lru_cache(maxsize=10_000)
def _span(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)
