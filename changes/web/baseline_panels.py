"""What changes adds to the pages of baselines: raising an RFC for the hosts below, or about one that is above."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from cmdb.enums import BaselineResult
from cmdb.models import Host
from cmdb.queries.baselines import of_host
from patchflow.web import panels


def raise_for_below(request: HttpRequest, below: Any) -> SafeString | None:
    """The way from "below" to a change; None where nothing is below, or the person may raise none."""
    actor: Any = request.user
    mine = Host.objects.live().within(actor, "rfc.raise").filter(pk__in=below.host_ids).count()
    if not mine:
        return None
    context = {"count": mine, "url": f"{reverse('changes:rfc-raise')}?below={below.query.replace('=', ':')}"}
    return mark_safe(render_to_string("changes/_below.html", context, request=request))  # noqa: S308  our template


def change_of_host(request: HttpRequest, host: Host) -> SafeString | None:
    """For a host that is not at its baseline: the change that brings it back, or keeps it as it is."""
    actor: Any = request.user
    results = {found.result for _baseline, found in of_host(host, at=timezone.now())}
    wanted = results & {BaselineResult.BELOW, BaselineResult.ABOVE}
    if not wanted or not Host.objects.live().within(actor, "rfc.raise").filter(pk=host.pk).exists():
        return None
    context = {
        "above": BaselineResult.ABOVE in wanted,
        "url": f"{reverse('changes:rfc-raise')}?below=host:{host.pk}",
        "freeze": reverse("changes:freeze-list") if actor.holds_somewhere("freeze.declare") else "",
    }
    return mark_safe(render_to_string("changes/_baseline_of_host.html", context, request=request))  # noqa: S308  our template


panels.register("cmdb.below", raise_for_below, order=10)
panels.register("cmdb.hostbaseline", change_of_host, order=10)
