"""The places of releases and their reviews in the rail."""

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from patchflow.web.navigation import nav
from releases.models import PostImplementationReview
from releases.web import looks  # noqa: F401  registers how states look


def sees_releases(request: HttpRequest) -> bool:
    return request.user.scopes_for("release.view") != frozenset()  # type: ignore[union-attr]


def sees_reviews(request: HttpRequest) -> bool:
    return request.user.scopes_for("review.view") != frozenset()  # type: ignore[union-attr]


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
    under=("releases:release-", "releases:manifest-", "releases:profile-"),
)
nav.add("deploy", _("Reviews"), "releases:review-list", "review", 30, badge=open_reviews, permission=sees_reviews)
