"""The calendar's pages and its feed: who sees what, in whose zone, and that an address dies when it is revoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from gunicorn.config import Config
from icalendar import Calendar

from changes.domain import calendar_keys, freezes, meetings, slots
from changes.domain.slots import Span
from changes.models import RFC, CalendarKey, ChangeSlot, FreezeWindow, Meeting
from cmdb.domain import windows
from patchflow.access_log import Logger
from patchflow.kernel import calendars
from patchflow.kernel.errors import NotAllowed
from patchflow.kernel.models import SignOffRound, User
from patchflow.settings.logging import mask_addresses
from tests.factories import changes as made
from tests.factories.people import Cast, make_user

SHOW = "/changes/calendar/"


def client(user: User) -> Client:
    found = Client()
    found.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return found


def text(answer: Any) -> str:
    return answer.content.decode()


@pytest.fixture(autouse=True)
def _then(now: datetime) -> Iterator[None]:
    """The pages are looked at on the day on which the tests play."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def planned(cast: Cast, now: datetime) -> ChangeSlot:
    """A slot on Sunday 22 November 2026, 01:00 to 03:00 UTC, of a change on one group's hosts; a freeze on 24 November."""
    world = made.make_world(cast, now, hosts=2)
    rfc = made.authorized(world)
    windows.add(
        name="Sunday night", recurrence="weekly", weekday=6, starts_local=time(2), zone="Europe/Berlin", length_minutes=120,
        from_on=date(2026, 11, 1), actor=cast.cora, at=now,
    )  # fmt: skip
    starts_at = datetime(2026, 11, 22, 1, tzinfo=UTC)
    span = Span(None, "Sunday night", starts_at, starts_at + timedelta(hours=2), hosts=2)
    day = datetime(2026, 11, 24, tzinfo=UTC)
    freezes.declare(
        name="Election", reason="Quiet.", starts_at=day, ends_at=day + timedelta(days=1), actor=cast.che, at=now
    )
    return slots.reserve(rfc_id=rfc.pk, holder="REL-7", spans=[span], responsible=cast.rex, actor=cast.rex, at=now)[0]


@pytest.mark.parametrize("view", ["month", "week", "list"])
def test_each_view_shows_what_lies_in_it_in_the_viewers_zone(planned: ChangeSlot, cast: Cast, view: str) -> None:
    cast.che.time_zone = "Asia/Tokyo"
    cast.che.save()
    page = text(client(cast.che).get(f"{SHOW}?view={view}&on=2026-11-20"))
    assert planned.rfc.number in page
    assert "Sunday night" in page
    assert "10:00" in page
    assert ("Election" in page) == (view != "week")
    assert "your time zone (JST)" in page
    later = text(client(cast.che).get(f"{SHOW}?view={view}&on=2027-03-01"))
    assert planned.rfc.number not in later


def test_kinds_narrow_and_nonsense_is_not_believed(planned: ChangeSlot, cast: Cast) -> None:
    che = client(cast.che)
    page = text(che.get(f"{SHOW}?view=list&on=2026-11-18&kind=freeze"))
    assert "Election" in page
    assert planned.rfc.number not in page
    for wrong in ("view=year", "on=yesterday", "on=2026-02-31", "on=9999-12-31", "kind=nothing"):
        assert che.get(f"{SHOW}?{wrong}").status_code == 200
    sheet: Any = che.get(f"{SHOW}?view=list&on=2026-11-18&format=csv")
    assert b"Election" in b"".join(sheet.streaming_content)


def test_a_start_by_date_that_is_over_is_called_missed_until_the_change_has_started(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    over, ahead, begun = made.draft(world), made.draft(world), made.draft(world)
    RFC.objects.filter(pk__in=[over.pk, begun.pk]).update(start_by=now - timedelta(hours=1))
    RFC.objects.filter(pk=ahead.pk).update(start_by=now + timedelta(hours=1))
    RFC.objects.filter(pk=begun.pk).update(clock_stopped_at=now)
    che = client(cast.che)
    for view in ("month", "week", "list"):
        page = text(che.get(f"{SHOW}?view={view}&on={now:%Y-%m-%d}&kind=start_by"))
        assert (over.number in page, ahead.number in page, begun.number in page) == (True, True, False), view
        assert page.count("<b>missed</b>") == (view != "list"), view
        if view != "list":
            assert f'<span class="nb">{over.number}</span></a>' in page, (
                "the number stands apart, so that no title cuts it off"
            )
            assert f'<span class="name">{over.title}</span>' in page
    assert page.count("missed: today") == 1
    assert page.count("missed: production has not begun") == 1
    assert page.count("by then it must have started") == 1


def asking(cast: Cast, now: datetime) -> tuple[Meeting, SignOffRound]:
    """A meeting on Friday 20 November 2026 from 10:00 UTC on, and a round that asks the security officer."""
    rfc = made.awaiting(made.make_world(cast, now))
    begins = datetime(2026, 11, 20, 10, tzinfo=UTC)
    planned = meetings.plan(kind="cab", starts_at=begins, minutes=45, place="Room 4", actor=cast.che, at=now)
    return planned, made.round_of(rfc)


@pytest.mark.parametrize("view", ["month", "week", "list"])
def test_meetings_and_the_deadlines_of_votes_stand_in_each_view(cast: Cast, now: datetime, view: str) -> None:
    meeting, round_ = asking(cast, now)
    page = text(client(cast.sam).get(f"{SHOW}?view={view}&on=2026-11-18"))
    assert meeting.get_absolute_url() in page
    assert meeting.number in page
    due, item = round_.levels.get(position=1).deadline_at, reverse("changes:board-item", args=[round_.pk])
    address = f"{SHOW}?view={view}&on={due:%Y-%m-%d}"
    assert item in text(client(cast.sam).get(address))
    assert item not in text(client(cast.cal).get(address))  # asked at a later level only


def entries_of(user: User, now: datetime) -> dict[str, calendars.Entry]:
    found = calendars.entries(
        actor=user, since=now, until=now + timedelta(days=30), at=now, kinds=["meeting", "vote_by"]
    )
    return {entry.kind: entry for entry in found}


def test_a_meeting_is_shown_for_its_length_to_whom_it_concerns(cast: Cast, now: datetime) -> None:
    meeting, round_ = asking(cast, now)
    near = make_user("near", "reader", scope=made.make_group("elsewhere", at=now).scope_key)
    assert entries_of(near, now) == {}
    assert entries_of(cast.eve, now) == {}
    seen = entries_of(cast.sam, now)
    sits, vote = seen["meeting"], seen["vote_by"]
    assert (sits.starts_at, sits.ends_at, sits.url) == (meeting.starts_at, meeting.ends_at, meeting.get_absolute_url())
    assert (sits.title, sits.detail) == (f"CAB · {meeting.number}", f"Room 4, chair {meeting.chair}")
    deadline = round_.levels.get(position=1).deadline_at
    rfc = RFC.objects.get(pk=round_.subject_id)
    assert (vote.starts_at, vote.ends_at, vote.title) == (deadline, deadline, f"{rfc.title} · {rfc.number}")
    rest = client(cast.sam).get(
        "/api/v1/calendar/", {"since": now.isoformat(), "kind": "meeting"}, headers={"accept": "application/json"}
    )
    assert [one["key"] for one in rest.json()] == [f"meeting-{meeting.pk}"]
    feed = Calendar.from_ical(Client().get(
        reverse("changes:calendar-feed", args=[calendar_keys.make(actor=cast.sam, at=now)])
    ).content)  # fmt: skip
    events = {str(one["uid"]).partition("@")[0]: one for one in feed.walk("VEVENT")}
    assert events[f"meeting-{meeting.pk}"]["dtend"].dt == meeting.ends_at
    assert events[f"vote-{round_.pk}-1"]["dtstart"].dt == deadline


def test_who_has_voted_is_asked_no_more_and_what_was_called_off_is_gone(cast: Cast, now: datetime) -> None:
    meeting, round_ = asking(cast, now)
    made.approve(RFC.objects.get(pk=round_.subject_id), cast.sam, at=now)
    meetings.cancel(meeting_id=meeting.pk, reason="Nobody can come.", actor=cast.che, at=now)
    assert entries_of(cast.sam, now) == {}
    assert set(entries_of(cast.cal, now)) == {"vote_by"}


def test_what_is_out_of_scope_is_not_in_the_calendar(planned: ChangeSlot, cast: Cast, now: datetime) -> None:
    other = made.make_group("elsewhere", at=now)
    sue = make_user("sue", "reader", scope=other.scope_key)
    page = text(client(sue).get(f"{SHOW}?view=list&on=2026-11-18"))
    assert "Election" in page
    assert planned.rfc.number not in page
    assert "Sunday night" not in page
    assert client(cast.eve).get(SHOW).status_code == 404
    span = {"since": now, "until": now + timedelta(days=30), "at": now}
    assert {e.kind for e in calendars.entries(actor=cast.che, **span)} >= {"slot", "freeze", "window"}
    assert calendars.entries(actor=cast.eve, **span) == []


def test_a_slot_leaves_the_calendar_when_it_is_given_back(planned: ChangeSlot, cast: Cast, now: datetime) -> None:
    slots.give_back(rfc_id=planned.rfc_id, holder="REL-7", reason="Cancelled.", actor=cast.rex, at=now)
    assert planned.rfc.number not in text(client(cast.che).get(f"{SHOW}?view=list&on=2026-11-18&kind=slot"))


def test_the_feed_is_read_by_its_secret_and_dies_with_it(planned: ChangeSlot, cast: Cast, now: datetime) -> None:
    che = client(cast.che)
    page = text(che.post(reverse("changes:calendar-subscribe")))
    address = page.split('data-copy="')[1].split('"')[0].replace("http://testserver", "")
    assert CalendarKey.objects.get().digest not in address
    answer = Client().get(address)
    assert (answer.status_code, answer["Content-Type"], answer["Cache-Control"]) == (
        200, "text/calendar; charset=utf-8", "private, no-store",
    )  # fmt: skip
    events = Calendar.from_ical(answer.content).walk("VEVENT")
    seen = {str(event["uid"]).partition("@")[0]: event for event in events}
    slot = seen[f"slot-{planned.pk}"]
    assert (slot["dtstart"].dt, slot["dtend"].dt) == (planned.starts_at, planned.ends_at)
    assert str(slot["url"]) == f"http://testserver{planned.rfc.get_absolute_url()}"
    assert any(key.startswith("freeze-") for key in seen)
    assert address not in text(che.get(reverse("changes:calendar-subscribe")))
    assert Client().get(address.replace(".ics", "x.ics")).status_code == 404
    assert Client().post(address).status_code == 404
    che.post(reverse("changes:calendar-revoke"))
    assert Client().get(address).status_code == 404


def test_no_log_keeps_the_secret_of_a_feed() -> None:
    line = {"event": "Not Found: /changes/calendar/feed/a-B_c9.ics", "code": 404}
    assert mask_addresses(None, "", line) == {"event": "Not Found: /changes/calendar/feed/***.ics", "code": 404}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (b"/changes/calendar/feed/a-B_c9.ics?x=1", "/changes/calendar/feed/***.ics?x=1"),
        (b"/changes/calendar/feed/a-B_c9", "/changes/calendar/feed/***"),
        (b"/account/password/reset/key/1-a-B_c9/", "/account/password/reset/key/***/"),
        (b"/changes/calendar/?month=2026-11", "/changes/calendar/?month=2026-11"),
    ],
)
def test_the_access_log_keeps_no_secret_of_an_address(address: bytes, shown: str) -> None:
    path = address.decode()
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_REFERER": f"http://x{path}",
    }
    answer = SimpleNamespace(status="200 OK", sent=1, headers=[])
    atoms = Logger(Config()).atoms(answer, SimpleNamespace(headers=[]), environ, timedelta(seconds=1))
    assert (atoms["r"], atoms["f"]) == (f"GET {shown} HTTP/1.1", f"http://x{shown}")


def test_the_feed_shows_only_what_its_owner_may_see_now(planned: ChangeSlot, cast: Cast, now: datetime) -> None:
    secret = calendar_keys.make(actor=cast.mia, at=now)
    address = reverse("changes:calendar-feed", args=[secret])
    assert planned.rfc.number in text(Client().get(address))
    cast.mia.role_grants.all().delete()
    assert Client().get(address).status_code == 404
    cast.mia.role_grants.create(role="cab_member")
    User.objects.filter(pk=cast.mia.pk).update(is_active=False)
    assert Client().get(address).status_code == 404
    other = calendar_keys.make(actor=cast.che, at=now)
    again = calendar_keys.make(actor=cast.che, at=now)
    assert calendar_keys.owner_of(other) is None
    assert calendar_keys.owner_of(again) == cast.che


def test_a_leaked_address_is_revoked_by_an_administrator(cast: Cast, now: datetime) -> None:
    secret = calendar_keys.make(actor=cast.mia, at=now)
    key = CalendarKey.objects.get()
    for person in (cast.che, cast.root):
        with pytest.raises(NotAllowed):
            calendar_keys.revoke_of(key_id=key.pk, reason="Leaked.", actor=person, at=now)
    calendar_keys.revoke_of(key_id=key.pk, reason="Leaked.", actor=cast.ada, at=now)
    assert calendar_keys.owner_of(secret) is None


def test_a_freeze_is_declared_and_lifted_on_its_pages(planned: ChangeSlot, cast: Cast) -> None:
    che = client(cast.che)
    said = {"name": "Sale", "reason": "No surprises.", "starts_at": "2126-11-20T00:00", "ends_at": "2126-11-19T00:00"}
    place = reverse("changes:freeze-declare")
    assert "It must end after it starts" in text(che.post(place, said))
    assert client(cast.ann).post(place, {**said, "ends_at": "2126-11-30T00:00"}).status_code == 400
    answer = che.post(place, {**said, "ends_at": "2126-11-30T00:00", "passes": ["standard"]}, follow=True)
    freeze = FreezeWindow.objects.get(name="Sale")
    assert freeze.passes == ["standard"]
    assert "Declared. No reserved slot lies in it." in text(answer)
    lift = reverse("changes:freeze-lift", args=[freeze.pk])
    assert che.post(lift, {}).status_code == 400
    assert client(cast.ann).post(lift, {"reason": "Enough."}).status_code == 400
    assert "Lifted by che: Enough." in text(che.post(lift, {"reason": "Enough."}, follow=True))
    assert client(cast.eve).get(freeze.get_absolute_url()).status_code == 404


def test_a_freeze_over_a_slot_says_so(planned: ChangeSlot, cast: Cast, now: datetime) -> None:
    since = planned.starts_at - timedelta(hours=1)
    freeze = freezes.declare(
        name="Late", reason="Sick staff.", starts_at=since, ends_at=planned.ends_at, actor=cast.che, at=now
    )
    assert planned.rfc.number in text(client(cast.che).get(freeze.get_absolute_url()))
    page = text(client(cast.che).get(planned.rfc.get_absolute_url()))
    assert "stands over a slot of it" in page


def test_the_calendar_over_rest(planned: ChangeSlot, cast: Cast) -> None:
    che = client(cast.che)
    found = che.get("/api/v1/calendar/?since=2026-11-18T00:00:00Z&until=2026-11-30T00:00:00Z").json()
    assert {e["kind"] for e in found} >= {"slot", "freeze", "window"}
    only = che.get("/api/v1/calendar/?since=2026-11-18T00:00:00Z&kind=slot").json()
    assert [e["key"] for e in only] == [f"slot-{planned.pk}"]
    for wrong in ("kind=nothing", "since=2026-11-18T00:00:00Z&until=2028-01-01T00:00:00Z", "since=x"):
        assert che.get(f"/api/v1/calendar/?{wrong}").status_code == 400
    assert client(cast.eve).get("/api/v1/calendar/?since=2026-11-18T00:00:00Z").json() == []
    assert [s["holder"] for s in che.get("/api/v1/slots/").json()["results"]] == ["REL-7"]
    address = che.post("/api/v1/calendar/make-key/").json()["url"].replace("http://testserver", "")
    assert Client().get(address).status_code == 200
    assert che.post("/api/v1/calendar/revoke-key/").status_code == 204
    assert Client().get(address).status_code == 404
    conflicts = che.get(f"/api/v1/rfcs/{planned.rfc_id}/conflicts/").json()
    assert conflicts["hidden"] == 0
    assert [c["kind"] for c in conflicts["conflicts"]] == ["window"]
    assert {u["reason"] for u in conflicts["unfit"]} == {"It is in no service window."}


@pytest.mark.django_db
@pytest.mark.parametrize("view", ["month", "week", "list"])
def test_a_window_that_is_always_open_is_said_once_beneath(cast: Cast, now: datetime, view: str) -> None:
    given = {"recurrence": "weekly", "starts_local": time(0), "zone": "UTC", "actor": cast.cora, "at": now}
    windows.add(name="Always", weekday=0, length_minutes=7 * 24 * 60, from_on=date(2026, 1, 1), **given)
    windows.add(name="From the 19th", weekday=3, length_minutes=7 * 24 * 60, from_on=date(2026, 11, 19), **given)
    windows.add(name="Weekly", weekday=5, length_minutes=60, from_on=date(2026, 1, 1), **given)
    windows.add(name="All week", weekday=0, length_minutes=7 * 24 * 60 - 1, from_on=date(2026, 1, 1), **given)
    page = text(client(cast.che).get(SHOW, {"view": view, "on": "2026-11-18"}))
    assert page.count(">Always<") == 1
    beneath = page.partition("calalways")[2].partition("</p>")[0]
    shown = page.partition("calalways")[0]
    assert "Weekly" in shown
    assert "Weekly" not in beneath
    assert "All week" in shown  # shut for a minute
    if view != "week":
        assert page.count(">From the 19th<") == 1
        assert "2026-11-19T00:00:00" in beneath
    csv = b"".join(client(cast.che).get(SHOW, {"view": view, "on": "2026-11-18", "format": "csv"}).streaming_content)
    assert csv.count(b"Always") >= (1 if view == "week" else 5)
