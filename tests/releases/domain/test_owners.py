"""Owners of hosts are told that their ring is next: each once, about their own hosts, before anything starts there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core import mail
from django.db import transaction

from cmdb.models import ConfigurationItem
from patchflow.kernel.errors import Conflict
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.delivery import deliver
from patchflow.notices.models import Delivery
from releases.domain import rings, switches
from releases.domain.owners import tell_owners
from releases.models import Rollout
from releases.queries import telling
from tests.factories.people import make_user
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
RINGS = [{"hosts": 2, "soak_seconds": 3600}, {"hosts": 2}]


def owned(deployment: Deployment, number: int, owner: User | None) -> None:
    ConfigurationItem.objects.filter(host=deployment.hosts[number]).update(owner=owner)


def told() -> list[tuple[str, str]]:
    """(person, title) of every delivery, in the order in which they were written."""
    rows = Delivery.objects.filter(notice__kind="ring_notified").order_by("pk")
    return list(rows.values_list("user__username", "notice__title"))


def test_each_owner_is_told_once_about_their_own_hosts_before_the_ring_starts(make: Make) -> None:
    deployment = make(hosts=4, rings=RINGS)
    olga, oskar = make_user("olga"), make_user("oskar")
    for number, owner in enumerate([olga, oskar, olga, None]):
        owned(deployment, number, owner)
    rollout = deployment.start()
    one = f"{rollout.number}: 1 of your hosts is next to be updated"
    deployment.tick()
    assert sorted(told()) == [("olga", one), ("oskar", one)]
    entries = AuditEntry.objects.filter(object_type="releases.ring").order_by("pk")
    assert list(entries.values_list("verb", flat=True))[:2] == ["release.ring.notified", "release.ring.started"]
    assert entries[0].detail == {"told": ["olga", "oskar"], "hosts_without_owner": 0}
    deployment.tick()
    assert len(told()) == 2

    deployment.work(turns=60, until=lambda: deployment.ring(0).state == "soaking")
    deployment.tick()
    assert (deployment.ring(0).state, deployment.ring(1).state) == ("soaking", "notified")
    assert told()[2:] == [("olga", one)]
    assert AuditEntry.objects.filter(verb="release.ring.notified").latest("pk").detail["hosts_without_owner"] == 1
    deployment.pass_time(hours=1)
    deployment.work()
    assert Rollout.objects.get().state == "completed"
    assert len(told()) == 3


def test_the_mail_names_the_hosts_the_windows_and_the_restart(make: Make) -> None:
    deployment = make(hosts=2)
    olga = make_user("olga")
    for number in range(2):
        owned(deployment, number, olga)
    rollout = deployment.start()
    deployment.tick()
    delivery = Delivery.objects.get(notice__kind="ring_notified")
    assert deliver(delivery_id=delivery.pk, now=deployment.clock.at)
    assert not deliver(delivery_id=delivery.pk, now=deployment.clock.at)
    (message,) = mail.outbox
    names = ", ".join(sorted(host.name for host in deployment.hosts))
    assert (message.to, message.subject) == (
        ["olga@example.org"],
        f"[Software update] {rollout.number}: 2 of your hosts are next to be updated",
    )
    assert f"ring ring 0: {names}." in message.body
    opens = telling.windows_ahead([deployment.hosts[0].name], [deployment.window.pk], after=deployment.clock.at)[0][
        "opens"
    ]
    assert opens is not None
    assert (
        f"Each host waits for its window: {deployment.window.name} (next from {opens:%a} {opens.day} {opens:%b %Y %H:%M}"
        in message.body
    )
    assert "Restart: if needed · server." in message.body
    assert message.body.endswith(deployment.ring().get_people_url())


def test_nobody_is_told_while_the_gates_are_shut(make: Make) -> None:
    deployment = make(hosts=1)
    owned(deployment, 0, make_user("olga"))
    deployment.start()
    by = {"actor": deployment.cast.otto, "at": deployment.clock.at}
    switches.set_kill_switch(on=True, reason="power", **by)
    deployment.tick()
    assert (told(), deployment.ring().state) == ([], "pending")
    switches.set_kill_switch(on=False, reason="back", actor=deployment.cast.ada, at=deployment.clock.at)
    deployment.pass_time(minutes=1)
    deployment.tick()
    assert len(told()) == 1


def test_a_profile_that_tells_nobody_says_so_in_the_trail(make: Make) -> None:
    deployment = make(hosts=1, profile={"notify": False})
    owned(deployment, 0, make_user("olga"))
    deployment.start()
    deployment.tick()
    assert told() == []
    entry = AuditEntry.objects.get(verb="release.ring.notified")
    assert entry.detail == {"told": [], "silent": "the profile tells nobody"}
    assert deployment.ring().state == "running"


def test_trying_failed_hosts_again_tells_nobody_twice(make: Make) -> None:
    deployment = make(hosts=1)
    owned(deployment, 0, make_user("olga"))
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work()
    deployment.habit(0, None)
    rings.retry_ring(ring_id=deployment.ring().pk, actor=deployment.cast.otto, at=deployment.clock.at)
    deployment.work()
    assert deployment.job().attempt == 2
    assert len(told()) == 1


def test_what_was_told_in_a_transaction_that_was_lost_is_told_by_the_next_and_once(make: Make) -> None:
    deployment = make(hosts=1)
    owned(deployment, 0, make_user("olga"))
    deployment.start()
    ring = deployment.ring()
    with transaction.atomic():
        tell_owners(ring.pk, actor=deployment.cast.bot, at=deployment.clock.at)
        assert len(told()) == 1
        transaction.set_rollback(True)
    assert (told(), deployment.ring().state) == ([], "pending")
    tell_owners(ring.pk, actor=deployment.cast.bot, at=deployment.clock.at)
    with pytest.raises(Conflict):
        tell_owners(ring.pk, actor=deployment.cast.bot, at=deployment.clock.at)
    assert len(told()) == 1
