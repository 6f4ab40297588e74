"""The gate of a ring asks which classes of machine were tried: fails with the reason, is retried, or accepted by sign-off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from patchflow.kernel.integrity import plain
from patchflow.kernel.models import SignOffRound
from releases.diversity import Trial
from releases.domain import partial, plan_rehearsals, rings, rollbacks, rollouts
from releases.domain.plan_rehearsals import Wanted
from releases.models import Job
from releases.queries.rollouts import view_of
from releases.web.class_lines import ring_lines
from tests.factories.rollouts import Deployment

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]
KVM, ARM = "debian-12-amd64 · server · kvm", "debian-12-arm64 · server · kvm"
WIDE = {"failure_limit": 9, "success_percent": 30, "concurrency": 4}
WHY = f"too few good hosts so far of 1 of 2 classes of machine that are asked for the next rings: {ARM} (0 of 1)."


def asks(*labels: str, **given: Any) -> dict[str, Any]:
    return {**WIDE, "classes": plain(Trial(1, False, labels, **given).entry())}


def deployed(make: Make, **given: Any) -> Deployment:
    """Two KVM machines and one ARM in the first ring, all it asks; one more ring, then the last."""
    d = make(
        hosts=5, machines=[KVM, KVM, ARM, KVM, ARM],
        rings=[{"hosts": 3, **asks(KVM, ARM)}, {"hosts": 1, **asks(KVM, ARM)}, {"hosts": 1, **WIDE}], **given,
    )  # fmt: skip
    d.start()
    return d


def lines(d: Deployment) -> list[list[str]]:
    lanes = list(d.rollout.rings.order_by("position"))
    found = ring_lines(d.rollout, lanes)
    return [found[ring.pk] for ring in lanes]


def test_where_each_class_has_succeeded_the_next_ring_starts(make: Make) -> None:
    d = deployed(make)
    assert lines(d) == [[], [], []]
    d.work()
    assert d.states() == ["succeeded"] * 5
    assert d.rollout.state == "completed"
    assert lines(d)[0] == ["2 of 2 classes of machine asked for the next rings are tried (1 good host of each)"]


def test_a_class_whose_only_host_failed_fails_the_ring_and_a_retry_heals_it(make: Make) -> None:
    """One failure in three is within every other limit of this ring."""
    d = deployed(make)
    d.habit(2, "lie")
    d.work()
    ring = d.ring()
    assert (ring.state, d.rollout.state) == ("failed", "halted")
    assert ring.reason == f"Ring ring 0: {WHY}"
    assert lines(d)[0] == [
        "1 of 2 classes of machine asked for the next rings are tried (1 good host of each)", f"not yet tried: {ARM}",
    ]  # fmt: skip
    d.habit(2, None)
    rings.retry_ring(ring_id=ring.pk, actor=d.cast.rex, at=d.clock.at)
    d.work()
    assert d.rollout.state == "completed"


@pytest.mark.parametrize("fate", ["refused", "cancelled", "not_needed"])
def test_what_fell_away_has_tried_nothing_and_what_has_it_already_has(make: Make, fate: str) -> None:
    d = deployed(make)
    Job.objects.filter(pk=d.job(2).pk).update(state=fate, ended_at=d.clock.at)
    d.work()
    good = fate == "not_needed"
    assert (d.ring().state, d.rollout.state) == (("passed", "completed") if good else ("failed", "halted"))
    assert good or d.ring().reason.endswith(WHY)


def test_accepted_as_it_is_it_is_not_asked_again_of_a_ring_without_such_hosts(make: Make) -> None:
    d = deployed(make)
    d.habit(2, "lie")
    d.work()
    accept(d)
    rollouts.resume(rollout_id=d.rollout.pk, actor=d.cast.rex, at=d.clock.at)
    d.work()
    assert [ring.state for ring in d.rollout.rings.order_by("position")] == ["passed"] * 3
    assert d.states() == ["succeeded", "succeeded", "failed", "succeeded", "succeeded"]
    assert lines(d)[1] == ["1 of 1 class of machine asked for the next rings is tried (1 good host of each)"]


def accept(d: Deployment) -> SignOffRound:
    given = {"at": d.clock.at}
    round_ = partial.propose(ring_id=d.ring().pk, reason="One ARM host is ours alone.", actor=d.cast.otto, **given)
    assert WHY in round_.document["failed_because"]
    partial.decide(
        round_id=round_.pk, verdict="approve", comment="", actor=d.cast.che, digest_seen=round_.digest, **given
    )
    return round_


def test_a_ring_left_out_has_tried_nothing_and_the_next_one_is_asked(make: Make) -> None:
    d = make(
        hosts=3, machines=[ARM, KVM, ARM],
        rings=[{"hosts": 1, **asks(ARM)}, {"hosts": 1, **asks(ARM)}, {"hosts": 1, **WIDE}],
    )  # fmt: skip
    d.start()
    rings.skip(ring_id=d.ring().pk, reason="It is away.", actor=d.cast.otto, at=d.clock.at)
    d.work()
    assert (d.ring(1).state, d.job(2).state) == ("failed", "pending")
    assert f"{ARM} (0 of 1)" in d.ring(1).reason


def test_a_way_back_and_a_manifest_from_before_ask_nothing(make: Make) -> None:
    old = make(hosts=2, rings=[{"hosts": 1, **WIDE}, {"hosts": 1, **WIDE}])
    old.start()
    assert (old.ring().class_hosts, old.ring().classes_asked, lines(old)) == (0, [], [[], []])
    rollouts.stop(rollout_id=old.rollout.pk, reason="enough", actor=old.cast.otto, at=old.clock.at)
    d = deployed(make)
    assert (d.ring().class_hosts, d.ring().classes_asked) == (1, [KVM, ARM])
    d.work()
    back = rollbacks.roll_back(release_id=d.release.pk, reason="wrong", actor=d.cast.rex, at=d.clock.at)
    assert {(ring.class_hosts, *ring.classes_asked) for ring in back.rings.all()} == {(0,)}
    assert ring_lines(back, list(back.rings.all())) == {}


def test_what_cannot_be_tried_is_said_on_the_ring(make: Make) -> None:
    d = make(
        hosts=3, machines=[KVM, KVM, ARM],
        rings=[{"hosts": 1, **asks(KVM, untried=((ARM, 1),), unknown=2)}, {"hosts": 2, **WIDE}],
    )  # fmt: skip
    d.start()
    assert lines(d)[0] == [
        f"1 class of machine of the next rings cannot be tried before: {ARM} × 1",
        "of 2 production hosts that follow the class of machine is not known",
    ]


def test_a_rehearsal_halts_where_the_rollout_does(make: Make) -> None:
    d = make(
        hosts=5, machines=[KVM, KVM, ARM, KVM, ARM],
        rings=[{"hosts": 3, **asks(KVM, ARM)}, {"hosts": 1, **WIDE}, {"hosts": 1, **WIDE}],
    )  # fmt: skip
    for seed in range(200):
        told = plan_rehearsals.simulate(
            d.release, d.manifest.digest, d.manifest.document, Wanted(lie_percent=20, seed=seed), at=d.clock.at,
            starts_at=d.clock.at,
        )  # fmt: skip
        if [target.course for target in told.lanes[0].targets] == ["well", "well", "lies"]:
            break
    assert (told.end, told.cause) == ("halted", f"Ring ring 0: {WHY}")
    d.habit(2, "lie")
    d.start()
    d.work()
    assert (d.rollout.state, d.rollout.reason) == ("halted", told.cause)


def test_classes_cost_a_query_only_when_a_ring_is_judged_by_them(make: Make) -> None:
    d = deployed(make)
    d.tick()

    def queries() -> int:
        view_of(d.rollout, now=d.clock.at, is_open=True)
        rollout = d.rollout
        with CaptureQueriesContext(connection) as asked:
            view_of(rollout, now=d.clock.at, is_open=True)
        return len(asked)

    at_work = queries()
    Job.objects.filter(ring=d.ring()).update(state="succeeded", ended_at=d.clock.at)
    assert queries() == at_work + 1
