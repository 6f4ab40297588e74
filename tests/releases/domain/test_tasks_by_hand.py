"""The executor `manual`: a person does it, a scan verifies, or a second person attests where none can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cmdb.domain import scans
from cmdb.models import Connection, ScanRun
from cmdb.remote.errors import Unreachable
from patchflow.kernel import registry
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant, User
from releases.domain import jobs, switches
from releases.domain import tasks_by_hand as tasks
from releases.domain.tasks_by_hand import HouseDesk
from releases.executors.manual import ManualExecutor
from releases.models import HandTask, Job, JobEvent, Release
from tests.factories.cmdb import make_package, make_report
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import PACKAGE, Deployment, make_deployment
from tests.factories.steps import service_steps
from tests.fakes.hosts import FakeScanner

pytestmark = pytest.mark.django_db
_numbers = count(1)


@dataclass
class Hand:
    """A deployment that people carry out, and the scanner that looks afterwards."""

    deployment: Deployment
    scanner: FakeScanner

    @property
    def now(self) -> datetime:
        return self.deployment.clock.at

    @property
    def task(self) -> HandTask:
        return HandTask.objects.latest("pk")

    @property
    def job(self) -> Job:
        return self.deployment.job()

    def visit(self, *, together: bool = False, **later: float) -> str:
        """Time passes, and a worker looks at the job."""
        self.deployment.pass_time(**(later or {"seconds": 31}))
        clock = self.deployment.clock
        if together:
            jobs.run_many(job_ids=[self.job.pk], owner="test", now=clock.now, wait=clock.wait)
        else:
            self.deployment.visit()
        return str(self.job.state)

    def shows(self, version: str) -> None:
        """From now on a scan finds openssl at this version."""
        host = self.deployment.hosts[0]
        package = make_package("openssl", version)
        self.scanner.answers[host.name] = make_report(host, packages=[package], collected_at=self.now)

    def silent(self) -> None:
        self.scanner.answers[self.deployment.hosts[0].name] = Unreachable("no route to host")

    def scan(self) -> None:
        run = ScanRun.objects.filter(state="queued").latest("pk")
        scans.run(scan_run_id=run.pk, now=self.now)

    def done(self, person: User) -> None:
        tasks.begin(task_id=self.task.pk, actor=person, at=self.now)
        self.visit(seconds=60)
        tasks.finish(task_id=self.task.pk, actor=person, at=self.now, remark="From the USB stick.")


@pytest.fixture
def hand(cast: Cast, now: datetime, tmp_path: Path, settings: Any) -> Iterator[Hand]:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "SCANNER": "fake"}
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=service_steps(cast, now))
    scanner = FakeScanner()
    registry.scanners._items["fake"] = scanner
    name = f"manual-{next(_numbers)}"
    registry.executors.add(name, ManualExecutor(HouseDesk(deployment.clock.now), deployment.simulator))
    Release.objects.filter(pk=deployment.release.pk).update(executor=name)
    deployment.release.refresh_from_db()
    made = Hand(deployment, scanner)
    deployment.start()
    deployment.tick()
    deployment.visit()
    yield made
    del registry.scanners._items["fake"]


@pytest.mark.parametrize("together", [False, True])
def test_a_task_is_begun_and_reported_and_succeeds_by_what_a_scan_shows(hand: Hand, cast: Cast, together: bool) -> None:
    task = hand.task
    assert (task.state, hand.job.state) == ("waiting", "claimed")
    assert task.order["packages"] == [
        {"name": "openssl", "arch": "amd64", "from_version": "1.0-1", "to_version": PACKAGE["to"]}
    ]
    assert [step["name"] for step in task.order["steps"]] == ["Stop web", "Start web"]
    assert hand.visit(together=together) == "claimed"

    tasks.begin(task_id=task.pk, actor=cast.otto, at=hand.now)
    assert hand.visit(together=together) == "installing"
    tasks.finish(task_id=task.pk, actor=cast.otto, at=hand.now, remark="From the USB stick.")
    assert hand.visit(together=together) == "verifying"
    hand.shows(PACKAGE["to"])
    hand.scan()
    assert hand.visit(together=together) == "succeeded"
    assert "scanned" in hand.job.reason
    told = list(JobEvent.objects.filter(job=hand.job).values_list("message", flat=True))
    assert "reported as done by otto: From the USB stick." in told
    assert hand.job.result["seen"]["attested"] is False


def test_what_a_scan_contradicts_has_failed_with_what_was_seen(hand: Hand, cast: Cast) -> None:
    hand.done(cast.otto)
    hand.visit()
    hand.shows("2.0-1")
    hand.scan()
    assert hand.visit() == "failed"
    assert "not at its version: openssl 2.0-1 installed" in hand.job.reason


def test_where_no_scan_is_possible_it_is_unknown_until_a_second_person_attests(hand: Hand, cast: Cast) -> None:
    hand.done(cast.otto)
    with pytest.raises(Blocked):
        tasks.attest(task_id=hand.task.pk, packages={"openssl": "1"}, remark="Seen", actor=cast.cora, at=hand.now)
    hand.visit()
    hand.silent()
    hand.scan()
    assert hand.visit() == "unknown"
    assert "no scan of the host was possible: no route to host" in hand.job.reason

    given = {"task_id": hand.task.pk, "packages": {"openssl": PACKAGE["to"]}, "at": hand.now}
    with pytest.raises(NotAllowed):
        tasks.attest(remark="Seen", actor=cast.otto, **given)
    with pytest.raises(Invalid):
        tasks.attest(remark="", actor=cast.cora, **given)
    with pytest.raises(Invalid):
        tasks.attest(remark="Seen", actor=cast.cora, **{**given, "packages": {}})
    tasks.attest(remark="Read on its console.", actor=cast.cora, **given)
    assert hand.visit() == "succeeded"
    assert hand.job.reason.startswith("attested by cora, no scan could look at it: Read on its console.")
    assert hand.job.result["seen"]["attested"] is True
    assert hand.job.statement.startswith("Succeeded, by a second person's word: attested by cora")


def test_what_is_attested_otherwise_has_failed(hand: Hand, cast: Cast) -> None:
    hand.done(cast.otto)
    hand.visit()
    hand.silent()
    hand.scan()
    hand.visit()
    tasks.attest(task_id=hand.task.pk, packages={"openssl": "2.0"}, remark="Read.", actor=cast.cora, at=hand.now)
    assert hand.visit() == "failed"


def test_a_host_without_a_connection_gets_its_task_all_the_same(hand: Hand, cast: Cast) -> None:
    Connection.objects.all().delete()
    tasks.begin(task_id=hand.task.pk, actor=cast.otto, at=hand.now)
    assert hand.visit() == "installing"


def test_what_could_not_be_done_has_failed_with_the_remark(hand: Hand, cast: Cast) -> None:
    with pytest.raises(Invalid):
        tasks.give_up(task_id=hand.task.pk, remark=" ", actor=cast.otto, at=hand.now)
    tasks.give_up(task_id=hand.task.pk, remark="The key of the room is lost.", actor=cast.otto, at=hand.now)
    assert hand.visit() == "failed"
    assert (hand.job.code, "The key of the room is lost." in hand.job.reason) == ("could_not", True)


def test_a_task_that_nobody_begins_by_the_cut_off_is_given_back_and_may_not_be_begun(hand: Hand, cast: Cast) -> None:
    task = hand.task
    assert (task.minutes, task.begin_by) == (32, hand.now + timedelta(hours=7, minutes=-32))
    hand.deployment.clock.at = task.begin_by + timedelta(seconds=1)
    with pytest.raises(Blocked) as refusal:
        tasks.begin(task_id=task.pk, actor=cast.otto, at=hand.now)
    assert "task.late" in [b.code for b in refusal.value.blockers]
    assert hand.visit() == "pending"
    assert (HandTask.objects.get(pk=task.pk).state, hand.job.attempt) == ("expired", 2)


def test_a_task_that_is_not_reported_in_time_is_out_of_sight_and_looked_at(hand: Hand, cast: Cast) -> None:
    tasks.begin(task_id=hand.task.pk, actor=cast.otto, at=hand.now)
    hand.visit()
    assert hand.visit(minutes=hand.task.minutes + 1) == "unknown"
    assert "otto has begun and has not reported" in hand.job.reason
    hand.visit()
    hand.shows(PACKAGE["to"])
    hand.scan()
    assert hand.visit() == "succeeded"


def test_only_who_may_and_has_not_signed_does_it(hand: Hand, cast: Cast) -> None:
    for role in ("operator", "reader"):
        RoleGrant.objects.get_or_create(user=cast.gus, role=role, scope="")
    signer = User.objects.get(pk=cast.gus.pk)
    for person in (cast.ann, cast.rex, signer):
        with pytest.raises(NotAllowed):
            tasks.begin(task_id=hand.task.pk, actor=person, at=hand.now)
    assert tasks.begin(task_id=hand.task.pk, actor=make_user("olaf", "operator"), at=hand.now).state == "begun"


def test_nothing_begins_while_the_kill_switch_is_on(hand: Hand, cast: Cast) -> None:
    switches.set_kill_switch(on=True, reason="Stop all", actor=cast.otto, at=hand.now)
    with pytest.raises(Blocked) as refusal:
        tasks.begin(task_id=hand.task.pk, actor=cast.otto, at=hand.now)
    assert [b.code for b in refusal.value.blockers] == ["gate.kill_switch"]


def test_leaving_the_host_out_calls_a_waiting_task_off_but_not_one_that_was_begun(hand: Hand, cast: Cast) -> None:
    jobs.cancel(job_id=hand.job.pk, reason="Not tonight", actor=cast.otto, at=hand.now)
    hand.visit()
    assert hand.visit() == "cancelled"
    assert hand.task.state == "called_off"
    with pytest.raises(Conflict):
        tasks.begin(task_id=hand.task.pk, actor=cast.otto, at=hand.now)
