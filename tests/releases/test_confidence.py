"""What so many good hosts prove: against figures known from elsewhere, and against the textbook's form with a root."""

from __future__ import annotations

from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from releases.confidence import Interval, hosts_needed, interval, lower_bound, proves, z_of


def textbook(good: int, reported: int, confidence: int) -> float:
    """Wilson's lower bound as it is usually printed."""
    z, p = z_of(confidence) / 1000, good / reported
    middle = p + z * z / (2 * reported)
    margin = z * sqrt(p * (1 - p) / reported + z * z / (4 * reported * reported))
    return (middle - margin) / (1 + z * z / reported)


def test_three_of_three_is_no_95_percent() -> None:
    assert lower_bound(3, 3, confidence=95) == 52
    assert lower_bound(11, 11, confidence=95) == 80
    assert lower_bound(19, 20, confidence=95) == 80
    assert lower_bound(25, 25, confidence=95) == 90
    assert lower_bound(9_990, 10_000, confidence=95) == 99


def test_nothing_proves_nothing() -> None:
    assert lower_bound(0, 0, confidence=95) == 0
    assert interval(0, 0, confidence=95) == Interval(0, 100)
    assert not proves(0, 0, 1, confidence=95)
    assert proves(0, 0, 0, confidence=95)


def test_the_interval_has_the_share_inside() -> None:
    assert interval(19, 20, confidence=95) == Interval(80, 99)
    assert interval(0, 4, confidence=95) == Interval(0, 41)


def test_how_many_hosts_it_takes() -> None:
    assert hosts_needed(80, confidence=95) == 11
    assert hosts_needed(80, confidence=95, failed=1) == 20
    assert hosts_needed(95, confidence=95) == 52
    assert hosts_needed(0, confidence=95) == 0


@given(st.integers(1, 500), st.integers(0, 500), st.integers(50, 99), st.integers(1, 99))
def test_the_integers_say_what_the_root_says(reported: int, bad: int, confidence: int, percent: int) -> None:
    good = max(0, reported - bad)
    bound = textbook(good, reported, confidence)
    if abs(bound - percent / 100) > 1e-9:
        assert proves(good, reported, percent, confidence=confidence) == (bound > percent / 100)


@given(st.integers(1, 97), st.integers(50, 99), st.integers(0, 5))
def test_one_host_fewer_does_not_do(percent: int, confidence: int, failed: int) -> None:
    count = hosts_needed(percent, confidence=confidence, failed=failed)
    assert proves(count - failed, count, percent, confidence=confidence)
    assert not proves(count - 1 - failed, count - 1, percent, confidence=confidence)
