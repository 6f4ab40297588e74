"""People are told once per key; a delivery that fails is tried again, and never sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.test import override_settings

from patchflow.notices import delivery
from patchflow.notices.models import Delivery, DeliveryState, Notice
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def template(tmp_path: Path, settings: object) -> Iterator[None]:
    folder = tmp_path / "notices"
    folder.mkdir()
    (folder / "box.txt").write_text("The box is {{ color }}\n\nLook at it: {{ url }}\n")
    from django.conf import settings as current

    with override_settings(TEMPLATES=[{**current.TEMPLATES[0], "DIRS": [str(tmp_path)]}]):
        yield


def told(cast: Cast, now: datetime, key: str = "box-1") -> Notice | None:
    return delivery.tell(kind="box", people=[cast.cal, cast.mia, cast.bot], key=key, at=now, url="/board/", color="red")


def test_a_notice_is_said_once_per_key(cast: Cast, now: datetime) -> None:
    assert told(cast, now)
    assert told(cast, now) is None
    assert Delivery.objects.count() == 2


def test_a_delivery_is_sent_once(cast: Cast, now: datetime) -> None:
    told(cast, now)
    first = Delivery.objects.order_by("pk")[0]
    assert delivery.deliver(delivery_id=first.pk, now=now)
    assert not delivery.deliver(delivery_id=first.pk, now=now)
    (message,) = mail.outbox
    assert (message.subject, message.to) == ("The box is red", ["cal@example.org"])
    assert "http://127.0.0.1:8000/board/" in message.body


def test_a_mail_server_that_refuses_is_asked_again_later(cast: Cast, now: datetime, settings: object) -> None:
    told(cast, now)
    first = Delivery.objects.order_by("pk")[0]
    with override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=1
    ):
        assert not delivery.deliver(delivery_id=first.pk, now=now)
    first.refresh_from_db()
    assert (first.state, first.attempts) == (DeliveryState.QUEUED, 1)
    assert first.not_before == now + timedelta(minutes=2)
    assert "ConnectionRefusedError" in first.error


def test_the_sweep_finds_what_a_lost_message_left(cast: Cast, now: datetime) -> None:
    told(cast, now)
    assert delivery.due_deliveries(now=now) == 2
