"""Whole pages: frame, refusals, errors, log-in; strict about what a content security policy forbids."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from patchflow.kernel.models import User
from patchflow.web.styleguide.views import SPECIMENS
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def che(client: Client) -> User:
    person = make_user("che", "change_manager", time_zone="Europe/Berlin", first_name="Che", last_name="<b>")
    client.force_login(person)
    return person


class Strict(HTMLParser):
    """Collects what a strict policy would block, and ids given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.wrong += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if (tag == "script" and "src" not in given) or tag == "style":
            self.wrong.append(tag)
        self.wrong += [
            f"{name}={value}"
            for name, value in given.items()
            if name in ("src", "href", "action") and (value or "").startswith(("http:", "https:", "//", "javascript:"))
        ]
        if given.get("id"):
            self.ids.append(str(given["id"]))


PAGES = [
    "/styleguide/",
    *(f"/styleguide/{name}/" for name in SPECIMENS),
    "/account/login/",
    "/account/logout/",
    "/account/password/change/",
    "/nowhere/",
]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_needs_what_the_policy_forbids(client: Client, path: str) -> None:
    if path != "/account/login/":
        client.force_login(make_user("che", "change_manager"))
    response = client.get(path)
    parser = Strict()
    parser.feed(response.content.decode())
    assert parser.wrong == []
    assert sorted(set(parser.ids)) == sorted(parser.ids)
    assert "'unsafe-inline'" not in response["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_one_heading_a_language_and_a_way_past_the_navigation(client: Client, path: str) -> None:
    client.force_login(make_user("che", "change_manager")) if path != "/account/login/" else None
    html = client.get(path).content.decode()
    assert len(re.findall(r"<h1[ >]", html)) == 1
    assert '<html lang="en"' in html
    assert 'class="skip" href="#main"' in html
    assert '<main id="main"' in html


def test_the_frame_knows_the_person_and_lets_them_out_by_post(client: Client, che: User) -> None:
    html = client.get("/styleguide/").content.decode()
    assert "Che &lt;b&gt;" in html
    assert "Change manager" in html
    assert "times in Europe/Berlin" in html
    assert '<form method="post" action="/account/logout/">' in html
    client.post("/account/logout/")
    assert "_auth_user_id" not in client.session


def test_times_are_in_the_zone_of_the_person(client: Client, che: User) -> None:
    assert re.search(r"\d\d:\d\d CES?T", client.get("/styleguide/").content.decode())
    User.objects.update(time_zone="Not/AZone")
    assert " UTC" in client.get("/styleguide/").content.decode()


def test_words_are_in_the_language_of_the_person(client: Client, che: User) -> None:
    User.objects.update(language="de")
    assert '<html lang="de"' in client.get("/styleguide/").content.decode()


def test_a_stranger_sees_a_frame_without_places(client: Client) -> None:
    html = client.get("/nowhere/").content.decode()
    assert "Log out" not in html
    assert 'class="n"' not in html


@pytest.mark.parametrize(
    ("page", "status", "says"),
    [
        ("blocked", 409, "Level 3 has 1 of 2 signatures."),
        ("not-allowed", 403, "Your roles do not include “approve changes”."),
        ("conflict", 409, "mia has revised this RFC since you opened it"),
        ("invalid", 400, "The start lies before now."),
    ],
)
def test_a_refusal_becomes_a_page_with_every_reason(
    client: Client, che: User, page: str, status: int, says: str
) -> None:
    response = client.get(f"/styleguide/{page}/", headers={"referer": "http://testserver/rfcs/7/?tab=plan"})
    html = response.content.decode()
    assert response.status_code == status
    assert says in html
    assert "What was kept" in html
    assert 'href="/rfcs/7/?tab=plan"' in html


@pytest.mark.parametrize(
    "referer",
    ["https://evil.example/x", "http://testserver//evil.example/", "http://testserver/styleguide/blocked/", ""],
)
def test_the_way_back_leads_to_a_page_of_ours_only(client: Client, che: User, referer: str) -> None:
    html = client.get("/styleguide/blocked/", headers={"referer": referer}).content.decode()
    assert "Back to the page" not in html
    assert "evil" not in html


def test_to_htmx_a_refusal_is_a_note_for_the_page(client: Client, che: User) -> None:
    response = client.post("/styleguide/conflict/", headers={"hx-request": "true"})
    assert response.status_code == 409
    assert response["HX-Retarget"] == "#problem"
    assert "<html" not in response.content.decode()
    assert "mia has revised" in response.content.decode()


def test_a_refusal_that_wants_no_page_is_left_to_others(client: Client, che: User) -> None:
    from patchflow.kernel.errors import Conflict

    with pytest.raises(Conflict):
        client.get("/styleguide/conflict/", headers={"accept": "application/json"})


@pytest.mark.parametrize(("page", "status"), [("400", 400), ("403", 403), ("404", 404), ("csrf", 403), ("500", 500)])
def test_error_pages_say_what_was_kept_and_what_to_do(client: Client, page: str, status: int) -> None:
    response = client.get(f"/styleguide/{page}/")
    html = response.content.decode()
    assert response.status_code == status
    assert "What was kept" in html
    assert "What to do" in html
    assert bool(re.search(r"<code>[0-9a-f-]{36}</code>", html)) is (page == "500")


def test_an_unknown_address_is_answered_by_our_page(client: Client) -> None:
    response = client.get("/nowhere/at/all/")
    assert response.status_code == 404
    assert "There is nothing at this address" in response.content.decode()


def test_a_form_without_its_token_is_answered_by_our_page() -> None:
    response = Client(enforce_csrf_checks=True).post("/account/login/", {"login": "ann"})
    assert response.status_code == 403
    assert "This form was too old to be sent" in response.content.decode()


def test_log_in_keeps_the_name_and_says_what_is_wrong(client: Client) -> None:
    response = client.post("/account/login/", {"login": "ann", "password": "wrong"})
    html = response.content.decode()
    assert response.status_code == 200
    assert 'value="ann"' in html
    assert 'role="alert"' in html
    assert "Sign Up" not in html


def test_log_in_goes_on_to_where_one_wanted(client: Client) -> None:
    person = make_user("ann", "requester")
    person.set_password("correct horse battery")
    person.save()
    html = client.get("/account/login/?next=/styleguide/").content.decode()
    assert 'name="next" value="/styleguide/"' in html
    response = client.post(
        "/account/login/", {"login": "ann", "password": "correct horse battery", "next": "/styleguide/"}
    )
    assert response["Location"] == "/styleguide/"


def test_nobody_makes_an_account_for_themselves(client: Client) -> None:
    client.post("/account/signup/", {"username": "eve", "password1": "correct horse battery"})
    assert not User.objects.filter(username="eve").exists()


def test_the_other_pages_of_the_account_stand_in_our_frame(client: Client) -> None:
    html = client.get("/account/password/reset/").content.decode()
    assert 'class="brand"' in html
    assert 'class="btn go"' in html
    assert "Menu:" not in html


def test_the_object_page_has_its_parts_in_order(client: Client, che: User) -> None:
    html = client.get("/styleguide/object/").content.decode()
    places = [
        html.index(mark)
        for mark in (
            "<h1>",
            'class="badge-st',
            'class="next"',
            'class="refused"',
            'id="h-facts"',
            'id="h-links"',
            'id="h-history"',
        )
    ]
    assert places == sorted(places)


def test_a_form_with_errors_keeps_what_was_typed(client: Client, che: User) -> None:
    html = client.post("/styleguide/form/", {"title": "OpenSSL <1>", "kind": "normal"}).content.decode()
    assert 'value="OpenSSL &lt;1&gt;"' in html
    assert '<option value="normal" selected>' in html
    assert "What you typed is kept" in html
