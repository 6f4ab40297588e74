"""People are told once per key; a delivery that fails is tried again, and never sent twice."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.test import override_settings

from patchflow.kernel.models import User
from patchflow.notices import delivery
from patchflow.notices.models import Delivery, DeliveryState, Notice
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def template(tmp_path: Path, settings: object) -> Iterator[None]:
    folder = tmp_path / "notices"
    folder.mkdir()
    (folder / "box.txt").write_text("The box is {{ color }}\n\n{{ moment|date:'j M H:i T' }} Look at it: {{ url }}\n")
    from django.conf import settings as current

    with override_settings(TEMPLATES=[{**current.TEMPLATES[0], "DIRS": [str(tmp_path)]}]):
        yield


def told(cast: Cast, now: datetime, key: str = "box-1", **facts: object) -> Notice | None:
    facts = {"color": "red", "moment": now} | facts
    return delivery.tell(kind="box", people=[cast.cal, cast.mia, cast.bot], key=key, at=now, url="/board/", **facts)


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


def test_each_is_told_in_their_own_language_and_zone(cast: Cast, now: datetime) -> None:
    User.objects.filter(pk=cast.mia.pk).update(time_zone="Europe/Berlin", language="de")
    cast.mia.refresh_from_db()
    told(cast, now, moment=datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    said = dict(Delivery.objects.values_list("user__username", "body"))
    assert said["cal"].startswith("1 Jul 22:30 UTC")
    assert said["mia"].startswith("2 Jul 00:30 CEST")
    assert Delivery.objects.get(user=cast.mia).language == "de"


def test_of_a_person_nothing_but_the_name_is_kept(cast: Cast, now: datetime) -> None:
    notice = told(cast, now, color=cast.mia)
    assert notice is not None
    assert notice.facts["color"] == {"_": "mia"}


def test_what_the_mail_server_refuses_for_good_is_not_tried_again() -> None:
    refused = smtplib.SMTPRecipientsRefused({"a@b.org": (550, b"no such mailbox")})
    assert delivery.is_final(refused)
    assert not delivery.is_final(smtplib.SMTPRecipientsRefused({"a@b.org": (451, b"later")}))
    assert not delivery.is_final(smtplib.SMTPAuthenticationError(535, b"password"))
    assert not delivery.is_final(ConnectionResetError())
