"""Questions about tasks of changes: what is open, what it holds up, who is told of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q

from changes.enums import TERMINAL, RFCState
from changes.enums_tasks import AHEAD, TaskStage
from changes.models import RFC, BreakGlass, ChangeTask
from changes.models.change_task import ChangeTaskQuerySet
from changes.queries.holds import open_holds
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.models import User
from patchflow.kernel.people import persons

NAMED = 20
"""So many open tasks are named as reasons."""


def owed_tasks(rfc: RFC, *stages: TaskStage) -> list[ChangeTask]:
    """The required tasks of the change that nobody has done, of these stages or of all."""
    rows = rfc.tasks.undone().filter(required=True)
    return list((rows.filter(stage__in=stages) if stages else rows).order_by("position"))


def task_blockers(tasks: Collection[ChangeTask]) -> list[Blocker]:
    """The reason that each of these gives against what it holds up."""
    return [
        Blocker(
            "task.open",
            english(
                "Its task %(number)s, “%(title)s”, is %(state)s.",
                number=task.number,
                title=task.title,
                state=label_of(task),
            ),
            task.get_absolute_url(),
            "wait",
        )
        for task in list(tasks)[:NAMED]
    ]


def unprepared(rfc_ids: Collection[int]) -> list[ChangeTask]:
    """The required tasks that must be done before these changes begin, and are not: one query for all. A broken glass waits for
    none."""
    rows = ChangeTask.objects.undone().filter(rfc__in=rfc_ids, required=True, stage=TaskStage.PREPARATION)
    rows = rows.filter(~by_glass())
    states = AHEAD[TaskStage.PREPARATION]
    return list(rows.filter(rfc__state__in=states).order_by("rfc_id", "position"))


def by_glass() -> Exists:
    """Of a task: that its change is authorized by a broken glass, which was the last to authorize it."""
    broken = BreakGlass.objects.filter(rfc__state=RFCState.AUTHORIZED, broken_at=F("rfc__authorized_at"))
    return Exists(broken.filter(rfc=OuterRef("rfc_id")))


def with_hold(rows: ChangeTaskQuerySet) -> ChangeTaskQuerySet:
    """Each with `held`: whether its change is on hold, and it with it; and `on_glass`: whether it is authorized by a broken glass."""
    return rows.annotate(held=Exists(open_holds(RFC, OuterRef("rfc_id"))), on_glass=by_glass())


def people_of(task: ChangeTask) -> list[User]:
    """Who is told of the task: the person it is given to, or else everybody in its support group."""
    if task.assignee_id:
        return list(persons().filter(pk=task.assignee_id))
    if task.group_id:
        return list(persons().filter(Q(support_groups=task.group_id)).order_by("pk"))
    return []


def overdue_tasks(*, at: datetime) -> ChangeTaskQuerySet:
    """Undone tasks of changes that go on, whose time is over."""
    return ChangeTask.objects.undone().filter(due_at__lte=at).exclude(rfc__state__in=TERMINAL)
