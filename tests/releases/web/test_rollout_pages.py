"""The pages of rollouts: complete without JavaScript, one verb per POST, the same refusal as everywhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from patchflow.kernel.models import RoleGrant, User
from patchflow.reports.queries.waiting import waiting_for
from releases.models import Job, KillSwitch, Ring, Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]


@pytest.fixture
def make(cast: Cast, now: datetime, tmp_path: Path) -> Make:
    def run(**given: Any) -> Deployment:
        return make_deployment(cast, now, tmp_path, **given)

    return run


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_the_list_says_what_to_do_where_nothing_was_rolled_out(cast: Cast) -> None:
    page = browser(cast.rex).get("/rollouts/")
    assert page.status_code == 200
    assert "Nothing was rolled out yet" in page.content.decode()


def test_the_page_of_a_halted_rollout_says_why_and_offers_what_helps(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.habit(1, "fail")
    deployment.start()
    deployment.work()
    text = browser(deployment.cast.rex).get(deployment.rollout.get_absolute_url()).content.decode()
    assert "1 of 3 hosts failed" in text
    assert "Retry 1 failed" in text
    assert "Accept as it is" in text
    for host in deployment.hosts:
        assert f'aria-label="{host.name} ' in text
    assert "left half-configured" in text
    assert "Window open for long enough" in text
    ring = deployment.rollout.rings.get()
    assert text.count(f'href="/rings/{ring.pk}/retry/"') == 2, (
        "at the top, where one looks for the way on, and in its ring"
    )
    before = browser(deployment.cast.rex).get(f"/rings/{ring.pk}/retry/").text
    assert re.search(rf"<li>{deployment.hosts[1].name}: .*half-configured", before), "which host, and what became of it"


def test_the_way_back_of_a_release_is_offered_only_where_its_rollout_can_be_taken_back(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    deployment.start()
    rex, release = browser(deployment.cast.rex), deployment.release
    place = f"{release.get_absolute_url()}roll-back/"
    text = rex.get(place).content.decode()
    assert "No host was changed." in text
    assert "<form" not in text[text.index("<main") :]
    deployment.work()
    text = rex.get(place).content.decode()
    assert "No host was changed." not in text
    assert "<form" in text[text.index("<main") :]


def test_a_failed_host_of_a_rollout_that_goes_on_stands_on_home(make: Make, now: datetime) -> None:
    deployment = make(hosts=4, rings=[{"hosts": 4, "concurrency": 1, "failure_limit": 3}])
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work(until=lambda: deployment.job(0).state == "failed")
    rollout = Rollout.objects.get(pk=deployment.rollout.pk)
    acts = [(todo.act, todo.url) for todo in waiting_for(deployment.cast.rex, at=now)]
    assert (rollout.state, ("Help 1 failed host", rollout.get_absolute_url()) in acts) == ("running", True), acts
    assert not [todo for todo in waiting_for(deployment.cast.mia, at=now) if todo.act.startswith("Help")]


def test_the_log_tells_the_time_in_the_zone_of_who_reads(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    deployment.work()
    rex, job = deployment.cast.rex, Job.objects.get(rollout=deployment.rollout)
    User.objects.filter(pk=rex.pk).update(time_zone="Asia/Kolkata")
    event = job.events.latest("seq")
    there = event.at.astimezone(ZoneInfo("Asia/Kolkata"))
    place, client = deployment.rollout.get_absolute_url(), browser(User.objects.get(pk=rex.pk))
    for address in (place, f"{place}?target={job.pk}", f"{place}log/"):
        text = client.get(address).content.decode()
        assert f"{there:%H:%M:%S} IST" in text, address
        assert f"{event.at:%H:%M:%S} " not in text, address


def test_every_verb_of_the_page_can_be_done_without_javascript(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    client, address = browser(deployment.cast.rex), deployment.rollout.get_absolute_url()
    for verb, state in (("pause", "paused"), ("resume", "running"), ("halt", "halted"), ("stop", "stopping")):
        shown = client.get(f"{address}{verb}/")
        assert (shown.status_code, "This will reach" in shown.content.decode()) == (200, True)
        done = client.post(f"{address}{verb}/", {"reason": "as tested"})
        assert (done.status_code, done["Location"]) == (302, address)
        assert Rollout.objects.get().state == state


def test_an_act_that_is_not_possible_says_why_in_place_of_its_form(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    ring, rex = deployment.ring(), browser(deployment.cast.rex)
    Ring.objects.filter(pk=ring.pk).update(state="running")
    for address, why in (
        (f"{deployment.rollout.get_absolute_url()}resume/", "It is running. This is possible only where it is"),
        (f"/releases/{deployment.release.pk}/void/", "It is deploying. This is possible only where it is ready."),
        (f"/rings/{ring.pk}/skip/", "It is running. This is possible only where it is"),
        (f"/rings/{ring.pk}/retry/", "No host of this ring has failed."),
        ("/rollouts/kill-switch/off/", "The kill switch is off: there is nothing to turn off."),
    ):
        text = rex.get(address).text
        assert "Not possible now, and why" in text, address
        assert why in text, address
        assert 'type="submit" class="btn danger solid"' not in text, address
    acceptance = rex.get(f"/rings/{ring.pk}/accept-partial/").text
    assert "only one that has failed is accepted as it is" in acceptance
    assert "This needs the role" in browser(deployment.cast.aud).get(f"/rings/{ring.pk}/skip/").text


def test_a_host_out_of_sight_is_not_said_to_be_at_work(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    Job.objects.filter(pk=deployment.job(0).pk).update(state="unknown")
    rex = browser(deployment.cast.rex)
    shown = rex.get(deployment.rollout.get_absolute_url()).text
    assert "0 hosts are at work in ring “ring 0”, 1 is out of sight, 2 wait." in shown
    assert "1 host is out of sight: look at it, or stop and wait until it is known." in shown
    stop = rex.get(f"{deployment.rollout.get_absolute_url()}stop/").text
    assert "host out of sight is looked at until it is known" in stop


def test_a_rollout_that_waits_for_hosts_out_of_sight_alone_says_that_it_stands_still(make: Make) -> None:
    deployment = make(hosts=4, rings=[{"hosts": 4, "concurrency": 4, "failure_limit": 4, "success_percent": 90}])
    deployment.start()
    Ring.objects.update(state="running")
    for index, state in enumerate(("failed", "unknown", "succeeded", "succeeded")):
        Job.objects.filter(pk=deployment.job(index).pk).update(state=state)
    rex, address = browser(deployment.cast.rex), deployment.rollout.get_absolute_url()
    shown = rex.get(address).text
    name = deployment.hosts[1].name
    assert "Stands still: ring “ring 0” waits until its hosts out of sight are known." in shown
    assert f"Look again at {name}." in shown
    assert "Even if all of them are good, too few of its hosts are: retry what failed, or the ring fails." in shown
    assert "3 of 4 hosts have ended, 1 of them badly · 0 at work · 1 out of sight · 0 waiting" in shown
    assert "No estimate while it stands still." in shown
    assert "Estimate: done" not in shown
    assert "Stands still until its hosts out of sight are known" in rex.get("/rollouts/").text


def test_a_rollout_at_work_elsewhere_does_not_stand_still(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 3}])
    deployment.start()
    Ring.objects.update(state="running")
    for index, state in enumerate(("unknown", "installing", "pending")):
        Job.objects.filter(pk=deployment.job(index).pk).update(state=state)
    rex = browser(deployment.cast.rex)
    assert "Stands still" not in rex.get(deployment.rollout.get_absolute_url()).text
    assert "Stands still" not in rex.get("/rollouts/").text


def test_a_refusal_keeps_what_was_typed(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    address = deployment.rollout.get_absolute_url()
    answer = browser(deployment.cast.aud).post(f"{address}stop/", {"reason": "I would rather not"})
    assert answer.status_code == 400
    assert "I would rather not" in answer.content.decode()
    assert "This needs the role" in answer.content.decode()
    assert browser(deployment.cast.rex).post(f"{address}stop/", {"reason": ""}).status_code == 400
    assert Rollout.objects.get().state == "running"


def test_who_sees_none_of_its_hosts_does_not_find_it(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    address = deployment.rollout.get_absolute_url()
    assert browser(deployment.cast.eve).get(address).status_code == 404
    RoleGrant.objects.create(user=deployment.cast.eve, role="reader", scope="group:99999")
    assert browser(deployment.cast.eve).get(address).status_code == 404
    assert deployment.rollout.number not in browser(deployment.cast.eve).get("/rollouts/").content.decode()


def test_the_kill_switch_is_one_form(cast: Cast) -> None:
    client, address = browser(cast.otto), "/rollouts/kill-switch/"
    assert client.get(address)["Location"] == f"{address}on/"
    assert client.post(f"{address}on/", {"reason": "storage is on fire"}).status_code == 302
    assert KillSwitch.objects.get().is_on
    assert "storage is on fire" in client.get("/rollouts/").content.decode()
    assert client.get(address)["Location"] == f"{address}off/"
    assert client.post(f"{address}off/", {"reason": "put out"}).status_code == 302
    assert not KillSwitch.objects.get().is_on


def test_who_came_second_to_the_kill_switch_does_not_turn_it_off(cast: Cast) -> None:
    address = "/rollouts/kill-switch/on/"
    assert browser(cast.otto).post(address, {"reason": "storage is on fire"}).status_code == 302
    late = browser(cast.rex).post(address, {"reason": "so it is"})
    assert late.status_code == 400
    assert "The kill switch is on already" in late.text
    assert "so it is" in late.text
    assert browser(cast.rex).post("/rollouts/kill-switch/", {"reason": "which way?"}).status_code == 405
    assert KillSwitch.objects.get().is_on


def test_a_rollout_leads_to_the_kill_switch_and_estimates_nothing_while_it_is_on(make: Make) -> None:
    deployment = make(hosts=3, rings=[{"hosts": 3, "concurrency": 1}])
    deployment.start()
    address, otto = deployment.rollout.get_absolute_url(), browser(deployment.cast.otto)
    before = otto.get(address).text
    assert 'href="/rollouts/kill-switch/"' in before
    assert "No estimate" not in before
    assert 'href="/rollouts/kill-switch/"' not in browser(deployment.cast.aud).get(address).text
    assert otto.post("/rollouts/kill-switch/on/", {"reason": "storage is on fire"}).status_code == 302
    stopped = otto.get(address).text
    assert "No estimate while the kill switch is on." in stopped
    assert "are assumed" not in stopped
    said = "Kill switch on: nothing starts"
    assert stopped.count(said) == 2, "beside its state, and at the foot of the page"
    assert otto.get("/rollouts/").text.count(said) == 2, "it waits for the switch at once, not from its next tick on"
    assert before.count(said) == 0


def test_a_cell_keeps_its_place_whatever_becomes_of_its_host(make: Make) -> None:
    """Cells stand by name: whoever aims at one hits it although the page has renewed itself."""
    deployment = make(hosts=4, rings=[{"hosts": 4, "concurrency": 2}])
    deployment.start()
    client, address = browser(deployment.cast.rex), deployment.rollout.get_absolute_url()

    def cells() -> list[str]:
        lane = client.get(address).text.partition('class="cells"')[2].partition("</ul>")[0]
        return re.findall(r"target=(\d+)", lane)

    before = cells()
    Job.objects.filter(pk=deployment.job(3).pk).update(state="failed")
    assert len(before) == 4
    assert cells() == before


def test_a_ring_says_how_many_of_its_hosts_are_worked_on_together(make: Make) -> None:
    """A limit above the number of its hosts is no figure to show: then it is all of them."""
    deployment = make(hosts=7, rings=[{"hosts": 4, "concurrency": 8}, {"hosts": 2, "concurrency": 1}, {"hosts": 1}])
    deployment.start()
    shown = browser(deployment.cast.rex).get(deployment.rollout.get_absolute_url()).text
    said = re.findall(r"its hosts are worked on: ([^<]*)<", shown)
    assert said == ["all at once", "at most 1 at once"]


def test_the_page_asks_as_often_for_any_number_of_hosts(make: Make) -> None:
    deployment = make(hosts=4, rings=[{"hosts": 1}, {"hosts": 3}])
    deployment.start()
    client, address = browser(deployment.cast.rex), deployment.rollout.get_absolute_url()
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        client.get(address)
    assert len(queries) <= 60, len(queries)
