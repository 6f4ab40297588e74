"""The verbs of change tasks as pages: a click, or a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from changes.domain import change_tasks
from changes.models import ChangeTask
from changes.web import change_task_forms, rfc_forms, rfc_next
from changes.web.change_tasks import visible_task
from changes.web.rfcs import crumbs_of, visible_rfc
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web.parts import Crumb
from patchflow.web.verbs import Verb


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_add_task(request: HttpRequest, pk: int) -> HttpResponse:
    """Adds a task to a change."""
    rfc = visible_rfc(request, pk)
    actor: Any = request.user
    form = change_task_forms.AddForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            task = change_tasks.add(rfc_id=rfc.pk, actor=actor, at=timezone.now(), **form.content())
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s is added.") % {"number": task.number})
            return redirect(f"{rfc.get_absolute_url()}#h-tasks")
    title = _("Add a task")
    context = {
        "title": title,
        "lede": str(rfc),
        "phase": rfc_next.phase_of(rfc),
        "form": form,
        "submit_label": title,
        "consequences": [_("Nothing that was signed is voided by it.")],
        "barred": [] if request.method == "POST" else change_tasks.why_not_add(rfc, actor),
        "cancel_url": rfc.get_absolute_url(),
        "crumbs": crumbs_of(rfc, title),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def changetask_begin(request: HttpRequest, pk: int) -> HttpResponse:
    """Says that the work begins. A refusal becomes the page of its reasons."""
    task = visible_task(request, pk)
    actor: Any = request.user
    change_tasks.begin(task_id=task.pk, actor=actor, at=timezone.now())
    messages.success(request, _("%(number)s is begun.") % {"number": task.number})
    return redirect(task)


@dataclass(frozen=True)
class TaskPage:
    """A verb of a task with its form, and what follows from it."""

    title: Any
    call: Callable[..., Any]
    form: type[forms.Form]
    consequences: tuple[Any, ...] = ()
    dangerous: bool = False


VERB_PAGES: dict[str, TaskPage] = {
    "finish": TaskPage(gettext_lazy("Finish"), change_tasks.finish, change_task_forms.FinishForm),
    "dismiss": TaskPage(gettext_lazy("Declare not needed"), change_tasks.dismiss, rfc_forms.ReasonForm, (
        gettext_lazy("It holds nothing up any more. It stays visible with your reason."),
    ), dangerous=True),
    "reopen": TaskPage(gettext_lazy("Reopen"), change_tasks.reopen, rfc_forms.ReasonForm, (
        gettext_lazy("It is to be done again; who it is given to is told."),
    )),
    "revise": TaskPage(gettext_lazy("Revise the task"), change_tasks.revise, change_task_forms.ReviseForm),
    "give": TaskPage(gettext_lazy("Give the task to somebody"), change_tasks.give, change_task_forms.GiveForm),
}  # fmt: skip


def why_not(task: ChangeTask, verb: str, *, actor: User, at: datetime) -> list[Blocker]:
    """Every reason against the verb now."""
    if verb in ("revise", "give"):
        return change_tasks.why_not_edit(task, verb, actor)
    return workflow.why_not(task, verb, actor=actor, at=at)


def content_of(form: Any) -> dict[str, Any]:
    """The cleaned values as the verb takes them."""
    return dict(form.content() if hasattr(form, "content") else form.cleaned_data)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def changetask_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A form over one verb of a task."""
    task, page = visible_task(request, pk), VERB_PAGES[verb]
    actor: Any = request.user
    form = page.form(request.POST if request.method == "POST" else None, initial=change_task_forms.said_of(task))
    if request.method == "POST" and form.is_valid():
        try:
            page.call(task_id=task.pk, actor=actor, at=timezone.now(), **content_of(form))
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s: done.") % {"number": task.number})
            return redirect(task)
    against = [] if request.method == "POST" else why_not(task, verb, actor=actor, at=timezone.now())
    context = {
        "title": f"{page.title}: {task.number}",
        "lede": task.title,
        "phase": rfc_next.phase_of(task.rfc),
        "form": form,
        "submit_label": page.title,
        "verb": Verb(verb, str(page.title), allowed=not against, blockers=tuple(against)),
        "consequences": page.consequences,
        "cancel_url": task.get_absolute_url(),
        "crumbs": [
            *crumbs_of(task.rfc, "")[:2],
            Crumb(task.number, task.get_absolute_url()),
            Crumb(str(page.title)),
        ],
    }
    template = "web/confirm.html" if page.dangerous else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)
