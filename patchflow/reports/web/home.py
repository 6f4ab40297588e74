"""Home: what waits for me, what stands in each phase, which clocks run out. Find: one box for numbers, names and CVEs."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from changes.rules_identify import may_manage_feeds
from patchflow.kernel.rules import failing
from patchflow.reports.queries import find as found
from patchflow.reports.queries import home as asked
from patchflow.reports.queries import waiting
from patchflow.reports.queries.compliance import interval
from patchflow.web.parts import Statement


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    actor: Any = request.user
    at = timezone.now()
    todo = waiting.waiting_for(actor, at=at)
    clocks = asked.clocks(actor, at=at)
    phases = asked.phases(actor, at=at)
    first = asked.first_steps(actor)
    roleless = not actor.role_grants.exists()
    title, lede = _head(len(todo), late=asked.late(phases), first=bool(first), roleless=roleless)
    if roleless and actor.is_superuser:
        lede = _(
            "You are a superuser, and that opens nothing here: only roles do. An administrator gives you some under People."
        )
    context = {
        "title": title,
        "lede": lede,
        "sections": waiting.sections(todo),
        "roleless": roleless,
        "first": first,
        "phases": phases,
        "clocks": clocks,
        "interval": interval(actor, at=at),
        "feeds": asked.feeds(actor, at=at),
        "without_feed": asked.without_feed(),
        "may_add_hosts": actor.holds_somewhere("host.add"),
        "may_manage_feeds": not failing([may_manage_feeds], None, actor),
        "scans": asked.scans(actor, at=at),
        "recent": asked.recent(actor, at=at),
    }
    return render(request, "reports/home.html", context)


def _head(count: int, *, late: int, first: bool, roleless: bool) -> tuple[str, str]:
    """Title and lede: how much waits, and whether a clock has run out; without a role or on a fresh installation, that."""
    title = ngettext("One thing waits for you", "%(n)d things wait for you", count) % {"n": count}
    if not count:
        title = (
            _("Your account has no role yet")
            if roleless
            else _("Getting started")
            if first
            else _("Nothing waits for you")
        )
    if roleless:
        return title, _("Without a role you see no hosts, changes or releases. Ask an administrator for one.")
    if late:
        return title, ngettext("One start-by clock has run out.", "%(n)d start-by clocks have run out.", late) % {
            "n": late
        }
    return title, "" if first else _("No start-by clock has run out.")


@login_required
@require_safe
def find(request: HttpRequest) -> HttpResponse:
    actor: Any = request.user
    text = request.GET.get("q", "").strip()[: found.LONGEST]
    hits = found.find(text, actor) if text else []
    if meant := found.straight(hits):
        return redirect(meant.url)
    shown = [
        Statement("st-good" if hit.exact else "st-open", hit.title, hit.kind, hit.url, icon="search") for hit in hits
    ]
    return render(request, "reports/find.html", {"title": _("Find"), "text": text, "hits": hits, "statements": shown})
