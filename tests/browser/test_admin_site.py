"""The admin site as pictures: its index, each kind of list, row and form that asks, 1280 and 390 wide; the browser complains of
none.

`make pictures` keeps them in pictures/admin…/, to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page as Tab

from patchflow.kernel.models import User
from patchflow.kernel.roles import grantable
from patchflow.web.admin import AdminVerb
from patchflow.web.pictures import Page
from tests.browser.axe import barriers
from tests.browser.test_pages import PICTURES, Shot, now, people, take  # noqa: F401 - fixtures
from tests.browser.worlds import Scene, make_little
from tests.factories.people import Cast, make_user
from tests.fakes.repository import Repository

pytestmark = [
    pytest.mark.browser,
    pytest.mark.pictures,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(900),
]
BOSS = "everything"
LISTS = (
    "changes.rfc", "changes.meeting", "cmdb.host", "cmdb.connection", "releases.release", "releases.job", "releases.killswitch",
    "kernel.user", "kernel.auditentry", "kernel.signoffround",
)  # fmt: skip
"""Lists of every kind: long and short, with filters and without, with wide columns and with digests."""
MADE = ("changes.rfc", "changes.approvalroute", "cmdb.servicewindow", "releases.hoststep", "releases.release")
"""What is made new by forms of every kind: long ones, boxes to tick, times."""
PRESSED = {
    "changes.rfc": ("cancel", "authorize", "parent"), "changes.meeting": ("arrange",), "changes.changetask": ("finish", "begin"),
    "cmdb.host": ("scan", "revise"), "cmdb.connection": ("accept_key",), "cmdb.servicewindow": ("retire",),
    "releases.release": ("rings", "stop", "way_back"), "releases.killswitch": ("turn_on",), "kernel.user": ("grant",),
    "kernel.signoffround": ("decide",), "releases.plannedhost": ("move",),
}  # fmt: skip
"""Verbs that ask for nothing, for a reason, for a form, for one of many parts, for the password, and what reaches elsewhere."""


def window_of(label: str) -> Any:
    return next(window for model, window in admin.site._registry.items() if model._meta.label_lower == label)


def place(window: Any, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{window.opts.app_label}_{window.opts.model_name}_{page}", args=arguments)


def rows_of(window: Any, person: User) -> list[Any]:
    """What the first page of its list shows this person."""
    request: Any = RequestFactory().get("/")
    request.user = person
    order = window.get_ordering(request) or window.model._meta.ordering
    return list(window.get_queryset(request).order_by(*order, "-pk")[: window.list_per_page])


def pressed(verb: AdminVerb, row: Model) -> Callable[[Tab], None]:
    """Chooses the row and the action, as a person does."""

    def press(tab: Tab) -> None:
        tab.check(f'input[name=_selected_action][value="{row.pk}"]')
        tab.select_option(".actions select[name=action]", verb.name)
        tab.click(".actions button[name=index]")
        tab.wait_for_load_state("load")

    return press


def sent_as_it_is(tab: Tab) -> None:
    """Presses the button of a form that asks for more."""
    tab.click(".submit-row input[type=submit]")
    tab.wait_for_load_state("load")


def shots_of(boss: User) -> Iterator[Shot]:
    yield Shot(BOSS, Page("index", "/admin/"))
    yield Shot(BOSS, Page("index-of-app", "/admin/releases/"))
    for label in LISTS:
        window = window_of(label)
        yield Shot(BOSS, Page(label, place(window, "changelist")))
        for row in rows_of(window, boss)[:1]:
            yield Shot(BOSS, Page(f"{label}-row", place(window, "change", row.pk)))
    yield Shot(BOSS, Page("nothing-found", place(window_of("cmdb.host"), "changelist") + "?q=no-such-host"))
    for label in MADE:
        address = place(window_of(label), "add")
        yield Shot(BOSS, Page(f"{label}-add", address))
        yield Shot(BOSS, Page(f"{label}-add-refused", address, then=sent_as_it_is))


def shots_of_verbs(boss: User) -> Iterator[Shot]:
    """The page of each verb, on a row that it can be pressed on, and on one that refuses; what asks for a reason, without one."""
    for label, names in PRESSED.items():
        window = window_of(label)
        rows = rows_of(window, boss)
        for verb in (verb for verb in window.verbs if verb.name in names):
            refused = {row: bool(against(window, verb, row, boss)) for row in rows}
            for barred, name in ((False, "free"), (True, "barred")):
                row = next((row for row, against_it in refused.items() if against_it is barred), None)
                if row is None:
                    continue
                page = Page(f"{label}-{verb.name}-{name}", place(window, "changelist"), then=pressed(verb, row))
                yield Shot(BOSS, page)


def against(window: Any, verb: AdminVerb, row: Any, boss: User) -> str:
    said: str = window.explain(verb, [row] if verb.on == "all" else row, boss, timezone.now())
    return said


def make_boss(scene: Scene) -> User:
    """Somebody who holds every role, known to who takes the pictures."""
    boss = make_user(BOSS, *(role.name for role in grantable()))
    vars(scene.cast)[BOSS] = boss
    return boss


def test_the_empty_admin_site(live_server: Any, people: Cast, now: datetime) -> None:  # noqa: F811
    scene = Scene(people)
    shots = list(shots_of(make_boss(scene)))
    assert take(shots, scene, live_server.url, PICTURES / "admin-empty") == ""


def test_the_admin_site(live_server: Any, people: Cast, now: datetime, tmp_path: Path) -> None:  # noqa: F811
    with Repository(at=now - timedelta(days=30)).served() as repository:
        scene = make_little(people, now, tmp_path, repository).scene
    boss = make_boss(scene)
    shots = [*shots_of(boss), *shots_of_verbs(boss)]
    found = take(shots, scene, live_server.url, PICTURES / "admin", examine=barriers)
    User.objects.filter(pk=boss.pk).update(language="de")
    german = [
        shot
        for shot in shots
        if shot.page.name.startswith(("index", "changes.rfc", "releases.release", "kernel.auditentry"))
    ]
    found += take(german, scene, live_server.url, PICTURES / "admin-german", language="de")
    assert found == ""
