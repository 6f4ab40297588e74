"""Reads iCalendar files (RFC 5545) for windows and freezes: every event becomes an entry, or says why it cannot. None is lost.

A file is a stranger's: its size and the number of its events are limited, and what repeats is never expanded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from icalendar import Calendar

MAX_BYTES = 512 * 1024
MAX_EVENTS = 500
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LONGEST = timedelta(days=400)


class UnreadableCalendar(ValueError):
    """The file as a whole cannot be taken: too large, too many events, or no calendar."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """How an event repeats: weekly on a weekday, or monthly on the nth one (`nth` None: weekly); `until`: last day."""

    weekday: int
    nth: int | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as it stands in the file. `problem` empty: it can be taken; `zone`: the IANA name its wall clock is in."""

    number: int
    name: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    zone: str = "UTC"
    repeat: Repeat | None = None
    description: str = ""
    problem: str = ""

    @property
    def starts_local(self) -> datetime | None:
        return self.starts_at.astimezone(ZoneInfo(self.zone)) if self.starts_at else None


def read(content: bytes, *, zone: str) -> list[Entry]:
    """Every event of the file, in its order. Times without a zone, and whole days, are in `zone`.

    Raises UnreadableCalendar: more than 512 KiB or 500 events, or no calendar at all.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableCalendar(f"The file is larger than {MAX_BYTES // 1024} KiB.")
    try:
        calendars = Calendar.from_ical(content, multiple=True)
        events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableCalendar(f"This is no iCalendar file: {str(error)[:200] or type(error).__name__}.") from error
    if len(events) > MAX_EVENTS:
        raise UnreadableCalendar(f"It has {len(events)} events; {MAX_EVENTS} at a time are taken.")
    if not events:
        raise UnreadableCalendar("There is no event in it.")
    return list(_entries(events, zone))


def _entries(events: list[Any], zone: str) -> Iterator[Entry]:
    for number, event in enumerate(events, start=1):
        name = " ".join(str(event.get("SUMMARY", "")).split())
        entry = Entry(number, name[:80], zone=zone, description=str(event.get("DESCRIPTION", "")).strip()[:2000])
        try:
            yield _timed(entry, event, zone)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            yield replace(entry, problem=f"It cannot be read: {str(error)[:200] or type(error).__name__}.")


def _timed(entry: Entry, event: Any, zone: str) -> Entry:
    if event.errors:
        raise ValueError("; ".join(f"{name} {message}" for name, message in event.errors)[:200])
    if not entry.name:
        return replace(entry, problem="It has no name (SUMMARY).")
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        return replace(entry, problem="It is cancelled.")
    if event.get("DTSTART") is None:
        return replace(entry, problem="It has no start (DTSTART).")
    start, named = _moment(event["DTSTART"], zone)
    if event.get("DTEND") is not None:
        end, _end_zone = _moment(event["DTEND"], zone)
    elif event.get("DURATION") is not None:
        end = start + event["DURATION"].dt
    elif isinstance(event["DTSTART"].dt, datetime):
        return replace(entry, problem="It has no end (DTEND or DURATION).")
    else:
        end = start + timedelta(days=1)
    entry = replace(entry, starts_at=start.astimezone(UTC), ends_at=end.astimezone(UTC), zone=named)
    if not start < end <= start + LONGEST:
        return replace(entry, problem="It ends before it starts, or lasts longer than 400 days.")
    for name in ("EXDATE", "RDATE", "RECURRENCE-ID", "EXRULE"):
        if event.get(name) is not None:
            return replace(entry, problem=f"It has exceptions ({name}); they would be lost.")
    return _repeating(entry, event) if event.get("RRULE") is not None else entry


def _moment(value: Any, zone: str) -> tuple[datetime, str]:
    """The moment, and the IANA zone of its wall clock."""
    given = value.dt
    if not isinstance(given, datetime):
        return datetime.combine(given, time(), ZoneInfo(zone)), zone
    if given.tzinfo is None:
        return given.replace(tzinfo=ZoneInfo(zone)), zone
    key = getattr(given.tzinfo, "key", "") or ("UTC" if given.utcoffset() == timedelta(0) else "")
    if key not in available_timezones():
        raise ValueError("its time zone is no IANA zone")
    return given, key


def _repeating(entry: Entry, event: Any) -> Entry:
    if isinstance(event["RRULE"], list):
        return replace(entry, problem="It has several rules of repetition.")
    rule = {name.upper(): list(value) for name, value in event["RRULE"].items()}
    assert entry.starts_local is not None  # noqa: S101  it was timed before
    if unknown := set(rule) - {"FREQ", "BYDAY", "UNTIL", "INTERVAL", "WKST", "BYSETPOS"}:
        return replace(entry, problem=f"Its rule of repetition has {', '.join(sorted(unknown))}, which no window has.")
    if rule.get("INTERVAL", [1]) != [1]:
        return replace(entry, problem="It leaves weeks or months out (INTERVAL), which no window does.")
    until = rule.get("UNTIL", [None])[0]
    if isinstance(until, datetime):
        until = (until.astimezone(ZoneInfo(entry.zone)) if until.tzinfo else until).date()
    days = [str(day).upper() for day in rule.get("BYDAY", [])]
    start = entry.starts_local
    match str(rule["FREQ"][0]).upper():
        case "WEEKLY":
            days = days or [DAYS[start.weekday()]]
            if len(days) != 1 or days[0] != DAYS[start.weekday()] or "BYSETPOS" in rule:
                return replace(entry, problem="A weekly window is on one weekday, the one on which the event starts.")
            return replace(entry, repeat=Repeat(start.weekday(), None, until))
        case "MONTHLY":
            return _monthly(entry, rule, days, until)
    return replace(entry, problem="A window repeats weekly, or monthly on a weekday.")


def _monthly(entry: Entry, rule: dict[str, list[Any]], days: list[str], until: date | None) -> Entry:
    wanted = "A monthly window is on the first to fourth or the last of a weekday, the one on which the event starts."
    if len(days) != 1 or days[0][-2:] not in DAYS:
        return replace(entry, problem=wanted)
    place = days[0][:-2] or str(rule.get("BYSETPOS", [""])[0])
    nth = int(place) if place.lstrip("+-").isdigit() else 0
    start = entry.starts_local
    weekday = DAYS.index(days[0][-2:])
    if start is None or nth not in (1, 2, 3, 4, -1) or not _is_nth(start.date(), weekday, nth):
        return replace(entry, problem=wanted)
    return replace(entry, repeat=Repeat(weekday, nth, until))


def _is_nth(day: date, weekday: int, nth: int) -> bool:
    if day.weekday() != weekday:
        return False
    return (day + timedelta(days=7)).month != day.month if nth == -1 else (day.day - 1) // 7 + 1 == nth
