"""Scan runs as pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from cmdb.domain import scans
from cmdb.enums import ResultState, ScanState
from cmdb.models import Host, ScanRun
from cmdb.queries.scans import reason_for, runs_in_sight
from cmdb.web.hosts import who
from patchflow.kernel import audit, workflow
from patchflow.web import parts, states, words
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import verbs_of

OPEN = (ScanState.QUEUED, ScanState.RUNNING)
SLOW = timedelta(minutes=1)
"""A worker that runs has taken a scan by then."""


@list_page(gettext_lazy("Scans"))
@login_required
def scan_list(request: HttpRequest) -> HttpResponseBase:
    """Scan runs, newest first."""
    columns = [
        Column(_("Scan"), str, url=lambda r: reverse("cmdb:scan-detail", args=[r.pk]), name="scan"),
        Column(_("State"), "state", state="cmdb.scanrun"),
        Column(_("Scanner"), "scanner"),
        Column(_("Asked for by"), "requested_by.username"),
        Column(_("Asked"), "requested_at", age=True, numeric=True, sort="age"),
        Column(_("Outcome"), reason_for, kept="said", wide=True, name="outcome"),
    ]

    listing = Listing(
        request,
        runs_in_sight(who(request)),
        columns,
        sorts={"age": ("-requested_at",)},
        default="age",
        filters=[Filter("state", _("State"), "state", ScanState.choices)],
        now=timezone.now(),
        caption=_("Scans"),
    )
    if listing.wants_csv:
        return listing.csv("scans.csv")
    context = {
        "title": _("Scans"),
        "phase": 1,
        "listing": listing,
        "empty_title": _("Nothing has been scanned yet"),
        "empty_advice": _(
            "Hosts are scanned daily by themselves once their key is accepted; a host's page can ask at once."
        ),
        "empty_url": reverse("cmdb:host-list"),
        "empty_label": _("To the estate"),
        "crumbs": [parts.Crumb(_("Scans"))],
    }
    return render(request, "web/list.html", context)


def _visible(request: HttpRequest, pk: int) -> ScanRun:
    return get_object_or_404(runs_in_sight(who(request)), pk=pk)


@login_required
def scan_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A scan run: how far it is, and each host's result with its reason. Asks for itself again while it runs."""
    run, now = _visible(request, pk), timezone.now()
    seen = run.results.filter(host__in=Host.objects.visible_to(who(request)))
    counted = list(seen.values_list("state", flat=True))
    done = len(counted) - counted.count(ResultState.PENDING)
    listing = Listing(
        request,
        seen.select_related("host"),
        [
            Column(_("Host"), "host.name", url=lambda r: reverse("cmdb:host-detail", args=[r.host_id]), sort="name"),
            Column(_("Result"), "state", state="cmdb.scanresult"),
            Column(_("Packages"), "packages", numeric=True),
            Column(_("Changed"), "changed"),
            Column(_("Reason"), "reason", kept="said", wide=True),
        ],
        sorts={"name": ("host__name",)},
        default="name",
        filters=[Filter("state", _("Result"), "state", ResultState.choices)],
        now=now,
        caption=_("Results"),
    )
    if listing.wants_csv:
        return listing.csv(f"scan-{pk}.csv")
    context = {
        "title": str(run),
        "phase": 1,
        "ident": [
            _("by %(scanner)s") % {"scanner": run.scanner},
            _("asked for by %(who)s") % {"who": run.requested_by},
        ],
        "run": run,
        "is_open": run.state in OPEN,
        "done": done,
        "total": len(counted),
        "counts": [
            parts.Count(str(look.label), counted.count(state), look.css, f"?state={state}")
            for state, look in states.table("cmdb.scanresult").items()
            if state in counted
        ],
        "next": _next_step(run, done, counted.count(ResultState.SCANNED), len(counted)),
        "verbs": verbs_of(
            workflow.available(run, actor=who(request), at=now),
            url=lambda name: reverse(f"cmdb:scan-{name}", args=[run.pk]),
            icons={"cancel": "x"},
        ),
        "listing": listing,
        "timeline": _history(run)[:8],
        "crumbs": [parts.Crumb(_("Scans"), reverse("cmdb:scan-list")), parts.Crumb(str(run))],
    }
    return render(request, "cmdb/scan_detail.html", context)


def _history(run: ScanRun) -> Any:
    """Its entries; how it ended counts every host, so that is left out for who does not see them all."""
    rows = audit.history(run)
    return rows.exclude(verb__in=("cmdb.scan.partial", "cmdb.scan.failed")) if run.unseen else rows  # type: ignore[attr-defined]


def _next_step(run: ScanRun, done: int, whole: int, total: int) -> parts.Next:
    if run.state == ScanState.QUEUED:
        age = timezone.now() - run.requested_at
        if age > SLOW:
            return parts.Next(
                _("It has waited for a worker for %(age)s.") % {"age": words.duration(age)},
                _("Perhaps none runs for the queue of scans: an administrator starts one."),
            )
        return parts.Next(_("A worker takes it within seconds."))
    if run.state == ScanState.RUNNING:
        left = total - done
        return parts.Next(
            ngettext("%(n)d host is still to answer.", "%(n)d hosts are still to answer.", left) % {"n": left}
        )
    if whole < total:
        return parts.Next(
            _("%(n)d of %(total)d hosts were scanned; the others stand below with the reason.")
            % {"n": whole, "total": total},
            reason_for(run),
        )
    return parts.Next(reason_for(run) or _("Every host was scanned."))


@login_required
@require_POST
def scan_cancel(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Stops a scan."""
    run = _visible(request, pk)
    scans.cancel(scan_run_id=run.pk, actor=who(request), at=timezone.now())
    return redirect("cmdb:scan-detail", pk)
