"""The verbs of an RFC as pages: a click, or a form; dangerous ones show their reach first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from changes.domain import approvals, clocks, glass, holds, rfcs, risk, supersedence
from changes.models import RFC
from changes.web import rfc_forms
from changes.web.rfcs import visible_rfc
from patchflow.kernel.errors import Refusal
from patchflow.web import states
from patchflow.web.verbs import Reach


@dataclass(frozen=True)
class VerbPage:
    """A verb of an RFC with the form that it needs."""

    title: str | Any
    call: Callable[..., Any]
    form: type[forms.Form] = rfc_forms.ReasonForm
    dangerous: bool = False
    label: str | Any = ""
    consequence: str | Any = ""


VERB_PAGES: dict[str, VerbPage] = {
    "send_back": VerbPage(gettext_lazy("Send back"), rfcs.send_back),
    "reject": VerbPage(
        gettext_lazy("Reject"), rfcs.reject, dangerous=True, consequence=gettext_lazy("An open round is withdrawn.")
    ),
    "cancel": VerbPage(
        gettext_lazy("Cancel the change"), rfcs.cancel, dangerous=True,
        consequence=gettext_lazy("An open round is withdrawn; what was planned under it is told."),
    ),
    "lapse": VerbPage(
        gettext_lazy("Withdraw the authorization"), rfcs.lapse, dangerous=True,
        consequence=gettext_lazy("Nothing more starts under it; a rollout that runs is halted."),
    ),
    "stop": VerbPage(
        gettext_lazy("Stop the change"), rfcs.stop, dangerous=True,
        consequence=gettext_lazy("Queued work is withdrawn; what is done stays done."),
    ),
    "hold": VerbPage(gettext_lazy("Put on hold"), holds.place),
    "move": VerbPage(
        gettext_lazy("Move to the newer updates"), supersedence.move, rfc_forms.OptionalReasonForm, dangerous=True,
        consequence=gettext_lazy("Its hold ends, its updates are exchanged, and what was signed is void."),
    ),
    "resume": VerbPage(gettext_lazy("Resume"), holds.resume, rfc_forms.OptionalReasonForm),
    "ask_break_glass": VerbPage(gettext_lazy("Ask to break the glass"), glass.ask),
    "break_glass": VerbPage(
        gettext_lazy("Break the glass"), glass.break_glass, dangerous=True,
        consequence=gettext_lazy("It is authorized at once, by you and who asked. A third person must review this act."),
    ),
    "review_glass": VerbPage(gettext_lazy("Review the broken glass"), glass.review, rfc_forms.GlassReviewForm),
    "close": VerbPage(gettext_lazy("Close the change"), rfcs.close, rfc_forms.CloseForm),
    "classify": VerbPage(gettext_lazy("Change the class"), clocks.classify, rfc_forms.ClassifyForm),
    "bring_owed": VerbPage(gettext_lazy("Bring an owed document"), rfcs.bring_owed, rfc_forms.OwedForm),
}  # fmt: skip
AT_A_CLICK: dict[str, Callable[..., Any]] = {
    "submit": rfcs.submit,
    "evaluate": rfcs.evaluate,
    "score": risk.score,
    "request_approval": approvals.request_approval,
}


@login_required
@require_POST
def rfc_click(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb that needs nothing typed. A refusal becomes the page of its reasons."""
    rfc = visible_rfc(request, pk)
    AT_A_CLICK[verb](rfc_id=rfc.pk, actor=request.user, at=timezone.now())
    now = RFC.objects.get(pk=rfc.pk)
    messages.success(request, f"{now.number}: {states.look_of(now).label}.")
    return redirect(now)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """A verb with its form; a dangerous one shows its reach first."""
    rfc = visible_rfc(request, pk)
    page = VERB_PAGES[verb]
    form = page.form(request.POST or None)
    if isinstance(form, rfc_forms.OwedForm):
        form.offer(rfc)
    if request.method == "POST" and form.is_valid():
        try:
            page.call(rfc_id=rfc.pk, actor=request.user, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s: done.") % {"number": rfc.number})
            return redirect(rfc)
    hosts = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).count()
    context = {
        "title": f"{page.title}: {rfc.number}",
        "lede": rfc.title,
        "form": form,
        "submit_label": page.title,
        "verb": {"label": page.title, "icon": "", "reach": ""},
        "reach": [Reach(hosts, _("hosts in scope"), reverse("changes:rfc-targets", args=[rfc.pk]))],
        "consequences": [page.consequence] if page.consequence else [],
        "cancel_url": rfc.get_absolute_url(),
    }
    template = "web/confirm.html" if page.dangerous else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)
