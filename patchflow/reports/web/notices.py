"""One's own notices, how one wants them, and the mail that did not arrive."""

from __future__ import annotations

import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from patchflow.kernel.errors import Refusal
from patchflow.kernel.preferences import set_preferences
from patchflow.notices import delivery, subscriptions
from patchflow.notices.kinds import find, kinds
from patchflow.notices.models import Delivery, Reach, Wanted
from patchflow.web import parts
from patchflow.web.tables import Column, Filter, Listing, list_page


def _read(row: Delivery) -> str:
    return "read" if row.read_at else "unread"


COLUMNS = [
    Column(gettext_lazy("Notice"), "title", url=lambda d: reverse("reports:notice-detail", args=[d.pk]), wide=True),
    Column("", _read, state="notices.reading", name="read"),
    Column(gettext_lazy("About"), lambda d: find(d.notice.kind).label, wide=True, name="about"),
    Column(
        gettext_lazy("Mail"),
        lambda d: d.state if d.channel == "mail" else "none",
        state="notices.delivery",
        name="mail",
    ),
    Column(gettext_lazy("When"), "notice.written_at", age=True, numeric=True, sort="when"),
]
FILTERS = [
    Filter(
        "new",
        gettext_lazy("Read"),
        lambda rows, value: rows.filter(read_at__isnull=value == "yes"),
        choices=[("yes", gettext_lazy("not yet")), ("no", gettext_lazy("read"))],
    ),
    Filter("kind", gettext_lazy("About"), "notice__kind", choices=lambda: [(n, kinds[n].label) for n in kinds]),
]


@list_page(gettext_lazy("Notices"))
@login_required
@require_safe
def notice_list(request: HttpRequest) -> HttpResponseBase:
    """What one was told, newest first."""
    actor: Any = request.user
    listing = Listing(
        request,
        Delivery.objects.visible_to(actor).select_related("notice"),
        COLUMNS,
        sorts={"when": ("pk",)},
        default="-when",
        now=timezone.now(),
        filters=FILTERS,
    )
    if listing.wants_csv:
        return listing.csv("notices.csv")
    context = {
        "title": _("Notices"),
        "listing": listing,
        "unread": subscriptions.unread(actor),
        "empty_title": _("You were told nothing yet"),
        "empty_advice": _("What waits for your decision and what happens to your hosts is told here, and by mail."),
    }
    return render(request, "reports/notice_list.html", context)


@login_required
@require_safe
def notice_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One notice as it was sent. Whoever opens it has read it; nothing else happens."""
    actor: Any = request.user
    row = get_object_or_404(Delivery.objects.visible_to(actor).select_related("notice"), pk=pk)
    if request.method == "GET" and row.read_at is None:
        subscriptions.mark_read(actor=actor, at=timezone.now(), delivery_id=row.pk)
    context = {
        "title": row.title,
        "ident": [_("Notice"), str(find(row.notice.kind).label)],
        "delivery": row,
        "by_mail": row.channel == "mail",
        "crumbs": [parts.Crumb(_("Notices"), reverse("reports:notice-list")), parts.Crumb(row.title)],
    }
    return render(request, "reports/notice_detail.html", context)


@login_required
@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    actor: Any = request.user
    subscriptions.mark_read(actor=actor, at=timezone.now())
    return redirect("reports:notice-list")


# --- settings ---------------------------------------------------------------------------------------------------------
class PreferencesForm(forms.Form):
    """Language and time zone. Names of zones are typed or chosen from the list that the browser offers."""

    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=settings.LANGUAGES,
        help_text=gettext_lazy("Of pages, and of every notice to you."),
    )
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=lambda: [(name, name) for name in sorted(zoneinfo.available_timezones())],
        help_text=gettext_lazy("Every time that you see is of this zone."),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_settings(request: HttpRequest) -> HttpResponse:
    """Language, time zone, and which notices one wants how."""
    actor: Any = request.user
    form = PreferencesForm(
        request.POST or None, initial={"language": actor.language, "time_zone": actor.time_zone or "UTC"}
    )
    if request.method == "POST" and form.is_valid():
        set_preferences(actor=actor, at=timezone.now(), **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("reports:settings")
    context = {
        "title": _("Settings"),
        "lede": _("These are yours alone."),
        "form": form,
        "choices": subscriptions.choices_of(actor),
        "wanted": Wanted.choices,
        "reaches": Reach.choices,
        "address": actor.email,
    }
    return render(request, "reports/settings.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def settings_notices(request: HttpRequest) -> HttpResponse:
    """Takes over each kind of which the person chose something else."""
    actor: Any = request.user
    for choice in subscriptions.choices_of(actor):
        name = choice.kind.name
        wanted = request.POST.get(f"wanted-{name}", choice.wanted)
        reach = request.POST.get(f"reach-{name}", choice.reach)
        if (wanted, reach) == (choice.wanted, choice.reach):
            continue
        try:
            subscriptions.subscribe(kind=name, wanted=wanted, reach=reach, actor=actor, at=timezone.now())
        except Refusal as refusal:
            messages.error(request, refusal.said)
    messages.success(request, _("Saved."))
    return redirect(f"{reverse('reports:settings')}#h-notices")


# --- mail that did not arrive -----------------------------------------------------------------------------------------
@list_page(gettext_lazy("Notices that did not arrive"))
@login_required
@require_safe
def undelivered_list(request: HttpRequest) -> HttpResponseBase:
    """Mail that a server refused for good, or that six tries did not bring away."""
    actor: Any = request.user
    if not actor.holds("notice.oversee"):
        raise PermissionDenied(_("Mail that did not arrive is for operators and administrators."))
    columns = [
        Column(pgettext("recipient", "To"), "user.username", sort="who"),
        Column(_("Notice"), "title", wide=True),
        Column(_("Written"), "notice.written_at", age=True, numeric=True),
        Column(_("Tries"), "attempts", numeric=True),
        Column(_("Why"), "error", kept="said", wide=True),
        Column(
            "",
            lambda _d: _("Send again"),
            url=lambda d: reverse("reports:undelivered-send-again", args=[d.pk]),
            text=lambda _d: "",
        ),
    ]
    listing = Listing(
        request,
        Delivery.objects.undelivered(actor).select_related("notice", "user"),
        columns,
        sorts={"new": ("pk",), "who": ("user__username", "pk")},
        default="-new",
        now=timezone.now(),
        filters=[Filter("who", pgettext("recipient", "To"), "user__username__icontains")],
    )
    if listing.wants_csv:
        return listing.csv("undelivered.csv")
    context = {
        "title": _("Notices that did not arrive"),
        "lede": _(
            "Mend the address or the mail server first. The people concerned find them under Notices in any case."
        ),
        "listing": listing,
        "empty_title": _("No mail is undelivered"),
        "empty_advice": _("What a server refuses for good, and what six tries did not bring away, is listed here."),
    }
    return render(request, "web/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def undelivered_send_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks, and then puts it back into the queue."""
    actor: Any = request.user
    row = get_object_or_404(Delivery.objects.undelivered(actor).select_related("user"), pk=pk)
    back = reverse("reports:undelivered-list")
    if request.method == "POST":
        delivery.send_again(delivery_id=row.pk, actor=actor, at=timezone.now())
        messages.success(request, _("It is on its way again."))
        return redirect(back)
    context = {
        "title": _("Send “%(title)s” again") % {"title": row.title},
        "lede": _("To %(who)s, %(address)s. The last try ended: %(why)s")
        % {"who": row.user, "address": row.user.email, "why": row.error},
        "form": forms.Form(),
        "submit_label": _("Send again"),
        "cancel_url": back,
    }
    return render(request, "web/form.html", context)
