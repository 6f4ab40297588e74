"""Freezes from an iCalendar file: what each event would become, then the chosen ones declared."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from changes.domain import freeze_import
from changes.domain.freeze_import import Line
from changes.enums import RFCKind
from changes.web.freezes import may_declare
from changes.web.rfc_forms import Area, refuse
from cmdb.sources.ics import Entry
from cmdb.web.ics_forms import IcsForm, kept_as, numbers_of
from patchflow.kernel.errors import Refusal
from patchflow.web import parts, words


class FreezesIcsForm(IcsForm):
    passes = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds of change that pass"), choices=RFCKind.choices, required=False, initial=[RFCKind.EMERGENCY],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    reason = forms.CharField(
        label=gettext_lazy("Reason"), widget=Area(2), max_length=2000, required=False,
        help_text=gettext_lazy("For events that have no description of their own."),
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def freeze_import_ics(request: HttpRequest) -> HttpResponse:
    """Two steps on one page: look, then declare what was ticked."""
    actor: Any = request.user
    if may_declare(actor):
        raise Http404
    now, post = timezone.now(), request.method == "POST"
    initial = {"zone": timezone.get_current_timezone_name()}
    form = FreezesIcsForm(request.POST if post else None, request.FILES if post else None, initial=initial)
    lines: list[Line] = []
    kept = ""
    if post and form.is_valid():
        said = form.cleaned_data
        kept = kept_as(said["content"])
        chosen = numbers_of(request.POST)
        try:
            if "save" in request.POST:
                lines = freeze_import.take_over(
                    content=said["content"], zone=said["zone"], numbers=chosen, reason=said["reason"], passes=said["passes"],
                    actor=actor, at=now,
                )  # fmt: skip
            else:
                lines = freeze_import.preview(content=said["content"], zone=said["zone"], actor=actor, at=now)
        except Refusal as refusal:
            refuse(form, refusal)
        if n := sum(line.freeze is not None for line in lines):
            messages.success(
                request, ngettext("%(n)d freeze is declared.", "%(n)d freezes are declared.", n) % {"n": n}
            )
            if n == len(chosen):
                return redirect("changes:freeze-list")
    context = {
        "title": _("Freezes from a calendar"),
        "phase": 3,
        "lede": _("Each event becomes a freeze, or says why it cannot. Nothing is saved before you have seen it."),
        "form": form,
        "kept": kept,
        "rows": [
            {
                "number": line.entry.number,
                "name": line.entry.name or _("without a name"),
                "said": _span(line.entry, now),
                "made": line.freeze is not None,
                "problem": line.problem,
            }
            for line in lines
        ],
        "cancel_url": reverse("changes:freeze-list"),
        "crumbs": [parts.Crumb(_("Freezes"), reverse("changes:freeze-list")), parts.Crumb(_("From a calendar"))],
    }
    return render(request, "cmdb/ics_import.html", context, status=400 if form.errors else 200)


def _span(entry: Entry, now: Any) -> str:
    if entry.starts_at is None or entry.ends_at is None:
        return ""
    return f"{words.at(entry.starts_at, now=now)} – {words.at(entry.ends_at, now=now)}"
