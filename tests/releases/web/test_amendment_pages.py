"""The page of late-comers: proposed, read and decided there; the same over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from patchflow.kernel.models import User
from releases.domain import amendments
from releases.models import Amendment
from tests.releases.domain.test_amendments import Late, late  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def _real_urls(late: Late, settings: Any) -> Iterator[None]:  # noqa: F811
    settings.ROOT_URLCONF = "patchflow.urls"
    with time_machine.travel(late.yard.at, tick=False):
        yield


def browser(user: User) -> Client:
    made = Client()
    made.force_login(user)
    return made


def test_late_comers_are_told_on_the_release_proposed_on_their_page_and_signed_there(late: Late) -> None:  # noqa: F811
    rex, gus = browser(late.yard.cast.rex), browser(late.yard.cast.gus)
    url = reverse("releases:release-amend", args=[late.release.pk])
    told = rex.get(late.release.get_absolute_url()).content.decode()
    assert "1 host could join" in told
    assert url in told
    shown = rex.get(url).content.decode()
    assert "Propose that they join" in shown
    assert late.host.name in shown
    assert rex.post(url, {"host_ids": [late.host.pk], "reason": "Installed yesterday."}).status_code == 302
    amendment = Amendment.objects.get()
    asked = gus.get(url).content.decode()
    for said in ("stays word for word", "Let them join", "Installed yesterday.", amendment.digest[:4]):
        assert said in asked, said
    assert "Let them join" not in rex.get(url).content.decode()
    signed = gus.post(url, {"verdict": "approve", "comment": "", "digest_seen": amendment.digest})
    assert signed.status_code == 302
    assert Amendment.objects.get().state == "adopted"
    assert "manifest 2" in rex.get(url).content.decode()
    assert "host could join" not in rex.get(late.release.get_absolute_url()).content.decode()


def test_what_is_refused_says_why_and_keeps_what_was_typed(late: Late) -> None:  # noqa: F811
    url = reverse("releases:release-amend", args=[late.release.pk])
    late.propose()
    gus = browser(late.yard.cast.gus)
    answer = gus.post(url, {"verdict": "approve", "comment": "", "digest_seen": "0" * 64})
    assert answer.status_code == 400
    answer = browser(late.yard.cast.rex).post(url, {"withdraw": "1", "withdraw-reason": "Not yet."})
    assert answer.status_code == 302
    assert Amendment.objects.get().state == "withdrawn"


def test_nobody_without_the_whole_release_in_their_scope_reads_it(late: Late) -> None:  # noqa: F811
    url = reverse("releases:release-amend", args=[late.release.pk])
    assert browser(late.yard.cast.eve).get(url).status_code == 404
    assert browser(late.yard.cast.aud).get(url).status_code == 200


def test_the_same_over_rest(late: Late) -> None:  # noqa: F811
    api, at = APIClient(), f"/api/v1/releases/{late.release.pk}/"
    api.force_authenticate(late.yard.cast.rex)
    found = api.get(f"{at}late_comers/").data
    assert [entry["name"] for entry in found["entries"]] == [late.host.name]
    assert api.post(f"{at}propose_amendment/", {"reason": "Installed yesterday."}, format="json").status_code == 200
    again = api.post(f"{at}propose_amendment/", {"reason": "Again."}, format="json")
    assert (again.status_code, "conflict.amendment" in str(again.data)) == (409, True)
    (kept,) = api.get(f"{at}amendments/").data
    assert (kept["state"], kept["amends"], kept["revision"]) == ("proposed", 1, None)
    assert [joiner["name"] for joiner in kept["joiners"]] == [late.host.name]
    mine = api.post(f"{at}sign_amendment/", {"verdict": "approve", "digest_seen": kept["digest"]}, format="json")
    assert mine.status_code == 403
    api.force_authenticate(late.yard.cast.gus)
    signed = api.post(f"{at}sign_amendment/", {"verdict": "approve", "digest_seen": kept["digest"]}, format="json")
    assert signed.status_code == 200
    (kept,) = api.get(f"{at}amendments/").data
    assert (kept["state"], kept["revision"]) == ("adopted", 2)
    assert not amendments.open_amendment(late.release)
