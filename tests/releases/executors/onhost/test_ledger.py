"""The journal on the host: what survives, what is obeyed once, what is too late."""

import os
import time
from pathlib import Path

import pytest

from releases.executors.onhost.ledger import Ledger, held, write


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(str(tmp_path / "root"), "JOB-1.1")
    made.make()
    return made


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "a" * 101, "a b", "a\n"])
def test_key_that_could_name_another_place_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a job key"):
        Ledger(str(tmp_path), key)


def test_journal_is_numbered_and_told_from_where_one_stopped(ledger: Ledger) -> None:
    for stage in ("accepted", "staged", "installing"):
        ledger.append(stage, f"now {stage}")

    assert [event["seq"] for event in ledger.events()] == [1, 2, 3]
    assert [event["stage"] for event in ledger.events(after=2)] == ["installing"]
    assert ledger.stage == "installing"


def test_line_torn_by_a_power_cut_is_passed_over_and_the_next_is_whole(ledger: Ledger) -> None:
    ledger.append("accepted", "first")
    with Path(ledger.path("journal.jsonl")).open("a") as file:
        file.write('{"seq": 2, "at": "20')

    ledger.append("failed", "after the cut")

    assert [(event["seq"], event["message"]) for event in ledger.events()] == [(1, "first"), (2, "after the cut")]


def test_result_is_in_the_journal_too(ledger: Ledger) -> None:
    ledger.finish("refused", "no", "held", permanent=True, boot_id="x")

    assert ledger.result == {"outcome": "refused", "reason": "no", "code": "held", "permanent": True, "boot_id": "x"}
    assert ledger.stage == "refused"


def test_older_fence_is_not_obeyed(ledger: Ledger) -> None:
    assert [ledger.raise_fence(fence) for fence in (3, 3, 2, 5, 4)] == [True, True, False, True, False]
    assert ledger.fence == 5


def test_called_off_before_installing_never_installs(ledger: Ledger) -> None:
    ledger.append("accepted", "")
    assert ledger.cancel() is True
    assert ledger.enter_installing("a 1 -> 2") is False
    assert ledger.stage == "accepted"


def test_installing_cannot_be_called_off(ledger: Ledger) -> None:
    assert ledger.enter_installing("a 1 -> 2") is True
    assert ledger.cancel() is False
    assert ledger.cancelled is False


def test_worker_is_alive_as_long_as_it_holds_its_lock(ledger: Ledger) -> None:
    assert ledger.alive is False
    with held(ledger.path("work.lock")):
        assert ledger.alive is True
    assert ledger.alive is False


def test_worker_that_has_not_come_up_yet_is_waited_for_but_not_for_ever(ledger: Ledger) -> None:
    """A poll that comes before it must not take the job for dead."""
    assert ledger.starting is False, "nothing was ordered"
    order = Path(ledger.path("order.json"))
    write(str(order), "{}")
    assert ledger.starting is True

    os.utime(order, (time.time() - 61, time.time() - 61))
    assert ledger.starting is False

    write(str(order), "{}")
    Path(ledger.path("begun")).touch()
    assert ledger.starting is False, "from here on it holds a lock, or is dead"
