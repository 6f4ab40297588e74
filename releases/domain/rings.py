"""What people decide about a ring: try its failed hosts again, or leave it out. Accepting it as it is: `partial`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import QuerySet

from patchflow.kernel import queue, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Blocked, Conflict
from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain import partial, rollouts
from releases.enums_rollout import JobState, RingState, RolloutState
from releases.models import Job, Ring, Rollout


@workflow.verb("release.ring.retried", Ring, "ring_id")
def retry_ring(*, ring_id: int, actor: User, at: datetime, host_ids: Sequence[int] | None = None) -> int:
    """Tries the failed hosts of a ring again (or those named), each as a new attempt under a new key; the others stay
    untouched. A failed ring runs again and its halted rollout goes on. Returns how many hosts.

    Hosts out of sight or lost are not tried again: they are looked at first. Raises Blocked (nothing failed, hosts still
    at work), NotAllowed, Conflict.
    """
    workflow.demand_somewhere("rollout.retry", actor=actor)
    rollout, ring = partial.locked(ring_id)
    rows = _failed(ring)
    if host_ids is not None:
        rows = rows.filter(host_id__in=host_ids)
    if none := _nothing_failed(rows):
        raise Blocked(none)
    if ring.state == RingState.FAILED:
        workflow.fire(Ring, ring_id, "retry", actor=actor, at=at)
        partial.retire(ring, actor=actor, at=at, reason=english("Its failed hosts are tried again."))
    elif standing := _stands(ring, rollout):
        raise Conflict(standing)
    mine = instance_key()
    keys = {
        pk: rollouts.key_of(mine, rollout, host, last + 1)
        for pk, host, last in rows.values_list("pk", "host_id", "attempt")
    }
    fired = workflow.fire_many(
        rows.prefetch_related("host__memberships"), "retry", actor=actor, at=at,
        facts_of=lambda job: {"new_key": keys[job.pk]},
    )  # fmt: skip
    if fired.refused and not fired.done:
        raise Blocked(next(iter(fired.refused.values())))
    if rollout.state == RolloutState.HALTED:
        rollouts.resume(rollout_id=rollout.pk, actor=actor, at=at)
    queue.enqueue(rollouts.ADVANCE, rollout_id=rollout.pk)
    return len(fired.done)


def why_not_retry(ring: Ring, *, actor: User, at: datetime) -> list[Blocker]:
    """Every reason why this person cannot have the failed hosts of the ring tried again now."""
    if refused := failing([capability("rollout.retry")], ring, actor):
        return refused
    if none := _nothing_failed(_failed(ring)):
        return none
    return (
        workflow.why_not(ring, "retry", actor=actor, at=at)
        if ring.state == RingState.FAILED
        else _stands(ring, ring.rollout)
    )


def _failed(ring: Ring) -> QuerySet[Job]:
    return Job.objects.filter(ring=ring, state__in=[JobState.FAILED, JobState.UNDONE])


def _nothing_failed(rows: QuerySet[Job]) -> list[Blocker]:
    return [] if rows.exists() else [Blocker("ring.nothing_failed", "No host of this ring has failed.")]


GOING_ON = (RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.HALTED)
"""States of a rollout in which a host can be tried again: what was stopped begins nothing any more."""


def _stands(ring: Ring, rollout: Rollout) -> list[Blocker]:
    """Why a ring that has not failed has nothing tried again: it is not at work, or its rollout is not."""
    if rollout.state not in GOING_ON:
        said = english("%(rollout)s is %(state)s", rollout=rollout.number, state=label_of(rollout))
        return [Blocker("conflict.state", said)]
    if ring.state == RingState.RUNNING:
        return []
    return [Blocker("conflict.state", english("The ring is %(state)s.", state=label_of(ring)))]


@workflow.verb("release.ring.skipped", Ring, "ring_id")
def skip(*, ring_id: int, reason: str, actor: User, at: datetime) -> Ring:
    """Leaves a ring out that has not begun; its hosts are withdrawn and stay owed."""
    reason = rollouts.said(reason, "ring.reason")
    rollout, _ring = partial.locked(ring_id)
    workflow.fire(Ring, ring_id, "skip", actor=actor, at=at, reason=reason)
    rollouts.withdraw(rollout, reason=reason, actor=actor, at=at, ring_id=ring_id)
    queue.enqueue(rollouts.ADVANCE, rollout_id=rollout.pk)
    return Ring.objects.get(pk=ring_id)
