"""Pages of the steps before and after an installation: the catalogue, one step, writing one, and its review."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from patchflow.kernel import audit, workflow
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import failing
from patchflow.web.parts import Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb, verbs_of
from releases.domain import steps
from releases.enums_steps import Act, Effect, Moment, StepState
from releases.models import HostStep
from releases.queries.steps import profiles_with, sealed_with
from releases.web import release_forms, step_forms

COLUMNS = (
    Column(gettext_lazy("Step"), "name", url=HostStep.get_absolute_url, sort="name", wide=True),
    Column(gettext_lazy("Revision"), "revision", numeric=True),
    Column(gettext_lazy("State"), "state", state="releases.hoststep", sort="state"),
    Column(gettext_lazy("When"), lambda s: s.get_moment_display(), name="when"),
    Column(gettext_lazy("What it does"), lambda s: s.get_kind_display(), name="what"),
    Column(gettext_lazy("Seconds"), "limit_seconds", numeric=True),
    Column(gettext_lazy("Written by"), "written_by.username"),
)


def visible_step(request: HttpRequest, pk: int) -> HostStep:
    rows = HostStep.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(rows.select_related("written_by", "decided_by", "group"), pk=pk)


@list_page(gettext_lazy("Steps on hosts"))
@login_required
@require_safe
def step_list(request: HttpRequest) -> HttpResponseBase:
    """The catalogue with all revisions."""
    actor: Any = request.user
    listing = Listing(
        request,
        HostStep.objects.all().visible_to(actor).select_related("written_by"),
        COLUMNS,
        sorts={"name": ("name", "-revision", "id"), "state": ("state", "name", "id")},
        default="name",
        now=timezone.now(),
        caption=_("Steps on hosts"),
        filters=(
            Filter("state", _("State"), "state", StepState.choices),
            Filter("moment", _("When"), "moment", Moment.choices),
            Filter("kind", _("What it does"), "kind", Act.choices),
            Filter("name", _("Name"), "name__icontains"),
        ),
    )
    if listing.wants_csv:
        return listing.csv("steps.csv")
    refused = failing([steps.WRITE], None, actor)
    context = {
        "title": _("Steps on hosts"),
        "lede": _("What is done on a host before and after an installation: written by one person, approved by another."),
        "phase": 3,
        "listing": listing,
        "acts": [
            Verb(
                "write", _("Write a step"), reverse("releases:step-write"), not refused, tuple(refused),
                method="get", icon="plus", primary=True,
            )
        ],
        "profiles_url": reverse("releases:profile-list"),
    }  # fmt: skip
    return render(request, "releases/step_list.html", context)


@login_required
@require_safe
def step_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One revision: what exactly runs, who wrote and who approved it, and where it is used."""
    step = visible_step(request, pk)
    actor: Any = request.user
    offered = workflow.available(step, actor=actor, at=timezone.now())
    context = {
        "title": str(step),
        "lede": step.description,
        "phase": 3,
        "step": step,
        "ident": [step.get_moment_display()],
        "next": _next_of(step, any(one.name == "approve" and one.allowed for one in offered)),
        "verbs": verbs_of(
            offered,
            url=lambda name: reverse(f"releases:step-{name}", args=[step.pk]),
            primary="approve",
            icons={"approve": "check", "refuse": "x", "retire": "ban"},
            forms=("approve", "refuse"),
        ),
        "content": _content_of(step),
        "links": _links_of(step),
        "timeline": audit.history(step)[:20],
    }
    return render(request, "releases/step_detail.html", context)


def _next_of(step: HostStep, may_approve: bool) -> Next:
    match step.state:
        case StepState.PROPOSED if may_approve:
            return Next(_("Read what runs, then approve it or refuse it."), _("No profile can name it before."))
        case StepState.PROPOSED:
            return Next(_("Another person approves it, or refuses it."), _("No profile can name it before."))
        case StepState.APPROVED:
            return Next(_("Install profiles may name it."), _("A change is a new revision, which is reviewed anew."))
        case StepState.REFUSED:
            return Next(_("Nothing more: %(who)s refused it.") % {"who": step.decided_by}, step.comment)
    return Next(_("Nothing more: it is retired."), step.comment)


def _content_of(step: HostStep) -> list[tuple[str, Any]]:
    """Everything that the digest covers, but what is empty."""
    unit = {Act.SPACE: _("%(n)d MiB"), Act.BACKUP: _("%(n)d hours"), Act.SILENCE: _("%(n)d minutes")}
    rows: list[tuple[str, Any]] = [
        (_("What it does"), step.get_kind_display()),
        (_("Target"), step.target),
        (_("Amount"), unit.get(Act(step.kind), "%(n)d") % {"n": step.amount} if step.amount else ""),
        (_("Expected"), step.expect),
        (_("Body of a call"), step.body),
        (_("File of its token"), step.secret_file),
        (_("Time limit"), _("%(n)d seconds, then it is ended") % {"n": step.limit_seconds}),
        (_("If it fails"), _failing_words(step)),
        (_("It follows"), step.get_runs_display() if step.moment == Moment.AFTER else ""),
        (_("On the way back"), _("too") if step.way_back else _("no")),
        (
            _("On which hosts"),
            _("only those of %(group)s") % {"group": step.group.name} if step.group else _("every host of the release"),
        ),
    ]
    return [(name, value) for name, value in rows if value]


def _failing_words(step: HostStep) -> str:
    if step.on_failure == Effect.STOP and step.moment == Moment.BEFORE:
        return _("nothing is installed, and the job has failed")
    return str(step.get_on_failure_display())


def _links_of(step: HostStep) -> list[tuple[str, Any]]:
    people = [(_("Written by"), str(step.written_by))]
    if step.decided_by:
        people.append((_("Decided by"), f"{step.decided_by}: {step.comment}" if step.comment else str(step.decided_by)))
    profiles = ", ".join(str(profile) for profile in profiles_with(step))
    return [*people, (_("Profiles"), profiles or _("none names it"))]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def step_write(request: HttpRequest) -> HttpResponse:
    """A new step, or the next revision of one (`?like=7` starts from that)."""
    like = request.GET.get("like", "")
    initial = _initial(visible_step(request, int(like))) if like.isdigit() else None
    form = step_forms.StepForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            step = steps.propose(actor=request.user, at=timezone.now(), **form.cleaned_data)  # type: ignore[arg-type]
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(step)s is proposed: another person approves it.") % {"step": step})
            return redirect(step)
    refused = [] if request.method == "POST" else failing([steps.WRITE], None, request.user)  # type: ignore[arg-type]
    context = {
        "verb": Verb("write", _("Propose"), allowed=not refused, blockers=refused),
        "title": _("Write a step"),
        "lede": _("It runs as root on every host whose profile names it. Somebody else reviews it first."),
        "phase": 3,
        "form": form,
        "submit_label": _("Propose"),
        "cancel_url": reverse("releases:step-list"),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _initial(step: HostStep) -> dict[str, Any]:
    fields = set(step_forms.StepForm.base_fields)
    return {name: getattr(step, name) for name in fields}


VERBS: dict[str, tuple[Any, Callable[..., Any], type[forms.Form], Any]] = {
    "approve": (
        gettext_lazy("Approve"), steps.approve, step_forms.RemarkForm,
        gettext_lazy("Install profiles may name it from now on. It then runs as root on every host that such a profile installs on."),
    ),
    "refuse": (
        gettext_lazy("Refuse"), steps.refuse, step_forms.CommentForm,
        gettext_lazy("Nothing uses it; its writer may propose another revision."),
    ),
    "retire": (
        gettext_lazy("Retire"), steps.retire, step_forms.CommentForm,
        gettext_lazy("Nothing is sealed with it any more, and rollouts whose manifest carries it halt."),
    ),
}  # fmt: skip


def _reach_of(step: HostStep) -> list[Reach]:
    """Who loses it: profiles that name it, and releases under way that would halt."""
    named, sealed = len(profiles_with(step)), len(sealed_with(step))
    profiles = ngettext("install profile that names it", "install profiles that name it", named)
    releases = ngettext(
        "release under way whose manifest carries it", "releases under way whose manifest carries it", sealed
    )
    return [
        Reach(named, profiles, reverse("releases:profile-list")),
        Reach(sealed, releases, reverse("releases:release-list")),
    ]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def step_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A decision about a step, with its reach: the manifests that carry it and the profiles that name it."""
    step = visible_step(request, pk)
    actor: Any = request.user
    label, call, shape, consequence = VERBS[verb]
    form = shape(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            call(step_id=step.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(step)s: done.") % {"step": step})
            return redirect(step)
    against = [] if request.method == "POST" else workflow.why_not(step, verb, actor=actor, at=timezone.now())
    context = {
        "title": f"{label}: {step}",
        "form": form,
        "submit_label": label,
        "phase": 3,
        "verb": Verb(verb, str(label), allowed=not against, blockers=against),
        "reach": _reach_of(step) if verb == "retire" else [],
        "consequences": [consequence],
        "content": _content_of(step),
        "cancel_url": step.get_absolute_url(),
    }  # fmt: skip
    template = "releases/step_decide.html" if verb == "refuse" else "releases/step_confirm.html"
    return render(request, template, context, status=400 if form.errors else 200)
