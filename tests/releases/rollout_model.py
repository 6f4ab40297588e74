"""What a rollout must be after each act, worked out from the acts by the rules of the process; the product is never asked.

What a model cannot know it is told: which of the hosts that may begin did begin at a tick, and how far a worker came with its
one host. Both are held against what may be. All else follows, and is compared as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LIVE = ("claimed", "staged", "installing", "restarting", "verifying", "unknown")
BAD = ("failed", "undone", "unknown", "lost")
GOOD = ("succeeded", "not_needed")
TOUCHED = ("succeeded", "failed", "lost", "unknown")
REPORTED = (*GOOD, "failed", "undone")
FAILED = ("failed", "undone")
OVER = ("passed", "skipped")
NOT_BEGUN = ("pending", "notified")
DECIDED = ("running", "paused", "halted")
"""In these a failed ring is decided about."""

AT_WORK = LIVE[:-1]
AHEAD: dict[str, set[str]] = {
    "claimed": {*LIVE, "pending", "refused", "not_needed", "succeeded", "failed"},
    "staged": {*LIVE[1:], "pending", "refused", "not_needed", "succeeded", "failed"},
    "installing": {*LIVE[2:], "succeeded", "failed"},
    "restarting": {*LIVE[3:], "succeeded", "failed"},
    "verifying": {*LIVE[4:], "succeeded", "failed"},
    "unknown": {"unknown", "succeeded", "failed", "undone", "lost"},
}
"""Job state → where one visit of a worker may bring it; no other state is moved by one."""

Picture = tuple[str, list[tuple[int, str, bool]], dict[int, str]]


@dataclass
class Lane:
    """A ring: its hosts by id, with the class of machine of each. `percent` must succeed of those that report."""

    position: int
    hosts: Mapping[int, str]
    limit: int
    soak: int
    asked: frozenset[str] = frozenset()
    at_once: int = 2
    percent: int = 95
    state: str = "pending"
    soak_until: datetime | None = None
    accepted: bool = False
    proposed: dict[int, str] | None = None
    """How its hosts stood when it was proposed to accept it as it is; while people are asked."""
    said: str = ""


@dataclass
class Model:
    lanes: list[Lane]
    jobs: dict[int, str]
    closes: datetime
    """Until then the windows of all hosts are open for long enough."""
    state: str = "running"
    way_back: bool = False
    held: bool = False
    killed: bool = False
    asked_to_stop: set[int] = field(default_factory=set)
    touched_at_all: set[int] = field(default_factory=set)
    """Hosts that were let through once in this attempt: when they come again is theirs to say."""

    def picture(self) -> Picture:
        return self.state, [(lane.position, lane.state, lane.accepted) for lane in self.lanes], dict(self.jobs)

    # --- what there is ------------------------------------------------------------------------------------------------
    def lane_of(self, host: int) -> Lane:
        return next(lane for lane in self.lanes if host in lane.hosts)

    def of(self, lane: Lane, *states: str) -> list[int]:
        return [host for host in lane.hosts if self.jobs[host] in states]

    @property
    def live(self) -> bool:
        return any(state in LIVE for state in self.jobs.values())

    @property
    def touched(self) -> list[Lane]:
        """What a way back visits, ring by ring; nobody watches it between rings."""
        found = []
        for lane in self.lanes:
            if hosts := {host: lane.hosts[host] for host in self.of(lane, *TOUCHED)}:
                found.append(Lane(lane.position, hosts, lane.limit, 0))
        return found

    @property
    def failed(self) -> Lane | None:
        return next((lane for lane in self.lanes if lane.state == "failed"), None)

    @property
    def open(self) -> bool:
        """Whether anything may begin at all. A way back waits for no hold."""
        return self.state == "running" and not self.killed and (self.way_back or not self.held)

    def lets(self, host: int) -> bool:
        """Whether an order may leave for this host now."""
        lane = self.lane_of(host)
        return self.open and lane.state == "running" and len(self.of(lane, *BAD)) < lane.limit

    def is_proposed(self, lane: Lane) -> bool:
        """Whether people are asked about the ring exactly as it stands."""
        return lane.proposed == self.standing(lane)

    def standing(self, lane: Lane) -> dict[int, str]:
        return {host: self.jobs[host] for host in lane.hosts}

    # --- what happens by itself -----------------------------------------------------------------------------------------
    def ticks(self, at: datetime, shown: Mapping[int, str]) -> None:
        """`shown`: how the jobs stand after it, of which only is taken who of those that may begin has begun."""
        begun = {host for host, state in shown.items() if state == "claimed" and self.jobs[host] == "pending"}
        while self._step(at, begun):
            pass
        assert not begun, f"begun while they must not: {begun}; {self}"

    def _step(self, at: datetime, begun: set[int]) -> bool:
        """One thing that is due, or False."""
        if self.state == "stopping":
            self.asked_to_stop |= {host for host, state in self.jobs.items() if state in LIVE}
            self.withdraw(*self.lanes)
            if not self.live:
                self.state = "stopped"
            return False
        if self.state != "running":
            return False
        lane = next((lane for lane in self.lanes if lane.state not in OVER), None)
        if lane is None:
            self.state = "running" if self.live else "completed"
            return False
        was = lane.state
        if was in NOT_BEGUN:
            if not self.of(lane, "pending"):
                lane.state = "skipped"
            elif self.open:
                lane.state = "notified" if was == "pending" else "running"
        elif was == "running":
            self._runs(lane, at, begun)
        elif was == "soaking":
            self._soaks(lane, at)
        return lane.state != was

    def _runs(self, lane: Lane, at: datetime, begun: set[int]) -> None:
        if len(self.of(lane, *BAD)) >= lane.limit:
            self._fails(lane)
        elif not self.of(lane, "pending", *LIVE):
            if self._proven(lane):
                lane.state, lane.soak_until = "soaking", at + timedelta(seconds=lane.soak)
            else:
                self._fails(lane)
        elif self.open:
            free = lane.at_once - len(self.of(lane, *LIVE))
            mine = begun & set(self.of(lane, "pending"))
            sure = at < self.closes
            fresh = [host for host in self.of(lane, "pending") if sure and host not in self.touched_at_all]
            assert len(mine) <= max(free, 0), f"more at once than allowed: {mine}; {self}"
            assert len(mine) >= min(max(free, 0), len(fresh)), f"nothing forbids that {fresh} begin; {self}"
            for host in mine:
                self.jobs[host] = "claimed"
            self.touched_at_all |= mine
            begun -= mine

    def _soaks(self, lane: Lane, at: datetime) -> None:
        if len(self.of(lane, *BAD)) >= lane.limit and not lane.accepted:
            self._fails(lane)
        elif not self.of(lane, *LIVE) and lane.soak_until is not None and at >= lane.soak_until:
            if lane.accepted or self._proven(lane):
                lane.state = "passed"
            else:
                self._fails(lane)
        else:
            self._tells_the_next()

    def _tells_the_next(self) -> None:
        """While a ring is watched, the people of the next one are told."""
        following = next((one for one in self.lanes if one.state in NOT_BEGUN and self.of(one, "pending")), None)
        if following and self.open:
            following.state = "notified"

    def _proven(self, lane: Lane) -> bool:
        good, reported = len(self.of(lane, *GOOD)), len(self.of(lane, *REPORTED))
        tried = {lane.hosts[host] for host in self.of(lane, *GOOD)}
        return reported > 0 and good * 100 >= lane.percent * reported and lane.asked <= tried

    def _fails(self, lane: Lane) -> None:
        lane.state, lane.soak_until, self.state = "failed", None, "halted"

    def visited(self, host: int, shown: Mapping[int, str], *, ordered: bool) -> None:
        """`ordered`: the host has the order of this attempt, as the witness says."""
        was, now = self.jobs[host], shown[host]
        allowed = set(AHEAD.get(was, {was}))
        if was in ("claimed", "staged") and host in self.asked_to_stop:
            allowed |= {"cancelled"}
        if was == "claimed" and not ordered:
            allowed = {"claimed", "pending", "refused", "cancelled"} & allowed
        assert now in allowed, f"a visit brought {host} from {was} to {now}; {self}"
        self.jobs[host] = now
        if now not in LIVE:
            self.asked_to_stop.discard(host)

    # --- what people do -------------------------------------------------------------------------------------------------
    def withdraw(self, *lanes: Lane) -> None:
        for lane in lanes:
            for host in self.of(lane, "pending"):
                self.jobs[host] = "cancelled"

    def stops(self) -> None:
        self.state = "stopping"
        self.asked_to_stop |= {host for host, state in self.jobs.items() if state in LIVE}

    def may_retry(self, lane: Lane, hosts: list[int]) -> bool:
        if not hosts or self.state not in DECIDED:
            return False
        return lane.state == "running" or (lane.state == "failed" and not self.of(lane, *LIVE))

    def retries(self, lane: Lane, hosts: list[int]) -> None:
        lane.state, lane.proposed = "running", None
        for host in hosts:
            self.jobs[host] = "pending"
        self.touched_at_all -= set(hosts)
        if self.state == "halted":
            self.state = "running"

    def accepts(self, lane: Lane, at: datetime) -> None:
        """As it is: it is watched like any other, and who has not begun is withdrawn. The rollout stays as it stands."""
        lane.state, lane.accepted, lane.proposed = "soaking", True, None
        lane.soak_until = at + timedelta(seconds=lane.soak)
        self.withdraw(lane)

    def taken_back(self) -> Model:
        """The way back of it, running; it is over itself."""
        back = self.touched
        if self.state not in ("completed", "stopped"):
            self.withdraw(*self.lanes)
            self.state = "stopped"
        jobs = {host: "pending" for lane in back for host in lane.hosts}
        return Model(back, jobs, self.closes, way_back=True, held=self.held, killed=self.killed)
