"""F12: the kill switch and a stop while workers die all the time: nothing new starts after two seconds, and the counts agree."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from tests.faults.asking import beside
from tests.faults.conftest import MakeSite
from tests.faults.dose import dose, report
from tests.faults.site import Pace, Site

SECONDS = 2.0
"""From the acknowledged stop to the last order that a host takes."""
AT_ONCE = 60


def storm(site: Site, over: threading.Event) -> None:
    """kill -9 of a child every half second, of a whole worker now and then, of a scheduler now and then. On a machine that
    takes longer to start them the blows are as much further apart, or nothing would ever live to begin a host."""
    while not over.wait(max(0.5, site.start_took / 20)):
        chance = site.chance.random()
        if chance < 0.1:
            site.strike(site.chance.choice(site.schedulers))
        else:
            site.strike_one(site.chance.choice(site.workers), whole=chance < 0.2)


def test_a_stop_holds_while_workers_die(site: MakeSite) -> None:
    rounds = dose("F12", "rounds")
    pace = Pace(
        schedulers=2, hosts={"staging": "0.5-1", "installing": "1-3", "restarting": "1-2", "verifying": "0.2-0.5"}
    )
    hosts = AT_ONCE * (rounds + 2) + 20  # each round begins so many at most
    with site(hosts=hosts, at_once=AT_ONCE, pace=pace) as one:
        otto, rex, over = one.person("otto"), one.person("rex"), threading.Event()
        one.start_rollout()
        dying = beside(lambda: storm(one, over))
        late = []
        for turn in range(rounds):
            ordered = len(one.hosts().ordered_at)
            one.until(lambda n=ordered: len(one.hosts().ordered_at) > n, 120, "some hosts begin")  # type: ignore[misc]
            otto.post("kill-switch/set/", {"on": True, "reason": f"drill {turn}"})
            stopped = datetime.now(UTC)
            time.sleep(SECONDS + 2)
            late.append(one.hosts().started_after(stopped + timedelta(seconds=SECONDS)))
            otto.post("kill-switch/set/", {"on": False, "reason": "drill over"})
            if one.state() == "halted":
                rex.post(f"rollouts/{one.yard.rollout}/resume/")
        ordered = len(one.hosts().ordered_at)
        one.until(lambda: len(one.hosts().ordered_at) > ordered or one.state() != "running", 120, "it goes on")
        otto.post(f"rollouts/{one.yard.rollout}/stop/", {"reason": "enough"})
        stopped = datetime.now(UTC)
        time.sleep(SECONDS + 2)
        late.append(one.hosts().started_after(stopped + timedelta(seconds=SECONDS)))
        over.set()
        dying[0].join()
        one.until_ended(120, state="stopped")
        wrong, states = one.verdict(ended=("stopped", "deployed")), one.rows().states()
        report("F12", rounds=rounds, started_late=late, states=dict(states), wrong=wrong)
        assert late == [0] * (rounds + 1)
        assert wrong == []
        assert states["cancelled"] > 0, "the stop came too late to show anything"
