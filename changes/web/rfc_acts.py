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
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from changes.domain import approvals, clocks, glass, holds, rfcs, risk, supersedence
from changes.domain.offers import why_not
from changes.enums import TERMINAL
from changes.enums_tasks import UNDONE
from changes.models import RFC, ChangeTask
from changes.queries.rfcs import targets_seen
from changes.web import rfc_forms, rfc_next
from changes.web.rfcs import crumbs_of, visible_rfc
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web import states
from patchflow.web.verbs import Reach


@dataclass(frozen=True)
class VerbPage:
    """A verb of an RFC with the form that it needs; `consequences` say what follows, before it is done."""

    title: str | Any
    call: Callable[..., Any]
    form: type[forms.Form] = rfc_forms.ReasonForm
    dangerous: bool = False
    consequences: tuple[Any, ...] = ()


VERB_PAGES: dict[str, VerbPage] = {
    "send_back": VerbPage(gettext_lazy("Send back"), rfcs.send_back, consequences=(
        gettext_lazy("It is a draft again: its requester revises it and submits it anew."),
        gettext_lazy("Its clock runs on."),
    )),
    "reject": VerbPage(gettext_lazy("Reject"), rfcs.reject, dangerous=True, consequences=(
        gettext_lazy("An open round is withdrawn."),
        gettext_lazy("Its tasks that nobody has done are cancelled with it."),
        gettext_lazy("It ends with this: who wants it nevertheless raises another."),
    )),
    "cancel": VerbPage(gettext_lazy("Cancel the change"), rfcs.cancel, dangerous=True, consequences=(
        gettext_lazy("An open round is withdrawn, and its child changes are cancelled with it."),
        gettext_lazy("What was planned under it does not start."),
        gettext_lazy("Its tasks that nobody has done are cancelled with it."),
        gettext_lazy("It ends with this: who wants it nevertheless raises another."),
    )),
    "lapse": VerbPage(gettext_lazy("Withdraw the authorization"), rfcs.lapse, dangerous=True, consequences=(
        gettext_lazy("Nothing more starts under it; a rollout that runs is halted."),
    )),
    "stop": VerbPage(gettext_lazy("Stop the change"), rfcs.stop, dangerous=True, consequences=(
        gettext_lazy("Queued work is withdrawn; what is done stays done."),
    )),
    "hold": VerbPage(gettext_lazy("Put on hold"), holds.place, consequences=(
        gettext_lazy("It stands still until a change manager resumes it: nothing more starts under it."),
        gettext_lazy("Its child changes are put on hold with it, and its tasks stand still."),
        gettext_lazy("Its clock runs on."),
    )),
    "move": VerbPage(
        gettext_lazy("Move to the newer updates"), supersedence.move, rfc_forms.OptionalReasonForm, dangerous=True,
        consequences=(gettext_lazy("Its hold ends, its updates are exchanged, and what was signed is void."),),
    ),
    "resume": VerbPage(gettext_lazy("Resume"), holds.resume, rfc_forms.OptionalReasonForm, consequences=(
        gettext_lazy("It goes on where it stood, and its child changes that were held with it go on too."),
    )),
    "ask_break_glass": VerbPage(gettext_lazy("Ask to break the glass"), glass.ask, consequences=(
        gettext_lazy("Asks a second person to authorize the emergency at once, without waiting for its approval."),
        gettext_lazy("Nothing is authorized by asking. Whoever may break the glass is told now."),
        gettext_lazy("A third person reviews it within three days."),
    )),
    "break_glass": VerbPage(gettext_lazy("Break the glass"), glass.break_glass, dangerous=True, consequences=(
        gettext_lazy("It is authorized at once, by you and who asked. A third person must review this act."),
    )),
    "review_glass": VerbPage(
        gettext_lazy("Review the broken glass"), glass.review, rfc_forms.GlassReviewForm,
        consequences=(gettext_lazy("The finding is kept with the change, which cannot be closed without it."),),
    ),
    "close": VerbPage(gettext_lazy("Close the change"), rfcs.close, rfc_forms.CloseForm, consequences=(
        gettext_lazy("It has ended then, and nobody opens it again."),
        gettext_lazy("Tasks that are not required and that nobody has done are cancelled with it."),
        gettext_lazy("If it failed or was backed out, the standard model that it used loses its licence."),
    )),
    "classify": VerbPage(gettext_lazy("Change the class"), clocks.classify, rfc_forms.ClassifyForm),
    "bring_owed": VerbPage(gettext_lazy("Bring an owed document"), rfcs.bring_owed, rfc_forms.OwedForm, consequences=(
        gettext_lazy("It is kept as evidence. What was signed stays as it was."),
    )),
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
    rfc, actor = visible_rfc(request, pk), _actor(request)
    page = VERB_PAGES[verb]
    form = page.form(request.POST or None, initial={"update_class": rfc.update_class})
    if isinstance(form, rfc_forms.OwedForm):
        form.offer(rfc)
    if request.method == "POST" and form.is_valid():
        try:
            page.call(rfc_id=rfc.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s: done.") % {"number": rfc.number})
            return redirect(rfc)
    context = {
        "title": f"{page.title}: {rfc.number}",
        "lede": rfc.title,
        "phase": rfc_next.phase_of(rfc),
        "form": form,
        "submit_label": page.title,
        "verb": {"label": page.title, "icon": "", "reach": ""},
        "reach": _reach(rfc, actor, verb),
        "consequences": [*_said_first(rfc, verb), *page.consequences],
        "barred": [] if request.method == "POST" else why_not(rfc, verb, actor=actor, at=timezone.now()),
        "cancel_url": rfc.get_absolute_url(),
        "crumbs": crumbs_of(rfc, page.title),
    }  # fmt: skip
    template = "web/confirm.html" if page.dangerous else "web/form.html"
    return render(request, template, context, status=400 if form.errors else 200)


def _reach(rfc: RFC, actor: User, verb: str) -> list[Reach]:
    """How much of it the verb touches: its hosts in sight, and what ends with it."""
    hosts = targets_seen(rfc, actor).count()
    found = [
        Reach(hosts, ngettext("host in scope", "hosts in scope", hosts), reverse("changes:rfc-targets", args=[rfc.pk]))
    ]
    if verb in ("cancel", "reject"):
        under = RFC.objects.visible_to(actor).filter(parent=rfc).exclude(state__in=TERMINAL)
        ended = [rfc.pk, *(under.values_list("pk", flat=True) if verb == "cancel" else ())]
        tasks, children = ChangeTask.objects.filter(rfc__in=ended, state__in=UNDONE).count(), len(ended) - 1
        found += [Reach(tasks, ngettext("undone task", "undone tasks", tasks))] if tasks else []
        found += [Reach(children, ngettext("child change", "child changes", children))] if children else []
    return found


def _said_first(rfc: RFC, verb: str) -> list[str]:
    """What is so now, where a person must know it to choose."""
    if verb == "classify":
        return [_("Its class is %(cls)s now.") % {"cls": rfc.get_update_class_display()}]
    if verb == "move":
        return [
            f"{row.name} {row.fixed_version} → {row.update.superseded_by.fixed_version}"
            for row in supersedence.successors_of(rfc)
            if row.update.superseded_by
        ]
    return []


def _actor(request: HttpRequest) -> Any:
    return request.user
