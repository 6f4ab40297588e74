"""What a host says is made text where text is wanted, whatever it sends; what cannot be read is refused."""

from __future__ import annotations

from typing import Any

import pytest

from releases.executors.base import PackageChange, PackageState, Stage
from releases.executors.wire import UNREADABLE, dry_run_heard, event_heard, progress_heard, result_heard, states_heard

PACKAGE = {"name": "a", "arch": "all", "version": "2", "status": "installed"}
RESULT: dict[str, Any] = {
    "outcome": "succeeded", "code": "c", "reason": "done", "permanent": False, "packages": [PACKAGE], "restart_needed": False,
    "restarted": False, "boot_id": "b", "log_tail": "log",
}  # fmt: skip
EVENT: dict[str, Any] = {"seq": 1, "at": "2026-11-22T02:00:00+00:00", "stage": "staged", "message": "m", "data": {}}
AMISS = [
    (7, "7"), (1.5, "1.5"), (True, "True"), (None, ""), ([1], "[1]"), ({"a": 1}, "{'a': 1}"), (2**70, str(2**70)),
    ("NUL \x00", "NUL \ufffd"), ("half \ud800", "half ?"), ("grün", "grün"), ("", ""),
]  # fmt: skip
amiss = pytest.mark.parametrize(("said", "kept"), AMISS, ids=[repr(said)[:20] for said, _ in AMISS])


@amiss
def test_result_is_text_where_text_is_wanted(said: Any, kept: str) -> None:
    for name in ("code", "reason", "boot_id", "log_tail"):
        heard = result_heard({**RESULT, name: said})
        assert heard is not None
        assert getattr(heard, name) == kept
        assert type(getattr(heard, name)) is str


def test_result_has_no_longer_code_than_its_row_keeps() -> None:
    heard = result_heard({**RESULT, "code": "x" * 61})
    assert heard is not None
    assert heard.code == "x" * 60
    assert result_heard(None) is None


@amiss
def test_packages_are_told_in_text(said: Any, kept: str) -> None:
    for name in PACKAGE:
        assert states_heard([{**PACKAGE, name: said}]) == (PackageState(**{**PACKAGE, name: kept}),)


@amiss
def test_lines_of_the_journal_are_text(said: Any, kept: str) -> None:
    assert event_heard("j", {**EVENT, "message": said}).message == kept


@amiss
def test_dry_run_is_told_in_text(said: Any, kept: str) -> None:
    if said:
        refused = dry_run_heard({"refused": said, "code": said})
        assert (refused.refused, refused.code) == (kept, kept)
    row = {"name": said, "arch": said, "from_version": said, "to_version": said}
    planned = dry_run_heard({"changes": [row], "removals": [said], "artifacts": []})
    assert planned.changes == (PackageChange(name=kept, arch=kept, from_version=kept, to_version=kept),)
    assert planned.removals == (kept,)


UNHEARD: list[dict[str, Any]] = [
    {"seq": -1}, {"seq": 2**31}, {"seq": float("inf")}, {"seq": None}, {"at": 5}, {"at": "0001-01-01T00:00:00+14:00"},
    {"stage": "elsewhere"}, {"stage": ["staged"]}, {"data": 5}, {"data": [1]},
]  # fmt: skip


@pytest.mark.parametrize("wrong", UNHEARD, ids=repr)
def test_a_line_that_cannot_be_read_is_refused(wrong: dict[str, Any]) -> None:
    said = {"known": True, "alive": True, "stage": "staged", "events": [{**EVENT, **wrong}], "result": None}
    with pytest.raises(UNREADABLE):
        progress_heard("j", said)


def test_a_result_that_is_well_said_is_taken_as_it_is() -> None:
    heard = result_heard(RESULT)
    assert heard is not None
    assert (heard.outcome, heard.code, heard.reason, heard.boot_id, heard.log_tail) == (
        Stage.SUCCEEDED,
        "c",
        "done",
        "b",
        "log",
    )
    assert heard.packages == (PackageState(**PACKAGE),)
