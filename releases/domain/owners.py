"""Telling the owners of hosts that their ring is the next to start. Each once, about their own hosts, before it starts."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.db import transaction

from patchflow.kernel import workflow
from patchflow.kernel.models import User
from patchflow.notices.delivery import tell
from releases.domain.profiles import restart_rule
from releases.enums_rollout import JobState
from releases.models import Job, Ring
from releases.queries.rollouts import Signed, signed

NAMED = 20
"""Hosts that a notice names; the rest are a number, and the page shows all."""


@transaction.atomic
def tell_owners(ring_id: int, *, actor: User, at: datetime) -> Ring:
    """Moves a pending ring to notified and tells each owner of a host that waits in it, in one transaction.

    The entry says who was told and how many hosts have nobody to be told, or that the profile tells nobody.
    """
    ring = Ring.objects.select_related("rollout__release").get(pk=ring_id)
    document = signed(ring.rollout.manifest_id)
    owners, unowned = _owners(ring)
    if not document.document["profile"].get("notify", True):
        return workflow.fire(Ring, ring_id, "notify", actor=actor, at=at, told=[], silent="the profile tells nobody")
    told = sorted(owner.get_username() for owner in owners if owner.is_active)
    ring = workflow.fire(Ring, ring_id, "notify", actor=actor, at=at, told=told, hosts_without_owner=unowned)
    for owner, names in owners.items():
        _tell(ring, document, owner, names, at=at)
    return ring


def _owners(ring: Ring) -> tuple[dict[User, list[str]], int]:
    """Owner → names of their hosts that wait in the ring; and how many hosts have none. One query."""
    found: dict[User, list[str]] = defaultdict(list)
    unowned = 0
    rows = (
        Job.objects.filter(ring=ring, state=JobState.PENDING).select_related("host__ci__owner").order_by("host__name")
    )
    for job in rows:
        owner = job.host.ci.owner
        if owner is None:
            unowned += 1
        else:
            found[owner].append(job.host.name)
    return dict(found), unowned


def _tell(ring: Ring, document: Signed, owner: User, names: list[str], *, at: datetime) -> None:
    back = ring.rollout.is_way_back
    tell(
        kind="ring_notified",
        people=[owner],
        key=f"ring:{ring.pk}:{owner.pk}:notified",
        at=at,
        url=ring.rollout.get_absolute_url(),
        ring=ring,
        rollout=ring.rollout,
        release=ring.rollout.release,
        count=len(names),
        names=names[:NAMED],
        more=max(len(names) - NAMED, 0),
        back=back,
        windows=[] if back else [window["name"] for window in document.document["windows"]],
        restart=restart_rule(document.document["profile"]),
    )
