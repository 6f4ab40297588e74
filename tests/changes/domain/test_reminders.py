"""Silence on an approval, as it arrives in mailboxes: asked, reminded at half time, told above at three quarters, expired."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine
from django.core import mail

from changes.domain import approvals
from changes.models import RFC
from patchflow.kernel import queue
from patchflow.kernel.models import SignOffRound
from patchflow.kernel.tasks import expire_rounds
from patchflow.notices.delivery import deliver
from patchflow.notices.models import Delivery, DeliveryState
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db


def post(now: datetime) -> list[tuple[str, str]]:
    """The sweeps of this moment and the postman after them: (to, subject) of what arrived."""
    queue.sweep(now=now)
    with time_machine.travel(now, tick=False):
        expire_rounds()
    mail.outbox.clear()
    for pk in Delivery.objects.filter(state=DeliveryState.QUEUED).order_by("pk").values_list("pk", flat=True):
        deliver(delivery_id=pk, now=now)
    return sorted((to, message.subject) for message in mail.outbox for to in message.to)


def test_reminders_go_out_when_silence_lasts_and_nothing_is_sent_twice(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    level = round_.levels.get(position=1)
    start, length = round_.opened_at, level.deadline_at - round_.opened_at
    second = timedelta(seconds=1)

    asked = [("sam@example.org", f"{rfc.number} waits for your decision: {rfc.title}")]
    assert post(start) == asked
    assert post(start) == []
    assert post(start + length / 2 - second) == []

    assert post(start + length / 2) == [("sam@example.org", f"Reminder: {rfc.number} still waits for your decision")]
    (reminder,) = mail.outbox
    assert f"/changes/board/{round_.pk}/" in reminder.body
    assert (
        f"the deadline is {level.deadline_at:%a} {level.deadline_at.day} {level.deadline_at:%b %Y %H:%M} UTC"
        in reminder.body
    )
    assert post(start + length / 2) == []
    assert post(start + length * 3 / 4 - second) == []

    assert post(start + length * 3 / 4) == [("che@example.org", f"{rfc.number}: level {level.name} stays silent")]
    assert "Not heard from: sam." in mail.outbox[0].body
    assert post(start + length * 3 / 4) == []
    assert RFC.objects.get(pk=rfc.pk).state == "awaiting_approval"

    assert post(level.deadline_at) == [("ann@example.org", f"{rfc.number}: approval expired")]
    assert SignOffRound.objects.get(pk=round_.pk).state == "expired"
    assert RFC.objects.get(pk=rfc.pk).state == "evaluating"
    assert post(level.deadline_at + length) == []


def test_who_has_signed_is_not_reminded(world: World) -> None:
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    level = round_.levels.get(position=1)
    post(round_.opened_at)
    approvals.decide(round_id=round_.pk, verdict="approve", actor=world.cast.sam, at=world.at)
    arrived = post(level.deadline_at)
    assert not [subject for to, subject in arrived if to == "sam@example.org"]


def test_what_asked_for_a_decision_is_read_once_it_is_given(world: World) -> None:
    """By whoever gave it; the others' notices are theirs."""
    rfc = made.awaiting(world)
    round_ = made.round_of(rfc)
    level = round_.levels.get(position=1)
    post(round_.opened_at + (level.deadline_at - round_.opened_at) * 3 / 4)
    mine, others = Delivery.objects.filter(user=world.cast.sam), Delivery.objects.exclude(user=world.cast.sam)
    assert set(mine.unread().values_list("notice__kind", flat=True)) == {"approval_requested", "approval_reminded"}
    approvals.decide(round_id=round_.pk, verdict="approve", actor=world.cast.sam, at=world.at)
    assert not mine.unread().filter(notice__kind__startswith="approval_re").exists()
    assert mine.filter(notice__kind="approval_reminded").get(channel="mail").read_at == world.at
    assert others.filter(notice__kind="approval_escalated").unread().exists()
