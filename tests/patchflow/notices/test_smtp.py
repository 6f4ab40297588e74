"""Mail as it arrives at a real SMTP server on loopback: once, though workers compete, are killed, and servers refuse."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.conf import settings
from django.db import connection
from django.test import override_settings

from patchflow.notices import delivery
from patchflow.notices.models import Delivery, DeliveryState
from tests.crowd import together
from tests.factories.notices import make_delivery
from tests.factories.people import Cast, make_cast

pytestmark = pytest.mark.django_db(transaction=True)


class Mailboxes:
    """The handler of a mail server: keeps what it takes, refuses whom it is told to refuse."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.answers: dict[str, str] = {}

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.taken.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"

    @property
    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]


@pytest.fixture
def boxes() -> Iterator[Mailboxes]:
    found = Mailboxes()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    server = Controller(found, hostname=host, port=port)
    server.start()
    with override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST=host, EMAIL_PORT=port, EMAIL_TIMEOUT=10
    ):
        yield found
    server.stop()


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def test_a_notice_arrives_whole(boxes: Mailboxes, cast: Cast, now: datetime) -> None:
    row = make_delivery(cast.mia, at=now, title="RO-2026-00001: Prüfung", body="Größe & <Zeichen>.", language="de")
    assert delivery.deliver(delivery_id=row.pk, now=now)
    (message,) = boxes.taken
    assert (message["To"], message["Subject"]) == ("mia@example.org", "RO-2026-00001: Prüfung")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Content-Language"] == "de"
    assert "Größe & <Zeichen>." in message.get_content()  # type: ignore[attr-defined]


@pytest.mark.pg
def test_workers_that_compete_send_it_once(boxes: Mailboxes, cast: Cast, now: datetime) -> None:
    row = make_delivery(cast.mia, at=now)
    sent = together([lambda: delivery.deliver(delivery_id=row.pk, now=now)] * 4)
    assert sorted(sent) == [False, False, False, True]
    assert len(boxes.taken) == 1


def test_a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not(
    boxes: Mailboxes, cast: Cast, now: datetime
) -> None:
    row = make_delivery(cast.mia, at=now)
    boxes.answers["mia@example.org"] = "451 4.2.1 busy"
    assert not delivery.deliver(delivery_id=row.pk, now=now)
    row.refresh_from_db()
    assert (row.state, row.attempts, row.not_before) == (DeliveryState.QUEUED, 1, now + timedelta(minutes=2))
    boxes.answers["mia@example.org"] = "550 5.1.1 no such mailbox"
    Delivery.objects.update(not_before=None)
    assert not delivery.deliver(delivery_id=row.pk, now=now)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, 2)
    assert "no such mailbox" in row.error
    boxes.answers.clear()
    delivery.send_again(delivery_id=row.pk, actor=cast.otto, at=now)
    assert delivery.deliver(delivery_id=row.pk, now=now)
    assert len(boxes.taken) == 1


KILLED = """
import os, django
django.setup()
from django.conf import settings
from django.utils import timezone
settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", int(os.environ["SMTP_PORT"])
from patchflow.notices.delivery import deliver
deliver(delivery_id=int(os.environ["DELIVERY"]), now=timezone.now())
"""


def worker_killed(row: Delivery, moment: str) -> None:
    """A worker of its own that dies by SIGKILL at this moment."""
    name = connection.settings_dict
    url = f"postgres://{name['USER']}:{name['PASSWORD']}@{name['HOST']}:{name['PORT'] or 5432}/{name['NAME']}"
    environment = {
        **os.environ, "PATCHFLOW_DATABASE_URL": url, "PATCHFLOW_FAULT": moment, "DELIVERY": str(row.pk),
        "SMTP_PORT": str(settings.EMAIL_PORT), "DJANGO_SETTINGS_MODULE": "patchflow.settings", "PATCHFLOW_BROKER_URL": "memory://",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=environment,
        cwd=Path(settings.BASE_DIR),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    row.refresh_from_db()
    assert (row.state, row.attempts) == (DeliveryState.QUEUED, 1)


@pytest.mark.pg
def test_a_worker_killed_before_it_sends_costs_nothing(boxes: Mailboxes, cast: Cast, now: datetime) -> None:
    row = make_delivery(cast.mia, at=now)
    worker_killed(row, "before_send")
    assert boxes.taken == []
    assert not delivery.deliver(delivery_id=row.pk, now=now)  # its lease is still on
    Delivery.objects.update(lease_until=now)
    assert delivery.deliver(delivery_id=row.pk, now=now)
    assert len(boxes.taken) == 1


@pytest.mark.pg
def test_a_worker_killed_before_it_writes_sends_the_same_message_again(
    boxes: Mailboxes, cast: Cast, now: datetime
) -> None:
    row = make_delivery(cast.mia, at=now)
    worker_killed(row, "after_send")
    assert len(boxes.taken) == 1
    Delivery.objects.update(lease_until=now)
    assert delivery.deliver(delivery_id=row.pk, now=now)
    first, second = boxes.ids
    assert first == second
    said = [message.get_content() for message in boxes.taken]  # type: ignore[attr-defined]
    assert said[0] == said[1]
