"""How long after a stop, a halt or the kill switch a host is still begun, while thousands are being dispatched.

The witness is the hosts' own journal: when the last order reached one. The act counts from the commit of its verb.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from releases.domain import rollouts, switches
from releases.executors.simulator_journal import read_journal
from releases.models import Job, Rollout
from tests.bench.works import Works, planned, until, working
from tests.factories.people import make_cast

HOSTS = int(os.environ.get("PATCHFLOW_BENCH_STOP", "10000"))
LIMIT = 2.0
pytestmark = [pytest.mark.pg, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


def _orders(works: Works) -> list[datetime]:
    """When each host took its order, by the hosts' clock, which is this computer's."""
    return [datetime.fromisoformat(line[6]) for line in read_journal(works.folder / "journal") if line[0] == "order"]


def _lag(works: Works, act: Callable[[datetime], Any]) -> tuple[float, float]:
    """(seconds that the act took, seconds from its commit to the last host begun after it), in the midst of dispatching."""
    before = len(_orders(works))
    until(lambda: len(_orders(works)) > before, works)
    began = datetime.now(UTC)
    act(began)
    committed = datetime.now(UTC)
    quiet = time.monotonic()
    while time.monotonic() - quiet < 5:
        count = len(_orders(works))
        time.sleep(0.5)
        if len(_orders(works)) != count:
            quiet = time.monotonic()
    assert len(_orders(works)) < HOSTS, "all hosts were begun: nothing is left to be stopped"
    return (committed - began).total_seconds(), max(0.0, (max(_orders(works)) - committed).total_seconds())


def test_nothing_is_begun_two_seconds_after_a_stop(capsys: Any) -> None:
    cast = make_cast()
    rollout = planned(cast, HOSTS)
    found: dict[str, tuple[float, float]] = {}
    with working() as works:

        def go_on() -> None:
            works.send(rollouts.ADVANCE, "exec", rollout_id=rollout.pk)

        rollouts.start(release_id=rollout.release_id, actor=cast.rex, at=datetime.now(UTC))
        go_on()
        found["halt"] = _lag(
            works, lambda at: rollouts.halt(rollout_id=rollout.pk, cause="look", actor=cast.otto, at=at)
        )
        rollouts.resume(rollout_id=rollout.pk, actor=cast.rex, at=datetime.now(UTC))
        go_on()
        found["kill switch"] = _lag(
            works, lambda at: switches.set_kill_switch(on=True, reason="look", actor=cast.otto, at=at)
        )
        switches.set_kill_switch(on=False, reason="seen", actor=cast.otto, at=datetime.now(UTC))
        go_on()
        found["stop"] = _lag(
            works, lambda at: rollouts.stop(rollout_id=rollout.pk, reason="enough", actor=cast.otto, at=at)
        )
        begun = len(_orders(works))
        go_on()
        until(lambda: Rollout.objects.get(pk=rollout.pk).state == "stopped", works)
    with capsys.disabled():
        print(f"\n{HOSTS:,} hosts, {begun:,} of them begun before the stop")
        for name, (took, lag) in found.items():
            print(
                f"{name:>11}: in force after {took:.2f} s, the last host begun {lag:.2f} s after that (limit {LIMIT:.0f} s)"
            )
    assert Job.objects.filter(rollout=rollout, state="cancelled").count() >= HOSTS - begun
    assert max(took for took, _lag in found.values()) <= LIMIT
    assert max(lag for _took, lag in found.values()) <= LIMIT
