"""docs/how-to/rest.md, step by step: its addresses, and the refusal that it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve
from knox.models import AuthToken

from patchflow.kernel import people
from patchflow.kernel.access import grant_role
from tests.factories.changes import PLANS, World

pytestmark = pytest.mark.django_db
TEXT = (Path(settings.BASE_DIR) / "docs" / "how-to" / "rest.md").read_text()


def test_every_address_exists() -> None:
    told = set(re.findall(r"\$PATCHFLOW(/[\w/-]+)", TEXT))
    assert len(told) == 11
    for address in {f"/api/v1{path}" for path in told} | set(re.findall(r"`(?:\w+ )?(/api/[\w/-]+)`", TEXT)):
        assert resolve(address)


def test_from_the_log_in_to_the_refusal(world: World) -> None:
    robot, told = people.add(username="robot", actor=world.cast.ada, at=world.at)
    grant_role(user_id=robot.pk, role="requester", actor=world.cast.ada, at=world.at)
    client = Client()

    def post(path: str, body: dict[str, object] | None = None, **headers: str):
        return client.post(f"/api/v1/{path}", body or {}, "application/json", headers=headers)

    assert post("login/", {"username": "robot", "password": told}).status_code == 401
    people.change_password(password="a word of its own", actor=robot, at=world.at)
    got = post("login/", {"username": "robot", "password": "a word of its own"}).json()
    assert set(got) == {"token", "expiry"}
    mine = {"Authorization": f"Token {got['token']}"}
    raised = post("rfcs/", {"update_ids": [world.update.pk], **PLANS}, **mine)
    assert (raised.status_code, raised.json()["state"]) == (201, "draft")
    where = f"rfcs/{raised.json()['id']}/"
    assert post(f"{where}submit/", **mine).json()["state"] == "submitted"
    refused = post(f"{where}request_approval/", **mine)
    unknown = client.get("/api/v1/platforms/?colour=red", headers=mine)
    printed = [json.loads(one) for one in re.findall(r"^\{\n.*?^\}$", TEXT, re.M | re.S)]
    keep = {"correlation_id": ""}
    assert [unknown.json() | keep, refused.json() | keep] == [one | keep for one in printed]


def test_a_program_gets_its_token_and_reads_lists(world: World) -> None:
    client, ada = Client(), {"Authorization": f"Token {AuthToken.objects.create(world.cast.ada)[1]}"}

    def post(path: str, body: dict[str, object], **headers: str):
        return client.post(f"/api/v1/{path}", body, "application/json", headers={**ada, **headers})

    told = [
        json.loads(one) for one in re.findall(r"-d '(\{[^']*?\})'", TEXT) if "…" not in one and "update_ids" not in one
    ]
    assert [set(one) for one in told] == [{"username", "name"}, {"role"}, {"days"}]
    made = post("people/add-service/", told[0])
    where = f"people/{made.json()['id']}/"
    assert post(f"{where}grant/", told[1]).status_code == 200
    given, again = (post(f"{where}give-token/", told[2], **{"Idempotency-Key": "one"}) for _ in range(2))
    assert set(given.json()) == {"begins", "created", "expiry", "token"}
    assert (again.json()["token"], again["Idempotency-Replayed"]) == (None, "true")
    mine = {"Authorization": f"Token {given.json()['token']}"}
    asked = "/api/v1/hosts/?environment=production"
    assert set(client.get(f"{asked}&page_size=500", headers=mine).json()) == {"next", "previous", "results"}
    assert client.get(f"{asked}&format=csv", headers=mine)["Content-Type"].startswith("text/csv")
    rfc = client.post(
        "/api/v1/rfcs/", {"update_ids": [world.update.pk], **PLANS}, "application/json", headers=mine
    ).json()
    (hit,) = client.get("/api/v1/search/", {"q": rfc["number"]}, headers=mine).json()
    assert list(hit) == ["kind", "id", "title", "exact", "url"]
    assert post(f"{where}revoke-token/", {"begins": given.json()["begins"]}).status_code == 204
    assert client.get(asked, headers=mine).status_code == 401
    assert settings.PATCHFLOW["CSV_LINES"] == 100_000


def test_a_token_lives_as_long_as_is_said() -> None:
    assert settings.REST_KNOX["TOKEN_TTL"].total_seconds() == 10 * 3600
    assert not settings.REST_KNOX["AUTO_REFRESH"]
    assert settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["login"] == "30/min"


def test_the_menu_leads_to_the_description(world: World) -> None:
    client = Client()
    client.force_login(world.cast.ann, backend="django.contrib.auth.backends.ModelBackend")
    assert '<a href="/api/docs/">' in client.get("/").text
    assert "swagger-ui-bundle" in client.get("/api/docs/").text
