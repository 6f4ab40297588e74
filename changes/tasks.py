"""Tasks of changes: ids in, one verb."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from changes.domain import applicability, polls


@shared_task
def run_feed(*, run_id: int, **_: object) -> None:
    polls.run(run_id=run_id, now=timezone.now())


@shared_task
def evaluate_order(*, order_id: int, **_: object) -> None:
    applicability.carry_out_due(order_id=order_id, now=timezone.now)


@shared_task
def count_reach(**_: object) -> None:
    applicability.count_reach()
