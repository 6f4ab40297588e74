"""Telling people. `tell` writes rows in the caller's transaction; a worker delivers them; nothing is sent twice per key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

from patchflow.kernel import queue
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep
from patchflow.notices.models import Channel, Delivery, DeliveryState, Notice

log = structlog.get_logger(__name__)
LEASE = timedelta(seconds=60)
TRIES = 6


def tell(*, kind: str, people: Iterable[User], key: str, at: datetime, url: str = "", **context: Any) -> Notice | None:
    """Queues notice `kind` (template `notices/<kind>.txt`, first line the title) for `people`; None if `key` was told before.

    The link leads to the page where the person decides; it never decides by itself.
    """
    wanted = {p.pk: p for p in people if p.is_active and not p.is_bot}
    if not wanted:
        return None
    text = render_to_string(
        f"notices/{kind}.txt", {"url": settings.BASE_URL + url if url else "", "at": at, **context}
    ).strip()
    title, _newline, body = text.partition("\n")
    notice, made = Notice.objects.get_or_create(
        key=key, defaults={"kind": kind, "title": title[:200], "body": body.strip(), "url": url, "written_at": at}
    )
    if not made:
        return None
    rows = [
        Delivery(notice=notice, user=p, channel=Channel.MAIL if p.email else Channel.CONSOLE) for p in wanted.values()
    ]
    for delivery in Delivery.objects.bulk_create(rows):
        queue.enqueue("patchflow.notices.tasks.deliver", delivery_id=delivery.pk)
    return notice


def deliver(*, delivery_id: int, now: datetime) -> bool:
    """Sends one delivery if nobody else is at it; a failure is tried again later, six times, then kept as failed."""
    held = queue.claim(
        Delivery.objects.filter(pk=delivery_id, state=DeliveryState.QUEUED), owner="deliver", lease=LEASE
    )
    if not held:
        return False
    delivery = Delivery.objects.select_related("notice", "user").get(pk=delivery_id)
    try:
        _send(delivery)
    except Exception as error:
        late = now + timedelta(minutes=2**delivery.attempts)
        state = DeliveryState.FAILED if delivery.attempts >= TRIES else DeliveryState.QUEUED
        Delivery.objects.filter(pk=delivery_id, fence=held[0].fence).update(
            state=state, error=f"{type(error).__name__}: {error}"[:300], not_before=late, lease_until=None
        )
        return False
    return bool(
        Delivery.objects.filter(pk=delivery_id, fence=held[0].fence).update(
            state=DeliveryState.SENT, sent_at=now, lease_until=None, error=""
        )
    )


def _send(delivery: Delivery) -> None:
    notice = delivery.notice
    if delivery.channel == Channel.MAIL:
        link = f"\n\n{settings.BASE_URL}{notice.url}" if notice.url else ""
        EmailMessage(
            notice.title.replace("\n", " "),
            notice.body + link,
            settings.DEFAULT_FROM_EMAIL,
            [delivery.user.email],
            headers={"Message-ID": f"<notice-{notice.pk}-{delivery.pk}@patchflow>"},
        ).send()
    else:
        log.info("notice", to=delivery.user.username, title=notice.title, url=notice.url)


@sweep("notices")
def due_deliveries(*, now: datetime) -> int:
    """Rings for deliveries that a lost message left behind."""
    rows = list(
        queue.due(Delivery.objects.filter(state=DeliveryState.QUEUED), now=now).values_list("pk", flat=True)[:200]
    )
    for pk in rows:
        queue.enqueue("patchflow.notices.tasks.deliver", delivery_id=pk)
    return len(rows)
