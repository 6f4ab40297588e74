"""Log-in over REST, problem details, deny by default."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import get_resolver
from knox.models import AuthToken

from patchflow.kernel.models import AuditEntry, User
from tests.factories.changes import draft, make_world
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
JSON = "application/json"


@pytest.fixture
def ann(cast: Cast) -> User:
    cast.ann.set_password("a long password of ann")
    cast.ann.save()
    return cast.ann


def test_name_and_password_give_a_token_that_works_and_ends(ann: User, client: Client) -> None:
    answer = client.post("/api/v1/login/", {"username": "ann", "password": "a long password of ann"}, JSON)
    assert answer.status_code == 200
    token = {"Authorization": f"Token {answer.json()['token']}"}
    assert client.get("/api/v1/rfcs/", headers=token).status_code == 200
    assert client.post("/api/v1/logout/", headers=token).status_code == 204
    assert client.get("/api/v1/rfcs/", headers=token).status_code == 401


def test_a_token_that_has_ended_opens_nothing_and_goes_with_the_next_log_in(ann: User, client: Client) -> None:
    ended, text = AuthToken.objects.create(ann, expiry=timedelta(seconds=-1))
    assert client.get("/api/v1/rfcs/", headers={"Authorization": f"Token {text}"}).status_code == 401
    answer = client.post("/api/v1/login/", {"username": "ann", "password": "a long password of ann"}, JSON)
    assert answer.status_code == 200
    assert not AuthToken.objects.filter(pk=ended.pk).exists()


def test_a_caller_may_ask_for_no_body(cast: Cast, client: Client) -> None:
    """RFC 7240: the verb is done either way; an address that is not seen is 404 either way."""
    headers = {"Authorization": f"Token {AuthToken.objects.create(cast.ann)[1]}", "Prefer": "return=minimal"}
    rfc = draft(make_world(cast, datetime.now(UTC)))
    answer = client.post(f"/api/v1/rfcs/{rfc.pk}/submit/", headers=headers)
    assert (answer.status_code, answer.content, answer["Preference-Applied"]) == (204, b"", "return=minimal")
    assert client.get(f"/api/v1/rfcs/{rfc.pk}/", headers=headers).json()["state"] == "submitted"
    for strange in ("99999", "nobody"):
        assert client.post(f"/api/v1/rfcs/{strange}/submit/", headers=headers).status_code == 404


def test_a_wrong_password_is_a_problem_and_an_entry(ann: User, client: Client) -> None:
    answer = client.post("/api/v1/login/", {"username": "ann", "password": "wrong"}, JSON)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    entry = AuditEntry.objects.get(verb="access.user.login_failed")
    assert entry.detail == {"username": "ann"}


def test_a_body_of_the_wrong_shape_names_its_fields(client: Client, db: None) -> None:
    answer = client.post("/api/v1/login/", {"username": "ann"}, JSON)
    assert answer.status_code == 400
    assert answer.json()["errors"] == {"password": ["This field is required."]}


def test_every_rest_list_refuses_strangers(client: Client, db: None) -> None:
    lists = [
        p
        for p in _addresses(get_resolver("patchflow.urls"))
        if p.startswith("api/v1/") and "<" not in p and "(" not in p
    ]
    assert len(lists) > 8
    for path in lists:
        if path in ("api/v1/login/", "api/v1/logout/"):
            continue
        assert client.get("/" + path).status_code in (401, 405), path


def test_every_page_sends_strangers_to_the_log_in(client: Client, db: None) -> None:
    open_to_all = (
        "healthz",
        "readyz",
        "metrics",
        "api/",
        "account/",
        "admin/",
        "static/",
        "styleguide/",
    )  # the last: development
    pages = [p for p in _addresses(get_resolver("patchflow.urls")) if "<" not in p and not p.startswith(open_to_all)]
    assert len(pages) > 8
    for path in pages:
        answer = client.get("/" + path)
        assert answer.status_code in (302, 405), path
        if answer.status_code == 302:
            assert answer["Location"].startswith("/account/login/"), path


def _addresses(resolver: object, start: str = "") -> list[str]:
    found: list[str] = []
    for entry in resolver.url_patterns:  # type: ignore[attr-defined]
        path = start + str(entry.pattern).replace("^", "").replace("\\Z", "").replace("$", "")
        found += _addresses(entry, path) if hasattr(entry, "url_patterns") else [path]
    return found
