"""Two people ask for the same scan at once, on PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pytest

from cmdb.domain import scans
from cmdb.models import ScanResult
from patchflow.kernel.errors import Refusal
from tests.crowd import together
from tests.factories.cmdb import make_connection, make_host
from tests.factories.people import Cast

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.pg]
PEOPLE = 6


def test_hosts_asked_for_by_many_at_once_are_asked_once(cast: Cast, now: datetime) -> None:
    """Each asks for the two hosts in another order; nobody sees an error that is not about scans."""
    hosts = [make_host(f"web-0{number}") for number in (1, 2)]
    for host in hosts:
        make_connection(host, accepted_by=cast.cora, address=f"192.0.2.{host.pk}")
    asked = [host.pk for host in hosts]

    def ask(number: int) -> object:
        return scans.request(host_ids=asked[:: 1 if number % 2 else -1], actor=cast.otto, at=now, scanner="ssh")

    answers = together([partial(ask, number) for number in range(PEOPLE)])
    told = [a.blockers[0].code if isinstance(a, Refusal) else "queued" for a in answers]
    assert sorted(told) == ["queued"] + ["scan.under_way"] * (PEOPLE - 1)
    assert sorted(ScanResult.objects.values_list("host_id", flat=True)) == sorted(asked)
