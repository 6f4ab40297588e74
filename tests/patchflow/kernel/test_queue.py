"""Due work: a claim is taken once, a fence shuts out the late, the sweep finds what a message lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from celery import current_app

from patchflow.kernel import queue
from patchflow.kernel.management.commands import up
from patchflow.kernel.queue import claim, database_now, release, renew
from tests.crowd import CROWD, together
from tests.factories.people import Cast, make_user
from tests.toys.models import Ball, Box

LEASE = timedelta(seconds=120)


@pytest.fixture
def ball(cast: Cast) -> Ball:
    return Ball.objects.create(box=Box.objects.create(maker=cast.ann))


@pytest.mark.django_db
def test_a_held_row_is_not_claimed_again(ball: Ball) -> None:
    assert [c.pk for c in claim(Ball.objects.all(), owner="a", lease=LEASE)] == [ball.pk]
    assert claim(Ball.objects.all(), owner="b", lease=LEASE) == []


@pytest.mark.django_db
def test_a_lease_that_ran_out_is_taken_over_and_the_late_holder_shut_out(ball: Ball) -> None:
    (first,) = claim(Ball.objects.all(), owner="a", lease=timedelta(seconds=-1))
    (second,) = claim(Ball.objects.all(), owner="b", lease=LEASE)
    assert second.fence == first.fence + 1
    assert not renew(Ball, first, lease=LEASE)
    assert not release(Ball, first)
    assert renew(Ball, second, lease=LEASE)


@pytest.mark.django_db
def test_what_is_not_due_is_left(ball: Ball) -> None:
    Ball.objects.update(not_before=database_now() + timedelta(minutes=1))
    assert claim(Ball.objects.all(), owner="a", lease=LEASE) == []


@pytest.mark.django_db
def test_release_makes_it_due_again(ball: Ball) -> None:
    (held,) = claim(Ball.objects.all(), owner="a", lease=LEASE)
    assert release(Ball, held)
    assert claim(Ball.objects.all(), owner="b", lease=LEASE)


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_costs_nothing(settings: object, caplog: pytest.LogCaptureFixture) -> None:
    from patchflow.celery import app

    url, app.conf.broker_url = app.conf.broker_url, "redis://127.0.0.1:1/0"
    try:
        queue.enqueue("toys.tasks.nothing", row_id=1)
    finally:
        app.conf.broker_url = url


@pytest.mark.django_db
def test_database_now_is_now() -> None:
    from datetime import UTC

    assert abs(database_now() - datetime.now(UTC)) < timedelta(minutes=1)


@CROWD
@pytest.mark.pg
@pytest.mark.django_db(transaction=True)
def test_twenty_workers_claim_each_row_once() -> None:
    box = Box.objects.create(maker=make_user("maker"))
    Ball.objects.bulk_create([Ball(box=box) for _ in range(200)])
    taken: list[int] = []

    def work(name: str) -> None:
        while held := claim(Ball.objects.all(), owner=name, lease=LEASE, limit=7):
            taken.extend(c.pk for c in held)

    together([partial(work, f"w{i}") for i in range(20)])
    assert len(taken) == len(set(taken)) == 200


def test_every_queue_has_a_worker_and_ticks_one_that_does_nothing_else() -> None:
    router = current_app.amqp.router
    queue_of = lambda name: router.route({}, name)["queue"].name  # noqa: E731
    ticks = ["patchflow.kernel.tasks.sweep", "patchflow.kernel.tasks.seal", "releases.tasks.advance_rollout"]
    assert {queue_of(name) for name in ticks} == {"tick"}
    others = [
        "releases.tasks.run_jobs",
        "changes.tasks.evaluate_order",
        "cmdb.tasks.run_scan",
        "patchflow.notices.tasks.deliver",
    ]
    assert [queue_of(name) for name in others] == ["exec", "default", "scan", "notify"]
    served = up.QUEUES.split(",")
    assert {"tick", "exec", "default", "scan", "notify"} == set(served) == {*queue.SHORT, "exec"}
    assert up.TICKING[:2] == ("--queues", "tick")
