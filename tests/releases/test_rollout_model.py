"""A rollout under random people, hosts, workers and clocks: what must hold after every act, and that it always ends.

The hosts are simulated; the witness is the simulator's own ledger, which knows what was really done to each, apart from what
its jobs claim. The rules below are those of the process: nothing begins while it is forbidden, rings go one after another,
never more at once than allowed, no attempt acts twice, a success is what the host shows, and whatever happened there is a way
by which people bring release and change to their ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from changes.domain import holds
from cmdb.models import Host
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound
from releases.domain import jobs, partial, rings, rollbacks, rollouts, switches
from releases.executors.simulator_plan import HABITS
from releases.models import Job, PermissionSlip, Release, Ring, Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import PACKAGE, WorkerDied, make_deployment
from tests.machines import Machine, dose, plays
from tests.releases.rollout_model import FAILED, GOOD, LIVE, NOT_BEGUN, OVER, Lane, Model, Picture

pytestmark = pytest.mark.django_db

EXAMPLES, STEPS = dose(5), 25
ENDS = ("completed", "stopped")
MACHINES = ["kvm", "arm", "kvm", "arm", "kvm"]
MOVES = {"rex", "otto"}
"""Who may pause, halt, resume, stop, try again, leave a ring out, and propose to accept one as it is."""
SWITCHES = {"rex", "otto", "ada"}
PEOPLE = ("rex", "rex", "rex", "otto", "otto", "che", "gus", "ada", "ann")
who = st.sampled_from(PEOPLE)
number = st.integers(0, 4)
FROM: dict[str, set[str]] = {
    "pause": {"running"},
    "halt": {"running", "paused"},
    "resume": {"paused", "halted"},
    "stop": {"running", "paused", "halted"},
}


class RolloutMachine(Machine):
    cast: Cast
    started: datetime
    folder: Path
    m: Model

    @initialize(
        first=st.integers(1, 2), second=st.integers(1, 3), limit=st.integers(1, 2), soak=st.sampled_from([1800, 0]),
        habits=st.lists(st.sampled_from([*HABITS, None, None]), min_size=5, max_size=5), turns=st.integers(0, 6),
        asked=st.sampled_from([[], ["kvm"], ["arm", "kvm"]]),
    )  # fmt: skip
    def begun(
        self, first: int, second: int, limit: int, soak: int, habits: list[Any], turns: int, asked: list[str]
    ) -> None:
        numbers = {"failure_limit": limit, "soak_seconds": soak}
        asked = asked[-first:]  # one host, one class
        tried = {"classes": {"least": 1, "must": False, "asked": asked, "untried": [], "unknown": 0}} if asked else {}
        self.d = make_deployment(
            self.cast, self.started, self.folder, hosts=first + second, machines=MACHINES,
            rings=[{"hosts": first, **numbers, **tried}, {"hosts": second, **numbers}],
        )  # fmt: skip
        for place in range(first + second):
            self.d.habit(place, habits[place])
        self.d.start()
        kinds = dict(zip([host.pk for host in self.d.hosts], MACHINES, strict=False))
        mine = list(kinds)
        lanes = [
            Lane(0, {pk: kinds[pk] for pk in mine[:first]}, limit, soak, frozenset(asked)),
            Lane(1, {pk: kinds[pk] for pk in mine[first:]}, limit, soak),
        ]
        self.m = Model(lanes, dict.fromkeys(mine, "pending"), self.started + timedelta(hours=4))
        self.past: tuple[int, Picture] | None = None
        """The rollout that was taken back, and how it stood then."""
        self.work_goes_on(turns)

    def teardown(self) -> None:
        try:
            if hasattr(self, "d"):
                self.comes_to_its_end()
        finally:
            super().teardown()

    @property
    def at(self) -> datetime:  # type: ignore[override]
        return self.d.clock.at

    def host(self, number: int) -> int:
        """One of the hosts of this rollout."""
        mine = sorted(self.m.jobs)
        return mine[number % len(mine)]

    def lane(self, number: int) -> Lane:
        return self.m.lanes[number % len(self.m.lanes)]

    def ring_id(self, lane: Lane) -> int:
        return Ring.objects.get(rollout=self.d.rollout, position=lane.position).pk

    def shown(self) -> dict[int, str]:
        return dict(Job.objects.filter(rollout=self.d.rollout).order_by("host_id").values_list("host_id", "state"))

    def picture(self) -> Picture:
        return self.picture_of(self.d.rollout)

    def picture_of(self, rollout: Rollout) -> Picture:
        lanes = Ring.objects.filter(rollout=rollout).order_by("position")
        jobs = Job.objects.filter(rollout=rollout).order_by("host_id").values_list("host_id", "state")
        return rollout.state, list(lanes.values_list("position", "state", "accepted_partly")), dict(jobs)

    # --- what happens -------------------------------------------------------------------------------------------------
    @rule()
    def the_clock_rings(self) -> None:
        self.as_the_model_says()
        through = self.d.tick()
        shown = self.shown()
        begun = [host for host, state in shown.items() if state == "claimed" and self.m.jobs[host] == "pending"]
        self.m.ticks(self.at, shown)
        assert through == len(begun)
        self.as_the_model_says()

    def visit(self, host: int, **hands: Any) -> None:
        """A worker comes to the host: no order leaves that must not, and nothing else is moved."""
        self.as_the_model_says()
        job = Job.objects.get(rollout=self.d.rollout, host_id=host)
        known, lets = self.has_order(job.job_key), self.m.lets(host)
        hands = {"owner": "test", "now": self.d.clock.now, "wait": self.d.clock.wait, **hands}
        try:
            jobs.run(job_id=job.pk, **hands)
        finally:
            ordered = self.has_order(job.job_key)
            assert not ordered or known or lets, f"an order left for {host} while that was forbidden; {self.m}"
            assert not ordered or known or self.m.jobs[host] == "claimed", f"{host} was not let through; {self.m}"
            self.m.visited(host, self.shown(), ordered=ordered)
            self.as_the_model_says()

    def has_order(self, key: str) -> bool:
        """The witness: whether the host was ever given this order."""
        with self.d.simulator.ledger.at(self.at) as moment:
            return moment.job(key) is not None

    @rule(number=number)
    def a_worker_comes(self, number: int) -> None:
        self.visit(self.host(number))

    @rule(number=number, after=st.integers(0, 4))
    def a_worker_dies(self, number: int, after: int) -> None:
        """At some wait of its visit; its lease ends later."""
        host, waits = self.host(number), iter(range(after))

        def wait(seconds: float) -> None:
            self.d.clock.wait(seconds)
            if next(waits, None) is None:
                raise WorkerDied

        try:
            self.visit(host, owner="doomed", wait=wait)
        except WorkerDied:
            self.d.lease_ends([one.pk for one in self.d.hosts].index(host))

    @rule(turns=st.integers(1, 6))
    def work_goes_on(self, turns: int) -> None:
        for _turn in range(turns):
            self.the_clock_rings()
            live = [host for host in sorted(self.m.jobs) if self.m.jobs[host] in LIVE]
            for host in live:
                self.visit(host)
                self.d.clock.wait(1)

    @rule(minutes=st.sampled_from([1, 10, 40]))
    def time_passes(self, minutes: int) -> None:
        self.d.pass_time(minutes=minutes)

    @rule(number=number, habit=st.sampled_from([None, *HABITS]))
    def a_host_behaves(self, number: int, habit: Any) -> None:
        self.d.habit(number % len(self.d.hosts), habit)

    # --- what people do -----------------------------------------------------------------------------------------------
    def moves(self, name: str, who: str, **given: Any) -> bool:
        may = who in MOVES and self.m.state in FROM[name]
        may = may and not (name == "resume" and self.m.failed)
        return self.does(may, getattr(rollouts, name), who, rollout_id=self.d.rollout.pk, **given)

    @rule(who=who)
    def pause(self, who: str) -> None:
        if self.moves("pause", who, reason="wait"):
            self.m.state = "paused"

    @rule(who=who)
    def halt(self, who: str) -> None:
        if self.moves("halt", who, cause="look"):
            self.m.state = "halted"

    @rule(who=who)
    def resume(self, who: str) -> None:
        if self.moves("resume", who):
            self.m.state = "running"

    @rule(who=who, sure=st.integers(0, 3))
    def stop(self, who: str, sure: int) -> None:
        likely = sure == 0 or who not in MOVES or self.m.state not in FROM["stop"]
        if likely and self.moves("stop", who, reason="enough"):
            self.m.stops()

    @rule(who=who, number=number, one=st.none() | number)
    def retry(self, who: str, number: int, one: int | None) -> None:
        """The failed hosts of a ring, or the one of them that is named."""
        lane = self.lane(number)
        hosts = self.m.of(lane, *FAILED)
        named = {} if one is None else {"host_ids": [self.host(one)]}
        hosts = hosts if one is None else [host for host in hosts if host == self.host(one)]
        may = who in MOVES and self.m.may_retry(lane, hosts)
        if self.does(may, rings.retry_ring, who, ring_id=self.ring_id(lane), **named):
            self.m.retries(lane, hosts)

    @rule(who=who, number=number, sure=st.integers(0, 3))
    def leave_out(self, who: str, number: int, sure: int) -> None:
        lane = self.lane(number)
        may = who in MOVES and lane.state in NOT_BEGUN
        if (not may or sure == 0) and self.does(may, rings.skip, who, ring_id=self.ring_id(lane), reason="not now"):
            lane.state = "skipped"
            self.m.withdraw(lane)

    @rule(who=who, number=number, sure=st.integers(0, 2))
    def leave_a_host_out(self, who: str, number: int, sure: int) -> None:
        host = self.host(number)
        may = who == "otto" and self.m.jobs[host] in ("pending", *LIVE)
        if may and sure:
            return
        job = Job.objects.get(rollout=self.d.rollout, host_id=host)
        if self.does(may, jobs.cancel, who, job_id=job.pk, reason="not this one"):
            if self.m.jobs[host] == "pending":
                self.m.jobs[host] = "cancelled"
            else:
                self.m.asked_to_stop.add(host)

    @rule(who=who, number=number, reason=st.sampled_from(["good enough", "seen"]))
    def propose_as_it_is(self, who: str, number: int, reason: str) -> None:
        """Che alone is asked: by che's own word nobody could sign."""
        lane = self.lane(number)
        able = lane.state == "failed" and not self.m.of(lane, *LIVE) and self.m.state in ("running", "paused", "halted")
        anew = not (self.m.is_proposed(lane) and lane.said == reason)
        may = who in MOVES and able and anew
        if self.does(may, partial.propose, who, ring_id=self.ring_id(lane), reason=reason):
            lane.proposed, lane.said = self.m.standing(lane), reason

    @precondition(lambda self: SignOffRound.objects.filter(subject_type="releases.ring").exists())
    @rule(
        who=st.sampled_from(["che", "che", *PEOPLE]),
        number=number,
        verdict=st.sampled_from(["approve", "approve", "refuse"]),
    )
    def sign_as_it_is(self, who: str, number: int, verdict: str) -> None:
        """The newest round of a ring, open or not."""
        lane = self.lane(number)
        rounds = SignOffRound.objects.filter(subject_type="releases.ring", subject_id=self.ring_id(lane))
        round_ = rounds.order_by("-number").first()
        if round_ is None:
            return
        may = who == "che" and self.m.is_proposed(lane)
        if verdict == "approve":
            may = may and self.m.state in ("running", "paused", "halted") and not self.m.of(lane, *LIVE)
        given = {"round_id": round_.pk, "verdict": verdict, "comment": "looked at"}
        if self.does(may, partial.decide, who, **given):
            if verdict == "approve":
                self.m.accepts(lane, self.at)
            else:
                lane.proposed = None

    @rule(who=who, sure=st.integers(0, 2))
    def roll_back(self, who: str, sure: int) -> None:
        may = who == "rex" and not self.m.way_back and not self.m.live and bool(self.m.touched)
        if may and sure:
            return
        forward = self.d.rollout
        if self.does(may, rollbacks.roll_back, who, release_id=self.d.release.pk, reason="it breaks"):
            back = self.m.taken_back()
            self.past, self.m = (forward.pk, self.m.picture()), back
            assert self.d.rollout.reverses_id == forward.pk

    @rule(who=st.sampled_from([*PEOPLE, "ada"]), on=st.booleans())
    def kill_switch(self, who: str, on: bool) -> None:
        may = who in SWITCHES and self.m.killed != on
        if self.does(may, switches.set_kill_switch, who, on=on, reason="try"):
            self.m.killed = on

    @rule()
    @precondition(lambda self: not self.m.held and not self.m.way_back and self.m.state not in ENDS)
    def held(self) -> None:
        self.m.held = self.does(True, holds.place, "che", rfc_id=self.d.rfc.pk, reason="wait")

    @rule()
    @precondition(lambda self: self.m.held)
    def let_go(self) -> None:
        self.m.held = not self.does(True, holds.resume, "che", rfc_id=self.d.rfc.pk)

    # --- always -------------------------------------------------------------------------------------------------------
    @invariant()
    def as_the_model_says(self) -> None:
        if not hasattr(self, "m"):
            return
        assert self.picture() == self.m.picture(), self.m
        if self.past:
            assert self.picture_of(Rollout.objects.get(pk=self.past[0])) == self.past[1], "what is over was changed"

    @invariant()
    def the_rules_hold(self) -> None:
        """What the model need not be right for."""
        if not hasattr(self, "m"):
            return
        lanes = self.m.lanes
        for lane in lanes:
            assert len(self.m.of(lane, *LIVE)) <= lane.at_once
        for before, after in pairwise(lanes):
            if before.state not in OVER:
                assert not set(self.m.standing(after).values()) & {*LIVE, *GOOD, *FAILED, "lost"}, "before its turn"

    @invariant()
    def the_witness_agrees(self) -> None:
        if not hasattr(self, "d"):
            return
        effects = self.d.simulator.effects()
        twice = [key for key, n in Counter(e.job_key for e in effects).items() if n > 1]
        assert twice == [], "one attempt has acted twice"
        has = {e.address: e.to_version for e in effects}
        rollout = self.d.rollout
        wanted = PACKAGE["from" if rollout.is_way_back else "to"]
        for job in Job.objects.filter(rollout=rollout, state="succeeded").select_related("host"):
            assert has.get(job.host.name) == wanted, f"{job.host} is said to have succeeded and has not"

    # --- the end ------------------------------------------------------------------------------------------------------
    def comes_to_its_end(self) -> None:
        """Whatever happened: with hosts that behave and people who look, everything ends and nothing is left hanging."""
        d = self.d
        for place in range(len(d.hosts)):
            d.habit(place, None)
        if self.m.killed:
            self.kill_switch("otto", False)
        if self.m.held:
            self.let_go()
        for _look in range(60):  # a host that hangs is given up after a day
            d.pass_time(minutes=35)
            d.work()
            if d.rollout.state in ENDS:
                break
            self.people_look()
            self.until_the_window_opens()
        ended = Rollout.objects.get(pk=d.rollout.pk)
        assert ended.state in ENDS, (ended.statement, ended.reason, self.picture())
        assert not Job.objects.filter(rollout=ended, state__in=[*LIVE, "pending"]).exists()
        assert Release.objects.get(pk=d.release.pk).state == ("rolled_back" if ended.is_way_back else "deployed")
        self.the_witness_agrees()

    def until_the_window_opens(self) -> None:
        """Where hosts wait for the next opening of their window, which is a week away, the clock goes on to then; meanwhile they
        were scanned every day."""
        jobs = Job.objects.filter(rollout=self.d.rollout)
        slip = PermissionSlip.objects.filter(job__in=jobs.filter(state="pending")).order_by("-pk").first()
        if slip and slip.not_before and not jobs.filter(state__in=LIVE).exists():
            self.d.clock.at = max(self.d.clock.at, slip.not_before)
            Host.objects.filter(jobs__in=jobs).update(audited_at=self.d.clock.at)

    def people_look(self) -> None:
        d, rollout = self.d, self.d.rollout
        failed = Ring.objects.filter(rollout=rollout, state="failed").order_by("position").first()
        given: dict[str, Any] = {"actor": self.cast.rex, "at": d.clock.at}
        if failed and Job.objects.filter(ring=failed, state__in=FAILED).exists():
            with suppress(Refusal):  # not while a host of it is at work, or may be
                rings.retry_ring(ring_id=failed.pk, **given)
        elif failed:
            with suppress(Refusal):
                round_ = partial.propose(ring_id=failed.pk, reason="seen", **given)
                partial.decide(round_id=round_.pk, verdict="approve", actor=self.cast.che, at=d.clock.at)
        if d.rollout.state in ("paused", "halted"):
            with suppress(Refusal):  # what forbids it now, time clears: they look again
                rollouts.resume(rollout_id=rollout.pk, **given)


def fails_and_is_tried_again(m: RolloutMachine) -> None:
    m.begun(2, 1, 1, 0, ["fail", None, None, None, None], 0, [])
    m.the_clock_rings()
    for _turn in range(3):
        m.a_worker_comes(0)
    m.a_worker_comes(1)  # the limit is reached: its order must not leave
    m.work_goes_on(2)
    for who in ("rex", "che"):
        m.resume(who)
    m.a_host_behaves(0, None)
    m.retry("che", 0, None)
    m.retry("otto", 0, None)
    m.work_goes_on(6)


def is_paused_and_halted(m: RolloutMachine) -> None:
    m.begun(2, 2, 1, 1800, [None] * 5, 0, ["arm", "kvm"])
    for who in ("ann", "otto"):
        m.pause(who)
    m.the_clock_rings()
    m.resume("rex")
    m.the_clock_rings()
    m.leave_out("rex", 0, 0)  # it runs
    m.halt("otto")
    m.a_worker_comes(0)  # no order leaves
    m.the_clock_rings()
    m.resume("otto")
    m.time_passes(10)
    m.work_goes_on(6)
    m.work_goes_on(1)  # it is watched
    m.retry("rex", 0, None)  # nothing has failed
    m.time_passes(40)
    m.the_clock_rings()
    m.leave_a_host_out("otto", 3, 0)
    m.work_goes_on(3)


def is_forbidden_everywhere(m: RolloutMachine) -> None:
    m.begun(1, 3, 2, 0, [None] * 5, 0, [])
    for who in ("gus", "ada"):
        m.kill_switch(who, on=True)
    m.the_clock_rings()
    m.kill_switch("otto", on=False)
    m.the_clock_rings()
    m.kill_switch("rex", on=True)
    m.a_worker_comes(0)  # let through, and still no order leaves
    m.kill_switch("rex", on=False)
    m.time_passes(10)
    m.work_goes_on(4)
    m.held()
    m.work_goes_on(2)


def is_accepted_as_it_is(m: RolloutMachine) -> None:
    m.begun(2, 2, 1, 1800, [None, "fail", None, None, None], 6, [])
    m.propose_as_it_is("che", 0, "seen")
    m.propose_as_it_is("otto", 0, "seen")
    m.propose_as_it_is("otto", 0, "seen")  # they are asked already
    for who in ("otto", "rex", "gus"):
        m.sign_as_it_is(who, 0, "approve")
    m.sign_as_it_is("che", 0, "refuse")
    m.propose_as_it_is("rex", 0, "good enough")
    m.sign_as_it_is("che", 0, "approve")
    m.the_clock_rings()
    m.resume("rex")
    m.work_goes_on(2)
    m.time_passes(40)
    m.work_goes_on(6)


def is_stopped_and_taken_back(m: RolloutMachine) -> None:
    m.begun(2, 2, 2, 0, [None, "slow", None, None, None], 0, [])
    m.roll_back("rex", 0)  # nothing was done
    m.the_clock_rings()
    m.a_worker_comes(0)
    m.roll_back("rex", 0)  # hosts are at work
    m.stop("che", 0)
    m.stop("otto", 0)
    m.the_clock_rings()
    m.work_goes_on(6)
    m.time_passes(40)
    m.work_goes_on(6)
    for who in ("otto", "rex"):
        m.roll_back(who, 0)
    m.work_goes_on(6)
    m.roll_back("rex", 0)  # it is on its way


Course = Callable[[RolloutMachine], None]
COURSES: list[Course] = [
    fails_and_is_tried_again, is_paused_and_halted, is_forbidden_everywhere, is_accepted_as_it_is, is_stopped_and_taken_back,
]  # fmt: skip


@pytest.fixture
def machine(cast: Cast, now: datetime, tmp_path: Path) -> type[RolloutMachine]:
    return type("Machine", (RolloutMachine,), {"cast": cast, "started": now, "folder": tmp_path})


@pytest.mark.parametrize("course", COURSES, ids=[course.__name__ for course in COURSES])
def test_a_course_through_every_act_is_as_the_model_says(machine: type[RolloutMachine], course: Course) -> None:
    """By the rules of the machine, so that few random examples leave none of them out."""
    played = machine()
    try:
        course(played)
        played.as_the_model_says()
    finally:
        played.teardown()


def test_a_rollout_keeps_its_rules_and_ends(machine: type[RolloutMachine]) -> None:
    run_state_machine_as_test(machine, settings=plays(EXAMPLES, STEPS))
