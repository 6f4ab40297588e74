"""What workers of the queue *scan* do."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from cmdb.domain import points, scans


@shared_task
def run_scan(*, scan_run_id: int, **_: object) -> None:
    """Asks the hosts of one scan run."""
    scans.run(scan_run_id=scan_run_id, now=timezone.now())


@shared_task
def check_point(*, point_id: int, **_: object) -> None:
    """Asks one distribution point whether it answers."""
    points.check_due(point_id=point_id, now=timezone.now())
