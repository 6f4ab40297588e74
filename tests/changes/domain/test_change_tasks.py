"""Tasks of changes: they hold their change up, follow its hold and its end, and are no part of what is signed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from changes.domain import (
    approvals,
    change_models,
    change_tasks,
    evidence,
    families,
    glass,
    holds,
    offers,
    revisions,
    rfcs,
    task_gates,
)
from changes.models import RFC, ChangeTask
from changes.queries.change_tasks import unprepared
from cmdb.domain import support
from cmdb.models import SupportGroup
from patchflow.kernel import fsm, registry, signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed, Refusal
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.models import Delivery
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
MACHINE = {
    ("open", "begin", "in_progress"),
    ("in_progress", "finish", "done"),
    ("open", "dismiss", "not_needed"),
    ("in_progress", "dismiss", "not_needed"),
    ("done", "reopen", "open"),
    ("not_needed", "reopen", "open"),
    ("open", "cancel", "cancelled"),
    ("in_progress", "cancel", "cancelled"),
}


@pytest.fixture
def world(cast: Cast, now: datetime) -> World:
    return made.make_world(cast, now)


def task_of(rfc: RFC, world: World, **given: Any) -> ChangeTask:
    wanted: dict[str, Any] = {"title": "Tell the help desk", "stage": "review", "actor": world.cast.che, "at": world.at}
    return change_tasks.add(rfc_id=rfc.pk, **{**wanted, **given})


def done(task: ChangeTask, world: World, by: User | None = None) -> ChangeTask:
    actor = by or world.cast.che
    change_tasks.begin(task_id=task.pk, actor=actor, at=world.at)
    return change_tasks.finish(task_id=task.pk, outcome="Told.", actor=actor, at=world.at)


def codes(refused: pytest.ExceptionInfo[Refusal]) -> list[str]:
    return [b.code for b in refused.value.blockers]


def test_the_machine_is_the_decided_one() -> None:
    assert fsm.diagram("changes.changetask") == MACHINE


# --- what they hold up --------------------------------------------------------------------------------------------------
def test_a_planning_task_holds_up_the_request_for_approval(world: World) -> None:
    """The reason names it and leads to it; one that is not required, or of another stage, holds nothing up."""
    rfc = made.evaluating(world)
    task_of(rfc, world, stage="planning", required=False)
    task_of(rfc, world, stage="preparation")
    task = task_of(rfc, world, title="Ask the vendor", stage="planning")
    ask: Any = {"rfc_id": rfc.pk, "actor": world.cast.che, "at": world.at}
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(**ask)
    (blocker,) = refused.value.blockers
    assert str(blocker) == f"Its task {rfc.number}-T3, “Ask the vendor”, is open."
    assert (blocker.code, blocker.where, blocker.tone) == ("task.open", task.get_absolute_url(), "wait")
    done(task, world)
    assert approvals.request_approval(**ask).is_open


def test_a_standard_change_is_not_submitted_before_its_planning_is_done(world: World) -> None:
    model = made.licensed_model(world)
    rfc = made.draft(world, kind="standard", change_model_id=model.pk)
    task = task_of(rfc, world, stage="planning", actor=world.cast.ann)
    with pytest.raises(Blocked) as refused:
        rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at)
    assert codes(refused) == ["task.open"]
    change_tasks.dismiss(task_id=task.pk, reason="The vendor has answered before.", actor=world.cast.che, at=world.at)
    assert rfcs.submit(rfc_id=rfc.pk, actor=world.cast.ann, at=world.at).state == "authorized"


def test_a_preparation_holds_up_the_beginning_and_may_be_done_only_when_authorized(world: World) -> None:
    cast = world.cast
    rfc = made.evaluating(world)
    task = task_of(rfc, world, stage="preparation")
    with pytest.raises(Blocked) as refused:
        change_tasks.begin(task_id=task.pk, actor=cast.che, at=world.at)
    assert codes(refused) == ["task.early"]
    approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=world.at)
    made.approve(rfc, cast.sam, cast.cal, cast.mia, at=world.at)
    with pytest.raises(Blocked) as refused:
        rfcs.begin(rfc_id=rfc.pk, actor=cast.rex, at=world.at)
    assert codes(refused) == ["task.open"]
    done(task, world)
    assert rfcs.begin(rfc_id=rfc.pk, actor=cast.rex, at=world.at).state == "implementing"


def test_every_required_task_holds_up_the_closing(world: World) -> None:
    """Also a planning task that came after the authorization; what was not required is cancelled with the closing."""
    rfc = made.in_review(world)
    made.reviewed(rfc, world)
    late = task_of(rfc, world, stage="planning")
    check = task_of(rfc, world, stage="testing", title="Open the shop")
    aside = task_of(rfc, world, required=False)
    close: Any = {"rfc_id": rfc.pk, "code": "successful", "actor": world.cast.che, "at": world.at}
    with pytest.raises(Blocked) as refused:
        rfcs.close(**close)
    assert [str(b) for b in refused.value.blockers] == [
        f"Its task {late.number}, “Tell the help desk”, is open.",
        f"Its task {check.number}, “Open the shop”, is open.",
    ]
    done(late, world)
    change_tasks.begin(task_id=check.pk, actor=world.cast.che, at=world.at)
    with pytest.raises(Blocked, match="is in progress"):
        rfcs.close(**close)
    change_tasks.finish(task_id=check.pk, outcome="It sells.", actor=world.cast.che, at=world.at)
    assert rfcs.close(**close).state == "closed"
    aside.refresh_from_db()
    assert (aside.state, aside.outcome) == ("cancelled", f"{rfc.number} is closed.")


def test_a_broken_glass_waits_for_no_task_and_its_closing_does(world: World) -> None:
    rfc = made.glass_asked(world)
    task_of(rfc, world, stage="planning")
    task_of(rfc, world, stage="preparation")
    glass.break_glass(rfc_id=rfc.pk, reason="It is exploited.", actor=world.cast.cal, at=world.at)
    rfc.refresh_from_db()
    assert (rfc.state, unprepared([rfc.pk])) == ("authorized", []), "what the deployment of its release asks"
    rfc = rfcs.begin(rfc_id=rfc.pk, actor=world.cast.rex, at=world.at)
    assert rfc.state == "implementing"
    found = workflow.find_blockers(rfc, "close", actor=world.cast.che, at=world.at)
    assert "task.open" in [b.code for b in found]


# --- what is signed -----------------------------------------------------------------------------------------------------
def test_a_task_added_after_the_authorization_voids_nothing(world: World) -> None:
    rfc = made.authorized(world)
    before = rfc.change_digest
    task = task_of(rfc, world, stage="preparation")
    change_tasks.revise(task_id=task.pk, title="Tell everybody", actor=world.cast.che, at=world.at)
    rfc = RFC.objects.get(pk=rfc.pk)
    assert (rfc.state, rfc.change_digest) == ("authorized", before)
    assert signoffs.passed_round_of(rfc, digest_now=rfc.change_digest) is not None


def test_a_gate_is_not_got_around(world: World) -> None:
    """The requester neither takes a required task away nor makes it less; a change manager does with a reason, and it shows."""
    cast = world.cast
    rfc = made.evaluating(world)
    task = task_of(rfc, world, stage="planning")
    ways: list[Any] = [
        lambda who, why: change_tasks.dismiss(task_id=task.pk, reason=why, actor=who, at=world.at),
        lambda who, why: change_tasks.revise(task_id=task.pk, required=False, reason=why, actor=who, at=world.at),
        lambda who, why: change_tasks.revise(task_id=task.pk, stage="review", reason=why, actor=who, at=world.at),
    ]
    for way in ways:
        with pytest.raises(NotAllowed) as refused:
            way(cast.ann, "It takes too long.")
        assert codes(refused) == ["task.required"]
        with pytest.raises(Invalid) as wrong:
            way(cast.che, " ")
        assert codes(wrong) == ["task.reason"]
    ways[2](cast.che, "The vendor answers later.")
    entry = AuditEntry.objects.filter(verb="change.task.revised", outcome="done").latest("pk")
    assert entry.detail == {"changed": {"stage": ["planning", "review"]}, "reason": "The vendor answers later."}
    ways[0](cast.che, "The vendor has gone.")
    task.refresh_from_db()
    assert (task.state, task.outcome, task.ended_by) == ("not_needed", "The vendor has gone.", cast.che)
    assert rfc.tasks.count() == 1


def test_a_task_is_not_moved_out_of_the_way(world: World) -> None:
    """Neither a required one to whatever stage, nor any out of the implementation, which who signed does not do."""
    cast = world.cast
    rfc = made.evaluating(world)
    late = task_of(rfc, world, stage="review")
    aside = task_of(rfc, world, stage="implementation", required=False)
    for task, stage, code in ((late, "planning", "task.required"), (aside, "testing", "task.implementation")):
        given: Any = {"task_id": task.pk, "stage": stage, "at": world.at}
        with pytest.raises(NotAllowed) as refused:
            change_tasks.revise(**given, reason="It fits better.", actor=cast.ann)
        assert codes(refused) == [code]
        with pytest.raises(Invalid) as wrong:
            change_tasks.revise(**given, actor=cast.che)
        assert codes(wrong) == ["task.reason"]
        assert change_tasks.revise(**given, reason="It fits better.", actor=cast.che).stage == stage
    back = change_tasks.revise(task_id=aside.pk, stage="review", actor=cast.ann, at=world.at)
    assert back.stage == "review", "an optional task of another stage is moved freely"


# --- hold and end -------------------------------------------------------------------------------------------------------
def test_tasks_follow_the_hold_of_their_change_and_of_its_parent(world: World) -> None:
    """Every verb is refused with the hold's reason; time runs on; they go on when it is resumed."""
    cast = world.cast
    parent, rfc = made.draft(world), made.evaluating(world)
    families.set_parent(rfc_id=rfc.pk, parent_id=parent.pk, actor=cast.che, at=world.at)
    soon = world.at + timedelta(hours=1)
    task = task_of(rfc, world, stage="planning", assignee_id=cast.tia.pk, due_at=soon)
    holds.place(rfc_id=parent.pk, reason="The vendor withdrew it.", actor=cast.che, at=world.at)
    same: Any = {"task_id": task.pk, "actor": cast.che, "at": world.at}
    ways: list[Any] = [
        lambda: change_tasks.begin(**same),
        lambda: change_tasks.dismiss(**same, reason="No."),
        lambda: change_tasks.revise(**same, title="Other"),
        lambda: change_tasks.give(**same),
        lambda: task_of(rfc, world),
    ]
    for way in ways:
        with pytest.raises(Blocked) as refused:
            way()
        assert codes(refused) == ["hold.open"]
        assert "The vendor withdrew it." in str(refused.value)
    silent = task_of(made.evaluating(world), world, due_at=soon)
    User.objects.filter(pk=cast.ann.pk).update(is_active=False)
    assert task_gates.due_tasks(now=soon) == 1, "what is due stays due"
    assert task_gates.due_tasks(now=soon + timedelta(minutes=5)) == 0, "once"
    told = Delivery.objects.filter(notice__kind="task_overdue").values_list("user__username", flat=True)
    assert set(told) == {"tia"}
    (entry,) = AuditEntry.objects.filter(verb="change.task.reminded", object_id=str(silent.pk))
    assert entry.detail["people"] == [], "that there was nobody to tell is kept, and not tried at every sweep"
    User.objects.filter(pk=cast.ann.pk).update(is_active=True)
    holds.resume(rfc_id=parent.pk, actor=cast.che, at=soon)
    assert change_tasks.begin(**same).state == "in_progress"


@pytest.mark.parametrize("end", ["cancel", "reject"])
def test_tasks_end_with_their_change(world: World, end: str) -> None:
    cast = world.cast
    rfc = made.evaluating(world)
    open_, going = (task_of(rfc, world, stage="planning", title=title) for title in ("One", "Two"))
    over = done(task_of(rfc, world, stage="planning", title="Three"), world)
    change_tasks.begin(task_id=going.pk, actor=cast.che, at=world.at)
    getattr(rfcs, end)(rfc_id=rfc.pk, reason="Not worth it.", actor=cast.che, at=world.at)
    assert [t.state for t in rfc.tasks.order_by("position")] == ["cancelled", "cancelled", "done"]
    entry = AuditEntry.objects.filter(verb="change.task.cancelled", object_id=str(open_.pk)).get()
    assert (entry.before_state, entry.actor) == ("open", cast.che)
    with pytest.raises(Blocked) as refused:
        change_tasks.reopen(task_id=over.pk, reason="Once more.", actor=cast.che, at=world.at)
    assert codes(refused) == ["task.change_ended"]


# --- who ----------------------------------------------------------------------------------------------------------------
def test_who_it_is_given_to_does_it_and_is_told(world: World) -> None:
    """A person, or anybody of a support group; not somebody else with the same role, and nobody who cannot see the change."""
    cast = world.cast
    rfc = made.evaluating(world)
    task = task_of(rfc, world, stage="planning", assignee_id=cast.tia.pk, actor=cast.ann)
    assert Delivery.objects.get(notice__kind="task_given").user == cast.tia
    begin: Any = {"task_id": task.pk, "at": world.at}
    with pytest.raises(NotAllowed) as refused:
        change_tasks.begin(**begin, actor=cast.otto)
    assert codes(refused) == ["task.concerned"]
    support.define(name="Web operations", members=["otto"], actor=cast.cora, at=world.at)
    group = SupportGroup.objects.get()
    change_tasks.give(**begin, group_id=group.pk, actor=cast.ann)
    assert Delivery.objects.filter(notice__kind="task_given", user=cast.otto).count() == 1
    with pytest.raises(NotAllowed):
        change_tasks.begin(**begin, actor=cast.tia)
    assert list(ChangeTask.objects.given_to(cast.otto)) == [task]
    assert change_tasks.begin(**begin, actor=cast.otto).begun_by == cast.otto
    for person in (make_user("blind"), make_user("looks", "reader")):
        with pytest.raises(Invalid) as wrong:
            change_tasks.give(**begin, assignee_id=person.pk, actor=cast.ann)
        assert codes(wrong) == ["task.assignee_id"]
    support.define(name="Far away", members=["blind", "looks"], actor=cast.cora, at=world.at)
    with pytest.raises(Invalid) as wrong:
        change_tasks.give(**begin, group_id=SupportGroup.objects.get(name="Far away").pk, actor=cast.ann)
    assert codes(wrong) == ["task.group_id"]


def test_who_signed_does_not_carry_it_out_and_who_carried_it_out_does_not_sign_the_rest(world: World) -> None:
    cast = world.cast
    rfc = made.implementing(world)
    task = task_of(rfc, world, stage="implementation", assignee_id=cast.cal.pk)
    with pytest.raises(NotAllowed) as refused:
        change_tasks.begin(task_id=task.pk, actor=cast.cal, at=world.at)
    assert codes(refused) == ["task.four_eyes_signer"]
    done(task, world, by=cast.che)
    assert (
        approvals.excluded(rfc)[cast.che.pk] == "You carried out a part of this change; somebody else decides about it."
    )


def test_the_trail_knows_who_carried_it_out(world: World) -> None:
    """A task that is opened again, or moved since, forgets nobody; who declared one not needed, or tested, did nothing of it."""
    cast = world.cast
    rfc = made.implementing(world)
    task = done(task_of(rfc, world, stage="implementation"), world)
    other = make_user("max", "change_manager")
    spare = task_of(rfc, world, stage="implementation", title="Spare")
    change_tasks.dismiss(task_id=spare.pk, reason="It is not there.", actor=other, at=world.at)
    tested = task_of(rfc, world, stage="testing", title="Try it", assignee_id=cast.tia.pk)
    done(tested, world, by=cast.tia)
    change_tasks.reopen(task_id=task.pk, reason="Once more.", actor=other, at=world.at)
    change_tasks.revise(task_id=task.pk, stage="testing", reason="It is a test.", actor=other, at=world.at)
    carried = "You carried out a part of this change; somebody else decides about it."
    assert [pk for pk, why in approvals.excluded(rfc).items() if why == carried] == [cast.che.pk]
    rfcs.implemented(rfc_id=rfc.pk, outcome="full", actor=cast.bot, at=world.at)
    facts: Any = {"rfc_id": rfc.pk, "kind": "review", "digest": "a" * 64, "summary": "Fine.", "passed": True}
    with pytest.raises(NotAllowed) as refused:
        evidence.record(**facts, actor=cast.che, at=world.at)
    assert codes(refused) == ["evidence.four_eyes"]
    assert evidence.record(**facts, actor=other, at=world.at).by == other


def test_the_rest_of_a_suspended_change_waits_for_its_preparation(world: World) -> None:
    """It may be done meanwhile; what comes during the round holds up the last signature."""
    cast = world.cast
    rfc = made.suspended(world)
    first = task_of(rfc, world, stage="preparation")
    ask: Any = {"rfc_id": rfc.pk, "actor": cast.che, "at": world.at}
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(**ask)
    assert codes(refused) == ["task.open"]
    assert [b.code for b in offers.why_not(rfc, "request_approval", actor=cast.che, at=world.at)] == ["task.open"]
    done(first, world)
    approvals.request_approval(**ask)
    second = task_of(rfc, world, stage="preparation", title="Tell the shops")
    with pytest.raises(Blocked) as refused:
        made.approve(rfc, cast.sam, cast.cal, cast.mia, at=world.at)
    assert codes(refused) == ["task.open"]
    done(second, world)
    assert made.approve(rfc, cast.mia, at=world.at).state == "implementing"


def test_nothing_is_carried_out_that_is_not_authorized(world: World) -> None:
    rfc = made.suspended(world)
    for stage in ("implementation", "testing", "review"):
        task = task_of(rfc, world, stage=stage, title=stage)
        with pytest.raises(Blocked) as refused:
            change_tasks.begin(task_id=task.pk, actor=world.cast.che, at=world.at)
        assert codes(refused) == ["task.early"]


def test_what_is_begun_is_not_revised_and_what_is_over_can_be_opened_again(world: World) -> None:
    cast = world.cast
    rfc = made.evaluating(world)
    task = task_of(rfc, world, stage="planning", assignee_id=cast.tia.pk)
    change_tasks.begin(task_id=task.pk, actor=cast.tia, at=world.at)
    with pytest.raises(Conflict):
        change_tasks.revise(task_id=task.pk, title="Other", actor=cast.che, at=world.at)
    with pytest.raises(Invalid) as wrong:
        change_tasks.finish(task_id=task.pk, outcome=" ", actor=cast.tia, at=world.at)
    assert codes(wrong) == ["task.outcome"]
    change_tasks.finish(task_id=task.pk, outcome="It is fit.", actor=cast.tia, at=world.at)
    task = change_tasks.reopen(task_id=task.pk, reason="Ask again.", actor=cast.che, at=world.at)
    assert (task.state, task.outcome, task.begun_by, task.ended_at) == ("open", "", None, None)
    said = AuditEntry.objects.filter(object_type="changes.changetask", outcome="done").order_by("pk")
    assert [e.verb.rpartition(".")[2] for e in said] == ["added", "begun", "done", "reopened"]


# --- templates ----------------------------------------------------------------------------------------------------------
def test_a_model_and_a_copy_bring_their_tasks(world: World) -> None:
    """Each once; a copy has them open again, without their due times, given to whom they were."""
    cast = world.cast
    tasks = [
        {"title": "Tell the help desk", "stage": "preparation"},
        {"title": "Look once more", "stage": "review", "required": False},
    ]
    plain = change_models.draft(kind="normal", name="Plain", actor=cast.che, at=world.at)
    assert "tasks" not in plain.model_document(), "what was signed before has the digest that it had"
    model = change_models.revise(model_id=plain.pk, tasks=tasks, actor=cast.che, at=world.at)
    assert model.model_document()["tasks"][1] == {**tasks[1], "instructions": ""}
    with pytest.raises(Invalid):
        change_models.revise(model_id=plain.pk, tasks=[*tasks, tasks[0]], actor=cast.che, at=world.at)
    rfc = made.draft(world, change_model_id=model.pk)
    revisions.revise(rfc_id=rfc.pk, change_model_id=model.pk, actor=cast.ann, at=world.at)
    assert list(rfc.tasks.values_list("title", "required")) == [("Tell the help desk", True), ("Look once more", False)]
    own = task_of(
        rfc, world, stage="planning", title="Own", assignee_id=cast.tia.pk, due_at=world.at + timedelta(days=1)
    )
    done(own, world, by=cast.tia)
    support.define(name="Web operations", members=["otto"], actor=cast.cora, at=world.at)
    group = SupportGroup.objects.get()
    look = rfc.tasks.get(title="Look once more")
    change_tasks.give(task_id=look.pk, group_id=group.pk, actor=cast.ann, at=world.at)
    group.members.set([make_user("blind")])
    workflow.fire(type(model), model.pk, "retire", actor=cast.che, at=world.at)
    copy = rfcs.copy(rfc_id=rfc.pk, actor=cast.ann, at=world.at)
    told = Delivery.objects.filter(
        notice__kind="task_given", notice__url=copy.tasks.get(title="Own").get_absolute_url()
    )
    assert told.get().user == cast.tia
    assert copy.tasks.get(title="Look once more").group is None, "nobody in it may do it now"
    found = [(t.number, t.title, t.state, t.assignee, t.due_at) for t in copy.tasks.all()]
    assert found == [
        (f"{copy.number}-T1", "Tell the help desk", "open", None, None),
        (f"{copy.number}-T2", "Look once more", "open", None, None),
        (f"{copy.number}-T3", "Own", "open", cast.tia, None),
    ]


def test_a_licence_covers_the_tasks_that_were_signed_with_it(world: World) -> None:
    """An optional one of the same name does not stand for a required one, an edit brings back none that was retitled, and without
    it the licence does not cover the change, unless a change manager declared it not needed."""
    cast = world.cast
    model = made.licensed_model(world, tasks=[{"title": "Tell the help desk", "stage": "preparation"}])
    rfc = made.draft(world, kind="standard")
    task_of(rfc, world, stage="preparation", required=False)
    edit: Any = {"rfc_id": rfc.pk, "change_model_id": model.pk, "actor": cast.ann, "at": world.at}
    revisions.revise(**edit)
    task = rfc.tasks.get(required=True)
    change_tasks.revise(task_id=task.pk, title="Tell nobody", actor=cast.ann, at=world.at)
    revisions.revise(**edit, test_plan="Look.")
    assert list(rfc.tasks.values_list("title", flat=True)) == ["Tell the help desk", "Tell nobody"]
    rfc = rfcs.submit(rfc_id=rfc.pk, actor=cast.ann, at=world.at)
    assert rfc.state == "submitted"
    (blocker,) = change_models.licence_blockers(rfc)
    said = "The model demands tasks that this change does not have as required ones: “Tell the help desk”."
    assert (blocker.code, str(blocker)) == ("licence.tasks", said)
    rfcs.send_back(rfc_id=rfc.pk, reason="Take it in again.", actor=cast.che, at=world.at)
    change_tasks.revise(task_id=task.pk, title="Tell the help desk", actor=cast.ann, at=world.at)
    change_tasks.dismiss(task_id=task.pk, reason="They know.", actor=cast.che, at=world.at)
    assert rfcs.submit(rfc_id=rfc.pk, actor=cast.ann, at=world.at).state == "authorized"


def test_a_licence_covers_no_task_of_which_less_is_to_be_done_than_was_signed(world: World) -> None:
    one = {"title": "Tell the help desk", "stage": "preparation", "instructions": "By telephone, both shifts."}
    model = made.licensed_model(world, tasks=[one])
    rfc = made.draft(world, kind="standard")
    revisions.revise(rfc_id=rfc.pk, change_model_id=model.pk, actor=world.cast.ann, at=world.at)
    task = rfc.tasks.get()
    change_tasks.revise(task_id=task.pk, instructions="", actor=world.cast.ann, at=world.at)
    rfc.refresh_from_db()
    assert "licence.tasks" in [b.code for b in change_models.licence_blockers(rfc)]
    change_tasks.revise(task_id=task.pk, instructions=one["instructions"], actor=world.cast.ann, at=world.at)
    rfc.refresh_from_db()
    assert "licence.tasks" not in [b.code for b in change_models.licence_blockers(rfc)]


def test_taking_out_the_gate_of_closing_shows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate alone stands in the way: without it the change would be closed."""
    rfc = made.in_review(world)
    made.reviewed(rfc, world)
    task_of(rfc, world)
    given: Any = {"actor": world.cast.che, "at": world.at}
    assert [b.code for b in workflow.find_blockers(rfc, "close", **given)] == ["task.open"]
    rest = [one for one in registry.gates_of("changes.rfc", "close") if one is not task_gates.tasks_are_done]
    monkeypatch.setattr(
        workflow, "gates_of", lambda label, name: rest if name == "close" else registry.gates_of(label, name)
    )
    assert rfcs.close(rfc_id=rfc.pk, code="successful", **given).state == "closed"
