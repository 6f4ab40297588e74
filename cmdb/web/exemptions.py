"""Exemptions as pages: who asks that what is left, and the decision of a second person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from cmdb.domain import exemptions
from cmdb.enums import ExemptionKind, ExemptionState
from cmdb.models import Exemption
from cmdb.web.forms import ReasonForm, posted
from cmdb.web.host_verbs import form_page, tried
from cmdb.web.hosts import who
from patchflow.kernel import audit, workflow
from patchflow.web import parts, words
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import verbs_of

DECIDED = (ExemptionState.GRANTED, ExemptionState.REFUSED)


def _visible(request: HttpRequest, pk: int) -> Exemption:
    rows = Exemption.objects.all().visible_to(who(request))
    return get_object_or_404(rows.select_related("host", "group", "requested_by", "decided_by"), pk=pk)


def _place(exemption: Exemption) -> str:
    """The page of the host or group that it is asked for."""
    if exemption.host_id:
        return reverse("cmdb:host-detail", args=[exemption.host_id])
    return reverse("cmdb:group-detail", args=[exemption.group_id])


@list_page(gettext_lazy("Exemptions"))
@login_required
def exemption_list(request: HttpRequest) -> HttpResponseBase:
    """Exemptions, newest first."""
    now = timezone.now()
    listing = Listing(
        request,
        Exemption.objects.all().visible_to(who(request)).select_related("host", "group", "requested_by"),
        [
            Column(_("Exemption"), str, url=Exemption.get_absolute_url, name="exemption"),
            Column(_("State"), "state", state="cmdb.exemption"),
            Column(_("For"), lambda e: e.host or e.group, url=_place, name="for"),
            Column(_("Reason"), "reason", wide=True),
            Column(_("Asked by"), "requested_by.username"),
            Column(
                _("Ends"),
                lambda e: words.at(e.expires_at, now=now),
                text=lambda e: e.expires_at.isoformat(),
                sort="ends",
            ),
            Column(_("Age"), "requested_at", age=True, numeric=True, sort="age"),
        ],
        sorts={"age": ("-requested_at", "-id"), "ends": ("expires_at", "id")},
        default="age",
        filters=[
            Filter("state", _("State"), "state", ExemptionState.choices),
            Filter("kind", _("Kind"), "kind", ExemptionKind.choices),
            Filter("q", _("Name"), "subject__icontains"),
        ],
        now=now,
        caption=_("Exemptions"),
    )
    if listing.wants_csv:
        return listing.csv("exemptions.csv")
    context = {
        "title": _("Exemptions"),
        "phase": 1,
        "lede": _("Findings that are left for now: asked for by one person, granted by another, until a day."),
        "listing": listing,
        "empty_title": _("No exemption was asked for"),
        "empty_advice": _("Who looks after a host asks on the host's page; a security officer decides here."),
        "crumbs": [parts.Crumb(_("Baselines"), reverse("cmdb:baseline-list")), parts.Crumb(_("Exemptions"))],
    }
    return render(request, "web/list.html", context)


@login_required
def exemption_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What is to be left, why, what protects instead, until when, and who decides."""
    exemption, now = _visible(request, pk), timezone.now()
    context = {
        "title": str(exemption),
        "phase": 1,
        "ident": [_("exemption"), str(exemption.host or exemption.group)],
        "exemption": exemption,
        "place": _place(exemption),
        "decided_at": exemption.decided_at if exemption.state in DECIDED else None,  # later it is when that ended
        "next": _next(exemption, now),
        "verbs": verbs_of(
            workflow.available(exemption, actor=who(request), at=now),
            url=lambda name: reverse(f"cmdb:exemption-{name}", args=[pk]),
            primary="grant",
            icons={"grant": "check", "refuse": "x", "revoke": "x"},
            forms=("refuse", "revoke"),
        ),
        "timeline": audit.history(exemption)[:8],
        "crumbs": [parts.Crumb(_("Exemptions"), reverse("cmdb:exemption-list")), parts.Crumb(str(exemption))],
    }
    return render(request, "cmdb/exemption_detail.html", context)


def _next(exemption: Exemption, now: datetime) -> parts.Next:
    ends = words.at(exemption.expires_at, now=now)
    match exemption.state:
        case ExemptionState.REQUESTED if exemption.expires_at <= now:
            return parts.Next(_("Its end has passed: it is refused, or asked for anew."))
        case ExemptionState.REQUESTED:
            decides = _("A security officer grants or refuses it, not who asked.")
            return parts.Next(decides, _("Until then the finding counts as it is."))
        case ExemptionState.GRANTED if exemption.expires_at > now:
            sentence = _("Until %(when)s the finding counts as exempt.") % {"when": ends}
            return parts.Next(sentence, _("A security officer can revoke it; renewal is a new one."))
        case ExemptionState.REFUSED:
            return parts.Next(_("It was refused: the finding counts as it is."))
    return parts.Next(_("It is over: the finding counts again."))


@login_required
@require_POST
def exemption_grant(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Grants it."""
    exemption = _visible(request, pk)
    exemptions.grant(exemption_id=pk, actor=who(request), at=timezone.now())
    return redirect(exemption)


@login_required
def exemption_refuse(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Refuses it, with a reason."""
    title = _("Refuse the exemption %(exemption)s") % {"exemption": _visible(request, pk)}
    return _with_reason(request, pk, "refuse", title)


@login_required
def exemption_revoke(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ends a granted one early, with a reason."""
    title = _("Revoke the exemption %(exemption)s") % {"exemption": _visible(request, pk)}
    return _with_reason(request, pk, "revoke", title)


def _with_reason(request: HttpRequest, pk: int, verb: str, title: str) -> HttpResponseBase:
    exemption, form, now = _visible(request, pk), ReasonForm(posted(request)), timezone.now()
    act: Any = getattr(exemptions, verb)
    if form.is_valid() and tried(form, act, exemption_id=pk, actor=who(request), at=now, **form.cleaned_data):
        return redirect(exemption)
    barred = workflow.why_not(exemption, verb, actor=who(request), at=now)
    below = parts.Crumb(_("Exemptions"), reverse("cmdb:exemption-list"))
    return form_page(request, form, title, exemption.get_absolute_url(), barred, below=below)
