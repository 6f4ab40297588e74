"""Times in English sentences, as the house writes them in UTC, told in the reader's zone and language."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.utils import formats, timezone
from django.utils.translation import get_language, pgettext

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = rf"(?:\d\d? (?:{'|'.join(MONTHS)})(?: \d{{4}})?|\d{{4}}-\d\d-\d\d) \d\d:\d\d(?::\d\d)?"
WRITTEN = re.compile(
    rf"(?:(?P<first>\b{_TIME})(?P<between> (?:to|bis) ))?(?P<last>\b{_TIME}) UTC\b|(?P<day>\b\d\d? (?:{'|'.join(MONTHS)}) \d{{4}}\b)"
)
PARTS = re.compile(r"(?:(\d\d?) ([A-Z][a-z]{2})(?: (\d{4}))?|(\d{4})-(\d\d)-(\d\d)) (\d\d):(\d\d)(?::(\d\d))?")


def has_time(text: str) -> bool:
    """Whether a time is written in `text` as the house does."""
    return WRITTEN.search(text) is not None


def is_time(text: str) -> bool:
    """Whether `text` is a time, with or without its zone."""
    return PARTS.fullmatch(text.removesuffix(" UTC")) is not None


def retold(text: str) -> str:
    """Each “30 Nov 2026 09:42 UTC” of `text` in the active zone, with its name, and in the active language; a reader in
    English and UTC has it already."""
    if get_language() in (None, settings.LANGUAGE_CODE) and timezone.get_current_timezone_name() == "UTC":
        return text
    return WRITTEN.sub(_retold, text)


def filled(form: str, values: Mapping[str, Any], *, apart: Set[str]) -> str:
    """`form` with its values, times retold, save in the values of the names that are kept `apart`."""
    told = retold(form % {name: f"\0{name}\0" if name in apart else value for name, value in values.items()})
    for name in apart & values.keys():
        told = told.replace(f"\0{name}\0", str(values[name]))
    return told


def _retold(match: re.Match[str]) -> str:
    try:
        if match["day"]:
            return _day(match["day"])
        last = _moment(match["last"], None)
        said = f"{_local(last, match['last'])} {timezone.localtime(last).tzname()}"
        return (
            f"{_local(_moment(match['first'], last), match['first'])}{match['between']}{said}"
            if match["first"]
            else said
        )
    except ValueError:  # no day of a calendar
        return match[0]


def _moment(written: str, near: datetime | None) -> datetime:
    """A time without its year is in that of the one beside it, else in the year that brings it nearest to now."""
    parts = PARTS.fullmatch(written)
    assert parts is not None  # noqa: S101  it is part of the pattern
    day, month, year, *iso, hour, minute, second = parts.groups()
    clock = (int(hour), int(minute), int(second or 0))
    if iso[0]:
        return datetime(int(iso[0]), int(iso[1]), int(iso[2]), *clock, tzinfo=UTC)
    number = MONTHS.index(month) + 1
    if year or near is not None:
        return datetime(int(year or near.year), number, int(day), *clock, tzinfo=UTC)  # type: ignore[union-attr]
    now = timezone.now()
    years = (datetime(y, number, int(day), *clock, tzinfo=UTC) for y in (now.year - 1, now.year, now.year + 1))
    return min(years, key=lambda one: abs(one - now))


def _local(moment: datetime, written: str) -> str:
    local = timezone.localtime(moment)
    bare = re.search(r"[A-Z][a-z]{2} \d\d:", written)
    day = formats.date_format(local, pgettext("date", "j M") if bare else pgettext("date", "j M Y"))
    return f"{day} {formats.date_format(local, 'H:i:s' if written.count(':') > 1 else 'H:i')}"


def _day(written: str) -> str:
    day, month, year = written.split()
    return formats.date_format(
        datetime(int(year), MONTHS.index(month) + 1, int(day), tzinfo=UTC).date(), pgettext("date", "j M Y")
    )
