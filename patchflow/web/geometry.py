"""Where the points of a drawing lie. Pure; the templates write the numbers as SVG attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from patchflow.web.parts import Trend

LEFT: Final = 40
TOP: Final = 10
HEIGHT: Final = 230
"""The plot inside the chart, in CSS pixels; its width is a share of the card's."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: its figure, and its height in CSS pixels from the top."""

    value: int
    y: float
    text_y: float


@dataclass(frozen=True, slots=True)
class Plot:
    """A trend in a box of 100 by 100: lists of points for polylines and polygons."""

    ticks: tuple[Tick, ...]
    lower: str
    upper: str
    band: str
    area: str
    goal_y: str
    goal_text_y: float
    lower_text_y: float
    upper_text_y: float


def scale(values: Sequence[Decimal]) -> tuple[int, int]:
    """The percentages that the axis begins and ends with: tens around `values`, never beyond 0 and 100."""
    low = max(int(min(values)) // 10 * 10, 0)
    high = min(-(-int(max(values).to_integral_value(rounding="ROUND_CEILING")) // 10) * 10, 100)
    return (low, high) if high > low else (max(low - 10, 0), min(high + 10, 100))


def plot(trend: Trend) -> Plot | None:
    """The drawing of `trend`; None while there are fewer than two points to join."""
    if len(trend.points) < 2:
        return None
    first, last = trend.points[0], trend.points[-1]
    length = (last.moment - first.moment).total_seconds() or 1.0
    goal = [Decimal(trend.goal)] if trend.goal is not None else []
    low, high = scale([*(p.lower for p in trend.points), *(p.upper for p in trend.points), *goal])

    def height(value: Decimal | int) -> float:
        return round(100 - float(Decimal(value) - low) / (high - low) * 100, 2)

    def pixels(value: Decimal | int) -> float:
        return round(TOP + HEIGHT * height(value) / 100, 1)

    def line(values: Sequence[tuple[float, Decimal]]) -> list[str]:
        return [f"{x:.2f},{height(y)}" for x, y in values]

    places = [(p.moment - first.moment).total_seconds() / length * 100 for p in trend.points]
    lower = line([(x, p.lower) for x, p in zip(places, trend.points, strict=True)])
    upper = line([(x, p.upper) for x, p in zip(places, trend.points, strict=True)])
    lower_text_y = min(pixels(last.lower) + 26, TOP + HEIGHT - 8)  # above the axis, whose dates stand below it
    step = 5 if high - low <= 20 else 10 if high - low <= 50 else 20
    return Plot(
        ticks=tuple(Tick(v, pixels(v), pixels(v) + 4) for v in range(low, high + 1, step)),
        lower=" ".join(lower),
        upper=" ".join(upper),
        band=" ".join([*lower, *reversed(upper)]),
        area=" ".join(["0,100", *lower, "100,100"]),
        goal_y=str(height(goal[0])) if goal else "",
        goal_text_y=pixels(goal[0]) - 6 if goal else 0,
        lower_text_y=lower_text_y,
        upper_text_y=min(pixels(last.upper) - 8, lower_text_y - 18),
    )


@dataclass(frozen=True, slots=True)
class Upright:
    """A line across the plot where something begins: its place in percent of the width, and what it is."""

    x: str
    label: str


@dataclass(frozen=True, slots=True)
class Course:
    """Numbers of things done over time, as steps in a box of 100 by 100."""

    ticks: tuple[Tick, ...]
    done: str
    area: str
    bad: str
    uprights: tuple[Upright, ...]
    first: datetime
    middle: datetime
    last: datetime
    total: int
    reached: int
    failed: int


def course(
    points: Sequence[tuple[datetime, int, int]], begins: Sequence[tuple[str, datetime]], total: int
) -> Course | None:
    """The drawing of (moment, good, bad) over time, good first; `begins`: what begins when. None with fewer than two points."""
    if len(points) < 2 or not total:
        return None
    first, last = points[0][0], points[-1][0]
    length = (last - first).total_seconds() or 1.0
    top = -(-total // 4) * 4 if total >= 4 else total

    def across(moment: datetime) -> float:
        return min(max((moment - first).total_seconds() / length * 100, 0), 100)

    def steps(values: Sequence[int]) -> list[str]:
        found, before = [], values[0]
        for (moment, *_rest), value in zip(points, values, strict=True):
            found += [f"{across(moment):.2f},{_down(before, top)}", f"{across(moment):.2f},{_down(value, top)}"]
            before = value
        return found

    good = steps([good for _moment, good, _bad in points])
    bad = steps([good + bad for _moment, good, bad in points])
    marks = sorted({top * part // 4 for part in range(5)})
    return Course(
        ticks=tuple(Tick(v, TOP + HEIGHT * _down(v, top) / 100, TOP + HEIGHT * _down(v, top) / 100 + 4) for v in marks),
        done=" ".join(good),
        area=" ".join(["0,100", *good, "100,100"]),
        bad=" ".join(bad) if points[-1][2] else "",
        uprights=tuple(_upright(name, across(moment)) for name, moment in begins if first <= moment <= last),
        first=first, middle=first + (last - first) / 2, last=last,
        total=total, reached=points[-1][1], failed=points[-1][2],
    )  # fmt: skip


def _down(value: int, top: int) -> float:
    return round(100 - value / top * 100, 2)


def _upright(name: str, x: float) -> Upright:
    return Upright(f"{x:.2f}", name)
