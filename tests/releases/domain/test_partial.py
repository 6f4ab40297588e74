"""A failed ring is accepted as it is by a round: never by who started or proposed, and only as it stood when it was read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from changes.domain import reminders
from patchflow.kernel import signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.models import SignOffRound
from patchflow.notices.models import Notice
from releases.domain import owed, partial, rings, rollouts
from releases.models import Release, Ring
from tests.factories.rollouts import Deployment

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]


@pytest.fixture
def failed(make: Make) -> Deployment:
    """Four hosts; of the three in the first ring one succeeded, one failed, one waits."""
    deployment = make(hosts=4, rings=[{"hosts": 3, "concurrency": 1}, {"hosts": 1}])
    deployment.habit(1, "lie")
    deployment.start()
    deployment.work()
    assert deployment.states() == ["succeeded", "failed", "pending", "pending"]
    return deployment


def ask(deployment: Deployment, reason: str = "good enough") -> SignOffRound:
    return partial.propose(
        ring_id=deployment.ring().pk, reason=reason, actor=deployment.cast.otto, at=deployment.clock.at
    )


def decide(deployment: Deployment, round_: SignOffRound, who: str, verdict: str = "approve", comment: str = "") -> None:
    partial.decide(
        round_id=round_.pk, verdict=verdict, comment=comment, actor=getattr(deployment.cast, who),
        at=deployment.clock.at, digest_seen=round_.digest,
    )  # fmt: skip


def test_signed_it_is_watched_on_and_the_rest_stays_owed(failed: Deployment) -> None:
    round_ = ask(failed)
    assert [m["state"] for m in round_.document["missed"]] == ["failed", "pending"]
    assert (round_.document["good"], round_.document["proposal"]) == (1, "good enough")
    assert "ring 0" in Notice.objects.get(url=f"/changes/board/{round_.pk}/").title
    decide(failed, round_, "che")
    assert failed.states() == ["succeeded", "failed", "cancelled", "pending"]
    assert "good enough" in failed.job(2).reason
    ring = failed.ring()
    assert (ring.state, ring.accepted_partly, failed.rollout.state) == ("soaking", True, "halted")
    rollouts.resume(rollout_id=failed.rollout.pk, actor=failed.cast.rex, at=failed.clock.at)
    failed.work()
    assert failed.states() == ["succeeded", "failed", "cancelled", "succeeded"]
    release = Release.objects.get()
    assert (release.state, release.outcome) == ("deployed", "partial")


def test_nobody_accepts_without_a_signature(failed: Deployment) -> None:
    with pytest.raises(Blocked, match="Nobody has signed"):
        workflow.fire(
            Ring, failed.ring().pk, "accept_partial", actor=failed.cast.che, at=failed.clock.at, reason="I say so"
        )


def test_who_started_or_proposed_does_not_sign(failed: Deployment) -> None:
    round_ = ask(failed)
    for who, why in (("rex", "You started this deployment"), ("otto", "You proposed")):
        with pytest.raises(NotAllowed, match=why):
            decide(failed, round_, who)
    assert failed.ring().state == "failed"


def test_a_refusal_leaves_it_failed_and_it_may_be_proposed_anew(failed: Deployment) -> None:
    round_ = ask(failed)
    decide(failed, round_, "che", "refuse", "retry it first")
    assert (failed.ring().state, failed.states()[2]) == ("failed", "pending")
    assert ask(failed, "retried twice by now").number == 2


def test_what_was_read_must_still_stand(failed: Deployment) -> None:
    """A retry is another way: it voids the question. A host that changes its state makes what was signed another."""
    round_ = ask(failed)
    with pytest.raises(Conflict, match="already"):
        ask(failed)
    rings.retry_ring(ring_id=failed.ring().pk, actor=failed.cast.otto, at=failed.clock.at)
    round_.refresh_from_db()
    assert round_.state == "void"
    failed.work()
    second = ask(failed)
    Ring.objects.filter(pk=failed.ring().pk).update(reason="something else")
    with pytest.raises(Conflict, match="changed since"):
        decide(failed, second, "che")
    third = ask(failed)
    second.refresh_from_db()
    assert (second.state, third.state) == ("void", "open")


def test_silence_reminds_and_expires_never_accepts(failed: Deployment) -> None:
    round_ = ask(failed)
    level = round_.levels.get()
    assert level.deadline_at == failed.clock.at + timedelta(hours=72)
    assert reminders.due_reminders(now=failed.clock.at + timedelta(hours=35)) == 0
    assert reminders.due_reminders(now=failed.clock.at + timedelta(hours=36)) == 1
    assert reminders.due_reminders(now=failed.clock.at + timedelta(hours=37)) == 0
    assert signoffs.expire(round_id=round_.pk, actor=failed.cast.bot, at=level.deadline_at)
    assert failed.ring().state == "failed"


def test_the_hosts_that_were_missed_become_the_next_draft_once(failed: Deployment) -> None:
    assert owed.owed_hosts(failed.release.pk) == [failed.hosts[1].pk]
    decide(failed, ask(failed), "che")
    rfc = owed.propose_next(release_id=failed.release.pk, actor=failed.cast.che, at=failed.clock.at)
    assert rfc.state == "draft"
    assert sorted(t.host_id for t in rfc.targets.all()) == sorted(failed.hosts[n].pk for n in (1, 2))
    assert rfc.change_document()["updates"] == failed.rfc.change_document()["updates"]
    with pytest.raises(Conflict, match=rfc.number):
        owed.propose_next(release_id=failed.release.pk, actor=failed.cast.che, at=failed.clock.at)
