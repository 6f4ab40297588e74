"""The navigation is the cycle. Apps add their places, lines of the rail's foot and the search when they start:

nav.add("assess", _("Estate"), "cmdb:item-list", "host", 10, badge=items_in_service)
nav.foot(feed_health, order=10)
nav.search("reports:search", _("RFC, update, CVE, host"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Label = str | Promise
Badge = Callable[[HttpRequest], int | None]
Permission = Callable[[HttpRequest], bool]

GROUPS: Final[dict[str, tuple[Label, str]]] = {
    "home": ("", ""),
    "assess": (_("Assess"), "ph1"),
    "identify": (_("Identify"), "ph2"),
    "evaluate": (_("Evaluate and plan"), "ph3"),
    "deploy": (_("Deploy"), "ph4"),
    "prove": (_("Prove"), "shield"),
}
"""Group → (heading, icon), in the order of the rail."""

PHASES: Final[dict[int, Label]] = {1: _("Assess"), 2: _("Identify"), 3: _("Evaluate and plan"), 4: _("Deploy")}


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail. `under` are the beginnings of view names that belong to it (default: its own noun)."""

    group: str
    label: Label
    url_name: str
    icon: str
    order: int
    badge: Badge | None = None
    permission: Permission | None = None
    under: tuple[str, ...] = ()

    def covers(self, view_name: str) -> bool:
        """Whether the page of `view_name` (`<app>:<noun>-<verb>`) lies in this place."""
        noun = self.url_name.rsplit("-", 1)[0] + "-" if "-" in self.url_name else self.url_name
        return view_name == self.url_name or any(view_name.startswith(start) for start in (*self.under, noun))


@dataclass(frozen=True, slots=True)
class FootLine:
    """A line of the rail's foot: the health of something that everybody should see."""

    css: str
    text: str
    url: str = ""


Foot = Callable[[HttpRequest], FootLine | None]


@dataclass(frozen=True, slots=True)
class Link:
    """A place as this request sees it."""

    label: Label
    url: str
    icon: str
    count: int | None
    current: bool


@dataclass(frozen=True, slots=True)
class Group:
    label: Label
    icon: str
    links: tuple[Link, ...]

    @property
    def css(self) -> str:
        """The rings of the phases are filled, other icons are drawn in lines."""
        return "ph" if self.icon.startswith("ph") else "i"


@dataclass(slots=True)
class Navigation:
    """The registry. One instance, `nav`; a test makes its own."""

    places: list[Place] = field(default_factory=list)
    feet: list[tuple[int, Foot]] = field(default_factory=list)
    inbox_url_name: str = ""
    unread: Callable[[HttpRequest], int] = lambda _request: 0
    personal: list[tuple[Label, str, str]] = field(default_factory=list)
    search_url_name: str = ""
    search_hint: Label = ""

    def add(
        self,
        group: str,
        label: Label,
        url_name: str,
        icon: str,
        order: int = 50,
        *,
        badge: Badge | None = None,
        permission: Permission | None = None,
        under: Iterable[str] = (),
    ) -> None:
        """Adds a place to `group`. `badge` gives its figure, `permission` whether it is shown; both see the request."""
        if group not in GROUPS:
            raise ValueError(f"{group!r} is not a group of the navigation: {', '.join(GROUPS)}")
        if any(place.url_name == url_name for place in self.places):
            return
        self.places.append(Place(group, label, url_name, icon, order, badge, permission, tuple(under)))
        self.places.sort(key=lambda place: (list(GROUPS).index(place.group), place.order, place.url_name))

    def foot(self, line: Foot, order: int = 50) -> None:
        """Adds a line to the rail's foot; it is left out of a page for which `line` gives None."""
        if all(other is not line for _, other in self.feet):
            self.feet.append((order, line))
            self.feet.sort(key=lambda entry: entry[0])

    def inbox(self, url_name: str, unread: Callable[[HttpRequest], int]) -> None:
        """Says which page lists a person's notices, and how many of them are unread: the bell of the top bar."""
        self.inbox_url_name, self.unread = url_name, unread

    def own(self, label: Label, url_name: str, icon: str) -> None:
        """Adds a page of a person's own to the menu under their name."""
        if all(name != url_name for _, name, _icon in self.personal):
            self.personal.append((label, url_name, icon))

    def search(self, url_name: str, hint: Label = "") -> None:
        """Says which page answers the search of the top bar (as `?q=`). Without it the bar has no search."""
        self.search_url_name, self.search_hint = url_name, hint

    def current(self, view_name: str) -> Place | None:
        """The place in which the page of `view_name` lies; the most exact one wins."""
        exact = [place for place in self.places if place.url_name == view_name]
        return next(iter(exact or [place for place in self.places if view_name and place.covers(view_name)]), None)

    def groups(self, request: HttpRequest, *, place: str = "") -> list[Group]:
        """The rail as this request sees it. A place without an address is left out (check `web.E001` reports it)."""
        match = getattr(request, "resolver_match", None)
        current = self.current(place or (match.view_name if match else ""))
        groups: dict[str, list[Link]] = {name: [] for name in GROUPS}
        for entry in self.places:
            if entry.permission is not None and not entry.permission(request):
                continue
            try:
                url = reverse(entry.url_name)
            except NoReverseMatch:
                continue
            count = entry.badge(request) if entry.badge else None
            groups[entry.group].append(Link(entry.label, url, entry.icon, count, entry is current))
        return [Group(*GROUPS[name], tuple(links)) for name, links in groups.items() if links]

    def foot_lines(self, request: HttpRequest) -> list[FootLine]:
        lines = (line(request) for _, line in self.feet)
        return [line for line in lines if line is not None]


nav = Navigation()
