"""The entrance for people: log in, log out, change the password; headers and cookies are strict; metrics are not for everybody."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client

from patchflow.kernel import people
from patchflow.kernel.management.commands.up import first_administrator
from patchflow.kernel.models import AuditEntry, User
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
PASSWORD = "a long password of ann"


@pytest.fixture
def ann(cast: Cast) -> User:
    cast.ann.set_password(PASSWORD)
    cast.ann.save()
    return cast.ann


def test_log_in_and_out(ann: User, client: Client) -> None:
    answer = client.post("/account/login/", {"login": "ann", "password": PASSWORD})
    assert answer.status_code == 302
    assert client.get("/").status_code == 200
    client.post("/account/logout/")
    assert client.get("/").status_code == 302
    assert list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True)) == [
        "access.user.logged_in",
        "access.user.logged_out",
    ]


def test_a_wrong_password_keeps_the_name_and_says_so(ann: User, client: Client) -> None:
    answer = client.post("/account/login/", {"login": "ann", "password": "wrong"})
    assert answer.status_code == 200
    assert b'value="ann"' in answer.content


def test_nobody_signs_up_by_themselves(client: Client, db: None) -> None:
    client.post("/account/signup/", {"username": "mallory", "password1": PASSWORD, "password2": PASSWORD})
    assert not User.objects.filter(username="mallory").exists()


def test_a_new_password_works_and_the_old_one_does_not(ann: User, client: Client) -> None:
    client.force_login(ann, backend="django.contrib.auth.backends.ModelBackend")
    client.post(
        "/account/password/change/",
        {"oldpassword": PASSWORD, "password1": "another long one 42", "password2": "another long one 42"},
    )
    assert not client.login(username="ann", password=PASSWORD)
    assert client.login(username="ann", password="another long one 42")


def test_headers_are_strict(client: Client, db: None) -> None:
    answer = client.get("/account/login/")
    policy = answer["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")
    cookie = client.cookies["patchflow_csrf"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


@pytest.mark.parametrize("who", ["eve", "ann", "root", "rex"])
def test_the_admin_is_shut_to_who_does_not_operate(who: str, cast: Cast, client: Client) -> None:
    """A superuser without a role does not enter either."""
    client.force_login(getattr(cast, who), backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/").status_code == 403


def test_operators_enter_the_admin(cast: Cast, client: Client) -> None:
    client.force_login(cast.otto, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/admin/").status_code == 200


def test_alive_and_ready(client: Client, db: None) -> None:
    assert client.get("/healthz").content == b"ok"
    assert client.get("/readyz").json()["database"] == "ok"


def test_metrics_are_for_loopback_or_the_bearer(client: Client, settings: object) -> None:
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7").status_code == 403
    settings.METRICS_TOKEN = "t" * 20  # type: ignore[attr-defined]
    assert client.get("/metrics").status_code == 403
    assert (
        client.get("/metrics", headers={"Authorization": "Bearer " + "t" * 20}, REMOTE_ADDR="192.0.2.7").status_code
        == 200
    )


# --- the first log-in -------------------------------------------------------------------------------------------------
CHANGE = "/account/password/change/"


@pytest.fixture
def told(cast: Cast, now: datetime, client: Client) -> str:
    """Liz has logged in with the password that an administrator told her; this is it."""
    _liz, password = people.add(username="liz", actor=cast.ada, at=now)
    assert client.post("/account/login/", {"login": "liz", "password": password}).status_code == 302
    return password


def test_a_password_that_was_told_opens_nothing_but_its_change(told: str, client: Client) -> None:
    for path in ("/", "/changes/", "/settings/", "/api/docs/", "/api/v1/preferences/", "/admin/", "/people/1/"):
        for answer in (client.get(path), client.post(path)):
            assert (answer.status_code, answer["Location"]) == (302, CHANGE), path
    answer = client.get("/", headers={"HX-Request": "true"})
    assert (answer.status_code, answer["HX-Redirect"]) == (204, CHANGE)
    page = client.get(CHANGE).content.decode()
    assert "Choose your own password" in page
    assert 'href="/changes/"' not in page
    assert client.get("/account/password/reset/").status_code == 200  # "Forgot your password?"


def test_after_the_change_everything_opens_and_the_old_password_nothing(told: str, client: Client) -> None:
    same = client.post(CHANGE, {"oldpassword": told, "password1": told, "password2": told})
    assert "This is the password that you have" in same.content.decode()
    assert client.get("/")["Location"] == CHANGE
    new = "another long one 42"
    client.post(CHANGE, {"oldpassword": told, "password1": new, "password2": new})
    assert client.get("/")["Location"].startswith("/account/login/")
    assert not client.login(username="liz", password=told)
    client.post("/account/login/", {"login": "liz", "password": new})
    assert client.get("/").status_code == 200
    entry = AuditEntry.objects.get(verb="access.user.password_changed")
    assert (entry.actor_name, entry.object_label) == ("liz", "liz")
    assert new not in str(entry.document())


def test_one_can_leave_without_changing_it(told: str, client: Client) -> None:
    client.post("/account/logout/")
    assert client.get("/")["Location"].startswith("/account/login/")


def test_a_told_password_gives_no_token_and_a_new_one_ends_those_of_the_old(
    cast: Cast, now: datetime, client: Client
) -> None:
    """Whoever told it must not act as the person: over REST as little as on the pages."""
    people.deactivate(user_id=cast.mia.pk, actor=cast.ada, at=now)
    mia, password = people.reactivate(user_id=cast.mia.pk, actor=cast.ada, at=now)
    refused = client.post("/api/v1/login/", {"username": "mia", "password": password}, "application/json")
    assert (refused.status_code, "choose your own" in refused.json()["detail"]) == (401, True)
    client.post("/account/login/", {"login": "mia", "password": password})
    assert client.get("/")["Location"] == CHANGE
    people.change_password(password="another word of my own", actor=mia, at=now)
    given = Client().post(
        "/api/v1/login/", {"username": "mia", "password": "another word of my own"}, "application/json"
    )
    token = {"Authorization": f"Token {given.json()['token']}"}
    assert Client().get("/api/v1/rfcs/", headers=token).status_code == 200
    people.change_password(password="yet another word", actor=mia, at=now)
    assert Client().get("/api/v1/rfcs/", headers=token).status_code == 401


def test_the_first_administrator_chooses_a_password_like_everybody_who_was_told_one(client: Client, db: None) -> None:
    password = first_administrator()
    assert first_administrator() == ""  # there is somebody
    refused = client.post("/api/v1/login/", {"username": "admin", "password": password}, "application/json")
    assert (refused.status_code, "choose your own" in refused.json()["detail"]) == (401, True)
    client.post("/account/login/", {"login": "admin", "password": password})
    assert client.get("/")["Location"] == CHANGE
    assert AuditEntry.objects.get(verb="access.user.created").detail["by"] == "manage.py up"
