"""Pages of cycles: one turn as four columns with their steps, owners, outputs and changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from changes.domain import cycles, phase_steps
from changes.enums import CycleKind, CycleState, StepState
from changes.models import RFC, Cycle, PhaseStep
from changes.models.cycle import LEAVES
from changes.queries.cycles import columns_of
from changes.queries.notice import missed_by
from changes.web import rfc_forms
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.kernel.rules import capability, failing
from patchflow.web.fields import PersonField
from patchflow.web.parts import Crumb, Next
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb, verbs_of

LATEST = 8
"""Events, and entries of its history, that the page of a cycle shows."""
PHASE = {CycleState.ASSESS: 1, CycleState.IDENTIFY: 2, CycleState.EVALUATE_AND_PLAN: 3, CycleState.DEPLOY: 4}


@list_page(gettext_lazy("Cycles"))
@login_required
@require_safe
def cycle_list(request: HttpRequest) -> HttpResponseBase:
    """Turns of the process, the newest first."""
    columns = (
        Column(_("Cycle"), "name", url=Cycle.get_absolute_url),
        Column(_("Phase"), "state", state="changes.cycle"),
        Column(_("Since"), "state_at", age=True, numeric=True),
        Column(_("Kind"), lambda c: c.get_kind_display(), name="kind"),
        Column(_("Opened"), "opened_at", sort="opened"),
        Column(_("Completed"), "closed_at"),
    )
    listing = Listing(
        request,
        Cycle.objects.visible_to(request.user),  # type: ignore[arg-type]
        columns,
        sorts={"opened": ("opened_at", "id")},
        default="-opened",
        now=timezone.now(),
        filters=(
            Filter("state", gettext_lazy("Phase"), "state", CycleState.choices),
            Filter("kind", gettext_lazy("Kind"), "kind", CycleKind.choices),
        ),
        caption=_("Cycles"),
    )
    if listing.wants_csv:
        return listing.csv("cycles.csv")
    context = {
        "title": _("Cycles"),
        "listing": listing,
        "empty_title": _("No cycle has begun"),
        "lede": _("One turn of the four phases: assess, identify, evaluate and plan, deploy."),
        "empty_advice": _("The first one opens by itself when an update is found that one of your hosts misses."),
        "empty_url": reverse("changes:update-list") if request.user.holds_somewhere("update.view") else "",  # type: ignore[union-attr]
        "empty_label": _("To the updates"),
    }
    return render(request, "web/list.html", context)


@login_required
@require_safe
def cycle_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One turn as a board of four columns."""
    cycle = get_object_or_404(Cycle.objects.visible_to(request.user), pk=pk)  # type: ignore[arg-type]
    now = timezone.now()
    actor: Any = request.user
    offered = workflow.available(cycle, actor=actor, at=now)
    verbs: list[Verb] = verbs_of(
        offered, url=lambda name: reverse("changes:cycle-close-unneeded", args=[cycle.pk]), forms={"close_unneeded"}
    )
    may_settle = not failing([capability("cycle.manage")], cycle, actor) and cycle.state != CycleState.COMPLETED
    rfcs = RFC.objects.visible_to(actor).filter(cycle=cycle).select_related("requested_by")
    hidden = cycle.rfcs.count() - rfcs.count()
    context = {
        "title": cycle.name,
        "cycle": cycle,
        "phase": PHASE.get(CycleState(cycle.state)),
        "ident": [cycle.get_kind_display()],
        "next": _next(cycle),
        "verbs": verbs,
        "columns": columns_of(cycle, list(rfcs), actor),
        "hidden": hidden,
        "may_settle": may_settle,
        "events": cycle.events.select_related("by").order_by("-id")[:LATEST],
        "update_count": cycle.updates.count(),
        "missed": missed_by(cycle, actor, at=now) if cycle.closed_at is None else 0,
        "timeline": audit.history(cycle)[:LATEST],
    }
    return render(request, "changes/cycle_detail.html", context)


def _next(cycle: Cycle) -> Next:
    if cycle.state == CycleState.COMPLETED:
        return Next(_("Completed. Assess goes on in the next cycle."), cycle.close_reason)
    event = LEAVES[CycleState(cycle.state)].label
    sentence = _("It leaves %(phase)s on: %(event)s.") % {"phase": cycle.get_state_display(), "event": event}
    if cycle.state == CycleState.DEPLOY:
        return Next(_("It ends when its release is completed and every change of it has ended."))
    return Next(sentence, _("The event is fired by what causes it, never by hand."))


class StepForm(forms.Form):
    """What a person does to a step."""

    act = forms.ChoiceField(
        label=gettext_lazy("What"),
        choices=[
            ("done", gettext_lazy("It is done")),
            ("waived", gettext_lazy("It is not needed this time")),
            ("owner", gettext_lazy("Hand it over to a person")),
        ],
        widget=forms.RadioSelect,
    )
    text = forms.CharField(
        label=gettext_lazy("What came of it, or why it is not needed"),
        required=False,
        widget=rfc_forms.Area(3),
        max_length=2000,
    )
    owner_id = PersonField(
        label=gettext_lazy("Person"), queryset=User.objects.none(), required=False, help_text=gettext_lazy("Only where you hand it over.")
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["owner_id"].queryset = persons()  # type: ignore[attr-defined]

    def settle(self, step: PhaseStep, *, actor: User, at: datetime) -> PhaseStep:
        """The verb that was chosen, of three."""
        given = self.cleaned_data
        common: dict[str, Any] = {"cycle_id": step.cycle_id, "key": step.key, "actor": actor, "at": at}
        if given["act"] == "done":
            return phase_steps.complete_step(output=given["text"], **common)
        if given["act"] == "waived":
            return phase_steps.waive_step(reason=given["text"], **common)
        return phase_steps.assign_step(owner_id=given["owner_id"].pk if given["owner_id"] else 0, **common)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cycle_step(request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """A step: done with an output, waived with a reason, or given to a person."""
    cycle = get_object_or_404(Cycle.objects.visible_to(request.user), pk=pk)  # type: ignore[arg-type]
    step = get_object_or_404(cycle.steps, key=key)
    form = StepForm(request.POST or None, initial={"act": "done", "owner_id": step.owner_id})
    if request.method == "POST" and form.is_valid():
        try:
            form.settle(step, actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("Step: %(step)s.") % {"step": step})
            return redirect(cycle)
    context = {
        "title": capfirst(str(step)),
        "lede": cycle.name,
        "form": form,
        "submit_label": _("Save"),
        "cancel_url": cycle.get_absolute_url(),
        "phase": PHASE.get(CycleState(cycle.state)),
        "barred": [] if request.method == "POST" else step_barred(cycle, step, request.user),
        "crumbs": [
            Crumb(_("Cycles"), reverse("changes:cycle-list")),
            Crumb(cycle.name, cycle.get_absolute_url()),
            Crumb(capfirst(str(step))),
        ],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def step_barred(cycle: Cycle, step: PhaseStep, actor: Any) -> list[Blocker]:
    """Why nothing is done to a step of this cycle now."""
    found = failing([capability("cycle.manage")], cycle, actor)
    if step.state != StepState.OPEN:
        found.append(Blocker("conflict.state", english("This step is settled already.")))
    return found


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cycle_close(request: HttpRequest, pk: int) -> HttpResponse:
    """Closes a cycle that came to nothing."""
    cycle = get_object_or_404(Cycle.objects.visible_to(request.user), pk=pk)  # type: ignore[arg-type]
    form = rfc_forms.ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            cycles.close_unneeded(
                cycle_id=cycle.pk,
                actor=request.user,  # type: ignore[arg-type]
                at=timezone.now(),
                **form.cleaned_data,
            )
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            return redirect(cycle)
    context = {
        "title": _("Close %(name)s as not needed") % {"name": cycle.name},
        "form": form,
        "verb": {"label": _("Close as not needed"), "icon": "", "reach": ""},
        "phase": PHASE.get(CycleState(cycle.state)),
        "consequences": [
            _("It has ended, although nothing was deployed in it."),
            *([_("The next monthly cycle opens.")] if cycle.kind == CycleKind.MONTHLY else []),
        ],
        "barred": []
        if request.method == "POST"
        else workflow.why_not(cycle, "close_unneeded", actor=request.user, at=timezone.now()),  # type: ignore[arg-type]
        "cancel_url": cycle.get_absolute_url(),
        "crumbs": [
            Crumb(_("Cycles"), reverse("changes:cycle-list")),
            Crumb(cycle.name, cycle.get_absolute_url()),
            Crumb(_("Close as not needed")),
        ],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
