"""Steps before and after an installation: written, reviewed by another person, signed in the manifest, carried out by the job."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cmdb.domain import groups
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from releases.containment import consistent
from releases.domain import manifests, plans, rollbacks, steps
from releases.domain.checklist import find_blockers
from releases.domain.orders import look_of, order_for, recovery_of
from releases.models import HostStep, Job, JobEvent, Release
from releases.queries.manifests import draft_document
from tests.factories import releases as stages
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment
from tests.factories.steps import approved_step, made_step, service_steps

pytestmark = pytest.mark.django_db


def codes(refusal: Any) -> list[str]:
    return [b.code for b in refusal.value.blockers]


# --- written and reviewed -----------------------------------------------------------------------------------------------
def test_a_step_is_approved_by_another_person_and_a_change_is_a_new_revision(cast: Cast, now: datetime) -> None:
    step = made_step(cast.otto, now)
    assert (step.state, step.revision, step.intact) == ("proposed", 1, True)
    with pytest.raises(NotAllowed):
        steps.approve(step_id=step.pk, actor=cast.otto, at=now)
    with pytest.raises(Conflict):
        made_step(cast.rex, now, amount=5)

    approved = steps.approve(step_id=step.pk, actor=cast.sam, at=now, comment="Read it.")
    assert (approved.state, approved.decided_by, approved.comment) == ("approved", cast.sam, "Read it.")
    assert made_step(cast.rex, now, amount=500).revision == 2


def test_only_who_may_writes_and_decides(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        made_step(cast.ann, now)
    step = made_step(cast.otto, now)
    for person in (cast.ann, cast.rex, cast.aud):
        with pytest.raises(NotAllowed):
            steps.refuse(step_id=step.pk, comment="no", actor=person, at=now)
    with pytest.raises(Invalid):
        steps.refuse(step_id=step.pk, comment=" ", actor=cast.sam, at=now)
    assert steps.refuse(step_id=step.pk, comment="Too much", actor=cast.sam, at=now).state == "refused"


@pytest.mark.parametrize(("given", "code"), [
    ({"kind": "command", "target": "reboot now"}, "step.target"),
    ({"kind": "command", "target": "/bin/sh 'unclosed"}, "step.target"),
    ({"kind": "command", "target": "/opt/drain --password hunter2"}, "step.target"),
    ({"kind": "silence", "target": "https://user:pw@monitor/"}, "step.target"),
    ({"kind": "silence", "target": "https://monitor/silences?token=abc"}, "step.target"),
    ({"kind": "silence", "target": "https://monitor/", "body": '{"api_key": "abc"}'}, "step.body"),
    ({"kind": "silence", "target": "https://monitor/", "secret_file": "token"}, "step.secret_file"),
    ({"kind": "silence", "target": "file:///etc/passwd"}, "step.target"),
    ({"kind": "stop_service", "target": "-H evil"}, "step.target"),
    ({"kind": "start_service", "target": "web.service"}, "step.moment"),
    ({"kind": "space", "amount": 0}, "step.target"),
    ({"limit_seconds": 0}, "step.limit_seconds"),
    ({"limit_seconds": 5 * 3600}, "step.limit_seconds"),
    ({"runs": "always"}, "step.runs"),
    ({"kind": "dance"}, "step.kind"),
    ({"name": "a | b"}, "step.name"),
    ({"group_id": 999}, "step.group_id"),
])  # fmt: skip
def test_what_cannot_be_a_step_is_refused_at_its_field(
    cast: Cast, now: datetime, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        made_step(cast.otto, now, **given)
    assert codes(refusal) == [code]


def test_a_token_by_its_file_is_no_secret(cast: Cast, now: datetime) -> None:
    given = {"kind": "command", "target": "/opt/drain --token-file /etc/drain/token", "amount": 0}
    assert made_step(cast.otto, now, **given).state == "proposed"


# --- named by a profile, signed in a manifest ---------------------------------------------------------------------------
def test_a_profile_names_approved_steps_and_what_puts_back_what_they_take(cast: Cast, now: datetime) -> None:
    proposed = made_step(cast.otto, now)
    stop, start = service_steps(cast, now)

    def define(*chosen: HostStep) -> Any:
        named = [{"name": step.name, "revision": step.revision} for step in chosen]
        return plans.define_profile(name="Web", steps=named, actor=cast.rex, at=now)

    for chosen in ([proposed], [stop], [start, start]):
        with pytest.raises(Invalid) as refusal:
            define(*chosen)
        assert codes(refusal) == ["profile.steps"]
    assert define(stop, start).steps == [{"name": "Stop web", "revision": 1}, {"name": "Start web", "revision": 1}]


def test_steps_as_typed(cast: Cast, now: datetime) -> None:
    service_steps(cast, now)
    newer = approved_step(
        cast, now, name="Stop web", kind="stop_service", target="web.service", amount=0, limit_seconds=5
    )
    assert newer.revision == 2
    assert steps.parsed_steps("Stop web | 1\n\nStop web\n") == [
        {"name": "Stop web", "revision": 1}, {"name": "Stop web", "revision": 2},
    ]  # fmt: skip
    with pytest.raises(Invalid):
        steps.parsed_steps("Stop web | 3")


def with_steps(yard: stages.Yard, *chosen: HostStep) -> Release:
    named = [{"name": step.name, "revision": step.revision} for step in chosen]
    yard.profile = plans.define_profile(name="With steps", steps=named, actor=yard.cast.rex, at=yard.at)
    return stages.scheduling(yard)


def test_the_manifest_carries_each_step_whole_and_only_on_the_hosts_of_its_group(yard: stages.Yard) -> None:
    cast, at, hosts = yard.cast, yard.at, yard.world.hosts
    group = groups.add(name="databases", host_ids=[hosts[0].pk], actor=cast.cora, at=at)
    space = approved_step(cast, at)
    dump = approved_step(cast, at, name="Dump", kind="command", target="/opt/dump", amount=0, group_id=group.pk)
    document = draft_document(with_steps(yard, space, dump), at=at)

    assert document["steps"] == [{**step.content(), "digest": step.digest} for step in (space, dump)]
    assert {h["host"]: h["steps"] for h in document["hosts"]} == {
        host.pk: ["Space | 1", "Dump | 1"] if host == hosts[0] else ["Space | 1"] for host in hosts
    }
    assert consistent(document) == []


@pytest.mark.parametrize(("spoil", "code"), [
    (lambda d: d["steps"][0].update(target="/etc"), "manifest.step"),
    (lambda d: d["steps"].pop(), "manifest.steps"),
    (lambda d: d["hosts"][0].update(steps=["Other | 1"]), "manifest.step"),
])  # fmt: skip
def test_a_manifest_whose_steps_do_not_hold_together_is_refused(yard: stages.Yard, spoil: Any, code: str) -> None:
    document = draft_document(with_steps(yard, approved_step(yard.cast, yard.at)), at=yard.at)
    spoil(document)
    assert code in [b.code for b in consistent(document)]


def test_a_step_that_was_retired_is_not_sealed_and_not_made_ready(yard: stages.Yard) -> None:
    step = approved_step(yard.cast, yard.at)
    release = with_steps(yard, step)
    manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    steps.retire(step_id=step.pk, comment="It fills the disk.", actor=yard.cast.otto, at=yard.at)
    found = find_blockers(Release.objects.get(pk=release.pk), at=yard.at)
    assert [b.code for b in found] == ["step.not_approved"]


# --- carried out --------------------------------------------------------------------------------------------------------
def test_a_failing_step_before_it_leaves_the_host_untouched_and_the_job_failed_with_the_reason(
    cast: Cast, now: datetime, tmp_path: Path
) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=service_steps(cast, now))
    deployment.habit(0, "step_before")
    deployment.start()
    deployment.work()

    job = deployment.job()
    assert (job.state, job.code) == ("failed", "step_before")
    assert "nothing was installed, because of a step before it: Stop web (revision 1)" in job.reason
    assert deployment.simulator.effects() == []
    told = list(JobEvent.objects.filter(job=job).values_list("stage", "message"))
    assert ("staged", "simulator: Stop web (revision 1): simulator: it ended with 1") in told
    assert ("staged", "simulator: Start web (revision 1): done") in told
    assert "installing" not in {stage for stage, _message in told}


@pytest.mark.parametrize("together", [False, True])
def test_steps_run_before_and_after_it_in_the_journal_of_the_job(
    cast: Cast, now: datetime, tmp_path: Path, together: bool
) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=2, steps=service_steps(cast, now))
    deployment.start()
    deployment.work(together=together)

    assert deployment.states() == ["succeeded", "succeeded"]
    told = list(JobEvent.objects.filter(job=deployment.job()).values_list("stage", "message"))
    assert [stage for stage, message in told if "Stop web" in message] == ["staged", "staged"]
    assert [stage for stage, message in told if "Start web" in message] == ["verifying", "verifying"]


def test_a_failing_step_after_it_fails_the_job_though_the_packages_are_there(
    cast: Cast, now: datetime, tmp_path: Path
) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=service_steps(cast, now))
    deployment.habit(0, "step_after")
    deployment.start()
    deployment.work()

    job = deployment.job()
    assert (job.state, job.code) == ("failed", "step_after")
    assert "installed and verified, but a step after it failed: Start web" in job.reason
    assert len(deployment.simulator.effects()) == 1


def test_the_way_back_takes_the_steps_that_are_meant_for_it_and_a_recovery_what_follows(
    cast: Cast, now: datetime, tmp_path: Path
) -> None:
    space = approved_step(cast, now)
    health = approved_step(
        cast, now, name="Runs", moment="after", kind="service_runs", target="web.service", amount=0, way_back=True
    )
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=[space, health])
    deployment.start()
    deployment.work()
    job = deployment.job()
    assert [step.name for step in order_for(job, fence=1).steps] == ["Space", "Runs"]
    assert [step.name for step in recovery_of(job, fence=1).steps] == ["Runs"]

    back = job_of_the_way_back(deployment)
    assert [step.name for step in order_for(back, fence=1).steps] == ["Runs"]


def test_the_checks_that_were_signed_are_asked_after_the_way_back_too(
    cast: Cast, now: datetime, tmp_path: Path
) -> None:
    """They describe the service, not the version; they come from the manifest, whatever the profile says by now."""
    check = {"name": "web", "kind": "http", "target": "http://127.0.0.1/", "expect": "200"}
    deployment = make_deployment(cast, now, tmp_path, hosts=1, profile={"checks": [check]})
    deployment.start()
    deployment.work()
    forward = [one.name for one in order_for(deployment.job(), fence=1).health]
    back = job_of_the_way_back(deployment)
    assert [one.name for one in order_for(back, fence=1).health] == forward == ["web"]
    assert [one.name for one in look_of(back).health] == ["web"]


def job_of_the_way_back(deployment: Deployment) -> Job:
    rollbacks.roll_back(
        release_id=deployment.release.pk, reason="no", actor=deployment.cast.rex, at=deployment.clock.at
    )
    return Job.objects.filter(rollout=deployment.rollout).get()


def test_a_step_retired_since_it_was_signed_halts_the_rollout(cast: Cast, now: datetime, tmp_path: Path) -> None:
    step = approved_step(cast, now)
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=[step])
    deployment.start()
    steps.retire(step_id=step.pk, comment="It fills the disk.", actor=cast.sam, at=now)
    deployment.work()

    assert deployment.rollout.state == "halted"
    assert "Step Space (revision 1) is retired" in deployment.rollout.reason
    assert deployment.job().state == "pending"
