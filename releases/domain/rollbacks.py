"""The way back: a rollout that reverses another, on the hosts that it touched, with the previous artifacts that were signed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchflow.kernel import queue, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import User
from releases.domain import releases, rollouts
from releases.enums_rollout import OPEN_ROLLOUT, TOUCHED, RolloutState
from releases.models import Job, Release, Rollout
from releases.queries.rollouts import Signed, at_work, forward_of, live_jobs, signed


@workflow.verb("release.rollout.rolled_back", Release, "release_id")
def roll_back(*, release_id: int, reason: str, actor: User, at: datetime, rollout_id: int | None = None) -> Rollout:
    """Starts the way back of a release: every host that may have been changed goes to what it had, ring by ring, at once.

    What is still open of the rollout is stopped by the same verb. `rollout_id`: the rollout that is meant; any but the one
    that would be taken back (`queries.rollouts.forward_of`) is refused, with the one that is. Raises Blocked (hosts are at
    work; nothing was touched; the manifest has no way back), NotAllowed (role; who signed does not start).
    """
    reason = rollouts.said(reason)
    workflow.demand_role(workflow.lock(Release, release_id), "roll_back", actor=actor)
    forward = forward_of(release_id)
    if forward is None:
        raise Blocked("Nothing was rolled out.", code="rollback.nothing")
    if rollout_id is not None and (other := another_than(forward, rollout_id)):
        raise Blocked(other)
    forward = workflow.lock(Rollout, forward.pk)
    if live := live_jobs(rollout__release_id=release_id).count():
        raise Blocked(
            english("%(at_work)s: stop the rollout and wait until it is known.", at_work=at_work(live)),
            code="rollback.live_jobs",
        )
    document = signed(forward.manifest_id)
    lanes = _lanes(forward, document)
    if not lanes:
        raise Blocked("No host was changed: there is nothing to take back.", code="rollback.nothing")
    if forward.state in OPEN_ROLLOUT:
        if forward.state != RolloutState.STOPPING:
            rollouts.stop(rollout_id=forward.pk, reason=reason, actor=actor, at=at)
        rollouts.withdraw(forward, reason=reason, actor=actor, at=at)
        workflow.fire(Rollout, forward.pk, "stopped", actor=User.bot(), at=at)
    release = releases.roll_back(release_id=release_id, reason=reason, actor=actor, at=at)
    back = rollouts.make(release, forward.manifest, lanes, actor=actor, at=at, reverses=forward)
    back = workflow.fire(Rollout, back.pk, "start", actor=actor, at=at, reason=reason)
    queue.enqueue(rollouts.ADVANCE, rollout_id=back.pk)
    return back


def another_than(forward: Rollout | None, rollout_id: int) -> list[Blocker]:
    """Why this rollout is not the one that is taken back, if it is not; with the one that is."""
    if forward is not None and forward.pk == rollout_id:
        return []
    if forward is None:
        return [Blocker("rollback.nothing", "Nothing was rolled out.")]
    said = english("What is taken back is what %(rollout)s did: roll that back.", rollout=forward.number)
    return [Blocker("rollback.another", said, forward.get_absolute_url())]


def _lanes(forward: Rollout, document: Signed) -> list[rollouts.Lane]:
    """The rings of the way forward with their touched hosts; a way back is not watched between rings."""
    found = []
    for ring in forward.rings.order_by("position"):
        touched = Job.objects.filter(ring=ring, state__in=TOUCHED).order_by("pk").values_list("host_id", flat=True)
        hosts = {pk: _back(document, pk) for pk in touched if pk in document.back}
        if hosts:
            numbers: dict[str, Any] = {
                "ring": ring.position, "name": ring.name, "concurrency": ring.concurrency, "failure_limit": ring.failure_limit,
                "success_percent": ring.success_percent, "soak_seconds": 0,
            }  # fmt: skip
            found.append(rollouts.Lane(numbers, hosts))
    return found


def _back(document: Signed, host_id: int) -> list[dict[str, Any]]:
    forward = {(p["name"], p["arch"]): p["to"] for p in document.hosts[host_id]["packages"]}
    return [
        {"name": p["name"], "arch": p["arch"], "from": forward[(p["name"], p["arch"])], "to": p["to"]}
        for p in document.back[host_id]["packages"]
    ]
