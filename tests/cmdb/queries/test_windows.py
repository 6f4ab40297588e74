"""Openings: nth weekday plus offset, zones, the two nights of the year, cut-off, and hosts through their groups."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmdb.enums import Recurrence
from cmdb.models import Nth, ServiceWindow, Weekday
from cmdb.queries import windows
from tests.factories.cmdb import make_group, make_host

BERLIN = "Europe/Berlin"


def window(**fields: Any) -> ServiceWindow:
    """The second Tuesday of the month at 02:00 UTC for two hours, from 1 January 2026 on."""
    return ServiceWindow(
        **{
            "pk": 1,
            "name": "second Tuesday",
            "starts_local": time(2, 0),
            "length_minutes": 120,
            "from_on": date(2026, 1, 1),
            "made_at": datetime(2026, 1, 1, tzinfo=UTC),
            **fields,
        }
    )


def starts(window_: ServiceWindow, after: datetime, count: int) -> list[str]:
    return [o.starts_at.strftime("%Y-%m-%d %H:%M") for o in windows.openings(window_, after=after, count=count)]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_openings_second_tuesday() -> None:
    assert starts(window(), at("2026-01-01"), 3) == ["2026-01-13 02:00", "2026-02-10 02:00", "2026-03-10 02:00"]


def test_openings_saturday_after_second_tuesday() -> None:
    # August 2026 begins on a Saturday: its second Tuesday is the 11th, the Saturday after it the 15th.
    assert starts(window(offset_days=4), at("2026-07-20"), 2) == ["2026-08-15 02:00", "2026-09-12 02:00"]


def test_openings_offset_into_the_next_month() -> None:
    last_monday = window(nth=Nth.LAST, weekday=Weekday.MONDAY, offset_days=7)
    assert starts(last_monday, at("2026-02-01"), 2) == ["2026-02-02 02:00", "2026-03-02 02:00"]


def test_openings_weekly() -> None:
    weekly = window(recurrence=Recurrence.WEEKLY, weekday=Weekday.SUNDAY, offset_days=0)
    assert starts(weekly, at("2026-11-18"), 2) == ["2026-11-22 02:00", "2026-11-29 02:00"]


def test_openings_first_day_is_no_occurrence_by_itself() -> None:
    assert starts(window(from_on=date(2026, 1, 14)), at("2026-01-01"), 1) == ["2026-02-10 02:00"]


def test_openings_end_with_the_last_day() -> None:
    assert starts(window(until_on=date(2026, 2, 10)), at("2026-01-01"), 20) == ["2026-01-13 02:00", "2026-02-10 02:00"]


def test_openings_of_a_retired_window() -> None:
    assert starts(window(retired_at=at("2026-01-05")), at("2026-01-06"), 5) == []


def test_openings_next_twenty() -> None:
    assert len(starts(window(), at("2026-01-01"), 20)) == 20


def test_openings_gap_moves_forward() -> None:
    """On 29 March 2026 Berlin has no 02:30: read with the offset before the gap it is 03:30 summer time (RFC 5545 3.3.5)."""
    sunday = window(recurrence=Recurrence.WEEKLY, weekday=Weekday.SUNDAY, starts_local=time(2, 30), zone=BERLIN)
    opening = windows.openings(sunday, after=at("2026-03-28"), count=1)[0]
    assert opening.starts_at == at("2026-03-29 01:30")
    assert opening.starts_at.astimezone(ZoneInfo(BERLIN)).strftime("%H:%M %Z") == "03:30 CEST"
    assert opening.ends_at - opening.starts_at == timedelta(hours=2)


def test_openings_ambiguous_takes_the_first() -> None:
    """On 25 October 2026 Berlin has 02:30 twice: the first is still summer time."""
    sunday = window(recurrence=Recurrence.WEEKLY, weekday=Weekday.SUNDAY, starts_local=time(2, 30), zone=BERLIN)
    opening = windows.openings(sunday, after=at("2026-10-24 12:00"), count=1)[0]
    assert opening.starts_at == at("2026-10-25 00:30")
    assert opening.ends_at == at("2026-10-25 02:30")


def test_openings_keep_local_time_across_the_change() -> None:
    monthly = window(nth=Nth.SECOND, weekday=Weekday.SUNDAY, zone=BERLIN)
    local = [
        o.starts_at.astimezone(ZoneInfo(BERLIN)) for o in windows.openings(monthly, after=at("2026-02-01"), count=12)
    ]
    assert {t.strftime("%H:%M") for t in local} == {"02:00"}
    assert {t.utcoffset() for t in local} == {timedelta(hours=1), timedelta(hours=2)}


def test_openings_zone_far_east_of_utc() -> None:
    weekly = window(recurrence=Recurrence.WEEKLY, weekday=Weekday.MONDAY, zone="Pacific/Kiritimati")
    assert starts(weekly, at("2026-11-20"), 1) == ["2026-11-22 12:00"]


def test_openings_is_open_until_its_end() -> None:
    opening = windows.openings(window(cutoff_minutes=30), after=at("2026-01-13 03:59"), count=1)[0]
    assert opening.starts_at == at("2026-01-13 02:00")
    assert opening.last_start_at == at("2026-01-13 03:30")
    assert opening.is_open(at("2026-01-13 02:00"))
    assert not opening.is_open(at("2026-01-13 04:00"))
    assert starts(window(), at("2026-01-13 04:00"), 1) == ["2026-02-10 02:00"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    nth=st.sampled_from(Nth.values),
    weekday=st.sampled_from(Weekday.values),
    offset=st.integers(0, 20),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    zone=st.sampled_from(
        ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Asia/Kathmandu"]
    ),
    after=st.integers(0, 120_000).map(lambda hours: at("2026-02-01") + timedelta(hours=hours)),
)
def test_openings_any_monthly_window(
    nth: int, weekday: int, offset: int, hour: int, minute: int, zone: str, after: datetime
) -> None:
    """Twelve openings: in order, a month apart, all ending after `after`, none left out, on the day that the rule says."""
    made = window(nth=nth, weekday=weekday, offset_days=offset, starts_local=time(hour, minute), zone=zone)
    found = windows.openings(made, after=after, count=12)
    assert [o.starts_at for o in found] == sorted({o.starts_at for o in found})
    assert all(o.ends_at > after for o in found)
    for one, following in pairwise(found):
        assert timedelta(days=27) <= following.starts_at - one.starts_at <= timedelta(days=36)
    day = found[0].starts_at.astimezone(ZoneInfo(zone)).date() - timedelta(days=offset)
    assert day.weekday() == weekday
    assert (day.day - 1) // 7 + 1 == nth if nth > 0 else (day + timedelta(days=7)).month != day.month
    earlier = windows.openings(made, after=after - timedelta(days=62), count=6)
    assert next(o for o in earlier if o.ends_at > after) == found[0]


@pytest.fixture
def saved(db: None) -> ServiceWindow:
    made = window(pk=None)
    made.save()
    return made


def test_opening_for_host_through_its_group(saved: ServiceWindow) -> None:
    group = make_group("fleet")
    saved.groups.add(group)
    host, outside = make_host("in", groups=[group]), make_host("out")
    found = windows.opening_for(host.pk, at("2026-01-13 02:30"))
    assert found is not None
    assert (found.window_id, found.revision) == (saved.pk, 1)
    assert windows.opening_for(host.pk, at("2026-01-13 04:00")) is None
    assert windows.opening_for(outside.pk, at("2026-01-13 02:30")) is None
    assert windows.next_opening(outside.pk, at("2026-01-01")) is None
    upcoming = windows.next_opening(host.pk, at("2026-01-13 02:30"))
    assert upcoming is not None
    assert upcoming.starts_at == at("2026-02-10 02:00")


def test_opening_for_takes_the_one_that_stays_open_longest(saved: ServiceWindow) -> None:
    group = make_group("fleet")
    long = window(pk=None, name="long", length_minutes=300)
    long.save()
    for one in (saved, long):
        one.groups.add(group)
    host = make_host(groups=[group])
    found = windows.opening_for(host.pk, at("2026-01-13 02:30"))
    assert found is not None
    assert found.name == "long"
    assert [o.name for o in windows.openings_of_host(host.pk, after=at("2026-01-01"), count=3)] == [
        "second Tuesday",
        "long",
        "second Tuesday",
    ]


@pytest.mark.parametrize("number", [1, 3])
def test_open_now_asks_three_queries_for_any_number_of_hosts(saved: ServiceWindow, number: int) -> None:
    group = make_group("fleet")
    saved.groups.add(group)
    hosts = [make_host(groups=[group]) for _ in range(number)]
    with CaptureQueriesContext(connection) as queries:
        found = windows.open_now([h.pk for h in hosts], at("2026-01-13 02:30"))
    assert len(found) == number
    assert len(queries) == 3


def test_windows_of_leaves_out_retired(saved: ServiceWindow) -> None:
    group = make_group("fleet")
    saved.groups.add(group)
    host = make_host(groups=[group])
    ServiceWindow.objects.filter(pk=saved.pk).update(retired_at=at("2026-01-02"))
    assert windows.windows_of([host.pk]) == {}
