"""The forward schedule of change: month, week and list, from everything that the apps have in the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import calendar_keys
from changes.models import CalendarKey
from changes.web.icalendar_feed import feed_of
from patchflow.kernel import calendars
from patchflow.kernel.calendars import Entry
from patchflow.kernel.csv_text import csv_response
from patchflow.kernel.models import User
from patchflow.web import parts, states, words, wordtags
from patchflow.web.tables import Column, Table

IN_A_CELL = 4
LIST_DAYS = 31
FEED_BACK, FEED_AHEAD = timedelta(days=31), timedelta(days=366)
FIRST, LAST = date(2000, 1, 1), date(2200, 1, 1)
LONG = timedelta(days=1)


@dataclass(frozen=True)
class Item:
    """An entry as a day shows it."""

    entry: Entry
    look: states.Look
    clock: str

    @property
    def name(self) -> str:
        """Its title without the number of the record that it is about."""
        return self._parts[0].replace(" · ", "\u00a0· ")

    @property
    def number(self) -> str:
        """The number of the record that it is about, if its title ends with one."""
        return self._parts[1]

    @property
    def _parts(self) -> tuple[str, str]:
        name, _dot, number = self.entry.title.rpartition(" · ")
        return (name, number) if name and wordtags.NUMBER.fullmatch(number) else (self.entry.title, "")


@dataclass
class Day:
    on: date
    outside: bool = False
    today: bool = False
    items: list[Item] = field(default_factory=list)
    url: str = ""

    @property
    def shown(self) -> list[Item]:
        """What fits a cell of the month, by time; never "1 more". Openings of windows give way: there are many, and they are
        always there."""
        if len(self.items) <= IN_A_CELL + 1:
            return self.items
        first = sorted(self.items, key=lambda item: item.entry.kind == "window")[:IN_A_CELL]
        return [item for item in self.items if item in first]

    @property
    def more(self) -> int:
        return len(self.items) - len(self.shown)


@dataclass(frozen=True)
class AlwaysOpen:
    """A window that is open without a break until the end of what is shown; `since` is when that begins, if it is shown."""

    title: str
    url: str
    since: datetime | None


def midnight(day: date) -> datetime:
    """When `day` begins for the viewer."""
    return datetime.combine(day, time(), tzinfo=timezone.get_current_timezone())


def sees_calendar(actor: Any) -> bool:
    """Whoever may look at changes or hosts somewhere."""
    return any(actor.holds_somewhere(name) for name in ("rfc.view", "host.view"))


# --- the question in the address ------------------------------------------------------------------------------------------
VIEWS = ("month", "week", "list")


@dataclass(frozen=True)
class Asked:
    """What the address asks for: a view, a day in it, and kinds (none named: all)."""

    view: str
    on: date
    kinds: tuple[str, ...]

    @property
    def span(self) -> tuple[date, date]:
        """The days shown: [first, last)."""
        if self.view == "week":
            first = self.on - timedelta(days=self.on.weekday())
            return first, first + timedelta(days=7)
        if self.view == "list":
            return self.on, self.on + timedelta(days=LIST_DAYS)
        first = self.on.replace(day=1)
        first -= timedelta(days=first.weekday())
        last = _next_month(self.on)
        return first, last + timedelta(days=-last.weekday() % 7)

    def moved(self, steps: int) -> date:
        """The day that the view before or after is about."""
        if self.view == "month":
            return _next_month(self.on) if steps > 0 else (self.on.replace(day=1) - timedelta(days=1)).replace(day=1)
        return self.on + timedelta(days=steps * (7 if self.view == "week" else LIST_DAYS))

    def url(self, **changes: Any) -> str:
        said = {"view": self.view, "on": self.on.isoformat(), "kind": list(self.kinds), **changes}
        return f"{reverse('changes:calendar-show')}?{urlencode(said, doseq=True)}"


def _next_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)


def asked(request: HttpRequest) -> Asked:
    """What the address says; what it says wrong counts as not said."""
    view = request.GET.get("view", "")
    try:
        on = parse_date(request.GET.get("on", ""))
    except ValueError:
        on = None
    on = on if on and FIRST <= on <= LAST else timezone.localdate()
    kinds = tuple(kind for kind in calendars.sources if kind in request.GET.getlist("kind"))
    if len(kinds) == len(list(calendars.sources)):
        kinds = ()
    return Asked(view if view in VIEWS else "month", on, kinds)


# --- the page -----------------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def calendar_show(request: HttpRequest) -> HttpResponseBase:
    """The calendar as month, week or list."""
    actor: Any = request.user
    if not sees_calendar(actor):
        raise Http404
    what, now = asked(request), timezone.now()
    first, last = what.span
    found = calendars.entries(
        actor=actor, since=midnight(first), until=midnight(last), at=now, kinds=what.kinds or None
    )
    if request.GET.get("format") == "csv":
        return csv_response(f"calendar-{first}.csv", [(str(c.label), c.plain) for c in columns(now)], found)
    shown, always = _always_open(found, since=midnight(first), until=midnight(last))
    context = {
        "title": _("Calendar"),
        "phase": 3,
        "always": always,
        "asked": what,
        "heading": _heading(what),
        "views": [(name, label, what.url(view=name)) for name, label in _view_names()],
        "before": what.url(on=what.moved(-1).isoformat()),
        "after": what.url(on=what.moved(1).isoformat()),
        "today": what.url(on=timezone.localdate().isoformat()),
        "csv_url": what.url(format="csv"),
        "kinds": _kinds(what, found),
        "zone": words.zone(now),
        "count": len(found),
        "may_freeze": actor.holds_somewhere("freeze.declare"),
    }
    if what.view == "list":
        context["table"] = Table(columns(now), shown, now, _("Entries"))
    else:
        context["weeks"] = _weeks(what, shown, now)
        context["weekdays"] = [date_format(first + timedelta(days=n), "D") for n in range(7)]
    return render(request, "changes/calendar.html", context)


def _view_names() -> list[tuple[str, str]]:
    return [("month", _("Month")), ("week", _("Week")), ("list", _("List"))]


def _heading(what: Asked) -> str:
    first, last = what.span
    if what.view == "month":
        return str(date_format(what.on, "F Y"))
    return f"{date_format(first, 'j M')} – {date_format(last - timedelta(days=1), 'j M Y')}"


def columns(now: datetime) -> list[Column]:
    def when(entry: Entry) -> Any:
        return wordtags.missed(entry.starts_at, now) if entry.missed else entry.starts_at

    return [
        Column(_("When"), when, text=lambda e: e.starts_at, name="starts-at"),
        Column(_("Until"), lambda e: e.ends_at if e.ends_at > e.starts_at else ""),
        Column(_("What"), "kind", state="calendar"),
        Column(_("Title"), "title", url=lambda e: e.url, wide=True),
        Column(_("Detail"), "detail", wide=True),
    ]


@dataclass(frozen=True)
class KindBox:
    """A kind as a box to tick."""

    name: str
    look: states.Look
    ticked: bool
    count: int


def _kinds(what: Asked, found: Sequence[Entry]) -> list[KindBox]:
    counts = {kind: sum(e.kind == kind for e in found) for kind in calendars.sources}
    return [
        KindBox(kind, states.look("calendar", kind), not what.kinds or kind in what.kinds, counts[kind])
        for kind in calendars.sources
    ]


def _always_open(found: Sequence[Entry], *, since: datetime, until: datetime) -> tuple[list[Entry], list[AlwaysOpen]]:
    """What is shown day by day, and the windows that are said once: those that are open without a gap until the end of it."""
    openings: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.kind == "window":
            openings.setdefault(entry.url, []).append(entry)
    always = {}
    for url, rows in openings.items():
        begins, whole = rows[0].starts_at, all(later.starts_at <= one.ends_at for one, later in pairwise(rows))
        if whole and rows[-1].ends_at >= until and (begins <= since or len(rows) > 1):
            always[url] = AlwaysOpen(rows[0].title, url, begins if begins > since else None)
    return [e for e in found if e.kind != "window" or e.url not in always], list(always.values())


def _weeks(what: Asked, found: Sequence[Entry], now: datetime) -> list[list[Day]]:
    first, last = what.span
    today = timezone.localtime(now).date()
    days = []
    for n in range((last - first).days):
        on = first + timedelta(days=n)
        outside = what.view == "month" and on.month != what.on.month
        day = Day(on, outside, on == today, url=what.url(view="week", on=on.isoformat()))
        since, until = midnight(on), midnight(on + timedelta(days=1))
        items = [Item(e, _look_of(e), _clock(e, since, until)) for e in found if e.touches(since, until)]
        day.items = sorted(items, key=lambda i: (i.entry.starts_at, i.entry.key))
        days.append(day)
    return [days[n : n + 7] for n in range(0, len(days), 7)]


def _look_of(entry: Entry) -> states.Look:
    """That of its kind; red where it was missed."""
    look = states.look("calendar", entry.kind)
    return states.Look("st-bad", look.label) if entry.missed else look


def _clock(entry: Entry, since: datetime, until: datetime) -> str:
    """When it starts that day; empty if it lasts all day or comes from the day before."""
    if entry.starts_at < since:
        ends = timezone.localtime(entry.ends_at)
        return "" if entry.ends_at >= until else _("until %(clock)s") % {"clock": f"{ends:%H:%M}"}
    return (
        ""
        if entry.ends_at - entry.starts_at >= LONG and entry.starts_at == since
        else f"{timezone.localtime(entry.starts_at):%H:%M}"
    )


# --- the feed -----------------------------------------------------------------------------------------------------------------
def calendar_feed(request: HttpRequest, secret: str) -> HttpResponse:
    """The iCalendar feed of the person whose secret this is, for calendar programs, which have no log-in; what the person
    may see now. 404 for anything else."""
    owner = calendar_keys.owner_of(secret)
    if request.method not in ("GET", "HEAD") or owner is None or not sees_calendar(owner):
        raise Http404
    now = timezone.now()
    found = calendars.entries(actor=owner, since=now - FEED_BACK, until=now + FEED_AHEAD, at=now)
    response = HttpResponse(
        feed_of(found, at=now, site=request.build_absolute_uri("/")), content_type="text/calendar; charset=utf-8"
    )
    response["Cache-Control"] = "private, no-store"
    response["Content-Disposition"] = 'inline; filename="patchflow.ics"'
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def calendar_subscribe(request: HttpRequest) -> HttpResponse:
    """One's own feed address: made, shown once, revoked."""
    actor: Any = request.user
    address = ""
    if request.method == "POST":
        secret = calendar_keys.make(actor=actor, at=timezone.now())
        address = request.build_absolute_uri(reverse("changes:calendar-feed", args=[secret]))
    context = {
        "title": _("Your calendar elsewhere"),
        "lede": _("An address that calendar programs read. It shows what you may see, and nothing else."),
        "phase": 3,
        "address": address,
        "key": CalendarKey.objects.filter(user=actor, revoked_at__isnull=True).first(),
        "crumbs": [parts.Crumb(_("Calendar"), reverse("changes:calendar-show")), parts.Crumb(_("Your calendar elsewhere"))],
    }  # fmt: skip
    response = render(request, "changes/calendar_subscribe.html", context)
    if address:
        response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def calendar_revoke(request: HttpRequest) -> HttpResponse:
    """Ends one's own feed address."""
    actor: User = request.user  # type: ignore[assignment]
    if calendar_keys.revoke(actor=actor, at=timezone.now()):
        messages.success(request, _("The address is revoked: it answers nobody any more."))
    return redirect("changes:calendar-subscribe")
