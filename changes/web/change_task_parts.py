"""What pages show of tasks: on the page of their change, in the list, on their own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.domain.change_tasks import why_not_add
from changes.enums import TERMINAL, RFCKind, RFCState
from changes.enums_tasks import AHEAD, TaskStage, TaskState
from changes.models import RFC, ChangeTask
from changes.queries.change_tasks import with_hold
from patchflow.kernel.blockers import said
from patchflow.kernel.models import User
from patchflow.web import words
from patchflow.web.tables import Column, Table
from patchflow.web.wordtags import say


def holds_up(task: ChangeTask) -> str:
    """What waits for it now; the task as of `with_hold`."""
    if not task.required or not task.is_undone:
        return _("nothing")
    preparation = task.stage == TaskStage.PREPARATION
    if task.rfc.state not in AHEAD.get(task.stage, ()) or (preparation and task.on_glass):  # type: ignore[attr-defined]
        return _("the closing of its change")
    if preparation:
        suspended = task.rfc.state == RFCState.SUSPENDED
        return _("the authorization of the rest of its change") if suspended else _("the beginning of its change")
    standard = task.rfc.kind == RFCKind.STANDARD
    return _("the submission of its change") if standard else _("the request for approval of its change")


def whose(task: ChangeTask) -> str:
    """The person, or the support group, that it is given to."""
    if task.assignee:
        return f"{task.assignee} ({task.group})" if task.group else str(task.assignee)
    return str(task.group) if task.group else ""


def due(task: ChangeTask, now: datetime) -> SafeString | datetime | None:
    """By when, or for how long that is over: for a column."""
    if task.due_at is not None and task.is_overdue(now):
        late = {"age": words.duration(now - task.due_at), "when": words.at(task.due_at, now=now)}
        return say("st-bad", _("overdue by %(age)s: %(when)s") % late)
    return task.due_at


def due_said(task: ChangeTask, now: datetime) -> str:
    """The same as words."""
    found = due(task, now)
    return words.at(found, now=now) if isinstance(found, datetime) else found or "–"


def _told(task: ChangeTask) -> SafeString:
    """Its title; below it its place and what waits for it, or what came of it or why it was not done."""
    stage = f"T{task.position} · {task.get_stage_display()}"
    below = [stage]
    if task.is_undone:
        below = [
            f"{stage} · " + (_("holds up %(what)s") % {"what": holds_up(task)} if task.required else _("not required"))
        ]
    elif task.outcome:
        below.append(Truncator(task.outcome).chars(200))
    lines = format_html_join("", '<div class="small sub">{}</div>', ((line,) for line in below))
    return format_html('<a href="{}">{}</a>{}', task.get_absolute_url(), task.title, lines)


def tasks_of(rfc: RFC, *, actor: User, now: datetime) -> dict[str, Any]:
    """The section of the page of a change: its tasks in the order of their stages, and whether one may be added."""
    order = {stage: n for n, stage in enumerate(TaskStage)}
    rows = list(with_hold(rfc.tasks.all()).select_related("rfc", "assignee", "group"))
    rows.sort(key=lambda task: (order[TaskStage(task.stage)], task.position))
    columns = (
        Column(gettext_lazy("Task"), _told, wide=True, text=lambda task: task.title),
        Column(gettext_lazy("State"), "state", state="changes.changetask"),
        Column(gettext_lazy("Given to"), whose),
        Column(gettext_lazy("Due"), lambda task: due(task, now)),
    )
    undone = [task for task in rows if task.is_undone]
    against = why_not_add(rfc, actor)
    return {
        "tasks": Table(columns, rows, now, _("Tasks")) if rows else None,
        "tasks_undone": len(undone),
        "tasks_done": sum(task.state == TaskState.DONE for task in rows),
        "tasks_held": bool(undone) and bool(undone[0].held),  # type: ignore[attr-defined]
        "may_add_task": not against,
        "against_task": "" if rfc.state in TERMINAL else said(against),
        "add_task_url": reverse("changes:rfc-add-task", args=[rfc.pk]),
    }
