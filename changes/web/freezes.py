"""Freezes as pages: which stand, what passes them and what they hit; declared and lifted here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from changes.domain import freezes
from changes.enums import RFCKind
from changes.models import ChangeSlot, FreezeWindow
from changes.web.rfc_forms import Area, MomentField, ReasonForm, refuse
from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts, words, wordtags
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb

HIT = 50


class FreezeForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    starts_at = MomentField(label=gettext_lazy("From"))
    ends_at = MomentField(label=gettext_lazy("Until"))
    passes = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds of change that pass"), choices=RFCKind.choices, required=False, initial=[RFCKind.EMERGENCY],
        widget=forms.CheckboxSelectMultiple, help_text=gettext_lazy("Everything else starts when the freeze is over."),
    )  # fmt: skip
    reason = forms.CharField(label=gettext_lazy("Reason"), widget=Area(3), max_length=2000)


def visible_freeze(request: HttpRequest, pk: int) -> FreezeWindow:
    rows = FreezeWindow.objects.select_related("declared_by", "lifted_by").visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(rows, pk=pk)


def may_declare(actor: Any) -> list[Blocker]:
    return failing([capability("freeze.declare")], None, actor)


def standing(freeze: FreezeWindow, now: datetime) -> SafeString:
    return wordtags.state("changes.freeze", freeze.standing(now))


def passing(freeze: FreezeWindow) -> str:
    return ", ".join(freeze.kinds_that_pass()) or _("nothing")


@list_page(gettext_lazy("Freezes"))
@login_required
@require_safe
def freeze_list(request: HttpRequest) -> HttpResponseBase:
    """Every freeze; those to come first."""
    now, actor = timezone.now(), request.user
    listing = Listing(
        request,
        FreezeWindow.objects.select_related("declared_by").visible_to(actor),  # type: ignore[arg-type]
        [
            Column(_("Freeze"), "name", url=FreezeWindow.get_absolute_url, sort="name"),
            Column(_("State"), lambda f: standing(f, now), text=lambda f: f.standing(now), name="state"),
            Column(_("From"), "starts_at", sort="from"),
            Column(_("Until"), "ends_at"),
            Column(_("Passes"), passing, name="passes"),
            Column(_("Declared by"), "declared_by.username"),
        ],
        sorts={"name": ("name", "id"), "from": ("starts_at", "id")},
        default="-from",
        filters=[Filter("q", _("Name"), "name__icontains")],
        now=now,
        caption=_("Freezes"),
    )
    if listing.wants_csv:
        return listing.csv("freezes.csv")
    context = {
        "title": _("Freezes"),
        "phase": 3,
        "lede": _("Spans in which only some kinds of change may start. What has started before goes on."),
        "listing": listing,
        "may_declare": not may_declare(actor),
        "empty_title": _("No freeze yet"),
        "empty_advice": _("Declare one for the days on which nothing may be changed: the end of the year, an election, a launch."),
        "crumbs": [parts.Crumb(_("Calendar"), reverse("changes:calendar-show")), parts.Crumb(_("Freezes"))],
    }  # fmt: skip
    return render(request, "changes/freeze_list.html", context)


@login_required
@require_safe
def freeze_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A freeze: whom it stops, which reserved slots lie in it, its history."""
    freeze, now = visible_freeze(request, pk), timezone.now()
    actor: Any = request.user
    hit = slots_in(freeze, actor)
    context = {
        "title": freeze.name,
        "phase": 3,
        "ident": [_("freeze")],
        "freeze": freeze,
        "standing": standing(freeze, now),
        "next": _next(freeze, now),
        "verbs": _verbs(freeze, actor, now),
        "span": [
            (_("From"), words.at(freeze.starts_at, now=now)),
            (_("Until"), words.at(freeze.ends_at, now=now)),
            (_("Length"), words.duration(freeze.ends_at - freeze.starts_at)),
            (_("Passes"), passing(freeze)),
            (_("Declared by"), freeze.declared_by),
        ],
        "hit": [
            parts.Statement("st-warn", str(slot.rfc), words.at(slot.starts_at, now=now), slot.rfc.get_absolute_url())
            for slot in hit
        ],
        "timeline": audit.history(freeze)[:8],
        "crumbs": [
            parts.Crumb(_("Calendar"), reverse("changes:calendar-show")),
            parts.Crumb(_("Freezes"), reverse("changes:freeze-list")),
            parts.Crumb(freeze.name),
        ],
    }
    return render(request, "changes/freeze_detail.html", context)


def slots_in(freeze: FreezeWindow, actor: Any) -> list[ChangeSlot]:
    """Reserved slots in sight that lie in it and whose kind does not pass."""
    rows = ChangeSlot.objects.live().visible_to(actor).touching(freeze.starts_at, freeze.ends_at)
    return list(rows.exclude(rfc__kind__in=freeze.passes).select_related("rfc")[:HIT])


def _next(freeze: FreezeWindow, now: datetime) -> parts.Next:
    match freeze.standing(now):
        case "lifted":
            given = {"who": freeze.lifted_by, "why": freeze.lift_reason}
            return parts.Next(_("Lifted by %(who)s: %(why)s") % given)
        case "over":
            return parts.Next(_("It is over."))
        case "in_force":
            sentence = _("Only these start until %(when)s: %(kinds)s.")
            return parts.Next(sentence % {"when": words.at(freeze.ends_at, now=now), "kinds": passing(freeze)})
    return parts.Next(_("It begins %(when)s.") % {"when": words.at(freeze.starts_at, now=now)})


def _verbs(freeze: FreezeWindow, actor: Any, now: datetime) -> list[Verb]:
    if freeze.standing(now) in ("lifted", "over"):
        return []
    refused = may_declare(actor)
    place = reverse("changes:freeze-lift", args=[freeze.pk])
    return [Verb("lift", _("Lift it"), place, not refused, refused, dangerous=True, icon="x")]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def freeze_declare(request: HttpRequest) -> HttpResponse:
    """A new freeze; afterwards its page says which slots it hits."""
    now = timezone.now()
    form = FreezeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            freeze = freezes.declare(actor=request.user, at=now, **form.cleaned_data)  # type: ignore[arg-type]
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            tell_hits(request, slots_in(freeze, request.user))
            return redirect(freeze)
    context = {
        "title": _("Declare a freeze"),
        "phase": 3,
        "lede": _("While it lasts only the kinds that pass may start. Reserved slots stay, and wait until it is over."),
        "form": form,
        "submit_label": _("Declare"),
        "cancel_url": reverse("changes:freeze-list"),
        "crumbs": [parts.Crumb(_("Freezes"), reverse("changes:freeze-list")), parts.Crumb(_("Declare a freeze"))],
    }  # fmt: skip
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def tell_hits(request: HttpRequest, hit: Sequence[ChangeSlot]) -> None:
    if not hit:
        messages.success(request, _("Declared. No reserved slot lies in it."))
        return
    sentence = ngettext(
        "Declared. %(n)d reserved slot lies in it.", "Declared. %(n)d reserved slots lie in it.", len(hit)
    )
    messages.warning(request, sentence % {"n": len(hit)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def freeze_lift(request: HttpRequest, pk: int) -> HttpResponse:
    """Before a freeze is lifted: what then may start."""
    freeze = visible_freeze(request, pk)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            freezes.lift(freeze_id=pk, reason=form.cleaned_data["reason"], actor=request.user, at=timezone.now())  # type: ignore[arg-type]
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Lifted."))
            return redirect(freeze)
    now = timezone.now()
    context = {
        "title": _("Lift “%(freeze)s”") % {"freeze": freeze},
        "phase": 3,
        "verb": Verb("lift", _("Lift it"), dangerous=True, icon="x"),
        "reach": [Reach(len(slots_in(freeze, request.user)), _("reserved slots in it"))],
        "consequences": [_("What waits for its end may start at once, within its windows.")],
        "form": form,
        "barred": [] if request.method == "POST" else freezes.why_not_lift(freeze, request.user, now),  # type: ignore[arg-type]
        "cancel_url": freeze.get_absolute_url(),
        "crumbs": [parts.Crumb(_("Freezes"), reverse("changes:freeze-list")), parts.Crumb(freeze.name)],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
