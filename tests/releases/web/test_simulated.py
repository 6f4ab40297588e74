"""Where the simulator acts every page, list, file, notice and answer says so; where hosts are really acted on, none does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from rest_framework.test import APIClient

from changes.domain import calendar_keys
from patchflow.kernel import registry, signoffs
from patchflow.kernel.models import User
from patchflow.notices.models import Delivery
from releases.domain import manifests, releases
from releases.models import Release, Rollout
from tests.factories import releases as stages
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import review_of, rolled_out

pytestmark = pytest.mark.django_db
BY_EXECUTOR = [("simulator", True), ("ssh", False), ("manual", False)]
WORD = re.compile(r"\bsimulated\b(?! clock)", re.IGNORECASE)  # plans are rehearsed on a simulated clock, whoever acts


def over_rest(person: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(person)
    return client


class Said:
    """Where the word was read: name of the place → whether it stands there."""

    def __init__(self) -> None:
        self.places: dict[str, bool] = {}

    def text(self, place: str, text: str) -> None:
        self.places[place] = bool(WORD.search(text))

    def page(self, person: User, *paths: str) -> None:
        browser = Client()
        browser.force_login(person)
        for path in paths:
            answer = browser.get(path)
            assert answer.status_code == 200, path
            self.text(path, b"".join(answer).decode())

    def rest(self, person: User, *paths: str) -> None:
        """The field of the first object there."""
        client = over_rest(person)
        for path in paths:
            found: Any = client.get(f"/api/v1/{path}/").json()
            self.places[path] = (found["results"][0] if "results" in found else found)["simulated"]


@pytest.fixture(params=BY_EXECUTOR, ids=lambda param: param[0])
def by(request: pytest.FixtureRequest, yard: Yard, settings: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[str, bool]:
    """An executor by its name, behind which the machines of the yard are; and whether it is the simulator."""
    settings.ROOT_URLCONF = "patchflow.urls"
    name, simulated = request.param
    monkeypatch.setitem(registry.executors._items, name, yard.executor)
    return name, simulated


@pytest.fixture(autouse=True)
def clock(now: datetime) -> Iterator[Any]:
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


def sealed(yard: Yard, executor: str) -> Release:
    """A release of this executor that waits for gus."""
    release = stages.scheduling(yard)
    Release.objects.filter(pk=release.pk).update(executor=executor)
    manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    return Release.objects.get(pk=release.pk)


def test_while_it_is_decided(by: tuple[str, bool], yard: Yard) -> None:
    """The board, Home, the calendar with its feed, the builder."""
    executor, simulated = by
    release, said, cast = sealed(yard, executor), Said(), yard.cast
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    said.page(cast.gus, "/", "/changes/board/", f"/changes/board/{round_.pk}/")
    said.text("rounds", over_rest(cast.gus).get(f"/api/v1/rounds/{round_.pk}/").content.decode())
    address = calendar_keys.make(actor=cast.rex, at=yard.at)
    said.page(cast.rex, "/changes/calendar/?view=month", f"/changes/calendar/feed/{address}.ics")
    said.text("calendar", over_rest(cast.rex).get("/api/v1/calendar/").content.decode())
    said.rest(cast.rex, "slots", f"releases/{release.pk}")
    said.page(
        cast.rex, f"/releases/{release.pk}/", f"/releases/{release.pk}/tests/", f"/releases/{release.pk}/notices/"
    )
    said.page(cast.rex, f"/releases/{release.pk}/manifests/1/")
    assert said.places == dict.fromkeys(said.places, simulated)


def test_when_it_was_deployed(by: tuple[str, bool], yard: Yard, clock: Any) -> None:
    """Lists, files, pages of release, rollout, review, change, host; Home; notices and mail; REST."""
    executor, simulated = by
    release, said, cast = sealed(yard, executor), Said(), yard.cast
    release = stages.sign(yard, release)
    releases.deploy(release_id=release.pk, actor=cast.rex, at=yard.at)
    rolled_out(yard, release)
    rollout, review, rfc, host = Rollout.objects.get(), review_of(release), release.links.get().rfc, yard.world.hosts[0]
    assert (rollout.executor, rollout.state) == (executor, "completed")
    clock.move_to(rollout.ended_at + timedelta(minutes=1))
    said.page(cast.che, "/", rfc.get_absolute_url())
    said.page(cast.rex, *(f"/{of}/{as_}" for of in ("releases", "rollouts", "reviews") for as_ in ("", "?format=csv")))
    said.page(cast.rex, f"/releases/{release.pk}/", f"/rollouts/{rollout.pk}/", f"/reviews/{review.pk}/")
    said.page(cast.rex, f"/estate/{host.pk}/", "/find/?q=RO-2026", "/find/?q=REL-2026")
    said.rest(cast.rex, "releases", "rollouts", "jobs", "reviews", f"releases/{release.pk}", f"rollouts/{rollout.pk}")
    told = Delivery.objects.filter(notice__kind__startswith="rollout_")
    assert {one.notice.kind for one in told} == {"rollout_started", "rollout_ended"}
    for one in told:
        said.text(f"{one.notice.kind} to {one.user} in {one.language}", one.title)
    assert said.places == dict.fromkeys(said.places, simulated)
