"""RFCs through their states: what each verb asks, what it does, and that all of it is in the trail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps

from changes.domain import approvals, clocks, families, glass, holds, offers, revisions, rfcs
from changes.enums import RFCState
from changes.models import RFC, Hold
from changes.queries.authorization import authorization_for
from changes.queries.holds import open_hold_of
from changes.signals import authorization_lost
from patchflow.kernel import audit, fsm, signoffs
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", list(made.AT_STATE))
def test_each_state_is_reached_through_the_verbs(world: World, state: str) -> None:
    assert made.AT_STATE[state](world).state == state


def test_states_are_all_covered() -> None:
    assert set(made.AT_STATE) == set(RFCState.values)


# --- every edge leaves its entry -----------------------------------------------------------------------------------------------
def _refuse(w: World, rfc: RFC) -> None:
    round_ = made.round_of(rfc)
    approvals.decide(round_id=round_.pk, verdict="refuse", comment="no", actor=w.cast.sam, at=w.at)


def _expire(w: World, rfc: RFC) -> None:
    signoffs.expire(round_id=made.round_of(rfc).pk, actor=w.cast.bot, at=w.at + timedelta(days=9))


def _glass(w: World, rfc: RFC) -> None:
    glass.ask(rfc_id=rfc.pk, reason="now", actor=w.cast.ann, at=w.at)
    glass.break_glass(rfc_id=rfc.pk, reason="seen", actor=w.cast.cal, at=w.at)


def _licence(w: World) -> RFC:
    return made.draft(w, kind="standard", change_model_id=made.licensed_model(w).pk)


def _rest(w: World, rfc: RFC) -> None:
    approvals.request_approval(rfc_id=rfc.pk, actor=w.cast.che, at=w.at)
    made.approve(rfc, w.cast.sam, w.cast.cal, w.cast.mia, at=w.at)


def _emergency(state: str) -> Callable[[World], RFC]:
    return lambda w: made.AT_STATE[state](w, kind="emergency")


def _cancel(w: World, rfc: RFC) -> None:
    rfcs.cancel(rfc_id=rfc.pk, reason="x", actor=w.cast.ann, at=w.at)


def _emergency_awaiting(w: World) -> RFC:
    rfc = made.submitted(w, kind="emergency")
    approvals.request_approval(rfc_id=rfc.pk, actor=w.cast.che, at=w.at)
    return RFC.objects.get(pk=rfc.pk)


def _close(w: World, rfc: RFC) -> None:
    made.reviewed(rfc, w)
    rfcs.close(rfc_id=rfc.pk, code="successful", actor=w.cast.che, at=w.at)


Recipe = tuple[Callable[[World], RFC], Callable[[World, RFC], object]]
EDGES: dict[tuple[str, str, str], Recipe] = {
    ("draft", "submit", "submitted"): (made.draft, lambda w, r: rfcs.submit(rfc_id=r.pk, actor=w.cast.ann, at=w.at)),
    ("submitted", "evaluate", "evaluating"): (
        made.submitted,
        lambda w, r: rfcs.evaluate(rfc_id=r.pk, actor=w.cast.che, at=w.at),
    ),
    ("evaluating", "request_approval", "awaiting_approval"): (
        made.evaluating,
        lambda w, r: approvals.request_approval(rfc_id=r.pk, actor=w.cast.che, at=w.at),
    ),
    ("submitted", "request_approval", "awaiting_approval"): (
        _emergency("submitted"),
        lambda w, r: approvals.request_approval(rfc_id=r.pk, actor=w.cast.che, at=w.at),
    ),
    ("awaiting_approval", "authorize", "authorized"): (
        made.awaiting,
        lambda w, r: made.approve(r, w.cast.sam, w.cast.cal, w.cast.mia, at=w.at),
    ),
    ("submitted", "authorize", "authorized"): (
        _licence,
        lambda w, r: rfcs.submit(rfc_id=r.pk, actor=w.cast.ann, at=w.at),
    ),
    ("authorized", "begin", "implementing"): (
        made.authorized,
        lambda w, r: rfcs.begin(rfc_id=r.pk, actor=w.cast.rex, at=w.at),
    ),
    ("implementing", "implemented", "in_review"): (
        made.implementing,
        lambda w, r: rfcs.implemented(rfc_id=r.pk, outcome="full", actor=w.cast.rex, at=w.at),
    ),
    ("in_review", "close", "closed"): (made.in_review, _close),
    ("submitted", "send_back", "draft"): (
        made.submitted,
        lambda w, r: rfcs.send_back(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("evaluating", "send_back", "draft"): (
        made.evaluating,
        lambda w, r: rfcs.send_back(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("awaiting_approval", "refused", "evaluating"): (made.awaiting, _refuse),
    ("awaiting_approval", "expired", "evaluating"): (made.awaiting, _expire),
    ("awaiting_approval", "voided", "evaluating"): (
        made.awaiting,
        lambda w, r: revisions.revise(rfc_id=r.pk, actor=w.cast.ann, at=w.at, test_plan="x"),
    ),
    ("evaluating", "reject", "rejected"): (
        made.evaluating,
        lambda w, r: rfcs.reject(rfc_id=r.pk, reason="x", actor=w.cast.cal, at=w.at),
    ),
    ("awaiting_approval", "reject", "rejected"): (
        made.awaiting,
        lambda w, r: rfcs.reject(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("authorized", "lapse", "evaluating"): (
        made.authorized,
        lambda w, r: rfcs.lapse(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("submitted", "break_glass", "authorized"): (_emergency("submitted"), _glass),
    ("evaluating", "break_glass", "authorized"): (_emergency("evaluating"), _glass),
    ("awaiting_approval", "break_glass", "authorized"): (_emergency_awaiting, _glass),
    ("draft", "cancel", "cancelled"): (made.draft, _cancel),
    ("submitted", "cancel", "cancelled"): (made.submitted, _cancel),
    ("evaluating", "cancel", "cancelled"): (made.evaluating, _cancel),
    ("awaiting_approval", "cancel", "cancelled"): (made.awaiting, _cancel),
    ("authorized", "cancel", "cancelled"): (made.authorized, _cancel),
    ("implementing", "lapse", "suspended"): (
        made.implementing,
        lambda w, r: rfcs.lapse(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("suspended", "authorize", "implementing"): (made.suspended, _rest),
    ("implementing", "stop", "in_review"): (
        made.implementing,
        lambda w, r: rfcs.stop(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
    ("suspended", "stop", "in_review"): (
        made.suspended,
        lambda w, r: rfcs.stop(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
    ),
}


BY_LICENCE = ("submitted", "authorize", "authorized")
"""Fired by the verb that submits."""


def test_every_edge_has_a_recipe() -> None:
    assert set(EDGES) == fsm.diagram("changes.rfc")


@pytest.mark.parametrize("edge", sorted(EDGES), ids="-".join)
def test_every_edge_is_walked_and_leaves_its_entry(world: World, edge: tuple[str, str, str]) -> None:
    source, name, target = edge
    begin, act = EDGES[edge]
    rfc = begin(world)
    assert rfc.state == ("draft" if edge == BY_LICENCE else source)
    known = set(audit.history(rfc).values_list("pk", flat=True))
    act(world, rfc)
    new = audit.history(rfc).exclude(pk__in=known).filter(outcome="done").exclude(after_state="").order_by("pk")
    verb = next(t.verb for t in fsm.machine_of(RFC) if t.name == name and t.leaves(source))
    steps = [(e.verb, e.before_state, e.after_state) for e in new]
    assert (verb, source, target) in steps
    assert RFC.objects.get(pk=rfc.pk).state == steps[-1][2]


# --- raising -------------------------------------------------------------------------------------------------------------------
def test_raise_fills_itself(world: World) -> None:
    rfc = made.draft(world)
    assert rfc.number == "RFC-2026-00001"
    assert rfc.title == "openssl 3.0.15-1~deb12u2 on debian 12"
    assert set(rfc.targets.values_list("host_id", flat=True)) == {h.pk for h in world.hosts}
    assert (rfc.update_class, rfc.start_by) == ("high", world.update.notified_at + timedelta(days=7))


def test_raise_takes_only_hosts_of_the_actors_scope(world: World) -> None:
    outside = made.make_host(at=world.at, group="others")
    update = made.make_update("sudo", "1.9", at=world.at, hosts=[*world.hosts, outside])
    scoped = make_user("scoped", "requester", scope=made.make_group("all", at=world.at).scope_key)
    rfc = rfcs.raise_rfc(update_ids=[update.pk], actor=scoped, at=world.at)
    assert set(rfc.targets.values_list("host_id", flat=True)) == {h.pk for h in world.hosts}
    with pytest.raises(NotAllowed):
        rfcs.raise_rfc(update_ids=[update.pk], host_ids=[outside.pk], actor=scoped, at=world.at)
    with pytest.raises(NotAllowed):
        revisions.revise(rfc_id=rfc.pk, actor=scoped, at=world.at, host_ids=[outside.pk])


def test_who_may_not_raise_raises_nothing(world: World) -> None:
    for person in (world.cast.eve, world.cast.aud, world.cast.root, world.cast.mia):
        with pytest.raises(NotAllowed):
            rfcs.raise_rfc(update_ids=[world.update.pk], actor=person, at=world.at)
    assert not RFC.objects.exists()


def test_submit_asks_for_relevance_or_a_reason(world: World) -> None:
    idle = made.make_update("vim", "9", at=world.at)
    rfc = made.draft(world, update_ids=[idle.pk], host_ids=[world.hosts[0].pk])
    with pytest.raises(Blocked) as refused:
        rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.not_relevant"]
    revisions.revise(
        rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, other_reason="A feature that the users wait for."
    )
    assert rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at).state == "submitted"


def test_submit_asks_for_targets_and_updates(world: World) -> None:
    rfc = made.draft(world, update_ids=[], host_ids=[])
    with pytest.raises(Blocked) as refused:
        rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at)
    assert {b.code for b in refused.value.blockers} == {"rfc.targets_missing", "rfc.updates_missing"}


@pytest.mark.parametrize("verb", [rfcs.send_back, rfcs.reject, rfcs.cancel, rfcs.lapse, rfcs.stop])
def test_reasons_are_not_optional(world: World, verb: Callable[..., object]) -> None:
    rfc = made.evaluating(world)
    with pytest.raises(Invalid):
        verb(rfc_id=rfc.pk, reason="  ", actor=world.cast.che, at=world.at)


def test_close_needs_the_review_and_a_code(world: World) -> None:
    rfc = made.in_review(world)
    with pytest.raises(Blocked) as refused:
        rfcs.close(rfc_id=rfc.pk, code="successful", actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.review_missing"]
    made.reviewed(rfc, world)
    with pytest.raises(Invalid):
        rfcs.close(rfc_id=rfc.pk, code="fine", actor=world.cast.che, at=world.at)


def test_who_decided_does_not_begin(world: World) -> None:
    both = make_user("both", "release_manager", "cab_member")
    rfc = made.awaiting(world)
    made.approve(rfc, world.cast.sam, both, world.cast.mia, at=world.at)
    with pytest.raises(NotAllowed) as refused:
        rfcs.begin(rfc_id=rfc.pk, actor=both, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.four_eyes_signer"]


def test_what_is_implementing_cannot_be_edited(world: World) -> None:
    rfc = made.implementing(world)
    with pytest.raises(Conflict):
        revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, test_plan="x")


def test_past_its_last_date_nothing_is_authorized(world: World) -> None:
    rfc = made.authorized(world, not_after=world.at + timedelta(hours=1))
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid
    late = authorization_for(rfc_id=rfc.pk, at=world.at + timedelta(hours=1))
    assert [b.code for b in late.blockers] == ["rfc.too_late"]


# --- holds, clocks, what travels up ----------------------------------------------------------------------------------------------
PASSES = {
    "evaluating": {"cancel", "reject"},
    "awaiting_approval": {"cancel", "reject"},
    "authorized": {"cancel"},
    "implementing": {"stop"},
    "suspended": {"stop"},
    "draft": {"cancel"},
    "submitted": {"cancel"},
    "in_review": set(),
}


ENDS: dict[str, Recipe] = {
    "rejected": (made.evaluating, lambda w, r: rfcs.reject(rfc_id=r.pk, reason="no", actor=w.cast.cal, at=w.at)),
    "cancelled": (made.authorized, _cancel),
    "stopped": (made.implementing, lambda w, r: rfcs.stop(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at)),
    "its release ended": (
        made.suspended,
        lambda w, r: rfcs.implemented(rfc_id=r.pk, outcome="partial", actor=w.cast.bot, at=w.at),
    ),
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_a_hold_ends_with_its_change(world: World, how: str) -> None:
    """With who ended it and why, in the trail too; nobody resumes what has ended, and the reason is the page's."""
    begun, end = ENDS[how]
    rfc = begun(world)
    held = holds.place(rfc_id=rfc.pk, reason="wait", actor=world.cast.che, at=world.at)
    end(world, rfc)
    held.refresh_from_db()
    assert held.resumed_at == world.at
    assert held.resume_reason
    verbs = list(
        AuditEntry.objects.filter(object_type="changes.rfc", object_id=str(rfc.pk)).values_list("verb", flat=True)
    )
    assert verbs.count("change.rfc.hold_ended") == 1
    rfc = RFC.objects.get(pk=rfc.pk)
    with pytest.raises(Conflict) as refused:
        holds.resume(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    said = offers.why_not(rfc, "resume", actor=world.cast.che, at=world.at)
    assert [str(b) for b in said] == [str(b) for b in refused.value.blockers]


def test_the_children_of_a_stopped_change_go_on(world: World) -> None:
    parent, child = made.implementing(world), made.evaluating(world)
    families.set_parent(rfc_id=child.pk, parent_id=parent.pk, actor=world.cast.che, at=world.at)
    holds.place(rfc_id=parent.pk, reason="wait", actor=world.cast.che, at=world.at)
    rfcs.stop(rfc_id=parent.pk, reason="enough", actor=world.cast.che, at=world.at)
    assert open_hold_of(child) is None
    assert RFC.objects.get(pk=child.pk).parent == parent


def test_a_hold_left_open_at_a_change_that_has_ended_is_not_resumed_and_the_migration_ends_it(world: World) -> None:
    """As rows of earlier versions stand there."""
    ended, running = made.evaluating(world), made.evaluating(world)
    rfcs.reject(rfc_id=ended.pk, reason="no", actor=world.cast.cal, at=world.at)
    ended = RFC.objects.get(pk=ended.pk)
    late = world.at + timedelta(hours=1)
    left = Hold.objects.create(
        subject_type="changes.rfc", subject_id=ended.pk, reason="wait", placed_by=world.cast.che, placed_at=late
    )
    kept = holds.place(rfc_id=running.pk, reason="wait", actor=world.cast.che, at=world.at)
    assert "resume" not in {verb.name for verb in offers.others(ended, world.cast.che)}
    with pytest.raises(Conflict, match="there is nothing to resume"):
        holds.resume(rfc_id=ended.pk, actor=world.cast.che, at=late)
    import_module("changes.migrations.0015_holds_of_ended_changes").end_them(apps, None)
    left.refresh_from_db()
    kept.refresh_from_db()
    assert (left.resumed_at, left.resumed_by, kept.resumed_at) == (late, None, None)


@pytest.mark.parametrize("state", sorted(PASSES))
def test_hold_blocks_everything_but_leaving(world: World, state: str) -> None:
    from patchflow.kernel import workflow

    rfc = made.AT_STATE[state](world)
    holds.place(rfc_id=rfc.pk, reason="wait", actor=world.cast.che, at=world.at)
    names = {t.name for t in fsm.machine_of(RFC) if t.leaves(state) and not t.by_system}
    free = {
        name
        for name in names
        if "hold.open" not in {b.code for b in workflow.find_blockers(rfc, name, actor=world.cast.che, at=world.at)}
    }
    assert free == PASSES[state]
    assert not authorization_for(rfc_id=rfc.pk, at=world.at).valid
    with pytest.raises(NotAllowed):
        holds.resume(rfc_id=rfc.pk, actor=world.cast.bot, at=world.at)
    holds.resume(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    with pytest.raises(Conflict):
        holds.resume(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)


def test_clock_survives_reclassification_and_stops_once(world: World) -> None:
    rfc = made.evaluating(world)
    noted = world.update.notified_at
    clocks.classify(rfc_id=rfc.pk, update_class="critical", reason="exploited", actor=world.cast.che, at=world.at)
    rfc.refresh_from_db()
    assert rfc.start_by == noted + timedelta(hours=24)
    clocks.classify(rfc_id=rfc.pk, update_class="low", reason="not reachable", actor=world.cast.che, at=world.at)
    clocks.classify(rfc_id=rfc.pk, update_class="high", reason="it is", actor=world.cast.che, at=world.at)
    first = clocks.stop(rfc_id=rfc.pk, actor=world.cast.bot, at=world.at)
    again = clocks.stop(rfc_id=rfc.pk, actor=world.cast.bot, at=world.at + timedelta(days=30))
    assert (first, again.missed) == (again, False)
    assert again.left == timedelta(days=7) - (world.at - noted)
    with pytest.raises(Conflict):
        clocks.classify(rfc_id=rfc.pk, update_class="low", reason="x", actor=world.cast.che, at=world.at)


@pytest.mark.parametrize(
    "act",
    [
        lambda w, r: rfcs.lapse(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
        lambda w, r: rfcs.cancel(rfc_id=r.pk, reason="x", actor=w.cast.ann, at=w.at),
        lambda w, r: holds.place(rfc_id=r.pk, reason="x", actor=w.cast.che, at=w.at),
        lambda w, r: revisions.revise(rfc_id=r.pk, test_plan="x", actor=w.cast.ann, at=w.at),
    ],
    ids=["lapse", "cancel", "hold", "revise"],
)
def test_loss_of_authorization_travels_up(world: World, act: Callable[[World, RFC], object]) -> None:
    rfc = made.authorized(world)
    heard: list[int] = []

    def listen(rfc_id: int, **_: object) -> None:
        heard.append(rfc_id)

    authorization_lost.connect(listen)
    try:
        act(world, rfc)
    finally:
        authorization_lost.disconnect(listen)
    assert heard == [rfc.pk]


def test_visible_are_those_in_scope_and_ones_own(world: World) -> None:
    rfc = made.draft(world)
    elsewhere = make_user("far", "requester", scope=made.make_group("others", at=world.at).scope_key)
    near = make_user("near", "reader", scope=made.make_group("all", at=world.at).scope_key)
    seen = {p.username: list(RFC.objects.visible_to(p)) for p in (elsewhere, near, world.cast.eve, world.cast.root)}
    assert seen == {"far": [], "near": [rfc], "eve": [], "root": []}


def test_the_end_of_its_release_ends_a_suspended_change_and_what_is_asked_about_its_rest(world: World) -> None:
    rfc = made.suspended(world)
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    ended = rfcs.implemented(rfc_id=rfc.pk, outcome="partial", actor=world.cast.bot, at=world.at)
    assert ended.state == "in_review"
    assert signoffs.open_round_of(ended) is None
