"""What releases shows on pages of the apps below: the release of an RFC, the work that is planned in a window."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.enums import RFCState
from changes.models import RFC
from cmdb.models import ServiceWindow
from patchflow.web import panels, states
from patchflow.web.parts import Statement
from releases.domain.change_rehearsals import REHEARSED
from releases.domain.plans import PLANNABLE
from releases.enums import ReleaseState
from releases.enums_rollout import JobState
from releases.models import PlannedWindow, Release
from releases.queries.manifests import current
from releases.queries.window_changes import going_on_in
from releases.web import adopted, telling, window_changes  # noqa: F401  their panels

SHOWN = 20


def release_of_rfc(request: HttpRequest, rfc: Any) -> SafeString | None:
    """The releases of an RFC that the person may see, the newest first; where it could have one, how to get it."""
    assert isinstance(rfc, RFC)  # noqa: S101  the slot is the RFC's
    actor: Any = request.user
    rows = list(Release.objects.visible_to(actor).filter(links__rfc=rfc).order_by("-id")[:5])
    alone = not any(r.state != "cancelled" for r in rows)
    waiting = rfc.state == RFCState.AUTHORIZED and alone
    rehearsed = alone and rfc.state in REHEARSED
    if not rows and not waiting and not rehearsed:
        return None
    context = {
        "releases": [{"release": r, "manifest": current(r.pk)} for r in rows],
        "rfc": rfc,
        "rehearsed": rehearsed,
        "may_compose": waiting and actor.holds_somewhere("release.compose"),
    }
    return mark_safe(render_to_string("releases/_of_rfc.html", context, request))  # noqa: S308  a template escapes


def work_in_window(request: HttpRequest, window: Any) -> SafeString | None:
    """What an edit of a window reaches: the open releases in sight that name it, each with its queued hosts, and what
    becomes of those that name an earlier revision."""
    assert isinstance(window, ServiceWindow)  # noqa: S101  the slot is the window's
    actor: Any = request.user
    queued = Count("release__rollouts__jobs", filter=Q(release__rollouts__jobs__state=JobState.PENDING))
    rows = (
        PlannedWindow.objects.filter(window=window, release__in=Release.objects.visible_to(actor).open())
        .select_related("release")
        .annotate(queued=queued)
        .order_by("-release_id")
    )
    found = list(rows[:SHOWN])
    if not found:
        return None
    going_on = going_on_in(window)
    lines = [
        Statement(
            "st-open" if row.revision == window.revision else "st-warn",
            row.release.named,
            _said_of(row, window.revision, row.queued, going_on),
            row.release.get_absolute_url(),
        )
        for row in found
    ]
    context = {
        "lines": lines,
        "stale": any(row.revision != window.revision and row.release_id not in going_on for row in found),
    }
    return mark_safe(render_to_string("releases/_work_in_window.html", context, request))  # noqa: S308  a template escapes


def _said_of(row: PlannedWindow, revision: int, queued: int, going_on: set[int]) -> str:
    state = str(states.look_of(row.release).label)
    hosts = ngettext("%(n)d host queued", "%(n)d hosts queued", queued) % {"n": queued} if queued else ""
    if row.revision == revision:
        return ", ".join(filter(None, [state, hosts]))
    if row.release.state in PLANNABLE:
        todo = _("choose the window again")
    elif row.release.state in (ReleaseState.AWAITING_READINESS, ReleaseState.READY):
        todo = _("revise it")
    else:
        if row.release_id in going_on:
            return ", ".join(filter(None, [state, hosts, _("runs only in what was signed and is still open")]))
        todo = _("nothing more starts: stop it, or let the rest go into another release")
    return ", ".join(filter(None, [state, hosts, _("named revision %(n)d") % {"n": row.revision}, todo]))


panels.register("changes.rfc", release_of_rfc, order=10)
panels.register("cmdb.window", work_in_window, order=10)
