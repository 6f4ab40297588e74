"""Webhooks against a real server: signed, once per id, tried again, never where they may not go, and no secret anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core import serializers

from patchflow.kernel import queue
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry
from patchflow.notices import posting, signing, webhooks
from patchflow.notices.delivery import tell
from patchflow.notices.models import Notice, Webhook, WebhookDelivery
from tests.factories.people import Cast
from tests.fakes.receiver import Receiver

pytestmark = pytest.mark.django_db
KIND = "substitute_named"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.PATCHFLOW = {**django_settings.PATCHFLOW, "OUTBOUND_ALLOW": ["127.0.0.1", "localhost"]}
    with Receiver().served() as served:
        yield served


def hooked(cast: Cast, now: datetime, url: str, **given: Any) -> tuple[Webhook, str]:
    return webhooks.add(name="Desk", url=url, actor=cast.ada, at=now, **given)


def told(cast: Cast, now: datetime, key: str = "k", person: str = "mia") -> Notice | None:
    one = {"user": "cal", "starts_at": now, "ends_at": now, "reason": "Away.", "named_by": "cal"}
    return tell(kind=KIND, people=[getattr(cast, person)], key=key, at=now, url="/changes/substitutes/", one=one)


def send(now: datetime | None = None) -> list[bool]:
    """Sends what is due now, the oldest first; each is claimed by the database's clock."""
    WebhookDelivery.objects.update(not_before=None)
    moment = now or datetime.now(UTC)
    due = list(WebhookDelivery.objects.order_by("pk").values_list("pk", flat=True))
    return [webhooks.deliver(delivery_id=pk, now=moment) for pk in due]


def test_a_notice_arrives_signed_and_says_what_is_documented(cast: Cast, now: datetime, receiver: Receiver) -> None:
    _hook, secret = hooked(cast, now, receiver.url)
    told(cast, now)
    at = datetime.now(UTC)
    assert send(at) == [True]
    (got,) = receiver.got
    body = json.loads(got.body)
    assert (got.path, got.headers["content-type"], got.headers["webhook-attempt"]) == ("/hook", "application/json", "1")
    assert signing.verify(secret, got.headers, got.body, now=at)
    assert body["id"] == got.headers["webhook-id"] == WebhookDelivery.objects.get().message_id
    assert (body["type"], body["timestamp"]) == (f"notice.{KIND}", now.isoformat())
    assert body["data"]["facts"]["one"]["starts_at"] == now.isoformat()
    assert body["data"]["url"].endswith("/changes/substitutes/")
    assert set(body["data"]) == {"kind", "title", "url", "facts"}
    row = WebhookDelivery.objects.get()
    assert (row.state, row.answer, row.error) == ("sent", 204, "")
    assert send() == [False]  # what was taken is not sent again
    assert len(receiver.got) == 1


def test_another_secret_another_body_or_another_hour_prove_nothing(
    cast: Cast, now: datetime, receiver: Receiver
) -> None:
    _hook, secret = hooked(cast, now, receiver.url)
    told(cast, now)
    at = datetime.now(UTC)
    send(at)
    (got,) = receiver.got
    assert not signing.verify(signing.secret_of("other"), got.headers, got.body, now=at)
    assert not signing.verify(secret, got.headers, got.body + b" ", now=at)
    assert not signing.verify(secret, got.headers | {"webhook-id": "msg_x"}, got.body, now=at)
    assert not signing.verify(secret, got.headers, got.body, now=at + timedelta(minutes=6))
    assert not signing.verify(secret, {}, got.body, now=at)


def test_it_is_tried_again_under_one_id_ever_later_and_says_which_try_it_is(
    cast: Cast, now: datetime, receiver: Receiver
) -> None:
    hooked(cast, now, receiver.url)
    told(cast, now)
    receiver.answers = [500, 429, 302]
    receiver.location = "http://169.254.169.254/"
    waits = []
    for _ in range(4):
        send(now)
        row = WebhookDelivery.objects.get()
        waits.append(row.not_before and row.not_before - now)
    assert waits == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4), None]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len({got.body for got in receiver.got}) == 1
    assert [got.headers["webhook-attempt"] for got in receiver.got] == ["1", "2", "3", "4"]
    assert [one["answer"] for one in row.tries] == [500, 429, 302, 204]


def test_after_eight_tries_it_is_kept_as_failed_until_somebody_sends_it_again(
    cast: Cast, now: datetime, receiver: Receiver
) -> None:
    hook, _secret = hooked(cast, now, receiver.url)
    told(cast, now)
    receiver.answers = [503] * 8
    for _ in range(9):
        send(now)
    row = WebhookDelivery.objects.get()
    assert (row.state, row.answer, len(receiver.got)) == ("failed", 503, 8)
    webhooks.send_again(webhook_id=hook.pk, delivery_id=row.pk, actor=cast.ada, at=now)
    assert send() == [True]
    assert receiver.got[-1].headers["webhook-id"] == receiver.got[0].headers["webhook-id"]
    assert receiver.got[-1].headers["webhook-attempt"] == "9"


def test_gone_switches_it_off_and_what_waits_stays(cast: Cast, now: datetime, receiver: Receiver) -> None:
    hook, _secret = hooked(cast, now, receiver.url)
    told(cast, now)
    receiver.answers = [410]
    send(now)
    hook.refresh_from_db()
    assert (hook.disabled_at, "410" in hook.disabled_why) == (now, True)
    assert AuditEntry.objects.get(verb="notices.webhook_switched").actor.is_bot
    told(cast, now, key="later")
    assert WebhookDelivery.objects.count() == 1
    with pytest.raises(Conflict, match="switched off"):
        webhooks.test(webhook_id=hook.pk, actor=cast.ada, at=now)
    webhooks.switch(webhook_id=hook.pk, off=False, actor=cast.ada, at=now)
    webhooks.test(webhook_id=hook.pk, actor=cast.ada, at=now)
    assert send() == [False, True]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/"]
)
def test_it_goes_nowhere_that_only_this_machine_reaches(url: str, cast: Cast, now: datetime) -> None:
    hooked(cast, now, url)
    told(cast, now)
    assert send(now) == [False]
    row = WebhookDelivery.objects.get()
    assert (row.state, row.answer) == ("failed", None)
    assert "not on the public internet" in row.error


def test_a_name_that_answers_inside_and_outside_is_refused() -> None:
    with pytest.raises(posting.NotPosted, match=r"10\.0\.0\.1 is not on the public internet") as refused:
        posting.post(
            "https://example.org/", b"{}", {}, allow_private=False, resolver=lambda *_a: ["93.184.216.34", "10.0.0.1"]
        )
    assert refused.value.final


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "nothing", "https://", "https://user:pw@example.org/", "file:///etc/passwd", ""]
)
def test_an_address_that_is_none_is_refused_when_it_is_written(url: str, cast: Cast, now: datetime) -> None:
    with pytest.raises(Invalid) as refused:
        hooked(cast, now, url)
    assert [b.code for b in refused.value.blockers] == ["webhook.url"]


def test_it_gets_the_kinds_and_the_roles_that_it_names(cast: Cast, now: datetime, receiver: Receiver) -> None:
    hooked(cast, now, receiver.url, kind_names=["approval_requested"])
    board, _secret = hooked(cast, now, receiver.url, kind_names=[KIND], roles=["cab_member"])
    hooked(cast, now, receiver.url, roles=["auditor"])
    told(cast, now)
    assert [row.webhook for row in WebhookDelivery.objects.all()] == [board]
    told(cast, now)  # the same key: nothing is told twice
    assert WebhookDelivery.objects.count() == 1
    for wrong in ({"kind_names": ["gossip"]}, {"roles": ["system"]}):
        with pytest.raises(Invalid):
            hooked(cast, now, receiver.url, **wrong)


def test_for_a_day_after_a_change_both_secrets_prove_it(cast: Cast, now: datetime, receiver: Receiver) -> None:
    hook, first = hooked(cast, now, receiver.url)
    _hook, second = webhooks.rotate(webhook_id=hook.pk, actor=cast.ada, at=now)
    assert first != second
    for key, at in (("a", now), ("b", now + timedelta(hours=25))):
        told(cast, now, key=key)
        send(at)
    within, after = receiver.got
    assert [signing.verify(s, within.headers, within.body, now=now) for s in (first, second)] == [True, True]
    late = now + timedelta(hours=25)
    assert [signing.verify(s, after.headers, after.body, now=late) for s in (first, second)] == [False, True]


def test_no_secret_is_in_a_table_a_trail_or_a_log(
    cast: Cast, now: datetime, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        hook, first = hooked(cast, now, receiver.url)
        _hook, second = webhooks.rotate(webhook_id=hook.pk, actor=cast.ada, at=now)
        webhooks.test(webhook_id=hook.pk, actor=cast.ada, at=now)
        send()
    kept = serializers.serialize(
        "json", [*Webhook.objects.all(), *WebhookDelivery.objects.all(), *AuditEntry.objects.all()]
    )
    heard = caplog.text + "".join(capfd.readouterr())
    for secret in (first, second):
        bare = secret.removeprefix(signing.PREFIX)
        assert bare not in kept
        assert bare not in heard


def test_only_who_keeps_them_does_anything_to_them(cast: Cast, now: datetime) -> None:
    hook, _secret = hooked(cast, now, "https://example.org/hook")
    row = webhooks.test(webhook_id=hook.pk, actor=cast.ada, at=now)
    given = {"webhook_id": hook.pk, "at": now}
    acts = [
        lambda who: webhooks.add(name="x", url="https://example.org/", actor=who, at=now),
        lambda who: webhooks.revise(name="x", url="https://example.org/", actor=who, **given),
        lambda who: webhooks.rotate(actor=who, **given),
        lambda who: webhooks.switch(off=True, actor=who, **given),
        lambda who: webhooks.test(actor=who, **given),
        lambda who: webhooks.send_again(delivery_id=row.pk, actor=who, **given),
    ]
    for person in cast:
        if person in (cast.ada,):
            continue
        assert not Webhook.objects.visible_to(person).exists()
        for act in acts:
            with pytest.raises(NotAllowed):
                act(person)
    with pytest.raises(Conflict, match="on its way"):
        acts[-1](cast.ada)


def test_what_a_lost_message_left_behind_is_found_by_the_sweep(cast: Cast, now: datetime, receiver: Receiver) -> None:
    hooked(cast, now, receiver.url)
    told(cast, now)
    assert queue.sweep(now=datetime.now(UTC))["webhooks"] == 1
    send()
    assert queue.sweep(now=datetime.now(UTC))["webhooks"] == 0
