"""Files laid ready before the window: what is asked, what is ordered, how it ends, and that no job ever waits for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from changes.models import FreezeWindow
from cmdb.domain import groups, points
from cmdb.models import Connection, DistributionPoint
from patchflow.kernel import append_only, queue, registry
from patchflow.kernel.models import AuditEntry
from releases.domain import jobs, rollouts, stagings, switches
from releases.domain.host_gates import BUSY
from releases.domain.profiles import find_unkept, profile_problems, staging_rule
from releases.executors.base import Action, JobOrder, JobProgress
from releases.executors.onhost.advice import advised
from releases.executors.onhost.packaging import DRY_RUN, LISTS
from releases.executors.simulator_plan import Habits
from releases.models import Job, PermissionSlip, Ring, Rollout, Staging
from releases.queries.rollouts import signed
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
OPENS = datetime.fromisoformat("2026-11-18T15:42:00+00:00")


@pytest.fixture
def early(make: Make) -> Make:
    """A deployment whose window opens in six hours; files are laid ready four hours before it."""

    def run(*, hours: int = 4, **given: Any) -> Deployment:
        profile = {"stage_hours": hours, **given.pop("profile", {})}
        return make(window={"starts_local": time(15, 42)}, profile=profile, **given)

    return run


class Heard:
    """An executor, every order that it is given written down."""

    def __init__(self, executor: Any) -> None:
        self.executor, self.orders = executor, list[JobOrder]()
        self.says = ""
        """In these words a host refuses, where they are not its own."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def start(self, batch: Any) -> Any:
        self.orders += batch.orders
        return self.executor.start(batch)

    def events(self, handle: Any, **given: Any) -> list[JobProgress]:
        found = self.executor.events(handle, **given)
        if not self.says:
            return list(found)
        return [replace(one, result=one.result and replace(one.result, reason=self.says)) for one in found]


def heard(deployment: Deployment) -> Heard:
    name = deployment.release.executor
    found = registry.executors[name]
    registry.executors._items[name] = Heard(found)  # type: ignore[attr-defined]
    return registry.executors[name]


def turn(deployment: Deployment) -> None:
    """What the scheduler and a worker do once."""
    stagings.sweep(now=deployment.clock.at)
    for pk in Ring.objects.filter(rollout__release=deployment.release).values_list("pk", flat=True):
        stagings.run(ring_id=pk, owner="test", now=deployment.clock.now)


def turns(deployment: Deployment, count: int = 4) -> None:
    for _turn in range(count):
        turn(deployment)
        deployment.clock.wait(15)


def to_the_hours(deployment: Deployment) -> None:
    deployment.clock.at = OPENS - timedelta(hours=3)


def states(deployment: Deployment) -> list[str]:
    found = dict(Staging.objects.values_list("job__host_id", "state"))
    return [found[host.pk] for host in deployment.hosts]


def row(deployment: Deployment, number: int = 0) -> Staging:
    return Staging.objects.get(job=deployment.job(number))


def slips_ahead(deployment: Deployment, number: int = 0) -> list[PermissionSlip]:
    return list(PermissionSlip.objects.filter(job=deployment.job(number), attempt=0).order_by("pk"))


# --- when ---------------------------------------------------------------------------------------------------------------
def test_nothing_is_asked_for_where_nobody_signed_it(early: Make) -> None:
    deployment = early(hours=0)
    deployment.start()
    to_the_hours(deployment)
    turns(deployment)
    assert not Staging.objects.exists()


def test_files_are_laid_ready_some_hours_before_the_window_and_nothing_is_installed(early: Make) -> None:
    deployment = early(hosts=2)
    witness = heard(deployment)
    deployment.start()
    turns(deployment)
    assert states(deployment) == ["waiting", "waiting"]
    assert row(deployment).not_before == OPENS - timedelta(hours=4)
    assert "4 hours before window" in row(deployment).statement
    assert witness.orders == []
    assert [slip.verdict for slip in slips_ahead(deployment)] == ["defer"], (
        "one slip for one verdict, however often asked"
    )

    to_the_hours(deployment)
    turns(deployment)

    assert states(deployment) == ["staged", "staged"]
    one = row(deployment)
    assert (one.window_at, one.attempt, one.lease_until) == (OPENS, 1, None)
    assert one.ended_at is not None
    assert one.ended_at < OPENS - timedelta(hours=2)
    assert [order.action for order in witness.orders] == [Action.STAGE, Action.STAGE]
    document = signed(deployment.rollout.manifest_id).document
    for order in witness.orders:
        assert [a.sha256 for a in order.artifacts] == [a["sha256"] for a in document["artifacts"]]
        assert (order.steps, order.health, order.restart.mode) == ((), (), "never")
    assert deployment.simulator.effects() == []
    assert deployment.states() == ["pending", "pending"]
    ran = slips_ahead(deployment)[-1]
    assert ran.verdict == "run"
    assert ran.statement.startswith("Its files are laid ready now, because window ")
    assert {gate["gate"] for gate in ran.gates} >= {
        "turn",
        "ring",
        "machine",
        "ahead",
        "alone",
        "files",
        "reach",
        "downloads",
    }
    assert not {gate["gate"] for gate in ran.gates} & {"window", "redundancy", "audit"}
    verbs = list(
        AuditEntry.objects.filter(verb__startswith="release.staging.").order_by("pk").values_list("verb", flat=True)
    )
    assert sorted(set(verbs)) == [
        "release.staging.asked", "release.staging.deferred", "release.staging.ordered", "release.staging.staged",
    ]  # fmt: skip


def test_the_job_in_the_window_goes_its_way_whatever_became_of_the_files(early: Make) -> None:
    deployment = early(hosts=3, rings=[{"hosts": 3, "failure_limit": 3, "concurrency": 3}])
    deployment.habit(1, "refuse")
    deployment.habit(2, "vanish")
    deployment.start()
    to_the_hours(deployment)
    turns(deployment)
    assert states(deployment) == ["staged", "failed", "unknown"]
    assert row(deployment, 1).code == "not_contained"
    assert "its job fetches its files itself" in row(deployment, 1).statement
    assert "fetches what is not there" in row(deployment, 2).statement

    deployment.habit(1, None)
    deployment.habit(2, None)
    deployment.clock.at = OPENS + timedelta(minutes=1)
    deployment.work(together=True)
    turns(deployment)
    assert deployment.states() == ["succeeded"] * 3
    assert states(deployment) == ["staged", "failed", "unknown"]


def test_shortly_before_and_in_the_window_nothing_is_begun(early: Make) -> None:
    deployment = early(hosts=1)
    witness = heard(deployment)
    deployment.start()
    deployment.clock.at = OPENS - timedelta(minutes=20)
    turns(deployment, 2)
    assert states(deployment) == ["waiting"]
    assert row(deployment).not_before == OPENS + timedelta(hours=8)
    deployment.clock.at = OPENS + timedelta(minutes=1)
    turns(deployment, 2)
    assert witness.orders == []
    deployment.work()
    turn(deployment)
    assert deployment.states() == ["succeeded"]
    assert states(deployment) == ["refused"]
    assert row(deployment).reason == "its job is succeeded: it fetches its files itself"


def test_what_is_begun_has_ended_or_given_up_by_itself_when_the_window_opens(early: Make) -> None:
    deployment = early(hosts=1)
    witness = heard(deployment)
    deployment.start()
    deployment.clock.at = OPENS - stagings.LEAST - timedelta(seconds=1)
    turn(deployment)
    assert states(deployment) == ["ordered"]
    limits = witness.orders[0].timeouts
    assert limits.staging == limits.lock + LISTS + DRY_RUN + limits.download
    assert timedelta(seconds=limits.staging) < stagings.LEAST
    told = (settings.BASE_DIR / "docs/reference/windows.md").read_text()
    assert f"from {stagings.LEAST // timedelta(minutes=1)} minutes before a window" in told
    assert f"may take {limits.staging // 60} minutes" in told

    late = early(hosts=1, names=["late01"])
    late.start()
    late.clock.at = OPENS - stagings.LEAST
    turn(late)
    assert states(late) == ["waiting"]
    assert len(witness.orders) == 1


def test_later_rings_are_served_before_their_turn_and_a_failed_one_is_not(early: Make) -> None:
    deployment = early(hosts=3, rings=[{"hosts": 1}, {"hosts": 1}, {"hosts": 1, "name": "last"}])
    deployment.start()
    Ring.objects.filter(pk=deployment.ring(2).pk).update(state="failed")
    to_the_hours(deployment)
    turns(deployment)
    assert states(deployment) == ["staged", "staged", "waiting"]
    assert deployment.ring(1).state == "pending"
    assert (row(deployment, 2).code, row(deployment, 2).reason) == ("ring", "ring “last” is failed")


def test_the_earliest_start_moves_it_and_after_the_latest_there_is_none(early: Make) -> None:
    deployment = early(hosts=1, earliest=OPENS + timedelta(hours=2))
    deployment.start()
    turn(deployment)
    assert row(deployment).not_before == OPENS - timedelta(hours=2)

    late = early(hosts=1, names=["late01"], latest=OPENS - timedelta(hours=1))
    late.start()
    turn(late)
    assert row(late).state == "refused"
    assert row(late).reason == "none of its windows opens again in time"


# --- the gates ----------------------------------------------------------------------------------------------------------
def test_a_halt_a_pause_and_the_kill_switch_keep_it_back_and_a_freeze_does_not(early: Make) -> None:
    deployment = early(hosts=1)
    rollout = deployment.start()
    said: dict[str, Any] = {"actor": deployment.cast.otto, "at": deployment.clock.at}
    to_the_hours(deployment)
    witness = heard(deployment)
    switches.set_kill_switch(on=True, reason="wait", **said)
    turns(deployment)
    switches.set_kill_switch(on=False, reason="go on", **said)
    rollouts.pause(rollout_id=rollout.pk, reason="wait", **said)
    turns(deployment)
    rollouts.halt(rollout_id=rollout.pk, cause="look", **said)
    turns(deployment)
    assert witness.orders == []
    assert states(deployment) == ["waiting"]
    rollouts.resume(rollout_id=rollout.pk, **said)
    at = deployment.clock.at
    FreezeWindow.objects.create(
        name="Year end", reason="books", starts_at=at - timedelta(hours=1), ends_at=at + timedelta(days=9), passes=[],
        declared_by=deployment.cast.cal, declared_at=at,
    )  # fmt: skip
    deployment.pass_time(minutes=2)
    turns(deployment)
    assert states(deployment) == ["staged"], "nothing but files is put on the host"


def test_a_point_that_does_not_answer_makes_it_wait_and_its_way_goes_with_the_order(early: Make) -> None:
    deployment = early(hosts=1)
    said: dict[str, Any] = {"actor": deployment.cast.cora, "at": deployment.clock.at}
    group = groups.add(name="behind dp", host_ids=[h.pk for h in deployment.hosts], **said)
    point = points.add(name="dp", address="http://dp.example.org:3142", group_id=group.pk, **said)
    deployment.start()
    to_the_hours(deployment)
    witness = heard(deployment)
    turns(deployment)
    assert states(deployment) == ["waiting"]
    assert (row(deployment).code, slips_ahead(deployment)[-1].verdict) == ("downloads", "defer")
    DistributionPoint.objects.filter(pk=point.pk).update(
        answered=True, checked_at=deployment.clock.at + timedelta(minutes=2)
    )
    deployment.pass_time(minutes=3)
    turns(deployment)
    assert states(deployment) == ["staged"]
    assert [order.way and order.way.point for order in witness.orders] == ["dp"]


def test_it_makes_room_for_a_job_of_another_rollout(early: Make) -> None:
    deployment = early(hosts=1)
    mine = deployment.start()
    to_the_hours(deployment)
    at, ring = deployment.clock.at, deployment.ring()
    twin = Rollout.objects.create(
        number="RO-2026-09999", release=mine.release, manifest=mine.manifest, state="stopped", executor=mine.executor,
        planned_by=mine.planned_by, planned_at=at, state_at=at, started_by=mine.started_by, started_at=at,
    )  # fmt: skip
    lane = Ring.objects.create(
        rollout=twin,
        position=0,
        name="all",
        concurrency=1,
        failure_limit=1,
        success_percent=95,
        soak_seconds=0,
        state_at=at,
    )
    other = Job.objects.create(
        rollout=twin, ring=lane, host=deployment.hosts[0], job_key="other", state="installing", state_at=at
    )
    witness = heard(deployment)
    stagings.sweep(now=at)
    stagings.run(ring_id=ring.pk, owner="test", now=deployment.clock.now)
    assert witness.orders == []
    one = Staging.objects.get()
    assert (one.state, one.code, one.reason) == ("waiting", "alone", "other is at work there")
    assert one.not_before == at + BUSY

    Job.objects.filter(pk=other.pk).update(state="failed")
    deployment.clock.at = at + BUSY
    stagings.run(ring_id=ring.pk, owner="test", now=deployment.clock.now)
    deployment.clock.wait(15)
    stagings.run(ring_id=ring.pk, owner="test", now=deployment.clock.now)
    assert states(deployment) == ["staged"]


def test_a_manifest_that_was_changed_gets_no_order(early: Make) -> None:
    deployment = early(hosts=1)
    rollout = deployment.start()
    turn(deployment)
    to_the_hours(deployment)
    witness = heard(deployment)
    document = rollout.manifest.document
    document["artifacts"][0]["sha256"] = "0" * 64
    with append_only.lifted(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE releases_manifest SET document = %s WHERE id = %s", [json.dumps(document), rollout.manifest_id]
        )
    turns(deployment)
    assert witness.orders == []
    assert states(deployment) == ["waiting"]


# --- how it ends --------------------------------------------------------------------------------------------------------
def test_what_may_pass_is_tried_three_times_under_keys_of_its_own(early: Make) -> None:
    deployment = early(hosts=1)
    deployment.habit(0, "locked")
    deployment.start()
    to_the_hours(deployment)
    witness = heard(deployment)
    witness.says = advised("disk_full", "no space.")
    for _attempt in range(5):
        turns(deployment, 2)
        deployment.pass_time(minutes=11)
    assert states(deployment) == ["failed"]
    assert (row(deployment).attempt, row(deployment).code) == (3, "locked")
    assert "3 attempts came to nothing, and no other follows: no space. What to do: free space on the host" in (
        row(deployment).statement
    )
    assert "tried again" not in row(deployment).statement
    assert len({order.job_key for order in witness.orders}) == len(witness.orders) == 3


def test_a_host_that_is_not_reached_is_tried_again_and_its_turn_ends_that_with_the_cause(early: Make) -> None:
    deployment = early(hosts=1)
    deployment.habit(0, "unreachable")
    deployment.start()
    to_the_hours(deployment)
    turns(deployment, 2)
    assert (states(deployment), row(deployment).code, row(deployment).attempt) == (["waiting"], "unreachable", 1)
    deployment.habit(0, None)
    Job.objects.update(state="installing")
    turn(deployment)
    assert states(deployment) == ["refused"]
    assert row(deployment).reason.startswith(
        "its job is installing: it fetches its files itself, and until then it waited because "
    )
    assert "does not answer" in row(deployment).reason


def test_who_falls_silent_is_unknown_after_an_hour(early: Make) -> None:
    deployment = early(hosts=1, habits=Habits(staging=(9000, 9001)))
    deployment.start()
    to_the_hours(deployment)
    turns(deployment, 2)
    deployment.habit(0, "unreachable")
    since = row(deployment).state_at
    turns(deployment, 4)
    assert (states(deployment), row(deployment).state_at) == (["ordered"], since)
    said = "Nobody knows how far it is, as it does not answer: "
    assert row(deployment).statement.startswith(said)
    noted = AuditEntry.objects.filter(verb="release.staging.noted")
    assert noted.count() == 1, "as long as nothing else is known"
    page = Client()
    page.force_login(deployment.cast.rex)
    shown = page.get(f"{deployment.rollout.get_absolute_url()}?target={deployment.job().pk}").text
    assert shown.count(said) == 2, "of the host, and beside the slip that let it through"
    assert "1 being laid ready: it does not answer" in shown
    deployment.habit(0, None)
    turns(deployment, 4)
    assert (row(deployment).statement, row(deployment).code, noted.count()) == ("It answers, and is at it.", "", 2)
    deployment.habit(0, "unreachable")
    turns(deployment, 2)
    deployment.pass_time(minutes=61)
    turn(deployment)
    assert (states(deployment), row(deployment).code) == (["unknown"], "unreachable")


def test_a_job_that_comes_meanwhile_is_made_way_for(early: Make) -> None:
    deployment = early(hosts=1, habits=Habits(staging=(20_000, 20_001)))
    deployment.start()
    to_the_hours(deployment)
    turn(deployment)
    assert states(deployment) == ["ordered"]
    deployment.simulator.habits = Habits()
    deployment.clock.at = OPENS
    deployment.work()
    for _again in range(3):
        deployment.pass_time(minutes=3)
        deployment.work()
    turn(deployment)
    assert deployment.states() == ["succeeded"]
    assert (states(deployment), row(deployment).code) == (["refused"], "cancelled")


def test_a_stop_calls_it_off(early: Make) -> None:
    deployment = early(hosts=2, habits=Habits(staging=(9000, 9001)))
    rollout = deployment.start()
    to_the_hours(deployment)
    turn(deployment)
    rollouts.stop(rollout_id=rollout.pk, reason="enough", actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.tick()
    deployment.clock.wait(15)
    turns(deployment)
    assert states(deployment) == ["refused", "refused"]
    assert {one.code for one in Staging.objects.all()} == {"cancelled"}


def test_a_way_back_lays_nothing_ready(early: Make) -> None:
    deployment = early(hosts=1)
    deployment.start()
    Rollout.objects.update(reverses=Rollout.objects.get().pk)
    turn(deployment)
    assert not Staging.objects.exists()


# --- laws ---------------------------------------------------------------------------------------------------------------
def test_messages_that_come_twice_or_late_change_nothing(early: Make) -> None:
    deployment = early(hosts=2)
    deployment.start()
    to_the_hours(deployment)
    witness = heard(deployment)
    stagings.sweep(now=deployment.clock.at)
    ring = deployment.ring().pk
    assert stagings.run(ring_id=ring, owner="one", now=deployment.clock.now) == 2
    assert stagings.run(ring_id=ring, owner="two", now=deployment.clock.now) == 0, "not due again yet"
    deployment.clock.wait(15)
    assert stagings.run(ring_id=ring, owner="two", now=deployment.clock.now) == 2
    assert stagings.run(ring_id=ring, owner="one", now=deployment.clock.now) == 0
    assert len(witness.orders) == 2
    assert stagings.ask(rollout_id=deployment.rollout.pk, actor=deployment.cast.bot, at=deployment.clock.at) == 0


def test_a_late_holder_is_shut_out(early: Make) -> None:
    deployment = early(hosts=1)
    deployment.start()
    to_the_hours(deployment)
    turn(deployment)
    held = stagings.queue.Claim(row(deployment).pk, row(deployment).fence - 1)
    late = stagings.Party(deployment.ring().pk, [held], deployment.clock.now)
    assert late.fire({held.pk: ("stage", {"reason": "late"})}) == []
    assert states(deployment) == ["ordered"]


def test_many_hosts_cost_no_more_statements_than_few(early: Make) -> None:
    def asked(hosts: int, name: str) -> int:
        deployment = early(hosts=hosts, names=[f"{name}{n:02d}" for n in range(hosts)])
        deployment.start()
        to_the_hours(deployment)
        with CaptureQueriesContext(connection) as found:
            turn(deployment)
        assert set(states(deployment)) == {"ordered"}
        Rollout.objects.filter(release=deployment.release).update(state="completed")
        Staging.objects.all().delete()
        return len(found)

    few, lots = asked(2, "few"), asked(9, "lots")
    assert lots <= few


# --- the profile --------------------------------------------------------------------------------------------------------
def test_the_profile_says_it_and_who_cannot_keep_it_is_refused(cast: Cast) -> None:
    assert staging_rule({"stage_hours": 1}) == "laid ready up to 1 hour before the window"
    assert staging_rule({}) == "fetched in the window"
    problems = profile_problems({"restart": "never", "stage_hours": 169})
    assert [b.code for b in problems] == ["profile.stage_hours"]
    profile = {"name": "P", "restart": "never", "stage_hours": 2}
    assert find_unkept(profile, "ssh") == []
    assert [b.code for b in find_unkept(profile, "manual")] == ["profile.unsupported"]


# --- what people see ----------------------------------------------------------------------------------------------------
def test_the_page_the_list_rest_and_the_admin_site_tell_it(early: Make) -> None:
    deployment = early(hosts=3, rings=[{"hosts": 3, "failure_limit": 3}])
    deployment.habit(1, "refuse")
    deployment.start()
    page, address = Client(), deployment.rollout.get_absolute_url()
    page.force_login(deployment.cast.rex)
    assert "nothing was asked for yet" in page.get(address).content.decode()
    to_the_hours(deployment)
    turns(deployment)

    text = page.get(f"{address}?target={deployment.job(1).pk}").content.decode()
    assert "Laid ready on 2 of 3 hosts" in text
    assert "1 could not be laid ready: it would change more than was signed" in text
    assert "so its job fetches its files itself" in text
    rows = page.get(f"{address}hosts/?staging=failed").content.decode()
    assert deployment.hosts[1].name in rows
    assert deployment.hosts[0].name not in rows
    assert "could not be laid ready: it would change more than was signed" in rows

    client = APIClient()
    client.force_authenticate(deployment.cast.otto)
    found = client.get(f"/api/v1/jobs/?rollout={deployment.rollout.pk}&staging__state=failed").json()["results"]
    assert [(one["host"], one["staging"]["state"], one["staging"]["code"]) for one in found] == [
        (deployment.hosts[1].pk, "failed", "not_contained")
    ]

    page.force_login(deployment.cast.otto)
    listed = page.get("/admin/releases/staging/")
    assert listed.status_code == 200
    assert listed.content.decode().count("-staging-1") >= 3
    assert page.get(f"/admin/releases/staging/{row(deployment).pk}/change/").status_code == 200
    page.force_login(deployment.cast.eve)
    assert row(deployment).key not in page.get("/admin/releases/staging/").content.decode()


def test_verdicts_about_files_and_about_the_job_are_apart_and_neither_hides_the_other(early: Make) -> None:
    deployment = early(hosts=1)
    deployment.start()
    to_the_hours(deployment)
    turns(deployment)
    job = deployment.job()
    page, client, stranger = Client(), APIClient(), APIClient()
    page.force_login(deployment.cast.rex)
    client.force_authenticate(deployment.cast.otto)
    stranger.force_authenticate(deployment.cast.eve)
    address, rest = f"{deployment.rollout.get_absolute_url()}?target={job.pk}", f"/api/v1/jobs/{job.pk}"

    def told(which: str) -> list[tuple[int, str]]:
        return [(one["attempt"], one["verdict"]) for one in client.get(f"{rest}/{which}/").json()]

    assert (told("slips"), told("staging-slips")) == ([], [(0, "run")])
    text = page.get(address).content.decode()
    assert "Its files before the window" in text
    assert "Its files are laid ready now, because window" in text
    assert "Its gates are asked when its turn comes." in text

    deployment.clock.at = OPENS + timedelta(minutes=1)
    deployment.work()
    said = {
        "rollout": deployment.rollout,
        "job": job,
        "verdict": "defer",
        "statement": "later",
        "asked_at": deployment.clock.at,
    }
    ahead, own = ([PermissionSlip(attempt=n, **said) for _one in range(150)] for n in (0, 1))
    assert told("slips") == [(1, "run")]
    PermissionSlip.objects.bulk_create(ahead)
    assert told("slips") == [(1, "run")]
    assert told("staging-slips") == [(0, "defer")] * 100
    PermissionSlip.objects.bulk_create(own)
    assert told("staging-slips") == [(0, "defer")] * 100
    for which in ("slips", "staging-slips"):
        assert stranger.get(f"{rest}/{which}/").status_code == 404

    with CaptureQueriesContext(connection) as asked:
        page.get(address)
    whole = [one["sql"] for one in asked if re.search(r'"releases_manifest"."document"(,| FROM)', one["sql"])]
    assert len(whole) == 1, [one[:100] + one[-400:] for one in whole]


def test_the_page_asks_as_often_for_many_hosts_as_for_few(early: Make) -> None:
    def asked(hosts: int, name: str) -> int:
        deployment = early(hosts=hosts, names=[f"{name}{n:02d}" for n in range(hosts)])
        deployment.start()
        to_the_hours(deployment)
        turn(deployment)
        page = Client()
        page.force_login(deployment.cast.rex)
        page.get(deployment.rollout.get_absolute_url())
        with CaptureQueriesContext(connection) as one:
            page.get(deployment.rollout.get_absolute_url())
        with CaptureQueriesContext(connection) as two:
            page.get(f"{deployment.rollout.get_absolute_url()}hosts/")
        return len(one) + len(two)

    assert asked(12, "lots") <= asked(2, "few")


# --- whom nobody waits for ----------------------------------------------------------------------------------------------
def test_a_host_that_is_left_out_is_told_to_leave_it(early: Make) -> None:
    deployment = early(hosts=2, habits=Habits(staging=(3000, 3000)))
    deployment.start()
    to_the_hours(deployment)
    turns(deployment, 2)
    assert states(deployment) == ["ordered", "ordered"]
    jobs.cancel(job_id=deployment.job(0).pk, reason="Not this one.", actor=deployment.cast.otto, at=deployment.clock.at)
    turns(deployment, 3)
    assert states(deployment) == ["refused", "ordered"]
    assert row(deployment).code == "cancelled"


def test_a_host_that_cannot_be_asked_any_more_is_given_up_and_says_why(early: Make) -> None:
    deployment = early(hosts=1, habits=Habits(staging=(9000, 9000)))
    deployment.start()
    to_the_hours(deployment)
    turns(deployment, 2)
    Connection.objects.all().delete()
    turns(deployment, 2)
    assert states(deployment) == ["ordered"]
    assert row(deployment).statement.startswith("Nobody knows how far it is, as it cannot be asked: ")
    deployment.pass_time(minutes=61)
    turns(deployment, 2)
    assert states(deployment) == ["unknown"]
    assert row(deployment).reason.startswith("it cannot be asked: ")


def test_an_earliest_start_behind_many_openings_is_waited_for(early: Make, now: datetime) -> None:
    deployment = early(hosts=1, earliest=now + timedelta(days=20), latest=now + timedelta(days=40))
    deployment.start()
    turns(deployment)
    one = row(deployment)
    assert (one.state, one.not_before) == ("waiting", OPENS + timedelta(days=21, hours=-4)), one.statement


def test_so_many_hosts_of_a_rollout_are_laid_ready_at_once(early: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stagings, "CREW", 3)
    monkeypatch.setattr(stagings, "PARTY", 2)
    deployment = early(hosts=5, rings=[{"hosts": 4}, {"hosts": 1}], habits=Habits(staging=(600, 600)))
    deployment.start()
    to_the_hours(deployment)
    turns(deployment, 3)
    assert sorted(states(deployment)) == ["ordered", "ordered", "ordered", "waiting", "waiting"]
    deployment.pass_time(minutes=11)
    turns(deployment, 6)
    assert sorted(states(deployment)) == ["ordered", "ordered", "staged", "staged", "staged"], (
        "who has ended makes room"
    )


def test_a_host_that_stays_away_is_asked_ever_less_often(early: Make) -> None:
    deployment = early(hosts=1, hours=100)
    deployment.clock.at = OPENS - timedelta(hours=3)
    deployment.start()
    deployment.habit(0, "unreachable")
    pauses = []
    for _time in range(40):
        turns(deployment, 1)
        one = row(deployment)
        if one.not_before and one.not_before > deployment.clock.at:
            pauses.append(one.not_before - deployment.clock.at)
            deployment.clock.at = one.not_before
        deployment.clock.wait(15)
        if deployment.clock.at > OPENS:
            break
    entries = AuditEntry.objects.filter(verb="release.staging.put_off").count()
    assert entries <= 6, (entries, pauses)


def test_a_host_to_which_no_order_can_be_made_says_why_once(early: Make) -> None:
    """Its connection was taken away after the gates had looked, and is there again."""
    deployment = early(hosts=1)
    deployment.start()
    to_the_hours(deployment)
    witness = heard(deployment)
    stagings.sweep(now=deployment.clock.at)
    for _look in range(2):
        due = queue.due(Staging.objects.all(), now=deployment.clock.at)
        held = queue.claim(due, owner="test", lease=timedelta(minutes=5), limit=10)
        party = stagings.Party(deployment.ring().pk, held, deployment.clock.now)
        there = list(Connection.objects.all())
        Connection.objects.all().delete()
        assert party.orders
        Connection.objects.bulk_create(there)
        party.give(list(party.rows.values()))
        assert witness.orders == []
        assert (states(deployment), row(deployment).code) == (["waiting"], "order")
        assert row(deployment).reason.startswith("it cannot be ordered: ")
        deployment.clock.wait(11 * 60)
    assert row(deployment).statement.startswith("Is looked at again at 18 Nov 2026 12:52 UTC, because it cannot be ")
    assert AuditEntry.objects.filter(verb="release.staging.deferred").count() == 1
    turns(deployment, 2)
    assert len(witness.orders) == 1
