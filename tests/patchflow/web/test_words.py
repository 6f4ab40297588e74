"""Durations, moments, shares and digests as words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone, translation

from patchflow.web import words

NOW = datetime(2026, 11, 18, 8, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=38), "38 s"),
        (timedelta(minutes=31, seconds=59), "31 min"),
        (timedelta(hours=2, minutes=10), "2 h 10 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=6, hours=1, minutes=59), "6 d 1 h"),
        (timedelta(days=1, minutes=5), "1 d"),
        (timedelta(days=400), "400 d"),
        (-timedelta(hours=4, minutes=20), "4 h 20 min"),
    ],
)
def test_duration_names_the_two_largest_units(span: timedelta, text: str) -> None:
    assert words.duration(span) == text


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(seconds=9), "now"),
        (timedelta(seconds=-9), "now"),
        (timedelta(seconds=10), "10 s ago"),
        (timedelta(hours=4, minutes=20), "4 h 20 min ago"),
        (-timedelta(days=2, hours=3), "in 2 d 3 h"),
    ],
)
def test_ago_looks_back_and_ahead(distance: timedelta, text: str) -> None:
    assert words.ago(NOW - distance, now=NOW) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 18, 4, 22, tzinfo=UTC), "today 05:22 CET"),
        (datetime(2026, 11, 17, 23, 30, tzinfo=UTC), "today 00:30 CET"),
        (datetime(2026, 11, 17, 22, 30, tzinfo=UTC), "yesterday 23:30 CET"),
        (datetime(2026, 11, 19, 7, 14, tzinfo=UTC), "tomorrow 08:14 CET"),
        (datetime(2026, 11, 12, 7, 14, tzinfo=UTC), "Thu 12 Nov 08:14 CET"),
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), "Wed 1 Jul 08:00 CEST"),
        (datetime(2025, 10, 18, 13, 29, tzinfo=UTC), "Sat 18 Oct 2025 15:29 CEST"),
    ],
)
def test_at_speaks_the_zone_of_the_viewer(moment: datetime, text: str) -> None:
    with timezone.override("Europe/Berlin"):
        assert words.at(moment, now=NOW) == text


def test_a_line_of_a_log_is_told_to_the_second_in_the_viewers_zone() -> None:
    with timezone.override("Asia/Kolkata"):
        assert words.clock(NOW) == "14:12:00 IST"


def test_exactly_carries_seconds_zone_and_offset() -> None:
    with timezone.override("Asia/Kolkata"):
        assert words.exactly(NOW) == "2026-11-18 14:12:00 IST (UTC+0530)"


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [(0, 5, "0.0"), (5, 5, "100.0"), (1118, 1226, "91.2"), (99_999, 100_000, "99.9"), (1, 100_000, "0.1")],
)
def test_percent_says_all_only_of_all_and_none_only_of_none(part: int, whole: int, share: str) -> None:
    assert words.percent(part, whole) == Decimal(share)


def test_percent_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        words.percent(0, 0)


def test_numbers_follow_the_language() -> None:
    with translation.override("en"):
        assert words.number(20300) == "20,300"
    with translation.override("de"):
        assert words.number(20300) == "20.300"


def test_short_digest_keeps_both_ends() -> None:
    assert words.short_digest("sha256:" + "9f2c41d077ae" + "0" * 44 + "5b037be1") == "9f2c 41d0 77ae … 5b03 7be1"
    assert words.short_digest("9f2c41d077ae") == "9f2c 41d0 77ae"
