"""Pages of change tasks: the list, one task, its verbs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from changes.domain import change_tasks
from changes.enums_tasks import UNDONE, TaskStage, TaskState
from changes.models import ChangeTask
from changes.queries.change_tasks import with_hold
from changes.queries.holds import open_hold_of
from changes.web import change_task_parts, rfc_next
from changes.web.rfcs import crumbs_of
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.parts import Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb

YES = [("yes", gettext_lazy("yes"))]


def visible_task(request: HttpRequest, pk: int) -> ChangeTask:
    """The task, if the person may see its change; 404 otherwise."""
    rows = ChangeTask.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    rows = with_hold(rows).select_related(
        "rfc", "rfc__requested_by", "assignee", "group", "added_by", "begun_by", "ended_by"
    )
    return get_object_or_404(rows, pk=pk)


# --- the list -----------------------------------------------------------------------------------------------------------
@list_page(gettext_lazy("Change tasks"))
@login_required
@require_safe
def changetask_list(request: HttpRequest) -> HttpResponseBase:
    """The tasks of all changes that the person may see."""
    actor: Any = request.user
    now = timezone.now()
    rows = with_hold(ChangeTask.objects.all().visible_to(actor)).select_related("rfc", "assignee", "group")
    mine = ChangeTask.objects.all().given_to(actor).values("pk")
    listing = Listing(
        request,
        rows,
        (
            Column(_("Task"), "number", url=ChangeTask.get_absolute_url, mono=True, sort="number"),
            Column(_("Title"), "title", url=ChangeTask.get_absolute_url, wide=True),
            Column(_("State"), "state", state="changes.changetask", sort="state"),
            Column(_("On hold"), lambda task: _("with its change") if task.held and task.is_undone else "", name="held"),
            Column(_("Stage"), lambda task: task.get_stage_display(), name="stage"),
            Column(_("Required"), "required"),
            Column(_("Given to"), change_task_parts.whose, name="whose"),
            Column(_("Due"), lambda task: change_task_parts.due(task, now), sort="due", text=lambda task: task.due_at),
        ),
        sorts={"number": ("rfc_id", "position", "id"), "state": ("state", "id"), "due": ("due_at", "id")},
        default="-number",
        now=now,
        filters=(
            Filter("state", gettext_lazy("State"), "state", TaskState.choices),
            Filter("stage", gettext_lazy("Stage"), "stage", TaskStage.choices),
            Filter("mine", gettext_lazy("Given to me"), lambda rows, _value: rows.filter(pk__in=mine), YES),
            Filter("overdue", gettext_lazy("Overdue"), lambda rows, _value: rows.filter(state__in=UNDONE, due_at__lte=now), YES),
            Filter("required", gettext_lazy("Required"), lambda rows, value: rows.filter(required=value == "yes"),
                   [*YES, ("no", gettext_lazy("no"))]),
            Filter("rfc", gettext_lazy("Change"), "rfc__number__iexact"),
            Filter("title", gettext_lazy("Title"), "title__icontains"),
            Filter("by", gettext_lazy("Person"), "assignee__username__iexact"),
        ),
        caption=_("Change tasks"),
    )  # fmt: skip
    if listing.wants_csv:
        return listing.csv("change-tasks.csv")
    context = {
        "title": _("Change tasks"),
        "lede": _("What people do for a change. A required task holds it up until it is done, or declared not needed."),
        "phase": 3,
        "listing": listing,
        "empty_url": reverse("changes:rfc-list"),
        "empty_label": _("To the changes"),
        "empty_title": _("No change has tasks"),
        "empty_advice": _("Tasks are added on the page of a change, or come with its model."),
    }
    return render(request, "web/list.html", context)


# --- one task -----------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def changetask_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One task: what is to be done by whom until when, what it holds up, what came of it."""
    task, now = visible_task(request, pk), timezone.now()
    actor: Any = request.user
    context = {
        "title": task.title,
        "phase": rfc_next.phase_of(task.rfc),
        "ident": [task.number, _("%(stage)s task") % {"stage": capfirst(str(task.get_stage_display()))}],
        "task": task,
        "held": task.held and task.is_undone,  # type: ignore[attr-defined]
        "late": change_task_parts.due(task, now) if task.due_at is not None and task.is_overdue(now) else "",
        "next": next_of(task, actor=actor, now=now),
        "verbs": verbs_of_task(task, actor=actor, at=now),
        "rows": _rows(task, now),
        "links": _links(task),
        "crumbs": crumbs_of(task.rfc, task.number),
        "timeline": audit.history(task)[:20],
    }
    return render(request, "changes/changetask_detail.html", context)


def next_of(task: ChangeTask, *, actor: User, now: datetime) -> Next:
    """Who must act, and what stands in the way."""
    if not task.is_undone:
        return Next(_("Nothing more: it is %(state)s.") % {"state": task.get_state_display()})
    if hold := open_hold_of(task.rfc):
        return rfc_next.next_of_hold(hold, now=now)
    detail = "" if task.required else _("It is not required: nothing waits for it.")
    if task.state == TaskState.IN_PROGRESS:
        return Next(_("%(who)s says what came of it.") % {"who": task.begun_by}, detail)
    early = [b for b in workflow.find_blockers(task, "begin", actor=actor, at=now) if b.code == "task.early"]
    if early:
        return Next(early[0].said, detail)
    who = change_task_parts.whose(task)
    if not who:
        return Next(_("Somebody must have it: its requester or a change manager gives it to somebody."), detail)
    return Next(_("%(who)s begins it.") % {"who": who}, detail)


def _rows(task: ChangeTask, now: datetime) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [
        (_("Given to"), change_task_parts.whose(task) or _("nobody")),
        (_("Due"), change_task_parts.due_said(task, now)),
        (_("Required"), _("yes") if task.required else _("no")),
        (_("Holds up"), change_task_parts.holds_up(task)),
        (_("Added by"), str(task.added_by)),
    ]
    if task.begun_by:
        found.append((_("Begun by"), str(task.begun_by)))
    if task.ended_by:
        found.append((_("Ended by"), str(task.ended_by)))
    return found


def _links(task: ChangeTask) -> list[tuple[str, Any]]:
    return [(_("Change"), format_html('<a href="{}">{}</a>', task.rfc.get_absolute_url(), task.rfc))]


ICONS = {"begin": "run", "finish": "check", "dismiss": "x", "reopen": "retry", "revise": "pen", "give": "user"}


def verbs_of_task(task: ChangeTask, *, actor: User, at: datetime) -> list[Verb]:
    """What can be done to it; refused verbs with every reason."""
    found = [
        _verb(task, one.name, str(one.label), one.blockers, dangerous=one.dangerous)
        for one in workflow.available(task, actor=actor, at=at)
    ]
    if task.state == TaskState.OPEN:
        found.append(_verb(task, "revise", _("Revise"), change_tasks.why_not_edit(task, "revise", actor)))
    if task.is_undone:
        label = _("Give it to somebody else") if task.assignee_id or task.group_id else _("Give it to somebody")
        found.append(_verb(task, "give", label, change_tasks.why_not_edit(task, "give", actor)))
    return found


def _verb(task: ChangeTask, name: str, label: str, blockers: list[Blocker], *, dangerous: bool = False) -> Verb:
    return Verb(
        name=name,
        label=label,
        url=reverse(f"changes:changetask-{name}", args=[task.pk]),
        allowed=not blockers,
        blockers=tuple(blockers),
        dangerous=dangerous,
        method="post" if name == "begin" else "get",
        icon=ICONS[name],
        primary=name in ("begin", "finish"),
    )
