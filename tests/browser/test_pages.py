"""Every page as a picture, in an empty, a small and a large world, 1280 and 390 wide; the browser complains about none.

`make pictures` runs this and keeps the pictures in pictures/<world>/, to be looked at; other runs ask the browser the same and
draw none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.conf import settings as django_settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.text import slugify
from playwright.sync_api import Page as Tab

from patchflow.kernel.models import User
from patchflow.web.pictures import Page, photograph
from tests.browser.axe import barriers, barriers_but_colours
from tests.browser.masses import make_much
from tests.browser.worlds import Scene, make_little
from tests.factories.people import Cast, make_cast
from tests.fakes.repository import Repository

pytestmark = [
    pytest.mark.browser,
    pytest.mark.pictures,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800),
]
Examine = Callable[[Tab], Iterable[str]]
PICTURES = Path(django_settings.BASE_DIR) / "pictures"
KEPT = os.environ.get("PATCHFLOW_PICTURES") == "1"
APPS = ("cmdb", "changes", "releases", "reports", "web")
STYLE_GUIDE = ("styleguide", "styleguide-page")

WHO = {
    "item": "cora", "point": "cora",
    "host": "cora", "group": "cora", "support": "cora", "window": "cora", "baseline": "cora", "discrepancy": "cora", "scan": "otto",
    "exemption": "sam",
    "update": "ann", "feed": "sam", "feedrun": "sam",
    "rfc": "che", "board": "mia", "meeting": "cal", "substitute": "mia", "cycle": "che", "model": "che", "calendar": "che",
    "freeze": "che", "route": "che", "changetask": "che",
    "release": "rex", "profile": "rex", "step": "sam", "manifest": "gus", "review": "che",
    "periodic": "che", "slot": "ada", "rollout": "rex", "ring": "otto", "job": "otto", "task": "otto",
    "home": "che", "find": "che", "audit": "aud", "account": "ann",
    "delay": "che", "notice": "mia", "notices": "mia", "undelivered": "otto", "settings": "mia",
    "filter": "che", "webhook": "ada", "person": "ada", "trial": "ada",
}  # fmt: skip
"""Noun of an address → who looks at it."""

NO_PAGE = {
    # verbs at a click: done by POST on the page of their object
    "cmdb:exemption-grant",
    "cmdb:item-enter", "cmdb:item-unlink", "cmdb:point-check", "changes:model-propose", "changes:rfc-copy", "changes:rfc-drop-reference",
    "changes:feed-poll", "changes:feed-enable", "changes:feed-disable", "changes:changetask-begin",
    "changes:rfc-evaluate", "changes:rfc-request-approval", "changes:rfc-score",
    "changes:rfc-submit", "changes:update-respond", "cmdb:baseline-adopt", "cmdb:baseline-ask", "cmdb:baseline-decide",
    "cmdb:host-accept-key", "cmdb:host-scan", "cmdb:host-show-key", "cmdb:host-test", "cmdb:scan-cancel", "releases:release-accept",
    "releases:release-build", "releases:release-propose-next", "releases:release-seal", "releases:release-test",
    "releases:ring-acknowledge", "reports:notices-read", "reports:settings-notices",
    "changes:calendar-revoke", "web:filter-begin", "reports:webhook-test", "reports:webhook-switch-on",
    "changes:meeting-publish", "changes:meeting-open", "changes:meeting-fill", "changes:meeting-begin", "changes:meeting-begin-next",
    "changes:meeting-consent", "changes:meeting-pull",
    # fragments, and a way to the page that is current
    "changes:board-tally", "changes:meeting-tally", "changes:meeting-session", "releases:rollout-kill-switch",
    # files
    "changes:calendar-feed", "changes:rfc-file",
    "changes:update-hosts", "releases:manifest-document",
}  # fmt: skip
"""Addresses without a picture; a test holds that each of them is no page."""

ACCOUNT = ("account_logout", "account_change_password")
SIGNED_OUT = ("account_login", "account_reset_password", "account_signup")


GERMAN = {
    "reports:home", "reports:audit-list", "reports:settings", "reports:find",
    "changes:rfc-list", "changes:rfc-detail", "changes:rfc-raise", "changes:rfc-cancel", "changes:board-list", "changes:board-item",
    "changes:meeting-detail", "changes:meeting-item", "changes:calendar-show", "changes:update-list", "changes:update-detail",
    "changes:cycle-detail", "releases:release-list", "releases:release-detail", "releases:release-rings",
    "releases:manifest-detail", "releases:rollout-detail", "releases:ring-people", "cmdb:host-list", "cmdb:host-detail",
    "cmdb:baseline-list", "cmdb:window-add",
}  # fmt: skip
"""Addresses that are also looked at in German, whose words are longer."""


@dataclass(frozen=True)
class Shot:
    """A page to photograph and the person who looks; nobody is logged in where `who` is empty."""

    who: str
    page: Page


def addresses() -> Iterator[tuple[str, bool]]:
    """Every address of the web UI by its name, and whether it needs an object."""

    def walk(resolver: URLResolver, spaces: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
        for entry in resolver.url_patterns:
            if isinstance(entry, URLResolver):
                yield from walk(entry, (*spaces, entry.namespace) if entry.namespace else spaces)
            elif isinstance(entry, URLPattern) and spaces and spaces[0] in APPS and entry.name not in STYLE_GUIDE:
                yield f"{spaces[0]}:{entry.name}", bool(entry.pattern.converters)

    found: set[tuple[str, bool]] = set(walk(get_resolver("patchflow.urls"), ()))
    return iter(sorted(found))


def things_of(name: str, scene: Scene) -> dict[str, Any]:
    """The object that stands for this address: its own, else its noun's. A new noun wants an object in worlds.py."""
    local = name.partition(":")[2]
    noun = local.partition("-")[0]
    assert local in scene.things or noun in scene.things, f"{name}: no object in this world, so no picture"
    return scene.things[local if local in scene.things else noun]


def shots_of(scene: Scene, *, whole: bool, only: Collection[str] = ()) -> list[Shot]:
    """A picture of every address that shows a page; with `whole` False only of those that need no object."""
    shots = []
    for name, needs_object in addresses():
        if name in NO_PAGE or (needs_object and not whole) or (only and name not in only):
            continue
        who = WHO[name.partition(":")[2].partition("-")[0]]
        seen = {"": things_of(name, scene) if needs_object else {}, **scene.more.get(name, {})}
        for variant, given in seen.items():
            shots.append(Shot(who, Page(slugify(f"{name.replace(':', '-')} {variant}"), path_of(name, given))))
    return shots


def is_a_page(name: str, scene: Scene) -> bool:
    """Whether looking at this address gives a page of its own: a whole document, not a part of one."""
    who = WHO[name.partition(":")[2].partition("-")[0]]
    answer = logged_in(vars(scene.cast)[who]).get(path_of(name, things_of(name, scene)))
    whole = answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    return whole and answer.content.lstrip()[:9].lower() == b"<!doctype"


def path_of(name: str, given: dict[str, Any]) -> str:
    arguments = {key: value for key, value in given.items() if key != "query"}
    return reverse(name, kwargs=arguments) + (f"?{given['query']}" if "query" in given else "")


def entrance(scene: Scene) -> list[Shot]:
    """Log-in and its sisters, and the pages that say no."""
    shots = [Shot("", Page(name.replace("_", "-"), reverse(name))) for name in SIGNED_OUT]
    shots += [Shot("ann", Page(name.replace("_", "-"), reverse(name))) for name in ACCOUNT]
    shots += [Shot("eve", Page("home-without-a-role", "/")), Shot("root", Page("home-of-a-superuser", "/"))]
    shots += [Shot(who, Page(f"home-of-{who}", "/")) for who in ("ann", "mia", "rex", "otto", "aud")]
    return [
        *shots,
        Shot("ann", Page("error-403", reverse("reports:audit-list"), 403)),
        Shot("ann", Page("error-404", "/changes/rfcs/99999/", 404)),
        Shot("ann", Page("error-409", "/styleguide/blocked/", 409)),
        Shot("ann", Page("error-500", "/styleguide/500/", 500)),
    ]


def logged_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def take(
    shots: list[Shot], scene: Scene, address: str, folder: Path, *, examine: Examine | None = None, language: str = "en"
) -> str:
    """The pictures, each page as its person; returns what the browser complained about, and what `examine` did."""
    if KEPT:
        shutil.rmtree(folder, ignore_errors=True)
    key = django_settings.SESSION_COOKIE_NAME
    people = {shot.who for shot in shots if shot.who}
    sessions = {who: (key, logged_in(vars(scene.cast)[who]).cookies[key].value) for who in people}
    pages = [replace(shot.page, cookie=sessions.get(shot.who)) for shot in shots]
    found = photograph(address, pages, folder if KEPT else None, examine=examine, language=language)
    return "\n".join(map(str, found))


@pytest.fixture
def now() -> Iterator[datetime]:
    """The moment at which the tests play, also for the server; it passes as usual."""
    at = datetime(2026, 11, 18, 9, 42, tzinfo=UTC)
    with time_machine.travel(at, tick=True):
        yield at


@pytest.fixture
def people(transactional_db: None, settings: Any, tmp_path: Path) -> Cast:
    settings.PATCHFLOW = {
        **settings.PATCHFLOW, "KEYRINGS": tmp_path / "keyrings", "OUTBOUND_ALLOW": ["127.0.0.1"], "EXECUTOR": "fake",
    }  # fmt: skip
    return make_cast()


def test_every_page_of_an_empty_installation(live_server: Any, people: Cast, now: datetime) -> None:
    scene = Scene(people)
    shots = [*shots_of(scene, whole=False), *entrance(scene)]
    assert take(shots, scene, live_server.url, PICTURES / "empty", examine=barriers) == ""


def test_every_page_of_a_small_installation(live_server: Any, people: Cast, now: datetime, tmp_path: Path) -> None:
    with Repository(at=now - timedelta(days=30)).served() as repository:
        scene = make_little(people, now, tmp_path, repository).scene
    assert [name for name in sorted(NO_PAGE) if is_a_page(name, scene)] == []
    assert take(shots_of(scene, whole=True), scene, live_server.url, PICTURES / "little", examine=barriers) == ""


def test_every_page_of_a_large_installation(live_server: Any, people: Cast, now: datetime, tmp_path: Path) -> None:
    with Repository(at=now - timedelta(days=30)).served() as repository:
        scene = make_much(people, now, tmp_path, repository)
    assert take(shots_of(scene, whole=True), scene, live_server.url, PICTURES / "much") == ""


def test_the_main_pages_in_german(live_server: Any, people: Cast, now: datetime, tmp_path: Path) -> None:
    with Repository(at=now - timedelta(days=30)).served() as repository:
        scene = make_little(people, now, tmp_path, repository).scene
    User.objects.update(language="de")
    german = [*shots_of(scene, whole=True, only=GERMAN), *entrance(scene)]
    assert take(german, scene, live_server.url, PICTURES / "german", examine=barriers_but_colours, language="de") == ""
