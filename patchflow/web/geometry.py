"""Where the points of a drawing lie. Pure; the templates write the numbers as SVG attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    step = 5 if high - low <= 20 else 10 if high - low <= 50 else 20
    return Plot(
        ticks=tuple(Tick(v, pixels(v), pixels(v) + 4) for v in range(low, high + 1, step)),
        lower=" ".join(lower),
        upper=" ".join(upper),
        band=" ".join([*lower, *reversed(upper)]),
        area=" ".join(["0,100", *lower, "100,100"]),
        goal_y=str(height(goal[0])) if goal else "",
        goal_text_y=pixels(goal[0]) - 6 if goal else 0,
        lower_text_y=pixels(last.lower) + 26,
        upper_text_y=pixels(last.upper) - 8,
    )
