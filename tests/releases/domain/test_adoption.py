"""Baselines after a release: of the platform and of groups, adopted because they were signed, never lowered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from cmdb.domain import baselines, groups
from cmdb.models import Baseline
from patchflow.kernel import registry, signoffs
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import RoleGrant
from releases.domain import releases
from releases.models import Release
from releases.queries.adopted import baselines_of
from tests.factories.releases import NEW, OLD, Yard, manifest_of
from tests.releases.domain.test_reviews import completed, deployed


def accepted(yard: Yard, release: Release) -> Release:
    completed(yard, release)
    return releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at + timedelta(days=3))


def in_force(yard: Yard, name: str, items: list[tuple[str, str, str]], group_id: int | None = None) -> Baseline:
    platform = yard.world.hosts[0].platform_id
    assert platform is not None
    made = baselines.propose(
        name=name, platform_id=platform, group_id=group_id, items=items, actor=yard.cast.cora, at=yard.at
    )
    round_ = signoffs.open_round_of(made)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.sam, at=yard.at)
    made.refresh_from_db()
    return made


def said(baseline: Baseline) -> list[tuple[str, str]]:
    return list(baseline.items.order_by("name").values_list("name", "version"))


def test_baselines_of_groups_that_were_reached_follow_and_others_stay(yard: Yard) -> None:
    hosts = yard.world.hosts
    reached = groups.add(name="Reached", host_ids=[hosts[0].pk], actor=yard.cast.cora, at=yard.at)
    empty = groups.add(name="Empty", actor=yard.cast.cora, at=yard.at)
    items = [("openssl", "amd64", OLD), ("sudo", "amd64", "1-1")]
    plain, own, other = (
        in_force(yard, "plain", items),
        in_force(yard, "own", items, reached.pk),
        in_force(yard, "other", items, empty.pk),
    )
    release = accepted(yard, deployed(yard))
    for before in (plain, own, other):
        before.refresh_from_db()
    assert [b.state for b in (plain, own, other)] == ["superseded", "superseded", "approved"]
    after = {b.name: b for b in Baseline.objects.approved().exclude(pk=other.pk)}
    assert {name: (b.version, b.group_id, said(b)) for name, b in after.items()} == {
        "plain": (2, None, [("openssl", NEW), ("sudo", "1-1")]),
        "own": (2, reached.pk, [("openssl", NEW), ("sudo", "1-1")]),
    }
    assert {b.source_digest for b in after.values()} == {manifest_of(release).digest}
    assert {b.pk for b in baselines_of([release.pk], actor=yard.cast.cora)[release.pk]} == {
        b.pk for b in after.values()
    }
    assert baselines_of([release.pk], actor=yard.cast.eve) == {}


def test_a_release_never_lowers_a_baseline(yard: Yard) -> None:
    newer = "999:1-1"
    force = in_force(yard, "ahead", [("openssl", "amd64", newer)])
    accepted(yard, deployed(yard))
    force.refresh_from_db()
    assert (force.state, said(force), Baseline.objects.count()) == ("approved", [("openssl", newer)], 1)


@pytest.fixture
def a_rule_of_the_house() -> Iterator[None]:
    """A gate that an app above contributes, and that adopts nothing by itself."""
    known = registry._gates["cmdb.baseline.adopt"]
    registry._gates["cmdb.baseline.adopt"] = [*known, lambda baseline, **_: [Blocker("house.rule", "Always vote.")]]
    yield
    registry._gates["cmdb.baseline.adopt"] = known


@pytest.mark.usefixtures("a_rule_of_the_house")
def test_what_is_not_adopted_is_put_to_the_vote(yard: Yard) -> None:
    force = in_force(yard, "plain", [("openssl", "amd64", OLD)])
    accepted(yard, deployed(yard))
    made = Baseline.objects.latest("pk")
    assert (made.version, made.state, said(made)) == (2, "proposed", [("openssl", NEW)])
    round_ = signoffs.open_round_of(made)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.sam, at=yard.at)
    force.refresh_from_db()
    made.refresh_from_db()
    assert (force.state, made.state) == ("superseded", "approved")


@pytest.mark.usefixtures("a_rule_of_the_house")
def test_where_nobody_can_be_asked_the_release_completes_and_a_person_decides(yard: Yard) -> None:
    release = deployed(yard)
    RoleGrant.objects.filter(role="security_officer").delete()
    assert accepted(yard, release).state == "completed"
    made = Baseline.objects.get()
    assert (made.state, signoffs.open_round_of(made)) == ("proposed", None)
