"""The same verbs and refusals over REST; what may not be seen is not there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from changes.models import Feed, FeedRun, SoftwareUpdate
from tests.factories import identify as make
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> datetime:
    """REST acts now, so what is set up lies just before."""
    return timezone.now() - timedelta(minutes=5)


def client(user: Any) -> APIClient:
    found = APIClient()
    found.force_authenticate(user)
    return found


@pytest.fixture
def feed(cast: Cast, at: datetime) -> Feed:
    return make.make_feed(cast.sam, at=at)


@pytest.fixture
def update(feed: Feed, cast: Cast, at: datetime) -> SoftwareUpdate:
    host = make.make_host("web-1", at=at)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=at)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")], cves=["CVE-2026-1000"])], actor=cast.sam, at=at)
    return SoftwareUpdate.objects.get()


def test_hosts_says_who_misses_it_and_why(update: SoftwareUpdate, cast: Cast) -> None:
    [row] = client(cast.ann).get(f"/api/v1/updates/{update.pk}/hosts/").json()

    assert (row["host_name"], row["verdict"], row["installed_version"], row["fixed_version"]) == (
        "web-1",
        "applicable",
        "1.0-1",
        "1.0-2",
    )
    assert row["why"] == "The installed version is below the fixed one."


def test_missing_lists_what_a_host_misses(update: SoftwareUpdate, cast: Cast) -> None:
    [row] = client(cast.ann).get("/api/v1/updates/missing/", {"host": make.Host.objects.get().pk}).json()

    assert row["update"]["id"] == update.pk
    assert row["on_host"]["basis"] == "below"


@pytest.mark.parametrize("asked", ["", "x", "9" * 30])
def test_missing_without_a_host_is_a_field_error(asked: str, cast: Cast) -> None:
    answer = client(cast.ann).get("/api/v1/updates/missing/", {"host": asked})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["host"])


def test_somebody_without_a_role_finds_nothing(update: SoftwareUpdate, cast: Cast) -> None:
    eve = client(cast.eve)

    assert eve.get("/api/v1/updates/").json()["results"] == []
    for path in (
        f"updates/{update.pk}/",
        f"updates/{update.pk}/hosts/",
        "updates/missing/?host=1",
        "feeds/1/",
        "feed-runs/1/",
    ):
        assert eve.get(f"/api/v1/{path}").status_code == 404, path
    assert eve.get("/api/v1/updates/coverage/").json() == []


def test_respond_by_the_change_manager(update: SoftwareUpdate, cast: Cast) -> None:
    body = {"response": "deploy", "reason": "Reachable from outside."}

    answer = client(cast.che).post(f"/api/v1/updates/{update.pk}/respond/", body, format="json")

    assert (answer.status_code, answer.json()["response"]) == (200, "deploy")
    [row] = client(cast.ann).get(f"/api/v1/updates/{update.pk}/responses/").json()
    assert (row["decided_by"], row["reason"]) == ("che", "Reachable from outside.")


def test_respond_refusals_have_reasons(update: SoftwareUpdate, cast: Cast) -> None:
    address = f"/api/v1/updates/{update.pk}/respond/"
    body = {"response": "decline", "reason": "Never mind."}

    refused = client(cast.ann).post(address, body, format="json")
    undated = client(cast.che).post(address, body, format="json")

    assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (403, "role.update.respond")
    assert (undated.status_code, undated.json()["blockers"][0]["code"]) == (400, "update.revisit_on")
    assert SoftwareUpdate.objects.get().response == "undecided"


def test_classify_keeps_the_start_of_the_clock(update: SoftwareUpdate, cast: Cast, at: datetime) -> None:
    body = {"update_class": "critical", "reason": "It faces the world."}

    answer = client(cast.sam).post(f"/api/v1/updates/{update.pk}/classify/", body, format="json")

    assert answer.status_code == 200
    assert SoftwareUpdate.objects.get().start_by == at + timedelta(hours=24)


def test_feed_added_and_polled(cast: Cast) -> None:
    body = {"name": "alma", "kind": "osv", "location_kind": "folder", "location": "/srv/osv"}

    made = client(cast.sam).post("/api/v1/feeds/", body, format="json")
    asked = client(cast.sam).post(f"/api/v1/feeds/{made.json()['id']}/poll/", {}, format="json")
    again = client(cast.sam).post(f"/api/v1/feeds/{made.json()['id']}/poll/", {}, format="json")

    assert (made.status_code, asked.status_code, again.status_code) == (201, 202, 409)
    assert asked.json()["state"] == "queued"
    assert again.json()["blockers"][0]["code"] == "conflict.feed_polled"


def test_feed_with_a_wrong_location_is_refused_by_field(cast: Cast) -> None:
    body = {"name": "alma", "kind": "osv", "location_kind": "url", "location": "file:///etc/passwd"}

    answer = client(cast.sam).post("/api/v1/feeds/", body, format="json")

    assert (answer.status_code, answer.json()["blockers"][0]["code"]) == (400, "feed.location")
    assert client(cast.ann).post("/api/v1/feeds/", body, format="json").status_code == 403
    assert Feed.objects.count() == 0


def test_feed_run_offers_its_verbs_with_reasons(feed: Feed, cast: Cast, at: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(4)]
    make.poll(feed, several, actor=cast.sam, at=at)
    run = make.poll(feed, several[:1], actor=cast.sam, at=at)

    offered = {
        row["name"]: row["allowed"] for row in client(cast.ann).get(f"/api/v1/feed-runs/{run.pk}/available/").json()
    }
    lost = client(cast.ann).get(f"/api/v1/feed-runs/{run.pk}/lost/").json()["results"]
    done = client(cast.sam).post(f"/api/v1/feed-runs/{run.pk}/accept_loss/", {"reason": "Moved."}, format="json")

    assert offered == {"accept_loss": False, "refuse_loss": False}
    assert {one["advisory_id"]: [each["name"] for each in one["updates"]] for one in lost} == {
        f"DSA-{n}-1": [f"package{n}"] for n in (1, 2, 3)
    }
    assert client(cast.sam).get(f"/api/v1/feed-runs/{run.pk}/lost/").json()["results"] == []
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert FeedRun.objects.get(pk=run.pk).state == "completed"


def test_lists_have_the_same_queries_for_one_and_three(
    feed: Feed, cast: Cast, at: datetime, django_assert_num_queries: Any
) -> None:
    ann = client(cast.ann)
    cast.ann.scopes_for("update.view")
    make.poll(feed, [make.record("DSA-1-1", [("p1", "2")])], actor=cast.sam, at=at)
    with django_assert_num_queries(1):
        ann.get("/api/v1/updates/")
    make.poll(feed, [make.record(f"DSA-{n}-1", [(f"p{n}", "2")]) for n in (1, 2, 3)], actor=cast.sam, at=at)
    with django_assert_num_queries(1):
        assert len(ann.get("/api/v1/updates/").json()["results"]) == 3
