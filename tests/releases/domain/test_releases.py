"""Composing a release from authorized changes, revising it, giving it up; what is asked again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from changes.domain import rfcs
from changes.models import RFC
from patchflow.kernel import signoffs
from patchflow.kernel.audit import history
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from releases.domain import builds, plans, readiness, release_gates, releases
from releases.models import PlannedHost, Release, ReleaseRFC
from tests.factories.changes import awaiting, make_update
from tests.factories.people import make_user
from tests.factories.releases import Yard, building, composed, manifest_of, planned, ready, rfc_of, sealed, sign


def test_compose_takes_hosts_dates_kind_and_way_back_from_its_rfcs(yard: Yard) -> None:
    later = yard.at + timedelta(days=2)
    first = rfc_of(yard, host_ids=[yard.world.hosts[0].pk], not_before=later)
    second = rfc_of(
        yard, host_ids=[h.pk for h in yard.world.hosts[1:]], not_after=yard.at + timedelta(days=9), way_back="none"
    )
    release = composed(yard, first, second)
    assert release.number.startswith("REL-2026-")
    assert (release.state, release.kind, release.way_back) == ("planning", "normal", "reinstall_previous")
    assert (release.earliest_at, release.latest_at) == (later, yard.at + timedelta(days=9))
    assert set(release.planned_hosts.values_list("host_id", flat=True)) == {h.pk for h in yard.world.hosts}
    assert {link.digest for link in release.links.all()} == {first.change_digest, second.change_digest}
    assert [e.verb for e in history(release)] == ["release.release.composed"]


def test_compose_refuses_an_rfc_that_is_not_authorized(yard: Yard) -> None:
    rfc = awaiting(yard.world)
    with pytest.raises(Blocked) as refused:
        composed(yard, rfc)
    assert "rfc.not_authorized" in {b.code for b in refused.value.blockers}
    assert not Release.objects.exists()


def test_compose_refuses_an_rfc_that_has_an_open_release(yard: Yard) -> None:
    rfc = rfc_of(yard)
    first = composed(yard, rfc)
    with pytest.raises(Blocked) as refused:
        composed(yard, rfc)
    assert [b.code for b in refused.value.blockers] == ["release.rfc_taken"]
    assert first.number in str(refused.value)


def test_the_database_refuses_a_second_open_release_of_an_rfc(yard: Yard) -> None:
    rfc = rfc_of(yard)
    first = composed(yard, rfc)
    other = Release.objects.create(
        number="REL-1",
        title="x",
        kind="normal",
        executor="fake",
        composed_by=yard.cast.rex,
        composed_at=yard.at,
        state_at=yard.at,
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        ReleaseRFC.objects.create(release=other, rfc=rfc, digest="0" * 64, joined_at=yard.at)
    releases.cancel(release_id=first.pk, reason="again", actor=yard.cast.rex, at=yard.at)
    ReleaseRFC.objects.create(release=other, rfc=rfc, digest="0" * 64, joined_at=yard.at)


def test_compose_refuses_different_ways_back(yard: Yard) -> None:
    one, two = rfc_of(yard), rfc_of(yard, way_back="snapshot")
    with pytest.raises(Blocked) as refused:
        composed(yard, one, two)
    assert [b.code for b in refused.value.blockers] == ["release.way_back"]


def test_compose_refuses_nothing_and_strange_executors(yard: Yard) -> None:
    with pytest.raises(Invalid):
        releases.compose(rfc_ids=[], actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Invalid):
        releases.compose(rfc_ids=[rfc_of(yard).pk], executor="nobody", actor=yard.cast.rex, at=yard.at)


def test_compose_by_a_scoped_manager_only_for_hosts_of_the_scope(yard: Yard) -> None:
    stranger = make_user("tim", "release_manager", scope="group:999999")
    group = yard.world.hosts[0].memberships.get().group
    insider = make_user("pia", "release_manager", scope=f"group:{group.pk}")
    rfc = rfc_of(yard)
    with pytest.raises(NotAllowed):
        releases.compose(rfc_ids=[rfc.pk], actor=stranger, at=yard.at)
    release = releases.compose(rfc_ids=[rfc.pk], actor=insider, at=yard.at)
    assert Release.objects.visible_to(insider).get() == release
    assert not Release.objects.visible_to(stranger).exists()
    assert not Release.objects.visible_to(yard.cast.eve).exists()


# --- asked again --------------------------------------------------------------------------------------------------------
def test_build_refuses_when_an_rfc_lapsed_meanwhile(yard: Yard) -> None:
    release = planned(yard)
    rfcs.lapse(rfc_id=release.rfc_ids()[0], reason="facts changed", actor=yard.cast.che, at=yard.at)
    with pytest.raises(Blocked) as refused:
        builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert "rfc.not_authorized" in {b.code for b in refused.value.blockers}
    entry = AuditEntry.objects.filter(outcome="refused").latest("pk")
    assert (entry.object_id, entry.verb) == (str(release.pk), "release.release.build_requested")


def test_recheck_voids_a_ready_release_whose_rfc_lapsed(yard: Yard) -> None:
    release = ready(yard)
    assert release_gates.recheck(now=yard.at) == 0
    rfcs.lapse(rfc_id=release.rfc_ids()[0], reason="facts changed", actor=yard.cast.che, at=yard.at)
    assert release_gates.recheck(now=yard.at) == 1
    release = Release.objects.get(pk=release.pk)
    assert release.state == "scheduling"
    assert release.readiness_reviews.get().state == "void"
    assert release_gates.recheck(now=yard.at) == 0


def test_recheck_voids_when_the_last_permitted_date_has_passed(yard: Yard) -> None:
    ready(yard)
    assert release_gates.recheck(now=yard.at + timedelta(days=30)) == 1


# --- revising -----------------------------------------------------------------------------------------------------------
def test_revise_voids_the_round_and_the_review(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    releases.revise(release_id=release.pk, reason="other windows", actor=yard.cast.rex, at=yard.at)
    assert Release.objects.get(pk=release.pk).state == "planning"
    assert signoffs.open_round_of(release) is None
    assert release.readiness_reviews.get().state == "void"
    with pytest.raises(Conflict):
        readiness.decide(round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.gus, at=yard.at)


def test_revise_of_a_ready_release_takes_its_approval_away(yard: Yard) -> None:
    release = ready(yard)
    releases.revise(release_id=release.pk, reason="one host less", actor=yard.cast.rex, at=yard.at)
    assert release.readiness_reviews.get().state == "void"
    with pytest.raises(Conflict):
        releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)


def test_revise_exchanges_rfcs_and_follows_their_targets(yard: Yard) -> None:
    hosts = yard.world.hosts
    first = rfc_of(yard, host_ids=[h.pk for h in hosts[:2]])
    release = planned(yard, first)
    second = rfc_of(yard, host_ids=[hosts[2].pk])
    releases.revise(
        release_id=release.pk,
        reason="take the third along",
        rfc_ids=[first.pk, second.pk],
        actor=yard.cast.rex,
        at=yard.at,
    )
    assert set(release.planned_hosts.values_list("host_id", flat=True)) == {h.pk for h in hosts}
    assert PlannedHost.objects.get(release=release, host=hosts[0]).ring is not None, "who stays keeps the ring"
    assert PlannedHost.objects.get(release=release, host=hosts[2]).ring is None
    releases.revise(
        release_id=release.pk, reason="only the third", rfc_ids=[second.pk], actor=yard.cast.rex, at=yard.at
    )
    assert release.rfc_ids() == [second.pk]
    assert composed(yard, first).state == "planning", "the first is free again"


def test_revise_stops_a_build_whose_result_then_counts_no_more(yard: Yard) -> None:
    release = building(yard)
    build = release.builds.get()
    releases.revise(release_id=release.pk, reason="wait", actor=yard.cast.rex, at=yard.at)
    build = release.builds.get()
    assert (build.state, build.reason) == ("failed", "Stopped: wait")
    assert builds.run(build_id=build.pk, owner="late", now=yard.at) is False
    assert builds.record(build_id=build.pk, fence=build.fence, resolved=[], actor=yard.cast.bot, at=yard.at) is False
    assert Release.objects.get(pk=release.pk).state == "planning"


def test_revise_needs_a_reason(yard: Yard) -> None:
    with pytest.raises(Invalid):
        releases.revise(release_id=composed(yard).pk, reason="  ", actor=yard.cast.rex, at=yard.at)


def test_cancel_frees_the_rfcs_and_ends_the_round(yard: Yard) -> None:
    release = sealed(yard)
    releases.cancel(release_id=release.pk, reason="superseded", actor=yard.cast.rex, at=yard.at)
    release = Release.objects.get(pk=release.pk)
    assert (release.state, release.reason) == ("cancelled", "superseded")
    assert signoffs.open_round_of(release) is None
    assert composed(yard, RFC.objects.get(pk=release.rfc_ids()[0])).state == "planning"


# --- planning -----------------------------------------------------------------------------------------------------------
def test_plan_is_refused_once_sealed(yard: Yard) -> None:
    release = sealed(yard)
    for act in (
        lambda: plans.plan_rings(
            release_id=release.pk, rings=plans.usual_rings(release), actor=yard.cast.rex, at=yard.at
        ),
        lambda: plans.plan_windows(release_id=release.pk, window_ids=[yard.window.pk], actor=yard.cast.rex, at=yard.at),
        lambda: plans.choose_profile(
            release_id=release.pk, profile_id=yard.profile.pk, actor=yard.cast.rex, at=yard.at
        ),
        lambda: plans.choose_way_back(release_id=release.pk, kind="none", actor=yard.cast.rex, at=yard.at),
        lambda: plans.drop_host(
            release_id=release.pk, host_id=yard.world.hosts[0].pk, reason="x", actor=yard.cast.rex, at=yard.at
        ),
    ):
        with pytest.raises(Conflict):
            act()


def test_plan_rings_by_percent_puts_what_matters_most_last(yard: Yard) -> None:
    release = composed(yard)
    critical = yard.world.hosts[0]
    critical.ci.criticality = 1
    critical.ci.save()
    plans.plan_rings(
        release_id=release.pk, actor=yard.cast.rex, at=yard.at,
        rings=[plans.RingPlan("Pilot", percent=1), plans.RingPlan("Rest", percent=100, concurrency=2)],
    )  # fmt: skip
    rings = {r.name: {h.host_id for h in r.hosts.all()} for r in release.planned_rings.all()}
    assert len(rings["Pilot"]) == 1
    assert critical.pk in rings["Rest"]


@pytest.mark.parametrize(
    ("rings", "code"),
    [
        ([], "release.rings"),
        ([plans.RingPlan("A", percent=30)], "release.rings.left_over"),
        ([plans.RingPlan("A", percent=100), plans.RingPlan("B", percent=100)], "release.rings.empty"),
        ([plans.RingPlan("", percent=100)], "release.rings.name"),
        ([plans.RingPlan("A", percent=100, concurrency=0)], "release.rings.bounds"),
        ([plans.RingPlan("A", host_ids=(999999,)), plans.RingPlan("B", percent=100)], "release.rings.stranger"),
    ],
)
def test_plan_rings_refuses(yard: Yard, rings: list[plans.RingPlan], code: str) -> None:
    release = composed(yard)
    with pytest.raises(Invalid) as refused:
        plans.plan_rings(release_id=release.pk, rings=rings, actor=yard.cast.rex, at=yard.at)
    assert code in {b.code for b in refused.value.blockers}
    assert not release.planned_rings.exists()


def test_a_way_back_that_was_promised_cannot_be_taken_away(yard: Yard) -> None:
    release = composed(yard)
    with pytest.raises(Blocked):
        plans.choose_way_back(release_id=release.pk, kind="none", actor=yard.cast.rex, at=yard.at)


def test_of_two_promises_none_is_taken_for_the_other(yard: Yard) -> None:
    one, two = rfc_of(yard), rfc_of(yard)
    release = composed(yard, one, two)
    RFC.objects.filter(pk=two.pk).update(way_back="snapshot")  # past the verbs, which keep them alike
    for kind in ("reinstall_previous", "snapshot"):
        with pytest.raises(Blocked):
            plans.choose_way_back(release_id=release.pk, kind=kind, actor=yard.cast.rex, at=yard.at)


def test_a_profile_is_revised_and_releases_keep_theirs(yard: Yard) -> None:
    release = planned(yard)
    second = plans.define_profile(name="Servers", restart="never", actor=yard.cast.rex, at=yard.at)
    assert (second.revision, Release.objects.get(pk=release.pk).profile) == (2, yard.profile)
    with pytest.raises(Invalid):
        plans.define_profile(
            name="Odd",
            checks=[{"name": "web", "kind": "http", "target": "http://x", "timeout": 0.5}],
            actor=yard.cast.rex,
            at=yard.at,
        )


def test_walk_to_ready(yard: Yard) -> None:
    make_update("curl", "8.0-1", at=yard.at)  # something else in the catalogue
    release = sign(yard, sealed(yard))
    assert release.state == "ready"
    document = manifest_of(release).document
    assert len(document["hosts"]) == 3
    assert document["updates"] == [
        {"distribution": "debian", "release": "12", "name": "openssl", "fixed_version": "3.0.15-1~deb12u2"}
    ]
