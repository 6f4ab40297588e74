"""The rehearsal of a plan of 10,000 hosts in four rings, weekly windows, failures and redundancy: how long it takes.

.venv/bin/python -m pytest tests/bench/test_rehearsal.py -q -s
"""

from __future__ import annotations

import copy
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.models import ConfigurationItem, Connection, GroupMember, Host
from releases.domain import plan_rehearsals
from releases.domain.plan_rehearsals import Wanted
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment

HOSTS = 10_000
SHARES = (10, 490, 2500, 7000)


def grown(deployment: Deployment, number: int) -> dict[str, Any]:
    """The sealed document with so many hosts more, all known, connected, read lately and in the group of the first."""
    first, at = deployment.hosts[0], deployment.clock.at
    names = [f"node{n:05d}" for n in range(number)]
    items = ConfigurationItem.objects.bulk_create([ConfigurationItem(kind="host", name=name) for name in names])
    hosts = Host.objects.bulk_create([
        Host(
            ci=item, name=item.name, platform=first.platform, machine_id=f"{n:032x}", ssh_host_key=first.ssh_host_key,
            added_at=at, audited_at=at, last_seen_at=at,
        )
        for n, item in enumerate(items)
    ])  # fmt: skip
    like = Connection.objects.get(host=first)
    fields = ("host_key", "shown_key", "host_key_accepted_by", "host_key_accepted_at")
    kept = {name: getattr(like, name) for name in fields}
    Connection.objects.bulk_create([Connection(host=host, address=host.name, **kept) for host in hosts])
    group = GroupMember.objects.filter(host=first)[0].group
    GroupMember.objects.bulk_create([GroupMember(group=group, host=host, since_at=at) for host in hosts])
    document = copy.deepcopy(deployment.manifest.document)
    entry, back, ring = document["hosts"][0], document["way_back"]["hosts"][0], document["rings"][0]
    places = [place for place, share in enumerate(SHARES) for _n in range(share * number // sum(SHARES))]
    places += [len(SHARES) - 1] * (number - len(places))
    document["rings"] = [
        {
            **ring,
            "ring": n,
            "name": f"ring {n}",
            "concurrency": max(1, share // 20),
            "failure_limit": max(2, share // 5),
        }
        for n, share in enumerate(SHARES)
    ]
    document["hosts"] = [entry] + [
        {**entry, "host": host.pk, "name": host.name, "fingerprint": host.fingerprint, "ring": place}
        for host, place in zip(hosts, places, strict=True)
    ]
    document["way_back"]["hosts"] = [back] + [{**back, "host": host.pk} for host in hosts]
    return document


@pytest.mark.django_db
def test_rehearsing_ten_thousand_hosts(cast: Cast, now: datetime, tmp_path: Path) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1, window={"length_minutes": 300})
    document = grown(deployment, HOSTS)
    begun, worked = time.perf_counter(), time.process_time()
    with CaptureQueriesContext(connection) as queries:
        told = plan_rehearsals.simulate(
            deployment.release, "0" * 64, document, Wanted(fail_percent=2, lie_percent=1, seed=1), at=now, starts_at=now
        )
    print(
        f"\nrehearsed {len(document['hosts']):,} hosts in {time.perf_counter() - begun:.2f} s "
        f"({time.process_time() - worked:.2f} s of work), {told.steps:,} acts, {len(told.marks):,} moments, "
        f"{len(queries):,} queries: {told.end} {told.cause}"
    )
    for lane in told.lanes:
        nights = [f"{opens:%d %b}: {n}" for (_w, opens, _c), n in sorted(lane.nights.items(), key=lambda x: x[0][1])]
        print(f"  {lane.name}: {lane.started_at} to {lane.ended_at}, {dict(+lane.counts)}, nights {nights}")
    assert told.marks[-1].good + told.marks[-1].bad == HOSTS + 1
