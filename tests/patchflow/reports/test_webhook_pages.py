"""Webhooks on their pages and over REST."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from knox.models import AuthToken

from patchflow.kernel.models import User
from patchflow.notices import webhooks
from patchflow.notices.models import Webhook, WebhookDelivery
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
FORM = {"name": "Desk", "url": "https://example.org/hook", "kind_names": ["substitute_named"], "roles": ["cab_member"]}


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_webhook_is_added_with_a_secret_that_is_shown_once(cast: Cast) -> None:
    client = client_of(cast.ada)
    answer = client.post("/webhooks/add/", FORM)
    hook = Webhook.objects.get()
    assert (hook.kinds, hook.roles) == (["substitute_named"], ["cab_member"])
    assert "whsec_" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    for page in ("/webhooks/", f"/webhooks/{hook.pk}/", f"/webhooks/{hook.pk}/edit/"):
        assert "whsec_" not in client.get(page).content.decode()
    assert "whsec_" in client.post(f"/webhooks/{hook.pk}/new-secret/").content.decode()


def test_what_is_wrong_stands_beside_its_field(cast: Cast) -> None:
    answer = client_of(cast.ada).post("/webhooks/add/", {**FORM, "url": "ftp://example.org/"})
    assert answer.status_code == 400
    assert "http or https" in answer.content.decode()
    assert not Webhook.objects.exists()


def test_messages_show_their_answers_and_are_sent_again(cast: Cast, now: datetime) -> None:
    hook, _secret = webhooks.add(name="Desk", url="http://127.0.0.1:9/", actor=cast.ada, at=now)
    client = client_of(cast.ada)
    assert client.post(f"/webhooks/{hook.pk}/test/").status_code == 302
    row = WebhookDelivery.objects.get()
    webhooks.deliver(delivery_id=row.pk, now=now)
    html = client.get(f"/webhooks/{hook.pk}/?message={row.pk}").content.decode()
    assert "not on the public internet" in html
    assert "1 message did not arrive, the last one" in html
    assert "&quot;type&quot;:&quot;test&quot;" in html
    kept = b"".join(client.get(f"/webhooks/{hook.pk}/?format=csv").streaming_content).decode()
    assert row.message_id in kept
    where = f"/webhooks/{hook.pk}/messages/{row.pk}/again/"
    assert "It keeps its id and its content" in client.get(where).content.decode()
    assert client.post(where).status_code == 302
    assert WebhookDelivery.objects.get().state == "queued"
    assert client.post(f"/webhooks/{hook.pk}/switch-off/").status_code == 302
    assert client.post(f"/webhooks/{hook.pk}/switch-off/").status_code == 302, "who comes second turns nothing on"
    assert "switched off" in client.get(f"/webhooks/{hook.pk}/").content.decode()
    assert client.post(f"/webhooks/{hook.pk}/test/").status_code == 409


def test_they_are_for_administrators(cast: Cast, now: datetime) -> None:
    hook, _secret = webhooks.add(name="Desk", url="https://example.org/", actor=cast.ada, at=now)
    for person in (cast.otto, cast.aud, cast.root, cast.eve):
        client = client_of(person)
        for page in ("/webhooks/", "/webhooks/add/", f"/webhooks/{hook.pk}/"):
            assert client.get(page).status_code == 403
        assert client.post("/webhooks/add/", FORM).status_code == 403
    assert Webhook.objects.count() == 1


def test_rest_has_the_same_verbs(cast: Cast) -> None:
    def headers(person: User) -> dict[str, str]:
        return {"Authorization": f"Token {AuthToken.objects.create(person)[1]}"}

    client, ada, aud = Client(), headers(cast.ada), headers(cast.aud)
    made = client.post("/api/v1/webhooks/", FORM, "application/json", headers=ada)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    assert made["Cache-Control"] == "no-store"
    where = f"/api/v1/webhooks/{made.json()['id']}/"
    assert "secret" not in client.get(where, headers=ada).json()
    assert client.post(f"{where}rotate/", headers=ada).json()["secret"] != made.json()["secret"]
    assert client.post(f"{where}test/", headers=ada).json()["state"] == "queued"
    message = client.get("/api/v1/webhook-messages/", headers=ada).json()["results"][0]
    again = client.post(f"/api/v1/webhook-messages/{message['id']}/send-again/", headers=ada)
    assert (again.status_code, again.json()["blockers"][0]["code"]) == (409, "conflict.state")
    assert client.post(f"{where}switch/", {"off": True}, "application/json", headers=ada).json()["disabled_at"]
    assert client.post("/api/v1/webhooks/", FORM, "application/json", headers=aud).status_code == 403
    assert client.get(where, headers=aud).status_code == 404
    assert client.get("/api/v1/webhook-messages/", headers=aud).json()["results"] == []
