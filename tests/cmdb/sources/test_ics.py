"""iCalendar files: every event becomes an entry or says why not; files are strangers' and limited."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmdb.sources import ics

BERLIN = "Europe/Berlin"


def calendar(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\n" for event in events)
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n{body}END:VCALENDAR\r\n".encode()


def event(
    *lines: str,
    name: str = "Nights",
    start: str = "DTSTART;TZID=Europe/Berlin:20261110T020000",
    end: str = "DURATION:PT3H",
) -> str:
    return "\r\n".join(filter(None, ["UID:1", f"SUMMARY:{name}" if name else "", start, end, *lines]))


def one(*lines: str, **fields: str) -> ics.Entry:
    (found,) = ics.read(calendar(event(*lines, **fields)), zone=BERLIN)
    return found


def test_a_single_event_keeps_its_moment_and_zone() -> None:
    found = one()
    assert (found.problem, found.zone, found.repeat) == ("", BERLIN, None)
    assert (found.starts_at, found.ends_at) == (
        datetime(2026, 11, 10, 1, tzinfo=UTC),
        datetime(2026, 11, 10, 4, tzinfo=UTC),
    )


def test_whole_days_and_floating_times_are_in_the_zone_that_is_said() -> None:
    days = one(start="DTSTART;VALUE=DATE:20261220", end="DTEND;VALUE=DATE:20270103")
    assert (days.starts_at, days.ends_at) == (
        datetime(2026, 12, 19, 23, tzinfo=UTC),
        datetime(2027, 1, 2, 23, tzinfo=UTC),
    )
    assert one(start="DTSTART:20261110T020000").starts_at == datetime(2026, 11, 10, 1, tzinfo=UTC)
    assert one(start="DTSTART:20261110T020000Z").zone == "UTC"


@pytest.mark.parametrize(
    ("rule", "repeat"),
    [
        ("FREQ=WEEKLY", ics.Repeat(1)),
        ("FREQ=WEEKLY;BYDAY=TU;INTERVAL=1", ics.Repeat(1)),
        ("FREQ=MONTHLY;BYDAY=2TU", ics.Repeat(1, 2)),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", ics.Repeat(1, 2)),
        ("FREQ=WEEKLY;UNTIL=20270131T230000Z", ics.Repeat(1, None, date(2027, 2, 1))),
    ],
)
def test_what_a_window_can_repeat_is_taken(rule: str, repeat: ics.Repeat) -> None:
    found = one(f"RRULE:{rule}")
    assert (found.problem, found.repeat) == ("", repeat)


@pytest.mark.parametrize(
    ("lines", "fields", "part"),
    [
        (["RRULE:FREQ=DAILY"], {}, "repeats weekly, or monthly"),
        (["RRULE:FREQ=WEEKLY;INTERVAL=2"], {}, "INTERVAL"),
        (["RRULE:FREQ=WEEKLY;COUNT=5"], {}, "COUNT"),
        (["RRULE:FREQ=WEEKLY;BYDAY=MO,TU"], {}, "one weekday"),
        (["RRULE:FREQ=WEEKLY;BYDAY=FR"], {}, "one weekday"),
        (["RRULE:FREQ=MONTHLY;BYMONTHDAY=10"], {}, "BYMONTHDAY"),
        (["RRULE:FREQ=MONTHLY;BYDAY=3TU"], {}, "first to fourth"),
        (["RRULE:FREQ=WEEKLY", "EXDATE:20261117T020000Z"], {}, "EXDATE"),
        (["STATUS:CANCELLED"], {}, "cancelled"),
        ([], {"name": ""}, "no name"),
        ([], {"end": ""}, "no end"),
        ([], {"end": "DTEND;TZID=Europe/Berlin:20261109T020000"}, "ends before"),
        ([], {"start": "DTSTART:garbage"}, "cannot be read"),
        ([], {"start": "DTSTART;TZID=Nowhere/City:20261110T020000"}, ""),
    ],
)
def test_what_cannot_be_taken_says_why(lines: list[str], fields: dict[str, str], part: str) -> None:
    (found, other) = ics.read(calendar(event(*lines, **fields), event(name="Other")), zone=BERLIN)
    assert part in found.problem
    assert (other.name, other.problem) == ("Other", ""), "the rest of the file is not lost"


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe\x00", calendar(), b"BEGIN:VCALENDAR\r\n"])
def test_a_file_that_is_no_calendar_is_refused(content: bytes) -> None:
    with pytest.raises(ics.UnreadableCalendar):
        ics.read(content, zone="UTC")


def test_large_files_and_many_events_are_refused() -> None:
    with pytest.raises(ics.UnreadableCalendar, match="larger"):
        ics.read(b" " * (ics.MAX_BYTES + 1), zone="UTC")
    with pytest.raises(ics.UnreadableCalendar, match="501 events"):
        ics.read(calendar(*[event()] * 501), zone="UTC")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: calendar(event(text.replace("\r", "")))))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Whatever stands in the file: entries with or without a problem, or one refusal; never another error."""
    try:
        found = ics.read(content, zone="UTC")
    except ics.UnreadableCalendar:
        return
    assert all(
        entry.problem or (entry.starts_at and entry.ends_at and entry.starts_at < entry.ends_at) for entry in found
    )
