"""The chain of communication of a ring: the representatives of its hosts are told before it starts, and acknowledge; whose
silence lasts is reminded after half of the notice, after three quarters the lead of the support group is told, after
seven eighths the change managers. Each step once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.notices.delivery import tell
from releases.enums_rollout import RingState
from releases.models import Representative, Ring
from releases.queries import telling
from releases.queries.rollouts import Signed, signed
from releases.queries.telling import Concerned
from releases.restart_words import restart_facts

NAMED = 20
"""Hosts that a notice names; the rest are a number, and the page shows all."""

STEPS = (("reminded", 4), ("passed_on", 6), ("reported", 7))
"""What is done about silence, and after how many eighths of the notice."""


@transaction.atomic
def tell_owners(ring_id: int, *, actor: User, at: datetime) -> Ring:
    """Moves a pending ring to notified and tells each representative of a host that waits in it, in one transaction.

    The entry says who was told and how many hosts have nobody to be told, or that the profile tells nobody.
    """
    ring = Ring.objects.select_related("rollout__release").get(pk=ring_id)
    document = signed(ring.rollout.manifest_id)
    if not document.document["profile"].get("notify", True):
        return workflow.fire(
            Ring, ring_id, "notify", actor=actor, at=at, told=[], silent=english("the profile tells nobody")
        )
    people, nobody = telling.concerned(telling.waiting_hosts(ring))
    told = [one.user.get_username() for one in people]
    ring = workflow.fire(Ring, ring_id, "notify", actor=actor, at=at, told=told, hosts_without_owner=nobody)
    Representative.objects.bulk_create(
        Representative(
            ring=ring, user=one.user, via=one.via, support_groups=sorted(one.support_groups), hosts=len(one.names), told_at=at
        )
        for one in people
    )  # fmt: skip
    for one in people:
        _tell(ring, document, one, at=at)
    return ring


def facts_of(ring: Ring, document: Signed, *, hosts: Iterable[str], at: datetime) -> dict[str, Any]:
    """What is said about a ring to somebody with these hosts."""
    names, profile = list(hosts), document.document["profile"]
    back = ring.rollout.is_way_back
    hours = 0 if back else telling.notice_hours(profile)
    starts_at = at + timedelta(hours=hours) if hours else None
    earliest = max(filter(None, (at, starts_at, document.moment("earliest"))))
    signed_windows = [window["window"] for window in document.document["windows"]]
    return {
        "ring": ring,
        "rollout": ring.rollout,
        "release": ring.rollout.release,
        "count": len(names),
        "names": names[:NAMED],
        "more": max(len(names) - NAMED, 0),
        "back": back,
        "windows": [] if back else telling.windows_ahead(names, signed_windows, after=earliest),
        "restart": restart_facts(profile),
        "starts_at": starts_at,
        **telling.urgency_of(ring.rollout.release),
        "waits": bool(profile.get("acknowledge")) and not back,
    }


def _tell(ring: Ring, document: Signed, one: Concerned, *, at: datetime) -> None:
    tell(
        kind="ring_notified",
        people=[one.user],
        key=f"ring:{ring.pk}:{one.user.pk}:notified",
        at=at,
        url=ring.get_people_url(),
        **facts_of(ring, document, hosts=one.names, at=at),
    )


@workflow.verb("release.ring.acknowledged", Ring, "ring_id")
def acknowledge(*, ring_id: int, actor: User, at: datetime, comment: str = "") -> Representative:
    """`actor` knows, and passes it on. For oneself only; raises NotAllowed for who was not told, Conflict when it is over."""
    ring = workflow.lock(Ring, ring_id)
    row = Representative.objects.select_for_update().filter(ring=ring, user=actor).first()
    if row is None:
        raise NotAllowed(_NOT_TOLD)
    if over := _is_over(ring):
        raise Conflict(over)
    if row.acknowledged_at is None:
        row.acknowledged_at, row.comment = at, comment.strip()
        row.save(update_fields=["acknowledged_at", "comment"])
        detail = {"hosts": row.hosts, "comment": row.comment}
        audit.record(ring, "release.ring.acknowledged", actor=actor, at=at, detail=detail)
    return row


_NOT_TOLD = Blocker("ring.not_representative", "You were not told as a representative of this ring's hosts.")


def _is_over(ring: Ring) -> list[Blocker]:
    if ring.state in (RingState.NOTIFIED, RingState.RUNNING):
        return []
    said = english("The ring is %(state)s: nothing is to be acknowledged.", state=label_of(ring))
    return [Blocker("conflict.state", said)]


def why_not_acknowledge(row: Representative, actor: User) -> list[Blocker]:
    """Why this person does not acknowledge what this row tells: it tells another, or it is over."""
    return _is_over(row.ring) if row.user_id == actor.pk else [_NOT_TOLD]


@workflow.verb("release.ring.silence_answered", Ring, "ring_id")
def answer_silence(*, ring_id: int, actor: User, at: datetime) -> list[str]:
    """Does for each silent representative of a ring what is due by now; returns the steps taken, in words."""
    ring = workflow.lock(Ring, ring_id)
    document = signed(ring.rollout.manifest_id)
    start = telling.starts_at(ring, document.document["profile"])
    if start is None:
        return []
    taken: list[str] = []
    rows = Representative.objects.filter(ring=ring, acknowledged_at__isnull=True).select_related("user")
    for row in rows:
        for step, eighths in STEPS:
            if getattr(row, f"{step}_at") is None and at >= row.told_at + (start - row.told_at) * eighths / 8:
                _answer(ring, row, step, start, at=at)
                setattr(row, f"{step}_at", at)
                row.save(update_fields=[f"{step}_at"])
                taken.append(f"{row.user}: {step}")
    if taken:
        audit.record(ring, "release.ring.silence_answered", actor=actor, at=at, detail={"steps": taken})
    return taken


def _answer(ring: Ring, row: Representative, step: str, start: datetime, *, at: datetime) -> None:
    people = {
        "reminded": lambda: [row.user],
        "passed_on": lambda: telling.leads_of(set(row.support_groups)),
        "reported": lambda: [user for user, _via in voters_by_role("change_manager", ring.scope_keys())],
    }[step]()
    tell(
        kind="ring_reminded" if step == "reminded" else "ring_silent",
        people=[one for one in people if step == "reminded" or one.pk != row.user_id],
        key=f"ring:{ring.pk}:{row.user_id}:{step}",
        at=at,
        url=ring.get_people_url(),
        ring=ring,
        rollout=ring.rollout,
        release=ring.rollout.release,
        count=row.hosts,
        representative=row.user,
        starts_at=start,
    )


@registry.sweep("ring_silence")
def due_silence(*, now: datetime) -> int:
    """Finds rings whose representatives stay silent longer than a step allows; reads first, writes only then."""
    count = 0
    for ring in telling.silent_rings():
        start = telling.starts_at(ring, signed(ring.rollout.manifest_id).document["profile"])
        if start is None:
            continue
        rows = Representative.objects.filter(ring=ring, acknowledged_at__isnull=True)
        span = start - ring.state_at
        if any(
            now >= row.told_at + span * eighths / 8 and getattr(row, f"{step}_at") is None
            for row in rows
            for step, eighths in STEPS
        ):
            count += len(answer_silence(ring_id=ring.pk, actor=User.bot(), at=now))
    return count
