"""Celery tasks of notices: ids in, one verb."""

from celery import shared_task
from django.utils import timezone

from patchflow.notices import delivery, webhooks


@shared_task
def deliver(*, delivery_id: int, **_: object) -> None:
    delivery.deliver(delivery_id=delivery_id, now=timezone.now())


@shared_task
def deliver_webhook(*, delivery_id: int, **_: object) -> None:
    webhooks.deliver(delivery_id=delivery_id, now=timezone.now())
