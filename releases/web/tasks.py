"""Pages of tasks that a person does: the work list, one task with its instruction, the instruction to print, and its verbs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from changes.web.rfc_forms import Area
from patchflow.kernel import audit, workflow
from patchflow.kernel.errors import Refusal
from patchflow.kernel.sentences import say
from patchflow.web import words, wordtags
from patchflow.web.parts import Crumb, Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb, verbs_of
from releases.domain import tasks_by_hand as tasks
from releases.enums_rollout import JobState
from releases.enums_steps import Act, Moment
from releases.enums_tasks import TaskState
from releases.models import HandTask
from releases.web import release_forms


def _report_by(task: HandTask, now: datetime) -> Any:
    """Until when its person reports; as missed where nobody has."""
    if task.finish_by is None:
        return None
    return wordtags.missed(task.finish_by, now) if task.is_overdue(now) else task.finish_by


COLUMNS = (
    Column(gettext_lazy("Host"), "job.host.name", url=HandTask.get_absolute_url, wide=True),
    Column(gettext_lazy("State"), "state", state="releases.handtask"),
    Column(gettext_lazy("Rollout"), "job.rollout.number", mono=True),
    Column(gettext_lazy("Begin by"), lambda t: words.at(t.begin_by, now=timezone.now()), sort="begin", name="begin"),
    Column(
        gettext_lazy("Report by"),
        lambda t: _report_by(t, timezone.now()),
        text=lambda t: t.finish_by,
        wide=True,
        name="report-by",
    ),
    Column(gettext_lazy("Begun by"), "begun_by.username"),
    Column(gettext_lazy("Attested by"), "attested_by.username"),
)


def visible_task(request: HttpRequest, pk: int) -> HandTask:
    rows = HandTask.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(
        rows.select_related("job__host", "job__rollout__release", "begun_by", "ended_by", "attested_by"), pk=pk
    )


@list_page(gettext_lazy("Tasks by hand"))
@login_required
@require_safe
def task_list(request: HttpRequest) -> HttpResponseBase:
    """The work list: what is to be done by hand, and what was."""
    actor: Any = request.user
    rows = (
        HandTask.objects.all().visible_to(actor).select_related("job__host", "job__rollout", "begun_by", "attested_by")
    )
    listing = Listing(
        request,
        rows,
        COLUMNS,
        sorts={"begin": ("begin_by", "id"), "new": ("-given_at", "-id")},
        default="new",
        now=timezone.now(),
        caption=_("Tasks by hand"),
        filters=(
            Filter("state", _("State"), "state", TaskState.choices),
            Filter("host", _("Host"), "job__host__name__icontains"),
        ),
    )
    if listing.wants_csv:
        return listing.csv("tasks.csv")
    context = {
        "title": _("Tasks by hand"),
        "lede": _("Hosts that a person updates. A task succeeds by what a scan shows afterwards."),
        "phase": 4,
        "listing": listing,
        "empty_url": reverse("releases:rollout-list"),
        "empty_label": _("To the rollouts"),
        "empty_title": _("Nothing is to be done by hand"),
        "empty_advice": _(
            "A release whose executor is “manual” puts its hosts here, one task for each, when their window opens."
        ),
    }
    return render(request, "web/list.html", context)


@login_required
@require_safe
def task_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One task: what to do exactly, until when, and what was reported and seen."""
    task, now = visible_task(request, pk), timezone.now()
    actor: Any = request.user
    context = {
        "title": task.job.host.name,
        "lede": _("by hand, for %(rollout)s") % {"rollout": task.job.rollout.number},
        "phase": 4,
        "task": task,
        "begins": task.state == TaskState.WAITING,
        "reports": task.state == TaskState.BEGUN,
        "overdue": _overdue(task, now),
        "next": _next_of(task, actor, now),
        "verbs": verbs_of(
            workflow.available(task, actor=actor, at=timezone.now()),
            url=lambda name: reverse(f"releases:task-{name.replace('_', '-')}", args=[task.pk]),
            primary="begin" if task.state == TaskState.WAITING else "finish",
            icons={"begin": "run", "finish": "check", "give_up": "x", "attest": "pen"},
            forms=("begin", "finish", "give_up", "attest"),
        ),
        "links": _links_of(task),
        "timeline": audit.history(task)[:20],
        **_instruction(task),
    }
    return render(request, "releases/task_detail.html", context)


@login_required
@require_safe
def task_instruction(request: HttpRequest, pk: int) -> HttpResponse:
    """The instruction on paper: packages, versions, files with their hashes, steps, times."""
    task = visible_task(request, pk)
    context = {
        "title": _("Instruction for %(host)s") % {"host": task.job.host.name},
        "lede": _("Print this page with your browser, and take it to the host."),
        "task": task,
        "phase": 4,
        **_instruction(task),
    }
    return render(request, "releases/task_instruction.html", context)


def _instruction(task: HandTask) -> dict[str, Any]:
    """The order in words; all of it comes from the signed manifest."""
    order: Mapping[str, Any] = task.order
    steps = {Moment.BEFORE: [], Moment.AFTER: []}  # type: ignore[var-annotated]
    for step in order.get("steps", []):
        steps[Moment(step["moment"])].append({**step, "what": Act(step["kind"]).label})
    return {
        "order": order,
        "begin_by": words.exactly(task.begin_by),
        "manifest": task.job.rollout.manifest,
        "before": steps[Moment.BEFORE],
        "after": steps[Moment.AFTER],
        "restarts": order["restart"]["mode"] != "never",
        "machine_id": order["machine_id"],
    }


def _overdue(task: HandTask, now: datetime) -> str:
    """By how much its report is late; empty where it is not."""
    if task.finish_by is None or not task.is_overdue(now):
        return ""
    return _("overdue by %(age)s") % {"age": words.duration(now - task.finish_by)}


def _next_of(task: HandTask, actor: Any, now: datetime) -> Next:
    match task.state:
        case TaskState.WAITING:
            return Next(
                _("Somebody who updates hosts by hand begins it."),
                _("If nobody has by the end of its window, it is given back and waits for the next."),
            )
        case TaskState.BEGUN:
            sentence = _("%(who)s reports what became of it.") % {"who": task.begun_by}
            if task.begun_by_id == actor.pk:
                sentence = _("Do what stands below, then report what became of it.")
            if task.is_overdue(now):
                late = _(
                    "Its time is over: until it is reported the host counts as out of sight, and a scan looks at it."
                )
                return Next(sentence, late)
            return Next(sentence, _("It counts as a success only when a scan of the host shows the new versions."))
        case TaskState.DONE:
            return Next(_("A scan looks at the host."), _("Where none can, a second person attests what the host has."))
        case TaskState.ATTESTED:
            return Next(_("Nothing more: a second person attested it."), task.attestation)
    if task.job.state == JobState.FAILED:
        on = _("Its host counts as failed: in the rollout it is tried again, or left out.")
        return Next(_("Nothing more here: it has ended."), f"{task.remark} {on}".strip())
    return Next(_("Nothing more: it has ended."), task.remark)


def _links_of(task: HandTask) -> list[tuple[str, Any]]:
    rollout = task.job.rollout
    found: list[tuple[str, Any]] = [
        (_("Rollout"), format_html('<a href="{}?target={}">{}</a>', rollout.get_absolute_url(), task.job_id, rollout)),
        (_("State of the host in it"), task.job.get_state_display()),
        (_("Why"), say(task.job.statement) or "–"),
        (_("Key of the job"), format_html('<span class="mono">{}</span>', task.job_key)),
    ]
    if task.begun_by:
        found.append((_("Begun by"), str(task.begun_by)))
    if task.ended_by:
        found.append((_("Reported by"), f"{task.ended_by}: {task.remark}" if task.remark else str(task.ended_by)))
    if task.attested_by:
        found.append((_("Attested by"), f"{task.attested_by}: {task.attestation}"))
    return found


# --- verbs ------------------------------------------------------------------------------------------------------------
class BeginForm(forms.Form):
    """Nothing but the decision."""


class FinishForm(forms.Form):
    remark = forms.CharField(label=gettext_lazy("Remark"), required=False, widget=Area(3), max_length=2000)


class GiveUpForm(forms.Form):
    remark = forms.CharField(label=gettext_lazy("What happened"), widget=Area(3), max_length=2000)


class AttestForm(forms.Form):
    """A version for each package of the task, as it was read on the host; that one is not there is said, never left empty."""

    remark = forms.CharField(label=gettext_lazy("How it was seen"), widget=Area(3), max_length=2000)

    def __init__(self, *args: Any, task: HandTask, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = [package["name"] for package in task.order["packages"]]
        for number, name in enumerate(self.names):
            self.fields[f"version_{number}"] = forms.CharField(
                label=_("Version of %(package)s on the host") % {"package": name}, max_length=200, required=False
            )
            self.fields[f"absent_{number}"] = forms.BooleanField(
                label=_("%(package)s is not on the host") % {"package": name}, required=False
            )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        for number in range(len(self.names)):
            if bool(given.get(f"version_{number}")) == bool(given.get(f"absent_{number}")):
                self.add_error(f"version_{number}", _("Give the version, or say that it is not there."))
        return given

    def content(self) -> dict[str, Any]:
        data = self.cleaned_data
        return {"remark": data["remark"], "packages": {name: data[f"version_{n}"] for n, name in enumerate(self.names)}}


VERBS: dict[str, tuple[Any, Any, type[forms.Form], Any]] = {
    "begin": (
        gettext_lazy("Begin"), tasks.begin, BeginForm,
        gettext_lazy("Whether the host may be updated now is checked once more. Then you have the time that its instruction names."),
    ),
    "finish": (
        gettext_lazy("Report it as done"), tasks.finish, FinishForm,
        gettext_lazy("A scan then looks at the host. It counts as a success only if that shows the new versions."),
    ),
    "give_up": (
        gettext_lazy("Report that it could not be done"), tasks.give_up, GiveUpForm,
        gettext_lazy("The host then counts as failed, towards the limit at which the rollout halts. It is tried again only by hand."),
    ),
    "attest": (
        gettext_lazy("Attest what the host has"), tasks.attest, AttestForm,
        gettext_lazy("The job ends by your word, and is shown as attested."),
    ),
}  # fmt: skip
"""Verb → what it is called, what it does, its form, what follows from it."""


def form_of(verb: str, data: Any, task: HandTask) -> forms.Form:
    """The form of a verb of this task."""
    shape = VERBS[verb][2]
    return AttestForm(data or None, task=task) if shape is AttestForm else shape(data)


def content_of(form: forms.Form) -> dict[str, Any]:
    """What a valid one says, as the verb takes it."""
    return form.content() if isinstance(form, AttestForm) else form.cleaned_data


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def task_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A form over one verb of a task."""
    task = visible_task(request, pk)
    actor: Any = request.user
    label, call, _shape, consequence = VERBS[verb]
    form = form_of(verb, request.POST if request.method == "POST" else None, task)
    if request.method == "POST" and form.is_valid():
        try:
            call(task_id=task.pk, actor=actor, at=timezone.now(), **content_of(form))
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(task)s: done.") % {"task": label})
            return redirect(task)
    against = [] if request.method == "POST" else workflow.why_not(task, verb, actor=actor, at=timezone.now())
    weighty = verb == "give_up"
    context = {
        "title": f"{label}: {task.job.host.name}",
        "lede": _("by hand, for %(rollout)s") % {"rollout": task.job.rollout.number} if weighty else consequence,
        "consequences": [consequence],
        "phase": 4,
        "form": form,
        "submit_label": label,
        "verb": Verb(verb, str(label), allowed=not against, blockers=against),
        "cancel_url": task.get_absolute_url(),
        "crumbs": [
            Crumb(_("Tasks by hand"), reverse("releases:task-list")),
            Crumb(task.job.host.name, task.get_absolute_url()),
            Crumb(str(label)),
        ],
    }
    template = "web/confirm.html" if weighty else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)
