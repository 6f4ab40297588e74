"""How a host downloads: the gate, what it makes of each point, and that the order goes the way that was let through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cmdb.domain import groups, points
from cmdb.models import DistributionPoint, Host
from patchflow.kernel import registry
from releases.domain.host_batches import Batch
from releases.domain.host_gates import ask_hosts
from releases.domain.slips import Slip
from releases.executors.base import JobOrder, Way
from releases.models import Job, JobEvent, PermissionSlip
from releases.queries.rollouts import signed
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
ADDRESS = "http://dp.example.org:3142"


def answers(_address: str) -> tuple[bool | None, str]:
    return True, "It answered within 3 ms."


def is_silent(_address: str) -> tuple[bool | None, str]:
    return False, "dp.example.org did not answer (ConnectTimeout)."


def served(deployment: Deployment, *hosts: Host, name: str = "dp-berlin", **fields: Any) -> DistributionPoint:
    """A point in front of these hosts."""
    said: dict[str, Any] = {"actor": deployment.cast.cora, "at": deployment.clock.at}
    group = groups.add(name=f"behind {name}", host_ids=[h.pk for h in hosts or deployment.hosts], **said)
    return points.add(name=name, address=ADDRESS, group_id=group.pk, **said, **fields)


def slip_of(deployment: Deployment, number: int = 0) -> tuple[Slip, Batch]:
    job = Job.objects.get(host=deployment.hosts[number], rollout__started_at__isnull=False)
    batch = Batch(job.rollout, job.ring, [job], deployment.clock.at)
    return ask_hosts(batch, limit=1)[0][1], batch


def said(slip: Slip) -> tuple[str, str]:
    gate = next(g for g in slip.gates if g["gate"] == "downloads")
    return gate["verdict"], gate["sentence"]


def heard(executor: Any, orders: list[JobOrder]) -> Any:
    """The executor, every order that it is given written down."""

    class Heard:
        def __getattr__(self, name: str) -> Any:
            return getattr(executor, name)

        def start(self, batch: Any) -> Any:
            orders.extend(batch.orders)
            return executor.start(batch)

    return Heard()


def test_what_the_gate_makes_of_a_point(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}])
    deployment.start()
    deployment.tick()
    Job.objects.filter(rollout=deployment.rollout).update(state="pending")
    directly, batch = slip_of(deployment)
    assert said(directly) == ("pass", "no distribution point serves it: it downloads directly")
    assert batch.ways == {}

    cast, at = deployment.cast, deployment.clock.at
    point = served(deployment, deployment.hosts[0])
    slip, _batch = slip_of(deployment)
    assert (slip.verdict, slip.code, slip.not_before) == ("defer", "downloads", at + timedelta(minutes=2))
    assert slip.statement.endswith(
        "because nobody knows whether dp-berlin answers (it was never checked): mend it, or say at the point that its hosts "
        "then download directly."
    )
    assert said(slip_of(deployment, 1)[0])[0] == "pass", "the other host is no member"

    points.check(point_id=point.pk, actor=cast.otto, at=at, ask=answers)
    slip, batch = slip_of(deployment)
    assert said(slip) == ("pass", "it downloads through dp-berlin")
    assert batch.ways == {deployment.hosts[0].pk: Way(point="dp-berlin", address=ADDRESS)}
    gate = next(g for g in slip.gates if g["gate"] == "downloads")
    assert (gate["input"]["address"], gate["input"]["answer"]) == (ADDRESS, "answering")

    points.check(point_id=point.pk, actor=cast.otto, at=at, ask=is_silent)
    slip, batch = slip_of(deployment)
    assert (slip.verdict, batch.ways) == ("defer", {})
    assert "dp-berlin does not answer (last checked" in slip.sentence
    assert "did not answer (ConnectTimeout)" in slip.sentence

    points.revise(point_id=point.pk, when_silent="direct", actor=cast.cora, at=at)
    slip, batch = slip_of(deployment)
    assert (said(slip)[0], batch.ways) == ("pass", {})
    assert said(slip)[1].endswith("and by its rule the host then downloads directly"), "never in silence"

    points.revise(point_id=point.pk, when_silent="try", actor=cast.cora, at=at)
    slip, batch = slip_of(deployment)
    assert said(slip)[1].startswith("it downloads through dp-berlin; dp-berlin does not answer")
    assert len(batch.ways) == 1

    rival = served(deployment, deployment.hosts[0], name="dp-twin")
    slip, batch = slip_of(deployment)
    assert (slip.verdict, batch.ways) == ("defer", {})
    assert "dp-berlin and dp-twin serve it with the same right" in slip.sentence
    points.retire(point_id=rival.pk, reason="x", actor=cast.cora, at=at)
    points.retire(point_id=point.pk, reason="x", actor=cast.cora, at=at)
    assert said(slip_of(deployment)[0])[1] == "no distribution point serves it: it downloads directly"


def test_what_was_found_long_ago_is_not_believed_and_a_line_too_slow_is_refused(make: Make) -> None:
    deployment = make(hosts=1)
    point = served(deployment, throttle_kib=8)
    cast, at = deployment.cast, deployment.clock.at
    points.check(point_id=point.pk, actor=cast.otto, at=at, ask=answers)
    deployment.start()
    deployment.tick()
    Job.objects.filter(rollout=deployment.rollout).update(state="pending")
    size = sum(a["size"] for a in signed(deployment.rollout.manifest_id).document["artifacts"])
    assert size < 8 * 1024 * 600
    assert said(slip_of(deployment)[0]) == ("pass", "it downloads through dp-berlin at 8 KiB/s at most")
    _slip, batch = slip_of(deployment)
    batch.__dict__["artifacts"] = [{**a, "size": 8 * 1024 * 700} for a in batch.artifacts]
    batch.same.clear()
    slow = ask_hosts(batch, limit=9)[0][1]
    assert slow.verdict == "defer"
    assert (
        "dp-berlin gives it 8 KiB/s, at which its files take 11 minutes: 10 are given, so raise that limit"
        in slow.sentence
    )
    deployment.pass_time(minutes=25)
    late, _batch = slip_of(deployment)
    assert late.verdict == "defer"
    assert "nobody knows whether dp-berlin answers (last checked" in late.sentence


@pytest.mark.parametrize("together", [False, True])
def test_the_order_goes_the_way_that_was_let_through(make: Make, together: bool) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}])
    orders: list[JobOrder] = []
    name = deployment.release.executor
    registry.executors._items[name] = heard(registry.executors[name], orders)
    point = served(deployment, deployment.hosts[0], throttle_kib=512)
    points.check(point_id=point.pk, actor=deployment.cast.otto, at=deployment.clock.at, ask=answers)
    deployment.start()
    deployment.work(together=together)
    assert deployment.states() == ["succeeded"] * 2
    way = Way(point="dp-berlin", address=ADDRESS, throttle_kib=512)
    assert {order.endpoint.address: order.way for order in orders} == {
        Job.objects.get(pk=deployment.job(0).pk).host.connection.address: way,
        Job.objects.get(pk=deployment.job(1).pk).host.connection.address: None,
    }
    told = JobEvent.objects.filter(job=deployment.job(0), message__contains="downloads through")
    assert [event.message for event in told] == [
        f"simulator: downloads through dp-berlin ({ADDRESS}, 512 KiB/s at most)"
    ]
    assert not JobEvent.objects.filter(job=deployment.job(1), message__contains="downloads").exists()


def test_a_point_that_falls_silent_keeps_its_hosts_back_until_it_answers(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 2}])
    point = served(deployment, deployment.hosts[0])
    points.check(point_id=point.pk, actor=deployment.cast.otto, at=deployment.clock.at, ask=is_silent)
    deployment.start()
    deployment.work(turns=4)
    assert deployment.states() == ["pending", "succeeded"]
    assert (deployment.job(0).code, "dp-berlin does not answer" in deployment.job(0).statement) == ("downloads", True)
    assert PermissionSlip.objects.filter(job=deployment.job(0), verdict="defer").exists()
    deployment.pass_time(minutes=3)
    points.check(point_id=point.pk, actor=deployment.cast.otto, at=deployment.clock.at, ask=answers)
    deployment.work()
    assert deployment.states() == ["succeeded"] * 2
