"""This very computer, by the same functions as any host."""

from pathlib import Path

import pytest

from cmdb.remote import transport
from cmdb.remote.connection import THIS_COMPUTER
from cmdb.remote.errors import BadAnswer, TimedOut, Unreachable

pytestmark = pytest.mark.integration


def test_command_runs_with_its_words_and_its_status() -> None:
    done = transport.run(THIS_COMPUTER, ["sh", "-c", 'printf "%s" "$1"; cat; exit 3', "sh", "a b"], stdin="-in")

    assert (done.rc, done.stdout) == (3, "a b-in")


def test_probe_says_who_we_are() -> None:
    found = transport.probe(THIS_COMPUTER)

    assert found.usable
    assert found.account
    assert found.python.startswith("3.")


def test_command_without_end_is_stopped_and_the_outcome_is_unknown() -> None:
    with pytest.raises(TimedOut) as caught:
        transport.run(THIS_COMPUTER, ["sleep", "20"], timeout=0.3)
    assert caught.value.started is True


def test_missing_program_is_a_reason() -> None:
    with pytest.raises(Unreachable, match="no program no-such-thing"):
        transport.run(THIS_COMPUTER, ["no-such-thing"])


def test_program_that_breaks_over_there_is_a_bad_answer_in_its_words() -> None:
    with pytest.raises(BadAnswer, match="KeyError"):
        transport.ask(THIS_COMPUTER, "releases.executors.onhost", {"verb": "no such verb"}, become=False)


@pytest.mark.parametrize("said", ['{"half": ', "[" * 100_000], ids=["torn", "deep"])
def test_answer_that_is_no_json_is_a_bad_answer_of_unknown_outcome(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_over_there").mkdir()
    (tmp_path / "odd_over_there" / "__init__.py").touch()
    text = f"import os\n\n\ndef answer(*asked):\n    print({transport.MARK + said!r}, flush=True)\n    os._exit(0)\n"
    (tmp_path / "odd_over_there" / "entry.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(BadAnswer, match="is no JSON") as caught:
        transport.ask(THIS_COMPUTER, "odd_over_there", {}, become=False)
    assert caught.value.started is True


def test_shipped_program_is_the_same_for_the_same_sources() -> None:
    transport.zipped.cache_clear()
    first = transport.zipped("cmdb.scanners.collector")
    transport.zipped.cache_clear()
    assert transport.zipped("cmdb.scanners.collector") == first
