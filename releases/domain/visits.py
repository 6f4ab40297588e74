"""A visit: a worker's hold on one job. Every write carries its fence, so that a late holder writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from math import isfinite
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import transaction

from cmdb.domain import scans
from patchflow.kernel import queue, workflow
from patchflow.kernel.blockers import sentences
from patchflow.kernel.errors import Conflict, Refusal
from patchflow.kernel.faults import fault
from patchflow.kernel.json_text import needs_a_look
from patchflow.kernel.models import User
from patchflow.kernel.queue import Claim
from releases.domain.trials import acting
from releases.executors.base import Executor, JobEvent, JobResult, Observed
from releases.executors.wire import text_heard
from releases.models import Job
from releases.models import JobEvent as JobEventRow
from releases.queries.rollouts import signed

log = structlog.get_logger(__name__)
SUCCEEDED = ("succeed", "observe_succeeded")
FAILED = ("fail", "observe_failed")
"""After these the host may have other packages than the inventory says, and than was signed: they are always read."""


class Visit:
    """One job under one lease. `now` and `wait` are given, so that a visit can be rehearsed."""

    def __init__(self, held: Claim, now: Callable[[], datetime], wait: Callable[[float], None]) -> None:
        self.held, self.now, self.wait = held, now, wait
        self.began = now()
        self.bot = User.bot()
        self.load()

    def load(self) -> None:
        self.job = Job.objects.select_related("rollout__release", "ring", "host").get(pk=self.held.pk)

    @cached_property
    def executor(self) -> Executor:
        return acting(self.job.rollout.executor)

    # --- writing, with the fence --------------------------------------------------------------------------------------
    def move(self, name: str, **facts: Any) -> None:
        """Fires one transition. Raises Conflict if the row was taken over or has moved on."""
        fault(f"before_{name}")
        with transaction.atomic():
            fired = workflow.fire_many(
                Job.objects.filter(pk=self.held.pk), name, actor=self.bot, at=self.now(), fences={self.held.pk: self.held.fence},
                facts_of=lambda _job: facts,
            )  # fmt: skip
            if not fired.done:
                reasons = next(iter(fired.refused.values()), [])
                raise Conflict(reasons or "Another holder has this job.", code="conflict.fence")
            if name in FAILED or (name in SUCCEEDED and self._reads_after_success()):
                self._ask_inventory()
        fault(f"after_{name}")
        self.load()

    def write(self, **columns: Any) -> None:
        """Writes columns that are no state. Raises Conflict if the row was taken over."""
        rows = Job.objects.filter(pk=self.held.pk, fence=self.held.fence)
        if not rows.update(**columns):
            raise Conflict("Another holder has taken this over; a late write is shut out.", code="conflict.fence")
        for name, value in columns.items():
            setattr(self.job, name, value)

    def renew(self) -> None:
        """Prolongs the lease. Raises Conflict if another holder has taken over."""
        if not queue.renew(Job, self.held, lease=settings.PATCHFLOW["LEASE"]):
            raise Conflict("Another holder has taken this over.", code="conflict.fence")

    def keep(self, events: tuple[JobEvent, ...]) -> None:
        """Writes what is new of the journal; lines already there stay as they are."""
        if not events and self.job.heard_at and self.now() - self.job.heard_at < timedelta(seconds=5):
            return
        with transaction.atomic():
            last = max([self.job.last_seq, *(event.seq for event in events)])
            self.write(last_seq=last, heard_at=self.now())
            rows = [
                JobEventRow(
                    job_id=self.held.pk, attempt=self.job.attempt, seq=event.seq, at=event.at, stage=event.stage.value,
                    message=clean(event.message), data=clean(dict(event.data)),
                )
                for event in events
            ]  # fmt: skip
            JobEventRow.objects.bulk_create(rows, ignore_conflicts=True)

    def _reads_after_success(self) -> bool:
        """As the signed profile says: inventory afterwards, or at the next regular scan."""
        profile = signed(self.job.rollout.manifest_id).document["profile"]
        return bool(profile.get("inventory_after", True))

    def _ask_inventory(self) -> None:
        """The inventory follows: a scan of this host, unless one is under way."""
        try:
            scans.request(host_ids=[self.job.host_id], actor=self.bot, at=self.now())
        except Refusal as refusal:
            log.info("job.no_scan", job=self.job.job_key, why=sentences(refusal.blockers))


def clean(value: Any) -> Any:
    """In JSON's own types, without what PostgreSQL refuses: NUL, halves of characters, numbers that are none."""
    kind: Any = type(value)
    if kind is str:
        return text_heard(value)
    if value is None or kind is bool or kind is int:
        return value
    if kind is float:
        return value if isfinite(value) else str(value)
    if kind is tuple or kind is list:
        return [clean(v) for v in value]
    if kind is dict and not value:
        return {}
    if names := _columns_of(kind):
        return {name: clean(getattr(value, name)) for name in names}
    match value:
        case str():
            return clean(str.__str__(value))
        case Mapping():
            return {text_heard(k): clean(v) for k, v in value.items()}
        case int() | float():
            return value
    return str(value)


def _cleaned(accounts: dict[str, Any]) -> Any:
    """`clean` of what a host tells, without floats, which no entry takes; by way of its text where nothing in it needs a look:
    a third of the time."""
    try:
        text = orjson.dumps(accounts)
    except TypeError:  # a number beyond 64 bits, a key that is no text, a lone surrogate
        return _without_floats(clean(accounts))
    return _without_floats(clean(accounts)) if needs_a_look(text) else orjson.loads(text)


def _without_floats(value: Any) -> Any:
    match value:
        case float():
            return str(value)
        case dict():
            return {key: _without_floats(v) for key, v in value.items()}
        case list():
            return [_without_floats(v) for v in value]
    return value


@cache
def _columns_of(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields; none of anything else."""
    return tuple(f.name for f in fields(kind)) if is_dataclass(kind) else ()


SHOWN = tuple(name for name in _columns_of(Observed) if name != "result")
"""What a host shows, beside the job's own account, which is told by itself."""


def told(result: JobResult | None, seen: Observed | None = None) -> dict[str, Any]:
    """What is stored with the job: its own account, and what the host showed."""
    found: dict[str, Any] = {}
    if result is not None:
        found["own"] = result
    if seen is not None:
        found["seen"] = {name: getattr(seen, name) for name in SHOWN}
    cleaned: dict[str, Any] = _cleaned(found)
    return cleaned
