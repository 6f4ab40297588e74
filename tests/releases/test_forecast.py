"""When a rollout may end: pace, windows, soak. Figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from releases.forecast import Pace, forecast, joined
from releases.planning import RingView

NOW = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PACE = Pace(timedelta(minutes=10), 7)


def ring(number: int, state: str, pending: int = 0, **given: Any) -> RingView:
    given = {"concurrency": 2, "failure_limit": 1, "success_percent": 95, "counts": {"pending": pending}, **given}
    return RingView(number, f"r{number}", state, **given)


def test_without_windows_it_is_turns_times_pace_and_soak() -> None:
    rings = [ring(1, "running", 5), ring(2, "pending", 2)]
    found = forecast(rings, {1: HOUR, 2: HOUR}, PACE, now=NOW, open_spans=None)
    assert found.rings == {1: NOW + timedelta(minutes=90), 2: NOW + timedelta(minutes=160)}
    assert found.ends_at == NOW + timedelta(minutes=160)


def test_work_waits_for_the_next_opening_and_soak_does_not() -> None:
    spans = [(NOW + HOUR, NOW + HOUR + timedelta(minutes=25)), (NOW + 24 * HOUR, NOW + 26 * HOUR)]
    found = forecast([ring(1, "running", 6)], {1: HOUR}, PACE, now=NOW, open_spans=spans)
    assert found.ends_at == NOW + 24 * HOUR + timedelta(minutes=10) + HOUR


def test_a_watched_ring_ends_with_its_watch_and_what_is_over_costs_nothing() -> None:
    watched = ring(2, "soaking", soak_until=NOW + 3 * HOUR)
    found = forecast([ring(1, "passed"), watched], {1: HOUR, 2: HOUR}, PACE, now=NOW, open_spans=[])
    assert found.ends_at == NOW + 3 * HOUR


def test_windows_that_do_not_suffice_give_no_date() -> None:
    found = forecast(
        [ring(1, "running", 60)], {}, PACE, now=NOW, open_spans=[(NOW, NOW + HOUR)], latest=NOW + 48 * HOUR
    )
    assert (found.ends_at, found.late) == (None, True)


def test_a_last_turn_past_the_latest_start_is_said() -> None:
    rings = [ring(1, "running", 8)]
    assert forecast(rings, {}, PACE, now=NOW, open_spans=None, latest=NOW + timedelta(minutes=20)).late
    assert not forecast(rings, {}, PACE, now=NOW, open_spans=None, latest=NOW + 2 * HOUR).late


def test_openings_that_touch_are_one() -> None:
    spans = [(NOW + HOUR, NOW + 2 * HOUR), (NOW, NOW + HOUR), (NOW + 3 * HOUR, NOW + 4 * HOUR)]
    assert joined(spans) == [(NOW, NOW + 2 * HOUR), (NOW + 3 * HOUR, NOW + 4 * HOUR)]
