"""What the components show: small frozen results that views build and the tags of `patchflow` render.

The tags read attributes only, so that an object of an app which has them will do as well. `css` is always one of the
seven classes of `patchflow.web.states`; `text` may be markup if it is a SafeString, everything else is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from django.utils.translation import gettext as _

from patchflow.kernel.blockers import Blocker
from patchflow.web import words


@dataclass(frozen=True, slots=True)
class Next:
    """What happens next: one sentence who must act by when, and a detail."""

    sentence: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock with a target. It runs from `started_at` to `ends_at`; `stopped_at` says when its goal was reached."""

    started_at: datetime
    ends_at: datetime
    label: str = ""
    stopped_at: datetime | None = None
    at_risk_from: Decimal = Decimal("0.75")

    def used(self, now: datetime) -> Decimal:
        """The share of the time that is used, 0 to 1."""
        length = (self.ends_at - self.started_at).total_seconds()
        spent = ((self.stopped_at or now) - self.started_at).total_seconds()
        return min(max(Decimal(spent / length if length > 0 else 1), Decimal(0)), Decimal(1))

    def css(self, now: datetime) -> str:
        if (self.stopped_at or now) >= self.ends_at:
            return "st-bad"
        if self.stopped_at:
            return "st-good"
        return "st-warn" if self.used(now) >= self.at_risk_from else "st-open"

    def left(self, now: datetime) -> str:
        """ "22 h 32 min left", "over by 2 h 10 min", "met, 10 h early", "met, 2 h late"."""
        distance = self.ends_at - (self.stopped_at or now)
        span = words.duration(distance)
        if self.stopped_at:
            return (
                _("met, %(span)s early") % {"span": span}
                if distance > timedelta(0)
                else _("met, %(span)s late") % {"span": span}
            )
        return (
            _("%(span)s left") % {"span": span} if distance > timedelta(0) else _("over by %(span)s") % {"span": span}
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A share that says how much nobody knows: counted are `good`, `unknown` and `bad`; exempt ones are not."""

    good: int
    unknown: int
    bad: int
    of: str = ""
    good_label: str = ""
    unknown_label: str = ""
    bad_label: str = ""
    good_url: str = ""
    unknown_url: str = ""
    bad_url: str = ""
    exempt: int = 0
    exempt_url: str = ""
    goal: Decimal | int | None = None

    @property
    def total(self) -> int:
        return self.good + self.unknown + self.bad

    @property
    def lower(self) -> Decimal | None:
        """If every unknown one were bad, in percent; None where nothing is counted."""
        return words.percent(self.good, self.total) if self.total else None

    @property
    def upper(self) -> Decimal | None:
        """If every unknown one were good, in percent."""
        return words.percent(self.good + self.unknown, self.total) if self.total else None

    @property
    def figure(self) -> str:
        """ "91.2 to 96.8 %", "97.0 %" where nothing is unknown, "–" where nothing is counted."""
        if self.lower is None or self.upper is None:
            return "–"
        if not self.unknown:
            return f"{words.number(self.lower)} %"
        return _("%(lower)s to %(upper)s %%") % {"lower": words.number(self.lower), "upper": words.number(self.upper)}


@dataclass(frozen=True, slots=True)
class Point:
    """A share as it stood at a moment: bounds in percent."""

    moment: datetime
    lower: Decimal
    upper: Decimal


@dataclass(frozen=True, slots=True)
class Trend:
    """An interval over time, oldest first; `goal` in percent."""

    points: Sequence[Point]
    goal: Decimal | int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A figure that opens what it counts, with the look of its state."""

    label: str
    count: int
    css: str = "st-open"
    url: str = ""
    shape: str = ""
    current: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """One of the four phases on the wheel: what stands in it by state, and the event that leaves it."""

    number: int
    unit: str
    total: int
    counts: Sequence[Count] = ()
    left_by: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of evidence, of a conflict, of a schedule: state, statement, figure at the right; with `each`, what it sums up,
    folded below it."""

    css: str
    text: str
    figure: str = ""
    url: str = ""
    icon: str = ""
    each: Sequence[Statement] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed or still has to; a `moment` or, while there is none, a word."""

    css: str
    text: str
    moment: datetime | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a round of approval: rule and deadline, how far it is, who signed and who cannot, and why."""

    title: str
    css: str
    word: str
    rule: str = ""
    quorum: str = ""
    signatures: Sequence[Signature] = ()
    cannot: str = ""
    why: str = ""
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a difference; several lines may go and come."""

    field: str
    removed: Sequence[str] = ()
    added: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """One target of a ring. `css`, `shape` and `word` come from the look of its state."""

    name: str
    css: str
    shape: str
    word: str
    url: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """A ring: its state, the figures of its gate, its targets."""

    title: str
    css: str
    word: str
    figures: Sequence[str] = ()
    cells: Sequence[Cell] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a permission slip with the input it decided on; `stopped` marks the one that said no."""

    css: str
    text: str
    detail: str = ""
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact: value, source, age. `conflict` is what another source says, shown beside it, never settled silently."""

    name: str
    value: Any
    source: str = ""
    seen_at: datetime | None = None
    css: str = ""
    conflict: str = ""
    conflict_url: str = ""
    mono: bool = False
    locked: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a timeline."""

    label: str
    actor: str
    moment: datetime
    css: str = "st-open"
    detail: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a target's log; `css` "ok" or "er" marks it."""

    moment: str
    stage: str
    text: str
    css: Literal["", "ok", "er"] = ""


@dataclass(frozen=True, slots=True)
class Todo:
    """Something that waits for this person: what kind of act, on what, why, since and until when, the button that begins it, and
    in which of their roles (`section`)."""

    css: str
    act: str
    title: str
    url: str
    why: str = ""
    due: str = ""
    button: str = ""
    section: str = ""


@dataclass(frozen=True, slots=True)
class Crumb:
    label: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as a page: what happened, what was kept, what to do."""

    title: str
    blockers: Sequence[Blocker] = field(default_factory=tuple)
    back: str = ""
