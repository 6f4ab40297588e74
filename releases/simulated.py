"""A whole rollout on a simulated clock: `planning.next_actions` decides, hosts that exist on paper only carry it out.

Pure: whether a host may be let through, and whether the whole is open, is asked of `Gates`; nothing here knows a row. The
clock jumps from one moment at which something can change to the next, so that weeks with ten thousand hosts take seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from patchflow.kernel.blockers import english
from releases import diversity, planning
from releases.enums_rollout import JobState, RingState, RolloutState

HORIZON = timedelta(days=400)
"""No plan is followed further than this."""
ASKED = 100
"""Hosts asked at least for each claim, as the real rollout does."""
STEPS = 10_000
"""Acts at one moment at most; more is a contradiction in the gates, and said so."""
Course = Literal["well", "fails", "lies", "away"]
NOT_ANSWERING = english("it does not answer")


Offline = Callable[[int], datetime | str]
"""Host → when it is asked again that did not answer, which is now where only the latest start ends it; or why it is left out."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host on paper: what will become of it when it is let through, and how long it then takes. `machine`: its class, where
    classes are asked for and it is known."""

    host_id: int
    course: Course
    takes: timedelta
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the gates of one host say. `until`: when to ask again; None of a host that waits: only a person opens it.
    `night`: the opening in which it runs."""

    word: Literal["run", "wait", "never"]
    why: str = ""
    code: str = ""
    until: datetime | None = None
    night: tuple[str, datetime, datetime] | None = None


class Gates(Protocol):
    """What stands between a plan and its hosts at a moment."""

    def whole(self, now: datetime) -> datetime | None:
        """When the whole is open again; None: it is open."""

    def host(self, ring: int, target: Target, now: datetime) -> Said:
        """Whether the host may be let through."""

    def away(self, host_id: int) -> None:
        """It is at work, or failed: not to be counted on."""

    def back(self, host_id: int) -> None:
        """It can be counted on again."""


@dataclass(slots=True)
class Lane:
    """A ring of the plan, and how it comes along."""

    number: int
    name: str
    concurrency: int
    failure_limit: int
    success_percent: int
    confidence_percent: int
    bound_percent: int
    soak: timedelta
    targets: Sequence[Target]
    class_hosts: int = 0
    classes_asked: Sequence[str] = ()
    state: str = RingState.PENDING
    notified_at: datetime | None = None
    started_at: datetime | None = None
    last_at: datetime | None = None
    soak_until: datetime | None = None
    ended_at: datetime | None = None
    counts: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    """Class of machine → good hosts."""
    nights: Counter[tuple[str, datetime, datetime]] = field(default_factory=Counter)
    ready: list[tuple[datetime, int, Target]] = field(default_factory=list)
    waiting: list[tuple[datetime, int, Target]] = field(default_factory=list)
    stuck: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Host → (code, why) of those that no passing of time lets through."""
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)
    denied: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Host → (code, why) of those of which it is known beforehand that they will not be let through."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How many hosts were where at a moment."""

    at: datetime
    good: int
    bad: int
    refused: int


@dataclass(frozen=True, slots=True)
class Told:
    """What the plan came to. `end`: full, partial, failed as of a rollout; halted; or stuck: it would wait without end."""

    end: str
    cause: str
    ended_at: datetime | None
    stopped_at: datetime | None
    lanes: Sequence[Lane]
    marks: Sequence[Mark]
    steps: int


class Simulation:
    """One rollout on paper, from `at` on. `notice`: how long the people of a ring are told before it starts.
    `offline`: what becomes of a host that does not answer at its turn; None: it is asked again and again."""

    def __init__(
        self, lanes: Sequence[Lane], gates: Gates, *, at: datetime, latest: datetime | None = None,
        notice: timedelta = timedelta(0), offline: Offline | None = None,
    ) -> None:  # fmt: skip
        self.offline = offline
        self.lanes, self.gates, self.now, self.latest, self.notice = list(lanes), gates, at, latest, notice
        self.began, self.state, self.cause, self.end, self.steps = at, str(RolloutState.RUNNING), "", "", 0
        self.at_work: list[tuple[datetime, int, int, Target]] = []
        self.marks: list[Mark] = []
        self.closed_until: datetime | None = None
        for lane in self.lanes:
            lane.counts[JobState.PENDING] = len(lane.targets)
            lane.waiting = [(at, number, target) for number, target in enumerate(lane.targets)]
            heapq.heapify(lane.waiting)

    def run(self) -> Told:
        """Lets the clock run until the rollout ends, halts, or nothing would ever happen again."""
        self._mark()
        while not self.end:
            self._settle()
            if self.end:
                break
            later = self._next_moment()
            if later is None or later > self.began + HORIZON:
                self.end, self.cause = "stuck", self._why_stuck(later)
                break
            self.now = later
            self._hosts_end()
        stopped = self.now
        while self.at_work:  # a halt lets what is at work run on
            self.now = self.at_work[0][0]
            self._hosts_end()
        self._mark()
        halts = self.end in ("halted", "stuck")
        return Told(
            self.end,
            self.cause,
            None if halts else stopped,
            stopped if halts else None,
            self.lanes,
            self.marks,
            self.steps,
        )

    # --- deciding -----------------------------------------------------------------------------------------------------
    def _view(self) -> planning.RolloutView:
        rings = tuple(self._ring_view(lane) for lane in self.lanes)
        expired = self.latest is not None and self.now >= self.latest
        self.closed_until = self.gates.whole(self.now)
        return planning.RolloutView(0, self.state, self.closed_until is None, rings, expired)

    def _ring_view(self, lane: Lane) -> planning.RingView:
        told = lane.notified_at if lane.state == RingState.NOTIFIED else None
        waits = english("its notice runs") if told and self.now < told + self.notice else ""
        return planning.RingView(
            id=lane.number, name=lane.name, state=lane.state, concurrency=lane.concurrency,
            failure_limit=lane.failure_limit, success_percent=lane.success_percent, soak_until=lane.soak_until,
            confidence_percent=lane.confidence_percent, bound_percent=lane.bound_percent, waits=waits,
            class_hosts=lane.class_hosts, classes=self._tried(lane),
            due=self._due(lane), counts={state: n for state, n in lane.counts.items() if n},
        )  # fmt: skip

    def _tried(self, lane: Lane) -> dict[str, int]:
        if not lane.classes_asked:
            return {}
        so_far: Counter[str] = Counter()
        for one in self.lanes[: self.lanes.index(lane) + 1]:
            so_far += one.tried
        return diversity.tried(lane.classes_asked, so_far)

    def _due(self, lane: Lane) -> int:
        while lane.waiting and lane.waiting[0][0] <= self.now:
            heapq.heappush(lane.ready, heapq.heappop(lane.waiting))
        return len(lane.ready)

    def _settle(self) -> None:
        """Does all that is to be done at this moment."""
        for _step in range(STEPS):
            actions = planning.next_actions(self._view(), self.now)
            if not actions:
                return
            for action in actions:
                self.steps += 1
                self._perform(action)
            if self.end:
                return
        raise RuntimeError("the gates let the same hosts wait and ask again at one moment")

    def _perform(self, action: planning.Action) -> None:
        match action:
            case planning.NotifyRing(number):
                self._move(number, RingState.NOTIFIED)
                self._lane(number).notified_at = self.now
            case planning.StartRing(number):
                self._move(number, RingState.RUNNING)
                self._lane(number).started_at = self.now
            case planning.SoakRing(number):
                self._move(number, RingState.SOAKING)
                self._lane(number).soak_until = self.now + self._lane(number).soak
            case planning.PassRing(number):
                self._move(number, RingState.PASSED)
                self._lane(number).ended_at = self.now
            case planning.SkipRing(number):
                self._move(number, RingState.SKIPPED)
                self._lane(number).ended_at = self.now
            case planning.FailRing(number, _cause):
                self._move(number, RingState.FAILED)
                self._lane(number).soak_until = None
            case planning.Halt(cause):
                self.state, self.end, self.cause = RolloutState.HALTED, "halted", cause
            case planning.Claim(number, count):
                self._claim(self._lane(number), count)
            case planning.Expire(number):
                self._expire(self._lane(number))
            case planning.Complete(outcome):
                self.end = outcome

    def _lane(self, number: int) -> Lane:
        return next(lane for lane in self.lanes if lane.number == number)

    def _move(self, number: int, state: RingState) -> None:
        self._lane(number).state = state

    # --- hosts ----------------------------------------------------------------------------------------------------------
    def _claim(self, lane: Lane, count: int) -> None:
        """Asks the gates of the next due hosts, and lets up to `count` of them begin."""
        for _asked in range(max(count, ASKED)):
            if not count or not lane.ready:
                break
            count -= self._ask(lane, heapq.heappop(lane.ready))
        self._mark()

    def _ask(self, lane: Lane, entry: tuple[datetime, int, Target]) -> bool:
        """Whether the host was let through."""
        _at, number, target = entry
        said = self.gates.host(lane.number, target, self.now)
        if said.word == "never":
            self._refuse(lane, target, said.code, said.why)
        elif said.word == "wait" and said.until is None:
            lane.stuck[target.host_id] = (said.code, said.why)
        elif said.word == "wait" and said.until is not None:
            heapq.heappush(lane.waiting, (max(said.until, self.now + timedelta(seconds=1)), number, target))
        elif target.course == "away":
            self._put_off(lane, number, target)
        else:
            self._begin(lane, number, target, said)
            return True
        return False

    def _put_off(self, lane: Lane, number: int, target: Target) -> None:
        """A host that does not answer at its turn: left out, in its next window again, or asked without end."""
        until = self.offline(target.host_id) if self.offline else self.now
        if isinstance(until, str):
            self._refuse(lane, target, "offline", until)
        elif until > self.now and self.latest:
            heapq.heappush(lane.waiting, (until, number, target))
        else:
            lane.stuck[target.host_id] = ("unreachable", NOT_ANSWERING)

    def _begin(self, lane: Lane, number: int, target: Target, said: Said) -> None:
        lane.counts[JobState.PENDING] -= 1
        lane.counts[JobState.INSTALLING] += 1
        if said.night:
            lane.nights[said.night] += 1
        self.gates.away(target.host_id)
        heapq.heappush(self.at_work, (self.now + target.takes, lane.number, number, target))

    def _refuse(self, lane: Lane, target: Target, code: str, why: str) -> None:
        lane.counts[JobState.PENDING] -= 1
        lane.counts[JobState.REFUSED] += 1
        lane.refused[target.host_id] = (code, why)
        lane.last_at = self.now

    def _hosts_end(self) -> None:
        """What has come to its end by now."""
        while self.at_work and self.at_work[0][0] <= self.now:
            at, ring, _number, target = heapq.heappop(self.at_work)
            lane = self._lane(ring)
            good = target.course == "well"
            lane.counts[JobState.INSTALLING] -= 1
            lane.counts[JobState.SUCCEEDED if good else JobState.FAILED] += 1
            lane.last_at = at
            if good:  # a host that failed is not counted on
                lane.tried[target.machine] += 1
                self.gates.back(target.host_id)
        self._mark()

    def _expire(self, lane: Lane) -> None:
        """Past the latest start: what has not begun is refused."""
        reason = english("the latest start passes before it could begin")
        for _at, _number, target in [*lane.ready, *lane.waiting]:
            self._refuse(lane, target, "start", reason)
        for target in [one for one in lane.targets if one.host_id in lane.stuck]:
            code, why = lane.stuck.pop(target.host_id)
            self._refuse(lane, target, code, why)
        lane.ready, lane.waiting = [], []

    # --- time -----------------------------------------------------------------------------------------------------------
    def _next_moment(self) -> datetime | None:
        """The first moment after now at which anything can change; None: there is none."""
        return min((moment for moment in self._moments() if moment > self.now), default=None)

    def _moments(self) -> Iterator[datetime]:
        if self.at_work:
            yield self.at_work[0][0]
        if self.latest and any(lane.counts[JobState.PENDING] for lane in self.lanes):
            yield self.latest
        if self.closed_until:
            yield self.closed_until
        for lane in self.lanes:
            if lane.state == RingState.SOAKING and lane.soak_until:
                yield lane.soak_until
            if lane.state == RingState.NOTIFIED and lane.notified_at:
                yield lane.notified_at + self.notice
            if lane.state == RingState.RUNNING and lane.waiting:
                yield lane.waiting[0][0]

    def _why_stuck(self, later: datetime | None) -> str:
        if later is not None:
            return english("It does not end within %(days)s days.", days=HORIZON.days)
        lane = next((one for one in self.lanes if one.state not in planning.OVER), None)
        if lane is None:
            return english("Nothing is left that could go on.")
        causes = Counter(lane.stuck.values())
        said = "; ".join(f"{n} because {why}" for (_code, why), n in causes.most_common(3))
        return english(
            "Ring %(ring)s would wait without end for %(n)s of its hosts: %(why)s.",
            ring=lane.name,
            n=len(lane.stuck),
            why=said,
        )

    def _mark(self) -> None:
        sums: Counter[str] = Counter()
        for lane in self.lanes:
            sums.update(lane.counts)
        mark = Mark(self.now, sums[JobState.SUCCEEDED], sums[JobState.FAILED], sums[JobState.REFUSED])
        if self.marks and self.marks[-1].at == self.now:
            self.marks[-1] = mark
        elif not self.marks or self.end or (mark.good, mark.bad, mark.refused) != (
            self.marks[-1].good, self.marks[-1].bad, self.marks[-1].refused,
        ):  # fmt: skip
            self.marks.append(mark)
