"""The pages of the style guide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.web import errors, parts
from patchflow.web.styleguide import data
from patchflow.web.tables import BadCursor, Column, Table
from patchflow.web.verbs import Verb


class Example(forms.Form):
    """A field of every kind."""

    title = forms.CharField(help_text="As the board reads it. No abbreviations.")
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), help_text="Goes into the minutes.")
    kind = forms.ChoiceField(choices=[("", "choose"), ("normal", "normal"), ("standard", "standard")])
    start_at = forms.DateTimeField(
        label="Start", required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    response = forms.ChoiceField(widget=forms.RadioSelect, choices=[("deploy", "Deploy"), ("wait", "Wait for rollup")])
    groups = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, choices=[("web", "web-tier"), ("app", "app-tier")], required=False
    )
    restart = forms.BooleanField(
        label="Hosts may be restarted", required=False, help_text="One node of a cluster at a time."
    )
    document = forms.FileField(required=False)
    locked = forms.CharField(disabled=True, required=False, initial="set by the policy")


def crumbs(*labels: str) -> list[parts.Crumb]:
    return [parts.Crumb("Style guide", "/styleguide/"), *(parts.Crumb(label) for label in labels)]


def rows(now: Any) -> list[dict[str, Any]]:
    kinds = ["succeeded", "installing", "failed", "lost", "deferred"]
    return [
        {
            "name": f"web-{n:03}.example.org",
            "state": kinds[n % 5],
            "hosts": 37 * n,
            "seen": now - timedelta(hours=5 * n),
        }
        for n in range(1, 7)
    ]


def example_table(now: Any) -> Table:
    columns = [
        Column("Host", lambda row: row["name"], url=lambda row: "#"),
        Column("State", lambda row: row["state"], state=data.MACHINE),
        Column("Users", lambda row: row["hosts"], numeric=True),
        Column("Age", lambda row: row["seen"], age=True, numeric=True),
    ]
    return Table(columns, rows(now), now, "Hosts", selected=lambda row: row["state"] == "failed")


def guide(request: HttpRequest) -> HttpResponse:
    """Every component on one page."""
    now = timezone.now()
    context = {**data.context(now), "table": example_table(now), "title": "Style guide", "crumbs": crumbs(), "phase": 3}
    return render(request, "web/styleguide.html", context)


def example_object(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    shown = data.context(now)
    context = {
        **{name: shown[name] for name in ("next", "verbs", "facts", "machine")},
        "title": "OpenSSL security update on Debian 12",
        "phase": 3,
        "ident": ["RFC-2026-0417", "normal change, class high"],
        "since": now - timedelta(hours=4, minutes=20),
        "links": shown["pairs"],
        "timeline": shown["events"],
        "timeline_url": "#",
        "crumbs": crumbs("RFC-2026-0417"),
    }
    return render(request, "web/styleguide_object.html", context)


def example_form(request: HttpRequest) -> HttpResponse:
    form = Example(request.POST, request.FILES) if request.method == "POST" else Example(request.GET or None)
    form.is_valid()
    context = {
        "form": form,
        "title": "Raise an RFC",
        "lede": "From DSA-6041-1, for the 588 hosts that miss it.",
        "submit_label": "Raise RFC",
        "cancel_url": "/styleguide/",
        "crumbs": crumbs("Form"),
        "phase": 3,
    }
    return render(request, "web/form.html", context)


def example_confirm(request: HttpRequest) -> HttpResponse:
    context = {
        "title": "Halt the rollout of Debian kernel 6.1.158",
        "verb": Verb("halt", "Halt", dangerous=True, reach="24 running, 389 queued", icon="stop"),
        "reach": data.context(timezone.now())["reach"],
        "consequences": [
            "Nothing that is installed is taken back.",
            "Only a release manager can resume it, with a reason.",
        ],
        "cancel_url": "/styleguide/",
        "crumbs": crumbs("Confirm"),
        "phase": 4,
    }
    return render(request, "web/confirm.html", context)


def example_empty(request: HttpRequest) -> HttpResponse:
    context = {
        "listing": None,
        "title": "Releases",
        "empty_title": "No release yet",
        "empty_advice": "A release is composed from authorized changes. Three changes are authorized and in no release.",
        "empty_url": "#",
        "empty_label": "Compose a release",
        "crumbs": crumbs("Empty list"),
        "phase": 4,
    }
    return render(request, "web/list.html", context)


def refused(_request: HttpRequest) -> HttpResponse:
    raise Blocked([blocker for verb in data.verbs() for blocker in verb.blockers])


def not_allowed(_request: HttpRequest) -> HttpResponse:
    raise NotAllowed("Your roles do not include “approve changes”.")


def conflict(_request: HttpRequest) -> HttpResponse:
    raise Conflict("mia has revised this RFC since you opened it, 2 minutes ago.")


def invalid(_request: HttpRequest) -> HttpResponse:
    raise Invalid([Blocker("rfc.start_at", "The start lies before now."), Blocker("rfc.reason", "A reason is needed.")])


SPECIMENS: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "object": example_object,
    "form": example_form,
    "confirm": example_confirm,
    "empty": example_empty,
    "blocked": refused,
    "not-allowed": not_allowed,
    "conflict": conflict,
    "invalid": invalid,
    "400": lambda request: errors.bad_request(request, BadCursor("This place in the list belongs to another order.")),
    "403": lambda request: errors.permission_denied(request, PermissionDenied()),
    "404": lambda request: errors.page_not_found(request),
    "csrf": lambda request: errors.csrf_failure(request),
    "500": lambda request: errors.server_error(request),
}


def specimen(request: HttpRequest, page: str) -> HttpResponse:
    """One page of a kind, by its name."""
    if page not in SPECIMENS:
        raise Http404(page)
    return SPECIMENS[page](request)
