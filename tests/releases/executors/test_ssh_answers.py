"""What the SSH executor makes of answers that no host of ours would give: text, or no answer, never an error of the visit."""

from __future__ import annotations

from typing import Any

import pytest

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import BadAnswer
from releases.executors.base import Action, Batch, JobOrder, ObserveSpec, PackageChange
from releases.executors.ssh import SshExecutor
from tests.releases.executors.test_wire import EVENT, PACKAGE, RESULT, UNHEARD, amiss

CHANGE = PackageChange(name="a", arch="all", from_version="1", to_version="2")
ORDER = JobOrder(job_key="j", fence=1, endpoint=Endpoint(address="h"), action=Action.INSTALL, packages=(CHANGE,))
SPEC = ObserveSpec(endpoint=ORDER.endpoint, job_key="j", action=Action.INSTALL, packages=(CHANGE,))
SEEN: dict[str, Any] = {
    "packages": [PACKAGE], "apt_running": [], "audit": "", "interrupted": False, "boot_id": "b", "machine_id": "m",
    "restart_needed": False, "health": [], "stage": "succeeded", "alive": False, "result": RESULT,
}  # fmt: skip


class Odd(SshExecutor):
    """Hosts that answer every question with the same thing."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def _ask(self, endpoint: Endpoint, *, timeout: float | None = None, **request: Any) -> Any:
        return self.said


@amiss
def test_a_look_is_told_in_text(said: Any, kept: str) -> None:
    for name in ("audit", "boot_id", "machine_id"):
        assert getattr(Odd({**SEEN, name: said}).observe(SPEC), name) == kept
    assert Odd({**SEEN, "apt_running": [said]}).observe(SPEC).apt_running == (kept,)
    assert Odd({**SEEN, "health": [said]}).observe(SPEC).health_failures == (kept,)


@pytest.mark.parametrize(
    "wrong", [{"packages": ["a"]}, {"packages": [{}]}, {"packages": []}, {"result": 5}, {"health": 5}], ids=repr
)
def test_a_look_that_cannot_be_read_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match="unreadable answer"):
        Odd({**SEEN, **wrong}).observe(SPEC)


@pytest.mark.parametrize(
    "said", [{}, {"word": "yes"}, {"word": 5, "reason": ""}, {"word": ["accepted"]}, {"word": "accepted"}], ids=repr
)
def test_an_order_answered_by_no_known_word_may_have_arrived(said: dict[str, Any]) -> None:
    executor = Odd(said)
    answer = executor.start(Batch(orders=(ORDER,))).jobs[0].answer
    assert (answer.word, answer.unknown) == ("unreachable", True)
    assert [one.word for one in executor.cancel(executor.attach([ORDER]))] == ["unreachable"]


def test_words_that_are_known_are_taken_with_any_reason() -> None:
    answer = Odd({"word": "busy", "reason": 5}).start(Batch(orders=(ORDER,))).jobs[0].answer
    assert (answer.word, answer.reason, answer.unknown) == ("busy", "5", False)
    [called] = Odd({"word": "ended", "reason": None}).cancel(Odd({}).attach([ORDER]))
    assert (called.word, called.reason) == ("ended", "")
    with pytest.raises(BadAnswer, match="unreadable answer"):
        Odd({"changes": 5}).dry_run(ORDER.endpoint, [])


@pytest.mark.parametrize("wrong", UNHEARD, ids=repr)
def test_a_journal_that_cannot_be_read_is_silence(wrong: dict[str, Any]) -> None:
    said = {"known": True, "alive": True, "stage": "staged", "events": [{**EVENT, **wrong}], "result": None}
    executor = Odd(said)
    [heard] = executor.events(executor.attach([ORDER]))
    assert (heard.reachable, heard.reason.startswith("unreadable answer: ")) == (False, True)
