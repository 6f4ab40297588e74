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
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from changes.web.rfc_forms import OptionalReasonForm
from patchflow.kernel import workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.web import states
from patchflow.web.parts import Crumb
from patchflow.web.verbs import Reach, Verb
from releases.domain import acceptance, builds, manifests, owed, releases, rollbacks, standing
from releases.models import AcceptanceRun, Release
from releases.web import release_forms as shapes
from releases.web import release_parts, release_verbs
from releases.web.outlook import outlook
from releases.web.releases import visible_release
from releases.web.rollout_offers import against_roll_back


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
        consequences=(gettext_lazy("Every host is asked again at its turn, and may be refused with a reason."),),
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
    "hold": VerbPage(
        gettext_lazy("Put on hold"),
        standing.place,
        consequences=(
            gettext_lazy("It stands still until a change manager resumes it: nothing more starts under it."),
            gettext_lazy("What is at work on a host runs on, and so do its dates."),
        ),
    ),
    "resume": VerbPage(
        gettext_lazy("Resume"),
        standing.resume,
        OptionalReasonForm,
        consequences=(gettext_lazy("It goes on where it stood."),),
    ),
    "stop": VerbPage(
        gettext_lazy("End the deployment"),
        releases.stop,
        shapes.StopForm,
        dangerous=True,
        consequences=(
            gettext_lazy(
                "What is done stays done. Hosts that were not reached are still to be updated, by another release."
            ),
        ),
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
    actor: Any = request.user
    page = VERB_PAGES[verb]
    form = (
        page.form(request.POST or None)
        if page.form is not forms.Form
        else forms.Form(request.POST if request.method == "POST" else None)
    )
    if request.method == "POST" and form.is_valid():
        try:
            page.call(release_id=release.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            now = Release.objects.get(pk=release.pk)
            messages.success(request, f"{now.number}: {states.look_of(now).label}.")
            rollout = now.rollouts.order_by("-pk").first() if verb in ROLLS else None
            return redirect(rollout or now)
    hosts, asks = release.planned_hosts.count(), request.method != "POST"
    against = _against(release, verb, actor) if asks else []
    context = {
        "title": f"{page.title}: {release.number}",
        "lede": release.labelled,
        "phase": release_parts.phase_of(release),
        "form": form,
        "submit_label": page.title,
        "verb": Verb(verb, str(page.title), allowed=not against, blockers=against),
        "reach": [
            Reach(hosts, ngettext("host of the release", "hosts of the release", hosts), release.get_absolute_url())
        ],
        "consequences": [*(outlook(release, actor, at=timezone.now()) if verb == "deploy" else []), *page.consequences],
        "cancel_url": release.get_absolute_url(),
        "crumbs": crumbs_of(release, page.title),
    }
    return render(
        request, "web/confirm.html" if page.dangerous else "web/form.html", context, status=400 if form.errors else 200
    )


def _against(release: Release, verb: str, actor: Any) -> list[Blocker]:
    """Every reason against the verb now, for the page that would ask for it."""
    if verb in release_verbs.STANDING:
        return release_verbs.STANDING[verb](release, actor)
    if verb == "roll_back":
        return against_roll_back(release, actor, timezone.now())
    return workflow.why_not(release, verb, actor=actor, at=timezone.now())


def crumbs_of(release: Release, title: Any) -> list[Crumb]:
    """From the list over the release to an act of it."""
    return [
        Crumb(_("Releases"), reverse("releases:release-list")),
        Crumb(release.number, release.get_absolute_url()),
        Crumb(str(title)),
    ]


def against_judging(run: AcceptanceRun, actor: Any) -> list[Blocker]:
    """Why nobody, or not this person, judges the run: either verdict is as possible as the other."""
    return workflow.why_not(run, "fail", actor=actor, at=timezone.now())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def run_judge(request: HttpRequest, pk: int, run: int) -> HttpResponse:
    """A tester ends a run that is not over."""
    release = visible_release(request, pk)
    actor: Any = request.user
    found = get_object_or_404(AcceptanceRun, pk=run, plan__release=release)
    form = shapes.JudgeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            acceptance.judge(run_id=found.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("The run is judged."))
            return redirect("releases:release-tests", release.pk)
    against = [] if request.method == "POST" else against_judging(found, actor)
    context = {
        "title": _("Judge the run"), "lede": str(found), "phase": 3, "form": form, "submit_label": _("Judge"),
        "verb": Verb("judge", _("Judge"), allowed=not against, blockers=against),
        "cancel_url": reverse("releases:release-tests", args=[pk]),
        "crumbs": crumbs_of(release, _("Judge the run")),
    }  # fmt: skip
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
