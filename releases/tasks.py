"""Tasks of releases: ids in, one verb."""

from __future__ import annotations

import time
from typing import Any

from celery import shared_task
from django.utils import timezone

from releases.domain import acceptance_work, advance, builds, jobs, stagings


@shared_task(bind=True)
def run_build(self: Any, *, build_id: int, **_: Any) -> None:
    """Works a pending build to its end."""
    builds.run(build_id=build_id, owner=str(self.request.id), now=timezone.now())


@shared_task(bind=True)
def run_acceptance(self: Any, *, run_id: int, **_: Any) -> None:
    """Takes an acceptance run one step further."""
    acceptance_work.advance(run_id=run_id, owner=str(self.request.id), now=timezone.now())


@shared_task
def advance_rollout(*, rollout_id: int, **_: Any) -> None:
    """Does what is due for a rollout."""
    advance.advance(rollout_id=rollout_id, now=timezone.now())


@shared_task(bind=True)
def run_job(self: Any, *, job_id: int, **_: Any) -> None:
    """Visits one job: orders, follows or looks, for some seconds."""
    jobs.run(job_id=job_id, owner=str(self.request.id), now=timezone.now, wait=time.sleep)


@shared_task(bind=True)
def run_jobs(self: Any, *, job_ids: list[int], **_: Any) -> None:
    """Visits many jobs together: orders and follows, for some seconds."""
    jobs.run_many(job_ids=job_ids, owner=str(self.request.id), now=timezone.now, wait=time.sleep)


@shared_task(bind=True)
def stage_ring(self: Any, *, ring_id: int, **_: Any) -> None:
    """Visits the hosts of a ring on which files are to be laid ready before their window."""
    stagings.run(ring_id=ring_id, owner=str(self.request.id), now=timezone.now)
