"""What tasks hold up, and what holds tasks up; who did a part of a change does not decide about its rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from changes.domain import evidence
from changes.domain.approvals import excludes
from changes.domain.change_tasks import performers_of, standing_still
from changes.enums import RFCKind, RFCState
from changes.enums_tasks import TaskStage
from changes.models import RFC, ChangeTask
from changes.queries.change_tasks import overdue_tasks, owed_tasks, task_blockers, unprepared
from patchflow.kernel import audit, trial, workflow
from patchflow.kernel.blockers import Blocker, English, english, label_of
from patchflow.kernel.enums import Outcome
from patchflow.kernel.fsm import machine_of
from patchflow.kernel.integrity import plain
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.registry import gate, sweep
from patchflow.notices.delivery import tell

Facts = Mapping[str, Any]
REVISED = "change.task.revised"
TOLD_BY = ("change.task.begun", "change.task.done", REVISED)
REMINDED = "change.task.reminded"
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
    return dict.fromkeys(
        hands_of(rfc).get(rfc.pk, ()), "You carried out a part of this change; somebody else decides about it."
    )


@evidence.hands
def hands_of(*rfcs: RFC) -> dict[int, set[int]]:
    """RFC → who began or finished a task of its implementation, by the trail: a task that is opened again forgets them, and one that was
    moved to another stage since was of the implementation then. Who only declared one not needed did nothing. Two queries at
    most."""
    tasks = ChangeTask.objects.filter(rfc__in=rfcs).order_by()
    stages, owners = {}, {}
    for task_id, stage, rfc_id in tasks.values_list("pk", "stage", "rfc_id"):
        stages[str(task_id)], owners[str(task_id)] = stage, rfc_id
    if not stages:
        return {}
    entries = AuditEntry.objects.filter(
        object_type=ChangeTask._meta.label_lower, object_id__in=list(stages), verb__in=TOLD_BY, outcome=Outcome.DONE
    )
    found: dict[int, set[int]] = {}
    for pk, verb, actor_id, detail in entries.order_by("-pk").values_list("object_id", "verb", "actor_id", "detail"):
        if verb == REVISED:
            stages[pk] = detail["changed"].get("stage", [stages[pk]])[0]  # what it was before
        elif stages[pk] == TaskStage.IMPLEMENTATION:
            found.setdefault(owners[pk], set()).add(actor_id)
    return found


# --- what is overdue ----------------------------------------------------------------------------------------------------
def _key(task: ChangeTask) -> str:
    return f"task:{task.pk}:overdue:{task.due_at:%Y%m%dT%H%M%S}"


@workflow.verb("change.task.reminded", ChangeTask, "task_id")
def remind(*, task_id: int, actor: User, at: datetime) -> bool:
    """Tells who an overdue task is given to, and its change's requester, once for each due time; whether anybody was told. The
    trail keeps also that there was nobody to tell."""
    task = workflow.lock(ChangeTask, task_id)
    if not task.is_overdue(at) or _key(task) in _reminded([task]):
        return False
    people = {person.pk: person for person in (*performers_of(task), task.rfc.requested_by)}
    url = task.get_absolute_url()
    told = tell(kind="task_overdue", people=people.values(), key=_key(task), at=at, url=url, task=task, rfc=task.rfc)
    names = [person.get_username() for person in people.values()] if told else []
    audit.record(task, REMINDED, actor=actor, at=at, detail={"due_at": task.due_at, "people": names})
    return told is not None


def _reminded(tasks: Sequence[ChangeTask]) -> set[str]:
    """The keys of those of these due times that the trail says were reminded of."""
    keys = {(str(task.pk), plain(task.due_at)): _key(task) for task in tasks}
    entries = AuditEntry.objects.filter(
        object_type=ChangeTask._meta.label_lower,
        object_id__in=[pk for pk, _due in keys],
        verb=REMINDED,
        outcome=Outcome.DONE,
    )
    done = {(pk, detail["due_at"]) for pk, detail in entries.values_list("object_id", "detail")}
    return {key for which, key in keys.items() if which in done}


@sweep("overdue_tasks")
def due_tasks(*, now: datetime) -> int:
    """Finds overdue tasks of which nobody was reminded; two queries, and writes only where there are any."""
    due = list(overdue_tasks(at=now))
    done = _reminded(due) if due else set()
    return sum(remind(task_id=task.pk, actor=User.bot(), at=now) for task in due if _key(task) not in done)
