"""Late-comers: hosts join a sealed release by a revision of their own, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from cmdb.models import ConfigurationItem, Fact, Host
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.models import AuditEntry, SignOffRound
from releases.diversity import Trial
from releases.domain import advance, amendments, releases, rollouts
from releases.domain.gates import ask_whole
from releases.models import Amendment, Job, Manifest, Release, Rollout
from releases.queries.amendments import late_comers
from releases.queries.manifests import current
from releases.queries.outcomes import outcomes_of
from tests.factories import releases as stages
from tests.factories.releases import Yard
from tests.releases.domain.test_reviews import rolled_out


@dataclass
class Late:
    """A release that was sealed without one host of its change."""

    yard: Yard
    release: Release
    host: Host

    @property
    def given(self) -> dict[str, Any]:
        return {"actor": self.yard.cast.rex, "at": self.yard.at}

    def propose(self, **given: Any) -> Amendment:
        said = {"release_id": self.release.pk, "reason": "Installed yesterday.", **self.given, **given}
        return amendments.propose(**said)

    def sign(self, amendment: Amendment, verdict: str = "approve", **given: Any) -> Amendment:
        round_ = signoffs.open_round_of(amendment)
        assert round_ is not None
        said = {"actor": self.yard.cast.gus, "at": self.yard.at, "digest_seen": amendment.digest, **given}
        amendments.decide(round_id=round_.pk, verdict=verdict, **said)
        return Amendment.objects.get(pk=amendment.pk)

    def deploy(self) -> Rollout:
        self.yard.world.at = self.yard.at.replace(hour=22, minute=5)
        releases.deploy(release_id=self.release.pk, **self.given)
        return self.rollout

    @property
    def rollout(self) -> Rollout:
        return Rollout.objects.filter(release=self.release).latest("pk")

    def picture(self) -> tuple[Any, ...]:
        jobs = Job.objects.filter(rollout__release=self.release).order_by("host_id")
        return list(jobs.values_list("host_id", "state", "job_key")), self.release.manifests.count()


@pytest.fixture
def late(yard: Yard) -> Late:
    release = stages.scheduling(yard)
    host = release.planned_hosts.order_by("ring__number", "host_id").last().host  # type: ignore[union-attr]
    stages.plans.drop_host(
        release_id=release.pk, host_id=host.pk, reason="Is being installed.", actor=yard.cast.rex, at=yard.at
    )
    stages.manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    return Late(yard, stages.sign(yard, Release.objects.get(pk=release.pk)), host)


def test_who_came_late_is_found_with_what_the_manifest_would_say(late: Late) -> None:
    base = current(late.release.pk)
    assert base is not None
    found = late_comers(late.release, base, actor=late.yard.cast.rex, at=late.yard.at)
    assert [entry["host"] for entry in found.entries] == [late.host.pk]
    assert (found.refused, found.outside) == ({}, [late.yard.test_host.name])
    (entry,) = found.entries
    like = {k: v for k, v in base.document["hosts"][0].items() if k in ("class", "packages")}
    assert {k: entry[k] for k in like} == like


def test_they_join_a_ready_release_before_it_starts(late: Late) -> None:
    amendment = late.sign(late.propose())
    assert (amendment.state, amendment.hosts) == ("adopted", 1)
    manifest = stages.manifest_of(late.release)
    assert (manifest.revision, manifest.digest, amendment.manifest) == (2, amendment.digest, manifest)
    assert Release.objects.get(pk=late.release.pk).state == "ready"
    rollout = late.deploy()
    assert rollout.manifest == manifest
    assert rollout.jobs.count() == 3


def test_they_join_a_rollout_at_work_in_its_last_ring_or_a_new_one_and_the_others_go_on(late: Late) -> None:
    rollout = late.deploy()
    advance.advance(rollout_id=rollout.pk, now=late.yard.at)
    before = late.picture()[0]
    amendment = late.sign(late.propose())
    assert amendment.state == "adopted"
    job = Job.objects.get(rollout=rollout, host=late.host)
    assert (job.state, job.ring) == ("pending", rollout.rings.last())
    assert [row for row in late.picture()[0] if row[0] != late.host.pk] == before
    slip = ask_whole(late.rollout, at=late.yard.at)
    assert slip.runs, slip.statement
    done = rolled_out(late.yard, late.release)
    assert (done.state, done.outcome) == ("deployed", "full")
    assert set(outcomes_of(done).values()) == {"done"}
    assert AuditEntry.objects.filter(verb="release.rollout.amended", object_id=str(rollout.pk)).count() == 1


def test_a_ring_that_has_begun_is_left_alone_and_a_new_one_comes_after_it(late: Late) -> None:
    rollout = late.deploy()
    rollout.rings.all().update(state="running")
    amendment = late.propose()
    rings = amendment.document["rings"]
    assert rings[:-1] == amendment.base.document["rings"]
    assert (rings[-1]["name"], rings[-1]["failure_limit"]) == (amendments.LATE_RING, 1)
    late.sign(amendment)
    assert Job.objects.get(rollout=rollout, host=late.host).ring.name == amendments.LATE_RING


def test_refused_nothing_changes(late: Late) -> None:
    late.deploy()
    before = late.picture()
    amendment = late.sign(late.propose(), "refuse", comment="The next change.")
    assert (amendment.state, amendment.outcome, amendment.manifest) == ("refused", "The next change.", None)
    assert late.picture() == before
    assert late.rollout.manifest.revision == 1


def test_withdrawn_its_round_is_void_and_nothing_changes(late: Late) -> None:
    amendment = late.propose()
    before = late.picture()
    amendments.withdraw(amendment_id=amendment.pk, reason="Not yet.", **late.given)
    assert Amendment.objects.get(pk=amendment.pk).state == "withdrawn"
    assert SignOffRound.objects.get(subject_type="releases.amendment").state == "void"
    assert late.picture() == before
    assert late.propose().state == "proposed"


def test_one_proposal_at_a_time(late: Late) -> None:
    late.propose()
    with pytest.raises(Conflict, match="being decided"):
        late.propose()
    assert Amendment.objects.count() == 1


def test_who_proposed_sealed_or_wrote_does_not_sign_and_who_signed_does_not_propose(late: Late) -> None:
    with pytest.raises(NotAllowed):
        late.propose(actor=late.yard.cast.gus)
    with pytest.raises(NotAllowed):
        late.propose(actor=late.yard.cast.otto)
    amendment = late.propose()
    for person in (late.yard.cast.rex, late.yard.cast.ann, late.yard.cast.otto):
        with pytest.raises(NotAllowed):
            late.sign(amendment, actor=person)
    assert late.sign(amendment).state == "adopted"
    assert late.yard.cast.gus.pk in late.release.signer_ids()


def test_another_digest_than_the_one_that_was_read_is_not_signed(late: Late) -> None:
    with pytest.raises(Conflict):
        late.sign(late.propose(), digest_seen="0" * 64)


@pytest.mark.parametrize("moved", ["halt", "stop"])
def test_nobody_joins_what_is_halted_or_stopping(late: Late, moved: str) -> None:
    rollout = late.deploy()
    amendment = late.propose()
    before = late.picture()
    if moved == "halt":
        rollouts.halt(rollout_id=rollout.pk, cause="Look.", **late.given)
    else:
        rollouts.stop(rollout_id=rollout.pk, reason="Enough.", **late.given)
    with pytest.raises(Blocked) as refused:
        late.sign(amendment)
    assert "amendment.rollout" in {b.code for b in refused.value.blockers}
    with pytest.raises(Blocked):
        late.propose()
    assert late.picture()[1] == before[1]
    assert not Job.objects.filter(host=late.host).exists()


def test_the_end_of_a_deployment_withdraws_what_is_still_asked(late: Late) -> None:
    late.deploy()
    amendment = late.propose()
    done = rolled_out(late.yard, late.release)
    assert done.state == "deployed"
    ended = Amendment.objects.get(pk=amendment.pk)
    assert (ended.state, ended.outcome) == ("withdrawn", "The deployment has ended.")
    assert not SignOffRound.objects.filter(subject_type="releases.amendment", state="open").exists()
    with pytest.raises(Blocked) as refused:
        late.propose()
    assert {b.code for b in refused.value.blockers} == {"amendment.release"}


def test_revising_the_release_withdraws_it_too(late: Late) -> None:
    amendment = late.propose()
    releases.revise(release_id=late.release.pk, reason="Other rings.", **late.given)
    assert Amendment.objects.get(pk=amendment.pk).state == "withdrawn"


def test_a_host_that_no_change_names_is_refused_with_the_next_change(late: Late) -> None:
    stranger = late.yard.test_host
    with pytest.raises(Blocked) as refused:
        late.propose(host_ids=[stranger.pk])
    assert {b.code for b in refused.value.blockers} >= {"amendment.stranger"}
    assert not Amendment.objects.exists()


def test_a_host_that_nobody_knows_by_its_fingerprint_cannot_join(late: Late) -> None:
    other = late.host
    other.machine_id, other.ssh_host_key = "", ""
    other.save()
    with pytest.raises(Blocked) as refused:
        late.propose()
    assert "amendment.fingerprint" in {b.code for b in refused.value.blockers}


def test_the_dispatcher_denies_a_revision_in_which_more_than_joiners_changed(late: Late) -> None:
    """Somebody with the database's password writes a wider revision past the verbs: nothing runs by it."""
    late.deploy()
    adopted = late.sign(late.propose())
    document = {**adopted.document, "profile": {**adopted.document["profile"], "restart": "never"}}
    forged = Manifest.objects.create(
        release=late.release, build=adopted.base.build, revision=3, document=document,
        digest=amendments.digest(document), sealed_at=late.yard.at, sealed_by=late.yard.cast.rex,
    )  # fmt: skip
    Rollout.objects.filter(pk=late.rollout.pk).update(manifest=forged)
    slip = ask_whole(late.rollout, at=late.yard.at)
    assert (slip.runs, slip.halts, slip.code) == (False, True, "digests")
    SignOffRound.objects.create(
        subject_type="releases.amendment", subject_id=adopted.pk, subject_label="forged", number=9, kind="amendment",
        digest=forged.digest, document=document, state="passed", opened_by=late.yard.cast.rex, opened_at=late.yard.at,
        closed_at=late.yard.at,
    )  # fmt: skip
    Amendment.objects.filter(pk=adopted.pk).update(manifest=forged)
    assert not ask_whole(late.rollout, at=late.yard.at).runs


def test_every_act_has_one_entry(late: Late) -> None:
    late.sign(late.propose())
    verbs = AuditEntry.objects.filter(verb__startswith="release.amendment").values_list("verb", flat=True)
    assert sorted(verbs) == ["release.amendment.adopted", "release.amendment.proposed"]


def test_it_is_adopted_by_its_round_alone(late: Late) -> None:
    amendment = late.propose()
    with pytest.raises((Blocked, NotAllowed)):
        workflow.fire(
            Amendment, amendment.pk, "adopt", actor=late.yard.cast.gus, at=late.yard.at + timedelta(minutes=1),
            manifest_id=stages.manifest_of(late.release).pk,
        )  # fmt: skip


def test_where_every_class_must_be_tried_nobody_joins_of_another(late: Late) -> None:
    """Also not of an unknown one; of a class that the manifest has a host joins as before, and its class is signed with it."""
    base = current(late.release.pk)
    assert base is not None
    kvm = "debian-12-amd64 · server · kvm"
    trial = Trial(1, True, (kvm,)).entry()
    base.document["rings"][0]["classes"] = trial
    for host in base.document["hosts"]:
        host["machine"] = kvm

    def found() -> Any:
        return late_comers(late.release, base, actor=late.yard.cast.rex, at=late.yard.at)

    assert [b.code for b in found().refused.values()] == ["amendment.untried"]
    for key, value in (("machine_kind", "server"), ("virtualization", "vmware")):
        Fact.objects.create(host=late.host, key=key, value=value, source="ssh", seen_at=late.yard.at)
    (why,) = found().refused.values()
    assert why.sentence.endswith("is of a class of machine that no ring tries: debian-12-amd64 · server · vmware.")
    Fact.objects.filter(host=late.host, key="virtualization").update(value="kvm")
    (entry,) = found().entries
    assert entry["machine"] == kvm
    Fact.objects.filter(host=late.host, key="virtualization").update(value="vmware")
    assert ConfigurationItem.objects.get(host=late.host).environment == "production"
    ring, others = base.document["rings"][0], base.document["hosts"]
    first, last = (next(h for h in others if (h["ring"] == ring["ring"]) == is_first) for is_first in (True, False))
    last["machine"] = "debian-12-amd64 · server · vmware"
    (why,) = found().refused.values()
    assert why.sentence.endswith(
        "is of a class of machine that ring Pilot does not try before it, as it must: debian-12-amd64 · server · vmware."
    )
    ring["classes"] = Trial(1, True, (kvm, last["machine"])).entry()
    assert found().entries, "its class is asked"
    ring["classes"], first["machine"] = trial, last["machine"]
    assert found().refused, "its ring has enough hosts of it, of which none is good yet"
    ring["classes"] = Trial(2, True, (kvm,)).entry()
    assert found().refused, "one is too few, and those of later rings are none"
    ConfigurationItem.objects.filter(host=late.host).update(environment="test")
    assert found().entries, "only for production hosts something is tried"
    last["machine"] = first["machine"] = kvm
    assert found().refused
    ring["classes"] = {**trial, "must": False}
    assert [entry["host"] for entry in found().entries] == [late.host.pk]


@pytest.mark.parametrize("must", [True, False])
def test_of_a_class_that_a_ring_has_and_does_not_ask_hosts_join_when_those_are_good(late: Late, must: bool) -> None:
    """No ring fails for a class that it was not asked: who joins of it waits for what those of it showed."""
    base = current(late.release.pk)
    assert base is not None
    kvm, vmware = "debian-12-amd64 · server · kvm", "debian-12-amd64 · server · vmware"
    pilot = base.document["rings"][0]
    pilot["classes"] = Trial(1, must, (kvm,)).entry()
    tried = next(host for host in base.document["hosts"] if host["ring"] == pilot["ring"])
    for host in base.document["hosts"]:
        host["machine"] = vmware if host is tried else kvm
    for key, value in (("machine_kind", "server"), ("virtualization", "vmware")):
        Fact.objects.create(host=late.host, key=key, value=value, source="ssh", seen_at=late.yard.at)

    def found() -> tuple[list[int], list[str]]:
        late_ = late_comers(late.release, base, actor=late.yard.cast.rex, at=late.yard.at)
        return [entry["host"] for entry in late_.entries], [str(b.sentence) for b in late_.refused.values()]

    waits = [], [
        f"{late.host.name} is of a class of machine that ring Pilot has hosts of and does not ask: {vmware}. Good so far are 0 of 1:"
        " propose it when they are, or revise the release while it is ready."
    ]  # fmt: skip
    assert found() == waits
    rollout = late.deploy()
    assert found() == waits
    job = Job.objects.get(rollout=rollout, host=tried["host"])
    for state in ("failed", "refused", "cancelled", "lost"):
        Job.objects.filter(pk=job.pk).update(state=state, ended_at=late.yard.at)
        assert found() == waits, state
    Job.objects.filter(rollout=rollout).exclude(pk=job.pk).update(state="succeeded", ended_at=late.yard.at)
    assert found() == waits, "those of another class, and of a later ring, tried nothing for it"
    for state in ("succeeded", "not_needed"):
        Job.objects.filter(pk=job.pk).update(state=state, ended_at=late.yard.at)
        assert found() == ([late.host.pk], []), state
    pilot["classes"] = Trial(2, must, (kvm,)).entry()
    never = f"{late.host.name} is of a class of machine that ring Pilot does not try before it, as it must: {vmware}."
    assert found() == (([], [never]) if must else ([late.host.pk], [])), "of one host two are never good"
    pilot["classes"] = Trial(1, must, (kvm, vmware)).entry()
    Job.objects.filter(pk=job.pk).update(state="failed", ended_at=late.yard.at)
    assert found() == ([late.host.pk], []), "the ring itself asks it, and fails for it"
    pilot["classes"] = Trial(1, must, (kvm,)).entry()
    assert found() == waits
    ConfigurationItem.objects.filter(host=late.host).update(environment="test")
    assert found() == ([late.host.pk], []), "only for production hosts something is tried"
