"""Home names what each role moves on: suspended changes, what an emergency owes, meetings, exemptions, baselines."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changes.domain import approvals, meetings, rfcs
from cmdb.domain import baselines, exemptions
from cmdb.models import Exemption
from patchflow.kernel import signoffs
from patchflow.kernel.models import User
from patchflow.reports.queries.waiting import waiting_for
from patchflow.web.parts import Todo
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def world(cast: Cast, now: datetime) -> World:
    return made.make_world(cast, now)


def found(person: User, at: datetime, act: str) -> list[Todo]:
    return [todo for todo in waiting_for(person, at=at) if todo.act == act]


def test_a_suspended_change_waits_for_its_manager_until_approval_is_asked_for(world: World) -> None:
    act = "Ask for approval of the rest, or stop it"
    rfc = made.suspended(world)
    (todo,) = found(world.cast.che, world.at, act)
    assert (todo.url, todo.section) == (rfc.get_absolute_url(), "Changes to move on")
    assert not found(world.cast.mia, world.at, act)
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=world.at)
    assert not found(world.cast.che, world.at, act)


def test_what_an_emergency_owes_is_brought_by_who_asked_or_a_manager(world: World) -> None:
    act = "Bring what the emergency owes"
    rfc = made.approve(made.awaiting(world, kind="emergency"), world.cast.cal, at=world.at)
    made.authorized(world)
    (mine,), (theirs,) = found(world.cast.ann, world.at, act), found(world.cast.che, world.at, act)
    assert (mine.url, mine.section, theirs.section) == (rfc.get_absolute_url(), "My requests", "Changes to move on")
    assert mine.why == "As an emergency it still owes the evidence of a test."
    assert not found(world.cast.mia, world.at, act)
    rfcs.lapse(rfc_id=rfc.pk, reason="superseded", actor=world.cast.che, at=world.at)
    assert not found(world.cast.ann, world.at, act), "it goes ahead no longer"


def test_a_meeting_stands_on_home_a_day_ahead_and_while_it_is_in_session(world: World) -> None:
    cast, at = world.cast, world.at
    made.approve(made.awaiting(world), cast.sam, at=at)
    meeting = meetings.plan(kind="cab", starts_at=at + 3 * DAY, actor=cast.che, at=at, chair_id=cast.cal.pk)
    eve_of_it = at + 2 * DAY + timedelta(hours=1)
    assert not found(cast.cal, at, "Fill and publish the agenda")
    (todo,) = found(cast.cal, eve_of_it, "Fill and publish the agenda")
    assert (todo.url, "until " in todo.due) == (meeting.get_absolute_url(), True)
    assert not [t for t in waiting_for(cast.mia, at=eve_of_it) if t.section == "Meetings"], (
        "members wait for the agenda"
    )
    meetings.publish(meeting_id=meeting.pk, actor=cast.che, at=at)
    assert found(cast.cal, eve_of_it, "Open the session")
    assert found(cast.mia, eve_of_it, "Read the agenda")
    assert not found(cast.eve, eve_of_it, "Read the agenda")
    (late,) = found(cast.cal, at + 4 * DAY, "Open the session")
    assert "overdue by" in late.due
    meetings.open_session(meeting_id=meeting.pk, actor=cast.cal, at=at + 3 * DAY)
    assert found(cast.cal, at + 3 * DAY, "Lead the session")
    assert found(cast.mia, at + 3 * DAY, "Take part in the session")


def exemption(world: World) -> Exemption:
    return exemptions.request(
        kind="package", subject="openssl", reason="Vendor pins it.", compensating_control="Behind a proxy.",
        expires_at=world.at + 30 * DAY, host_id=world.hosts[0].pk, actor=world.cast.cora, at=world.at,
    )  # fmt: skip


def test_an_exemption_waits_for_a_second_person_who_decides_on_its_page(world: World, client: Client) -> None:
    act, cast = "Grant or refuse the exemption", world.cast
    asked = exemption(world)
    (todo,) = found(cast.sam, world.at, act)
    assert (todo.url, todo.why) == (asked.get_absolute_url(), "cora asks: “Vendor pins it.”")
    assert not found(cast.cora, world.at, act)
    assert not found(cast.sam, world.at + 31 * DAY, act), "it would have ended"
    client.force_login(cast.cora, backend="django.contrib.auth.backends.ModelBackend")
    assert "Behind a proxy." in client.get(asked.get_absolute_url()).text
    assert client.post(f"{asked.get_absolute_url()}grant/").status_code == 403
    client.force_login(cast.sam, backend="django.contrib.auth.backends.ModelBackend")
    assert str(asked) in client.get("/exemptions/?state=requested").text


def test_an_exemption_is_refused_with_a_reason_and_a_granted_one_revoked(world: World, client: Client) -> None:
    one, other = exemption(world), exemption(world)
    client.force_login(world.cast.sam, backend="django.contrib.auth.backends.ModelBackend")
    with CaptureQueriesContext(connection) as queries:
        client.get(one.get_absolute_url())
    assert len(queries) <= 30
    silent = client.post(f"{one.get_absolute_url()}refuse/", {"reason": ""})
    assert silent.status_code == 400
    for place, after in ((f"{one.get_absolute_url()}refuse/", "refused"), (f"{other.get_absolute_url()}grant/", "")):
        assert client.post(place, {"reason": "Update it."}).status_code == 302
        one.refresh_from_db()
        assert one.state == (after or "refused")
    assert client.post(f"{other.get_absolute_url()}revoke/", {"reason": "The proxy is gone."}).status_code == 302
    other.refresh_from_db()
    assert other.state == "revoked"
    client.force_login(world.cast.eve, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(one.get_absolute_url()).status_code == 404


def test_a_proposed_baseline_of_which_nobody_is_asked_waits_for_a_configuration_manager(world: World) -> None:
    act, cast = "Adopt it, or put it to the vote", world.cast
    one = baselines.propose(
        name="Usual", platform_id=made.make_platform().pk, items=[("openssl", "amd64", "3.0-1")], actor=cast.cora, at=world.at
    )  # fmt: skip
    assert not found(cast.cora, world.at, act), "it is asked about"
    later = world.at + 60 * DAY
    round_ = signoffs.open_round_of(one)
    assert round_ is not None
    while round_.is_open and signoffs.expire(round_id=round_.pk, actor=User.bot(), at=later):
        round_.refresh_from_db()
        later += 60 * DAY
    (todo,) = found(cast.cora, later, act)
    assert (todo.url, todo.section) == (one.get_absolute_url(), "Inventory")
    baselines.request_approval(baseline_id=one.pk, actor=cast.cora, at=later)
    assert not found(cast.cora, later, act)


def test_who_granted_an_exemption_is_not_said_to_have_revoked_it(world: World, client: Client) -> None:
    asked = exemption(world)
    client.force_login(world.cast.sam, backend="django.contrib.auth.backends.ModelBackend")
    exemptions.grant(exemption_id=asked.pk, actor=world.cast.sam, at=world.at)
    assert "<dd>sam, <" in client.get(asked.get_absolute_url()).text
    exemptions.revoke(exemption_id=asked.pk, reason="Gone.", actor=world.cast.sam, at=world.at + DAY)
    assert "<dd>sam</dd>" in client.get(asked.get_absolute_url()).text
