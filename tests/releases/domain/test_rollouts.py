"""A rollout from its start to each of its ends, on simulated hosts that remember what was really done to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from changes.models import RFC
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import AuditEntry
from releases.domain import jobs, rings, rollbacks, rollouts, switches
from releases.enums_rollout import LIVE
from releases.models import Job, PermissionSlip, Release, Ring, Rollout
from tests.factories.rollouts import PACKAGE, Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db


def versions(deployment: Deployment) -> list[str]:
    """What each host has by the simulator's own memory, the witness: the last change of each."""
    last = {e.address: e.to_version for e in deployment.simulator.effects()}
    return [last.get(host.name, PACKAGE["from"]) for host in deployment.hosts]


def release_of(deployment: Deployment) -> tuple[str, str]:
    release = Release.objects.get(pk=deployment.release.pk)
    return release.state, release.outcome


def test_a_rollout_reaches_every_host_and_finishes_the_release(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 1}, {"hosts": 2}])
    deployment.start()
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3
    assert deployment.rollout.state == "completed"
    assert release_of(deployment) == ("deployed", "full")
    assert versions(deployment) == [PACKAGE["to"]] * 3
    assert len(deployment.simulator.effects()) == 3
    assert Job.objects.filter(events__stage="installing").count() == 3
    assert PermissionSlip.objects.filter(verdict="run", job__isnull=False).count() == 3
    assert deployment.cast.bot == AuditEntry.objects.filter(verb="release.job.succeeded").first().actor  # type: ignore[union-attr]


def test_the_start_by_clock_stops_when_the_first_production_ring_begins(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 1, "soak_seconds": 3600}, {"hosts": 2}])
    pilot = deployment.hosts[0].ci
    pilot.environment = "test"
    pilot.save(update_fields=["environment"])
    deployment.start()
    deployment.work()
    (rfc,) = RFC.objects.filter(pk__in=deployment.release.rfc_ids())
    assert rfc.clock_stopped_at is None, "a ring of test hosts alone stops no clock"
    deployment.pass_time(minutes=61)
    deployment.work()
    rfc.refresh_from_db()
    assert rfc.clock_stopped_at == deployment.ring(1).started_at
    entries = AuditEntry.objects.filter(verb="change.rfc.clock_stopped", object_id=str(rfc.pk))
    assert [entry.actor for entry in entries] == [deployment.cast.bot]


def test_rings_go_one_after_another_and_are_watched(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 1, "soak_seconds": 3600}, {"hosts": 2}])
    deployment.start()
    deployment.work()
    assert deployment.states() == ["succeeded", "pending", "pending"]
    assert deployment.ring(0).state == "soaking"
    deployment.pass_time(minutes=61)
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3


def test_never_more_at_work_than_the_ring_allows(make: Make) -> None:
    deployment = make(hosts=5, rings=[{"hosts": 5, "concurrency": 2}])
    deployment.start()
    assert deployment.tick() == 2
    assert deployment.tick() == 0
    assert sorted(deployment.states()) == ["claimed", "claimed", "pending", "pending", "pending"]


def test_the_failure_limit_halts_and_leaves_the_rest_untouched(make: Make) -> None:
    deployment = make(hosts=6, rings=[{"hosts": 6, "concurrency": 1, "failure_limit": 2}])
    deployment.habit(1, "fail")
    deployment.habit(2, "lie")
    deployment.start()
    deployment.work()
    assert deployment.states() == ["succeeded", "failed", "failed", "pending", "pending", "pending"]
    assert (deployment.rollout.state, deployment.ring().state) == ("halted", "failed")
    assert "2 of 6 hosts failed" in deployment.rollout.reason
    assert {e.address for e in deployment.simulator.effects()} <= {h.name for h in deployment.hosts[:3]}
    deployment.pass_time(days=1)
    deployment.work()
    assert deployment.states()[3:] == ["pending"] * 3


def test_success_is_what_the_host_shows_not_what_the_job_says(make: Make) -> None:
    """Law 7: the job reports success and has changed nothing."""
    deployment = make(hosts=1)
    deployment.habit(0, "lie")
    deployment.start()
    deployment.work()
    job = deployment.job()
    assert job.state == "failed"
    assert job.result["own"]["outcome"] == "succeeded"
    assert "the host shows otherwise" in job.reason


def test_retry_takes_only_the_failed_hosts_each_under_a_new_key(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1, "failure_limit": 1}])
    deployment.habit(1, "lie")
    deployment.start()
    deployment.work()
    first = deployment.job(1).job_key
    deployment.habit(1, None)
    assert rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at) == 1
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3
    assert deployment.job(1).job_key != first
    assert deployment.job(1).attempt == 2
    assert deployment.job(0).attempt == 1
    assert len(deployment.simulator.effects()) == 3
    assert deployment.rollout.state == "completed"


def test_a_job_named_before_keys_had_a_prefix_keeps_its_key_until_its_next_attempt(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "lie")
    deployment.start()
    old = f"{deployment.rollout.number}-{deployment.hosts[0].pk}-1"
    Job.objects.update(job_key=old)
    deployment.work()
    assert deployment.job().job_key == old
    assert {effect.job_key for effect in deployment.simulator.effects()} <= {old}
    assert rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at) == 1
    assert deployment.job().job_key == f"{instance_key()}-{deployment.rollout.number}-{deployment.hosts[0].pk}-2"


def test_retry_of_nothing_says_so(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    with pytest.raises(Blocked, match="No host of this ring has failed"):
        rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at)


def test_nothing_is_tried_again_in_a_rollout_that_was_stopped(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 2, "failure_limit": 2, "concurrency": 1}, {"hosts": 1}])
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work(until=lambda: deployment.states()[0] == "failed")
    by = {"actor": deployment.cast.rex, "at": deployment.clock.at}
    rollouts.stop(rollout_id=deployment.rollout.pk, reason="Enough.", **by)
    deployment.work()
    assert (deployment.rollout.state, deployment.ring().state) == ("stopped", "running")
    assert [b.code for b in rings.why_not_retry(deployment.ring(), **by)] == ["conflict.state"]
    with pytest.raises(Conflict, match=f"{deployment.rollout.number} is stopped"):
        rings.retry_ring(ring_id=deployment.ring().pk, **by)
    assert deployment.states() == ["failed", "cancelled", "cancelled"]


def test_a_halted_rollout_with_a_failed_ring_does_not_simply_go_on(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    deployment.habit(0, "lie")
    deployment.start()
    deployment.work()
    with pytest.raises(Blocked, match="retry its failed hosts or accept it"):
        rollouts.resume(rollout_id=deployment.rollout.pk, actor=deployment.cast.rex, at=deployment.clock.at)


def test_pause_lets_nobody_through_and_resume_goes_on(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    deployment.tick()
    rollouts.pause(rollout_id=deployment.rollout.pk, reason="lunch", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert deployment.states() == ["pending"] * 3, "what was let through but not ordered is given back"
    assert deployment.simulator.effects() == []
    rollouts.resume(rollout_id=deployment.rollout.pk, actor=deployment.cast.rex, at=deployment.clock.at)
    deployment.pass_time(minutes=5)
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3


def test_stop_withdraws_what_has_not_begun_and_ends_when_nothing_is_at_work(make: Make) -> None:
    deployment = make(hosts=4, rings=[{"hosts": 2, "concurrency": 1}, {"hosts": 2}])
    deployment.start()
    deployment.work(until=lambda: "succeeded" in deployment.states())
    deployment.tick()
    rollouts.stop(
        rollout_id=deployment.rollout.pk, reason="wrong version", actor=deployment.cast.otto, at=deployment.clock.at
    )
    deployment.work()
    assert sorted(deployment.states()) == ["cancelled", "cancelled", "cancelled", "succeeded"]
    assert deployment.rollout.state == "stopped"
    assert release_of(deployment) == ("deployed", "partial")
    assert len(deployment.simulator.effects()) == 1


def test_after_a_stop_what_was_let_through_is_not_begun(make: Make) -> None:
    """Whether it was asked to stop by itself or not: the gates say so at the moment of acting."""
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 2}])
    deployment.start()
    deployment.tick()
    rollouts.stop(rollout_id=deployment.rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
    assert deployment.rollout.state == "stopping"
    assert sorted(deployment.states()) == ["claimed", "claimed", "pending"]
    Job.objects.filter(pk=deployment.job(0).pk).update(cancel_asked_at=None)
    ids = [deployment.job(n).pk for n in range(3)]
    jobs.run_many(job_ids=ids, owner="t", now=deployment.clock.now, wait=deployment.clock.wait)
    assert deployment.simulator.effects() == []
    deployment.work(together=True)
    assert deployment.states() == ["cancelled"] * 3
    assert deployment.rollout.state == "stopped"
    assert deployment.simulator.effects() == []


def test_stop_does_not_cut_off_what_installs(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.habit(0, "slow")
    deployment.start()
    deployment.tick()
    deployment.killed_when(lambda: deployment.job().state == "installing")
    rollouts.stop(rollout_id=deployment.rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
    assert deployment.rollout.state == "stopping"
    deployment.work()
    assert deployment.states() == ["succeeded"]
    assert deployment.rollout.state == "stopped"


def test_only_one_rollout_of_a_release_is_open(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    with pytest.raises(Conflict, match="one open rollout"):
        rollouts.plan(release_id=deployment.release.pk, actor=deployment.cast.rex, at=deployment.clock.at)


@pytest.mark.parametrize("who", ["gus", "cal", "sam", "eve", "root", "ann", "bot"])
def test_who_signed_or_has_no_right_does_not_start(make: Make, who: str) -> None:
    deployment = make(hosts=1)
    with pytest.raises(NotAllowed):
        rollouts.start(release_id=deployment.release.pk, actor=getattr(deployment.cast, who), at=deployment.clock.at)
    assert not Rollout.objects.exists()


def test_who_signed_the_manifest_does_not_start_even_with_every_role(make: Make) -> None:
    from patchflow.kernel.models import RoleGrant

    deployment = make(hosts=1)
    RoleGrant.objects.create(user=deployment.cast.gus, role="release_manager", scope="")
    with pytest.raises(NotAllowed, match="signed"):
        rollouts.start(release_id=deployment.release.pk, actor=deployment.cast.gus, at=deployment.clock.at)


def test_the_way_back_visits_exactly_the_hosts_that_were_touched(make: Make) -> None:
    deployment = make(hosts=5, rings=[{"hosts": 5, "concurrency": 1, "failure_limit": 1}])
    deployment.habit(2, "fail")
    deployment.start()
    deployment.work()
    assert deployment.states() == ["succeeded", "succeeded", "failed", "pending", "pending"]
    forward = deployment.rollout
    deployment.habit(2, None)
    back = rollbacks.roll_back(
        release_id=deployment.release.pk, reason="it breaks log-in", actor=deployment.cast.rex, at=deployment.clock.at
    )
    assert back.reverses == forward
    assert set(back.jobs.values_list("host_id", flat=True)) == {h.pk for h in deployment.hosts[:3]}
    assert Rollout.objects.get(pk=forward.pk).state == "stopped"
    assert Job.objects.filter(rollout=forward, state="cancelled").count() == 2
    deployment.work()
    assert versions(deployment) == [PACKAGE["from"]] * 5
    assert release_of(deployment) == ("rolled_back", "rolled_back")


def test_the_way_back_of_a_deployed_release(make: Make) -> None:
    deployment = make(hosts=2)
    deployment.start()
    deployment.work()
    assert release_of(deployment) == ("deployed", "full")
    deployment.pass_time(days=2)  # no window is open: a way back does not wait for one
    rollbacks.roll_back(
        release_id=deployment.release.pk, reason="it breaks log-in", actor=deployment.cast.rex, at=deployment.clock.at
    )
    deployment.work()
    assert versions(deployment) == [PACKAGE["from"]] * 2
    assert release_of(deployment) == ("rolled_back", "rolled_back")


def test_a_way_back_that_fails_somewhere_is_said_to_be_partial(make: Make) -> None:
    deployment = make(hosts=2)
    deployment.start()
    deployment.work()
    deployment.habit(0, "lie")
    rollbacks.roll_back(
        release_id=deployment.release.pk, reason="it breaks log-in", actor=deployment.cast.rex, at=deployment.clock.at
    )
    deployment.work()
    assert deployment.rollout.state == "halted"
    rollouts.stop(
        rollout_id=deployment.rollout.pk, reason="by hand from here", actor=deployment.cast.rex, at=deployment.clock.at
    )
    deployment.work()
    assert release_of(deployment) == ("rolled_back", "rolled_back_partly")


def test_no_way_back_where_nothing_was_touched_or_hosts_are_at_work(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    with pytest.raises(Blocked, match="Nothing was rolled out"):
        rollbacks.roll_back(
            release_id=deployment.release.pk, reason="x", actor=deployment.cast.rex, at=deployment.clock.at
        )
    deployment.start()
    with pytest.raises(Blocked, match="nothing to take back"):
        rollbacks.roll_back(
            release_id=deployment.release.pk, reason="x", actor=deployment.cast.rex, at=deployment.clock.at
        )
    deployment.tick()
    with pytest.raises(Blocked, match="1 host is at work"):
        rollbacks.roll_back(
            release_id=deployment.release.pk, reason="x", actor=deployment.cast.rex, at=deployment.clock.at
        )


def test_a_ring_is_left_out_before_it_begins(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 1}, {"hosts": 1}, {"hosts": 1}])
    deployment.start()
    rings.skip(ring_id=deployment.ring(1).pk, reason="owner asked", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert deployment.states() == ["succeeded", "cancelled", "succeeded"]
    assert release_of(deployment) == ("deployed", "partial")


def test_the_kill_switch_stops_every_new_start(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    deployment.tick()
    switches.set_kill_switch(on=True, reason="storage is on fire", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert deployment.states() == ["pending"] * 3, "also what was let through already, but not yet ordered"
    assert "storage is on fire" in deployment.rollout.statement
    assert deployment.simulator.effects() == []
    with pytest.raises(Conflict):
        switches.set_kill_switch(on=True, reason="again", actor=deployment.cast.otto, at=deployment.clock.at)
    with pytest.raises(NotAllowed):
        switches.set_kill_switch(on=False, reason="let me", actor=deployment.cast.ann, at=deployment.clock.at)
    switches.set_kill_switch(on=False, reason="put out", actor=deployment.cast.otto, at=deployment.clock.at)
    done = AuditEntry.objects.filter(verb__startswith="settings.kill_switch", outcome="done").order_by("pk")
    assert list(done.values_list("verb", flat=True)) == ["settings.kill_switch_on", "settings.kill_switch_off"]
    deployment.pass_time(minutes=10)
    deployment.work()
    assert deployment.states() == ["succeeded"] * 3


def test_the_window_never_comes(make: Make, now) -> None:  # type: ignore[no-untyped-def]
    """Refused at the latest start, never waiting in silence, whatever else stands in the way; the release comes to its end."""
    deployment = make(hosts=2, latest=now + timedelta(hours=2))
    deployment.start()
    switches.set_kill_switch(on=True, reason="frozen", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.pass_time(hours=3)
    deployment.work()
    assert deployment.states() == ["refused"] * 2
    slip = PermissionSlip.objects.filter(job__isnull=False).first()
    assert slip is not None
    assert "latest start" in slip.statement
    assert deployment.rollout.state == "completed"
    assert release_of(deployment) == ("deployed", "failed")


def test_every_state_of_every_machine_ends_with_no_lease_and_no_live_job(make: Make) -> None:
    deployment = make(hosts=3)
    deployment.habit(0, "refuse")
    deployment.start()
    deployment.work()
    assert not Job.objects.filter(state__in=LIVE).exists()
    assert not Job.objects.exclude(lease_until=None).exists()
    assert Ring.objects.get().state in ("passed", "failed")
