"""Durations, moments and shares as words. Pure: the moment `now` is always an argument."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

JUST_NOW = timedelta(seconds=10)


def duration(span: timedelta) -> str:
    """The length of `span` in its two largest units: "6 d 1 h", "2 h 10 min", "31 min", "38 s". The sign is dropped."""
    seconds = int(abs(span).total_seconds())
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    day, hour, minute, second = (
        pgettext("unit", "d"),
        pgettext("unit", "h"),
        pgettext("unit", "min"),
        pgettext("unit", "s"),
    )
    if days >= 14:
        return f"{days} {day}"
    for (large, large_unit), (small, small_unit) in (
        ((days, day), (hours, hour)),
        ((hours, hour), (minutes, minute)),
    ):
        if large:
            return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
    return f"{minutes} {minute}" if minutes else f"{seconds} {second}"


def ago(moment: datetime, *, now: datetime) -> str:
    """`moment` seen from `now`: "4 h 20 min ago", "in 2 h", "now"."""
    distance = now - moment
    if abs(distance) < JUST_NOW:
        return _("now")
    if distance > timedelta(0):
        return _("%(duration)s ago") % {"duration": duration(distance)}
    return _("in %(duration)s") % {"duration": duration(distance)}


def zone(moment: datetime) -> str:
    """The zone in which `moment` is shown to the viewer: "CET", "UTC"."""
    return timezone.localtime(moment).tzname() or ""


def at(moment: datetime, *, now: datetime) -> str:
    """`moment` in the viewer's zone: "today 05:22 CET", "Thu 12 Nov 08:14 CET", with the year where it is another."""
    clock = formats.date_format(timezone.localtime(moment), "H:i")
    return f"{day(moment, now=now)} {clock} {zone(moment)}"


def day(moment: datetime, *, now: datetime) -> str:
    """The day of `moment` in the viewer's zone: "today", "Thu 12 Nov", with the year where it is another."""
    local, today = timezone.localtime(moment), timezone.localtime(now).date()
    days = (local.date() - today).days
    if days == 0:
        return _("today")
    if days == -1:
        return _("yesterday")
    if days == 1:
        return _("tomorrow")
    return formats.date_format(
        local, pgettext("date", "D j M") if local.year == today.year else pgettext("date", "D j M Y")
    )


def exactly(moment: datetime) -> str:
    """`moment` to the second with zone and offset, for a title: "2026-11-12 08:14:03 CET (UTC+0100)"."""
    local = timezone.localtime(moment)
    return f"{local:%Y-%m-%d %H:%M:%S} {zone(moment)} (UTC{local:%z})"


def clock(moment: datetime) -> str:
    """The time of `moment` to the second in the viewer's zone, for lines of a log: "05:22:07 CET"."""
    return f"{timezone.localtime(moment):%H:%M:%S} {zone(moment)}"


def clock_face(now: datetime) -> str:
    """The foot of the rail: "18 Nov 2026, 09:42 CET"."""
    local = timezone.localtime(now)
    day = formats.date_format(local, pgettext("date", "j M Y"))
    return f"{day}, {formats.date_format(local, 'H:i')} {zone(now)}"


def percent(part: int, whole: int) -> Decimal:
    """`part` of `whole` in percent with one digit; 0 and 100 are said only of nothing and of all."""
    if whole <= 0:
        raise ValueError("a share of nothing has no percentage")
    share = (Decimal(100) * part / whole).quantize(Decimal("0.1"), rounding=ROUND_HALF_EVEN)
    if 0 < part < whole:
        share = min(max(share, Decimal("0.1")), Decimal("99.9"))
    return share


def number(value: int | Decimal) -> str:
    """A figure with the separators of the language: "1,248"."""
    return str(formats.number_format(value, use_l10n=True, force_grouping=True))


def short_digest(value: str, *, head: int = 3, tail: int = 2) -> str:
    """A digest in groups of four with its middle left out: "9f2c 41d0 77ae … 5b03 7be1". Short values stay whole."""
    text = value.split(":", 1)[-1]
    groups = [text[i : i + 4] for i in range(0, len(text), 4)]
    if len(groups) <= head + tail + 1:
        return " ".join(groups)
    return " ".join([*groups[:head], "…", *groups[-tail:]])
