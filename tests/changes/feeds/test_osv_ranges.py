"""Ranges and versions of OSV as fixes: nothing that cannot be ordered may ever read as "not affected"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changes.feeds.base import FixState
from tests.changes.feeds.material import affecting, minimal, read_one

Stretch = tuple[str, str, str, str]


def stretches(tmp_path: Path, record: dict[str, Any]) -> list[Stretch]:
    """State, introduced, fixed version, last affected of each fix."""
    fixes = read_one(tmp_path, record).fixes
    return [(str(fix.state), fix.introduced, fix.fixed_version, fix.last_affected) for fix in fixes]


def test_two_stretches_of_one_range_are_two_fixes(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("fixed", "1.2-1"), ("introduced", "2.0-1"), ("fixed", "2.3-1"))

    assert stretches(tmp_path, record) == [("fixed", "0", "1.2-1", ""), ("fixed", "2.0-1", "2.3-1", "")]


def test_events_are_ordered_by_version_not_by_place(tmp_path: Path) -> None:
    record = affecting(("fixed", "1.10-1"), ("introduced", "2.0-1"), ("introduced", "1.9-1"))

    assert stretches(tmp_path, record) == [("fixed", "1.9-1", "1.10-1", ""), ("no_fix", "2.0-1", "", "")]


def test_several_ranges_of_one_package_all_count(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("fixed", "1.0-1"))
    entry = record["affected"][0]
    entry["ranges"].append({"type": "ECOSYSTEM", "events": [{"introduced": "3.0-1"}, {"fixed": "3.1-1"}]})

    assert stretches(tmp_path, record) == [("fixed", "0", "1.0-1", ""), ("fixed", "3.0-1", "3.1-1", "")]


def test_last_affected_names_no_fix_but_where_it_ends(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("last_affected", "1.4-2"))

    assert stretches(tmp_path, record) == [("no_fix", "0", "", "1.4-2")]


def test_fixed_at_zero_is_not_affected(tmp_path: Path) -> None:
    assert stretches(tmp_path, affecting(("introduced", "0"), ("fixed", "0"))) == [("not_affected", "0", "", "")]


@pytest.mark.parametrize(
    ("ecosystem", "text"),
    [
        ("Debian:12", "1.0 beta"),
        ("Debian:12", "1.0-"),
        ("Debian:12", "x" * 256),
        ("AlmaLinux:9", "1.0"),  # without a release
        ("AlmaLinux:9", "-1.el9"),
        ("AlmaLinux:9", "1.0–1.el9"),
        ("Rocky Linux:9", ""),
    ],
)
def test_fixed_version_that_cannot_be_ordered_keeps_its_text(tmp_path: Path, ecosystem: str, text: str) -> None:
    record = affecting(("introduced", "0"), ("fixed", text), ecosystem=ecosystem)

    draft = read_one(tmp_path, record)

    assert [(fix.state, fix.fixed_version) for fix in draft.fixes] == [(FixState.UNPARSABLE, text)]
    assert draft.fixes[0].reason == f"{text[:100]!r} is no version that can be ordered."


def test_fix_that_cannot_be_ordered_leaves_the_others_of_the_advisory(tmp_path: Path) -> None:
    good = affecting(("introduced", "0"), ("fixed", "1.0-1"))["affected"]
    bad = affecting(("introduced", "0"), ("fixed", "?"), ecosystem="Debian:11")["affected"]

    assert stretches(tmp_path, minimal(affected=bad + good)) == [
        ("unparsable", "0", "?", ""),
        ("fixed", "0", "1.0-1", ""),
    ]


@pytest.mark.parametrize(
    "events",
    [
        [("introduced", "2.0-1"), ("fixed", "1.0-1")],
        [("introduced", "1.0-1"), ("fixed", "1.0-1")],
        [("introduced", "2.0-1"), ("last_affected", "1.0-1")],
        [("introduced", "0"), ("fixed", "1.0-1"), ("fixed", "2.0-1")],
    ],
)
def test_impossible_range_is_unknown_never_not_affected(tmp_path: Path, events: list[tuple[str, str]]) -> None:
    fixes = read_one(tmp_path, affecting(*events)).fixes

    assert [fix.state for fix in fixes] == [FixState.UNPARSABLE]
    assert fixes[0].reason.endswith("ends a range that no earlier version begins.")


def test_versions_alone_are_affected_exactly(tmp_path: Path) -> None:
    fixes = read_one(tmp_path, affecting(versions=["1.0-1", "1.1-1"])).fixes

    assert [(fix.state, fix.affected_versions) for fix in fixes] == [(FixState.NO_FIX, ("1.0-1", "1.1-1"))]


def test_versions_of_which_one_cannot_be_ordered_are_unknown(tmp_path: Path) -> None:
    fixes = read_one(tmp_path, affecting(versions=["1.0-1", "one two"])).fixes

    assert [(fix.state, fix.affected_versions) for fix in fixes] == [(FixState.UNPARSABLE, ("1.0-1", "one two"))]


def test_versions_inside_the_range_add_nothing(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("fixed", "2.0-1"), versions=["1.0-1", "1.9-1"])

    assert stretches(tmp_path, record) == [("fixed", "0", "2.0-1", "")]


def test_versions_outside_of_the_range_are_affected_too(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("fixed", "2.0-1"), versions=["1.0-1", "2.0-1", "2.1-1"])

    fixes = read_one(tmp_path, record).fixes

    assert [(fix.state, fix.fixed_version, fix.affected_versions) for fix in fixes] == [
        (FixState.FIXED, "2.0-1", ()),
        (FixState.NO_FIX, "", ("2.0-1", "2.1-1")),
    ]


def test_last_affected_version_itself_lies_inside(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("last_affected", "1.4-2"), versions=["1.4-2"])

    assert stretches(tmp_path, record) == [("no_fix", "0", "", "1.4-2")]


def test_package_without_range_and_versions_is_under_investigation(tmp_path: Path) -> None:
    fixes = read_one(tmp_path, affecting()).fixes

    assert [fix.state for fix in fixes] == [FixState.UNDER_INVESTIGATION]


def test_range_of_commits_makes_a_note_and_the_package_stays(tmp_path: Path) -> None:
    record = affecting(("introduced", "0"), ("fixed", "abc"))
    record["affected"][0]["ranges"][0] |= {"type": "GIT", "repo": "https://example.org/acme.git"}

    draft = read_one(tmp_path, record)

    assert draft.notes == ("A range of acme is not in versions of the distribution; it makes no fix.",)
    assert [fix.state for fix in draft.fixes] == [FixState.UNDER_INVESTIGATION]


def test_same_statement_twice_is_one_fix(tmp_path: Path) -> None:
    entry = affecting(("introduced", "0"), ("fixed", "1.0-1"))["affected"]

    assert stretches(tmp_path, minimal(affected=entry + entry)) == [("fixed", "0", "1.0-1", "")]
