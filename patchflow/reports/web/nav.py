"""The roof's places in the navigation, and the health lines of its foot."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from patchflow.notices import subscriptions
from patchflow.notices.models import Delivery
from patchflow.reports.queries import trail
from patchflow.web import states, words
from patchflow.web.navigation import FootLine, nav


def may_audit(request: HttpRequest) -> bool:
    user: Any = request.user
    return user.is_authenticated and user.scopes_for("audit.view") is None


def keeps_webhooks(request: HttpRequest) -> bool:
    user: Any = request.user
    return user.is_authenticated and user.holds("webhook.manage")


def keeps_people(request: HttpRequest) -> bool:
    user: Any = request.user
    return user.is_authenticated and user.holds("user.edit")


def may_try(request: HttpRequest) -> bool:
    user: Any = request.user
    return user.is_authenticated and user.scopes_for("trial.set") is None


def trail_health(_request: HttpRequest) -> FootLine | None:
    """Whether the sealer keeps up."""
    state = trail.state()
    if state.last_sealed_at is None:
        return FootLine("st-unk", _("Trail not sealed yet"))
    age = timezone.now() - state.last_sealed_at
    if state.waiting and age.total_seconds() > 300:
        return FootLine("st-warn", _("Trail unsealed for %(age)s") % {"age": words.duration(age)})
    return FootLine("st-good", _("Trail sealed"))


def mail_health(request: HttpRequest) -> FootLine | None:
    """Mail that did not arrive, for who looks after that; nothing while all did."""
    user: Any = request.user
    if not user.holds("notice.oversee"):
        return None
    failed = Delivery.objects.undelivered(user).order_by()[:100].count()
    if not failed:
        return None
    text = ngettext("%(n)d notice did not arrive", "%(n)d notices did not arrive", failed) % {"n": failed}
    return FootLine("st-bad", text, reverse("reports:undelivered-list"))


def unread_of(request: HttpRequest) -> int:
    user: Any = request.user
    return subscriptions.unread(user)


states.register(
    "notices.delivery",
    {
        "queued": ("st-wait", gettext_lazy("on its way")),
        "sent": ("st-good", gettext_lazy("sent")),
        "failed": ("st-bad", gettext_lazy("did not arrive")),
        "none": ("st-open", gettext_lazy("here only")),
    },
)
states.register(
    "notices.reading", {"unread": ("st-wait", gettext_lazy("new")), "read": ("st-open", gettext_lazy("read"))}
)
states.register(
    "audit.outcome", {"done": ("st-good", gettext_lazy("done")), "refused": ("st-warn", gettext_lazy("refused"))}
)
states.register(
    "notices.webhook", {"on": ("st-good", gettext_lazy("on")), "off": ("st-warn", gettext_lazy("switched off"))}
)
states.register(
    "kernel.person",
    {"active": ("st-good", gettext_lazy("active")), "inactive": ("st-open", gettext_lazy("deactivated"))},
)
nav.add("home", gettext_lazy("Home"), "reports:home", "home", 10)
nav.add(
    "prove", gettext_lazy("Audit"), "reports:audit-list", "audit", 90, permission=may_audit, under=("reports:audit-",)
)
nav.add("prove", gettext_lazy("People"), "reports:person-list", "people", 93, permission=keeps_people)
nav.add(
    "prove",
    gettext_lazy("Webhooks"),
    "reports:webhook-list",
    "hook",
    95,
    permission=keeps_webhooks,
    under=("reports:webhook-",),
)
nav.add("prove", gettext_lazy("Trial mode"), "reports:trial", "test", 97, permission=may_try)
nav.foot(trail_health, order=20)
nav.foot(mail_health, order=30)
nav.inbox("reports:notice-list", unread_of)
nav.own(gettext_lazy("Settings"), "reports:settings", "settings")
nav.search("reports:find", gettext_lazy("Number, host, CVE"))
