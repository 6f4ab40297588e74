"""A host that does not answer when its turn comes: tried again, put off to its next window, or left out, as was signed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cmdb.models import Host
from releases.domain.plan_rehearsals import Wanted, simulate
from releases.domain.profiles import offline_rule, profile_problems
from releases.models import Release
from tests.factories.rollouts import Deployment, seal

Make = Callable[..., Deployment]
db = pytest.mark.django_db


@pytest.fixture
def away(make: Make, now: datetime) -> Callable[..., Deployment]:
    """One host of two is away at its turn; `profile` is what was signed; the window has seven hours left, and opens weekly."""

    def run(**profile: Any) -> Deployment:
        found = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}], latest=now + timedelta(days=10))
        document = copy.deepcopy(found.manifest.document)
        document["profile"] |= profile
        document["revision"] = 2
        found.manifest = seal(found.release, document, found.cast, now)
        found.habit(0, "unreachable")
        found.start()
        found.work(turns=3)
        return found

    return run


def visited(deployment: Deployment) -> None:
    Host.objects.update(audited_at=deployment.clock.at)
    deployment.tick()
    deployment.visit()


@db
def test_it_is_tried_again_as_long_as_its_window_is_open_unless_something_else_was_signed(
    away: Callable[..., Deployment],
) -> None:
    found = away()
    for _turn in range(5):
        job = found.job()
        assert (job.state, job.code) == ("pending", "unreachable")
        assert job.not_before is not None
        found.clock.at = job.not_before
        visited(found)
    found.habit(0, None)
    found.pass_time(minutes=3)
    found.work()
    assert found.states() == ["succeeded"] * 2


@db
def test_it_is_put_off_to_its_next_window(away: Callable[..., Deployment], now: datetime) -> None:
    found = away(offline="next_window")
    opens = now - timedelta(hours=1) + timedelta(days=7)
    job = found.job()
    assert (job.state, job.code, job.not_before) == ("pending", "offline", opens)
    assert f"Will be tried again at {opens:%d %b %Y %H:%M} UTC, in its next window" in job.statement
    assert found.states()[1] == "succeeded"
    found.habit(0, None)
    found.clock.at = opens + timedelta(minutes=1)
    visited(found)
    found.work()
    assert found.states() == ["succeeded"] * 2


@db
def test_no_later_window_was_signed_so_it_is_left_out(away: Callable[..., Deployment], now: datetime) -> None:
    found = away(offline="next_window")
    found.clock.at = now - timedelta(hours=1) + timedelta(days=7, minutes=1)
    visited(found)
    job = found.job()
    assert (job.state, job.code) == ("refused", "offline")
    assert "no later window was signed" in job.reason


@db
def test_it_is_caught_up_with_for_a_while(away: Callable[..., Deployment], now: datetime) -> None:
    found = away(offline="catch_up", catch_up_minutes=5)
    codes = []
    for _turn in range(4):
        job = found.job()
        codes.append(job.code)
        if job.code == "offline":
            break
        assert job.not_before is not None
        found.clock.at = job.not_before
        visited(found)
    assert codes[:2] == ["unreachable", "unreachable"]
    assert found.job().not_before == now - timedelta(hours=1) + timedelta(days=7)
    found.clock.at = now - timedelta(hours=1) + timedelta(days=7, minutes=1)
    visited(found)  # the span begins again in the next window
    assert found.job().code == "unreachable"


@db
def test_it_is_left_out_with_its_reason(away: Callable[..., Deployment]) -> None:
    found = away(offline="skip")
    job = found.job()
    assert (job.state, job.code) == ("refused", "offline")
    assert job.statement.startswith("Will not run, because it did not answer at its turn, and the profile leaves")
    found.work()
    assert found.ring().state == "passed"


@db
def test_by_crews_it_is_the_same(make: Make, now: datetime) -> None:
    found = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    document = copy.deepcopy(found.manifest.document)
    document["profile"] |= {"offline": "skip"}
    document["revision"] = 2
    seal(found.release, document, found.cast, now)
    found.habit(1, "unreachable")
    found.start()
    found.work(together=True)
    assert found.states() == ["succeeded", "refused", "succeeded"]


@db
@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({}, "it does not answer"),
        ({"offline": "skip"}, "it does not answer, and the profile leaves such hosts out"),
        ({"offline": "next_window"}, "it does not answer, and no later window was signed for it"),
    ],
)
def test_a_rehearsal_follows_the_same_rule(make: Make, now: datetime, profile: dict[str, Any], reason: str) -> None:
    found = make(hosts=2, latest=now + timedelta(days=10))
    document = {**found.manifest.document, "profile": {**found.manifest.document["profile"], **profile}}
    release = Release.objects.get(pk=found.release.pk)
    told = simulate(release, "x" * 64, document, Wanted(away_percent=100), at=now, starts_at=now)
    assert {why for _code, why in told.lanes[0].refused.values()} == {reason}


def test_the_rule_in_words() -> None:
    assert offline_rule({}) == "tried again every few minutes"
    assert offline_rule({"offline": "catch_up", "catch_up_minutes": 30}) == (
        "tried again for 30 minutes, then put off to its next window"
    )
    assert offline_rule({"offline": "skip"}) == "left out, with that reason"


def test_what_contradicts_itself_is_refused() -> None:
    base = {"restart_kinds": ["server"]}
    assert [b.code for b in profile_problems({**base, "offline": "perhaps"})] == ["profile.offline"]
    assert [b.code for b in profile_problems({**base, "offline": "skip", "catch_up_minutes": 5})] == [
        "profile.catch_up_minutes"
    ]
