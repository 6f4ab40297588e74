"""The rail, its current place, and panels."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import RequestFactory
from django.urls import resolve
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from patchflow.web import checks, panels
from patchflow.web.navigation import FootLine, Navigation
from tests.patchflow.web.conftest import Render


@pytest.fixture
def nav() -> Navigation:
    made = Navigation()
    made.add("deploy", "Logout", "account_logout", "out", 20)
    made.add("assess", "Guide", "web:styleguide-page", "host", 10)
    made.add("home", "Login", "account_login", "home", 30, badge=lambda request: 7)
    made.add("home", "Style", "web:styleguide", "cycle", 10, permission=lambda request: request.GET.get("may") == "1")
    return made


def request_for(path: str, **query: str) -> Any:
    request = RequestFactory().get(path, query)
    request.resolver_match = resolve(path)
    return request


def test_places_stand_in_the_order_of_the_cycle(nav: Navigation) -> None:
    groups = nav.groups(request_for("/styleguide/", may="1"))
    assert [(str(group.label), [str(link.label) for link in group.links]) for group in groups] == [
        ("", ["Style", "Login"]),
        ("Deploy", ["Logout"]),
    ]
    assert groups[0].links[1].count == 7


def test_a_place_without_permission_or_address_is_left_out(nav: Navigation) -> None:
    groups = nav.groups(request_for("/styleguide/"))
    assert [str(link.label) for group in groups for link in group.links] == ["Login", "Logout"]


def test_exactly_one_place_is_current(nav: Navigation) -> None:
    def current(path: str) -> list[str]:
        return [
            str(link.label) for group in nav.groups(request_for(path, may="1")) for link in group.links if link.current
        ]

    assert current("/styleguide/") == ["Style"]
    assert current("/account/login/") == ["Login"]
    assert current("/account/password/change/") == []


def test_a_place_covers_the_pages_of_its_noun_and_those_it_names() -> None:
    made = Navigation()
    made.add("assess", "Estate", "cmdb:item-list", "host", under=["cmdb:group-"])
    assert made.current("cmdb:item-detail") is made.places[0]
    assert made.current("cmdb:group-list") is made.places[0]
    assert made.current("cmdb:items") is None
    assert made.current("") is None


def test_a_wrong_group_is_refused_and_a_place_is_added_once(nav: Navigation) -> None:
    with pytest.raises(ValueError, match="plan"):
        nav.add("plan", "X", "web:styleguide", "home")
    nav.add("home", "Again", "account_login", "home")
    assert len(nav.places) == 4


def test_the_foot_leaves_out_what_has_nothing_to_say(nav: Navigation) -> None:
    nav.foot(lambda request: None, 10)
    nav.foot(lambda request: FootLine("st-warn", "Feeds: 1 of 7 late"), 20)
    assert [line.text for line in nav.foot_lines(request_for("/styleguide/"))] == ["Feeds: 1 of 7 late"]


def test_checks_name_places_that_lead_nowhere(nav: Navigation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "nav", nav)
    nav.add("prove", "Audit", "nowhere:audit-list", "no-such-icon")
    found = checks.navigation_leads_somewhere()
    assert [(message.id, "nowhere" in message.msg) for message in found] == [
        ("web.E001", False),
        ("web.E001", True),
        ("web.E002", True),
    ]


def test_panels_stand_in_order_and_plain_text_is_escaped(rendered: Render) -> None:
    panels.register("tests.slot", lambda request, obj: format_html("<p>{}</p>", obj), 20)
    panels.register("tests.slot", lambda request, obj: "<b>plain</b>", 10)  # type: ignore[arg-type, return-value]
    panels.register("tests.slot", lambda request, obj: None, 5)
    assert rendered('{% panels "tests.slot" 7 %}') == "&lt;b&gt;plain&lt;/b&gt; <p>7</p>"
    assert rendered('{% panels "tests.other" 7 %}') == ""


def test_a_panel_is_registered_once(rendered: Render) -> None:
    def panel(request: Any, obj: Any) -> Any:
        return mark_safe("x")

    panels.register("tests.once", panel)
    panels.register("tests.once", panel)
    assert rendered('{% panels "tests.once" 7 %}') == "x"
