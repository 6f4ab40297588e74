"""The baselines that releases brought, as panels on the pages of a release and of a cycle."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from changes.models import Cycle
from cmdb.enums import BaselineState
from cmdb.models import Baseline
from patchflow.kernel.signoffs import open_round_of
from patchflow.web import panels, states
from patchflow.web.parts import Statement
from releases.enums import ReleaseOutcome, ReleaseState
from releases.models import Release
from releases.queries.adopted import baselines_of


def baselines_of_release(request: HttpRequest, release: Any) -> SafeString | None:
    """After its completion: each baseline that it brought, adopted or put to the vote; or why it brought none."""
    assert isinstance(release, Release)  # noqa: S101  the slot is the release's
    actor: Any = request.user
    if release.state != ReleaseState.COMPLETED or not actor.holds_somewhere("host.view"):
        return None
    lines = _lines(baselines_of([release.pk], actor=actor).get(release.pk, []))
    return _shown(request, lines, "" if lines else _why_none(release))


def baselines_of_cycle(request: HttpRequest, cycle: Any) -> SafeString | None:
    """What the completed releases of a cycle made of the baselines: the end of its last step."""
    assert isinstance(cycle, Cycle)  # noqa: S101  the slot is the cycle's
    actor: Any = request.user
    rows = Release.objects.visible_to(actor).filter(links__rfc__cycle=cycle, state=ReleaseState.COMPLETED).distinct()
    done = list(rows.order_by("-pk")[:20])
    if not done or not actor.holds_somewhere("host.view"):
        return None
    found = baselines_of([release.pk for release in done], actor=actor)
    lines = []
    for release in done:
        lines += _lines(found.get(release.pk, []), f"{release.number}: ")
        if release.pk not in found:
            lines.append(
                Statement("st-open", f"{release.number}: {_why_none(release)}", "", release.get_absolute_url())
            )
    return _shown(request, lines, "")


def _lines(baselines: list[Baseline], before: str = "") -> list[Statement]:
    return [
        Statement(states.look_of(one).css, f"{before}{one}", _said(one), reverse("cmdb:baseline-detail", args=[one.pk]))
        for one in baselines
    ]


def _said(baseline: Baseline) -> str:
    if baseline.state != BaselineState.PROPOSED:
        return str(states.look_of(baseline).label)
    return _("put to the vote") if open_round_of(baseline) else _("proposed, waits for a person")


def _why_none(release: Release) -> str:
    if release.outcome != ReleaseOutcome.FULL:
        return _("no baseline changes: it was not deployed in full")
    return _("no baseline changes: what is in force says it already")


def _shown(request: HttpRequest, lines: list[Statement], why: str) -> SafeString:
    return mark_safe(render_to_string("releases/_baselines.html", {"lines": lines, "why": why}, request))  # noqa: S308


panels.register("releases.release", baselines_of_release, order=40)
panels.register("changes.cycle", baselines_of_cycle, order=40)
