"""A plan rehearsed on a simulated clock: it agrees with what a real run does, and touches nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from changes.domain import freezes
from cmdb.models import Host
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from releases.domain import jobs, plan_rehearsals, releases
from releases.domain.plan_rehearsals import Wanted
from releases.executors.simulator_plan import Habit, Habits
from releases.models import Job, PlanRehearsal, Release, Ring
from releases.queries.rehearsals import last_rehearsal, planned_document
from releases.simulated import Told
from tests.factories import releases as stages
from tests.factories.people import Cast
from tests.factories.releases import Yard
from tests.factories.rollouts import Deployment, make_deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
TEN_MINUTES = Habits(staging=(60, 60), installing=(480, 480), restarting=(0, 0), verifying=(59, 59))
TENS = Wanted(minutes_least=10, minutes_most=10)
HABIT: dict[str, Habit] = {"fails": "fail", "lies": "lie", "away": "unreachable"}


def told(d: Deployment, wanted: Wanted = TENS, **given: Any) -> Told:
    manifest = d.manifest
    return plan_rehearsals.simulate(
        d.release, manifest.digest, manifest.document, wanted,
        **{"at": d.clock.at, "starts_at": d.clock.at, **given},
    )  # fmt: skip


def really(d: Deployment, on_paper: Told) -> None:
    """The real rollout, its hosts behaving as they did on paper, by ticks and crews while the clock goes on."""
    courses = {target.host_id: target.course for lane in on_paper.lanes for target in lane.targets}
    for number, host in enumerate(d.hosts):
        d.habit(number, HABIT.get(courses[host.pk]))
    d.start()
    for _turn in range(400):
        Host.objects.update(audited_at=d.clock.at)  # scans go on, as a rehearsal supposes
        d.tick()
        if d.rollout.state != "running":
            return
        live = list(Job.objects.filter(jobs.DUE, rollout=d.rollout).order_by("pk").values_list("pk", flat=True))
        jobs.run_many(job_ids=live, owner="test", now=d.clock.now, wait=d.clock.wait)
        if live:
            d.clock.wait(30)
        else:
            d.clock.at = max(d.clock.at + timedelta(seconds=30), next_moment(d))
    raise AssertionError(f"it did not end: {d.states()}")


def next_moment(d: Deployment) -> datetime:
    """When something is next due of a rollout in which nothing is at work."""
    waiting = Job.objects.filter(rollout=d.rollout, ring__state="running", state="pending", not_before__isnull=False)
    soaking = Ring.objects.filter(rollout=d.rollout, state="soaking", soak_until__isnull=False)
    moments = [*waiting.values_list("not_before", flat=True), *soaking.values_list("soak_until", flat=True)]
    return min(moments, default=d.clock.at)


@pytest.mark.parametrize("seed", [1, 5])
def test_a_rehearsal_and_a_real_run_agree_about_every_ring(
    cast: Cast, now: datetime, tmp_path: Path, seed: int
) -> None:
    """Two rings, not all fit into tonight's window, the next one is in a week; failures by the seed."""
    numbers = {"concurrency": 1, "failure_limit": 3, "soak_seconds": 1800, "success_percent": 30}
    d = make_deployment(
        cast, now, tmp_path, hosts=6, rings=[{"hosts": 2, **numbers}, {"hosts": 4, **numbers}],
        habits=TEN_MINUTES, window={"length_minutes": 168},
    )  # fmt: skip
    wanted = Wanted(fail_percent=20, lie_percent=20, minutes_least=10, minutes_most=10, seed=seed)
    on_paper = told(d, wanted)
    really(d, on_paper)
    rings = list(d.rollout.rings.order_by("position"))
    assert [str(lane.state) for lane in on_paper.lanes] == [ring.state for ring in rings]
    near = timedelta(minutes=8)
    for lane, ring in zip(on_paper.lanes, rings, strict=True):
        assert (lane.started_at is None) == (ring.started_at is None)
        if lane.started_at and ring.started_at:
            assert abs(lane.started_at - ring.started_at) < near
        if lane.ended_at:
            assert abs(lane.ended_at - ring.state_at) < near
        assert lane.counts["succeeded"] == ring.jobs.filter(state="succeeded").count()
        assert lane.counts["failed"] == ring.jobs.filter(state="failed").count()
    assert (on_paper.end == "halted") == (d.rollout.state == "halted")
    if on_paper.end == "halted":
        assert on_paper.cause == d.rollout.reason


def test_hosts_that_do_not_end_tonight_run_in_the_next_window(make: Make) -> None:
    d = make(hosts=6, rings=[{"hosts": 6, "concurrency": 1}], window={"length_minutes": 120})
    (lane,) = told(d).lanes
    nights = sorted(lane.nights.items(), key=lambda night: night[0][1])
    assert [count for _night, count in nights] == [4, 2]
    assert nights[1][0][1] - nights[0][0][1] == timedelta(days=7)


def test_nights_follow_the_wall_clock_when_summer_time_begins(cast: Cast, tmp_path: Path) -> None:
    at = datetime(2027, 3, 20, 12, tzinfo=UTC)
    sunday = {
        "weekday": 6, "starts_local": datetime(2027, 1, 1, 2, 30).time(), "zone": "Europe/Berlin",  # noqa: DTZ001
        "length_minutes": 40,
    }  # fmt: skip
    d = make_deployment(cast, at, tmp_path, hosts=3, rings=[{"hosts": 3, "concurrency": 1}], window=sunday)
    (lane,) = told(d).lanes
    assert sorted((opens, count) for (_name, opens, _closes), count in lane.nights.items()) == [
        (datetime(2027, 3, 21, 1, 30, tzinfo=UTC), 2),
        (datetime(2027, 3, 28, 1, 30, tzinfo=UTC), 1),
    ]
    late = told(d, starts_at=datetime(2027, 4, 1, tzinfo=UTC))
    assert {opens for _name, opens, _closes in late.lanes[0].nights} == {
        datetime(2027, 4, 4, 0, 30, tzinfo=UTC),
        datetime(2027, 4, 11, 0, 30, tzinfo=UTC),
    }


def test_a_freeze_puts_the_start_off(make: Make, cast: Cast) -> None:
    d = make(hosts=2)
    freezes.declare(
        name="Year end", reason="Books are closed.", starts_at=d.clock.at - timedelta(hours=1),
        ends_at=d.clock.at + timedelta(days=3), actor=cast.che, at=d.clock.at - timedelta(days=1),
    )  # fmt: skip
    assert told(d).lanes[0].started_at == d.clock.at + timedelta(days=3)


def test_who_has_no_signed_window_or_was_never_read_is_named_with_the_reason(make: Make) -> None:
    d = make(hosts=4, rings=[{"hosts": 4, "success_percent": 30}], latest=None)
    d.hosts[0].memberships.all().delete()
    d.hosts[1].audited_at = d.clock.at - timedelta(days=30)
    d.hosts[1].save(update_fields=["audited_at"])
    on_paper = told(d)
    (lane,) = on_paper.lanes
    assert lane.refused == {d.hosts[0].pk: ("window", "it has none of the windows that were signed")}
    assert lane.stuck == {d.hosts[1].pk: ("audit", "its packages were last read 30 days ago: scan it")}
    assert on_paper.end == "stuck"


def test_the_same_seed_gives_the_same_course_and_another_seed_another(make: Make) -> None:
    d = make(hosts=12, rings=[{"hosts": 12, "failure_limit": 12, "success_percent": 1}])

    def course(seed: int) -> list[str]:
        on_paper = told(d, Wanted(fail_percent=30, away_percent=20, lie_percent=20, seed=seed))
        return [target.course for target in on_paper.lanes[0].targets]

    assert course(7) == course(7)
    assert len({tuple(course(seed)) for seed in range(5)}) > 1


def rows() -> dict[str, int]:
    return {model._meta.label: model._base_manager.count() for model in apps.get_models()}


def test_nothing_but_its_own_row_the_evidence_and_the_trails_is_written(yard: Yard) -> None:
    release = stages.scheduling(yard)
    before, trail = rows(), AuditEntry.objects.latest("pk").pk
    row = plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    changed = {label for label, count in rows().items() if count != before[label]}
    assert changed == {"releases.PlanRehearsal", "changes.Evidence", "kernel.AuditEntry"}
    (rfc_id,) = release.rfc_ids()
    entries = AuditEntry.objects.filter(pk__gt=trail).order_by("pk")
    assert [(e.verb, e.object_id) for e in entries] == [
        ("release.release.rehearsed", str(release.pk)), ("change.rfc.evidence_recorded", str(rfc_id)),
    ]  # fmt: skip
    assert (row.end, row.result["good"], row.result["unfit_count"]) == ("full", 3, 0)
    assert Release.objects.get(pk=release.pk).state == "scheduling"


def test_it_is_of_the_manifest_if_the_plan_is_sealed_as_it_was_rehearsed(yard: Yard) -> None:
    release = stages.scheduling(yard)
    row = plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    release = stages.manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at).release
    assert stages.manifest_of(release).digest == row.digest
    releases.revise(release_id=release.pk, reason="Other rings.", actor=yard.cast.rex, at=yard.at)
    stages.plans.drop_host(
        release_id=release.pk, host_id=yard.world.hosts[0].pk, reason="Not now.", actor=yard.cast.rex, at=yard.at
    )
    last = last_rehearsal(Release.objects.get(pk=release.pk))
    assert last is not None
    assert last.digest != planned_document(Release.objects.get(pk=release.pk), at=yard.at)[0]


def test_it_is_never_edited(yard: Yard) -> None:
    row = plan_rehearsals.rehearse(release_id=stages.scheduling(yard).pk, actor=yard.cast.rex, at=yard.at)
    row.cause = "Better so."
    with pytest.raises(Conflict):
        row.save()
    with pytest.raises(Exception, match=r"(?i)append|never|insert"), connection.cursor() as cursor:
        cursor.execute("UPDATE releases_planrehearsal SET cause = 'Better so.'")


def test_only_who_may_plan_rehearses_and_says_what_can_be(yard: Yard) -> None:
    release = stages.scheduling(yard)
    given: dict[str, Any] = {"release_id": release.pk, "at": yard.at}
    for person in (yard.cast.ann, yard.cast.gus):
        with pytest.raises(NotAllowed):
            plan_rehearsals.rehearse(actor=person, **given)
    with pytest.raises(Invalid):
        plan_rehearsals.rehearse(actor=yard.cast.rex, wanted=Wanted(fail_percent=60, lie_percent=60), **given)
    with pytest.raises(Invalid):
        plan_rehearsals.rehearse(actor=yard.cast.rex, starts_at=yard.at - timedelta(days=1), **given)
    assert not PlanRehearsal.objects.exists()


def test_what_has_begun_is_not_rehearsed(make: Make) -> None:
    d = make(hosts=1)
    with pytest.raises(Conflict, match="only what has not begun"):
        plan_rehearsals.rehearse(release_id=d.release.pk, actor=d.cast.rex, at=d.clock.at)


def test_what_is_not_planned_yet_is_not_rehearsed(yard: Yard) -> None:
    bare = stages.composed(yard)
    with pytest.raises(Blocked) as refused:
        plan_rehearsals.rehearse(release_id=bare.pk, actor=yard.cast.rex, at=yard.at)
    assert {b.code for b in refused.value.blockers} == {"rehearsal.rings", "rehearsal.profile"}
