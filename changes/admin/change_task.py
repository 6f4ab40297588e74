"""The admin of change tasks: every row to be seen, and its verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import change_tasks
from changes.models import ChangeTask
from changes.web import change_task_forms
from changes.web.change_task_acts import content_of, why_not
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, VerbAdmin


def _against(name: str) -> Callable[[ChangeTask, User, datetime], list[Blocker]]:
    """The question that the pages ask before the verb `name`."""
    return lambda task, actor, at: why_not(task, name, actor=actor, at=at)


def _with_reason(name: str, label: Any, verb: Callable[..., Any]) -> AdminVerb:
    def call(task: ChangeTask, actor: User, at: datetime, said: str) -> None:
        verb(task_id=task.pk, reason=said, actor=actor, at=at)

    return AdminVerb(name, label, call, transition=name, needs_reason=True)


def _with_form(name: str, label: Any, verb: Callable[..., Any], form: type[Any]) -> AdminVerb:
    def call(task: ChangeTask, actor: User, at: datetime, form: Any) -> None:
        verb(task_id=task.pk, actor=actor, at=at, **content_of(form))

    def made(data: Any, task: ChangeTask, _actor: User) -> Any:
        return form(data, initial=change_task_forms.said_of(task))

    return AdminVerb(name, label, call, form=made, on="one", why_not=_against(name))


@admin.register(ChangeTask)
class ChangeTaskAdmin(VerbAdmin):
    list_display = ("number", "title", "stage", "required", "state", "assignee", "group", "due_at")
    list_filter = ("state", "stage", "required")
    list_select_related = ("assignee", "group")
    search_fields = ("number", "title")
    verbs = (
        AdminVerb(
            "begin",
            _("Begin"),
            lambda task, actor, at, _said: change_tasks.begin(task_id=task.pk, actor=actor, at=at),
            transition="begin",
        ),
        _with_form("finish", _("Finish"), change_tasks.finish, change_task_forms.FinishForm),
        _with_reason("dismiss", _("Declare not needed"), change_tasks.dismiss),
        _with_reason("reopen", _("Reopen"), change_tasks.reopen),
        _with_form("revise", _("Revise"), change_tasks.revise, change_task_forms.ReviseForm),
        _with_form("give", _("Give it to somebody"), change_tasks.give, change_task_forms.GiveForm),
    )
