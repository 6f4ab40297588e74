"""What tasks hold up, and what holds tasks up; who did a part of a change does not decide about its rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changes.domain.approvals import excludes
from changes.domain.change_tasks import performers_of, standing_still
from changes.enums import RFCKind, RFCState
from changes.enums_tasks import TaskStage
from changes.models import RFC, ChangeTask
from changes.queries.change_tasks import overdue_tasks, owed_tasks, task_blockers, unprepared
from patchflow.kernel import audit, trial, workflow
from patchflow.kernel.blockers import Blocker, English, english, label_of
from patchflow.kernel.fsm import machine_of
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate, sweep
from patchflow.notices.delivery import tell
from patchflow.notices.models import Notice

Facts = Mapping[str, Any]
BY_PEOPLE = tuple(sorted({t.name for t in machine_of(ChangeTask) if not t.by_system}))


@gate("changes.changetask", *BY_PEOPLE)
def change_goes_on(task: ChangeTask, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """Tasks follow the hold of their change, and end with it; what is due stays due."""
    return standing_still(task.rfc)


@gate("changes.changetask", "begin")
def is_its_turn(task: ChangeTask, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """Nothing is prepared, carried out or tested under a change that is not authorized (law 2)."""
    if task.may_begin:
        return []
    return [Blocker("task.early", _too_early(task), task.rfc.get_absolute_url(), "wait")]


@gate("changes.changetask", "begin")
def belongs_to_now(task: ChangeTask, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """What was raised in a trial goes on in the trial alone."""
    return trial.mismatch(True, task.rfc.number) if task.rfc.trial else []


def _too_early(task: ChangeTask) -> English:
    state = label_of(task.rfc)
    match task.stage:
        case TaskStage.PREPARATION:
            return english("Its change is %(state)s: it is prepared when it is authorized.", state=state)
        case TaskStage.REVIEW:
            return english("Its change is %(state)s: it is reviewed when it has been carried out.", state=state)
    return english("Its change is %(state)s: this begins when it is carried out.", state=state)


@gate("changes.rfc", "submit")
def licence_waits_for_planning(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """The submission of a standard change is its authorization: what others owe before approval is asked, it owes before."""
    return task_blockers(owed_tasks(rfc, TaskStage.PLANNING)) if rfc.kind == RFCKind.STANDARD else []


@gate("changes.rfc", "begin")
def is_prepared(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """What must be done before it begins is done; a broken glass does not wait for it."""
    return task_blockers(unprepared([rfc.pk]))


@gate("changes.rfc", "authorize")
def rest_is_prepared(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """The authorization of the rest of a suspended change is its beginning, and waits for what a beginning waits for."""
    return task_blockers(owed_tasks(rfc, TaskStage.PREPARATION)) if rfc.state == RFCState.SUSPENDED else []


@gate("changes.rfc", "close")
def tasks_are_done(rfc: RFC, *, actor: User, at: datetime, facts: Facts) -> list[Blocker]:
    """No required task is left open, of whatever stage."""
    return task_blockers(owed_tasks(rfc))


@excludes
def who_carried_it_out(rfc: RFC) -> dict[int, str]:
    """Whoever carried out a part of the change does not decide about its rest (law 1)."""
    rows = rfc.tasks.filter(stage=TaskStage.IMPLEMENTATION).order_by()
    people = {pk for pair in rows.values_list("begun_by", "ended_by") for pk in pair if pk}
    return dict.fromkeys(people, "You carried out a part of this change; somebody else decides about it.")


# --- what is overdue ----------------------------------------------------------------------------------------------------
def _key(task: ChangeTask) -> str:
    return f"task:{task.pk}:overdue:{task.due_at:%Y%m%dT%H%M%S}"


@workflow.verb("change.task.reminded", ChangeTask, "task_id")
def remind(*, task_id: int, actor: User, at: datetime) -> bool:
    """Tells who an overdue task is given to, and its change's requester, once for each due time; whether it did."""
    task = workflow.lock(ChangeTask, task_id)
    if not task.is_overdue(at):
        return False
    people = {person.pk: person for person in (*performers_of(task), task.rfc.requested_by)}
    url = task.get_absolute_url()
    told = tell(kind="task_overdue", people=people.values(), key=_key(task), at=at, url=url, task=task, rfc=task.rfc)
    if told is None:
        return False
    detail = {"due_at": task.due_at, "people": [person.get_username() for person in people.values()]}
    audit.record(task, "change.task.reminded", actor=actor, at=at, detail=detail)
    return True


@sweep("overdue_tasks")
def due_tasks(*, now: datetime) -> int:
    """Finds overdue tasks of which nobody was told; two queries, and writes only where there are any."""
    due = {_key(task): task.pk for task in overdue_tasks(at=now)}
    told = set(Notice.objects.filter(key__in=due).values_list("key", flat=True)) if due else set()
    return sum(remind(task_id=pk, actor=User.bot(), at=now) for key, pk in due.items() if key not in told)
