"""The admin site as pictures: its index, each kind of list, row and form of what is made, 1280 and 390 wide; the browser complains
of none.

`make pictures` keeps them in pictures/admin…/, to be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory
from django.urls import reverse
from playwright.sync_api import Page as Tab

from patchflow.kernel.models import User
from patchflow.kernel.roles import grantable
from patchflow.web.pictures import Page
from tests.browser.test_pages import PICTURES, Shot, now, people, take  # noqa: F401 - fixtures
from tests.browser.worlds import Scene
from tests.factories.people import Cast, make_user

pytestmark = [
    pytest.mark.browser,
    pytest.mark.pictures,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(1800),
]
BOSS = "everything"
LISTS = (
    "changes.rfc", "changes.meeting", "cmdb.host", "cmdb.connection", "releases.release", "releases.job", "releases.killswitch",
    "kernel.user", "kernel.auditentry", "kernel.signoffround",
)  # fmt: skip
"""Lists of every kind: long and short, with filters and without, with wide columns and with digests."""
MADE = ("changes.rfc", "changes.approvalroute", "cmdb.servicewindow", "releases.hoststep", "releases.release")
"""What is made new by forms of every kind: long ones, boxes to tick, times."""


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


def make_boss(scene: Scene) -> User:
    """Somebody who holds every role, known to who takes the pictures."""
    boss = make_user(BOSS, *(role.name for role in grantable()))
    vars(scene.cast)[BOSS] = boss
    return boss


def test_the_empty_admin_site(live_server: Any, people: Cast, now: datetime) -> None:  # noqa: F811
    scene = Scene(people)
    shots = list(shots_of(make_boss(scene)))
    assert take(shots, scene, live_server.url, PICTURES / "admin-empty") == ""
