"""The life of a rollout, as people move it: planned from the current manifest, started, paused, halted, stopped, cancelled.

What happens by itself is in `advance`; the way back is in `rollbacks`. Locks are taken Release < Rollout < Ring < Job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cmdb.domain import recordsets
from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import User
from patchflow.kernel.numbers import next_number
from patchflow.kernel.rules import capability, failing
from releases.confidence import USUAL_CONFIDENCE
from releases.diversity import trial_of
from releases.domain import announcements
from releases.enums_rollout import LIVE, JobState, RolloutState
from releases.models import Job, Manifest, Release, Ring, Rollout
from releases.queries.manifests import current
from releases.queries.rollouts import open_rollout_of, signed
from releases.rules_rollout import either

ADVANCE = "releases.tasks.advance_rollout"
AT_ONCE = 500
"""Rows of one statement, where a verb moves thousands."""
WAITS = english("Waits until its ring is open.")


def said(reason: str, code: str = "rollout.reason") -> str:
    """The reason given, or Invalid."""
    if not reason.strip():
        raise Invalid("Say why.", code=code)
    return reason.strip()


def key_of(instance: str, rollout: Rollout, host_id: int, attempt: int) -> str:
    """The key of one attempt, as the host keeps it: never used for another, nor by another Patchflow (`instance_key`)."""
    return f"{instance}-{rollout.number}-{host_id}-{attempt}"


@dataclass(frozen=True)
class Lane:
    """A ring to be made, with its hosts: id → packages [{name, arch, from, to}]."""

    ring: Mapping[str, Any]
    hosts: Mapping[int, list[dict[str, Any]]]


# --- planning ---------------------------------------------------------------------------------------------------------
@workflow.verb("release.rollout.planned", Release, "release_id")
def plan(*, release_id: int, actor: User, at: datetime) -> Rollout:
    """Makes a planned rollout of the current manifest: its rings, and one pending job for each host. A fixed number of queries.

    Raises NotAllowed, Blocked (no manifest, or one that was changed), Conflict (the release has an open rollout).
    """
    release = workflow.lock(Release, release_id)
    if refused := failing([either(capability("release.plan"), capability("rollout.start"))], release, actor):
        raise NotAllowed(refused)
    manifest = current(release_id, with_document=False)
    if manifest is None:
        raise Blocked("No manifest is sealed.", code="rollout.no_manifest")
    document = signed(manifest.pk)
    if not document.intact:
        raise Blocked("The stored manifest has not the digest it was sealed with.", code="rollout.manifest_changed")
    lanes: dict[int, dict[int, list[dict[str, Any]]]] = {r["ring"]: {} for r in document.document["rings"]}
    for host in document.hosts.values():
        lanes[host["ring"]][host["host"]] = host["packages"]
    rings = [Lane(ring, lanes[ring["ring"]]) for ring in document.document["rings"] if lanes[ring["ring"]]]
    return make(release, manifest, rings, actor=actor, at=at)


def make(
    release: Release,
    manifest: Manifest,
    lanes: Iterable[Lane],
    *,
    actor: User,
    at: datetime,
    reverses: Rollout | None = None,
) -> Rollout:
    """Writes a planned rollout with rings and jobs; the release is locked by the caller."""
    if other := open_rollout_of(release.pk):
        raise Conflict(
            english(
                "%(number)s is %(state)s: a release has one open rollout.",
                number=other.number,
                state=label_of(other),
            ),
            code="conflict.rollout",
        )
    lanes = list(lanes)
    rollout = Rollout.objects.create(
        number=next_number("RO", at=at), release=release, manifest=manifest, reverses=reverses, executor=release.executor,
        planned_by=actor, planned_at=at, state_at=at,
    )  # fmt: skip
    rings = Ring.objects.bulk_create([Ring(rollout=rollout, state_at=at, **numbers_of(lane.ring)) for lane in lanes])
    _write_jobs(rollout, zip(rings, lanes, strict=True), at=at)
    audit.record(rollout, "release.rollout.planned", actor=actor, at=at, after=RolloutState.PLANNED, detail={
        "manifest": manifest.digest, "reverses": reverses.number if reverses else "",
        "rings": {lane.ring["name"]: len(lane.hosts) for lane in lanes},
    })  # fmt: skip
    return rollout


def numbers_of(ring: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a ring, as a manifest names them."""
    trial = trial_of(ring)
    return {
        "position": ring["ring"], "name": ring["name"], "concurrency": ring["concurrency"],
        "failure_limit": ring["failure_limit"], "success_percent": ring["success_percent"],
        "confidence_percent": ring.get("confidence_percent", USUAL_CONFIDENCE),
        "bound_percent": ring.get("bound_percent", 0), "soak_seconds": ring["soak_seconds"],
        "class_hosts": trial.least if trial else 0, "classes_asked": list(trial.asked) if trial else [],
    }  # fmt: skip


def add_jobs(rollout: Rollout, ring: Ring, hosts: Mapping[int, list[dict[str, Any]]], *, at: datetime) -> None:
    """Pending jobs for hosts that join a ring; the rollout is locked by the caller."""
    mine = instance_key()
    Job.objects.bulk_create(
        [
            Job(
                rollout=rollout, ring=ring, host_id=host_id, job_key=key_of(mine, rollout, host_id, 1),
                packages=packages, state_at=at, statement=WAITS,
            )
            for host_id, packages in hosts.items()
        ],
        batch_size=AT_ONCE,
    )  # fmt: skip


def _write_jobs(rollout: Rollout, lanes: Iterable[tuple[Ring, Lane]], *, at: datetime) -> None:
    mine = instance_key()
    rows = [
        {"ring_id": ring.pk, "host_id": host_id, "job_key": key_of(mine, rollout, host_id, 1), "packages": packages}
        for ring, lane in lanes
        for host_id, packages in lane.hosts.items()
    ]
    columns = {"ring_id": "int", "host_id": "int", "job_key": "text", "packages": "json"}
    blank = Job(rollout=rollout, state_at=at, statement=WAITS)
    constants = {
        str(field.column): getattr(blank, field.attname)
        for field in Job._meta.concrete_fields
        if field.column not in columns and not field.primary_key and getattr(blank, field.attname) is not None
    }
    recordsets.insert(Job, columns, rows, constants)
    if rollout.jobs.count() != len(rows):
        raise Conflict("A host stands twice in the manifest.", code="conflict.twice")


# --- starting ---------------------------------------------------------------------------------------------------------
@workflow.verb("release.rollout.started", Release, "release_id")
def start(*, release_id: int, actor: User, at: datetime) -> Rollout:
    """Starts the planned rollout of a release, planning it first where nobody has; called by `releases.deploy`.

    Raises NotAllowed: who signed an RFC or the manifest does not start.
    """
    workflow.lock(Release, release_id)
    manifest = current(release_id, with_document=False)
    planned = Rollout.objects.filter(release_id=release_id, state=RolloutState.PLANNED).first()
    if planned and manifest and planned.manifest_id != manifest.pk:
        cancel(rollout_id=planned.pk, reason=english("A newer manifest was sealed since."), actor=actor, at=at)
        planned = None
    rollout = planned or plan(release_id=release_id, actor=actor, at=at)
    rollout = workflow.fire(Rollout, rollout.pk, "start", actor=actor, at=at)
    announcements.started(rollout, at=at)
    queue.enqueue(ADVANCE, rollout_id=rollout.pk)
    return rollout


@workflow.verb("release.rollout.cancelled", Rollout, "rollout_id")
def cancel(*, rollout_id: int, reason: str, actor: User, at: datetime) -> Rollout:
    """Withdraws a planned rollout, and its jobs."""
    rollout = workflow.fire(Rollout, rollout_id, "cancel", actor=actor, at=at, reason=said(reason))
    withdraw(rollout, reason=reason, actor=actor, at=at)
    return rollout


# --- pausing, going on, halting -----------------------------------------------------------------------------------------
def pause(*, rollout_id: int, reason: str, actor: User, at: datetime) -> Rollout:
    """Lets no further host through until resumed. Hosts at work go on, and are watched."""
    return workflow.fire(Rollout, rollout_id, "pause", actor=actor, at=at, reason=said(reason))


@workflow.verb("release.rollout.resumed", Rollout, "rollout_id")
def resume(*, rollout_id: int, actor: User, at: datetime) -> Rollout:
    """Goes on after a pause or a halt. Raises Blocked with every reason that would halt it again at once."""
    rollout = workflow.fire(Rollout, rollout_id, "resume", actor=actor, at=at)
    queue.enqueue(ADVANCE, rollout_id=rollout_id)
    return rollout


@workflow.verb("release.rollout.halted", Rollout, "rollout_id")
def halt(*, rollout_id: int, cause: str, actor: User, at: datetime) -> Rollout:
    """Stands still until a person has looked: by a failure limit, by a gate that no waiting opens, or by a person. Who was
    told of its start is told."""
    rollout = workflow.fire(Rollout, rollout_id, "halt", actor=actor, at=at, cause=said(cause))
    announcements.halted(rollout, cause, at=at)
    return rollout


# --- stopping ---------------------------------------------------------------------------------------------------------
@workflow.verb("release.rollout.stopping", Rollout, "rollout_id")
def stop(*, rollout_id: int, reason: str, actor: User, at: datetime) -> Rollout:
    """Ends a rollout short of its goal: hosts not begun are withdrawn, those at work are asked to stop and looked at.

    In force at once, whatever its size: every gate asks for the rollout's state at the moment of acting. What follows from it
    is done in steps by the tick. It is stopped by itself when nothing is at work any more; the release is then deployed in
    part, or failed.
    """
    rollout = workflow.fire(Rollout, rollout_id, "stop", actor=actor, at=at, reason=said(reason))
    call_off(rollout, at=at)
    queue.enqueue(ADVANCE, rollout_id=rollout_id)
    return rollout


def call_off(rollout: Rollout, *, at: datetime) -> int:
    """Asks jobs at work to stop, some hundred of them; returns how many. Waits for nobody: a job whose row another holds this
    very moment is asked the next time."""
    rows = Job.objects.filter(rollout=rollout, state__in=LIVE, cancel_asked_at__isnull=True).order_by("pk")
    ids = list(
        rows.select_for_update(of=("self",), skip_locked=True, no_key=True).values_list("pk", flat=True)[:AT_ONCE]
    )
    return Job.objects.filter(pk__among=ids).update(cancel_asked_at=at) if ids else 0


def withdraw(rollout: Rollout, *, reason: str, actor: User, at: datetime, ring_id: int | None = None) -> int:
    """Cancels the pending jobs (of one ring). The rollout is locked by the caller."""
    rings = rollout.rings.filter(pk=ring_id) if ring_id else rollout.rings.all()
    done = 0
    for pk in rings.order_by("position").values_list("pk", flat=True):
        while moved := withdraw_some(pk, reason=reason, actor=actor, at=at):
            done += moved
    return done


def withdraw_some(ring_id: int, *, reason: str, actor: User, at: datetime) -> int:
    """As `withdraw`, some hundred jobs of one ring; returns how many."""
    ids = list(Job.objects.filter(ring_id=ring_id, state=JobState.PENDING).values_list("pk", flat=True)[:AT_ONCE])
    rows, facts = Job.objects.lean().filter(pk__among=ids), {"reason": reason}
    if not actor.is_bot:  # whose right may be one for the hosts of some groups
        rows = rows.prefetch_related("host__memberships")
    return len(workflow.fire_many(rows, "cancel", actor=actor, at=at, facts_of=lambda _job: facts).done) if ids else 0
