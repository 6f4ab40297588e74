"""Due work: rows are the truth, a message only says "look at row N" (law 5).

A claim is a conditional UPDATE whose row count decides, on both databases; SKIP LOCKED where there is one. Leases run
by the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from celery import current_app
from django.db import connection, models, transaction
from django.db.models import F, Q

from patchflow.kernel import bell, registry
from patchflow.kernel.models.due import DueWork

log = structlog.get_logger(__name__)
D = TypeVar("D", bound=DueWork)


def enqueue(task: str, **ids: Any) -> None:
    """Rings for `task` (by name) with keyword ids after commit. A broker that is away costs nothing: the sweep finds the row."""

    def ring() -> None:
        if current_app.conf.broker_url == "memory://":  # a command without a broker: nobody could hear it
            return
        bell.ring(task, ids)

    transaction.on_commit(ring)


SHORT = ("tick", "default", "scan", "notify")
"""Queues of which no message may wait for a visit that only follows what hosts do; those of `exec` wait for each other."""


def short_ones_wait() -> bool:
    """Whether a message of another kind waits that this worker takes: where each queue has workers of its own, giving way helps
    nobody. One question to the broker for each queue."""
    mine = [name for name in SHORT if name in current_app.amqp.queues.consume_from]
    return bool(mine) and current_app.conf.broker_url != "memory://" and bell.rung_in(mine)


def reach_broker(*, seconds: int = 3) -> None:
    """Raises its client's own error if the broker does not answer in so many seconds."""
    with current_app.connection_for_read(connect_timeout=seconds) as broker:
        broker.ensure_connection(max_retries=1, timeout=seconds)


def database_now() -> datetime:
    """The database's clock (UTC, aware): leases are kept by it, not by the worker's."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            return datetime.fromtimestamp(float(cursor.fetchone()[0]), UTC)
        cursor.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f', 'now')")
        return datetime.fromisoformat(cursor.fetchone()[0]).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Claim:
    """A held row: write with this fence or not at all."""

    pk: int
    fence: int


def due(rows: models.QuerySet[D], *, now: datetime) -> models.QuerySet[D]:
    """Rows whose time has come and that nobody holds."""
    return rows.filter(Q(not_before__isnull=True) | Q(not_before__lte=now)).filter(_free(now))


def claim(rows: models.QuerySet[D], *, owner: str, lease: timedelta, limit: int = 1) -> list[Claim]:
    """Takes up to `limit` due rows under a lease; each claim raises the fence, so that a late holder is shut out.

    On SQLite it reads first and takes the write lock only if something is due.
    """
    now = database_now()
    candidates = due(rows, now=now).order_by(F("not_before").asc(nulls_first=True), "pk")
    if not candidates.exists():
        return []
    with transaction.atomic():
        found = dict(
            candidates.select_for_update(of=("self",), skip_locked=True, no_key=True).values_list("pk", "fence")[:limit]
        )
        free = rows.model._base_manager.filter(pk__among=found).filter(_free(now))
        held = {"lease_until": now + lease, "lease_owner": owner[:80], "attempts": F("attempts") + 1}
        taken: list[Claim] = []
        for fence, pks in _by(found):
            changed = free.filter(pk__among=pks, fence=fence).update(fence=fence + 1, **held)
            if changed == len(pks):
                taken += [Claim(pk, fence + 1) for pk in pks]
            else:  # none of them is ours for certain: all wait until the lease that was given is over
                log.warning("queue.claimed_twice", rows=rows.model.__name__, wanted=len(pks), changed=changed)
        return taken


def _free(now: datetime) -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lt=now)


def _by(fences: Mapping[int, int]) -> list[tuple[int, list[int]]]:
    """Rows by their fence: most of a batch have the same one, so that one statement writes them."""
    found: dict[int, list[int]] = {}
    for pk, fence in fences.items():
        found.setdefault(fence, []).append(pk)
    return sorted(found.items())


def write(model: type[D], held: Iterable[Claim], **columns: Any) -> set[int]:
    """Writes columns of many held rows, each only where its fence still holds; the keys of those that do."""
    kept: set[int] = set()
    for fence, pks in _by({claim.pk: claim.fence for claim in held}):
        rows = model._base_manager.filter(pk__among=pks, fence=fence)
        if rows.update(**columns) == len(pks):
            kept |= set(pks)
        else:
            kept |= set(rows.values_list("pk", flat=True))
    return kept


def renew(model: type[D], held: Claim, *, lease: timedelta) -> bool:
    """Prolongs the lease; False if another holder has taken over: stop at once."""
    return bool(model._base_manager.filter(pk=held.pk, fence=held.fence).update(lease_until=database_now() + lease))


def release(model: type[D], held: Claim, *, not_before: datetime | None = None) -> bool:
    """Gives the row back, due again at `not_before` (None: at once)."""
    return bool(
        model._base_manager.filter(pk=held.pk, fence=held.fence).update(
            lease_until=None, lease_owner="", not_before=not_before
        )
    )


def sweep(*, now: datetime) -> dict[str, int]:
    """Runs every registered sweep; one that fails is logged and does not keep the others from running."""
    found: dict[str, int] = {}
    for name in registry.sweeps:
        try:
            found[name] = registry.sweeps[name](now=now)
        except Exception:
            log.exception("queue.sweep_failed", sweep=name)
            found[name] = -1
    return found
