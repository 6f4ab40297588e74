"""A rollout under random people, hosts, workers and clocks: what must hold after every act, and that it always ends.

The hosts are simulated; the witness is the simulator's own ledger, which knows what was really done to each, apart from what
its jobs claim. The rules below are those of the process: nothing begins while it is forbidden, rings go one after another,
never more at once than allowed, no attempt acts twice, a success is what the host shows, and whatever happened there is a way
by which people bring release and change to their ends.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from changes.domain import holds
from changes.models import RFC
from changes.queries.holds import open_hold_of
from cmdb.models import Host
from patchflow.kernel.errors import Refusal
from releases.domain import jobs, partial, rings, rollouts, switches
from releases.enums_rollout import LIVE
from releases.executors.simulator_plan import HABITS
from releases.models import Job, KillSwitch, PermissionSlip, Release, Ring, Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import PACKAGE, WorkerDied, make_deployment

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PATCHFLOW_MODEL_EXAMPLES", "4"))
OVER = ("passed", "skipped")
ENDS = ("completed", "stopped")
MAY: dict[str, set[str]] = {
    "pause": {"rex", "otto"},
    "halt": {"rex", "otto"},
    "stop": {"rex", "otto"},
    "resume": {"rex", "otto"},
    "retry_ring": {"rex", "otto"},
    "skip": {"rex", "otto"},
}
PEOPLE = ("rex", "rex", "otto", "otto", "che", "gus", "ann")
FROM: dict[str, set[str]] = {
    "pause": {"running"},
    "halt": {"running", "paused"},
    "stop": {"running", "paused", "halted"},
}


class RolloutMachine(RuleBasedStateMachine):
    cast: Cast
    started: datetime
    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()

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
            self.cast, self.started, self.folder, hosts=first + second, machines=["kvm", "arm", "kvm", "arm", "kvm"],
            rings=[{"hosts": first, **numbers, **tried}, {"hosts": second, **numbers}],
        )  # fmt: skip
        for number in range(first + second):
            self.d.habit(number, habits[number])
        self.d.start()
        self.work_goes_on(turns)

    def teardown(self) -> None:
        try:
            if hasattr(self, "d"):
                self.comes_to_its_end()
        finally:
            transaction.set_rollback(True)
            self.frame.__exit__(None, None, None)
            transaction.get_connection().needs_rollback = False

    # --- what happens -------------------------------------------------------------------------------------------------
    @property
    def barred(self) -> bool:
        """Whether anything forbids that a host is let through."""
        held = open_hold_of(RFC.objects.get(pk=self.d.rfc.pk)) is not None
        return held or KillSwitch.objects.filter(is_on=True).exists() or self.d.rollout.state != "running"

    @rule()
    def the_clock_rings(self) -> None:
        barred, begun = self.barred, self.attempts()
        through = self.d.tick()
        if barred:
            assert through == 0, "a host was let through while that was forbidden"
            assert self.attempts() == begun

    def attempts(self) -> int:
        return Job.objects.filter(rollout=self.d.rollout, claimed_at__isnull=False).count()

    @rule(number=st.integers(0, 4))
    def a_worker_comes(self, number: int) -> None:
        self.d.visit(number % len(self.d.hosts))

    @rule(number=st.integers(0, 4), after=st.integers(0, 4))
    def a_worker_dies(self, number: int, after: int) -> None:
        """At some wait of its visit; its lease ends later."""
        job, waits = self.d.job(number % len(self.d.hosts)), iter(range(after))

        def wait(seconds: float) -> None:
            self.d.clock.wait(seconds)
            if next(waits, None) is None:
                raise WorkerDied

        try:
            jobs.run(job_id=job.pk, owner="doomed", now=self.d.clock.now, wait=wait)
        except WorkerDied:
            self.d.lease_ends(number % len(self.d.hosts))

    @rule(turns=st.integers(1, 6))
    def work_goes_on(self, turns: int) -> None:
        barred, begun = self.barred, self.attempts()
        self.d.work(turns=turns)
        if barred:
            assert self.attempts() <= begun, "a host was let through while that was forbidden"

    @rule(minutes=st.sampled_from([1, 10, 40]))
    def time_passes(self, minutes: int) -> None:
        self.d.pass_time(minutes=minutes)

    @rule(number=st.integers(0, 4), habit=st.sampled_from([None, *HABITS]))
    def a_host_behaves(self, number: int, habit: Any) -> None:
        self.d.habit(number % len(self.d.hosts), habit)

    # --- what people do -----------------------------------------------------------------------------------------------
    def tries(self, act: Callable[..., Any], who: str, may: bool | None, **given: Any) -> None:
        """`may` None: it depends on what is there; then only a refusal's silence is checked."""
        before, refused = self.picture(), None
        try:
            act(actor=getattr(self.cast, who), at=self.d.clock.at, **given)
        except Refusal as refusal:
            refused = refusal.blockers
        said = f"{act.__name__} by {who} in {before[0]}: {refused or 'went through'}"
        assert may is None or may == (refused is None), said
        if refused is not None:
            assert self.picture() == before, said

    def picture(self) -> tuple[Any, ...]:
        return self.d.rollout.state, [(r.state, r.reason) for r in self.lanes()], self.d.states()

    def lanes(self) -> list[Ring]:
        return list(Ring.objects.filter(rollout=self.d.rollout).order_by("position"))

    @rule(who=st.sampled_from(PEOPLE))
    def pause(self, who: str) -> None:
        may = who in MAY["pause"] and self.d.rollout.state in FROM["pause"]
        self.tries(rollouts.pause, who, may, rollout_id=self.d.rollout.pk, reason="wait")

    @rule(who=st.sampled_from(PEOPLE))
    def halt(self, who: str) -> None:
        may = who in MAY["halt"] and self.d.rollout.state in FROM["halt"]
        self.tries(rollouts.halt, who, may, rollout_id=self.d.rollout.pk, cause="look")

    @rule(who=st.sampled_from(PEOPLE))
    def resume(self, who: str) -> None:
        here = who in MAY["resume"] and self.d.rollout.state in ("paused", "halted")
        self.tries(rollouts.resume, who, None if here else False, rollout_id=self.d.rollout.pk)

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 7))
    def stop(self, who: str, sure: int) -> None:
        may = who in MAY["stop"] and self.d.rollout.state in FROM["stop"]
        if not may or sure == 0:
            self.tries(rollouts.stop, who, may, rollout_id=self.d.rollout.pk, reason="enough")

    @rule(who=st.sampled_from(PEOPLE), position=st.integers(0, 1))
    def retry(self, who: str, position: int) -> None:
        ring = self.d.ring(position)
        failed = Job.objects.filter(ring=ring, state__in=["failed", "undone"]).exists()
        here = who in MAY["retry_ring"] and ring.state in ("failed", "running") and failed
        self.tries(rings.retry_ring, who, None if here else False, ring_id=ring.pk)

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 5))
    def leave_out(self, who: str, sure: int) -> None:
        ring = self.d.ring(1)
        may = who in MAY["skip"] and ring.state in ("pending", "notified")
        if not may or sure == 0:
            self.tries(rings.skip, who, may, ring_id=ring.pk, reason="not now")

    @rule(on=st.booleans())
    def kill_switch(self, on: bool) -> None:
        if KillSwitch.objects.filter(is_on=True).exists() != on:
            switches.set_kill_switch(on=on, reason="try", actor=self.cast.otto, at=self.d.clock.at)

    @rule()
    def held(self) -> None:
        if open_hold_of(RFC.objects.get(pk=self.d.rfc.pk)) is None:
            holds.place(rfc_id=self.d.rfc.pk, reason="wait", actor=self.cast.che, at=self.d.clock.at)

    @rule()
    @precondition(lambda self: open_hold_of(RFC.objects.get(pk=self.d.rfc.pk)) is not None)
    def let_go(self) -> None:
        holds.resume(rfc_id=self.d.rfc.pk, actor=self.cast.che, at=self.d.clock.at)

    # --- always -------------------------------------------------------------------------------------------------------
    @invariant()
    def the_rules_hold(self) -> None:
        if not hasattr(self, "d"):
            return
        lanes = self.lanes()
        for ring in lanes:
            live = Job.objects.filter(ring=ring, state__in=LIVE).count()
            assert live <= ring.concurrency
        first, second = lanes
        if first.state not in OVER:
            assert second.state in ("pending", "notified", "skipped")
            begun = Job.objects.filter(ring=second, claimed_at__isnull=False)
            assert not begun.exists(), "the second ring began before the first had proven it"
        assert Job.objects.filter(host__in=self.d.hosts, state__in=LIVE).values("host").count() <= len(self.d.hosts)

    @invariant()
    def what_follows_was_tried(self) -> None:
        """Nothing of the second ring begins before each class that was asked has a good host in the first, or people said so."""
        if not hasattr(self, "d"):
            return
        first, second = self.lanes()
        if second.started_at is None or first.accepted_partly or first.state == "skipped":
            return
        hosts = {host["host"]: host["machine"] for host in self.d.manifest.document["hosts"]}
        good = Job.objects.filter(ring=first, state__in=["succeeded", "not_needed"]).values_list("host_id", flat=True)
        assert set(first.classes_asked) <= {hosts[pk] for pk in good}, "a class was not tried, and the next ring began"

    @invariant()
    def the_witness_agrees(self) -> None:
        if not hasattr(self, "d"):
            return
        effects = self.d.simulator.effects()
        twice = [key for key, n in Counter(e.job_key for e in effects).items() if n > 1]
        assert twice == [], "one attempt has acted twice"
        has = {e.address: e.to_version for e in effects}
        for job in Job.objects.filter(rollout=self.d.rollout, state="succeeded").select_related("host"):
            assert has.get(job.host.name) == PACKAGE["to"], f"{job.host} is said to have succeeded and has not"

    # --- the end ------------------------------------------------------------------------------------------------------
    def comes_to_its_end(self) -> None:
        """Whatever happened: with hosts that behave and people who look, everything ends and nothing is left hanging."""
        d = self.d
        for number in range(len(d.hosts)):
            d.habit(number, None)
        self.kill_switch(False)
        if open_hold_of(RFC.objects.get(pk=d.rfc.pk)):
            self.let_go()
        for _look in range(60):  # a host that hangs is given up after a day
            d.pass_time(minutes=35)
            d.work()
            if d.rollout.state in ENDS:
                break
            self.people_look()
            self.until_the_window_opens()
        ended = Rollout.objects.get(pk=d.rollout.pk)
        assert ended.state in ENDS, (
            ended.state,
            ended.statement,
            ended.reason,
            d.states(),
            [r.state for r in self.lanes()],
        )
        assert not Job.objects.filter(rollout=ended, state__in=[*LIVE, "pending"]).exists()
        assert Release.objects.get(pk=d.release.pk).state == "deployed"
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
        failed = next((r for r in self.lanes() if r.state == "failed"), None)
        given: dict[str, Any] = {"actor": self.cast.rex, "at": d.clock.at}
        if failed and Job.objects.filter(ring=failed, state__in=["failed", "undone"]).exists():
            with suppress(Refusal):  # not while a host of it is at work, or may be
                rings.retry_ring(ring_id=failed.pk, **given)
        elif failed:
            with suppress(Refusal):
                round_ = partial.propose(ring_id=failed.pk, reason="seen", **given)
                partial.decide(round_id=round_.pk, verdict="approve", actor=self.cast.che, at=d.clock.at)
        if d.rollout.state in ("paused", "halted"):
            with suppress(Refusal):  # what forbids it now, time clears: they look again
                rollouts.resume(rollout_id=rollout.pk, **given)


def test_a_rollout_keeps_its_rules_and_ends(cast: Cast, now: datetime, tmp_path: Path) -> None:
    machine = type("Machine", (RolloutMachine,), {"cast": cast, "started": now, "folder": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
