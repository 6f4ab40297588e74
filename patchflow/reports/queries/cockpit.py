"""The cockpit of a cycle: one month on one page, of what the reader may see. What is not theirs to see is None, not nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from changes.models import Cycle
from changes.queries import findings
from changes.queries.decisions import Decisions, decisions_of
from changes.queries.feeds import Polled, polled
from changes.queries.findings import Reached
from changes.queries.notice import Notice, notice_of
from cmdb.queries.scans import Covered, coverage_at
from patchflow.kernel.models import User
from releases.queries.turns import Turn, turns_of

POINTS = 32
"""Moments of a curve at most: a day each in a month, hours in what is shorter, some days each in what takes longer."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cockpit:
    """`notice`, `feeds`: for who sees updates; `coverage`, `reached`: for who sees hosts; `decisions`: for who sees changes;
    `turns`: for who sees releases. Curves run from the opening of the cycle to its end, or to now."""

    cycle: Cycle
    start: datetime
    end: datetime
    notice: Notice | None
    feeds: Sequence[Polled] | None
    coverage: Sequence[Covered] | None
    reached: Sequence[Reached] | None
    decisions: Decisions | None
    turns: Sequence[Turn] | None

    @property
    def owed(self) -> list[Turn]:
        """Releases whose review is owed."""
        return [turn for turn in self.turns or () if turn.owes_review]


def moments_of(start: datetime, end: datetime) -> list[datetime]:
    """The moments of a curve: the start, each day (or some hours, or some days) after it, and the end."""
    if end <= start:
        return [start]
    span, most = end - start, POINTS - 1
    steps = [HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, DAY * max(1, -(-span // (DAY * most)))]
    step = next(one for one in steps if -(-span // one) <= most)
    return [start, *(start + step * n for n in range(1, -(-span // step))), end]


def cockpit_of(cycle: Cycle, actor: User, *, at: datetime) -> Cockpit:
    """Everything of the page, in a fixed number of queries whatever the month holds."""
    start, end = cycle.opened_at, min(cycle.closed_at or at, at)
    moments = moments_of(start, end)
    updates, hosts = actor.holds_somewhere("update.view"), actor.holds_somewhere("host.view")
    ids = list(cycle.updates.values_list("update_id", flat=True)) if updates and hosts else []
    return Cockpit(
        cycle=cycle, start=start, end=end,
        notice=notice_of(cycle, actor, at=at) if updates else None,
        feeds=polled(actor, start, end, at=at) if updates else None,
        coverage=coverage_at(moments, actor, current=settings.PATCHFLOW["FACTS_STALE_AFTER"]) if hosts else None,
        reached=findings.over_time(ids, moments, actor=actor) if updates and hosts else None,
        decisions=decisions_of(cycle, actor) if actor.holds_somewhere("rfc.view") else None,
        turns=turns_of(cycle, actor) if actor.holds_somewhere("release.view") else None,
    )  # fmt: skip
