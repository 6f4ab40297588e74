"""Cycles: four events, a high-water mark, one open month, no path that hangs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.domain import cycles, evidence, phase_steps, rfcs
from changes.enums import StepKey
from changes.models import Cycle, CycleUpdate
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db


def notified(world: World, *ids: int) -> Cycle:
    (pk,) = cycles.notified(actor=world.cast.bot, at=world.at, update_ids=ids or [world.update.pk])
    return Cycle.objects.get(pk=pk)


def test_first_notification_opens_the_month_and_moves_it(world: World) -> None:
    cycle = notified(world)
    assert (cycle.name, cycle.kind, cycle.state) == ("November 2026", "monthly", "identify")
    assert cycle.steps.count() == 16


def test_telling_twice_changes_nothing(world: World) -> None:
    cycle = notified(world)
    assert cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[world.update.pk]) == []
    assert cycle.events.count() == 1
    assert CycleUpdate.objects.count() == 1


def test_critical_update_runs_beside_the_month(world: World) -> None:
    month = notified(world)
    critical = made.make_update("sudo", "1.9", at=world.at, hosts=world.hosts, update_class="critical")
    exploited = made.make_update(
        "glibc", "2.4", at=world.at, hosts=world.hosts, update_class="critical", exploited=True
    )
    beside = cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[critical.pk, exploited.pk])
    kinds = {c.kind: c.state for c in Cycle.objects.filter(pk__in=beside)}
    assert kinds == {"out_of_band": "identify", "emergency": "identify"}
    assert made.draft(world, update_ids=[critical.pk]).cycle.kind == "out_of_band"
    assert made.draft(world).cycle == month


def test_at_most_one_open_month(world: World) -> None:
    notified(world)
    with pytest.raises(Conflict):
        cycles.open_cycle(kind="monthly", actor=world.cast.che, at=world.at)
    with pytest.raises(NotAllowed):
        cycles.open_cycle(kind="out_of_band", actor=world.cast.ann, at=world.at)


def test_after_the_decision_day_updates_wait_for_the_next_month(world: World) -> None:
    cycle = notified(world)
    cycles.set_decision_day(cycle_id=cycle.pk, decision_on=date(2026, 11, 17), actor=world.cast.che, at=world.at)
    late = made.make_update("curl", "7.9", at=world.at, hosts=world.hosts)
    assert cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[late.pk]) == []
    assert CycleUpdate.objects.get(update=late).cycle is None
    cycles.close_unneeded(cycle_id=cycle.pk, reason="quiet month", actor=world.cast.che, at=world.at)
    following = Cycle.objects.open().get()
    assert (following.name, following.state) == ("December 2026", "identify")
    assert CycleUpdate.objects.get(update=late).cycle == following


def test_events_move_once_and_are_recorded_ever_after(world: World) -> None:
    cycle = notified(world)
    made.submitted(world)
    made.submitted(world)
    cycle.refresh_from_db()
    assert cycle.state == "evaluate_and_plan"
    assert [e.kind for e in cycle.events.all()] == ["notified", "rfc_submitted", "rfc_submitted"]
    entries = AuditEntry.objects.filter(verb="change.cycle.rfc_submitted").order_by("id")
    assert [e.after_state for e in entries] == ["evaluate_and_plan", ""]


def test_event_ahead_of_its_phase_waits_for_it(world: World) -> None:
    """An RFC for another reason is submitted before any notification: the mark is kept, the phase is not skipped."""
    rfc = made.submitted(world)
    assert rfc.cycle.state == "assess"
    notified(world)
    rfc.cycle.refresh_from_db()
    assert rfc.cycle.state == "evaluate_and_plan"


def test_month_completes_only_when_every_change_has_ended(world: World) -> None:
    cycle = notified(world)
    first, second = made.in_review(world), made.draft(world)
    cycles.deployment_approved(cycle_id=cycle.pk, actor=world.cast.gus, at=world.at, cause="REL-2026-00001")
    cycles.release_completed(cycle_ids=[cycle.pk], actor=world.cast.rex, at=world.at, cause="REL-2026-00001")
    cycle.refresh_from_db()
    assert cycle.state == "deploy"
    made.reviewed(first, world)
    rfcs.close(rfc_id=first.pk, code="successful", actor=world.cast.che, at=world.at)
    cycle.refresh_from_db()
    assert cycle.state == "deploy"
    rfcs.cancel(rfc_id=second.pk, reason="next month", actor=world.cast.ann, at=world.at)
    cycle.refresh_from_db()
    assert cycle.state == "completed"
    following = Cycle.objects.open().get()
    assert (following.kind, following.state, following.name) == ("monthly", "assess", "December 2026")


def test_close_unneeded_asks_that_nothing_was_carried_out(world: World) -> None:
    cycle = notified(world)
    rfc = made.evaluating(world)
    with pytest.raises(Blocked):
        cycles.close_unneeded(cycle_id=cycle.pk, reason="quiet", actor=world.cast.che, at=world.at)
    rfcs.reject(rfc_id=rfc.pk, reason="no", actor=world.cast.cal, at=world.at)
    with pytest.raises(Invalid):
        cycles.close_unneeded(cycle_id=cycle.pk, reason=" ", actor=world.cast.che, at=world.at)
    with pytest.raises(NotAllowed):
        cycles.close_unneeded(cycle_id=cycle.pk, reason="quiet", actor=world.cast.root, at=world.at)
    closed = cycles.close_unneeded(cycle_id=cycle.pk, reason="quiet", actor=world.cast.che, at=world.at)
    assert (closed.state, closed.close_reason) == ("completed", "quiet")


def test_nobody_moves_a_cycle_by_hand(world: World) -> None:
    from patchflow.kernel import workflow

    cycle = notified(world)
    for person in world.cast:
        with pytest.raises(NotAllowed):
            workflow.fire(Cycle, cycle.pk, "rfc_submitted", actor=person, at=world.at)


def test_steps_that_rows_prove_close_by_themselves(world: World) -> None:
    cycle = notified(world)
    made.authorized(world)
    phase_steps.due_steps(now=world.at)
    done = {s.key: s.settled_by.username for s in cycle.steps.filter(state="done") if s.settled_by}
    # no feed has been polled, no file verified, and no release exists: those steps stay open
    proven = {StepKey.INVENTORY, StepKey.DISCOVER, StepKey.RELEVANCE, StepKey.NATURE, StepKey.RESPONSE, StepKey.PLAN}
    assert done == dict.fromkeys(proven, "bot")


def test_evidence_closes_its_step_and_a_failed_one_does_not(world: World) -> None:
    cycle = notified(world)
    rfc = made.authorized(world)
    given = {"rfc_id": rfc.pk, "kind": "acceptance", "digest": "", "actor": world.cast.tia, "at": world.at}
    evidence.record(**given, summary="crashed", passed=False)
    phase_steps.due_steps(now=world.at)
    assert cycle.steps.get(key=StepKey.ACCEPTANCE).state == "open"
    evidence.record(**given, summary="8 of 8", passed=True)
    phase_steps.due_steps(now=world.at)
    assert cycle.steps.get(key=StepKey.ACCEPTANCE).output == "acceptance tests of 1 RFC"
    assert phase_steps.due_steps(now=world.at) == 0


def test_looking_at_steps_costs_the_same_for_one_change_and_for_many(world: World) -> None:
    cycle = notified(world)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            for prover in phase_steps.PROVERS.values():
                prover(cycle, world.at)
        return len(queries)

    made.authorized(world)
    one = asked()
    for _ in range(3):
        made.authorized(world)
    assert cycle.rfcs.count() == 4
    assert asked() == one


def test_steps_by_hand_need_a_manager_and_words(world: World) -> None:
    cycle = notified(world)
    given = {"cycle_id": cycle.pk, "key": StepKey.DISTRIBUTION, "at": world.at}
    with pytest.raises(NotAllowed):
        phase_steps.complete_step(**given, output="ok", actor=world.cast.ann)
    with pytest.raises(Invalid):
        phase_steps.complete_step(**given, output=" ", actor=world.cast.che)
    phase_steps.assign_step(**given, owner_id=world.cast.otto.pk, actor=world.cast.che)
    step = phase_steps.waive_step(**given, reason="no distribution points", actor=world.cast.che)
    assert (step.state, step.owner) == ("waived", world.cast.otto)
    with pytest.raises(Conflict):
        phase_steps.complete_step(**given, output="ok", actor=world.cast.che)


@pytest.mark.parametrize(
    ("month", "day"), [(date(2026, 11, 1), 18), (date(2026, 12, 1), 16), (date(2027, 2, 1), 17), (date(2027, 9, 1), 15)]
)
def test_decision_day_is_the_third_wednesday(month: date, day: int) -> None:
    assert cycles.decision_day(month) == month.replace(day=day)
    assert cycles.decision_day(month).weekday() == 2


def test_month_opened_after_its_decision_day_has_none(world: World) -> None:
    late = world.at + timedelta(days=5)
    cycle = cycles.open_cycle(kind="monthly", actor=world.cast.che, at=late)
    assert cycle.decision_on is None
