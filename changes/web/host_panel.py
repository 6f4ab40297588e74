"""What a host's page says of updates: what the host misses, with the verdict, and what is not known."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from changes.queries.applicability import MISSING, MissingUpdate, updates_missing_on
from changes.queries.coverage import coverage_of, release_of
from cmdb.models import Host
from patchflow.kernel.sentences import say
from patchflow.web.tables import Column, Table

SHOWN = 12


def _update(row: MissingUpdate) -> SafeString | str:
    if row.update is None:
        return f"{row.on_host.package}: {say(row.on_host.reason) or row.on_host.why}"
    return format_html(
        '<a href="{}">{}</a> <span class="tiny dim">{}</span><div><span class="ver">{}</span>'
        ' <span class="ver"><span class="lt">&lt;</span> {}</span></div>',
        reverse("changes:update-detail", args=[row.update.pk]),
        row.update.name,
        row.update.get_update_class_display(),
        row.on_host.installed_version,
        row.update.fixed_version,
    )


COLUMNS = (
    Column(gettext_lazy("Update"), _update, wide=True),
    Column(gettext_lazy("Result"), "verdict", state="changes.verdict"),
)


def updates_of_host(request: HttpRequest, host: Host) -> SafeString | None:
    """The fragment; None for who may not look at updates."""
    actor: Any = request.user
    if not actor.holds_somewhere("update.view"):
        return None
    now = timezone.now()
    rows = [row for row in updates_missing_on(host.pk, at=now) if row.covered_by is None]
    platform = host.platform
    line = None
    if platform is not None:
        release = release_of(platform.ecosystem, platform.release)
        line = coverage_of(platform.distribution, release, at=now, actor=actor)
    context = {
        "table": Table(COLUMNS, rows[:SHOWN], now, caption=str(gettext_lazy("Updates"))),
        "rows": rows,
        "more": max(len(rows) - SHOWN, 0),
        "missing": sum(row.verdict in MISSING for row in rows),
        "line": line,
        "now": now,
    }
    return mark_safe(render_to_string("changes/_host_updates.html", context, request=request))  # noqa: S308  our template
