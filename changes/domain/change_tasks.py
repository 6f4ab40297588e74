"""Tasks of a change: added, given, begun, finished, declared not needed, reopened. They hold their change up and never let it
through: what is signed does not speak of them, so that adding one voids nothing.

The lock of the change is taken before that of the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db.models import Max

from changes.enums import TERMINAL
from changes.enums_tasks import TaskStage, TaskState
from changes.models import RFC, ChangeTask
from changes.queries.change_tasks import people_of
from changes.queries.holds import hold_blocker
from changes.rules import own_or_manager
from changes.rules_tasks import may_move, may_relax, plans_it
from cmdb.models import SupportGroup
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.notices.delivery import tell

MOST = 100
"""So many tasks a change may have."""


class Wanted(TypedDict, total=False):
    """What is said of a task."""

    title: str
    instructions: str
    stage: str
    required: bool
    due_at: datetime | None


@workflow.verb("change.task.added", RFC, "rfc_id")
def add(
    *, rfc_id: int, title: str, stage: str, actor: User, at: datetime, instructions: str = "", required: bool = True,
    assignee_id: int | None = None, group_id: int | None = None, due_at: datetime | None = None,
) -> ChangeTask:  # fmt: skip
    """Adds a task to a change that goes on; nothing that was signed is voided. Needs rfc.revise, as its requester or a change
    manager. Whoever it is given to is told. Raises NotAllowed, Blocked (on hold, ended), Invalid."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.revise"), own_or_manager], rfc, actor):
        raise NotAllowed(refused)
    if held := standing_still(rfc):
        raise Blocked(held)
    wanted: Wanted = {
        "title": title,
        "instructions": instructions,
        "stage": stage,
        "required": required,
        "due_at": due_at,
    }
    task = ChangeTask(rfc=rfc)
    _write(task, wanted, at=at)
    _give(task, assignee_id, group_id)
    insert(task, actor=actor, at=at)
    audit.record(task, "change.task.added", actor=actor, at=at, after=task.state, detail=said(task))
    tell_given(task, actor=actor, at=at)
    return task


@workflow.verb("change.task.revised", ChangeTask, "task_id")
def revise(*, task_id: int, actor: User, at: datetime, reason: str = "", **changes: Unpack[Wanted]) -> ChangeTask:
    """Changes what an open task says. Needs rfc.revise, as its change's requester or a change manager; to make a required one
    optional, to move it to another stage, or to move any away from the implementation also a reason, and to be a change manager.
    Raises NotAllowed, Blocked, Conflict (it is begun), Invalid."""
    task = _locked(task_id, actor)
    if task.state != TaskState.OPEN:
        raise Conflict(
            english("It is %(state)s: only an open task is revised.", state=label_of(task)), code="conflict.state"
        )
    before = said(task)
    if _relaxes(task, changes):
        if refused := failing([may_relax if task.required else may_move], task, actor):
            raise NotAllowed(refused)
        if not reason.strip():
            raise Invalid("Say why it is moved to another stage, or no longer required.", code="task.reason")
    _write(task, changes, at=at)
    after = said(task)
    changed = {name: [before[name], value] for name, value in after.items() if before[name] != value}
    if changed:
        task.save(update_fields=["title", "instructions", "stage", "required", "due_at"])
        detail = {"changed": changed, "reason": reason.strip()}
        audit.record(task, "change.task.revised", actor=actor, at=at, detail=detail)
    return task


@workflow.verb("change.task.given", ChangeTask, "task_id")
def give(
    *, task_id: int, actor: User, at: datetime, assignee_id: int | None = None, group_id: int | None = None
) -> ChangeTask:
    """Gives an undone task to a person, a support group, or nobody; they are told. Needs rfc.revise, as its change's requester
    or a change manager. Raises NotAllowed, Blocked, Conflict (it has ended), Invalid (they may not do it)."""
    task = _locked(task_id, actor)
    if not task.is_undone:
        raise Conflict(english("It is %(state)s.", state=label_of(task)), code="conflict.state")
    _give(task, assignee_id, group_id)
    task.save(update_fields=["assignee", "group"])
    detail = {name: value for name, value in said(task).items() if name in ("assignee", "group")}
    audit.record(task, "change.task.given", actor=actor, at=at, detail=detail)
    tell_given(task, actor=actor, at=at)
    return task


@workflow.verb("change.task.begun", ChangeTask, "task_id")
def begin(*, task_id: int, actor: User, at: datetime) -> ChangeTask:
    """Says that the work begins. Needs task.perform, as who it is given to, the requester or a change manager; who signed the
    change does not carry it out. Gates: not on hold, and its turn by the state of its change."""
    return _fire(task_id, "begin", actor=actor, at=at)


@workflow.verb("change.task.done", ChangeTask, "task_id")
def finish(*, task_id: int, outcome: str, actor: User, at: datetime) -> ChangeTask:
    """Says that it is done, and what came of it. Needs what `begin` needs."""
    if not outcome.strip():
        _demand(task_id, "finish", actor)
        raise Invalid("Say what came of it.", code="task.outcome")
    return _fire(task_id, "finish", actor=actor, at=at, outcome=outcome.strip())


@workflow.verb("change.task.not_needed", ChangeTask, "task_id")
def dismiss(*, task_id: int, reason: str, actor: User, at: datetime) -> ChangeTask:
    """Declares a task not needed: it stays visible with the reason and holds nothing up any more. Needs rfc.revise as its change's
    requester or a change manager; of a required one, a change manager."""
    if not reason.strip():
        _demand(task_id, "dismiss", actor)
        raise Invalid("Say why it is not needed.", code="task.reason")
    return _fire(task_id, "dismiss", actor=actor, at=at, reason=reason.strip())


@workflow.verb("change.task.reopened", ChangeTask, "task_id")
def reopen(*, task_id: int, reason: str, actor: User, at: datetime) -> ChangeTask:
    """Opens a task again, done or not needed; the trail keeps what was said of it. Who it is given to is told."""
    if not reason.strip():
        _demand(task_id, "reopen", actor)
        raise Invalid("Say why it is opened again.", code="task.reason")
    task = _fire(task_id, "reopen", actor=actor, at=at, reason=reason.strip())
    tell_given(task, actor=actor, at=at)
    return task


def cancel_undone(rfc: RFC, *, actor: User, at: datetime) -> None:
    """Ends what is undone with its change; the caller has its lock, and it has ended."""
    reason = f"{rfc.number} is {label_of(rfc)}."
    for pk in rfc.tasks.undone().order_by("pk").values_list("pk", flat=True):
        workflow.fire(ChangeTask, pk, "cancel", actor=actor, at=at, reason=reason)


# --- what is asked ------------------------------------------------------------------------------------------------------
def standing_still(rfc: RFC) -> list[Blocker]:
    """Why nothing is done to the tasks of the change now: it is on hold, or has ended; empty otherwise."""
    if rfc.state in TERMINAL:
        sentence = english("Its change is %(state)s.", state=label_of(rfc))
        return [Blocker("task.change_ended", sentence, rfc.get_absolute_url())]
    return hold_blocker(rfc)


def why_not_add(rfc: RFC, actor: User) -> list[Blocker]:
    """The reasons against adding a task to the change now."""
    return failing([capability("rfc.revise"), own_or_manager], rfc, actor) or standing_still(rfc)


def why_not_edit(task: ChangeTask, name: str, actor: User) -> list[Blocker]:
    """The reasons against `revise` or `give` now."""
    if refused := failing([capability("rfc.revise"), plans_it], task, actor):
        return refused
    if name == "revise" and task.state != TaskState.OPEN:
        sentence = english("It is %(state)s: only an open task is revised.", state=label_of(task))
        return [Blocker("conflict.state", sentence)]
    if not task.is_undone:
        return [Blocker("conflict.state", english("It is %(state)s.", state=label_of(task)))]
    return standing_still(task.rfc)


def why_not_perform(rfc: RFC, person: User) -> list[Blocker]:
    """Why this person could not do a task of the change."""
    if not person.is_active or person.is_bot:
        return [Blocker("task.assignee_id", "Choose somebody who can enter.")]
    if not RFC.objects.visible_to(person).filter(pk=rfc.pk).exists():
        return [Blocker("task.assignee_id", english("%(who)s may not see this change.", who=person))]
    if failing([capability("task.perform")], rfc, person):
        sentence = english("%(who)s has no role in which tasks are done for all hosts of this change.", who=person)
        return [Blocker("task.assignee_id", sentence)]
    return []


def performers_of(task: ChangeTask) -> list[User]:
    """Those of the people it is given to who may do it now: nobody else is told of it."""
    return [person for person in people_of(task) if not why_not_perform(task.rfc, person)]


# --- parts --------------------------------------------------------------------------------------------------------------
def _lock_both(task_id: int) -> ChangeTask:
    rfc_id = ChangeTask.objects.filter(pk=task_id).order_by().values_list("rfc_id", flat=True).first()
    if rfc_id is None:
        raise Conflict("This task no longer exists.", code="conflict.gone")
    workflow.lock(RFC, rfc_id)
    return workflow.lock(ChangeTask, task_id)


def _locked(task_id: int, actor: User) -> ChangeTask:
    """The task, for who may decide about it where it stands still for nothing."""
    task = _lock_both(task_id)
    if refused := failing([capability("rfc.revise"), plans_it], task, actor):
        raise NotAllowed(refused)
    if held := standing_still(task.rfc):
        raise Blocked(held)
    return task


def _fire(task_id: int, name: str, *, actor: User, at: datetime, **facts: Any) -> ChangeTask:
    _lock_both(task_id)
    return workflow.fire(ChangeTask, task_id, name, actor=actor, at=at, **facts)


def _demand(task_id: int, name: str, actor: User) -> None:
    """Who may not is told that before what was typed is looked at."""
    if peek := ChangeTask.objects.filter(pk=task_id).first():
        workflow.demand_role(peek, name, actor=actor)


def _relaxes(task: ChangeTask, changes: Mapping[str, Any]) -> bool:
    """Whether the change may let something pass that the task holds up now, or somebody whom its stage keeps from it."""
    stage = changes.get("stage", task.stage)
    moved = stage != task.stage and stage in TaskStage.values
    if not task.required:
        return moved and task.stage == TaskStage.IMPLEMENTATION
    return moved or not changes.get("required", True)


def _write(task: ChangeTask, wanted: Wanted, *, at: datetime) -> None:
    for name in ("title", "instructions"):
        if name in wanted:
            setattr(task, name, str(wanted[name]).strip())
    if not task.title or len(task.title) > 200:
        raise Invalid("A task needs a title of at most 200 characters.", code="task.title")
    if "stage" in wanted:
        if wanted["stage"] not in TaskStage.values:
            raise Invalid("Choose the stage to which it belongs.", code="task.stage")
        task.stage = wanted["stage"]
    if "required" in wanted:
        task.required = wanted["required"]
    if "due_at" in wanted and wanted["due_at"] != task.due_at:
        if wanted["due_at"] is not None and wanted["due_at"] <= at:
            raise Invalid("The time by which it is due has passed already.", code="task.due_at")
        task.due_at = wanted["due_at"]


def _give(task: ChangeTask, assignee_id: int | None, group_id: int | None) -> None:
    task.assignee = User.objects.filter(pk=assignee_id).first() if assignee_id else None
    task.group = SupportGroup.objects.filter(pk=group_id).first() if group_id else None
    if assignee_id and task.assignee is None:
        raise Invalid("There is no such person.", code="task.assignee_id")
    if group_id and task.group is None:
        raise Invalid("There is no such support group.", code="task.group_id")
    if task.assignee and (refused := why_not_perform(task.rfc, task.assignee)):
        raise Invalid(refused)
    if task.group and task.assignee is None and not performers_of(task):
        raise Invalid("Nobody in this support group may do tasks of this change.", code="task.group_id")


def insert(task: ChangeTask, *, actor: User, at: datetime) -> None:
    """Writes a new task at the end of its change's; the caller has the lock of the change, or has just made it."""
    last = task.rfc.tasks.aggregate(Max("position"))["position__max"] or 0
    if last >= MOST:
        raise Invalid(english("A change has at most %(most)s tasks.", most=MOST), code="task.many")
    task.position = last + 1
    task.number = f"{task.rfc.number}-T{task.position}"
    task.added_by, task.added_at = actor, at
    task.save(force_insert=True)


def said(task: ChangeTask) -> dict[str, Any]:
    """What the trail says of a task."""
    return {
        "number": task.number,
        "title": task.title,
        "instructions": task.instructions,
        "stage": task.stage,
        "required": task.required,
        "due_at": task.due_at.isoformat() if task.due_at else None,
        "assignee": task.assignee.get_username() if task.assignee else "",
        "group": task.group.name if task.group else "",
    }


def tell_given(task: ChangeTask, *, actor: User, at: datetime) -> None:
    """Tells whom the task is given to, as far as they may do it and did not do this themselves; after its entry in the trail."""
    people = [person for person in performers_of(task) if person.pk != actor.pk]
    key = f"task:{task.pk}:given:{task.audit_length}"
    tell(kind="task_given", people=people, key=key, at=at, url=task.get_absolute_url(), task=task, rfc=task.rfc)
