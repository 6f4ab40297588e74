"""Sealing and signing: no ready without a passed round on exactly this manifest, which lies within every change."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from changes.domain import agendas, approvals, holds, meetings, reminders
from changes.models import RFC, Cycle, Evidence, Verification
from cmdb.domain import windows
from cmdb.models import Fact
from patchflow.kernel import append_only, signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.notices.models import Delivery
from releases.containment import contained
from releases.domain import acceptance, checklist, manifests, plans, readiness, releases
from releases.models import Manifest, ReadinessReview, Release, ReviewDefinition
from releases.queries.manifests import current, draft_document, intact, refinement, since_previous
from releases.queries.releases import authorizations
from tests.factories.people import make_user
from tests.factories.releases import (
    Yard,
    in_testing,
    manifest_of,
    planned,
    ready,
    rfc_of,
    run_tests,
    scheduling,
    sealed,
    sign,
    work,
)


def codes(blocked: Blocked) -> set[str]:
    return {b.code for b in blocked.blockers}


def test_seal_writes_the_manifest_opens_the_review_and_tells_the_rfc(yard: Yard) -> None:
    release = sealed(yard)
    manifest = manifest_of(release)
    assert (release.state, manifest.revision, manifest.sealed_by) == ("awaiting_readiness", 1, yard.cast.rex)
    assert manifest.digest == digest(manifest.document)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    assert (round_.digest, round_.document) == (manifest.digest, manifest.document)
    assert ReadinessReview.objects.get().round == round_
    changes = [a.document for a in authorizations(release.rfc_ids(), at=yard.at)]
    assert contained(manifest.document, changes) == []
    found = Evidence.objects.get(rfc=release.rfc_ids()[0], kind="manifest")
    assert found.digest == manifest.digest


def test_the_manifest_says_what_each_host_gets_and_how_it_gets_back(yard: Yard) -> None:
    document = manifest_of(sealed(yard)).document
    host = document["hosts"][0]
    assert host["packages"] == [{"name": "openssl", "arch": "amd64", "from": "1.0-1", "to": "3.0.15-1~deb12u2"}]
    assert host["fingerprint"] == yard.world.hosts[0].fingerprint != ""
    back = document["way_back"]
    assert back["kind"] == "reinstall_previous"
    assert [h["packages"] for h in back["hosts"]] == [[{"name": "openssl", "arch": "amd64", "to": "1.0-1"}]] * 3
    assert [(a["package"], a["version"]) for a in back["artifacts"]] == [("openssl", "1.0-1")]
    assert document["windows"] == [{"window": yard.window.pk, "revision": 1, "name": "Nights"}]
    assert document["profile"]["executor"] == "fake"


def test_the_draft_is_the_same_document_until_something_changes(yard: Yard) -> None:
    release = scheduling(yard)
    first = draft_document(release, at=yard.at)
    assert digest(first) == digest(draft_document(release, at=yard.at + timedelta(hours=1)))
    plans.plan_rings(release_id=release.pk, rings=[plans.RingPlan("All", percent=100)], actor=yard.cast.rex, at=yard.at)
    assert digest(first) != digest(draft_document(release, at=yard.at))


# --- immutability ---------------------------------------------------------------------------------------------------------
def test_a_manifest_is_never_edited_nor_deleted(yard: Yard) -> None:
    manifest = manifest_of(sealed(yard))
    manifest.document["hosts"] = []
    for act in (
        manifest.save,
        manifest.delete,
        lambda: Manifest.objects.update(digest="0" * 64),
        lambda: Manifest.objects.all().delete(),
        lambda: Manifest.objects.bulk_update([manifest], ["digest"]),
    ):
        with pytest.raises(Conflict):
            act()
    assert intact(Manifest.objects.get(pk=manifest.pk))


def test_a_manifest_changed_past_the_application_is_noticed(yard: Yard) -> None:
    """Where somebody takes the triggers off and edits the row itself, every gate shuts."""
    release = ready(yard)
    manifest = manifest_of(release)
    document = copy.deepcopy(manifest.document)
    document["hosts"] = document["hosts"][:1]
    append_only.remove(connection, "releases_manifest")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE releases_manifest SET document = %s WHERE id = %s", [json.dumps(document), manifest.pk])
    append_only.install(connection, "releases_manifest")
    with pytest.raises(Blocked) as refused:
        releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert "readiness.digest" in codes(refused.value)


@pytest.mark.django_db(transaction=True)
def test_the_database_itself_refuses_to_change_a_manifest(yard: Yard) -> None:
    manifest = manifest_of(sealed(yard))
    append_only.install(connection, "releases_manifest")
    try:
        with pytest.raises(Exception, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE releases_manifest SET digest = 'x' WHERE id = %s", [manifest.pk])
    finally:
        if "releases_manifest" not in append_only.TABLES:  # where the tables were made without migrations
            append_only.remove(connection, "releases_manifest")


# --- what the seal refuses ------------------------------------------------------------------------------------------------
def test_seal_refuses_without_rings_windows_profile_and_tests(yard: Yard) -> None:
    release = scheduling(yard)
    release.planned_hosts.update(ring=None)
    release.planned_rings.all().delete()
    release.planned_windows.all().delete()
    Release.objects.filter(pk=release.pk).update(profile=None)
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert {"readiness.rings", "readiness.windows", "readiness.profile", "readiness.no_ring"} <= codes(refused.value)
    assert not Manifest.objects.exists()
    assert signoffs.open_round_of(release) is None


def test_seal_refuses_a_file_whose_verification_was_withdrawn(yard: Yard) -> None:
    release = scheduling(yard)
    index = release.builds.get().artifacts.first().artifact.index
    Verification.objects.create(
        index=index, outcome="refused", reason="key revoked", verified_by=yard.cast.sam, verified_at=yard.at
    )
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert codes(refused.value) == {"readiness.unverified"}


def test_seal_refuses_dates_beyond_the_change(yard: Yard) -> None:
    release = scheduling(yard)
    plans.plan_windows(
        release_id=release.pk, window_ids=[yard.window.pk], earliest_at=yard.at, latest_at=yard.at + timedelta(days=60),
        actor=yard.cast.rex, at=yard.at,
    )  # fmt: skip
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert codes(refused.value) == {"manifest.dates"}


def test_seal_refuses_a_window_that_was_changed_since_it_was_chosen(yard: Yard) -> None:
    release = scheduling(yard)
    windows.revise(window_id=yard.window.pk, length_minutes=60, actor=yard.cast.cora, at=yard.at)
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert codes(refused.value) == {"readiness.window_changed"}


def test_seal_refuses_a_host_without_a_fingerprint(yard: Yard) -> None:
    release = scheduling(yard)
    host = yard.world.hosts[0]
    host.machine_id = ""
    host.save()
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert "readiness.fingerprint" in codes(refused.value)


def test_seal_refuses_a_host_added_past_the_verbs(yard: Yard) -> None:
    """A target that no RFC has, slipped into the rows: the containment check finds it."""
    release = scheduling(yard)
    build = release.builds.get()
    one = build.classes.get()
    ring = release.planned_rings.first()
    release.planned_hosts.create(host=yard.test_host, ring=ring)
    one.hosts = [*one.hosts, yard.test_host.pk]
    one.save()
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert "manifest.host" in codes(refused.value)


def test_the_checklist_on_the_page_is_the_list_of_the_verb(yard: Yard) -> None:
    release = in_testing(yard)
    release.planned_windows.all().delete()
    shown = checklist.find_blockers(release, at=yard.at)
    offered = workflow.find_blockers(release, "seal", actor=yard.cast.rex, at=yard.at)
    assert {(b.code, b.sentence) for b in shown} == {(b.code, b.sentence) for b in offered}
    assert {"readiness.windows", "readiness.acceptance"} <= {b.code for b in shown}


# --- signing --------------------------------------------------------------------------------------------------------------
def test_a_passed_round_makes_ready_and_moves_the_cycle(yard: Yard) -> None:
    release = ready(yard)
    assert release.state == "ready"
    assert release.readiness_reviews.get().state == "go"
    assert Cycle.objects.get(rfcs__pk=release.rfc_ids()[0]).state == "deploy"
    assert Evidence.objects.get(rfc=release.rfc_ids()[0], kind="readiness").passed is True


def test_a_refusal_is_no_go_and_goes_back_to_planning(yard: Yard) -> None:
    release = sealed(yard)
    with pytest.raises(Invalid):
        sign(yard, release, verdict="refuse")
    release = sign(yard, release, verdict="refuse", comment="the help desk is not told")
    assert (release.state, release.reason) == ("planning", "the help desk is not told")
    assert release.readiness_reviews.get().state == "no_go"
    assert Cycle.objects.get(rfcs__pk=release.rfc_ids()[0]).state == "evaluate_and_plan"


def test_silence_is_no_go(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    signoffs.expire(round_id=round_.pk, actor=yard.cast.bot, at=yard.at + timedelta(days=4))
    release = Release.objects.get(pk=release.pk)
    assert release.state == "planning"
    assert release.readiness_reviews.get().state == "no_go"


def test_silence_on_a_manifest_reminds_and_escalates(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    length = round_.levels.get().deadline_at - round_.opened_at
    for share, kind, who in ((0, "requested", "gus"), (0.5, "reminded", "gus"), (0.75, "escalated", "rex")):
        reminders.due_reminders(now=round_.opened_at + length * share)
        told = Delivery.objects.filter(notice__kind=f"approval_{kind}", notice__key__startswith=f"round:{round_.pk}:")
        assert [d.user.username for d in told] == [who]


def test_the_board_signs_a_manifest_by_the_verb_of_releases(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    approvals.decide(round_id=round_.pk, verdict="approve", actor=yard.cast.gus, at=yard.at, digest_seen=round_.digest)
    assert Release.objects.get(pk=release.pk).state == "ready"


def test_who_saw_another_manifest_cannot_sign(yard: Yard) -> None:
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    with pytest.raises(Conflict):
        readiness.decide(
            round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.gus, at=yard.at, digest_seen="0" * 64
        )


def test_a_signature_does_not_help_a_release_that_lost_its_authorization(yard: Yard) -> None:
    """The round passes, the gate of ready shuts: nothing of the decision stays."""
    from changes.domain import rfcs

    release = sealed(yard)
    rfcs.lapse(rfc_id=release.rfc_ids()[0], reason="new facts", actor=yard.cast.che, at=yard.at)
    with pytest.raises(Blocked) as refused:
        sign(yard, release)
    assert "rfc.not_authorized" in codes(refused.value)
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    assert not round_.signoffs.exists()


def test_a_manifest_is_not_signed_while_its_release_or_its_change_is_on_hold(yard: Yard) -> None:
    """The first of two levels, too: not only the signature that would make it ready."""
    levels = [readiness.READINESS, readiness.BOARD]
    readiness.configure_slot(slot="before_deploy", name="Go or no-go", levels=levels, actor=yard.cast.ada, at=yard.at)
    release = sealed(yard)
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    holds.place(rfc_id=rfc.pk, reason="ask the owner", actor=yard.cast.che, at=yard.at)
    with transaction.atomic():
        holds.place_on(subject=workflow.lock(Release, release.pk), reason="wait", actor=yard.cast.che, at=yard.at)
    with pytest.raises(Blocked) as refused:
        sign(yard, release)
    assert [str(b) for b in refused.value.blockers] == [
        "On hold by che: wait. Resume it first.",
        f"{rfc.number}: On hold by che: ask the owner. Resume it first.",
    ]
    holds.resume(rfc_id=rfc.pk, actor=yard.cast.che, at=yard.at)
    with transaction.atomic():
        holds.resume_on(subject=workflow.lock(Release, release.pk), actor=yard.cast.che, at=yard.at)
    assert sign(yard, release).state == "awaiting_readiness"
    assert sign(yard, release, yard.cast.cal).state == "ready"


def test_a_new_seal_is_a_new_revision_that_nobody_has_signed(yard: Yard) -> None:
    release = ready(yard)
    first = manifest_of(release)
    releases.void(release_id=release.pk, reason="other rings", actor=yard.cast.rex, at=yard.at)
    plans.plan_rings(release_id=release.pk, rings=[plans.RingPlan("All", percent=100)], actor=yard.cast.rex, at=yard.at)
    second = manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert (second.revision, current(release.pk)) == (2, second)
    assert second.digest != first.digest
    assert signoffs.passed_round_of(release, digest_now=second.digest) is None
    assert {row["field"] for row in since_previous(second)} >= {"rings"}
    with pytest.raises(NotAllowed):
        workflow.fire(Release, release.pk, "ready", actor=yard.cast.rex, at=yard.at)


def test_a_passed_round_on_an_older_digest_does_not_make_ready(yard: Yard) -> None:
    """gus signed revision 1. Revision 2 is sealed; gus fires ready by hand: refused."""
    release = ready(yard)
    releases.void(release_id=release.pk, reason="again", actor=yard.cast.rex, at=yard.at)
    manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Blocked) as refused:
        workflow.fire(Release, release.pk, "ready", actor=yard.cast.gus, at=yard.at)
    assert "readiness.unsigned" in codes(refused.value)


def test_an_emergency_asks_the_board_too(yard: Yard) -> None:
    assert [level["name"] for level in readiness.definition("before_deploy", "emergency").levels] == [
        "Readiness",
        "Emergency CAB",
    ]
    assert [level["name"] for level in readiness.definition("before_deploy", "normal").levels] == ["Readiness"]


def test_two_levels_are_asked_in_sequence(yard: Yard) -> None:
    """Policy puts the board behind readiness; who approved the RFC there may sign the manifest too."""
    levels = [readiness.READINESS, readiness.BOARD]
    readiness.configure_slot(slot="before_deploy", name="Go or no-go", levels=levels, actor=yard.cast.ada, at=yard.at)
    release = sealed(yard)
    with pytest.raises(NotAllowed):
        sign(yard, release, yard.cast.cal)
    release = sign(yard, release, yard.cast.gus)
    assert release.state == "awaiting_readiness"
    release = sign(yard, release, yard.cast.cal)
    assert release.state == "ready"
    assert release.readiness_reviews.get().name == "Go or no-go"


def test_configuring_a_slot_needs_its_role_and_at_least_one_level(yard: Yard) -> None:
    with pytest.raises(NotAllowed):
        readiness.configure_slot(slot="after_deploy", name="x", actor=yard.cast.rex, at=yard.at)
    with pytest.raises(Invalid):
        readiness.configure_slot(slot="before_deploy", name="x", levels=[], actor=yard.cast.ada, at=yard.at)
    with pytest.raises(Invalid):
        readiness.configure_slot(
            slot="before_deploy",
            name="x",
            levels=[{"name": "y", "role": "nobody", "quorum": "first"}],
            actor=yard.cast.ada,
            at=yard.at,
        )
    assert not ReviewDefinition.objects.exists()


def test_refinement_names_dependencies_and_who_is_left_out(yard: Yard) -> None:
    from tests.fakes.repository import Package

    yard.repository.packages.append(Package("libextra", "2.0-1", source="extra"))
    yard.executor.needs["openssl"] = {"libextra": "2.0-1"}
    gone = yard.world.hosts[2]
    release = planned(yard)
    plans.drop_host(release_id=release.pk, host_id=gone.pk, reason="in repair", actor=yard.cast.rex, at=yard.at)
    from releases.domain import builds

    builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    work(yard, release)
    run_tests(yard, release)
    document = manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at).document
    found = refinement(document, authorizations(release.rfc_ids(), at=yard.at))
    assert found.dependencies == ["libextra 2.0-1"]
    assert found.left_out == [gone.name]
    assert found.drifted == []


def test_a_scoped_approver_is_asked_only_for_hosts_of_the_scope(yard: Yard) -> None:
    stranger = make_user("zoe", "readiness_approver", scope="group:999999")
    release = sealed(yard, rfc_of(yard))
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    assert not round_.levels.filter(voters__user=stranger).exists()
    assert acceptance.uncovered(release) == []


def test_before_the_tests_the_files_of_the_way_back_wait_they_do_not_fail(yard: Yard) -> None:
    release = in_testing(yard)
    about = ("readiness.way_back_file", "manifest.artifact_missing")
    found = {(b.code, b.tone) for b in checklist.find_blockers(release, at=yard.at) if b.code in about}
    assert found == {(code, "wait") for code in about}


def test_a_vote_on_a_manifest_settles_its_agenda_item_in_the_same_moment(yard: Yard) -> None:
    """By its own verb, by which the page of the release votes; no sweep is waited for."""
    release = sealed(yard)
    round_ = signoffs.open_round_of(release)
    meeting = meetings.plan(kind="cab", starts_at=yard.at + timedelta(days=1), actor=yard.cast.che, at=yard.at)
    item = agendas.append(meeting, title=str(release), minutes=10, round_=round_)
    readiness.decide(round_id=round_.pk, verdict="approve", comment="", actor=yard.cast.gus, at=yard.at)
    item.refresh_from_db()
    assert (item.state, item.outcome) == ("decided", "passed")


def test_the_manifest_names_the_classes_that_rings_try_and_a_must_that_lapsed_is_not_sealed(yard: Yard) -> None:
    """Facts change between plan and seal: what is signed is what they say then, and a must that cannot be met is refused."""
    for host in yard.world.hosts:
        for key, value in (("machine_kind", "server"), ("virtualization", "kvm")):
            Fact.objects.create(host=host, key=key, value=value, source="ssh", seen_at=yard.at)
    release = scheduling(yard)
    kvm = "debian-12-amd64 · server · kvm"
    document = draft_document(release, at=yard.at)
    assert [ring.get("classes") for ring in document["rings"]] == [
        {"least": 1, "must": False, "asked": [kvm], "untried": [], "unknown": 0}, None,
    ]  # fmt: skip
    assert {host["machine"] for host in document["hosts"]} == {kvm}
    pilot, rest = [plans.plan_of(ring) for ring in release.planned_rings.all()]
    given = {"release_id": release.pk, "actor": yard.cast.rex, "at": yard.at}
    plans.plan_rings(rings=[replace(pilot, class_hosts=0), rest], **given)
    plain = draft_document(release, at=yard.at)
    assert not any("classes" in ring for ring in plain["rings"])
    assert not any("machine" in host for host in plain["hosts"])
    plans.plan_rings(rings=[replace(pilot, class_hosts=1), rest], **given)
    last = release.planned_rings.get(number=1).hosts.first().host  # type: ignore[union-attr]
    Fact.objects.filter(host=last, key="virtualization").update(value="vmware")
    with pytest.raises(Blocked) as refused:
        manifests.seal(**given)
    assert codes(refused.value) == {"release.rings.untried"}
    Fact.objects.filter(host=last, key="virtualization").update(value="kvm")
    manifests.seal(**given)
    said = manifest_of(release).document["rings"][0]["classes"]
    assert said == {"least": 1, "must": True, "asked": [kvm], "untried": [], "unknown": 0}
