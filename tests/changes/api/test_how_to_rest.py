"""docs/how-to/rest.md, step by step: its addresses, and the refusal that it prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import resolve

from patchflow.kernel import people
from patchflow.kernel.access import grant_role
from tests.factories.changes import PLANS, World

pytestmark = pytest.mark.django_db
TEXT = (Path(settings.BASE_DIR) / "docs" / "how-to" / "rest.md").read_text()


def test_every_address_exists() -> None:
    told = set(re.findall(r"\$PATCHFLOW(/[\w/-]+)", TEXT))
    assert len(told) == 5
    for address in {f"/api/v1{path}" for path in told} | set(re.findall(r"`(?:\w+ )?(/api/[\w/-]+)`", TEXT)):
        assert resolve(address)


def test_from_the_log_in_to_the_refusal(world: World) -> None:
    robot, password = people.add(username="robot", actor=world.cast.ada, at=world.at)
    grant_role(user_id=robot.pk, role="requester", actor=world.cast.ada, at=world.at)
    client = Client()

    def post(path: str, body: dict[str, object] | None = None, **headers: str):
        return client.post(f"/api/v1/{path}", body or {}, "application/json", headers=headers)

    got = post("login/", {"username": "robot", "password": password}).json()
    assert set(got) == {"token", "expiry"}
    mine = {"Authorization": f"Token {got['token']}"}
    raised = post("rfcs/", {"update_ids": [world.update.pk], **PLANS}, **mine)
    assert (raised.status_code, raised.json()["state"]) == (201, "draft")
    where = f"rfcs/{raised.json()['id']}/"
    assert post(f"{where}submit/", **mine).json()["state"] == "submitted"
    refused = post(f"{where}request_approval/", **mine)
    (printed,) = re.findall(r"^\{\n.*?^\}$", TEXT, re.M | re.S)
    keep = {"correlation_id": ""}
    assert refused.json() | keep == json.loads(printed) | keep


def test_a_token_lives_as_long_as_is_said() -> None:
    assert settings.REST_KNOX["TOKEN_TTL"].total_seconds() == 10 * 3600
    assert not settings.REST_KNOX["AUTO_REFRESH"]
    assert settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["login"] == "30/min"


def test_the_menu_leads_to_the_description(world: World) -> None:
    client = Client()
    client.force_login(world.cast.ann, backend="django.contrib.auth.backends.ModelBackend")
    assert '<a href="/api/docs/">' in client.get("/").text
    assert "swagger-ui-bundle" in client.get("/api/docs/").text
