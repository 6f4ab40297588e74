"""A person with German set is spoken to in German; what is kept stays English."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from changes.domain import rfcs
from patchflow.kernel.models import AuditEntry, User
from tests.factories import changes as made
from tests.factories.people import Cast, make_cast

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def cast() -> Cast:
    found = make_cast()
    User.objects.update(language="de")
    return found


def page(client: Client, person: User, path: str, status: int = 200) -> str:
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def test_the_log_in_speaks_as_the_browser_asks(client: Client, db: None) -> None:
    assert (
        "Anmelden"
        in client.get(reverse("account_login"), headers={"Accept-Language": "de-DE,de;q=0.9"}).content.decode()
    )


def test_pages_and_errors_are_german_for_whoever_chose_it(client: Client, cast: Cast) -> None:
    home = page(client, cast.che, "/")
    assert '<html lang="de"' in home
    assert "Wartungsfenster" in home
    assert "Unter dieser Adresse gibt es nichts" in page(client, cast.che, "/nowhere/", 404)


def test_a_refusal_is_german_on_the_page_and_english_in_the_trail(client: Client, now: datetime) -> None:
    world = made.make_world(make_cast(), now)
    User.objects.update(language="de")
    rfc = made.draft(world)
    rfcs.cancel(rfc_id=rfc.pk, reason="No longer needed.", actor=world.cast.ann, at=now)
    client.force_login(world.cast.ann, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(reverse("changes:rfc-submit", args=[rfc.pk]))
    assert answer.status_code == 409
    assert "Der Zustand ist „abgebrochen“; für „Einreichen“ muss er „Entwurf“ sein." in answer.content.decode()
    entry = AuditEntry.objects.filter(outcome="refused").latest("pk")
    assert [b["sentence"] for b in entry.detail["blockers"]] == ["It is cancelled; submit needs draft."]
