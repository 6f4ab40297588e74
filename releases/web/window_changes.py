"""What edits of windows did to the queued hosts of a rollout, as a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cmdb.models import ServiceWindow
from patchflow.kernel.blockers import here
from patchflow.web import panels, parts
from patchflow.web.parts import Statement
from patchflow.web.tables import Column, Table
from releases.models import Rollout, WindowChange
from releases.queries.window_changes import hosts_in_sight
from releases.web.rollouts import visible_rollout, who

SHOWN = 500
"""Hosts of one edit by name; REST has them all."""
WORDS = {
    "stays": gettext_lazy("as before"),
    "moved": gettext_lazy("moved"),
    "cancelled": gettext_lazy("cancelled"),
    "halted": gettext_lazy("stands still"),
}
COUNTS = {
    "stays": gettext_lazy("%(n)d as before"),
    "moved": gettext_lazy("%(n)d moved"),
    "cancelled": gettext_lazy("%(n)d cancelled"),
    "halted": gettext_lazy("%(n)d stand still"),
}


@login_required
def rollout_windows(request: HttpRequest, pk: int) -> HttpResponse:
    """Each edit of one of its windows, newest first: the rule that was chosen, and every queued host in sight."""
    rollout, now, actor = visible_rollout(request, pk), timezone.now(), who(request)
    rows = WindowChange.objects.filter(rollout=rollout).select_related("window", "made_by", "rollout")
    context = {
        "title": _("Edited windows of %(number)s") % {"number": rollout.number},
        "lede": _(
            "What was signed is what runs: a host is moved only to another opening of the window that was signed too."
        ),
        "phase": 4,
        "edits": [(one, said_of(one), _table(one, actor, now)) for one in rows],
        "crumbs": [
            parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")),
            parts.Crumb(rollout.number, rollout.get_absolute_url()),
            parts.Crumb(_("Edited windows")),
        ],
    }
    return render(request, "releases/rollout_windows.html", context)


def said_of(one: WindowChange) -> str:
    """An edit in a sentence."""
    return f"{one.get_rule_display()} ({counts_of(one)})"


def counts_of(one: WindowChange) -> str:
    """How many hosts were moved, cancelled, left as they were, or stand still."""
    return ", ".join(COUNTS[word] % {"n": n} for word, n in sorted(one.counts.items())) or _("no host was queued")


def _table(one: WindowChange, actor: Any, now: Any) -> Table:
    columns = [
        Column(
            _("Host"),
            lambda row: row["name"],
            url=lambda row: f"{one.rollout.get_absolute_url()}?target={row['job']}#why",
        ),
        Column(_("Would begin"), lambda row: _moment(row["opens"])),
        Column(_("Begins then"), lambda row: _moment(row["becomes"])),
        Column(_("Result"), lambda row: WORDS[row["word"]]),
        Column(_("Why"), lambda row: here(row["why"]), wide=True),
    ]
    return Table(columns, hosts_in_sight(one, actor)[:SHOWN], now, str(one))


def _moment(value: str | None) -> Any:
    return parse_datetime(value) if value else ""


def edits_of_rollout(request: HttpRequest, rollout: Any) -> SafeString | None:
    """That windows of a rollout were edited while its hosts waited, and what became of them."""
    assert isinstance(rollout, Rollout)  # noqa: S101  the slot is the rollout's
    return _panel(request, WindowChange.objects.filter(rollout=rollout), lambda one: one.window.name)


def edits_of_window(request: HttpRequest, window: Any) -> SafeString | None:
    """What edits of a window did to hosts that waited for it."""
    assert isinstance(window, ServiceWindow)  # noqa: S101  the slot is the window's
    seen = Rollout.objects.visible_to(who(request))
    return _panel(request, WindowChange.objects.filter(window=window, rollout__in=seen), lambda one: one.rollout.number)


def _panel(request: HttpRequest, rows: Any, name: Callable[[WindowChange], str]) -> SafeString | None:
    found = list(rows.defer("hosts").select_related("rollout", "window", "made_by")[:5])
    if not found:
        return None
    lines = [
        Statement(
            "st-warn" if one.counts.get("cancelled") or one.counts.get("halted") else "st-open",
            name(one),
            counts_of(one),
            one.rollout.get_windows_url(),
        )
        for one in found
    ]
    return mark_safe(render_to_string("releases/_window_edits.html", {"lines": lines}, request))  # noqa: S308  a template escapes


panels.register("cmdb.window", edits_of_window, order=20)
panels.register("releases.rollout", edits_of_rollout, order=20)
