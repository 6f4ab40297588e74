"""A person chooses kinds and channels; what asks them in person cannot be switched off."""

from __future__ import annotations

from datetime import datetime

import pytest

from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.models import AuditEntry
from patchflow.notices import subscriptions
from patchflow.notices.models import Delivery, Notice
from tests.factories.changes import authorized, awaiting, make_world
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


def ended(cast: Cast, now: datetime) -> list[tuple[str, str, str]]:
    """(person, channel, state) of the notices about the end of an approval."""
    authorized(make_world(cast, now))
    rows = Delivery.objects.filter(notice__kind="approval_ended").order_by("user__username")
    return list(rows.values_list("user__username", "channel", "state"))


def test_without_a_choice_who_is_concerned_hears_by_mail(cast: Cast, now: datetime) -> None:
    assert ended(cast, now) == [("ann", "mail", "queued")]


def test_who_wants_it_here_only_gets_no_mail(cast: Cast, now: datetime) -> None:
    subscriptions.subscribe(kind="approval_ended", wanted="inbox", actor=cast.ann, at=now)
    assert ended(cast, now) == [("ann", "inbox", "sent")]


def test_who_switched_it_off_is_not_told_and_the_notice_is_kept(cast: Cast, now: datetime) -> None:
    subscriptions.subscribe(kind="approval_ended", wanted="off", actor=cast.ann, at=now)
    assert ended(cast, now) == []
    assert Notice.objects.filter(kind="approval_ended").count() == 1


def test_who_asks_for_all_hears_of_all_that_they_may_see(cast: Cast, now: datetime) -> None:
    subscriptions.subscribe(kind="approval_ended", wanted="mail", reach="scope", actor=cast.che, at=now)
    with pytest.raises(Blocked):
        subscriptions.subscribe(kind="approval_ended", wanted="mail", reach="scope", actor=cast.eve, at=now)
    assert ended(cast, now) == [("ann", "mail", "queued"), ("che", "mail", "queued")]


def test_being_asked_to_decide_cannot_be_switched_off(cast: Cast, now: datetime) -> None:
    with pytest.raises(Blocked) as refused:
        subscriptions.subscribe(kind="approval_requested", wanted="off", actor=cast.sam, at=now)
    assert refused.value.blockers[0].code == "subscription.duty"
    with pytest.raises(Invalid):
        subscriptions.subscribe(kind="nothing", wanted="off", actor=cast.sam, at=now)


def test_a_choice_is_in_the_trail_once(cast: Cast, now: datetime) -> None:
    for _twice in range(2):
        subscriptions.subscribe(kind="approval_ended", wanted="inbox", actor=cast.ann, at=now)
    entries = AuditEntry.objects.filter(verb="notices.subscription_set", outcome="done")
    assert [e.detail for e in entries] == [{"kind": "approval_ended", "wanted": "inbox", "reach": "mine"}]


def test_the_first_reading_stays(cast: Cast, now: datetime) -> None:
    authorized(make_world(cast, now))
    awaiting(make_world(cast, now, source="zlib"))
    mine, others = subscriptions.unread(cast.ann), Delivery.objects.exclude(user=cast.ann).unread().count()
    assert mine == 1
    assert others > 0
    assert subscriptions.mark_read(actor=cast.ann, at=now) == mine
    assert subscriptions.mark_read(actor=cast.ann, at=now) == 0
    assert Delivery.objects.exclude(user=cast.ann).unread().count() == others
