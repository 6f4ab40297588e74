"""One's own notices and settings, on pages and over REST; mail that did not arrive, and its second chance."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from rest_framework.test import APIClient

from patchflow.kernel.models import User
from patchflow.notices.models import Delivery, Subscription
from tests.factories.notices import make_delivery
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
UNREAD = '<span class="visually-hidden">unread</span>'


def as_user(client: Client, person: User) -> Client:
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_a_person_sees_their_own_notices_and_nobody_elses(cast: Cast, now: datetime, client: Client) -> None:
    mine = make_delivery(cast.mia, at=now, title="For mia")
    other = make_delivery(cast.ann, at=now, title="For ann")
    page = as_user(client, cast.mia).get("/notices/").content.decode()
    assert "For mia" in page
    assert "For ann" not in page
    assert client.get(f"/notices/{mine.pk}/").status_code == 200
    assert client.get(f"/notices/{other.pk}/").status_code == 404


def test_who_opens_a_notice_has_read_it(cast: Cast, now: datetime, client: Client) -> None:
    row = make_delivery(cast.mia, at=now)
    as_user(client, cast.mia)
    assert UNREAD in client.get("/notices/").content.decode()
    client.head(f"/notices/{row.pk}/")
    assert Delivery.objects.get().read_at is None
    client.get(f"/notices/{row.pk}/")
    assert Delivery.objects.get().read_at is not None
    assert UNREAD not in client.get("/notices/").content.decode()


def test_all_are_read_at_a_click(cast: Cast, now: datetime, client: Client) -> None:
    for person in (cast.mia, cast.mia, cast.ann):
        make_delivery(person, at=now)
    as_user(client, cast.mia).post("/notices/read/")
    assert list(Delivery.objects.filter(read_at=None).values_list("user__username", flat=True)) == ["ann"]


def test_language_and_zone_are_ones_own_to_choose(cast: Cast, client: Client) -> None:
    as_user(client, cast.mia)
    assert client.post("/settings/", {"language": "de", "time_zone": "Europe/Berlin"}).status_code == 302
    mia = User.objects.get(pk=cast.mia.pk)
    assert (mia.language, mia.time_zone) == ("de", "Europe/Berlin")
    assert '<html lang="de"' in client.get("/").content.decode()
    assert client.post("/settings/", {"language": "xx", "time_zone": "Mars/Olympus"}).status_code == 400


def test_kinds_are_chosen_on_the_page(cast: Cast, client: Client) -> None:
    as_user(client, cast.ann)
    client.post("/settings/notices/", {"wanted-approval_ended": "off", "wanted-approval_requested": "mail"})
    assert list(Subscription.objects.values_list("kind", "wanted")) == [("approval_ended", "off")]
    answer = client.post("/settings/notices/", {"wanted-approval_requested": "off"}, follow=True)
    assert "the notice here cannot" in answer.content.decode()
    assert Subscription.objects.count() == 1


def test_the_same_over_rest(cast: Cast, now: datetime) -> None:
    api = APIClient()
    api.force_authenticate(cast.ann)
    row = make_delivery(cast.ann, at=now)
    make_delivery(cast.mia, at=now)
    assert [n["id"] for n in api.get("/api/v1/notices/").json()["results"]] == [row.pk]
    assert api.post(f"/api/v1/notices/{row.pk}/read/").json() == {"read": 1}
    assert api.post("/api/v1/notices/read-all/").json() == {"read": 0}
    kinds = {k["kind"]: k for k in api.get("/api/v1/notices/kinds/").json()}
    assert kinds["approval_requested"]["duty"]
    told = api.post("/api/v1/notices/subscribe/", {"kind": "approval_ended", "wanted": "inbox"}, format="json")
    assert told.json() == {"kind": "approval_ended", "wanted": "inbox", "reach": "mine"}
    refused = api.post("/api/v1/notices/subscribe/", {"kind": "approval_requested", "wanted": "off"}, format="json")
    assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (409, "subscription.duty")
    put = api.put("/api/v1/preferences/", {"language": "de", "time_zone": "Europe/Berlin"}, format="json")
    assert put.json() == {"username": "ann", "language": "de", "time_zone": "Europe/Berlin"}
    wrong = api.put("/api/v1/preferences/", {"language": "de", "time_zone": "Mars/Olympus"}, format="json")
    assert (wrong.status_code, wrong.json()["blockers"][0]["code"]) == (400, "preferences.time_zone")


def test_mail_that_did_not_arrive_is_for_operators_and_has_a_second_chance(
    cast: Cast, now: datetime, client: Client
) -> None:
    row = make_delivery(cast.ann, at=now, state="failed", attempts=1, error="550 no such mailbox")
    assert as_user(client, cast.ann).get("/notices/undelivered/").status_code == 403
    assert client.get(f"/notices/undelivered/{row.pk}/send-again/").status_code == 404
    as_user(client, cast.otto)
    assert "550 no such mailbox" in client.get("/notices/undelivered/").content.decode()
    assert "1 notice did not arrive" in client.get("/").content.decode()
    assert client.post(f"/notices/undelivered/{row.pk}/send-again/").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.attempts, row.error) == ("queued", 0, "")
    api = APIClient()
    api.force_authenticate(cast.ann)
    assert api.get("/api/v1/undelivered/").json()["results"] == []
    api.force_authenticate(cast.otto)
    assert api.post(f"/api/v1/undelivered/{row.pk}/send-again/").status_code == 404  # it is on its way already
