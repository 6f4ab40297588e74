"""F4: kill -9 of all PostgreSQL processes. What was acknowledged is there; who asks meanwhile is told when to come again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.asking import Answer, Sender, ask, beside
from tests.faults.conftest import MakeSite
from tests.faults.dose import dose, report
from tests.faults.postgres import Server
from tests.faults.site import Pace, Site

RECOVERY = 10.0
"""Seconds from the start of the database to the first good answer."""
EACH = 6
"""Seconds of one round, about: alive, dead, back."""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    try:
        one.make()
        one.start()
        one.wait()
        yield one
    finally:
        one.remove()


def watch(site: Site, token: str, over: threading.Event) -> list[Answer]:
    """Somebody who looks at REST and at a page all the time."""
    seen: list[Answer] = []

    def look() -> None:
        while not over.is_set():
            seen.append(ask(f"{site.url}/api/v1/rfcs/", token=token))
            seen.append(ask(f"{site.url}/changes/board/", cookie="patchflow_session=nobody"))
            time.sleep(0.1)

    beside(look)
    return seen


def test_a_database_that_is_killed_loses_nothing_acknowledged(site: MakeSite, server: Server) -> None:
    rounds = dose("F4", "rounds")
    # Hosts are at work for as long as the database dies: three tenths of them at once, so that each takes a quarter of it.
    each = max(6, rounds * EACH / 4)
    stage = f"{each / 2:.0f}-{each * 1.5:.0f}"
    pace = Pace(workers=1, hosts={"staging": "1-2", "installing": stage, "restarting": "1-2", "verifying": "1-2"})
    with site(hosts=max(200, 40 * rounds), pace=pace, server=server) as one:
        mia = Sender(one.person("mia").token)
        otto = one.person("otto")
        first = one.person("mia")
        digests = {rfc["round"]: first.get(f"rounds/{rfc['round']}/")["digest"] for rfc in one.yard.rfcs}
        one.start_rollout()
        over = threading.Event()
        seen = watch(one, otto.token, over)

        def sign() -> None:
            for rfc in one.yard.rfcs:
                if over.is_set():
                    return
                body = {"verdict": "approve", "digest_seen": digests[rfc["round"]]}
                mia.send(f"{one.url}/api/v1/rounds/{rfc['round']}/decide/", body)
                time.sleep(max(0.1, rounds * EACH / len(one.yard.rfcs)))

        signing = beside(sign)
        back: list[float] = []
        for _turn in range(rounds):
            time.sleep(one.chance.uniform(2, 4))
            assert one.state() == "running"
            server.kill()
            time.sleep(0.5)
            began = time.monotonic()
            server.start()
            while not ask(f"{one.url}/api/v1/rfcs/", token=otto.token).good:
                assert time.monotonic() - began < 60
                time.sleep(0.05)
            back.append(time.monotonic() - began)
        over.set()
        signing[0].join(60)
        one.until_ended(300 + 4 * each)
        wrong = one.verdict()
        statuses = Counter(answer.status for answer in seen)
        report(
            "F4",
            rounds=rounds,
            back_s=[round(s, 1) for s in back],
            acknowledged=len(mia.done),
            answers=dict(statuses),
            wrong=wrong,
        )
        assert wrong == []
        assert lost(one, mia) == set()
        assert mia.refused == []
        assert mia.unhinted == []
        assert [a for a in seen if a.status >= 500 and not a.hinted] == []
        assert statuses[503] > 0, "nobody met the fault"
        assert max(back) <= RECOVERY


def lost(site: Site, sender: Sender) -> set[int]:
    """Rounds whose signature was acknowledged and is not there."""
    rows = site.sql("SELECT round_id FROM kernel_signoff s JOIN kernel_user u ON u.id = user_id WHERE username = 'mia'")
    return {answer["id"] for _url, answer in sender.done} - {round_ for (round_,) in rows}
