"""Tasks that a change brings with it: those of the change that it is a copy of, and those that its model demands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from changes.domain.change_tasks import insert, performers_of, said, tell_given, why_not_perform
from changes.enums_tasks import TaskStage, TaskState
from changes.models import RFC, ChangeTask
from patchflow.kernel import audit
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User


def copy_tasks(like: RFC, made: RFC, *, actor: User, at: datetime) -> None:
    """Adds the tasks of another change, as open ones without a due time, to a new draft. Given to whom they were, as far as these
    may do them, and they are told."""
    there = {(task.stage, task.title): task for task in made.tasks.all()}  # what its model has brought already
    for row in like.tasks.exclude(state=TaskState.CANCELLED).select_related("assignee", "group").order_by("position"):
        task = there.get((row.stage, row.title)) or ChangeTask(
            rfc=made, title=row.title, instructions=row.instructions, stage=row.stage, required=row.required
        )
        task.group = row.group
        if row.assignee and not why_not_perform(made, row.assignee):
            task.assignee = row.assignee
        if row.group and task.assignee is None and not performers_of(task):
            task.group = None
        detail = {"like": row.number}
        if task.pk:
            task.save(update_fields=["assignee", "group"])
            audit.record(task, "change.task.given", actor=actor, at=at, detail={**said(task), **detail})
        else:
            insert(task, actor=actor, at=at)
            audit.record(
                task, "change.task.added", actor=actor, at=at, after=task.state, detail={**said(task), **detail}
            )
        if task.assignee or task.group:
            tell_given(task, actor=actor, at=at)


def add_of_model(rfc: RFC, tasks: Sequence[Mapping[str, Any]], *, actor: User, at: datetime) -> None:
    """Adds the tasks that its model demands, each once; the caller has the lock of the change, or has just made it. An optional
    task of the same name does not stand for a required one."""
    for one in _missing(rfc, tasks):
        task = ChangeTask(rfc=rfc, **{name: one[name] for name in ("title", "instructions", "stage", "required")})
        insert(task, actor=actor, at=at)
        detail = {**said(task), "model": str(rfc.change_model)}
        audit.record(task, "change.task.added", actor=actor, at=at, after=task.state, detail=detail)


def owed_to_model(rfc: RFC) -> list[str]:
    """The titles of the required tasks of its model that the change has not as the board signed them, instructions too: neither as
    required, nor declared not needed as such, which takes a change manager."""
    model = rfc.change_model
    required = [one for one in model.tasks if one["required"]] if model is not None else []
    if not required:
        return []
    words = ("stage", "title", "instructions")
    there = set(rfc.tasks.exclude(state=TaskState.CANCELLED).filter(required=True).values_list(*words))
    return [str(one["title"]) for one in required if tuple(one[word] for word in words) not in there]


def _missing(rfc: RFC, tasks: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    rows = rfc.tasks.exclude(state=TaskState.CANCELLED).values_list("stage", "title", "required")
    there = {(stage, title, need) for stage, title, required in rows for need in {required, False}}
    return [one for one in tasks if (one["stage"], one["title"], one["required"]) not in there]


def checked(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that a model demands, as they are kept. Raises Invalid."""
    found = []
    for one in tasks:
        title, stage = str(one.get("title", "")).strip(), str(one.get("stage", ""))
        if not title or len(title) > 200:
            raise Invalid("A task needs a title of at most 200 characters.", code="model.tasks")
        if stage not in TaskStage.values:
            raise Invalid("Choose a stage for each task.", code="model.tasks")
        given = {"title": title, "stage": stage, "required": bool(one.get("required", True))}
        found.append({**given, "instructions": str(one.get("instructions", "")).strip()})
    if len({(one["stage"], one["title"]) for one in found}) != len(found):
        raise Invalid("Two of its tasks have the same stage and title.", code="model.tasks")
    return found
