"""Pages and REST of tasks by hand: the whole walk over REST, the work list, Home and the forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from cmdb.domain import scans
from cmdb.models import ScanRun
from patchflow.kernel import registry
from patchflow.kernel.models import User
from releases.domain.tasks_by_hand import HouseDesk
from releases.executors.manual import ManualExecutor
from releases.models import HandTask, Job, Release
from tests.factories.cmdb import make_package, make_report
from tests.factories.people import Cast
from tests.factories.rollouts import PACKAGE, Deployment, make_deployment
from tests.factories.steps import service_steps
from tests.fakes.hosts import FakeScanner

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def by_hand(cast: Cast, tmp_path: Path, settings: Any) -> Iterator[Deployment]:
    """A deployment on the real clock whose one host waits for a person."""
    settings.PATCHFLOW = {**settings.PATCHFLOW, "SCANNER": "fake"}
    now = datetime.now(UTC)
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=service_steps(cast, now))
    scanner = FakeScanner()
    host = deployment.hosts[0]
    scanner.answers[host.name] = make_report(host, packages=[make_package("openssl", PACKAGE["to"])], collected_at=now)
    registry.scanners._items["fake"] = scanner
    name = f"manual-{deployment.release.executor}"
    registry.executors.add(name, ManualExecutor(HouseDesk(deployment.clock.now), deployment.simulator))
    Release.objects.filter(pk=deployment.release.pk).update(executor=name)
    deployment.release.refresh_from_db()
    deployment.start()
    deployment.tick()
    deployment.visit()
    yield deployment
    del registry.scanners._items["fake"]


def post(person: User, path: str, **body: Any) -> Any:
    client = APIClient()
    client.force_authenticate(person)
    return client.post(f"/api/v1/{path}", body, format="json")


def as_person(client: Client, person: User) -> Client:
    client.force_login(person, backend=BACKEND)
    return client


def pass_on(deployment: Deployment) -> str:
    deployment.pass_time(seconds=31)
    Job.objects.filter(pk=deployment.job().pk).update(not_before=None)
    deployment.visit()
    return str(deployment.job().state)


def test_the_whole_walk_by_rest(by_hand: Deployment, cast: Cast) -> None:
    client = APIClient()
    client.force_authenticate(cast.otto)
    [task] = client.get("/api/v1/tasks/?state=waiting").json()["results"]
    assert task["order"]["artifacts"][0]["sha256"]
    assert post(cast.ann, f"tasks/{task['id']}/begin/").status_code == 403
    assert post(cast.otto, f"tasks/{task['id']}/begin/").json()["state"] == "begun"
    assert pass_on(by_hand) == "installing"
    done = post(cast.otto, f"tasks/{task['id']}/finish/", remark="From the stick")
    assert (done.json()["state"], done.json()["ended_by"]) == ("done", "otto")
    refused = post(cast.cora, f"tasks/{task['id']}/attest/", remark="Seen", packages={"openssl": "1"})
    assert refused.status_code == 409
    assert pass_on(by_hand) == "verifying"
    scans.run(scan_run_id=ScanRun.objects.get().pk, now=by_hand.clock.at)
    assert pass_on(by_hand) == "succeeded"


def test_home_the_work_list_and_the_page_lead_a_person_through(by_hand: Deployment, cast: Cast, client: Client) -> None:
    task = HandTask.objects.get()
    assert "Update by hand" in as_person(client, cast.otto).get("/").content.decode()
    assert by_hand.hosts[0].name in client.get("/tasks/").content.decode()
    page = client.get(task.get_absolute_url()).content.decode()
    assert PACKAGE["to"] in page
    assert "web.service" in page
    assert task.order["artifacts"][0]["sha256"] in client.get(f"/tasks/{task.pk}/instruction/").content.decode()
    for verb, body in (("begin", {}), ("finish", {"remark": "From the stick"})):
        assert client.get(f"/tasks/{task.pk}/{verb}/").status_code == 200
        assert client.post(f"/tasks/{task.pk}/{verb}/", body).status_code == 302
    assert HandTask.objects.get().state == "done"
    attest = client.get(f"/tasks/{task.pk}/attest/").content.decode()
    assert "You did this task: another person attests it." in attest
    assert "<textarea" not in attest
    silent = as_person(client, cast.cora).post(f"/tasks/{task.pk}/attest/", {"remark": "x", "version_0": ""})
    assert "Give the version, or say that it is not there." in silent.content.decode()
    as_person(client, cast.otto)
    assert client.post(f"/tasks/{task.pk}/attest/", {"remark": "x", "version_0": "1"}).status_code == 400


def test_nobody_sees_tasks_without_a_role(by_hand: Deployment, cast: Cast, client: Client) -> None:
    task = HandTask.objects.get()
    assert as_person(client, cast.eve).get(task.get_absolute_url()).status_code == 404
    assert "Update by hand" not in as_person(client, cast.rex).get("/").content.decode()


def test_a_task_whose_report_is_late_says_so_in_the_list_and_on_its_page(
    by_hand: Deployment, cast: Cast, client: Client
) -> None:
    task = HandTask.objects.get()
    assert post(cast.otto, f"tasks/{task.pk}/begin/").status_code == 200
    otto = as_person(client, cast.otto)
    assert "overdue by" not in otto.get(task.get_absolute_url()).text
    HandTask.objects.filter(pk=task.pk).update(finish_by=datetime.now(UTC) - timedelta(minutes=13))
    shown = otto.get(task.get_absolute_url()).text
    assert "overdue by 13 min" in shown
    assert "Its time is over: until it is reported the host counts as out of sight" in shown
    assert "missed: " in otto.get("/tasks/").text


def test_a_task_that_could_not_be_done_says_where_its_host_is_helped(
    by_hand: Deployment, cast: Cast, client: Client
) -> None:
    task = HandTask.objects.get()
    for verb, body in (("begin", {}), ("give_up", {"remark": "The key is lost."})):
        assert post(cast.otto, f"tasks/{task.pk}/{verb}/", **body).status_code == 200
    otto = as_person(client, cast.otto)
    helped = "Its host counts as failed: in the rollout it is tried again, or left out."
    assert helped not in otto.get(task.get_absolute_url()).text
    assert pass_on(by_hand) == "failed"
    assert f"The key is lost. {helped}" in otto.get(task.get_absolute_url()).text


def test_the_kill_switch_tells_at_work_and_not_begun_by_hand_apart(
    by_hand: Deployment, cast: Cast, client: Client
) -> None:
    otto, where = as_person(client, cast.otto), "/rollouts/kill-switch/on/"
    waiting = otto.get(where).text
    assert "<b>0</b> <span>hosts at work go on" in waiting
    assert "<b>1</b> <span>host waits for a person, who may not begin" in waiting
    live = otto.get(by_hand.rollout.get_absolute_url()).text
    assert "0 at work · 0 out of sight · 0 waiting · 1 waits for a person" in live
    verbs = [f"{by_hand.rollout.get_absolute_url()}{verb}/" for verb in ("pause", "halt", "stop")]
    for address in verbs:
        asked = otto.get(address).text
        assert re.search(r"<b>0</b> <span>hosts at work (go on|are asked to stop)", asked), address
        assert "<b>1</b> <span>host waits for a person, who may not begin" in asked, address
    back = otto.get(f"{by_hand.rollout.get_absolute_url()}roll-back/").text
    assert "1 host is at work: stop first and wait." in back, "its job is live, whoever has begun"
    assert post(cast.otto, f"tasks/{HandTask.objects.get().pk}/begin/").status_code == 200
    assert "1 at work · 0 out of sight · 0 waiting" in otto.get(by_hand.rollout.get_absolute_url()).text
    begun = otto.get(where).text
    assert "<b>1</b> <span>host at work goes on" in begun
    assert "waits for a person" not in begun
    for address in verbs:
        asked = otto.get(address).text
        assert re.search(r"<b>1</b> <span>host at work (goes on|is asked to stop)", asked), address
        assert "waits for a person" not in asked, address
