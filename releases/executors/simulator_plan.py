"""The course of a simulated job: fixed when it starts, told piece by piece as time passes. Pure; knows no file."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from releases.executors.base import Action, JobEvent, JobOrder, Stage
from releases.wording import many

Habit = Literal["well", "slow", "fail", "lie", "lose", "vanish", "refuse", "forget", "unreachable"]
HABITS: Mapping[Habit, str] = {
    "well": "does what was ordered",
    "slow": "the same, ten times slower",
    "fail": "a package's script fails, the package is left half-configured",
    "lie": "reports success and has changed nothing",
    "lose": "falls silent while installing; the change is made all the same",
    "vanish": "falls silent before anything is installed",
    "refuse": "refuses before anything is installed",
    "forget": "does what was ordered and keeps no ledger: asked again by the same key, it does it again",
    "unreachable": "does not answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How simulated hosts behave: spans in seconds, rates between 0 and 1, drawn once per job. The rest goes well."""

    staging: tuple[float, float] = (1, 3)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
        return short(Stage.NOT_NEEDED, "not_needed", "every package is at its version already")
    if habit == "refuse":
        return short(Stage.REFUSED, "not_contained", "the host would also do what was not signed")
    if habit == "vanish":
        return Plan(stages=tuple(head), effect="none", applied=staged, silent=staged)
    head.append((staged, Stage.STAGED.value, f"simulator: {many(len(order.artifacts), 'file')} at hand, as signed"))
    if order.action is Action.STAGE:
        end = (staged, Stage.STAGED_ONLY.value, "simulator: staged only")
        return Plan(stages=(*head, end), effect="none", applied=staged, code="staged", reason=end[2])
    begun = staged + 0.1
    words = ", ".join(f"{c.name} {c.from_version or 'none'} -> {c.to_version or 'none'}" for c in order.packages)
    head.append((begun, Stage.INSTALLING.value, f"simulator: {words}"))
    done = begun + span(habits.installing)
    if habit == "lose":
        return Plan(stages=tuple(head), effect="full", applied=done, silent=begun + (done - begun) / 2)
    if habit == "fail":
        reason = "simulator: a package's script failed, it is left half-configured"
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
    end = (verifying + span(habits.verifying), Stage.SUCCEEDED.value, "simulator: installed and verified")
    effect: Literal["full", "none"] = "none" if habit == "lie" else "full"
    return Plan(stages=(*head, end), effect=effect, applied=done, restarts=restarts, reason=end[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A plan under way. A cancelled one stands still at that moment."""

    job_key: str
    plan: Plan
    accepted_at: datetime
    cancelled_at: datetime | None = None

    def events_until(self, now: datetime) -> tuple[JobEvent, ...]:
        until = min(now, self.cancelled_at) if self.cancelled_at else now
        told = [(self._at(seconds), Stage(stage), words) for seconds, stage, words in self.plan.stages]
        told = [event for event in told if event[0] <= until]
        if self.cancelled_at is not None and self.cancelled_at <= now:
            words = "simulator: called off before anything was installed"
            told.append((max(self.cancelled_at, self.accepted_at), Stage.CANCELLED, words))
        return tuple(
            JobEvent(job_key=self.job_key, seq=seq, at=at, stage=stage, message=words)
            for seq, (at, stage, words) in enumerate(told, start=1)
        )

    def stage(self, now: datetime) -> Stage | None:
        events = self.events_until(now)
        return events[-1].stage if events else None

    def ended(self, now: datetime) -> bool:
        stage = self.stage(now)
        return stage is not None and stage.final

    def alive(self, now: datetime) -> bool:
        """Whether its worker runs: not ended, and not fallen silent."""
        silent = self.plan.silent is not None and self._at(self.plan.silent) <= now
        return not self.ended(now) and not silent

    def installing(self, now: datetime) -> bool:
        """Whether it is too late to call it off."""
        return any(event.stage is Stage.INSTALLING for event in self.events_until(now))

    def busy(self, now: datetime) -> bool:
        """Whether packages may still change: apt runs on when its worker is gone."""
        return self.alive(now) or (self.installing(now) and now < self.applied_at)

    @property
    def applied_at(self) -> datetime:
        return self._at(self.plan.applied)

    def applied(self, now: datetime) -> bool:
        return self.cancelled_at is None and self.applied_at <= now

    def _at(self, seconds: float) -> datetime:
        return self.accepted_at + timedelta(seconds=seconds)
