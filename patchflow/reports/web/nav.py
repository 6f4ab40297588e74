"""The roof's places in the navigation, and the health lines of its foot."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from patchflow.reports.queries import trail
from patchflow.web import states, words
from patchflow.web.navigation import FootLine, nav


def may_audit(request: HttpRequest) -> bool:
    user: Any = request.user
    return user.is_authenticated and user.scopes_for("audit.view") is None


def trail_health(_request: HttpRequest) -> FootLine | None:
    """Whether the sealer keeps up."""
    state = trail.state()
    if state.last_sealed_at is None:
        return FootLine("st-unk", _("Trail not sealed yet"))
    age = timezone.now() - state.last_sealed_at
    if state.waiting and age.total_seconds() > 300:
        return FootLine("st-warn", _("Trail unsealed for %(age)s") % {"age": words.duration(age)})
    return FootLine("st-good", _("Trail sealed"))


states.register(
    "audit.outcome", {"done": ("st-good", gettext_lazy("done")), "refused": ("st-warn", gettext_lazy("refused"))}
)
nav.add("home", gettext_lazy("Home"), "reports:home", "home", 10)
nav.add(
    "prove", gettext_lazy("Audit"), "reports:audit-list", "audit", 90, permission=may_audit, under=("reports:audit-",)
)
nav.foot(trail_health, order=20)
nav.search("reports:find", gettext_lazy("RFC, update, CVE, host"))
