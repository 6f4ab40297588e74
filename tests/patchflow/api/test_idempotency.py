"""A key makes a POST repeatable: done once for its caller, answered each time as the first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from changes.models import RFC
from patchflow.api import idempotency
from patchflow.api.models import Repeatable
from patchflow.kernel.models import AuditEntry
from tests.factories import changes as made
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(cast: Cast, now: datetime) -> made.World:
    return made.make_world(cast, now)


def client(person: Any) -> APIClient:
    found = APIClient()
    found.force_authenticate(person)
    return found


def raise_one(world: made.World, key: str, title: str = "OpenSSL", person: Any = None) -> Any:
    body = {"update_ids": [world.update.pk], "title": title}
    return client(person or world.cast.ann).post("/api/v1/rfcs/", body, format="json", headers={"Idempotency-Key": key})


def test_the_same_key_does_it_once(world: made.World) -> None:
    first, second = raise_one(world, "k1"), raise_one(world, "k1")
    assert (first.status_code, second.status_code) == (201, 201)
    assert (first.json(), second.json()) == (first.json(), first.json())
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert RFC.objects.count() == 1
    assert AuditEntry.objects.filter(verb="change.rfc.raised").count() == 1


def test_other_keys_other_people_and_no_key_do_it_again(world: made.World) -> None:
    raise_one(world, "k1")
    raise_one(world, "k2")
    raise_one(world, "k1", person=world.cast.che)
    raise_one(world, "")
    assert RFC.objects.count() == 4


def test_a_key_belongs_to_one_request(world: made.World) -> None:
    raise_one(world, "k1")
    other = raise_one(world, "k1", title="something else")
    assert (other.status_code, other.json()["blockers"][0]["code"]) == (409, "idempotency.other")
    assert RFC.objects.count() == 1


def test_a_refusal_is_asked_anew_and_its_entry_kept(world: made.World) -> None:
    rfc = made.draft(world)
    mia = client(world.cast.mia)
    address, given = f"/api/v1/rfcs/{rfc.pk}/submit/", {"format": "json", "headers": {"Idempotency-Key": "k"}}
    assert mia.post(address, {}, **given).status_code == 403
    assert mia.post(address, {}, **given).status_code == 403
    refused = AuditEntry.objects.filter(outcome="refused", object_id=str(rfc.pk), verb="change.rfc.submitted")
    assert refused.count() == 2
    assert not Repeatable.objects.exists()


def test_a_key_that_cannot_be_kept_is_refused(world: made.World) -> None:
    for key in ("k" * 256, "tab\tkey"):
        answer = raise_one(world, key)
        assert (answer.status_code, answer.json()["blockers"][0]["code"]) == (400, "idempotency.key")
    assert RFC.objects.count() == 0


def test_old_keys_are_forgotten(world: made.World) -> None:
    raise_one(world, "k1")
    at = Repeatable.objects.get().at
    assert idempotency.forget(now=at + idempotency.KEPT) == 0
    assert idempotency.forget(now=at + idempotency.KEPT + timedelta(seconds=1)) == 1
    assert not Repeatable.objects.exists()


def test_what_is_kept_does_not_tell_the_body(world: made.World) -> None:
    """A decision's body may hold a password: its digest needs the server's key to be guessed at."""
    raise_one(world, "k1")
    kept = Repeatable.objects.get()
    assert "OpenSSL" not in kept.digest
    assert len(kept.digest) == 64
