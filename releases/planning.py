"""What a rollout does next: a pure function of a snapshot and a time. A rehearsal runs the same function on a simulated clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from patchflow.kernel.blockers import english
from releases import confidence, diversity
from releases.enums_rollout import BAD, GOOD, LIVE, REPORTED, JobState, RingState, RolloutState


@dataclass(frozen=True, slots=True)
class RingView:
    """A ring as it stands: `counts` job state → number; `due`: pending jobs whose time has come; `bound_percent`: what the
    lower bound of the share of success must reach at this confidence, 0 where it is not asked; `classes`: class of machine
    that is asked → good hosts of it so far, of which `class_hosts` are needed; `waits`: why it does not start yet although
    its people were told."""

    id: int
    name: str
    state: str
    concurrency: int
    failure_limit: int
    success_percent: int
    soak_until: datetime | None = None
    confidence_percent: int = confidence.USUAL_CONFIDENCE
    bound_percent: int = 0
    class_hosts: int = 0
    classes: Mapping[str, int] = field(default_factory=dict)
    accepted_partly: bool = False
    waits: str = ""
    due: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)

    def number(self, *states: str) -> int:
        return sum(self.counts.get(state, 0) for state in states)

    @property
    def live(self) -> int:
        return self.number(*LIVE)

    @property
    def pending(self) -> int:
        return self.number(JobState.PENDING)

    @property
    def bad(self) -> int:
        """What counts against the failure limit: failed, undone, unknown, lost."""
        return self.number(*BAD)

    @property
    def good(self) -> int:
        return self.number(*GOOD)

    @property
    def reported(self) -> int:
        return self.number(*REPORTED)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def unseen(self) -> int:
        """Hosts of which nobody knows whether they are at work."""
        return self.number(JobState.UNKNOWN)

    @property
    def stands(self) -> bool:
        """Whether it only waits for hosts out of sight: no other is at work, and none begins before they are known."""
        held_up = not self.pending or self.unseen >= self.concurrency
        return self.state == RingState.RUNNING and 0 < self.unseen == self.live and held_up

    @property
    def falls_short(self) -> bool:
        """Whether too few would have succeeded even if every host out of sight had; only once none waits any longer."""
        best, reported = self.good + self.unseen, self.reported + self.unseen
        return not self.pending and best * 100 < self.success_percent * reported


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout as it stands. `open`: its gates let something through now; `expired`: its latest start has passed."""

    id: int
    state: str
    open: bool
    rings: tuple[RingView, ...]
    expired: bool = False

    @property
    def live(self) -> int:
        return sum(ring.live for ring in self.rings)


@dataclass(frozen=True, slots=True)
class NotifyRing:
    """Tell the owners of the ring's hosts: it is the next to start."""

    ring_id: int


@dataclass(frozen=True, slots=True)
class StartRing:
    ring_id: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Let up to `count` due hosts of the ring through."""

    ring_id: int
    count: int


@dataclass(frozen=True, slots=True)
class SoakRing:
    ring_id: int


@dataclass(frozen=True, slots=True)
class PassRing:
    ring_id: int


@dataclass(frozen=True, slots=True)
class FailRing:
    ring_id: int
    cause: str


@dataclass(frozen=True, slots=True)
class Halt:
    cause: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Cancel the pending jobs of the ring: the rollout is stopping."""

    ring_id: int


@dataclass(frozen=True, slots=True)
class Expire:
    """Refuse the pending jobs of the ring: the latest start that was signed has passed."""

    ring_id: int


@dataclass(frozen=True, slots=True)
class SkipRing:
    """Nothing is left to do in a ring that has not begun."""

    ring_id: int


@dataclass(frozen=True, slots=True)
class Complete:
    outcome: str


@dataclass(frozen=True, slots=True)
class EndStopped:
    outcome: str


Action = (
    NotifyRing
    | StartRing
    | Claim
    | SoakRing
    | PassRing
    | FailRing
    | Halt
    | Withdraw
    | Expire
    | SkipRing
    | Complete
    | EndStopped
)

OVER = (RingState.PASSED, RingState.SKIPPED)


def outcome_of(view: RolloutView) -> str:
    """full: every host of every ring is where it should be; failed: not one; else partial."""
    good = sum(ring.good for ring in view.rings)
    if good and good == sum(ring.total for ring in view.rings):
        return "full"
    return "partial" if good else "failed"


def next_actions(view: RolloutView, now: datetime) -> list[Action]:
    """What is to be done now, in order. Empty: nothing but waiting. Rings go one after another."""
    if view.state == RolloutState.STOPPING:
        withdrawn: list[Action] = [Withdraw(ring.id) for ring in view.rings if ring.pending]
        return withdrawn or ([] if view.live else [EndStopped(outcome_of(view))])
    if view.state != RolloutState.RUNNING:
        return []
    if view.expired and (late := [r for r in view.rings if r.pending]):
        return [Expire(ring.id) for ring in late]
    ring = next((r for r in view.rings if r.state not in OVER), None)
    if ring is None:
        return [] if view.live else [Complete(outcome_of(view))]
    match ring.state:
        case RingState.PENDING | RingState.NOTIFIED:
            if not ring.pending:
                return [SkipRing(ring.id)]
            told = ring.state == RingState.NOTIFIED
            if told and ring.waits:
                return []
            return [StartRing(ring.id) if told else NotifyRing(ring.id)] if view.open else []
        case RingState.RUNNING:
            return _running(ring, view.open)
        case RingState.SOAKING:
            return _soaking(ring, now) or _announced(view)
    return [
        Halt(english("Ring %(ring)s has failed: retry its failed hosts, accept it as it is, or stop.", ring=ring.name))
    ]


def _running(ring: RingView, is_open: bool) -> list[Action]:
    if ring.bad >= ring.failure_limit:
        return _failed(
            ring,
            english(
                "%(bad)s of %(total)s hosts failed or are out of sight; the limit is %(failure_limit)s",
                bad=ring.bad,
                total=ring.total,
                failure_limit=ring.failure_limit,
            ),
        )
    if not ring.pending and not ring.live:
        return _judged(ring)
    free = min(ring.concurrency - ring.live, ring.due)
    return [Claim(ring.id, free)] if is_open and free > 0 else []


def _judged(ring: RingView) -> list[Action]:
    """All have ended: enough of those that reported succeeded, or the ring has failed."""
    why = _unproven(ring)
    return _failed(ring, why) if why else [SoakRing(ring.id)]


def _unproven(ring: RingView) -> str:
    """Why what was reported does not promote the ring; empty: it does. Nobody reported: nothing is proven."""
    if not ring.reported:
        return english("none of %(total)s hosts reported", total=ring.total)
    if ring.good * 100 < ring.success_percent * ring.reported:
        return english(
            "%(good)s of %(reported)s that reported succeeded; %(success_percent)s %% are asked",
            good=ring.good,
            reported=ring.reported,
            success_percent=ring.success_percent,
        )
    sure, bound = ring.confidence_percent, ring.bound_percent
    if not confidence.proves(ring.good, ring.reported, bound, confidence=sure):
        low = confidence.lower_bound(ring.good, ring.reported, confidence=sure)
        failed = ring.reported - ring.good
        count = confidence.hosts_needed(bound, confidence=sure, failed=failed)
        return english(
            "%(good)s of %(reported)s that reported succeeded, so that at least %(low)s %% do with %(sure)s %% confidence; "
            "%(bound)s %% are asked, and with %(failed)s failed they take %(count)s hosts that reported",
            good=ring.good,
            reported=ring.reported,
            low=low,
            sure=sure,
            bound=bound,
            failed=failed,
            count=count,
        )
    return _untried(ring)


def _untried(ring: RingView) -> str:
    """Which classes of machine too few hosts have succeeded of, in this ring and those before it."""
    untried = diversity.short_of(ring.classes, ring.class_hosts)
    if not untried:
        return ""
    good = [f"{label} ({ring.classes[label]} of {ring.class_hosts})" for label in untried]
    return english(
        "too few good hosts so far of %(few)s of %(all)s classes of machine that are asked for the next rings: %(classes)s",
        few=len(untried),
        all=len(ring.classes),
        classes=diversity.named(good),
    )


def _soaking(ring: RingView, now: datetime) -> list[Action]:
    if ring.bad >= ring.failure_limit and not ring.accepted_partly:
        return _failed(
            ring,
            english(
                "%(bad)s of %(total)s hosts failed or are out of sight; the limit is %(failure_limit)s",
                bad=ring.bad,
                total=ring.total,
                failure_limit=ring.failure_limit,
            ),
        )
    if ring.live or ring.soak_until is None or now < ring.soak_until:
        return []
    if not ring.accepted_partly and (why := _unproven(ring)):
        return _failed(ring, why)
    return [PassRing(ring.id)]


def _announced(view: RolloutView) -> list[Action]:
    """While a ring is watched, the people of the next one are told."""
    waiting = [r for r in view.rings if r.state in (RingState.PENDING, RingState.NOTIFIED) and r.pending]
    following = waiting[0] if waiting and waiting[0].state == RingState.PENDING else None
    return [NotifyRing(following.id)] if view.open and following else []


def _failed(ring: RingView, why: str) -> list[Action]:
    return [
        FailRing(ring.id, english("Ring %(ring)s: %(why)s.", ring=ring.name, why=why)),
        Halt(english("Ring %(ring)s: %(why)s.", ring=ring.name, why=why)),
    ]
