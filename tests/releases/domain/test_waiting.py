"""What hosts and rollouts wait for, in words: as things stand when they are read, not when a row was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from patchflow.celery import app
from patchflow.kernel import bell, queue
from releases.domain import rollouts, slips, switches
from releases.domain.waiting import Waiting, still
from releases.domain.working import others_wait
from releases.models import Job, KillSwitch, Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
PLACES = "Waits until one of the 2 places of its ring is free."
SWITCH = "Waits, because the kill switch is on: Smoke in the hall."


@pytest.fixture
def make(cast: Cast, now: datetime, tmp_path: Path) -> Make:
    def run(**given: Any) -> Deployment:
        return make_deployment(cast, now, tmp_path, **given)

    return run


@pytest.fixture
def full(make: Make) -> Deployment:
    """Two hosts at work in the two places of the first ring, two more of it and one of the second ring behind them."""
    deployment = make(hosts=5, rings=[{"hosts": 4, "concurrency": 2}, {"hosts": 1, "concurrency": 1}])
    deployment.start()
    first = list(Job.objects.filter(ring__position=0).order_by("pk").values_list("pk", flat=True))
    Rollout.objects.update(state="running")
    deployment.rollout.rings.filter(position=0).update(state="running")
    Job.objects.filter(pk__in=first[:2]).update(state="installing")
    return deployment


def turn_on(deployment: Deployment) -> None:
    KillSwitch.objects.update_or_create(name="all", defaults={"is_on": True, "reason": "Smoke in the hall."})


def over_rest(deployment: Deployment) -> list[str]:
    client = APIClient()
    client.force_authenticate(deployment.cast.otto)
    answer = client.get(f"/api/v1/jobs/?rollout={deployment.rollout.pk}&state=pending").json()
    return [row["statement"] for row in sorted(answer["results"], key=lambda row: row["id"])]


def on_pages(deployment: Deployment) -> tuple[str, list[str]]:
    """The list of the hosts, and the page of each that waits."""
    client = Client()
    client.force_login(deployment.cast.otto)
    back = deployment.rollout.get_absolute_url()
    waiting = Job.objects.filter(rollout=deployment.rollout, state="pending").order_by("pk")
    return (
        client.get(f"{back}hosts/").content.decode(),
        [client.get(f"{back}?target={job.pk}").content.decode() for job in waiting],
    )


def test_a_host_of_a_full_ring_waits_for_a_place(full: Deployment) -> None:
    said = [PLACES, PLACES, "Waits until its ring is open."]
    assert over_rest(full) == said
    listed, each = on_pages(full)
    assert listed.count(PLACES) == 2
    assert all(sentence in page for sentence, page in zip(said, each, strict=True))


def test_a_host_is_asked_next_where_a_place_is_free(full: Deployment) -> None:
    Job.objects.filter(state="installing").update(state="succeeded")
    assert over_rest(full)[:2] == ["Its gates are asked next."] * 2


def test_the_kill_switch_is_told_before_any_tick(full: Deployment) -> None:
    turn_on(full)
    assert over_rest(full) == [SWITCH] * 3
    listed, each = on_pages(full)
    assert listed.count(SWITCH) == 3
    assert all(SWITCH in page for page in each)
    client = APIClient()
    client.force_authenticate(full.cast.otto)
    assert client.get(f"/api/v1/rollouts/{full.rollout.pk}/").json()["statement"] == SWITCH


@pytest.mark.parametrize(("verb", "state"), [(rollouts.pause, "paused"), (rollouts.stop, "stopping")])
def test_a_host_of_a_rollout_that_does_not_run_says_so(
    full: Deployment, now: datetime, verb: Callable[..., Any], state: str
) -> None:
    verb(rollout_id=full.rollout.pk, reason="Lunch.", actor=full.cast.rex, at=now)
    assert set(over_rest(full)) == {f"Waits, because {full.rollout.number} is {state}."}


def test_a_host_that_was_put_off_names_the_time_that_counts(full: Deployment) -> None:
    job = Job.objects.filter(state="pending").order_by("pk")[0]
    job.statement, job.not_before = "Will be asked again at 18 Nov 2026 11:00 UTC, because it is busy.", NOON
    assert Waiting(NOON - timedelta(minutes=9)).of_job(job) == (
        "Will be asked again at 18 Nov 2026 12:00 UTC, because it is busy."
    )
    assert Waiting(NOON).of_job(job) == "Will be asked again soon, because it is busy."
    slip = slips.ask([("gate", lambda _job: slips.wait("it is busy", NOON - timedelta(hours=1)))], job, at=NOON)
    job.statement = slip.statement  # as it is written today
    assert Waiting(NOON).of_job(job) == "Will be asked again soon, because it is busy."
    assert Waiting(NOON - timedelta(minutes=9)).of_job(job) == (
        "Does not start now (is asked again at 18 Nov 2026 12:00 UTC), because it is busy."
    )
    job.statement = "Will run at 18 Nov 2026 12:00 UTC, because window “Night” opens then."
    assert Waiting(NOON).of_job(job) == PLACES


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("Will be asked again at 18 Nov 2026 11:59 UTC, because a. b.", "Will be asked again soon, because a. b."),
        ("Will be asked again at 18 Nov 2026 12:01 UTC, because a.", "Will be asked again at 18 Nov 2026 12:01 UTC, because a."),
        ("Will be tried again at 18 Nov 2026 11:59 UTC, because a.", "Will be asked again soon, because a."),
        (
            "Will be tried again at 18 Nov 2026 11:59 UTC, in its next window, because a.",
            "Will be asked again soon, because a.",
        ),
        ("Will not run, because a.", "Will not run, because a."),
        ("", ""),
    ],
)  # fmt: skip
def test_no_time_that_is_over_is_named(kept: str, said: str) -> None:
    assert still(kept, at=NOON) == said


def test_a_page_asks_as_often_for_many_as_for_one(full: Deployment, django_assert_num_queries: Any) -> None:
    jobs = list(Job.objects.filter(state="pending").select_related("rollout", "ring"))
    with django_assert_num_queries(2):
        waiting = Waiting(NOON)
        for job in [*jobs, *jobs]:
            waiting.of_job(job)
            waiting.of_rollout(job.rollout)


@pytest.fixture
def broker() -> Iterator[None]:
    """A broker within this process, without messages."""
    url, app.conf.broker_url = app.conf.broker_url, "memory://of-this-test"
    try:
        _emptied()
        yield
        _emptied()
    finally:
        app.conf.broker_url = url


def _emptied() -> None:
    with app.connection_for_write() as connection:
        for name in (*queue.SHORT, "exec"):
            channel = connection.default_channel
            channel.queue_declare(queue=name)
            channel.queue_purge(name)


@pytest.mark.usefixtures("broker")
def test_the_switch_rings_for_what_runs(
    full: Deployment, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        switches.set_kill_switch(on=True, reason="Smoke.", actor=full.cast.otto, at=now)
    assert bell.rung_in(["tick"])


@pytest.mark.usefixtures("broker")
def test_a_visit_gives_way_to_messages_of_other_kinds(
    full: Deployment, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = dict.fromkeys((*queue.SHORT, "exec"))
    monkeypatch.setattr(app.amqp.queues, "_consume_from", taken)
    held = list(Job.objects.values_list("pk", flat=True))
    later = now + timedelta(seconds=2)
    bell.ring("releases.tasks.run_jobs", {"job_ids": held})
    assert not others_wait(now, later, held)
    bell.ring("patchflow.notices.tasks.deliver", {"delivery_id": 1})
    assert not others_wait(now, now, held)
    assert others_wait(now, later, held)
    del taken["notify"]
    assert not others_wait(now, later, held), "a message for other workers"
