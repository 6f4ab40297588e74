"""The walks that turn on their way, taken at the admin site to their true ends: a licence lost, nobody who answers, a newer
update, other facts, a stop, a ring accepted as it is, a host lost and found, a window that never comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from changes.domain import supersedence
from changes.models import ChangeModel, FreezeWindow, SoftwareUpdate
from cmdb.models import ConfigurationItem
from patchflow.kernel import tasks
from patchflow.kernel.models import User
from releases.domain import release_gates
from releases.models import Job, Release, Rollout
from tests.factories.changes import make_update
from tests.factories.people import make_user
from tests.factories.releases import Yard, manifest_of
from tests.factories.rollouts import Deployment
from tests.releases.domain.test_reviews import rolled_out
from tests.walks.conftest import Walk
from tests.walks.process import Ending, Process, local, question
from tests.walks.test_deployments import come, ended, outcomes
from tests.walks.test_kinds import stage_one

pytestmark = pytest.mark.django_db
NEWER = "3.0.16-1~deb12u1"


@pytest.fixture
def process(walk: Walk, yard: Yard) -> Process:
    return Process(walk, yard)


@pytest.fixture
def ending(walk: Walk) -> Ending:
    return Ending(walk)


def approve(process: Process, subject: Any, *people: User) -> Any:
    """These people, or the board, sign the open round about it; it is returned as it is then."""
    cast = process.cast
    round_ = question(subject)
    for person in people or (cast.sam, cast.cal, cast.mia):
        process.desk.decide(person, round_)
    return type(subject).objects.get(pk=subject.pk)


def stopped(process: Process, release: Release, reason: str) -> Release:
    """otto stops its rollout, and what was under way comes to its end."""
    process.desk.press(process.cast.otto, "stop", Rollout.objects.get(release=release), reason=reason)
    release = rolled_out(process.yard, release, days=2)
    process.walk.come(release.finished_at or process.walk.at)
    return release


def replaced(process: Process) -> SoftwareUpdate:
    """A newer update of the same package appears."""
    world = process.yard.world
    newer = make_update(world.update.name, NEWER, at=process.walk.at, hosts=world.hosts)
    SoftwareUpdate.objects.filter(pk=world.update.pk).update(superseded_by=newer)
    assert supersedence.due_notes(now=process.walk.at) == 1
    return newer


def test_standard_and_a_failure_takes_the_licence_away(process: Process) -> None:
    cast, desk, yard = process.cast, process.desk, process.yard
    model = desk.make(cast.che, ChangeModel, name="Routine", max_score=25)
    assert "You wrote" in desk.refused(
        cast.che, "decide", question(desk.press(cast.che, "propose", model)), verdict="approve"
    )
    assert approve(process, model).state == "approved"
    rfc = process.raised(kind="standard", change_model_id=model.pk)
    assert rfc.state == "authorized"
    release = process.signed(process.sealed(rfc))
    for host in yard.world.hosts:
        yard.machine(host).fails.add("openssl")
    release = rolled_out(yard, desk.press(cast.rex, "deploy", release), days=2)
    rollout = Rollout.objects.get(release=release)
    assert rollout.state == "halted"
    process.walk.come(rollout.state_at)
    release = stopped(process, release, "it fails")
    assert (release.state, release.outcome) == ("deployed", "failed")
    assert process.reviewed(release).state == "completed"
    assert process.closed(rfc, "failed") == ("closed", "completed")
    assert ChangeModel.objects.get(pk=model.pk).state == "draft"
    again = process.raised(kind="standard", change_model_id=model.pk)
    assert again.state == "submitted"
    again = desk.press(cast.ann, "cancel", again, reason="first find out why")
    assert (again.state, again.cycle.state) == ("cancelled", "assess"), "the next month has only begun"


def test_a_round_that_expires_is_asked_again(process: Process) -> None:
    cast, desk = process.cast, process.desk
    rfc = process.raised()
    round_ = process.asked(rfc)
    process.walk.wait(days=8)
    tasks.expire_rounds()
    rfc.refresh_from_db()
    assert rfc.state == "evaluating"
    assert "This round is expired" in desk.refused(cast.sam, "decide", round_, verdict="approve")
    desk.press(cast.che, "request_approval", rfc)
    assert approve(process, rfc).state == "authorized"
    rfc = desk.press(cast.che, "cancel", rfc, reason="done by hand meanwhile")
    cycle = desk.press(cast.che, "close_unneeded", rfc.cycle, reason="nothing came of it")
    assert (rfc.state, cycle.state) == ("cancelled", "completed")


def test_a_replaced_update_is_kept_by_one_change_and_left_by_another(process: Process) -> None:
    cast, desk = process.cast, process.desk
    kept, moved = (process.authorized(process.raised(host_ids=[host.pk])) for host in process.yard.world.hosts[:2])
    newer = make_update("openssl", NEWER, at=process.walk.at, hosts=process.yard.world.hosts)
    SoftwareUpdate.objects.filter(pk=process.yard.world.update.pk).update(superseded_by=newer)
    assert supersedence.due_notes(now=process.walk.at) == 2
    assert "on hold" in desk.refused(cast.che, "lapse", kept, reason="x").lower()
    desk.press(cast.che, "resume", kept, reason="3.0.15 is enough until the next month")
    assert supersedence.due_notes(now=process.walk.at) == 0, "decided once"
    assert desk.make(cast.rex, Release, rfc_ids=[kept.pk], title="Kept").state == "planning"
    moved = desk.press(cast.che, "move", moved, reason="take the newer one")
    held = moved.updates.filter(removed_at__isnull=True)
    assert (moved.state, [one.update_id for one in held]) == ("evaluating", [newer.pk])
    desk.press(cast.che, "score", moved)
    desk.press(cast.che, "request_approval", moved)
    assert approve(process, moved).state == "authorized"
    assert "None of its updates has been replaced" in desk.refused(cast.che, "move", moved, reason="again")


def test_superseded_in_the_middle_goes_on_with_the_rest(process: Process) -> None:
    """The bot holds; the rollout is stopped, the change suspended, the rest approved anew and carried out by another release."""
    cast, desk, walk = process.cast, process.desk, process.walk
    rfc = process.authorized(process.raised())
    release = desk.press(cast.rex, "deploy", process.signed(process.sealed(rfc)))
    walk.come(stage_one(process.yard, release))
    replaced(process)
    assert desk.refused(cast.che, "lapse", rfc, reason="x")
    assert "stop that first" in desk.refused(cast.che, "stop", rfc, reason="x").lower()
    release = stopped(process, release, "a newer one is there")
    assert (release.state, release.outcome) == ("deployed", "partial")
    desk.press(cast.che, "resume", rfc, reason="the rest gets this one too")
    assert desk.press(cast.che, "lapse", rfc, reason="superseded in the middle").state == "suspended"
    assert process.reviewed(release).state == "completed"
    assert desk.refused(cast.che, "cancel", rfc, reason="x")
    assert desk.press(cast.che, "request_approval", rfc).state == "suspended"
    assert approve(process, rfc).state == "implementing"
    assert 0 < rfc.targets.filter(removed_at__isnull=True).count() < len(process.yard.world.hosts)
    second = process.signed(process.sealed(rfc))
    second = process.nights_pass(desk.press(cast.rex, "deploy", second))
    assert (second.state, second.outcome) == ("deployed", "full")
    assert process.reviewed(second).state == "completed"
    assert process.closed(rfc, "successful_with_issues") == ("closed", "completed")


def test_facts_change_after_authorization(process: Process) -> None:
    """The authorization lapses, the ready release goes back to scheduling, is sealed on the new one, and both come to their end."""
    cast, desk = process.cast, process.desk
    rfc = process.authorized(process.raised())
    release = process.signed(process.sealed(rfc))
    assert release.state == "ready"
    ConfigurationItem.objects.filter(host__in=process.yard.world.hosts).update(criticality=1)
    assert desk.press(cast.che, "score", rfc).state == "evaluating"
    assert release_gates.recheck(now=process.walk.at) == 1
    release.refresh_from_db()
    assert release.state == "scheduling"
    assert "authorized" in desk.refused(cast.rex, "seal", release)
    desk.press(cast.che, "request_approval", rfc)
    assert approve(process, rfc).state == "authorized"
    before = manifest_of(release).document["rfcs"]
    release = process.signed(desk.press(cast.rex, "seal", release))
    assert manifest_of(release).document["rfcs"] != before
    release = process.nights_pass(desk.press(cast.rex, "deploy", release))
    assert (release.state, release.outcome) == ("deployed", "full")
    assert process.reviewed(release).state == "completed"
    assert process.closed(rfc, "successful") == ("closed", "completed")


# --- while hosts are being changed ------------------------------------------------------------------------------------------
Deploying = Callable[..., Deployment]


def test_cancelled_while_deploying_is_stopped_instead(ending: Ending, deploying: Deploying) -> None:
    deployment = deploying(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    cast, desk, rfc = ending.cast, ending.desk, deployment.rfc
    deployment.start()
    deployment.work(until=lambda: "succeeded" in deployment.states())
    come(ending.walk, deployment)
    assert "stop it" in desk.refused(cast.ann, "cancel", rfc, reason="no longer wanted").lower()
    assert desk.refused(cast.che, "stop", rfc, reason="no longer wanted")
    desk.press(cast.otto, "stop", deployment.rollout, reason="no longer wanted")
    deployment.work()
    come(ending.walk, deployment)
    assert (deployment.rollout.state, ended(deployment)) == ("stopped", ("deployed", "partial"))
    assert desk.press(cast.che, "stop", rfc, reason="no longer wanted").state == "in_review"
    assert ending.reviewed(deployment.release, by=make_user("max", "change_manager", "auditor")).state == "completed"
    assert sorted(outcomes(deployment)) == ["done", "owed", "owed"]
    assert ending.closed(rfc, "successful_with_issues") == ("closed", "completed")


def test_a_failed_ring_is_accepted_as_it_is_and_the_next_change_takes_up_what_it_owes(
    ending: Ending, deploying: Deploying
) -> None:
    deployment = deploying(hosts=4, rings=[{"hosts": 3, "concurrency": 1}, {"hosts": 1}])
    cast, desk = ending.cast, ending.desk
    deployment.habit(1, "lie")
    deployment.start()
    deployment.work()
    come(ending.walk, deployment)
    ring = deployment.ring()
    assert deployment.states() == ["succeeded", "failed", "pending", "pending"]
    assert desk.refused(cast.rex, "resume", deployment.rollout)
    desk.press(cast.otto, "propose_partial", ring, reason="The rest follows next month.")
    round_ = question(ring)
    assert "You start" in desk.refused(cast.rex, "decide", round_, verdict="approve"), "rex has started it"
    assert desk.refused(cast.che, "decide", round_, verdict="approve", digest_seen="0" * 64)
    desk.decide(cast.che, round_)
    assert deployment.states() == ["succeeded", "failed", "cancelled", "pending"]
    desk.press(cast.rex, "resume", deployment.rollout)
    deployment.work()
    come(ending.walk, deployment)
    assert deployment.states() == ["succeeded", "failed", "cancelled", "succeeded"]
    assert (deployment.rollout.state, ended(deployment)) == ("completed", ("deployed", "partial"))
    release = desk.press(cast.ann, "propose_next", deployment.release)
    assert sorted(release.next_rfc.targets.values_list("host_id", flat=True)) == [h.pk for h in deployment.hosts[1:3]]
    assert ending.reviewed(release).state == "completed"
    assert outcomes(deployment) == ["done", "owed", "owed", "done"]
    assert ending.closed(deployment.rfc, "successful_with_issues")[0] == "closed"


def test_a_lost_host_is_found_again_and_the_record_corrected_by_a_new_row(ending: Ending, deploying: Deploying) -> None:
    deployment = deploying(hosts=2, rings=[{"hosts": 2, "concurrency": 1, "failure_limit": 2}])
    cast, desk = ending.cast, ending.desk
    deployment.habit(0, "slow")
    deployment.habit(1, "fail")
    deployment.start()
    deployment.tick()
    deployment.killed_when(lambda: deployment.job().state == "installing")
    deployment.habit(0, "unreachable")
    while deployment.job().state != "lost":
        deployment.visit()
        due = deployment.job().not_before
        deployment.clock.at = max(deployment.clock.at, due or deployment.clock.at) + timedelta(seconds=20)
    come(ending.walk, deployment)
    deployment.habit(0, None)
    job = deployment.job()
    before = set(job.events.values_list("pk", flat=True))
    assert desk.refused(cast.ann, "look", job)
    desk.press(cast.otto, "look", job)
    deployment.visit()
    assert Job.objects.get(pk=job.pk).state == "succeeded"
    assert before <= set(job.events.values_list("pk", flat=True)), "nothing is edited or removed"
    deployment.work()
    come(ending.walk, deployment)
    desk.press(cast.otto, "stop", deployment.rollout, reason="the other one is mended by hand")
    deployment.work()
    come(ending.walk, deployment)
    assert ended(deployment) == ("deployed", "partial")
    assert ending.reviewed(deployment.release).state == "completed"
    assert outcomes(deployment) == ["done", "owed"]
    assert ending.closed(deployment.rfc, "successful_with_issues") == ("closed", "completed")


def test_the_window_never_comes(ending: Ending, deploying: Deploying) -> None:
    """The first ring is done; the others wait for the next week, which is frozen: at the latest start they are refused."""
    walk, cast, desk = ending.walk, ending.cast, ending.desk
    rings = [{"hosts": 1, "soak_seconds": 10 * 3600}, {"hosts": 2}]
    deployment = deploying(hosts=3, rings=rings, latest=walk.at + timedelta(days=8))
    deployment.start()
    deployment.work()
    deployment.pass_time(hours=11)
    deployment.work()
    come(walk, deployment)
    span = {"starts_at": local(walk.at + timedelta(days=1)), "ends_at": local(walk.at + timedelta(days=9))}
    desk.make(cast.che, FreezeWindow, name="Fair", reason="the fair is on", **span)
    deployment.pass_time(days=6, hours=14)
    deployment.work()
    assert "Fair" in deployment.rollout.statement
    deployment.pass_time(days=1)
    deployment.work()
    assert deployment.states() == ["succeeded", "refused", "refused"]
    come(walk, deployment)
    listed = desk.client(cast.otto).get("/admin/releases/job/").text
    assert "The latest start that was signed has passed." in listed
    desk.press(cast.otto, "stop", deployment.rollout, reason="the next release takes them up")
    deployment.work()
    come(walk, deployment)
    assert (deployment.rollout.state, ended(deployment)) == ("stopped", ("deployed", "partial"))
    assert ending.reviewed(deployment.release).state == "completed"
    assert outcomes(deployment) == ["done", "owed", "owed"]
    assert ending.closed(deployment.rfc, "successful_with_issues") == ("closed", "completed")
