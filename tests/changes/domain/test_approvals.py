"""Rounds of RFCs: quorum, silence, refusal, what an edit does to what was signed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from changes.domain import (
    approvals,
    change_models,
    cycles,
    glass,
    holds,
    reminders,
    revisions,
    rfc_gates,
    rfcs,
    risk,
    scope,
)
from changes.models import RFC, RFCRevision
from changes.queries.authorization import authorization_for
from changes.queries.board import why_not
from changes.queries.holds import hold_blocker
from changes.queries.rfcs import history_of
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, SignOffRound
from patchflow.notices.models import Delivery, Notice
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


def state_of(rfc: RFC) -> str:
    return RFC.objects.get(pk=rfc.pk).state


def test_two_levels_then_authorized_with_the_last_signer_as_actor(world: World) -> None:
    rfc = made.awaiting(world)
    made.approve(rfc, world.cast.sam, world.cast.cal, at=world.at)
    assert state_of(rfc) == "awaiting_approval"
    made.approve(rfc, world.cast.mia, at=world.at)
    entry = AuditEntry.objects.get(verb="change.rfc.authorized")
    assert (entry.actor_name, entry.before_state, entry.after_state) == ("mia", "awaiting_approval", "authorized")
    found = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert found.valid
    assert found.host_ids == {h.pk for h in world.hosts}
    assert rfc.approver_ids() == {world.cast.sam.pk, world.cast.cal.pk, world.cast.mia.pk}
    assert found.digest == signoffs.rounds_of(rfc)[0].digest


def test_refusal_needs_a_comment_and_sends_back_to_evaluation(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    with pytest.raises(Invalid):
        approvals.decide(round_id=round_.pk, verdict="refuse", actor=world.cast.sam, at=world.at)
    assert state_of(rfc) == "awaiting_approval"
    made.approve(rfc, world.cast.sam, at=world.at)
    approvals.decide(round_id=round_.pk, verdict="refuse", comment="no way back", actor=world.cast.mia, at=world.at)
    assert state_of(rfc) == "evaluating"
    assert SignOffRound.objects.get(pk=round_.pk).state == "refused"
    again = approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert again.number == 2


def test_silence_reminds_escalates_and_expires_never_passes(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    level = round_.levels.get(position=1)
    assert level.deadline_at is not None
    length = level.deadline_at - round_.opened_at
    Notice.objects.exclude(kind="approval_requested").delete()
    assert reminders.due_reminders(now=round_.opened_at + length / 2 - timedelta(seconds=1)) == 0
    half = round_.opened_at + length / 2
    assert reminders.due_reminders(now=half) == 1
    assert reminders.due_reminders(now=half) == 0
    assert reminders.due_reminders(now=round_.opened_at + length * 3 / 4) == 1
    assert reminders.due_reminders(now=level.deadline_at) == 0
    told = {(n.kind, d.user.username) for n in Notice.objects.all() for d in Delivery.objects.filter(notice=n)}
    assert told == {("approval_requested", "sam"), ("approval_reminded", "sam"), ("approval_escalated", "che")}
    assert not signoffs.expire(round_id=round_.pk, actor=world.cast.bot, at=level.deadline_at - timedelta(seconds=1))
    assert signoffs.expire(round_id=round_.pk, actor=world.cast.bot, at=level.deadline_at)
    assert state_of(rfc) == "evaluating"
    assert not authorization_for(rfc_id=rfc.pk, at=world.at).valid


def test_round_expires_on_hold_too(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    holds.place(rfc_id=rfc.pk, reason="wait", actor=world.cast.che, at=world.at)
    for door in (approvals.decide, signoffs.decide):
        with pytest.raises(Blocked) as refused:
            door(round_id=round_.pk, verdict="approve", comment="", actor=world.cast.sam, at=world.at)
        assert refused.value.blockers == why_not(round_, world.cast.sam, at=world.at) == hold_blocker(rfc)
        assert "On hold by che: wait" in str(refused.value)
    assert not round_.signoffs.exists()
    assert signoffs.expire(round_id=round_.pk, actor=world.cast.bot, at=world.at + timedelta(days=10))
    assert state_of(rfc) == "evaluating"


def test_edit_voids_an_open_round_and_keeps_the_difference(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    made.approve(rfc, world.cast.sam, at=world.at)
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, reason="faster", test_plan="None.")
    assert state_of(rfc) == "evaluating"
    assert SignOffRound.objects.get(pk=round_.pk).state == "void"
    row = {"field": "plans.test", "removed": [made.PLANS["test_plan"]], "added": ["None."]}
    revision = rfc.revisions.get()
    assert (revision.difference, revision.voided, revision.by.username) == ([row], "round", "ann")
    voided = AuditEntry.objects.get(verb="signoff.round.voided")
    assert voided.detail["difference"] == [row]


@pytest.mark.parametrize(
    "change",
    [
        {"implementation_plan": "other"},
        {"back_out_plan": "other"},
        {"communication_plan": "other"},
        {"way_back": "snapshot"},
        {"kind": "emergency"},
        {"other_reason": "because"},
        {"not_before": "at"},
        {"not_after": "at"},
        {"host_ids": "fewer"},
        {"update_ids": "more"},
        {"window_ids": "none"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_edit_of_what_was_signed_takes_the_authorization_away(world: World, change: dict[str, object]) -> None:
    from cmdb.models import ServiceWindow

    window = ServiceWindow.objects.create(
        name="Sat", starts_local="02:00", length_minutes=120, from_on=world.at.date(), made_at=world.at
    )
    window.groups.add(made.make_group("all", at=world.at))
    rfc = made.authorized(world)
    name = next(iter(change))
    given: dict[str, object] = {
        "host_ids": [h.pk for h in world.hosts[:2]],
        "update_ids": [world.update.pk, made.make_update("curl", "7.88", at=world.at, hosts=world.hosts).pk],
        "window_ids": [],
    }
    if change[name] == "at":
        change = {name: world.at + timedelta(days=1)}
    value = given.get(name, change[name])
    before = authorization_for(rfc_id=rfc.pk, at=world.at)
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, **{name: value})  # type: ignore[arg-type]
    after = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert (before.valid, after.valid) == (True, False)
    assert after.state == "evaluating"
    assert before.digest != after.digest
    assert rfc.revisions.get().voided == "authorization"


def test_another_title_takes_back_what_was_decided_under_the_first(world: World) -> None:
    """The title is what a voter reads first, so that nobody's signature stays under another one."""
    rfc = made.authorized(world)
    old = rfc.title
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, title="A better title")
    assert not authorization_for(rfc_id=rfc.pk, at=world.at).valid
    assert state_of(rfc) == "evaluating"
    row = {"field": "title", "removed": [old], "added": ["A better title"]}
    revision = rfc.revisions.get()
    assert (revision.voided, revision.difference) == ("authorization", [row])
    assert revision.digest_before == revision.digest_after == RFC.objects.get(pk=rfc.pk).change_digest
    assert AuditEntry.objects.filter(verb="change.rfc.revised", outcome="done").count() == 1


def test_another_title_or_model_ends_the_round_that_asks(world: World) -> None:
    model = change_models.draft(name="Browsers", kind="normal", actor=world.cast.che, at=world.at)
    for change in ({"title": "Another"}, {"change_model_id": model.pk}):
        rfc = made.awaiting(world)
        round_ = made.round_of(rfc)
        made.approve(rfc, world.cast.sam, at=world.at)
        revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, **change)  # type: ignore[arg-type]
        assert (state_of(rfc), SignOffRound.objects.get(pk=round_.pk).state) == ("evaluating", "void")
        assert rfc.revisions.get().voided == "round"


def test_edit_without_a_change_voids_nothing(world: World) -> None:
    rfc = made.authorized(world)
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, **made.PLANS)  # type: ignore[arg-type]
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid


def test_changed_back_is_still_unsigned(world: World) -> None:
    """The digest is the old one again, but the authorization was withdrawn and has to be given again."""
    rfc = made.authorized(world)
    for text in ("other", made.PLANS["test_plan"]):
        revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, test_plan=text)
    found = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert found.state == "evaluating"
    assert not found.valid


def test_stale_edit_is_refused(world: World) -> None:
    rfc = made.evaluating(world)
    seen = rfc.change_digest
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, test_plan="first")
    with pytest.raises(Conflict):
        revisions.revise(rfc_id=rfc.pk, actor=world.cast.che, at=world.at, test_plan="second", digest_seen=seen)
    assert RFC.objects.get(pk=rfc.pk).test_plan == "first"


def test_signing_what_one_has_not_seen_is_refused(world: World) -> None:
    rfc = made.awaiting(world)
    with pytest.raises(Conflict):
        approvals.decide(
            round_id=made.round_of(rfc).pk, verdict="approve", actor=world.cast.sam, at=world.at, digest_seen="f" * 64
        )


def test_leaving_targets_void_nothing(world: World) -> None:
    rfc = made.authorized(world)
    gone = world.hosts[0]
    assert scope.leave(rfc_id=rfc.pk, host_ids=[gone.pk], reason="retired", actor=world.cast.bot, at=world.at) == 1
    found = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert found.valid
    assert found.host_ids == {h.pk for h in world.hosts[1:]}


def test_worse_risk_takes_the_authorization_away_and_equal_risk_does_not(world: World) -> None:
    rfc = made.authorized(world)
    risk.score(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid
    ci = world.hosts[0].ci
    ci.criticality = 1
    ci.save(update_fields=["criticality"])
    risk.score(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert not authorization_for(rfc_id=rfc.pk, at=world.at).valid
    assert state_of(rfc) == "evaluating"


def test_request_approval_says_everything_that_is_missing(world: World) -> None:
    rfc = made.evaluating(world, implementation_plan="", test_plan="", back_out_plan=" ")
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.plan_missing"] * 3
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, **made.PLANS)  # type: ignore[arg-type]
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.risk_old"]
    risk.score(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert state_of(rfc) == "awaiting_approval"


def test_editor_of_an_rfc_cannot_sign_it(world: World) -> None:
    """A board member who wrote a part of it is its author."""
    pam = make_user("pam", "change_manager", "cab_member")
    rfc = made.evaluating(world)
    revisions.revise(rfc_id=rfc.pk, actor=pam, at=world.at, test_plan="Mine.")
    risk.score(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    round_ = approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    made.approve(rfc, world.cast.sam, at=world.at)
    with pytest.raises(NotAllowed) as refused:
        approvals.decide(round_id=round_.pk, verdict="approve", actor=pam, at=world.at)
    assert "signoff.four_eyes" in {b.code for b in refused.value.blockers}


def test_right_lost_while_the_round_is_open(world: World) -> None:
    from patchflow.kernel.models import RoleGrant, User

    rfc = made.awaiting(world)
    RoleGrant.objects.filter(user=world.cast.sam).delete()
    sam = User.objects.get(username="sam")
    with pytest.raises(NotAllowed):
        approvals.decide(round_id=made.round_of(rfc).pk, verdict="approve", actor=sam, at=world.at)


def test_decision_is_never_edited(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    made.approve(rfc, world.cast.sam, world.cast.cal, at=world.at)
    with pytest.raises(NotAllowed):
        approvals.decide(round_id=round_.pk, verdict="refuse", comment="no", actor=world.cast.cal, at=world.at)


def test_cancel_withdraws_the_open_round(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    rfcs.cancel(rfc_id=rfc.pk, reason="superseded", actor=world.cast.ann, at=world.at)
    assert SignOffRound.objects.get(pk=round_.pk).state == "withdrawn"
    with pytest.raises(Conflict):
        approvals.decide(round_id=round_.pk, verdict="approve", actor=world.cast.sam, at=world.at)


def test_withdrawn_question_goes_back_to_evaluation(world: World) -> None:
    rfc = made.awaiting(world)
    approvals.withdraw(round_id=made.round_of(rfc).pk, reason="wrong hosts", actor=world.cast.che, at=world.at)
    assert state_of(rfc) == "evaluating"


def test_suspended_goes_on_with_a_new_round_on_the_rest(world: World) -> None:
    rfc = made.implementing(world)
    done = world.hosts[0]
    scope.record_outcomes(rfc_id=rfc.pk, outcomes={done.pk: "done"}, actor=world.cast.bot, at=world.at)
    rfcs.lapse(rfc_id=rfc.pk, reason="superseded", actor=world.cast.che, at=world.at)
    later = world.at + timedelta(hours=1)
    round_ = approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=later)
    assert state_of(rfc) == "suspended"
    assert {t["host"] for t in round_.document["targets"]} == {h.pk for h in world.hosts[1:]}
    told = [entry.object_id for entry in history_of(rfc) if entry.verb == "signoff.round.opened"]
    assert told == [str(round_.pk)], "nothing else of its history tells it; the first round its own entry tells"
    made.approve(rfc, world.cast.sam, world.cast.cal, world.cast.mia, at=world.at)
    assert state_of(rfc) == "implementing"
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid


# --- emergency ------------------------------------------------------------------------------------------------------------------
def test_an_emergency_owes_no_back_out_plan_before_it_is_asked_about(world: World) -> None:
    """Sentence, gate and what may be brought agree: it is missing, not owed; after a broken glass it is owed."""
    rfc = made.submitted(world, kind="emergency", test_plan="", back_out_plan="")
    assert rfc_gates.owed_documents(rfc) == ["test_plan"]
    assert not [b for b in rfc_gates.owed(rfc) if "back-out" in str(b)]
    assert [b.code for b in rfc_gates.unplanned(rfc)] == ["rfc.plan_missing"]
    owed = {"rfc_id": rfc.pk, "text": "Later.", "actor": world.cast.ann, "at": world.at}
    with pytest.raises(Invalid):
        rfcs.bring_owed(name="back_out_plan", **owed)
    glass.ask(rfc_id=rfc.pk, reason="now", actor=world.cast.ann, at=world.at)
    glass.break_glass(rfc_id=rfc.pk, reason="seen", actor=world.cast.cal, at=world.at)
    assert rfc_gates.owed_documents(RFC.objects.get(pk=rfc.pk)) == ["test_plan", "back_out_plan"]
    rfcs.bring_owed(name="back_out_plan", **owed)


def test_a_normal_change_owes_nothing(world: World) -> None:
    rfc = made.submitted(world, test_plan="")
    with pytest.raises(Invalid):
        rfcs.bring_owed(rfc_id=rfc.pk, name="test_plan", text="Later.", actor=world.cast.ann, at=world.at)


def test_emergency_asks_the_ecab_at_once_and_owes_documents(world: World) -> None:
    rfc = made.submitted(world, kind="emergency", implementation_plan="", test_plan="")
    round_ = approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    level = round_.levels.get()
    assert (level.name, level.quorum, level.deadline_at) == ("ECAB", "first", world.at + timedelta(hours=4))
    made.approve(rfc, world.cast.cal, at=world.at)
    rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)
    rfcs.implemented(rfc_id=rfc.pk, outcome="full", actor=world.cast.bot, at=world.at)
    made.reviewed(rfc, world)
    with pytest.raises(Blocked) as refused:
        rfcs.close(rfc_id=rfc.pk, code="successful", actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.owed"] * 3
    for name in ("implementation_plan", "test_plan"):
        rfcs.bring_owed(rfc_id=rfc.pk, name=name, text="Written after.", actor=world.cast.ann, at=world.at)
    from changes.domain import evidence

    evidence.record(
        rfc_id=rfc.pk, kind="acceptance", digest="", summary="ok", passed=True, actor=world.cast.tia, at=world.at
    )
    assert rfcs.close(rfc_id=rfc.pk, code="successful", actor=world.cast.che, at=world.at).state == "closed"


def test_normal_change_cannot_skip_evaluation(world: World) -> None:
    rfc = made.submitted(world)
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert [b.code for b in refused.value.blockers] == ["rfc.kind"]


def test_broken_glass_authorizes_and_needs_a_review_by_a_third(world: World) -> None:
    rfc = made.glass_asked(world)
    glass.break_glass(rfc_id=rfc.pk, reason="seen the traffic", actor=world.cast.cal, at=world.at)
    found = authorization_for(rfc_id=rfc.pk, at=world.at)
    assert found.valid
    assert world.cast.cal.pk in rfc.approver_ids()
    rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)
    rfcs.implemented(rfc_id=rfc.pk, outcome="full", actor=world.cast.bot, at=world.at)
    made.reviewed(rfc, world)
    with pytest.raises(Blocked) as refused:
        rfcs.close(rfc_id=rfc.pk, code="successful", actor=world.cast.che, at=world.at)
    assert "rfc.glass_review_missing" in {b.code for b in refused.value.blockers}
    with pytest.raises(NotAllowed):
        glass.review(rfc_id=rfc.pk, justified=True, finding="ok", actor=world.cast.cal, at=world.at)
    glass.review(rfc_id=rfc.pk, justified=True, finding="It was exploited.", actor=world.cast.mia, at=world.at)
    assert Notice.objects.filter(kind="glass_review_due").count() == 1


def test_who_may_answer_is_told_that_the_glass_is_asked_for_and_nobody_else(world: World) -> None:
    """Chairs who cannot decide about it: who wrote it, whose right reaches none of its hosts, who left, and who asks."""
    author, asker = make_user("dan", "cab_chair"), make_user("eli", "cab_chair", "requester")
    make_user("far", "cab_chair", scope="group:elsewhere")
    make_user("gone", "cab_chair", is_active=False)
    rfc = made.submitted(world, kind="emergency")
    RFCRevision.objects.create(
        rfc=rfc, number=99, by=author, at=world.at, reason="Mended.", difference=[], digest_before="a", digest_after="b",
        authored=True,
    )  # fmt: skip
    glass.ask(rfc_id=rfc.pk, reason="exploited now", actor=asker, at=world.at)
    told = Delivery.objects.filter(notice__kind="glass_asked").values_list("user__username", flat=True)
    assert sorted(set(told)) == ["cal"]


def test_glass_is_broken_for_what_was_asked_only(world: World) -> None:
    rfc = made.glass_asked(world)
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, back_out_plan="other")
    with pytest.raises(NotAllowed):
        glass.break_glass(rfc_id=rfc.pk, reason="now", actor=world.cast.cal, at=world.at)


def test_edit_after_breaking_takes_the_authorization_away(world: World) -> None:
    rfc = made.glass_asked(world)
    glass.break_glass(rfc_id=rfc.pk, reason="now", actor=world.cast.cal, at=world.at)
    revisions.revise(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at, back_out_plan="other")
    assert not authorization_for(rfc_id=rfc.pk, at=world.at).valid


# --- standard -------------------------------------------------------------------------------------------------------------------
def test_licence_authorizes_at_once_and_points_to_the_model(world: World) -> None:
    model = made.licensed_model(world)
    rfc = made.submitted(world, kind="standard", change_model_id=model.pk)
    assert rfc.state == "authorized"
    round_ = signoffs.rounds_of(rfc)[0]
    signed = signoffs.rounds_of(model)[0]
    assert (round_.kind, round_.state) == ("licence", "passed")
    assert f"sign-off round {signed.pk}" in round_.reason
    assert authorization_for(rfc_id=rfc.pk, at=world.at).valid


def test_failure_takes_the_licence_away(world: World) -> None:
    model = made.licensed_model(world)
    made.closed_from(world, rfcs_kind="standard", model_id=model.pk, code="failed")
    model.refresh_from_db()
    assert model.state == "draft"
    following = made.submitted(world, kind="standard", change_model_id=model.pk)
    assert following.state == "submitted"


def test_licence_covers_only_what_the_board_signed(world: World) -> None:
    model = made.licensed_model(world, packages=["tzdata"], max_hosts=1)
    rfc = made.submitted(world, kind="standard", change_model_id=model.pk)
    assert rfc.state == "submitted"
    from changes.domain.change_models import licence_blockers

    assert [b.code for b in licence_blockers(rfc)] == ["licence.packages", "licence.hosts"]


def test_model_changed_behind_the_board_gives_no_licence(world: World) -> None:
    from changes.models import ChangeModel

    model = made.licensed_model(world)
    ChangeModel.objects.filter(pk=model.pk).update(max_hosts=5000)
    assert made.submitted(world, kind="standard", change_model_id=model.pk).state == "submitted"


# --- the door ---------------------------------------------------------------------------------------------------------------------
def test_authorize_is_not_a_verb_for_anybody(world: World) -> None:
    rfc = made.awaiting(world)
    for person in world.cast:
        with pytest.raises(NotAllowed):
            workflow.fire(RFC, rfc.pk, "authorize", actor=person, at=world.at)
    refused = audit.history(rfc).filter(outcome="refused", verb="change.rfc.authorized").count()
    assert refused == len(list(world.cast))


def test_cycle_is_told_of_the_submission(world: World) -> None:
    cycles.notified(actor=world.cast.bot, at=world.at, update_ids=[world.update.pk])
    rfc = made.draft(world)
    assert rfc.cycle.state == "identify"
    rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at)
    rfc.cycle.refresh_from_db()
    assert rfc.cycle.state == "evaluate_and_plan"
