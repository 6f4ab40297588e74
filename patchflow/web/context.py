"""What every page knows: the navigation, where it stands in it, the foot of the rail, the moment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _

from patchflow.kernel import trial
from patchflow.kernel.roles import all_roles
from patchflow.web import words
from patchflow.web.navigation import FootLine, Group, Link, nav


class Shell:
    """The frame around a page. Everything is worked out on first use, so a page without the frame costs nothing."""

    def __init__(self, request: HttpRequest, now: datetime) -> None:
        self.request, self.now = request, now

    @property
    def known(self) -> bool:
        """Whether somebody is logged in; to others the frame shows neither places nor figures."""
        user = getattr(self.request, "user", None)
        return bool(user and user.is_authenticated)

    @cached_property
    def trial(self) -> bool:
        """Whether nothing is executed on hosts, which every page says."""
        return self.known and trial.active()

    @cached_property
    def groups(self) -> list[Group]:
        return nav.groups(self.request, place=getattr(self.request, "place", "")) if self.known else []

    @cached_property
    def place(self) -> Link | None:
        """The place of the navigation in which this page lies; None on the page of the place itself."""
        links = [link for group in self.groups for link in group.links if link.current]
        return next((link for link in links if link.url != self.request.path), None)

    @cached_property
    def feet(self) -> list[FootLine]:
        return nav.foot_lines(self.request) if self.known else []

    @cached_property
    def search_url(self) -> str:
        if not (self.known and nav.search_url_name):
            return ""
        try:
            return reverse(nav.search_url_name)
        except NoReverseMatch:
            return ""

    @cached_property
    def inbox(self) -> Link | None:
        """The bell: where the person's notices are, and how many are unread."""
        if not (self.known and nav.inbox_url_name):
            return None
        url = reverse(nav.inbox_url_name)
        return Link(_("Notices"), url, "bell", nav.unread(self.request), url == self.request.path)

    @cached_property
    def personal(self) -> list[Link]:
        """Pages of the person's own."""
        return [Link(label, reverse(name), icon, None, False) for label, name, icon in nav.personal]

    @property
    def search_hint(self) -> str | Promise:
        return nav.search_hint

    @property
    def clock(self) -> str:
        return words.clock_face(self.now)

    @cached_property
    def roles(self) -> list[str]:
        """The titles of the person's roles: ["Change manager"]."""
        grants = getattr(getattr(self.request, "user", None), "role_grants", None)
        if grants is None:
            return []
        held = set(grants.values_list("role", flat=True))
        return [role.label for name, role in all_roles().items() if name in held]


def shell(request: HttpRequest) -> dict[str, Any]:
    """The context processor: `shell` and `now`."""
    now = getattr(request, "now", None) or timezone.now()
    return {"shell": Shell(request, now), "now": now}
