"""F2, F3: the broker dies with its data, or stands still. Rows are the truth: all that is lost is a little time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.faults.conftest import MakeSite
from tests.faults.dose import dose, report
from tests.faults.site import LEASE, SWEEP, Pace, Site
from tests.journeys.person import Person

PATIENCE = 2.0
"""Seconds that a request may take longer while the broker stands still."""
STARTING = 20
"""Seconds in which a worker that has ended with its broker is running again, on a loaded machine."""


class Office:
    """What people do all day and what needs no broker: look at lists, sign, log in. Each act is timed."""

    def __init__(self, site: Site) -> None:
        self.site, self.mia = site, site.person("mia")
        self.open = [rfc["round"] for rfc in site.yard.rfcs]
        self.signed: list[int] = []

    def day(self) -> float:
        """Seconds that the slowest act took."""
        cal = Person(self.site.url, "cal", self.site.passwords["cal"])
        acts = [
            timed(self.mia.get, "rfcs/"),
            timed(self.mia.get, f"rollouts/{self.site.yard.rollout}/"),
            timed(cal.login),
        ]
        if self.open:
            round_ = self.open.pop()
            digest = self.mia.get(f"rounds/{round_}/")["digest"]
            acts.append(timed(self.mia.post, f"rounds/{round_}/decide/", {"verdict": "approve", "digest_seen": digest}))
            self.signed.append(round_)
        return max(acts)

    def lost(self) -> set[int]:
        """Rounds whose signature was acknowledged and is not there."""
        rows = self.site.sql(
            "SELECT round_id FROM kernel_signoff s JOIN kernel_user u ON u.id = user_id WHERE username = 'mia'"
        )
        return set(self.signed) - {round_ for (round_,) in rows}


def timed(act: Callable[..., Any], *given: Any) -> float:
    began = time.monotonic()
    act(*given)
    return time.monotonic() - began


def until_moving(site: Site, what: str, seconds: float) -> float:
    """Until something new is in the trail of a job or a host was heard of, or all is over; seconds."""
    before = _moves(site)
    return site.until(lambda: _moves(site) != before or site.state() == "completed", seconds, what)


def _moves(site: Site) -> tuple[Any, ...]:
    return tuple(
        site.sql(
            "SELECT (SELECT count(*) FROM kernel_auditentry WHERE object_type = 'releases.job'),"
            " (SELECT max(heard_at) FROM releases_job)"
        )[0]
    )


def test_a_broker_that_loses_everything_or_stands_still_costs_a_little_time(site: MakeSite) -> None:
    losses, freezes, seconds = dose("F2", "rounds"), dose("F3", "rounds"), dose("F3", "seconds")
    # Hosts are at work for as long as there are faults: three tenths of them at once, so that each takes a quarter of it.
    each = (losses * 15 + freezes * (seconds + 8)) / 4
    stage = f"{each / 2:.0f}-{each * 1.5:.0f}"
    pace = Pace(workers=1, hosts={"staging": "1-2", "installing": stage, "restarting": "1-2", "verifying": "1-2"})
    with site(hosts=max(200, 30 * (losses + freezes)), pace=pace) as one:
        office = Office(one)
        usual = max(office.day(), office.day())
        one.start_rollout()
        until_moving(one, "the rollout begins", 60)
        lost, frozen, slowest = [], [], []
        for _turn in range(losses):
            assert one.state() == "running"
            one.lose_broker()
            slowest.append(office.day())
            one.start_broker()
            lost.append(until_moving(one, "due rows are rung for again", 2 * SWEEP + LEASE + STARTING))
        for _turn in range(freezes):
            assert one.state() == "running"
            began = time.monotonic()
            with one.frozen("broker"):
                slowest.append(office.day())
                time.sleep(max(0.0, seconds - (time.monotonic() - began)))
            frozen.append(until_moving(one, "workers consume again", 30))
        one.until_ended(600 + 4 * each)
        wrong = one.verdict()
        report(
            "F2",
            rounds=losses,
            moving_again_s=[round(s, 1) for s in lost],
            signatures_lost=len(office.lost()),
            wrong=wrong,
        )
        report(
            "F3", rounds=freezes, frozen_s=seconds, moving_again_s=[round(s, 1) for s in frozen], usual_request_s=round(usual, 2),
            slowest_request_s=round(max(slowest), 2),
        )  # fmt: skip
        assert wrong == []
        assert office.lost() == set()
        assert max(slowest) < usual + PATIENCE
