"""The one box over REST: what the page finds, to the same people."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from knox.models import AuthToken

from patchflow.kernel.models import User
from patchflow.reports.queries.find import find
from tests.factories import changes as made
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def search(person: User, **asked: str):
    headers = {"Authorization": f"Token {AuthToken.objects.create(person)[1]}"}
    return Client().get("/api/v1/search/", asked, headers=headers)


def test_it_finds_what_the_page_finds_nearest_first(cast: Cast, now: datetime) -> None:
    rfc = made.draft(made.make_world(cast, now))
    for name in ("old-web", "web", *(f"web-{n}" for n in range(12))):
        made.make_host(name, at=now)
    for text in ("web", rfc.number, "mia"):
        hits = find(text, cast.che)
        told = search(cast.che, q=f" {text} ").json()
        assert [(hit["kind"], hit["id"], hit["title"], hit["exact"], hit["url"]) for hit in told] == [
            (hit.noun, hit.pk, hit.title, hit.exact, hit.url) for hit in hits
        ]
    hosts = search(cast.che, q="web").json()
    assert len(hosts) == 10
    assert (hosts[0]["title"].partition(" · ")[0], hosts[0]["exact"]) == ("web", True)
    assert search(cast.che, q=rfc.number).json()[0] == {
        "kind": "rfc", "id": rfc.pk, "title": f"{rfc.number} · {rfc.title}", "exact": True, "url": rfc.get_absolute_url(),
    }  # fmt: skip


def test_what_one_may_not_see_is_not_found(cast: Cast, now: datetime) -> None:
    made.make_host("web", at=now)
    assert search(cast.eve, q="web").json() == []


@pytest.mark.parametrize("asked", [{}, {"q": ""}, {"q": " "}, {"q": "x" * 101}, {"q": "web", "kind": "host"}])
def test_what_cannot_be_sought_is_refused(cast: Cast, asked: dict[str, str]) -> None:
    answer = search(cast.che, **asked)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert set(answer.json()["errors"]) == ({"kind"} if "kind" in asked else {"q"})
