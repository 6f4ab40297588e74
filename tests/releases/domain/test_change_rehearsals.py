"""A rehearsal becomes evidence of the RFCs that it serves, before a build and before a release too; an old one says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changes.domain import approvals, evidence, revisions, rfcs, risk
from changes.models import RFC
from changes.queries.evidence import newest
from cmdb.models import Installation
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from releases.domain import change_rehearsals, plan_rehearsals, rehearsal_evidence, releases
from releases.domain.plan_rehearsals import Wanted
from releases.models import PlanRehearsal
from tests.factories import changes as made
from tests.factories import releases as stages
from tests.factories.people import make_user
from tests.factories.releases import Yard

pytestmark = pytest.mark.django_db
KIND = "plan_rehearsal"


def rehearsed(yard: Yard, rfc: RFC, **given: Any) -> PlanRehearsal:
    return change_rehearsals.rehearse(
        rfc_id=rfc.pk, **{"profile_id": yard.profile.pk, "executor": "fake", "actor": yard.cast.rex, "at": yard.at, **given}
    )  # fmt: skip


def stated(yard: Yard, rfc: RFC) -> tuple[str, bool | None, str]:
    """(summary, verdict, why it is outdated) of the rehearsal that the RFC shows."""
    (found,) = [one for one in newest(RFC.objects.get(pk=rfc.pk), at=yard.at) if one.row.kind == KIND]
    return found.row.summary, found.row.passed, str(found.outdated)


def awaiting(yard: Yard, **given: Any) -> RFC:
    hosts = {"host_ids": [host.pk for host in yard.world.hosts], "not_after": yard.at + timedelta(days=20)}
    return made.awaiting(yard.world, **{**hosts, **given})


# --- of a release -------------------------------------------------------------------------------------------------------
def test_each_rfc_of_the_release_gets_what_the_plan_came_to(yard: Yard) -> None:
    release = stages.scheduling(yard)
    row = plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    (rfc_id,) = release.rfc_ids()
    summary, passed, outdated = stated(yard, RFC.objects.get(pk=rfc_id))
    assert passed is True
    assert outdated == ""
    assert row.ends_at is not None
    for said in (
        release.number,
        f"ends {row.ends_at:%d %b %Y %H:%M} UTC",
        "3 of 3 hosts done",
        "0 failed",
        "0 will not fit",
    ):
        assert said in summary
    assert RFC.objects.get(pk=rfc_id).evidence.filter(kind=KIND).get().digest == row.digest


def test_what_halts_and_does_not_fit_is_bad_and_says_why(yard: Yard) -> None:
    release = stages.scheduling(yard)
    yard.world.hosts[1].memberships.all().delete()
    plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at, wanted=Wanted(fail_percent=100))
    summary, passed, _outdated = stated(yard, RFC.objects.get(pk=release.rfc_ids()[0]))
    assert passed is False
    assert "halts" in summary
    assert "1 will not fit" in summary


def test_a_plan_that_changed_makes_the_evidence_old_and_a_new_one_makes_it_good(yard: Yard) -> None:
    release, rex = stages.scheduling(yard), {"actor": yard.cast.rex, "at": yard.at}
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    plan_rehearsals.rehearse(release_id=release.pk, **rex)
    stages.plans.drop_host(release_id=release.pk, host_id=yard.world.hosts[0].pk, reason="Later.", **rex)
    assert stated(yard, rfc)[2] == "The plan has changed since: rehearse it again."
    plan_rehearsals.rehearse(release_id=release.pk, **rex)
    assert stated(yard, rfc)[2] == ""
    stages.manifests.seal(release_id=release.pk, **rex)
    assert stated(yard, rfc)[2] == ""  # the manifest says what was rehearsed
    releases.cancel(release_id=release.pk, reason="Not now.", **rex)
    assert stated(yard, rfc)[2] == f"{release.number} is not what carries it now: rehearse it again."


def test_what_was_outdated_when_it_began_is_shown_so_for_good(yard: Yard) -> None:
    release, rex = stages.scheduling(yard), {"actor": yard.cast.rex, "at": yard.at}
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    plan_rehearsals.rehearse(release_id=release.pk, **rex)
    of_another_plan = rfc.evidence.filter(kind=KIND).get()
    stages.plans.drop_host(release_id=release.pk, host_id=yard.world.hosts[0].pk, reason="Later.", **rex)
    plan_rehearsals.rehearse(release_id=release.pk, **rex)
    stages.manifests.seal(release_id=release.pk, **rex)
    stages.sign(yard, release)
    releases.deploy(release_id=release.pk, **rex)
    rfc.refresh_from_db()
    assert rfc.state == "implementing"
    assert stated(yard, rfc)[2] == ""
    said = f"{release.number} began with another plan."
    assert rehearsal_evidence.find_outdated(rfc, of_another_plan, yard.at) == said
    alone = PlanRehearsal.objects.get(digest=of_another_plan.digest)
    PlanRehearsal.objects.create(**{
        **{f.attname: getattr(alone, f.attname) for f in alone._meta.fields if f.attname != "id"},
        "digest": "b" * 64, "release_id": None, "rfc_id": rfc.pk,
    })  # fmt: skip
    evidence.record(
        rfc_id=rfc.pk, kind=KIND, digest="b" * 64, summary="x", passed=True, actor=yard.cast.bot, at=yard.at
    )
    assert stated(yard, rfc)[2] == f"{release.number} carried it out, and its plan was not rehearsed."


def test_a_release_is_rehearsed_before_its_build_without_asking_for_files(yard: Yard) -> None:
    release = stages.planned(yard)
    row = plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert (row.end, row.result["good"], row.result["unbuilt"]) == ("full", 3, True)
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    assert "only a build finds" in stated(yard, rfc)[0]
    stages.builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    stages.work(yard, release)
    assert stated(yard, rfc)[2] == "The plan has changed since: rehearse it again."  # the build found what comes


def test_nothing_to_install_is_not_rehearsed(yard: Yard) -> None:
    release = stages.planned(yard)
    Installation.objects.filter(host__in=yard.world.hosts).update(gone_seen_at=yard.at)
    with pytest.raises(Blocked, match="None of its hosts misses"):
        plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)


# --- of a change alone ----------------------------------------------------------------------------------------------------
def test_a_change_on_the_board_is_rehearsed_in_its_own_windows(yard: Yard) -> None:
    rfc = awaiting(yard)
    digest, trail = rfc.change_digest, AuditEntry.objects.latest("pk").pk
    row = rehearsed(yard, rfc)
    assert (row.end, row.release, row.result["good"], row.result["unfit_count"]) == ("full", None, 3, 0)
    assert [ring["name"] for ring in row.result["rings"]] == ["Pilot", "All others"]
    assert {night["window"] for ring in row.result["rings"] for night in ring["nights"]} == {"Nights"}
    summary, passed, outdated = stated(yard, rfc)
    assert summary.startswith("before any release: starts ")
    assert (passed, outdated) == (True, "")
    rfc.refresh_from_db()
    assert (rfc.state, rfc.change_digest) == ("awaiting_approval", digest)  # what is signed is not touched
    entries = AuditEntry.objects.filter(pk__gt=trail).order_by("pk")
    assert [entry.verb for entry in entries] == ["release.rfc.rehearsed", "change.rfc.evidence_recorded"]


def test_a_change_that_permits_no_window_of_a_host_says_who_does_not_fit(yard: Yard) -> None:
    yard.world.hosts[2].memberships.all().delete()
    row = rehearsed(yard, awaiting(yard))
    assert [one["name"] for one in row.result["unfit"]] == [yard.world.hosts[2].name]
    assert row.result["unfit_count"] == 1


def test_it_is_old_when_the_change_is_revised_and_when_a_release_carries_it(yard: Yard) -> None:
    rfc = awaiting(yard)
    rehearsed(yard, rfc)
    revisions.revise(
        rfc_id=rfc.pk, not_after=yard.at + timedelta(days=12), reason="Sooner.", actor=yard.cast.ann, at=yard.at
    )
    assert stated(yard, rfc)[2] == "The plan has changed since: rehearse it again."
    risk.score(rfc_id=rfc.pk, actor=yard.cast.che, at=yard.at)
    approvals.request_approval(rfc_id=rfc.pk, actor=yard.cast.che, at=yard.at)
    rehearsed(yard, rfc)
    assert stated(yard, rfc)[2] == ""
    made.approve(rfc, yard.cast.sam, yard.cast.cal, yard.cast.mia, at=yard.at)
    assert stated(yard, rfc)[2] == ""
    release = stages.composed(yard, rfc)
    assert stated(yard, rfc)[2] == f"{release.number} carries it now: rehearse its plan."
    with pytest.raises(Conflict, match="rehearse its plan"):
        rehearsed(yard, rfc)


def test_a_rehearsal_that_nobody_kept_is_not_taken_for_good(yard: Yard) -> None:
    rfc = awaiting(yard)
    said = {
        "rfc_id": rfc.pk,
        "kind": KIND,
        "digest": "a" * 64,
        "summary": "All is well.",
        "passed": True,
        "at": yard.at,
    }
    with pytest.raises(Invalid, match="The system itself states this"):
        evidence.record(actor=yard.cast.tia, **said)
    evidence.record(actor=yard.cast.bot, **said)
    assert stated(yard, rfc)[2] == "No rehearsal with this digest is kept."


def test_only_who_may_plan_for_every_host_rehearses_what_has_not_begun(yard: Yard) -> None:
    rfc = awaiting(yard)
    near = make_user("near", "release_manager", scope=made.make_group("others", at=yard.at).scope_key)
    for person in (yard.cast.ann, yard.cast.che, near):
        with pytest.raises(NotAllowed):
            rehearsed(yard, rfc, actor=person)
    with pytest.raises(Invalid, match="no such install profile"):
        rehearsed(yard, rfc, profile_id=0)
    with pytest.raises(Invalid, match="100 together"):
        rehearsed(yard, rfc, wanted=Wanted(fail_percent=60, lie_percent=60))
    draft = made.draft(yard.world)
    with pytest.raises(Conflict, match="It is draft"):
        rehearsed(yard, draft)
    rfcs.reject(rfc_id=rfc.pk, reason="Not worth it.", actor=yard.cast.che, at=yard.at)
    with pytest.raises(Conflict, match="It is rejected"):
        rehearsed(yard, rfc)
    assert not PlanRehearsal.objects.exists()
