"""Pages and REST of the chain of communication, and what people will read beforehand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from cmdb.models import ConfigurationItem
from patchflow.kernel.models import User
from patchflow.reports.queries.waiting import waiting_for
from releases.domain import delays
from releases.executors.onhost.work import RESTARTS_SOON
from releases.models import Ring
from releases.queries.telling import Start, starts_of
from tests.factories.changes import awaiting, make_world
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def told(cast: Cast, tmp_path: Path) -> Deployment:
    """A ring whose one host is olga's, told a day before; the clock is the real one."""
    return told_with(cast, tmp_path)


def told_with(cast: Cast, tmp_path: Path, **profile: Any) -> Deployment:
    """As `told`, with more in the profile."""
    profile = {"notify": True, "notice_hours": 24, "countdown_seconds": 120, **profile}
    made = make_deployment(cast, datetime.now(UTC), tmp_path, hosts=1, profile=profile)
    ConfigurationItem.objects.filter(host=made.hosts[0]).update(owner=make_user("olga"))
    made.start()
    made.tick()
    return made


def page(client: Client, person: User, url: str) -> str:
    client.force_login(person, backend=BACKEND)
    answer = client.get(url)
    assert answer.status_code == 200, url
    return answer.content.decode()


def test_a_representative_acknowledges_on_the_page_and_the_rollout_shows_it(told: Deployment, client: Client) -> None:
    olga, ring = User.objects.get(username="olga"), told.ring()
    url = ring.get_people_url()
    assert "I know, and have passed it on" in page(client, olga, url)
    assert "Acknowledge" in page(client, olga, "/")
    (todo,) = [t for t in waiting_for(olga, at=datetime.now(UTC)) if t.act == "Acknowledge"]
    assert "until " in todo.due, "from when the ring may start"
    client.post(f"/rings/{ring.pk}/acknowledge/")
    assert "I know, and have passed it on" not in page(client, olga, url)
    shown = page(client, told.cast.rex, told.rollout.get_absolute_url())
    assert "1 of 1 acknowledged" in shown
    assert "its notice runs until" in shown
    client.force_login(told.cast.eve, backend=BACKEND)
    assert client.get(url).status_code == 404


def test_more_time_is_asked_for_and_granted_on_pages(told: Deployment, client: Client) -> None:
    olga, ring = User.objects.get(username="olga"), told.ring()
    until = datetime.now(UTC) + timedelta(days=3)
    page(client, olga, f"/rings/{ring.pk}/ask-delay/")
    client.post(f"/rings/{ring.pk}/ask-delay/", {"until": f"{until:%Y-%m-%dT%H:%M}", "reason": "Year-end closing."})
    request = ring.delay_requests.get()
    assert "Year-end closing." in page(client, told.cast.che, ring.get_people_url())
    people = page(client, told.cast.che, ring.get_people_url())
    assert "A change manager grants or refuses the time that is asked for." in people
    assert "from then on the ring may start. A request that nobody has decided holds nothing back." in people
    home = page(client, told.cast.che, "/")
    assert "Grant or refuse more time" in home
    assert "until tomorrow" in home, "the notice is over then, and the ring may start"
    told.rfc.__class__.objects.filter(pk=told.rfc.pk).update(
        start_by=datetime.now(UTC) + timedelta(days=1), clock_stopped_at=None
    )
    dialog = page(client, told.cast.che, f"/delays/{request.pk}/grant/")
    assert "1 host waits until" in dialog
    assert f"The start-by target of {told.rfc.number}" in dialog
    assert "Decide before" in dialog
    client.post(f"/delays/{request.pk}/grant/", {"comment": "Understood."})
    request.refresh_from_db()
    assert (request.state, request.decided_by) == ("granted", told.cast.che)


def ask(deployment: Deployment, days: int) -> int:
    """olga asks for so many days more."""
    now, olga = datetime.now(UTC), User.objects.get(username="olga")
    until = now + timedelta(days=days)
    return delays.ask(ring_id=deployment.ring().pk, until=until, reason="Closing.", actor=olga, at=now).pk


def test_a_delay_that_was_granted_holds_the_ring_whose_notice_is_over(told: Deployment, client: Client) -> None:
    now, che, url = datetime.now(UTC), told.cast.che, told.ring().get_people_url()
    delays.grant(request_id=ask(told, 3), comment="Understood.", actor=che, at=now)
    another = ask(told, 5)
    Ring.objects.update(state_at=now - timedelta(days=2))
    for shown in (page(client, che, url), page(client, che, f"/delays/{another}/refuse/")):
        assert "Decide before" in shown
        assert "Decide now" not in shown
    assert "overdue by" not in page(client, che, "/")
    told.ring().delay_requests.filter(state="granted").update(
        asked_at=now - timedelta(days=1), until=now - timedelta(hours=1)
    )
    assert "Decide now: the ring may start at any moment." in page(client, che, url)
    assert "overdue by " in page(client, che, "/"), "its notice was over a day ago"
    assert starts_of([told.ring()], {told.ring().pk: {"notice_hours": 0}}, now=now) == {told.ring().pk: Start(None)}


def test_where_somebody_is_still_to_acknowledge_no_start_is_named(cast: Cast, tmp_path: Path, client: Client) -> None:
    told = told_with(cast, tmp_path, acknowledge=True)
    url, everybody = (
        told.ring().get_people_url(),
        "A ring does not start before everybody who was told has acknowledged.",
    )
    ask(told, 5)
    for state_at in (datetime.now(UTC), datetime.now(UTC) - timedelta(days=2)):
        Ring.objects.update(state_at=state_at)
        shown = page(client, cast.che, url)
        assert f"{everybody} A request that nobody has decided holds nothing back." in shown
        assert "Decide before" not in shown
        assert "Decide now" not in shown
        home = page(client, cast.che, "/")
        assert "Grant or refuse more time" in home
        assert "until tomorrow" not in home
        assert "overdue by" not in home
    told.ring().representatives.update(acknowledged_at=datetime.now(UTC))
    assert "Decide now: the ring may start at any moment." in page(client, cast.che, url)


def test_the_same_over_rest(told: Deployment) -> None:
    olga, ring = User.objects.get(username="olga"), told.ring()
    api = APIClient()
    api.force_authenticate(olga)
    (row,) = api.get("/api/v1/representatives/").json()["results"]
    assert api.post(f"/api/v1/representatives/{row['id']}/acknowledge/").json()["acknowledged_at"]
    until = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    asked = api.post(
        "/api/v1/delay-requests/", {"ring_id": ring.pk, "until": until, "reason": "Closing."}, format="json"
    )
    assert asked.status_code == 201
    address = f"/api/v1/delay-requests/{asked.json()['id']}/"
    assert api.post(address + "grant/").status_code == 403
    api.force_authenticate(told.cast.che)
    assert api.post(address + "refuse/", {"comment": "It is exploited."}, format="json").json()["state"] == "refused"
    api.force_authenticate(told.cast.eve)
    assert api.get("/api/v1/delay-requests/").json()["results"] == []


def test_who_will_be_told_what_is_seen_beforehand_to_the_letter(told: Deployment, client: Client) -> None:
    shown = page(client, told.cast.rex, f"/releases/{told.release.pk}/notices/")
    assert "Software updates have begun" in shown
    assert "Leave them switched on" in shown
    assert "olga" in shown
    assert RESTARTS_SOON.format(seconds=120) in shown
    assert told.rfc.title in page(client, told.cast.che, f"/releases/of-change/{told.rfc.pk}/notices/")


def test_beforehand_a_change_that_waits_shows_the_question_to_its_voters(
    cast: Cast, now: datetime, client: Client
) -> None:
    rfc = awaiting(make_world(cast, now))
    shown = page(client, cast.che, f"/releases/of-change/{rfc.pk}/notices/")
    assert f"{rfc.number} waits for your decision: " in shown
    assert "sam" in shown
