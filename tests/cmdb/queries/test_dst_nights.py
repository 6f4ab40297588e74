"""Openings against an independent library on the nights on which clocks change, in ten zones.

The reference shares nothing with our code: python-dateutil unrolls the rule with its own zones (its own reader and its own
copy of the time-zone database), and the nth weekday is counted in the calendar of the standard library.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule, tz
from dateutil.zoneinfo import get_zonefile_instance

from cmdb.enums import Recurrence
from cmdb.models import ServiceWindow
from cmdb.queries import windows
from cmdb.queries.windows import Shift

pytestmark = pytest.mark.native

ZONES = [
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "America/Santiago",  # the gap begins at midnight: the day starts at 01:00
    "America/Havana",
    "Australia/Lord_Howe",  # the gap is half an hour
    "Pacific/Chatham",  # a quarter of an hour off, south
    "Asia/Jerusalem",
    "America/Los_Angeles",
]
"""Not Europe/Dublin: its law calls winter the saving time, which dateutil reads as an ambiguous hour too many."""
YEARS = range(2026, 2030)
CLOCKS = [time(h, m) for h in (0, 1, 2, 3, 23) for m in (0, 15, 30, 45)]


def moments(zone: str) -> Iterator[datetime]:
    """The UTC hours at which the zone's offset changes, by looking at every hour."""
    place = ZoneInfo(zone)
    for year in YEARS:
        hour = datetime(year, 1, 1, tzinfo=UTC)
        while hour.year == year:
            following = hour + timedelta(hours=1)
            if hour.astimezone(place).utcoffset() != following.astimezone(place).utcoffset():
                yield following
            hour = following


@cache
def nights(zone: str) -> list[date]:
    """The local days on which clocks change, with the days before and after."""
    changes = [moment.astimezone(ZoneInfo(zone)).date() for moment in moments(zone)]
    return sorted({day + timedelta(days=n) for day in changes for n in (-1, 0, 1)})


def weekly(day: date, clock: time, zone: str) -> ServiceWindow:
    return ServiceWindow(
        pk=1, name="w", recurrence=Recurrence.WEEKLY, weekday=day.weekday(), nth=1, starts_local=clock, zone=zone, length_minutes=150,
        from_on=day - timedelta(days=14), until_on=day, made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def by_dateutil(place: tz.tzfile, rule: rrule.rrule) -> list[datetime]:
    """The instants of a rule with wall-clock starts, as dateutil resolves them."""
    return [tz.resolve_imaginary(found.replace(tzinfo=place, fold=0)).astimezone(tz.UTC) for found in rule]


@pytest.mark.parametrize("zone", ZONES)
def test_weekly_openings_on_the_nights_of_the_change(zone: str) -> None:
    place = get_zonefile_instance().get(zone)
    found = nights(zone)
    assert len(found) == 3 * 2 * len(YEARS)
    for day in found:
        for clock in CLOCKS:
            window = weekly(day, clock, zone)
            since = datetime.combine(window.from_on, clock)
            rule = rrule.rrule(rrule.WEEKLY, dtstart=since, until=datetime.combine(day, time(23, 59)))
            ours = windows.openings(window, after=datetime(2025, 12, 1, tzinfo=UTC), count=9)
            assert [o.starts_at for o in ours] == by_dateutil(place, rule), (day, clock)
            assert {o.ends_at - o.starts_at for o in ours} == {timedelta(minutes=150)}


def nth_day(year: int, month: int, weekday: int, nth: int) -> date:
    """Counted in the month's sheet, week by week."""
    column = [week[weekday] for week in calendar.monthcalendar(year, month) if week[weekday]]
    return date(year, month, column[nth - 1 if nth > 0 else nth])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("nth", [1, 2, 3, 4, -1])
def test_monthly_openings_with_an_offset_through_the_years(zone: str, nth: int) -> None:
    """Every weekday, offsets of a day, a Saturday's four and twenty, at the hour that clocks leave out or repeat."""
    place = get_zonefile_instance().get(zone)
    for weekday in range(7):
        for offset in (0, 1, 4, 20):
            days = [nth_day(y, m, weekday, nth) + timedelta(days=offset) for y in YEARS for m in range(1, 13)]
            naive = [datetime.combine(day, time(2, 30)) for day in days if day >= date(2026, 1, 1)]
            expected = [tz.resolve_imaginary(d.replace(tzinfo=place)).astimezone(tz.UTC) for d in naive]
            window = ServiceWindow(
                pk=1, name="w", recurrence=Recurrence.MONTHLY, nth=nth, weekday=weekday, offset_days=offset, starts_local=time(2, 30),
                zone=zone, length_minutes=60, from_on=date(2026, 1, 1), made_at=datetime(2026, 1, 1, tzinfo=UTC),
            )  # fmt: skip
            # the month before the first year may reach into it by its offset
            ours = [
                o.starts_at
                for o in windows.openings(window, after=datetime(2025, 11, 1, tzinfo=UTC), count=len(expected) + 1)
            ]
            assert [moment for moment in ours if moment in set(expected)] == expected
            assert len(ours) - len(expected) <= 1


BERLIN = {"zone": "Europe/Berlin", "length_minutes": 120}


@pytest.mark.parametrize(
    ("day", "clock", "shift"),
    [
        (date(2026, 3, 29), time(2, 30), Shift.MOVED),
        (date(2026, 3, 29), time(1, 30), Shift.WITHIN),
        (date(2026, 3, 29), time(3, 0), None),
        (date(2026, 10, 25), time(2, 30), Shift.FIRST),
        (date(2026, 10, 25), time(1, 30), Shift.WITHIN),
        (date(2026, 10, 25), time(3, 0), None),
        (date(2026, 10, 18), time(2, 30), None),
    ],
)
def test_what_the_clocks_do_is_said(day: date, clock: time, shift: Shift | None) -> None:
    given: dict[str, Any] = {"length_minutes": 120}
    window = weekly(day, clock, "Europe/Berlin")
    window.length_minutes, window.from_on = given["length_minutes"], day
    (opening,) = windows.openings(window, after=datetime(2026, 1, 1, tzinfo=UTC), count=3)
    assert windows.shift_of(window, opening) == shift
