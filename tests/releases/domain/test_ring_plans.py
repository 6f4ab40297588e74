"""Hosts shared out among rings: by hand, by rule, by share; numbers worked out of shares; and moved between rings."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cmdb.models import Fact, GroupMember, Host
from patchflow.kernel.errors import Conflict, Invalid
from releases.diversity import Trial
from releases.domain import plans, ring_plans
from releases.domain.plans import RingPlan, Wanted
from releases.models import PlannedHost, PlannedRing, Release
from releases.queries.classes import planned_trials
from releases.queries.manifests import _rings
from releases.web.class_lines import planned_lines
from tests.factories.changes import make_group, make_host
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
AT = timezone.now()


@pytest.fixture
def release(cast: Cast) -> Release:
    """A release of 24 hosts: h00–h03 test, h04–h05 critical production, the others production."""
    made = Release.objects.create(
        number="REL-2026-00901",
        title="x",
        kind="normal",
        executor="fake",
        composed_by=cast.rex,
        composed_at=AT,
        state_at=AT,
    )
    for n in range(24):
        host = make_host(name=f"h{n:02d}", at=AT, environment="test" if n < 4 else "production")
        host.ci.criticality = 1 if n in (4, 5) else 3
        host.ci.save()
        PlannedHost.objects.create(release=made, host=host)
    return made


def plan(release: Release, cast: Cast, *rings: RingPlan) -> dict[str, list[str]]:
    plans.plan_rings(release_id=release.pk, rings=rings, actor=cast.rex, at=AT)
    return placed(release)


def placed(release: Release) -> dict[str, list[str]]:
    rows = release.planned_hosts.order_by("host__name").values_list("ring__name", "host__name")
    found: dict[str, list[str]] = {}
    for ring, host in rows:
        found.setdefault(ring, []).append(host)
    return found


def codes(refused: Any) -> list[str]:
    return [b.code for b in refused.value.blockers]


def test_by_rule_then_a_share_of_the_rule_then_all_that_are_left(release: Release, cast: Cast) -> None:
    group = make_group("edge", at=AT)
    for name in ("h10", "h11", "h12", "h00"):
        GroupMember.objects.create(group=group, host=Host.objects.get(ci__name=name), since_at=AT)
    found = plan(
        release, cast, RingPlan("Test", environments=["test"]), RingPlan("Edge", group_ids=[group.pk], percent=50),
        RingPlan("Rest", percent=100),
    )  # fmt: skip
    assert found["Test"] == ["h00", "h01", "h02", "h03"]
    assert found["Edge"] == ["h11", "h12"]
    assert len(found["Rest"]) == 18


def test_a_diverse_ring_has_a_host_of_every_class_beyond_its_share(release: Release, cast: Cast) -> None:
    for n, model in ((7, "ProLiant"), (8, "ProLiant"), (9, "PowerEdge")):
        host = Host.objects.get(ci__name=f"h{n:02d}")
        Fact.objects.create(host=host, key="product", value=model, source="ssh", seen_at=AT)
    found = plan(release, cast, RingPlan("Pilot", percent=1, diverse=True), RingPlan("Rest", percent=100))
    assert len(found["Pilot"]) == 3
    assert {"h08", "h09"} < set(found["Pilot"])
    pilot = release.planned_rings.get(name="Pilot")
    assert ring_plans.coverage(release, pilot) == ring_plans.Coverage(3, 3, ())


def known(*numbers: int, runs_on: str = "kvm") -> None:
    """Says of these hosts what machines they are."""
    for n in numbers:
        host = Host.objects.get(ci__name=f"h{n:02d}")
        for key, value in (("machine_kind", "server"), ("virtualization", runs_on)):
            Fact.objects.create(host=host, key=key, value=value, source="ssh", seen_at=AT)


def test_classes_of_later_rings_are_asked_where_they_can_be_tried_and_said_where_not(
    release: Release, cast: Cast
) -> None:
    """Test hosts are KVM but one; production has KVM, VMware, and one host of which nobody knows."""
    known(*range(3), *range(4, 20))
    known(3, *range(20, 23), runs_on="vmware")
    rest = [RingPlan("Early", percent=50), RingPlan("Rest", percent=100)]
    plan(release, cast, RingPlan("Pilot", host_ids=[Host.objects.get(name="h00").pk]), *rest)
    kvm, vmware = "debian-12-amd64 · server · kvm", "debian-12-amd64 · server · vmware"
    early = {h.host.name for h in release.planned_rings.get(number=1).hosts.all()}
    with CaptureQueriesContext(connection) as asked:
        found = planned_trials(release)
    assert len(asked) == 7
    assert (found[0], found[2]) == (Trial(1, False, (kvm,), ((vmware, 3),), unknown=1), None)
    assert set(found[1].asked) <= {kvm, vmware}  # type: ignore[union-attr]
    assert "h23" in early  # who is not known is asked for by the pilot alone
    assert planned_lines(found[0]) == [
        "Before the next ring starts, 1 class of machine that later rings have in production must be tried (1 good host of each).",
        f"1 class cannot be tried, for want of hosts so far: {vmware} × 3. Move a host of it into this ring or an earlier one.",
        "The class of 1 later production host is not known: nothing is tried for it. Scan it or say what it is.",
    ]
    assert [ring.class_hosts for ring in release.planned_rings.all()] == [1, 1, 1]


def test_as_a_must_it_is_refused_with_what_is_missing_until_hosts_are_moved(release: Release, cast: Cast) -> None:
    known(*range(20))
    known(20, 21, 22, runs_on="vmware")
    rings = [RingPlan("Pilot", environments=["test"], class_hosts=1), RingPlan("Rest", percent=100)]
    with pytest.raises(Invalid) as refused:
        plan(release, cast, *rings)
    assert codes(refused) == ["release.rings.untried", "release.rings.class_unknown"]
    assert "(debian-12-amd64 · server · vmware × 3): move hosts of it" in str(refused.value)
    known(23, runs_on="vmware")
    with pytest.raises(Invalid) as refused:
        plan(release, cast, *rings)
    assert codes(refused) == ["release.rings.untried"]
    tried = Host.objects.get(name="h23").pk
    plan(release, cast, RingPlan("Pilot", environments=["test"], host_ids=[tried], class_hosts=1), rings[1])
    again = [plans.plan_of(ring) for ring in release.planned_rings.all()]
    assert [ring.class_hosts for ring in again] == [1, None]
    with pytest.raises(Invalid) as refused:  # nor may the one that tries it be moved away
        plans.move_hosts(release_id=release.pk, ring=1, wanted=Wanted(host_ids=[tried]), actor=cast.rex, at=AT)
    assert codes(refused) == ["release.rings.untried"]
    plan(release, cast, RingPlan("Pilot", environments=["test"], class_hosts=0), rings[1])
    assert planned_trials(release)[0] is None


def test_shares_become_numbers_and_the_usual_bound_follows_the_environment(release: Release, cast: Cast) -> None:
    plan(
        release, cast, RingPlan("Test", environments=["test"]),
        RingPlan("Rest", percent=100, concurrency_percent=25, failure_percent=10),
    )  # fmt: skip
    test, rest = release.planned_rings.all()
    assert (test.failure_limit, test.bound_percent) == (1, 0)
    assert (rest.concurrency, rest.failure_limit, rest.bound_percent) == (5, 2, 80)
    halved = [{"ring": 1}] * 10 + [{"ring": 0}]
    assert [(r["concurrency"], r["failure_limit"]) for r in _rings(release, halved)] == [(1, 1), (2, 1)]


def test_a_bound_that_the_hosts_cannot_prove_is_refused_with_the_number_it_takes(release: Release, cast: Cast) -> None:
    with pytest.raises(Invalid) as refused:
        plan(release, cast, RingPlan("Pilot", percent=10, bound_percent=80), RingPlan("Rest", percent=100))
    assert codes(refused) == ["release.rings.unprovable"]
    assert str(refused.value) == ("Ring Pilot: 3 hosts show at most 52 % with 95 % confidence; 80 % take 11 hosts.")
    plan(release, cast, RingPlan("Pilot", percent=10), RingPlan("Rest", percent=100))
    pilot = release.planned_rings.get(name="Pilot")
    assert (pilot.bound_percent, ring_plans.unasked_bound(pilot)) == (0, 80)


def test_all_that_match_are_moved_and_stay_when_planned_again(release: Release, cast: Cast) -> None:
    plan(release, cast, RingPlan("Pilot", percent=10), RingPlan("Rest", percent=100, concurrency_percent=50))
    plans.move_hosts(
        release_id=release.pk, ring=0, wanted=Wanted(name="h0", ring=1), actor=cast.rex, at=AT, count_seen=None
    )
    found = placed(release)
    assert {f"h{n:02d}" for n in range(10)} <= set(found["Pilot"])
    rest = release.planned_rings.get(name="Rest")
    assert rest.concurrency == len(found["Rest"]) // 2
    again = [plans.plan_of(ring) for ring in release.planned_rings.all()]
    plans.plan_rings(release_id=release.pk, rings=again, actor=cast.rex, at=AT)
    assert {f"h{n:02d}" for n in range(4, 10)} <= set(placed(release)["Pilot"])


def test_what_has_changed_since_it_was_shown_is_not_moved(release: Release, cast: Cast) -> None:
    plan(release, cast, RingPlan("Pilot", percent=10), RingPlan("Rest", percent=100))
    before = placed(release)
    with pytest.raises(Conflict):
        plans.move_hosts(
            release_id=release.pk, ring=0, wanted=Wanted(environment="test"), actor=cast.rex, at=AT, count_seen=99
        )
    with pytest.raises(Invalid):
        plans.move_hosts(
            release_id=release.pk, ring=0, wanted=Wanted(ring=1), actor=cast.rex, at=AT
        )  # Rest is left empty
    with pytest.raises(Invalid):
        plans.move_hosts(release_id=release.pk, ring=0, wanted=Wanted(), actor=cast.rex, at=AT)
    assert placed(release) == before
    assert PlannedRing.objects.filter(release=release).count() == 2
