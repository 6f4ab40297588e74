"""What releases shows on pages of the apps below: the release of an RFC."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from changes.enums import RFCState
from changes.models import RFC
from patchflow.web import panels
from releases.models import Release
from releases.queries.manifests import current
from releases.web import telling  # noqa: F401  its panels


def release_of_rfc(request: HttpRequest, rfc: Any) -> SafeString | None:
    """The releases of an RFC that the person may see, the newest first; where it could have one, how to get it."""
    assert isinstance(rfc, RFC)  # noqa: S101  the slot is the RFC's
    actor: Any = request.user
    rows = list(Release.objects.visible_to(actor).filter(links__rfc=rfc).order_by("-id")[:5])
    waiting = rfc.state == RFCState.AUTHORIZED and not any(r.state != "cancelled" for r in rows)
    if not rows and not waiting:
        return None
    context = {
        "releases": [{"release": r, "manifest": current(r.pk)} for r in rows],
        "rfc": rfc,
        "may_compose": waiting and actor.scopes_for("release.compose") != frozenset(),
    }
    return mark_safe(render_to_string("releases/_of_rfc.html", context, request))  # noqa: S308  a template escapes


panels.register("changes.rfc", release_of_rfc, order=10)
