"""The places of updates and feeds in the rail, the line of feed health, and what a host's page says of updates."""

from __future__ import annotations

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from changes.queries import updates
from changes.queries.feeds import late
from changes.web import baseline_panels, host_panel, route_panels, update_looks  # noqa: F401  registers how states look
from patchflow.web import panels
from patchflow.web.navigation import FootLine, nav


def sees_updates(request: HttpRequest) -> bool:
    return request.user.holds_somewhere("update.view")  # type: ignore[union-attr]


def undecided(request: HttpRequest) -> int | None:
    """Updates that apply here, of which nobody has decided what is done and which no change carries."""
    return updates.undecided(request.user).count() or None  # type: ignore[arg-type]


def feed_health(request: HttpRequest) -> FootLine | None:
    """Whether the word of the feeds counts now."""
    if not request.user.is_authenticated or not sees_updates(request):
        return None
    bad, of = late(at=timezone.now())
    address = reverse("changes:feed-list")
    if not of:
        return FootLine("st-unk", _("No feed yet"), address)
    if bad:
        return FootLine("st-unk", _("Feeds: %(bad)d of %(of)d with old or no data") % {"bad": bad, "of": of}, address)
    return FootLine("st-good", _("Feeds: all %(of)d fresh") % {"of": of}, address)


nav.add(
    "identify", gettext_lazy("Updates"), "changes:update-list", "update", 10, badge=undecided, permission=sees_updates,
    under=("changes:update-",),
)  # fmt: skip
nav.add(
    "identify", gettext_lazy("Feeds"), "changes:feed-list", "radar", 20, permission=sees_updates,
    under=("changes:feed-", "changes:feedrun-"),
)  # fmt: skip
nav.foot(feed_health, order=10)
panels.register("cmdb.host", host_panel.updates_of_host, order=10)
