"""Questions about rollouts: the signed document behind one, and how it stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import Count, Expression, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from patchflow.kernel import queue
from patchflow.kernel.blockers import English, english_n
from patchflow.kernel.integrity import digest_as_read
from patchflow.kernel.models import User
from patchflow.kernel.sums import SERVER, TextHash, version_of
from releases.enums_rollout import LIVE, JobState, RingState, RolloutState
from releases.models import Job, Manifest, Ring, Rollout
from releases.planning import RingView, RolloutView
from releases.queries.classes import tried_so_far
from releases.queries.telling import waits_of

KEPT = 4


@dataclass(frozen=True)
class Signed:
    """A manifest's document as it was read, whether it still has its digest, and its hosts by id."""

    manifest_id: int
    digest: str
    intact: bool
    document: Mapping[str, Any]
    hosts: Mapping[int, Mapping[str, Any]]
    back: Mapping[int, Mapping[str, Any]]

    def moment(self, name: str) -> datetime | None:
        """The earliest or latest start."""
        value = self.document["start"][name]
        if not value:
            return None
        found = datetime.fromisoformat(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


_read: dict[tuple[int, str, str], Signed] = {}
_proven: ContextVar[dict[int, Signed] | None] = ContextVar("patchflow_proven_manifests", default=None)


@contextmanager
def proven_once() -> Iterator[None]:
    """Within the block each manifest is looked at once: one tick, or one visit to many hosts. (Manifests are insert-only.)"""
    token = _proven.set({})
    try:
        yield
    finally:
        _proven.reset(token)


def signed(manifest_id: int) -> Signed:
    """The manifest, its digest recomputed from the stored document.

    Canonicalizing thousands of hosts at every tick would be the whole tick: the database is asked each time which version of
    the row it holds, and only one that this process has not yet checked is read and checked. What is worked with is always
    what was checked. Raises Manifest.DoesNotExist.
    """
    proven = _proven.get()
    if proven is not None and manifest_id in proven:
        return proven[manifest_id]
    sealed, version = (
        Manifest.objects.annotate(version=_row_version()).values_list("digest", "version").get(pk=manifest_id)
    )
    key = (manifest_id, sealed, version)
    if key not in _read:
        document = Manifest.objects.values_list("document", flat=True).get(pk=manifest_id)
        while len(_read) >= KEPT:
            _read.pop(next(iter(_read)))
        _read[key] = Signed(
            manifest_id=manifest_id,
            digest=sealed,
            intact=digest_as_read(document) == sealed,
            document=document,
            hosts={h["host"]: h for h in document["hosts"]},
            back={h["host"]: h for h in document["way_back"]["hosts"]},
        )
    if proven is not None:
        proven[manifest_id] = _read[key]
    return _read[key]


def _row_version() -> Expression:
    """What differs as soon as the row was written again, by whomever. PostgreSQL names the transaction that wrote a row and
    its place; elsewhere the stored text is hashed."""
    if connection.vendor == "postgresql":
        table = Manifest._meta.db_table
        return RawSQL(f"{version_of(table)} || {SERVER}", (), TextField())  # noqa: S611  no parameter, our own name
    return TextHash(Cast("document", TextField()))


def ring_counts(rollout_id: int) -> dict[int, dict[str, int]]:
    """Ring id → job state → number. One query."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for ring_id, state, count in (
        Job.objects.filter(rollout_id=rollout_id).order_by().values_list("ring_id", "state").annotate(n=Count("pk"))
    ):
        found[ring_id][state] = count
    return found


def standing_rings(rollouts: Iterable[Rollout]) -> dict[int, RingView]:
    """Rollout id → its ring that only waits for hosts out of sight (`RingView.stands`), of those that run. Two queries."""
    running = [rollout.pk for rollout in rollouts if rollout.state == RolloutState.RUNNING]
    rings = list(Ring.objects.filter(rollout__in=running, state=RingState.RUNNING)) if running else []
    if not rings:
        return {}
    counts: dict[int, dict[str, int]] = defaultdict(dict)
    jobs = Job.objects.filter(ring__in=rings).order_by().values_list("ring_id", "state")
    for ring_id, state, count in jobs.annotate(n=Count("pk")):
        counts[ring_id][state] = count
    views = {
        ring.rollout_id: RingView(
            ring.pk, ring.name, ring.state, ring.concurrency, ring.failure_limit, ring.success_percent,
            counts=counts.get(ring.pk, {}),
        )
        for ring in rings
    }  # fmt: skip
    return {rollout_id: view for rollout_id, view in views.items() if view.stands}


def due_counts(rollout_id: int, *, now: datetime) -> dict[int, int]:
    """Ring id → pending jobs whose time has come. One query."""
    rows = queue.due(Job.objects.filter(rollout_id=rollout_id, state=JobState.PENDING), now=now)
    return dict(rows.order_by().values_list("ring_id").annotate(n=Count("pk")))


def view_of(rollout: Rollout, *, now: datetime, is_open: bool, expired: bool = False) -> RolloutView:
    """The snapshot from which `next_actions` decides. Five queries, two for a ring that was told, one for a ring that is judged
    by the classes of machine that it tried."""
    counts, due = ring_counts(rollout.pk), due_counts(rollout.pk, now=now)
    waits = waits_of(rollout, signed(rollout.manifest_id).document["profile"], now=now)
    lanes = list(rollout.rings.order_by("position"))
    judged = [ring.pk for ring in lanes if ring.classes_asked and _is_judged(ring, counts.get(ring.pk, {}))]
    classes = tried_so_far(lanes, signed(rollout.manifest_id).hosts, of=judged)
    rings = tuple(
        RingView(
            id=ring.pk,
            name=ring.name,
            state=ring.state,
            concurrency=ring.concurrency,
            failure_limit=ring.failure_limit,
            success_percent=ring.success_percent,
            soak_until=ring.soak_until,
            confidence_percent=ring.confidence_percent,
            bound_percent=ring.bound_percent,
            class_hosts=ring.class_hosts,
            classes=classes.get(ring.pk, dict.fromkeys(ring.classes_asked, 0)),
            accepted_partly=ring.accepted_partly,
            waits=waits.get(ring.pk, ""),
            due=due.get(ring.pk, 0),
            counts=counts.get(ring.pk, {}),
        )
        for ring in lanes
    )
    return RolloutView(rollout.pk, rollout.state, is_open, rings, expired)


def _is_judged(ring: Ring, counts: Mapping[str, int]) -> bool:
    """Whether all its hosts have ended, so that what it has proven may be asked now."""
    at_work = any(counts.get(state) for state in (JobState.PENDING, *LIVE))
    return ring.state in (RingState.RUNNING, RingState.SOAKING) and not at_work


def live_jobs(**which: Any) -> QuerySet[Job]:
    """Jobs that may be acting on hosts now."""
    return Job.objects.live().filter(**which)


def may_go_on(rollout_id: int) -> bool:
    """Whether a host that ended well lets its rollout do more: others wait for their turn, or none is at work any longer."""
    jobs = Job.objects.filter(rollout_id=rollout_id).order_by()
    return jobs.filter(state=JobState.PENDING).exists() or not jobs.filter(state__in=LIVE).exists()


def at_work(live: int) -> English:
    """How many hosts are acted on, or may be, in words."""
    return english_n("%(n)s host is at work or out of sight", "%(n)s hosts are at work or out of sight", live)


def open_rollout_of(release_id: int) -> Rollout | None:
    """The one open rollout of a release."""
    return Rollout.objects.open().filter(release_id=release_id).first()


def forward_of(release_id: int) -> Rollout | None:
    """The newest rollout of a release that began and is not a way back."""
    rows = Rollout.objects.filter(release_id=release_id, reverses__isnull=True, started_at__isnull=False)
    return rows.order_by("-id").first()


def visible_rollouts(actor: User) -> QuerySet[Rollout]:
    """What a list shows, with the counts it needs. The counts are those of the hosts in the actor's scope."""
    seen = Q() if actor.scopes_for("rollout.view") is None else Q(jobs__in=Job.objects.visible_to(actor))
    good, bad = (
        Q(jobs__state__in=["succeeded", "not_needed"]),
        Q(jobs__state__in=["failed", "undone", "unknown", "lost"]),
    )
    return (
        Rollout.objects.visible_to(actor)
        .select_related("release", "planned_by", "started_by", "reverses")
        .annotate(
            host_count=Count("jobs", filter=seen or None),
            good_count=Count("jobs", filter=good & seen),
            bad_count=Count("jobs", filter=bad & seen),
        )
    )


def due_rollouts() -> QuerySet[Rollout]:
    """Those that something may be done for."""
    return Rollout.objects.filter(state__in=[RolloutState.RUNNING, RolloutState.STOPPING])
