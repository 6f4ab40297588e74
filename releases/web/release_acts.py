"""The verbs of a release as pages: a click, or a form; dangerous ones show their reach first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from patchflow.kernel.errors import Refusal
from patchflow.web import states
from patchflow.web.verbs import Reach
from releases.domain import acceptance, builds, manifests, owed, releases, rollbacks
from releases.models import AcceptanceRun, Release
from releases.web import release_forms as shapes
from releases.web.releases import visible_release


@dataclass(frozen=True)
class VerbPage:
    """A verb of a release with the form that it needs."""

    title: str | Any
    call: Callable[..., Any]
    form: type[forms.Form] = shapes.ReasonForm
    dangerous: bool = False
    consequences: tuple[Any, ...] = ()


AT_A_CLICK: dict[str, Callable[..., Any]] = {
    "build": builds.request,
    "seal": manifests.seal,
    "test": acceptance.request_runs,
    "accept": releases.accept,
    "propose_next": owed.propose_next,
}
VERB_PAGES: dict[str, VerbPage] = {
    "deploy": VerbPage(
        gettext_lazy("Start the deployment"),
        releases.deploy,
        forms.Form,
        dangerous=True,
        consequences=(
            gettext_lazy("Its changes begin; the first ring starts in its next window."),
            gettext_lazy("Every host is asked again at its turn, and may be refused with a reason."),
        ),
    ),
    "revise": VerbPage(
        gettext_lazy("Revise"),
        releases.revise,
        shapes.ReviseForm,
        dangerous=True,
        consequences=(gettext_lazy("Back to planning. What was signed is void; builds and tests are made anew."),),
    ),
    "void": VerbPage(
        gettext_lazy("Void the readiness"),
        releases.void,
        dangerous=True,
        consequences=(
            gettext_lazy("Back to scheduling. The manifest is sealed and signed anew; build and tests stay."),
        ),
    ),
    "cancel": VerbPage(
        gettext_lazy("Cancel the release"),
        releases.cancel,
        dangerous=True,
        consequences=(gettext_lazy("Its changes are free for another release."),),
    ),
    "stop": VerbPage(
        gettext_lazy("End the deployment"),
        releases.stop,
        shapes.StopForm,
        dangerous=True,
        consequences=(gettext_lazy("What is done stays done; hosts that were not reached are owed."),),
    ),
    "roll_back": VerbPage(
        gettext_lazy("Roll back"),
        rollbacks.roll_back,
        dangerous=True,
        consequences=(gettext_lazy("Every host that may have been changed goes back to what it had, ring by ring."),),
    ),
}


ROLLS = {"deploy", "roll_back"}
"""Verbs that start a rollout; its live page is what one wants to see next."""


@login_required
@require_POST
def release_click(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb that needs nothing typed. A refusal becomes the page of its reasons."""
    release = visible_release(request, pk)
    AT_A_CLICK[verb](release_id=release.pk, actor=request.user, at=timezone.now())
    now = Release.objects.get(pk=release.pk)
    if verb == "propose_next" and now.next_rfc:
        messages.success(request, _("%(rfc)s is drafted.") % {"rfc": now.next_rfc.number})
        return redirect(now.next_rfc)
    messages.success(request, f"{now.number}: {states.look_of(now).label}.")
    return redirect("releases:release-tests", release.pk) if verb == "test" else redirect(now)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb with its form; a dangerous one shows its reach first."""
    release = visible_release(request, pk)
    page = VERB_PAGES[verb]
    form = (
        page.form(request.POST or None)
        if page.form is not forms.Form
        else forms.Form(request.POST if request.method == "POST" else None)
    )
    if request.method == "POST" and form.is_valid():
        try:
            page.call(release_id=release.pk, actor=request.user, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            now = Release.objects.get(pk=release.pk)
            messages.success(request, f"{now.number}: {states.look_of(now).label}.")
            rollout = now.rollouts.order_by("-pk").first() if verb in ROLLS else None
            return redirect(rollout or now)
    hosts = release.planned_hosts.count()
    context = {
        "title": f"{page.title}: {release.number}",
        "lede": release.title,
        "form": form,
        "submit_label": page.title,
        "verb": {"label": page.title, "icon": "", "reach": ""},
        "reach": [Reach(hosts, _("hosts of the release"), release.get_absolute_url())],
        "consequences": page.consequences,
        "cancel_url": release.get_absolute_url(),
    }
    return render(
        request, "web/confirm.html" if page.dangerous else "web/form.html", context, status=400 if form.errors else 200
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def run_judge(request: HttpRequest, pk: int, run: int) -> HttpResponse:
    """A tester ends a run that is not over."""
    release = visible_release(request, pk)
    found = get_object_or_404(AcceptanceRun, pk=run, plan__release=release)
    form = shapes.JudgeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            acceptance.judge(run_id=found.pk, actor=request.user, at=timezone.now(), **form.cleaned_data)  # type: ignore[arg-type]
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("The run is judged."))
            return redirect("releases:release-tests", release.pk)
    context = {"title": _("Judge the run"), "lede": str(found), "form": form, "submit_label": _("Judge")}
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
