"""F1: kill -9 of worker children and of whole workers while a rollout runs. Nothing lost, nothing twice, nothing stuck."""

from __future__ import annotations

import time

from tests.faults.conftest import MakeSite
from tests.faults.dose import LONG, dose, report
from tests.faults.site import Pace, Site

BATCH = 200
"""Jobs of one message: what one killed worker may have ordered without having written that down."""
WHOLE = 0.1
"""Of all kills those that take the whole worker and not one of its children."""
SHORT = {"staging": "0.2-0.6", "installing": "0.4-1.6", "restarting": "0.6-2", "verifying": "0.2-0.4"}
MINUTES = {"staging": "12-36", "installing": "50-200", "restarting": "12-48", "verifying": "2-10"}
"""Ten thousand hosts at a real pace: their rollout lasts as long as so many kills need."""
SPAN = 0.4 if LONG else 1.2
"""The pauses between the kills, as a share of the undisturbed time: in the long form the starts of the struck take the rest."""
PACE = Pace(hosts=MINUTES if LONG else SHORT)


def kill_at_random(site: Site, kills: int, over: float) -> int:
    """So many kills with so many seconds between them in all, while the rollout runs; how many there were."""
    done = 0
    while done < kills and site.state() == "running":
        name = site.chance.choice(site.workers)
        if site.strike_one(name, whole=site.chance.random() < WHOLE):
            done += 1
            time.sleep(over / kills)
        else:
            time.sleep(0.1)
    return done


def test_killed_workers_lose_nothing_and_do_nothing_twice(site: MakeSite) -> None:
    hosts, kills, limit = dose("F1", "hosts"), dose("F1", "kills"), dose("F1", "limit")
    calm: float = dose("F1", "calm")  # seconds that it takes undisturbed; 0: measured first
    if LONG and not calm:
        with site(hosts=hosts, pace=PACE) as one:
            one.start_rollout()
            calm = one.until_ended(limit)
            assert one.verdict() == []
            assert one.hosts().again == 0, "undisturbed, no order is given twice"
    with site(hosts=hosts, pace=PACE) as one:
        began = time.monotonic()
        one.start_rollout()
        killed = kill_at_random(one, kills, (calm or 15) * SPAN)
        one.until_ended(limit)
        took = time.monotonic() - began
        wrong, seen = one.verdict(), one.hosts()
        report(
            "F1", hosts=hosts, kills=killed, undisturbed_s=round(calm), took_s=round(took), orders=sum(seen.orders.values()),
            redundant_orders=seen.again, wrong=wrong,
        )  # fmt: skip
        assert wrong == []
        assert killed >= kills / 2, "the rollout was over before the kills"
        assert seen.again <= BATCH * killed
        assert not calm or took <= 2 * calm
