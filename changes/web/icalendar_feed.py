"""Calendar entries as iCalendar (RFC 5545), by the library icalendar."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urljoin

from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from patchflow.kernel.calendars import Entry
from patchflow.web import states


def feed_of(entries: Iterable[Entry], *, at: datetime, site: str) -> bytes:
    """A VCALENDAR of these entries, in UTC; the same entry has the same UID each time. `site`: our address, with its slash."""
    calendar = Calendar()
    calendar.add("prodid", "-//Patchflow//Calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", _("Patchflow"))
    host = site.split("//", 1)[-1].rstrip("/")
    for entry in entries:
        event = Event()
        event.add("uid", f"{entry.key}@{host}")
        event.add("dtstamp", at.astimezone(UTC))
        event.add("dtstart", entry.starts_at.astimezone(UTC))
        event.add("dtend", entry.ends_at.astimezone(UTC)) if entry.ends_at > entry.starts_at else None
        event.add("summary", f"{states.look('calendar', entry.kind).label}: {entry.title}")
        event.add("categories", [str(states.look("calendar", entry.kind).label)])
        if entry.detail:
            event.add("description", entry.detail)
        if entry.url:
            event.add("url", urljoin(site, entry.url))
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return bytes(calendar.to_ical())
