"""F6: kill -9 of a web worker within a POST. The sender repeats it with its key: nothing is done twice, nothing untold."""

from __future__ import annotations

import threading
import time
from collections import Counter

from tests.faults.asking import BROKEN, Sender, beside
from tests.faults.conftest import MakeSite
from tests.faults.dose import dose, report
from tests.faults.site import Pace, Site

SENDERS = 4


def raised(site: Site) -> tuple[int, int]:
    """(RFCs, entries that tell of one being raised)."""
    told = "SELECT count(DISTINCT object_id), count(*) FROM kernel_auditentry WHERE verb = 'change.rfc.raised' AND outcome = 'done'"
    [(objects, entries)] = site.sql(told)
    [(rows,)] = site.sql("SELECT count(*) FROM changes_rfc")
    assert rows == objects, f"{rows} RFCs, and entries about {objects}"
    return rows, entries


def signed(site: Site) -> tuple[int, int]:
    """(signatures over RFCs, entries that tell of one)."""
    query = "SELECT count(*) FROM kernel_signoff WHERE round_id IN (SELECT id FROM kernel_signoffround WHERE subject_type = %s)"
    [(rows,)] = site.sql(query, "changes.rfc")
    told = "SELECT count(*) FROM kernel_auditentry WHERE verb = 'signoff.round.signed' AND outcome = 'done'"
    [(entries,)] = site.sql(told)
    return rows, entries


def test_a_web_worker_killed_within_a_post_doubles_nothing(site: MakeSite) -> None:
    kills = dose("F6", "kills")
    with site(hosts=200, pace=Pace(workers=0, schedulers=0)) as one:
        before, signatures = raised(one), signed(one)
        update = one.sql("SELECT id FROM changes_softwareupdate ORDER BY id DESC LIMIT 1")[0][0]
        ann, mia, over = one.person("ann"), one.person("mia"), threading.Event()
        digests = {rfc["round"]: mia.get(f"rounds/{rfc['round']}/")["digest"] for rfc in one.yard.rfcs}
        senders = [Sender(ann.token) for _ in range(SENDERS - 1)]
        signer = Sender(mia.token)

        def raising(sender: Sender) -> None:
            while not over.is_set():
                body = {"update_ids": [update], "title": f"change {len(sender.done)}"}
                sender.send(f"{one.url}/api/v1/rfcs/", body)

        def signing() -> None:
            for round_, digest in digests.items():
                if over.is_set():
                    return
                signer.send(f"{one.url}/api/v1/rounds/{round_}/decide/", {"verdict": "approve", "digest_seen": digest})

        threads = beside(*[lambda s=s: raising(s) for s in senders], signing)
        killed = 0
        while killed < kills:
            time.sleep(one.chance.uniform(0.1, 0.4))
            killed += one.strike_child("web")
        over.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        sent = sum(len(s.done) for s in senders)
        rows, entries = raised(one)
        signs, sign_entries = signed(one)
        statuses = sum((s.seen for s in [*senders, signer]), Counter[int]())
        report("F6", kills=killed, rfcs=sent, signatures=len(signer.done), answers=dict(statuses))
        assert [s.refused for s in [*senders, signer]] == [[]] * SENDERS
        assert (rows - before[0], entries - before[1]) == (sent, sent)
        assert len({answer["id"] for s in senders for _url, answer in s.done}) == sent, "two answers name one RFC"
        assert (signs - signatures[0], sign_entries - signatures[1]) == (len(signer.done), len(signer.done))
        assert statuses[BROKEN] > 0, "no kill met a request"
        one.manage("verify_audit")
