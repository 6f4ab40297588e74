"""The cockpit of a cycle on its page: notice, sources, curves, decisions, rings and reviews of one month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.models import Cycle
from changes.queries.decisions import Decisions
from changes.queries.feeds import Polled
from changes.queries.findings import Reached
from changes.queries.notice import ClockState, Notice, Notified
from cmdb.queries.scans import Covered
from patchflow.reports.queries.cockpit import Cockpit, cockpit_of
from patchflow.web import states, words
from patchflow.web.geometry import Course, course
from patchflow.web.parts import Count, Point, Statement, Trend
from releases.queries.turns import Turn

SHOWN = 8
"""Updates and rounds that the page names."""
TURNS = 5
"""Releases whose rings it shows; the list has them all."""
C = ClockState
LOOKS = {
    C.MISSED: ("st-bad", gettext_lazy("missed")),
    C.NEAR: ("st-warn", gettext_lazy("near")),
    C.RUNNING: ("st-open", gettext_lazy("running")),
    C.LATE: ("st-bad", gettext_lazy("started late")),
    C.MET: ("st-good", gettext_lazy("met")),
    C.DECLINED: ("st-open", gettext_lazy("declined")),
    C.NONE: ("st-open", gettext_lazy("no date")),
}


def cockpit_of_cycle(request: HttpRequest, cycle: Any) -> SafeString:
    """The month as far as the person may see it."""
    assert isinstance(cycle, Cycle)  # noqa: S101  the slot is the cycle's
    now = timezone.now()
    found = cockpit_of(cycle, request.user, at=now)  # type: ignore[arg-type]
    context = {
        "cycle": cycle,
        "now": now,
        "ended": cycle.closed_at is not None,
        **(_notice(found.notice, cycle) if found.notice is not None else {}),
        **({"feeds": _feeds(found.feeds, now)} if found.feeds is not None else {}),
        "feeds_seen": found.feeds is not None,
        **(_coverage(found.coverage) if found.coverage is not None else {}),
        **(_reached(found.reached) if found.reached is not None else {}),
        **(_decisions(found.decisions, now) if found.decisions is not None else {}),
        **(_turns(found, cycle, now) if found.turns is not None else {}),
    }
    return mark_safe(render_to_string("reports/_cockpit.html", context, request))  # noqa: S308  a template escapes


# --- notice and clocks ----------------------------------------------------------------------------------------------------
def _notice(notice: Notice, cycle: Cycle) -> dict[str, Any]:
    every = reverse("changes:update-list") + f"?cycle={cycle.pk}&shown=all"
    return {
        "notice": notice,
        "clocks": [Count(str(LOOKS[C(name)][1]), n, LOOKS[C(name)][0]) for name, n in notice.counts.items()],
        "responses": [
            (str(states.look("changes.response", name).label), n) for name, n in notice.responses.items()
        ],
        "updates": [_line(one) for one in notice.updates[:SHOWN]],
        "updates_url": every,
    }  # fmt: skip


def _line(one: Notified) -> dict[str, Any]:
    css, word = LOOKS[one.clock]
    url = reverse("changes:update-detail", args=[one.update.pk])
    return {"one": one, "css": css, "word": word, "url": url}


# --- sources ----------------------------------------------------------------------------------------------------------------
def _feeds(feeds: Sequence[Polled], now: datetime) -> list[Statement]:
    found = []
    for one in feeds:
        look = states.look("changes.feed", one.standing)
        runs = ", ".join(f"{n} {states.look('changes.feedrun', state).label}" for state, n in one.runs.items())
        polls = _("polls in this cycle: %(runs)s") % {"runs": runs} if runs else _("no poll in this cycle")
        age = words.duration(now - one.feed.last_good_at) if one.feed.last_good_at else _("never")
        url = reverse("changes:feed-detail", args=[one.feed.pk])
        found.append(Statement(look.css, f"{one.feed}: {look.label}; {polls}", age, url))
    return found


# --- curves -----------------------------------------------------------------------------------------------------------------
def _coverage(rows: Sequence[Covered]) -> dict[str, Any]:
    known = [row for row in rows if row.hosts]
    points = [
        Point(row.moment, words.percent(row.whole, row.hosts), words.percent(row.whole + row.partly, row.hosts))
        for row in known
    ]
    return {"coverage": rows, "covered": Trend(points), "covered_rows": list(zip(known, points, strict=True))}


def _reached(rows: Sequence[Reached]) -> dict[str, Any]:
    last = rows[-1] if rows else None
    drawn: Course | None = None
    if last is not None and last.pairs:
        drawn = course([(row.moment, row.fixed, 0) for row in rows], [], last.pairs)
    return {"reached": rows, "reached_last": last, "reached_course": drawn}


# --- decisions --------------------------------------------------------------------------------------------------------------
def _decisions(decisions: Decisions, now: datetime) -> dict[str, Any]:
    return {
        "decisions": decisions,
        "rounds": [_round(one, now) for one in decisions.rounds[:SHOWN]],
        "more_rounds": max(0, len(decisions.rounds) - SHOWN),
        "round_counts": [
            Count(str(look.label), n, look.css)
            for look, n in ((states.look(ROUND, name), n) for name, n in decisions.counts.items())
        ],
        "meetings": [
            Statement(
                states.look_of(one.meeting).css,
                f"{one.meeting.number} · {one.meeting.get_kind_display()}: {states.look_of(one.meeting).label}, {_items(one.items)}",
                words.at(one.meeting.starts_at, now=now),
                one.meeting.get_absolute_url(),
            )
            for one in decisions.meetings
        ],
        "glass_owed": [
            Statement("st-warn", _("%(number)s: the broken glass is not reviewed") % {"number": rfc.number}, "", rfc.get_absolute_url())
            for rfc in decisions.glass_owed
        ],
    }  # fmt: skip


ROUND = "kernel.signoffround"


def _items(count: int) -> str:
    return ngettext("%(n)d item of this cycle", "%(n)d items of this cycle", count) % {"n": count}


def _round(one: Any, now: datetime) -> Statement:
    look = states.look(ROUND, one.round.state)
    said = _("%(rfc)s, round %(n)d: %(state)s") % {"rfc": one.rfc, "n": one.round.number, "state": look.label}
    moment = one.round.closed_at or one.round.opened_at
    return Statement(look.css, said, words.day(moment, now=now), one.rfc.get_absolute_url())


# --- rings and reviews ------------------------------------------------------------------------------------------------------
def _turns(found: Cockpit, cycle: Cycle, now: datetime) -> dict[str, Any]:
    turns = found.turns or ()
    owed = {turn.release.pk for turn in found.owed}
    return {
        "turns_seen": True,
        "turns": turns if len(turns) <= TURNS + 1 else turns[:TURNS],
        "turn_count": len(turns),
        "turns_url": reverse("releases:release-list") + f"?cycle={cycle.pk}",
        "reviews_seen": any(turn.sees_review for turn in turns),
        "reviews": [_review(turn, now, owed=turn.release.pk in owed) for turn in turns if turn.review or turn.release.pk in owed],
    }  # fmt: skip


def _review(turn: Turn, now: datetime, *, owed: bool) -> Statement:
    review, number = turn.review, turn.release.number
    if review is None:
        return Statement(
            "st-warn", _("%(number)s: its review is owed") % {"number": number}, "", turn.release.get_absolute_url()
        )
    if review.completed_at:
        said = _("%(review)s of %(number)s: completed") % {"review": review.name, "number": number}
        return Statement("st-good", said, words.day(review.completed_at, now=now), review.get_absolute_url())
    said = _("%(review)s of %(number)s: owed") if owed else _("%(review)s of %(number)s: open")
    since = words.day(review.opened_at, now=now)
    return Statement("st-warn", said % {"review": review.name, "number": number}, since, review.get_absolute_url())
