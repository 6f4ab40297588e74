"""When a rollout may end: an estimate from its pace, its windows and its soak. Pure; it never decides anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from releases.enums_rollout import RingState
from releases.planning import OVER, RingView

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one host takes, and of how many that was measured; nothing measured: as long as the plan expects."""

    each: timedelta
    measured: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """`ends_at`: when the last ring may be done; None: not within the openings that are known. `rings`: ring id → its end."""

    ends_at: datetime | None
    rings: dict[int, datetime]
    pace: Pace
    late: bool = False
    """Whether it would end after the latest start that was signed: some hosts would be refused."""


def forecast(
    rings: Sequence[RingView], soak: dict[int, timedelta], pace: Pace, *, now: datetime, open_spans: Sequence[Span] | None,
    latest: datetime | None = None,
) -> Forecast:  # fmt: skip
    """Rings one after another, each as many at once as it may, in the open spans alone (None: it waits for no window).

    Hosts are taken to be alike and every gate to open with the window: what fails or waits makes it longer.
    """
    at, fits = now, True
    ends: dict[int, datetime] = {}
    for ring in rings:
        if ring.state in OVER:
            continue
        end = _ring_end(ring, soak.get(ring.id, timedelta(0)), pace, at, open_spans)
        if end is None:
            fits = False
            break
        ends[ring.id] = at = end
    last_start = _last_start(rings, soak, ends)
    late = latest is not None and (not fits or (last_start is not None and last_start > latest))
    return Forecast(at if fits else None, ends, pace, late)


def _ring_end(
    ring: RingView, soak: timedelta, pace: Pace, at: datetime, open_spans: Sequence[Span] | None
) -> datetime | None:
    if ring.state == RingState.SOAKING:
        return max(at, ring.soak_until or at)
    turns = -(-(ring.pending + ring.live) // max(1, ring.concurrency))
    worked = _worked(at, turns, pace.each, open_spans)
    return worked + soak if worked is not None else None


def _worked(at: datetime, turns: int, each: timedelta, open_spans: Sequence[Span] | None) -> datetime | None:
    """When so many turns are done; a turn begins only where it still fits before the span ends."""
    if open_spans is None or not turns:
        return at + turns * each
    for starts, ends in open_spans:
        begins = max(at, starts)
        fit = max(0, int((ends - begins) / each)) if each else turns
        if fit >= turns:
            return begins + turns * each
        turns -= fit
    return None


def _last_start(rings: Sequence[RingView], soak: dict[int, timedelta], ends: dict[int, datetime]) -> datetime | None:
    waiting = [ring for ring in rings if ring.id in ends and ring.pending]
    return ends[waiting[-1].id] - soak.get(waiting[-1].id, timedelta(0)) if waiting else None


def joined(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch or overlap as one."""
    found: list[Span] = []
    for starts, ends in sorted(spans):
        if found and starts <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((starts, ends))
    return found
