"""When hosts may be worked on.

Wall-clock times become instants as RFC 5545 section 3.3.5 says: a time in the gap of a change to summer time is read
with the offset before the gap, so it moves forward by the gap (02:30 becomes 03:30); an ambiguous time in autumn means
the first of the two. The length is elapsed time: a window of two hours has two hours, on those nights too.
`docs/reference/windows.md` tells it to users, `tests/cmdb/queries/test_dst_nights.py` compares it with a library.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from dateutil.rrule import MONTHLY, WEEKLY, rrule, weekday
from django.urls import reverse

from cmdb.enums import Recurrence
from cmdb.models import GroupMember, ServiceWindow
from patchflow.kernel import calendars
from patchflow.kernel.models import User

LOOK_BACK = timedelta(days=9)
"""No opening is longer than seven days; two more for time zones."""
SEARCHED = 100
"""Signed openings in which what is left of them is looked for."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of one revision of a window: [starts_at, ends_at); nothing starts after `last_start_at`."""

    window_id: int
    revision: int
    name: str
    starts_at: datetime
    ends_at: datetime
    last_start_at: datetime

    def is_open(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


def _days(window: ServiceWindow, since: date) -> Iterator[date]:
    """The local days on which the window opens, from `since` or its first day on, in order."""
    since = max(since, window.from_on)
    weekly = window.recurrence == Recurrence.WEEKLY
    day_of = weekday(window.weekday) if weekly else weekday(window.weekday, window.nth)
    offset = 0 if weekly else window.offset_days
    begin = (since - timedelta(days=offset)).replace(day=1)
    first = datetime(begin.year, begin.month, begin.day)  # noqa: DTZ001  days, not times
    for found in rrule(WEEKLY if weekly else MONTHLY, dtstart=first, byweekday=day_of):
        day = found.date() + timedelta(days=offset)
        if window.until_on is not None and day > window.until_on:
            return
        if day >= since:
            yield day


def each_opening(window: ServiceWindow, *, after: datetime) -> Iterator[Opening]:
    """The openings that end after `after`, in order; one that is open then comes first. Without end if the window has none."""
    if window.retired_at is not None and window.retired_at <= after:
        return
    length, cutoff = timedelta(minutes=window.length_minutes), timedelta(minutes=window.cutoff_minutes)
    for day in _days(window, (after - LOOK_BACK).date()):
        local = datetime.combine(day, window.starts_local, tzinfo=window.tz)
        starts_at = local.astimezone(UTC)
        ends_at = starts_at + length
        if ends_at > after:
            yield Opening(window.pk, window.revision, window.name, starts_at, ends_at, ends_at - cutoff)


class Shift(StrEnum):
    """What a change of the clocks does to an opening."""

    MOVED = "moved"
    """Its wall-clock start does not exist that night: it starts later by the gap."""
    FIRST = "first"
    """Its wall-clock start comes twice: the first is meant."""
    WITHIN = "within"
    """The clocks change while it is open: it closes at another hour, its length is the same."""


def shift_of(window: ServiceWindow, opening: Opening) -> Shift | None:
    """What the change of the clocks does to this opening of `window`; None where they do not change."""
    starts, ends = opening.starts_at.astimezone(window.tz), opening.ends_at.astimezone(window.tz)
    if starts.time() != window.starts_local:
        return Shift.MOVED
    if starts.utcoffset() != starts.replace(fold=1).utcoffset():
        return Shift.FIRST
    return Shift.WITHIN if starts.utcoffset() != ends.utcoffset() else None


def openings(window: ServiceWindow, *, after: datetime, count: int) -> list[Opening]:
    """The next `count` openings that end after `after`; fewer if the window's last day comes first."""
    return [opening for opening, _ in zip(each_opening(window, after=after), range(count), strict=False)]


def shared_openings(signed: ServiceWindow, now: ServiceWindow, *, after: datetime, count: int) -> list[Opening]:
    """The next spans in which a window is open both as it was signed and as it is now; they carry the signed revision. At most
    `count`, out of the next hundred signed openings."""
    found: list[Opening] = []
    theirs = each_opening(now, after=after)
    other = next(theirs, None)
    for opening in openings(signed, after=after, count=SEARCHED):
        while other is not None and other.ends_at <= opening.starts_at:
            other = next(theirs, None)
        if other is None or len(found) >= count:
            break
        starts_at = max(opening.starts_at, other.starts_at)
        ends_at = min(opening.ends_at, other.ends_at)
        if starts_at < ends_at:
            last = min(opening.last_start_at, other.last_start_at)
            found.append(Opening(now.pk, signed.revision, now.name, starts_at, ends_at, last))
    return found


def windows_of(host_ids: Iterable[int]) -> dict[int, list[ServiceWindow]]:
    """The live windows of each host, through its groups; hosts without one are missing. Three queries."""
    members = list(GroupMember.objects.filter(host_id__among=list(host_ids)).values_list("host_id", "group_id"))
    links = ServiceWindow.groups.through.objects.filter(hostgroup_id__in={g for _, g in members})
    of_group: dict[int, set[int]] = defaultdict(set)
    for group_id, window_id in links.values_list("hostgroup_id", "servicewindow_id"):
        of_group[group_id].add(window_id)
    windows = ServiceWindow.objects.live().in_bulk({pk for pks in of_group.values() for pk in pks})
    found: dict[int, dict[int, ServiceWindow]] = defaultdict(dict)
    for host_id, group_id in members:
        found[host_id] |= {pk: windows[pk] for pk in of_group[group_id] if pk in windows}
    return {host: [of_host[pk] for pk in sorted(of_host)] for host, of_host in found.items() if of_host}


def open_now(host_ids: Iterable[int], at: datetime) -> dict[int, Opening]:
    """The opening that each host is in at `at`, the one that stays open longest; hosts outside any are missing. Three queries."""
    found: dict[int, Opening] = {}
    cache: dict[int, Opening | None] = {}
    for host_id, windows in windows_of(host_ids).items():
        current = [o for o in (_first(w, at, cache) for w in windows) if o is not None and o.is_open(at)]
        if current:
            found[host_id] = max(current, key=lambda o: o.ends_at)
    return found


def _first(window: ServiceWindow, at: datetime, cache: dict[int, Opening | None]) -> Opening | None:
    if window.pk not in cache:
        cache[window.pk] = next(each_opening(window, after=at), None)
    return cache[window.pk]


def opening_for(host_id: int, at: datetime) -> Opening | None:
    """The opening that the host is in at `at`; None: closed, or no window."""
    return open_now([host_id], at).get(host_id)


def next_opening(host_id: int, at: datetime) -> Opening | None:
    """The first opening of the host that starts after `at`."""
    return next_openings([host_id], at).get(host_id)


def next_openings(host_ids: Iterable[int], at: datetime) -> dict[int, Opening]:
    """The first opening of each host that starts after `at`; hosts without one are missing. Three queries."""
    found: dict[int, Opening] = {}
    cache: dict[int, Opening | None] = {}
    for host_id, windows in windows_of(host_ids).items():
        for window in windows:
            if window.pk not in cache:
                cache[window.pk] = next((o for o in each_opening(window, after=at) if o.starts_at > at), None)
            opening = cache[window.pk]
            if opening and (host_id not in found or opening.starts_at < found[host_id].starts_at):
                found[host_id] = opening
    return found


def openings_of_host(host_id: int, *, after: datetime, count: int) -> list[Opening]:
    """The next openings of all windows of a host, in order of start. Three queries."""
    found = [o for w in windows_of([host_id]).get(host_id, []) for o in openings(w, after=after, count=count)]
    return sorted(found, key=lambda o: (o.starts_at, o.window_id))[:count]


@calendars.source("window")
def window_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[calendars.Entry]:
    """The openings of the windows that the actor may see. One query."""
    for window in ServiceWindow.objects.live().visible_to(actor):
        for opening in takewhile(lambda o: o.starts_at < until, each_opening(window, after=since)):
            yield calendars.Entry(
                kind="window",
                key=f"window-{window.pk}-{opening.starts_at:%Y%m%dT%H%MZ}",
                title=window.name,
                starts_at=opening.starts_at,
                ends_at=opening.ends_at,
                url=reverse("cmdb:window-detail", args=[window.pk]),
            )
