"""The places of releases and their reviews in the rail."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from patchflow.web.navigation import nav
from releases.models import PostImplementationReview
from releases.web import looks  # noqa: F401  registers how states look


def sees_releases(request: HttpRequest) -> bool:
    return request.user.holds_somewhere("release.view")  # type: ignore[union-attr]


def sees_reviews(request: HttpRequest) -> bool:
    return request.user.holds_somewhere("review.view")  # type: ignore[union-attr]


def sees_all_reviews(request: HttpRequest) -> bool:
    """Reviews at intervals are of the whole estate."""
    return request.user.scopes_for("review.view") is None  # type: ignore[union-attr]


def open_reviews(request: HttpRequest) -> int | None:
    """Reviews that nobody has completed yet."""
    rows = PostImplementationReview.objects.visible_to(request.user)  # type: ignore[arg-type]
    return rows.filter(state="open").count() or None


nav.add(
    "evaluate",
    _("Releases"),
    "releases:release-list",
    "release",
    40,
    permission=sees_releases,
    under=("releases:release-", "releases:manifest-", "releases:profile-", "releases:step-"),
)
nav.add(
    "deploy",
    _("Reviews"),
    "releases:review-list",
    "review",
    30,
    badge=open_reviews,
    permission=sees_reviews,
    under=("releases:review-", "releases:slot-"),
)
nav.add(
    "deploy",
    _("Operations, SLA"),
    "releases:periodic-list",
    "clock",
    31,
    permission=sees_all_reviews,
    under=("releases:periodic-",),
)
