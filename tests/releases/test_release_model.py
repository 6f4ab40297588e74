"""A release under random people, builds, tests, hosts and nights, against a model of its machine.

After every act: the release stands where its diagram leads, each step of it has exactly one entry in the trail and no more, a
refused act has moved nothing, and what is signed is what runs. Wherever the acts end, people bring the release, its change
and its cycle to their ends: no path leaves one hanging.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
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

from changes.domain import cycles, holds, rfcs
from changes.models import RFC, Cycle
from changes.queries.holds import open_hold_of
from patchflow.kernel import fsm, signoffs
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import AuditEntry, SignOffRound
from releases.domain import (
    acceptance,
    advance,
    amendments,
    builds,
    jobs,
    manifests,
    plans,
    readiness,
    releases,
    rollbacks,
    rollouts,
)
from releases.domain import reviews as closing
from releases.models import AcceptanceRun, Amendment, Job, PostImplementationReview, Release, Rollout
from releases.queries.amendments import open_amendment
from tests.factories import releases as stages
from tests.factories.releases import Yard

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("PATCHFLOW_MODEL_EXAMPLES", "3"))
BEFORE = {"planning", "building", "testing", "scheduling", "awaiting_readiness", "ready"}
ENDED = {"deployed", "rolled_back"}
CLOSED = {"completed", "cancelled"}
WEDNESDAY = 2
CODES = {
    "full": "successful", "partial": "successful_with_issues", "failed": "failed", "rolled_back": "backed_out",
    "rolled_back_partly": "backed_out",
}  # fmt: skip
PEOPLE = ("rex", "rex", "rex", "gus", "tia", "otto", "che", "ann")
MAY: dict[str, tuple[set[str], set[str]]] = {
    "build": ({"rex"}, {"planning"}),
    "seal": ({"rex"}, {"scheduling"}),
    "deploy": ({"rex"}, {"ready"}),
    "void": ({"rex"}, {"ready"}),
    "revise": ({"rex"}, BEFORE),
    "cancel": ({"rex"}, BEFORE),
    "accept": ({"rex"}, ENDED),
}
"""Verb → who may, in which states; a gate may refuse it all the same."""
NEVER_REFUSED = {"void", "revise", "cancel"}
"""No gate stands before these."""


class ReleaseMachine(RuleBasedStateMachine):
    yard: Yard

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()

    @initialize(spare=st.booleans())
    def begun(self, spare: bool) -> None:
        """Planned; `spare`: one host is left out, and may come late."""
        yard = self.yard
        self.at = yard.at
        yard.world.at = self.at
        for machine in yard.executor.machines.values():
            machine.packages, machine.fails, machine.away = {yard.world.update.name: yard.old}, set(), False
        yard.executor.results.clear()
        self.release = stages.planned(yard)
        self.rfc_id = self.release.rfc_ids()[0]
        if spare:
            host = self.release.planned_hosts.order_by("-ring__number", "-host_id")[0].host
            plans.drop_host(release_id=self.release.pk, host_id=host.pk, reason="Comes later.", **self.rex)
        self.seen = AuditEntry.objects.latest("pk").pk
        self.last = "planning"

    def teardown(self) -> None:
        try:
            if hasattr(self, "last"):
                self.comes_to_its_end()
        finally:
            transaction.set_rollback(True)
            self.frame.__exit__(None, None, None)
            transaction.get_connection().needs_rollback = False

    # --- where it stands ----------------------------------------------------------------------------------------------
    @property
    def rex(self) -> dict[str, Any]:
        return {"actor": self.yard.cast.rex, "at": self.at}

    @property
    def state(self) -> str:
        return str(Release.objects.values_list("state", flat=True).get(pk=self.release.pk))

    @property
    def held(self) -> bool:
        return open_hold_of(RFC.objects.get(pk=self.rfc_id)) is not None

    def picture(self) -> tuple[Any, ...]:
        work = Job.objects.filter(rollout__release=self.release).order_by("pk").values_list("pk", "state")
        return self.state, self.release.manifests.count(), self.release.builds.count(), list(work)

    def tries(self, act: Callable[..., Any], who: str, may: bool | None, **given: Any) -> bool:
        """`may` None: a gate decides. A refusal moves nothing. Whether it went through."""
        before, refused = self.picture(), None
        try:
            with transaction.atomic():
                act(actor=getattr(self.yard.cast, who), at=self.at, **given)
        except Refusal as refusal:
            refused = refusal.blockers
        said = f"{act.__name__} by {who} in {before[0]}: {refused or 'went through'}"
        assert may is None or may == (refused is None), said
        if refused is not None:
            assert self.picture() == before, said
        return refused is None

    def verb(self, name: str, act: Callable[..., Any], who: str, **given: Any) -> bool:
        people, states = MAY[name]
        may = who in people and self.state in states
        decided = may if name in NEVER_REFUSED else (None if may else False)
        return self.tries(act, who, decided, release_id=self.release.pk, **given)

    # --- what people do -----------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(PEOPLE))
    def build(self, who: str) -> None:
        self.verb("build", builds.request, who)

    @rule(away=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: self.state == "building")
    def the_build_is_done(self, away: bool) -> None:
        """By a dry run on real hosts; with none to be reached it fails."""
        for machine in self.yard.executor.machines.values():
            machine.away = away
        build = self.release.builds.filter(state="pending").latest("pk")
        builds.run(build_id=build.pk, owner="test", now=self.at)
        for machine in self.yard.executor.machines.values():
            machine.away = False
        assert self.state == ("planning" if away else "testing")

    @rule(fails=st.sampled_from([False, False, False, True]))
    @precondition(lambda self: self.state == "testing" and not self.held)
    def it_is_tested(self, fails: bool) -> None:
        name = self.yard.world.update.name
        machine = self.yard.machine(self.yard.test_host)
        machine.packages[name], machine.fails = self.yard.old, {name} if fails else set()
        with suppress(Refusal):
            runs = acceptance.request_runs(release_id=self.release.pk, actor=self.yard.cast.tia, at=self.at)
            for _turn in range(20):
                for run in runs:
                    AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
                    stages.acceptance_work.advance(run_id=run.pk, owner="test", now=self.at)
            machine.fails = set()
            assert self.state in ("planning", "testing") if fails else self.state == "scheduling"

    @rule(who=st.sampled_from(PEOPLE))
    def seal(self, who: str) -> None:
        self.verb("seal", manifests.seal, who)

    @rule(who=st.sampled_from(("gus", "gus", "rex", "ann", "otto")), go=st.sampled_from([True, True, True, False]))
    def sign(self, who: str, go: bool) -> None:
        round_ = signoffs.open_round_of(Release.objects.get(pk=self.release.pk))
        if round_ is None:
            return
        assert self.state == "awaiting_readiness", "a round is open over what is not asked"
        verdict = {"verdict": "approve" if go else "refuse", "comment": "" if go else "Not yet."}
        may = None if who == "gus" else False
        if self.tries(readiness.decide, who, may, round_id=round_.pk, **verdict):
            assert self.state == ("ready" if go else "planning")

    @rule(who=st.sampled_from(PEOPLE))
    def void(self, who: str) -> None:
        self.verb("void", releases.void, who, reason="Facts changed.")

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 3))
    def revise(self, who: str, sure: int) -> None:
        if sure == 0 or who != "rex":
            self.verb("revise", releases.revise, who, reason="Another plan.")

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 7))
    def cancel(self, who: str, sure: int) -> None:
        if sure == 0 or who != "rex":
            self.verb("cancel", releases.cancel, who, reason="No longer wanted.")

    @rule(who=st.sampled_from(PEOPLE))
    def deploy(self, who: str) -> None:
        if self.verb("deploy", releases.deploy, who):
            assert RFC.objects.get(pk=self.rfc_id).state == "implementing"

    @rule(nights=st.integers(1, 8), fails=st.sampled_from([False, False, True]))
    @precondition(lambda self: Rollout.objects.open().filter(release=self.release).exists())
    def nights_pass(self, nights: int, fails: bool) -> None:
        name = self.yard.world.update.name
        for host in self.yard.world.hosts:
            self.yard.machine(host).fails = {name} if fails else set()
        self.hosts_work(nights)

    def hosts_work(self, nights: int) -> None:
        """So many nights of the window go by."""
        for _night in range(nights):
            self.at = self.next_night()
            for _turn in range(6):
                rollout = Rollout.objects.filter(release=self.release).latest("pk")
                hosts = [host.pk for host in self.yard.world.hosts]
                type(self.yard.test_host).objects.filter(pk__in=hosts).update(audited_at=self.at, last_seen_at=self.at)
                advance.advance(rollout_id=rollout.pk, now=self.at)
                for pk in Job.objects.filter(jobs.DUE, rollout=rollout).values_list("pk", flat=True):
                    Job.objects.filter(pk=pk).update(not_before=None)
                    jobs.run(job_id=pk, owner="test", now=lambda: self.at, wait=self.wait)
                self.at += timedelta(minutes=20)

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def next_night(self) -> Any:
        """Ten past ten on the next Wednesday: the window of the yard; between them rings are watched."""
        start = self.at.replace(hour=22, minute=10, second=0)
        while start <= self.at or start.weekday() != WEDNESDAY:
            start += timedelta(days=1)
        return start

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 2))
    @precondition(lambda self: Rollout.objects.open().filter(release=self.release).exists())
    def stop(self, who: str, sure: int) -> None:
        rollout = Rollout.objects.open().get(release=self.release)
        may = who in ("rex", "otto") and rollout.state in ("running", "paused", "halted")
        if sure == 0 or not may:
            self.tries(rollouts.stop, who, may, rollout_id=rollout.pk, reason="Enough.")

    @rule(who=st.sampled_from(PEOPLE), sure=st.integers(0, 2))
    @precondition(lambda self: self.state in ("deploying", "deployed"))
    def roll_back(self, who: str, sure: int) -> None:
        if sure == 0 or who != "rex":
            self.tries(
                rollbacks.roll_back, who, None if who == "rex" else False, release_id=self.release.pk, reason="Bad."
            )

    @rule()
    @precondition(lambda self: self.state in ENDED)
    def it_is_reviewed(self) -> None:
        review = PostImplementationReview.objects.filter(release=self.release, state="open").first()
        if review is not None:
            closing.answer(review_id=review.pk, answers=dict.fromkeys(review.questions, "Yes."), **self.rex)
            self.tries(closing.complete, "rex", False, review_id=review.pk, lessons="x", actions="")
            self.tries(closing.complete, "che", None, review_id=review.pk, lessons="x", actions="")

    @rule(who=st.sampled_from(PEOPLE))
    def accept(self, who: str) -> None:
        self.verb("accept", releases.accept, who)

    @rule()
    def held_or_let_go(self) -> None:
        if self.held:
            holds.resume(rfc_id=self.rfc_id, actor=self.yard.cast.che, at=self.at)
        else:
            with suppress(Refusal):
                holds.place(rfc_id=self.rfc_id, reason="Wait.", actor=self.yard.cast.che, at=self.at)

    # --- late-comers --------------------------------------------------------------------------------------------------
    @rule(who=st.sampled_from(PEOPLE))
    def late_comers_are_proposed(self, who: str) -> None:
        may = who == "rex" and self.state in ("ready", "deploying")
        self.tries(amendments.propose, who, None if may else False, release_id=self.release.pk, reason="It came late.")

    @rule(go=st.booleans(), who=st.sampled_from(("gus", "gus", "rex", "otto")))
    def late_comers_are_decided(self, go: bool, who: str) -> None:
        amendment = open_amendment(self.release)
        round_ = signoffs.open_round_of(amendment) if amendment else None
        if round_ is None:
            return
        verdict = {"verdict": "approve" if go else "refuse", "comment": "" if go else "The next change."}
        self.tries(amendments.decide, who, None if who == "gus" else False, round_id=round_.pk, **verdict)

    # --- always -------------------------------------------------------------------------------------------------------
    @invariant()
    def every_step_has_one_entry_and_is_in_the_diagram(self) -> None:
        if not hasattr(self, "last"):
            return
        edges = {(source, one.target) for one in fsm.MACHINES["releases.release"] for source in one.sources}
        mine = AuditEntry.objects.filter(
            pk__gt=self.seen, object_type="releases.release", object_id=str(self.release.pk), outcome="done"
        )
        for entry in mine.exclude(after_state="").order_by("pk"):
            assert entry.before_state == self.last, f"{entry.verb} says {entry.before_state}; it stood in {self.last}"
            assert (entry.before_state, entry.after_state) in edges, (
                f"{entry.verb}: {entry.before_state} → {entry.after_state}"
            )
            self.last = entry.after_state
        self.seen = AuditEntry.objects.latest("pk").pk
        assert self.last == self.state, f"the trail ends in {self.last}, the release stands in {self.state}"

    @invariant()
    def nothing_hangs_and_what_runs_is_signed(self) -> None:
        if not hasattr(self, "last"):
            return
        state = self.state
        assert self.release.builds.filter(state="pending").exists() == (state == "building")
        rounds = SignOffRound.objects.filter(subject_type="releases.release", subject_id=self.release.pk, state="open")
        assert rounds.exists() == (state == "awaiting_readiness")
        assert Rollout.objects.open().filter(release=self.release).exists() == (state in ("deploying", "rolling_back"))
        asked = Amendment.objects.filter(release=self.release, state="proposed")
        assert not asked.exists() or state in ("ready", "deploying")
        open_rounds = SignOffRound.objects.filter(subject_type="releases.amendment", state="open")
        assert set(open_rounds.values_list("subject_id", flat=True)) == set(asked.values_list("pk", flat=True))
        for rollout in Rollout.objects.filter(release=self.release).exclude(state="planned"):
            named = {host["host"] for host in rollout.manifest.document["hosts"]}
            assert set(rollout.jobs.values_list("host_id", flat=True)) <= named, "a host runs that no manifest names"

    # --- the end ------------------------------------------------------------------------------------------------------
    def comes_to_its_end(self) -> None:
        """Whatever happened: hosts that behave and people who look bring release, change and cycle to their ends."""
        for machine in self.yard.executor.machines.values():
            machine.fails, machine.away = set(), False
        if self.held:
            holds.resume(rfc_id=self.rfc_id, actor=self.yard.cast.che, at=self.at)
        if self.state in BEFORE:
            releases.cancel(release_id=self.release.pk, reason="Enough.", **self.rex)
        for _look in range(8):
            rollout = Rollout.objects.open().filter(release=self.release).first()
            if rollout is None:
                break
            if rollout.state in ("running", "paused", "halted") and not rollout.is_way_back:
                rollouts.stop(rollout_id=rollout.pk, reason="Enough.", **self.rex)
            self.hosts_work(3)
            if rollout.is_way_back and _look == 6:
                rollouts.stop(rollout_id=rollout.pk, reason="Enough.", **self.rex)
        if self.state in ENDED:
            self.it_is_reviewed()
            releases.accept(release_id=self.release.pk, **self.rex)
        self.every_step_has_one_entry_and_is_in_the_diagram()
        self.nothing_hangs_and_what_runs_is_signed()
        assert self.state in CLOSED
        self.the_change_and_its_cycle_end()

    def the_change_and_its_cycle_end(self) -> None:
        rfc, che = RFC.objects.get(pk=self.rfc_id), self.yard.cast.che
        given: dict[str, Any] = {"actor": che, "at": self.at}
        if rfc.state == "in_review":
            outcome = Release.objects.values_list("outcome", flat=True).get(pk=self.release.pk)
            rfcs.close(rfc_id=rfc.pk, code=CODES[outcome], summary="As reviewed.", **given)
            ends = ("closed", "completed")
        else:
            assert rfc.state == "authorized", f"the release is {self.state} and its change hangs in {rfc.state}"
            rfcs.cancel(rfc_id=rfc.pk, reason="No longer wanted.", actor=self.yard.cast.ann, at=self.at)
            cycles.close_unneeded(cycle_id=rfc.cycle_id, reason="Nothing came of it.", **given)
            ends = ("cancelled", "completed")
        assert (RFC.objects.get(pk=rfc.pk).state, Cycle.objects.get(pk=rfc.cycle_id).state) == ends


def test_a_release_keeps_its_diagram_and_ends(yard: Yard) -> None:
    machine = type("Machine", (ReleaseMachine,), {"yard": yard})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
