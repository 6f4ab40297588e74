"""What a rollout does to a host is signed: its leaving of a baseline is vouched for, and nobody is called."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from releases.domain.adoption import changed_as_signed
from tests.factories.rollouts import Deployment

pytestmark = pytest.mark.django_db


def test_hosts_of_a_rollout_are_vouched_for_at_work_and_for_a_day(make: Callable[..., Deployment]) -> None:
    found = make(hosts=3, rings=[{"hosts": 3, "concurrency": 2, "failure_limit": 3}])
    found.habit(1, "fail")
    everybody = {host.pk for host in found.hosts}
    found.start()
    assert changed_as_signed(everybody, found.clock.at) == set()
    found.tick()
    assert changed_as_signed(everybody, found.clock.at) == {host.pk for host in found.hosts[:2]}
    found.work()
    good = {found.hosts[0].pk, found.hosts[2].pk}
    assert changed_as_signed(everybody, found.clock.at) == good
    assert changed_as_signed(everybody, found.clock.at + timedelta(days=2)) == set()
