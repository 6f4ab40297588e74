"""What a release leaves owed: the hosts that it missed, and the draft of the next change that takes them up."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from changes.domain import rfcs
from changes.enums import RFCState
from changes.models import RFC
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Blocked, Conflict
from patchflow.kernel.models import User
from releases.enums_rollout import JobState
from releases.models import Job, Release
from releases.queries.builds import updates_of
from releases.queries.rollouts import forward_of

MISSED = (JobState.FAILED, JobState.UNDONE, JobState.LOST, JobState.REFUSED, JobState.CANCELLED)
OVER = (RFCState.CANCELLED, RFCState.REJECTED, RFCState.CLOSED)


def owed_hosts(release_id: int) -> list[int]:
    """Hosts of the way forward whose job has ended without what was approved, and those that were taken back."""
    forward = forward_of(release_id)
    if forward is None:
        return []
    back = Q(rollout__release=release_id, rollout__reverses__isnull=False) & ~Q(state=JobState.CANCELLED)
    rows = Job.objects.filter(Q(rollout=forward, state__in=MISSED) | back).order_by("host__name")
    return list(dict.fromkeys(rows.values_list("host_id", flat=True)))


@workflow.verb("release.release.next_proposed", Release, "release_id")
def propose_next(*, release_id: int, actor: User, at: datetime) -> RFC:
    """Raises a draft RFC for the hosts that this release missed, with the same updates. Needs rfc.raise for each of them.

    Raises Blocked (nothing is owed), Conflict (one was proposed, and is still on its way).
    """
    rfcs.demand_raise(actor)
    release = workflow.lock(Release, release_id)
    last = release.next_rfc
    if last is not None and last.state not in OVER:
        raise Conflict(
            english("%(number)s takes up what is owed already.", number=last.number), code="conflict.next_rfc"
        )
    hosts = owed_hosts(release_id)
    if not hosts:
        raise Blocked("No host is owed anything.", code="release.nothing_owed")
    rfc = rfcs.raise_rfc(
        update_ids=[update.pk for update in updates_of(release)], host_ids=hosts, actor=actor, at=at,
        title=f"Hosts that {release.number} missed: {release.title}"[:200],
    )  # fmt: skip
    release.next_rfc = rfc
    release.save(update_fields=["next_rfc"])
    audit.record(
        release, "release.release.next_proposed", actor=actor, at=at, detail={"rfc": rfc.number, "hosts": len(hosts)}
    )
    return rfc
