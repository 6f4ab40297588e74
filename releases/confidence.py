"""What the hosts that reported prove: the bounds of Wilson's score interval, in whole percent. Pure, and integers only.

E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927). The lower bound is at least p
exactly where good/n ≥ p and (good − n·p)² ≥ z²·n·p·(1 − p): asked in this form it needs neither a root nor a float, so
that the gate, the page and a later check of the evidence cannot differ by a rounding.

Each bound holds with the confidence that is asked; that the share lies between both holds with less (95 and 95: 90). The
bounds come from the normal distribution: of few hosts they say more than an exact bound would (1 of 1: 26 percent, exactly
5), so no sentence says that they prove.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

USUAL_CONFIDENCE = 95
LEAST_CONFIDENCE, MOST_CONFIDENCE = 50, 99
USUAL_BOUND = {"production": 80, "staging": 70, "test": 0, "lab": 0}
"""Percent that the lower bound of a ring reaches, by the most demanding environment of its hosts; 0: it is not asked."""
SCALE = 1000
"""z is used in thousandths."""


@cache
def z_of(confidence: int) -> int:
    """The one-sided quantile of the normal distribution for a confidence in percent, in thousandths (95 → 1645)."""
    return round(NormalDist().inv_cdf(confidence / 100) * SCALE)


def proves(good: int, reported: int, percent: int, *, confidence: int) -> bool:
    """Whether `good` of `reported` prove, at this confidence, that more than `percent` of such hosts succeed."""
    if percent <= 0:
        return True
    if percent >= 100 or reported <= 0 or good * 100 < reported * percent:
        return False
    ahead = 100 * good - reported * percent
    return (ahead * SCALE) ** 2 >= z_of(confidence) ** 2 * reported * percent * (100 - percent)


def lower_bound(good: int, reported: int, *, confidence: int) -> int:
    """The greatest whole percent that is proven; 0 of nothing."""
    return max(p for p in range(100) if proves(good, reported, p, confidence=confidence))


@dataclass(frozen=True, slots=True)
class Interval:
    """Between which shares the true one lies, in percent."""

    low: int
    high: int


def interval(good: int, reported: int, *, confidence: int) -> Interval:
    """The share of success, between its lower and its upper bound. Of nothing nothing is known: 0 to 100."""
    bad = reported - good
    return Interval(
        lower_bound(good, reported, confidence=confidence), 100 - lower_bound(bad, reported, confidence=confidence)
    )


def hosts_needed(percent: int, *, confidence: int, failed: int = 0) -> int:
    """How many hosts must report, all but `failed` of them good, to prove `percent`. 0 where nothing is asked."""
    if percent <= 0:
        return 0
    if percent >= 100:
        raise ValueError("no number of hosts proves 100 %")
    low, high = failed, failed + 1
    while not proves(high - failed, high, percent, confidence=confidence):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if proves(middle - failed, middle, percent, confidence=confidence):
            high = middle
        else:
            low = middle
    return high
