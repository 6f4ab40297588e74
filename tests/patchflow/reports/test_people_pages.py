"""People and their roles on their pages and over REST."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from knox.models import AuthToken

from patchflow.api.models import Repeatable
from patchflow.kernel import access, people
from patchflow.kernel.models import User
from tests.factories.cmdb import make_group
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
FORM = {"username": "liz", "first_name": "Liz", "last_name": "Meyer", "email": "liz@example.org"}


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def headers(person: User) -> dict[str, str]:
    return {"Authorization": f"Token {AuthToken.objects.create(person)[1]}"}


def password_on(html: str) -> str:
    return re.search(r'class="mono secret">([^<]+)<', html).group(1)


def test_a_person_is_made_on_the_pages_and_logs_in_with_what_was_shown_once(cast: Cast) -> None:
    client = client_of(cast.ada)
    answer = client.post("/people/add/", FORM)
    liz, password = User.objects.get(username="liz"), password_on(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    assert authenticate(None, username="liz", password=password) == liz
    for page in ("/people/", f"/people/{liz.pk}/"):
        assert password not in client.get(page).content.decode()
    assert "is taken" in client.post("/people/add/", FORM).content.decode()


def test_a_role_is_granted_for_a_group_and_taken_away(cast: Cast) -> None:
    group, client = make_group("Web servers"), client_of(cast.ada)
    where = f"/people/{cast.eve.pk}/"
    assert client.post(f"{where}grant/", {"role": "operator", "scope": f"group:{group.pk}"}).status_code == 302
    assert "Operator (Web servers)" in client.get("/people/?role=operator&q=eve").content.decode()
    page = client.get(where).content.decode()
    assert all(word in page for word in ("Web servers", ">ada<", "/audit/?by=eve"))
    grant = cast.eve.role_grants.get()
    assert "It ends at once" in client.get(f"{where}roles/{grant.pk}/revoke/").content.decode()
    assert client.post(f"{where}roles/{grant.pk}/revoke/").status_code == 302
    assert not cast.eve.role_grants.exists()
    assert client.post(f"{where}grant/", {"role": "king"}).status_code == 400


def test_who_is_deactivated_is_out_and_comes_back_with_another_password(cast: Cast) -> None:
    client, where = client_of(cast.ada), f"/people/{cast.mia.pk}/"
    session = client_of(cast.mia)
    assert "end at once" in client.get(f"{where}deactivate/").content.decode()
    assert client.post(f"{where}deactivate/", {"reason": "Has left."}).status_code == 302
    assert session.get("/").status_code == 302
    assert "mia" in client.get("/people/?state=inactive").content.decode()
    assert "CAB member" in client.get(f"{where}reactivate/").content.decode()
    password = password_on(client.post(f"{where}reactivate/").content.decode())
    assert authenticate(None, username="mia", password=password) == cast.mia


def test_ones_own_page_says_why_one_may_not(cast: Cast) -> None:
    client, where = client_of(cast.ada), f"/people/{cast.ada.pk}/"
    page = client.get(where).content.decode()
    assert "Nobody changes their own roles" in page
    assert "Nobody deactivates themselves" in page
    assert client.post(f"{where}grant/", {"role": "cab_chair"}).status_code == 400
    assert client.post(f"{where}deactivate/").status_code == 403
    assert not cast.ada.role_grants.filter(role="cab_chair").exists()


def test_they_are_for_administrators(cast: Cast) -> None:
    for person in (cast.otto, cast.aud, cast.root, cast.eve):
        client = client_of(person)
        for page in ("/people/", "/people/add/", f"/people/{cast.mia.pk}/"):
            assert client.get(page).status_code == 403
        assert client.post("/people/add/", FORM).status_code == 403
        assert ">People<" not in client.get("/").content.decode()
    assert ">People<" in client_of(cast.ada).get("/").content.decode()


def test_rest_has_the_same_verbs_and_refusals(cast: Cast, now: datetime) -> None:
    client, ada, aud = Client(), headers(cast.ada), headers(cast.aud)

    def post(path: str, body: dict[str, str], who: dict[str, str] = ada):
        return client.post(f"/api/v1/people/{path}", body, "application/json", headers=who)

    made = post("", FORM)
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    assert authenticate(None, username="liz", password=made.json()["password"])
    where = f"{made.json()['id']}/"
    granted = post(f"{where}grant/", {"role": "tester"})
    assert [(one["role"], one["granted_by"]) for one in granted.json()["roles"]] == [("tester", "ada")]
    assert post(f"{where}revoke/", {"role": "tester"}).json()["roles"] == []
    assert post(f"{where}deactivate/", {"reason": "Left."}).json()["is_active"] is False
    assert authenticate(None, username="liz", password=post(f"{where}reactivate/", {}).json()["password"])
    own = post(f"{cast.ada.pk}/grant/", {"role": "tester"})
    assert (own.status_code, own["Content-Type"]) == (403, "application/problem+json")
    assert own.json()["blockers"][0]["code"] == "grant.own"
    assert post("", FORM).json()["blockers"][0]["code"] == "person.username"
    assert "password" not in client.get(f"/api/v1/people/{where}", headers=ada).json()
    assert post("", {**FORM, "username": "lou"}, aud).status_code == 403
    assert client.get("/api/v1/people/", headers=aud).json()["results"] == []
    assert client.get(f"/api/v1/people/{cast.bot.pk}/", headers=ada).status_code == 404


def test_a_password_is_not_kept_with_the_key_of_its_request(cast: Cast) -> None:
    client, ada = Client(), headers(cast.ada) | {"Idempotency-Key": "once"}
    first, again = (client.post("/api/v1/people/", FORM, "application/json", headers=ada) for _ in range(2))
    assert first.json()["password"]
    assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
    assert again.json()["username"] == "liz"
    assert again.json()["password"] is None
    assert first.json()["password"] not in str(Repeatable.objects.values_list("body"))


def test_a_group_that_has_gone_is_named_by_its_key(cast: Cast, now: datetime) -> None:
    liz, _password = people.add(username="liz", actor=cast.ada, at=now)
    group = make_group("Web servers")
    access.grant_role(user_id=liz.pk, role="operator", scope=f"group:{group.pk}", actor=cast.ada, at=now)
    type(group).objects.update(retired_at=now)
    assert f"group:{group.pk}" in client_of(cast.ada).get(f"/people/{liz.pk}/").content.decode()


# --- programs ---------------------------------------------------------------------------------------------------------
def test_a_service_account_gets_a_token_on_the_pages_that_is_shown_once(cast: Cast) -> None:
    client = client_of(cast.ada)
    answer = client.post("/people/add-service/", {"username": "pipeline", "name": "Build pipeline"})
    program = User.objects.get(username="pipeline", is_service=True)
    where = f"/people/{program.pk}/"
    assert answer.url == where
    assert "Has no token, and cannot enter" in client.get(where).content.decode()
    given = client.post(f"{where}give-token/", {"days": 90})
    token = password_on(given.content.decode())
    assert "no-store" in given["Cache-Control"]
    rest = {"Authorization": f"Token {token}"}
    assert Client().get("/api/v1/preferences/", headers=rest).json()["username"] == "pipeline"
    page = client.get(where).content.decode()
    assert token not in page
    assert token[:8] in page
    assert "pipeline" in client.get("/people/?kind=service").content.decode()
    assert "pipeline" not in client.get("/people/?kind=person").content.decode()
    revoke = f"{where}tokens/{token[:8]}/revoke/"
    assert revoke in page
    assert "It ends at once" in client.get(revoke).content.decode()
    assert client.post(revoke).status_code == 302
    assert Client().get("/api/v1/preferences/", headers=rest).status_code == 401
    assert client.post(revoke).status_code == 409
    assert client.post(f"/people/{cast.mia.pk}/give-token/", {"days": 90}).status_code == 400
    assert client.post(f"{where}give-token/", {"days": 5000}).status_code == 400
    client.post(f"{where}deactivate/")
    assert client.post(f"{where}reactivate/").url == where


def test_service_accounts_over_rest(cast: Cast) -> None:
    client, ada = Client(), headers(cast.ada) | {"Idempotency-Key": "once"}

    def post(path: str, body: dict[str, object], who: dict[str, str]):
        return client.post(f"/api/v1/people/{path}", body, "application/json", headers=who)

    made = post("add-service/", {"username": "pipeline", "name": "Build pipeline"}, ada)
    assert (made.status_code, made.json()["is_service"]) == (201, True)
    where = f"{made.json()['id']}/"
    first, again = (post(f"{where}give-token/", {"days": 30}, ada | {"Idempotency-Key": "token"}) for _ in range(2))
    assert (first.status_code, first["Cache-Control"], again.json()["token"]) == (201, "no-store", None)
    token = first.json()["token"]
    assert token not in str(Repeatable.objects.values_list("body"))
    assert client.get("/api/v1/preferences/", headers={"Authorization": f"Token {token}"}).status_code == 200
    (listed,) = client.get(f"/api/v1/people/{where}tokens/", headers=ada).json()
    assert listed == {"begins": token[:8], "created": first.json()["created"], "expiry": first.json()["expiry"]}
    ends = headers(cast.ada)
    assert post(f"{where}revoke-token/", {"begins": token[:8]}, ends).status_code == 204
    assert post(f"{where}revoke-token/", {"begins": token[:8]}, ends).status_code == 409
    assert client.get("/api/v1/preferences/", headers={"Authorization": f"Token {token}"}).status_code == 401
    assert post(f"{where}give-token/", {"days": 0}, ends).json()["blockers"][0]["code"] == "token.days"
    assert post(f"{cast.mia.pk}/give-token/", {"days": 1}, ends).status_code == 409
    assert client.get(f"/api/v1/people/{cast.ada.pk}/tokens/", headers=ends).json() == []
    post(f"{where}deactivate/", {}, ends)
    assert post(f"{where}reactivate/", {}, ends).json()["password"] is None
