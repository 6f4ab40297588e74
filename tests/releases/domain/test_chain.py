"""The chain of communication: told hours before, acknowledged or not, reminded, passed on, reported; more time by request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from cmdb.domain import support
from cmdb.models import ConfigurationItem
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.enums import Audience
from patchflow.notices.kinds import find
from patchflow.notices.models import Delivery
from patchflow.notices.wording import Voice
from releases.domain import delays, owners, rollouts
from releases.models import DelayRequest, Representative
from releases.queries.previews import of_release
from tests.factories.people import make_user
from tests.factories.rollouts import Deployment

Make = Callable[..., Deployment]
pytestmark = pytest.mark.django_db
DAY = {"notify": True, "notice_hours": 24}


def owned(deployment: Deployment, number: int, owner: User | None, group: str = "") -> None:
    ConfigurationItem.objects.filter(host=deployment.hosts[number]).update(owner=owner, support_group=group)


def told(kind: str) -> list[str]:
    return sorted(Delivery.objects.filter(notice__kind=kind).values_list("user__username", flat=True))


def later(deployment: Deployment, **span: float) -> str:
    """The state of the first ring after this time and one tick and sweep."""
    deployment.pass_time(**span)
    owners.due_silence(now=deployment.clock.at)
    deployment.tick()
    return str(deployment.ring().state)


def test_a_ring_starts_when_its_notice_is_over(make: Make) -> None:
    deployment = make(hosts=1, profile=DAY)
    owned(deployment, 0, make_user("olga"))
    deployment.start()
    deployment.tick()
    assert (deployment.ring().state, told("ring_notified")) == ("notified", ["olga"])
    body = Delivery.objects.get(notice__kind="ring_notified").body
    assert "Please acknowledge" in body
    assert "Leave them switched on" in body
    assert later(deployment, hours=23) == "notified"
    assert later(deployment, hours=1) == "running"


def test_silence_is_reminded_then_passed_on_then_reported_each_once(make: Make) -> None:
    deployment = make(hosts=2, profile=DAY)
    olga, oskar, lena = make_user("olga"), make_user("oskar"), make_user("lena")
    by = {"actor": deployment.cast.cora, "at": deployment.clock.at}
    support.define(name="web team", lead="lena", members=["oskar"], **by)
    owned(deployment, 0, olga, "web team")
    owned(deployment, 1, None, "web team")
    deployment.start()
    deployment.tick()
    assert told("ring_notified") == ["lena", "olga", "oskar"]
    for person in (oskar, lena):
        owners.acknowledge(ring_id=deployment.ring().pk, actor=person, at=deployment.clock.at)
    later(deployment, hours=11)
    assert told("ring_reminded") == []
    later(deployment, hours=1)
    later(deployment, minutes=1)
    assert (told("ring_reminded"), told("ring_silent")) == (["olga"], [])
    later(deployment, hours=6)
    assert told("ring_silent") == ["lena"]
    later(deployment, hours=3)
    later(deployment, hours=1)
    assert (told("ring_reminded"), told("ring_silent")) == (["olga"], ["che", "lena"])
    steps = AuditEntry.objects.filter(verb="release.ring.silence_answered").order_by("pk")
    assert [e.detail["steps"] for e in steps] == [["olga: reminded"], ["olga: passed_on"], ["olga: reported"]]


def test_who_was_told_acknowledges_for_themselves_and_once(make: Make) -> None:
    deployment = make(hosts=1, profile=DAY)
    olga = make_user("olga")
    owned(deployment, 0, olga)
    deployment.start()
    deployment.tick()
    ring, at = deployment.ring(), deployment.clock.at
    with pytest.raises(NotAllowed):
        owners.acknowledge(ring_id=ring.pk, actor=deployment.cast.eve, at=at)
    for comment in ("Told the shop.", "Again."):
        owners.acknowledge(ring_id=ring.pk, actor=olga, at=at, comment=comment)
    assert Representative.objects.get().comment == "Told the shop."
    assert AuditEntry.objects.filter(verb="release.ring.acknowledged", outcome="done").count() == 1


def test_where_the_profile_asks_for_it_a_ring_waits_for_everybody(make: Make) -> None:
    deployment = make(hosts=1, profile={**DAY, "acknowledge": True})
    olga = make_user("olga")
    owned(deployment, 0, olga)
    deployment.start()
    deployment.tick()
    assert later(deployment, hours=30) == "notified"
    owners.acknowledge(ring_id=deployment.ring().pk, actor=olga, at=deployment.clock.at)
    assert later(deployment, minutes=1) == "running"


def asked(deployment: Deployment, hours: int) -> tuple[DelayRequest, User]:
    olga = make_user("olga")
    owned(deployment, 0, olga)
    deployment.start()
    deployment.tick()
    until = deployment.clock.at + timedelta(hours=hours)
    request = delays.ask(
        ring_id=deployment.ring().pk, until=until, reason="Year-end closing.", actor=olga, at=deployment.clock.at
    )
    return request, olga


def test_more_time_is_granted_by_a_change_manager_and_holds_the_ring(make: Make) -> None:
    deployment = make(hosts=1, profile=DAY)
    request, olga = asked(deployment, 48)
    assert told("delay_asked") == ["che"]
    by = {"at": deployment.clock.at, "comment": "Understood."}
    with pytest.raises(NotAllowed):
        delays.grant(request_id=request.pk, actor=olga, **by)
    delays.grant(request_id=request.pk, actor=deployment.cast.che, **by)
    assert told("delay_decided") == ["olga"]
    assert later(deployment, hours=47) == "notified"
    again = delays.ask(
        ring_id=deployment.ring().pk, until=deployment.clock.at + timedelta(hours=1, minutes=30), reason="Not closed yet.",
        actor=olga, at=deployment.clock.at,
    )  # fmt: skip
    assert dict(DelayRequest.objects.counted().values_list("pk", "granted_before")) == {request.pk: 0, again.pk: 1}
    assert AuditEntry.objects.filter(verb="release.delay.asked").latest("pk").detail["granted_before"] == 1
    assert (
        "This ring was granted more time once before."
        in Delivery.objects.filter(notice__kind="delay_asked").latest("pk").body
    )
    assert later(deployment, hours=1) == "running"


def test_more_time_that_is_refused_holds_nothing(make: Make) -> None:
    deployment = make(hosts=1, profile=DAY)
    request, _olga = asked(deployment, 48)
    by = {"actor": deployment.cast.che, "at": deployment.clock.at}
    with pytest.raises(Invalid):
        delays.refuse(request_id=request.pk, comment=" ", **by)
    delays.refuse(request_id=request.pk, comment="The flaw is exploited.", **by)
    assert later(deployment, hours=24) == "running"


def test_more_time_than_was_signed_needs_another_plan(make: Make, now: object) -> None:
    deployment = make(hosts=1, profile=DAY, latest=now + timedelta(hours=40))  # type: ignore[operator]
    request, _olga = asked(deployment, 48)
    with pytest.raises(Blocked) as refused:
        delays.grant(request_id=request.pk, comment="", actor=deployment.cast.che, at=deployment.clock.at)
    (blocker,) = refused.value.blockers
    assert (blocker.code, blocker.where) == ("delay.plan", deployment.release.get_absolute_url())


def test_who_asks_for_more_time(make: Make) -> None:
    deployment = make(hosts=1, profile=DAY)
    request, olga = asked(deployment, 48)
    given = {"ring_id": request.ring_id, "until": request.until, "reason": "x", "at": deployment.clock.at}
    with pytest.raises(Conflict):
        delays.ask(actor=olga, **given)
    with pytest.raises(NotAllowed):
        delays.ask(actor=deployment.cast.eve, **given)
    delays.withdraw(request_id=request.pk, actor=olga, at=deployment.clock.at)
    with pytest.raises(Invalid):
        delays.ask(actor=olga, **{**given, "until": deployment.clock.at - timedelta(hours=1)})


def test_start_and_end_are_told_to_each_audience_in_its_words(make: Make) -> None:
    deployment = make(hosts=1, profile={"notify": False})
    make_user("sara", "service_owner")
    deployment.start()
    deployment.work()
    rows = Delivery.objects.filter(notice__kind__in=["rollout_started", "rollout_ended"]).order_by("pk")
    said = {(d.notice.kind, d.user.username): (d.audience, d.title) for d in rows}
    number = deployment.rollout.number
    assert said["rollout_started", "otto"] == ("team", f"{number} has started: 1 host")
    assert said["rollout_started", "che"][0] == "management"
    assert said["rollout_started", "sara"] == ("end_user", "Computers are being updated")
    assert said["rollout_ended", "rex"] == ("team", f"{number} has ended: 1 of 1 hosts are where they should be")
    assert len(said) == len(rows)


def test_a_halt_is_told_each_time_to_who_was_told_of_the_start(make: Make) -> None:
    deployment = make(hosts=1, profile={"notify": False})
    make_user("sara", "service_owner")
    deployment.start()
    pk, number, cast = deployment.rollout.pk, deployment.rollout.number, deployment.cast
    for cause in ("The pilot answers no more.", "It is silent again."):
        deployment.clock.wait(60)
        rollouts.halt(rollout_id=pk, cause=cause, actor=cast.rex, at=deployment.clock.at)
        rollouts.resume(rollout_id=pk, actor=cast.rex, at=deployment.clock.at)
    rows = Delivery.objects.filter(notice__kind="rollout_halted").order_by("pk")
    started = Delivery.objects.filter(notice__kind="rollout_started")
    assert {(d.user.username, d.audience) for d in rows} == {(d.user.username, d.audience) for d in started}
    assert rows.count() == 2 * started.count()
    said = {d.audience: d.title for d in rows}
    assert said == {
        "team": f"{number} has halted",
        "management": f"Software updates have halted: {deployment.release.title}",
        "end_user": "The updates of your computers are interrupted",
    }
    (che, *_rest), (sara, *_more) = rows.filter(user=cast.che), rows.filter(user__username="sara")
    assert "Why: The pilot answers no more." in che.body
    assert "0 of 1 machines are done and were checked; 0 failed or do not answer, 1 are not done yet." in che.body
    assert "pilot" not in sara.body
    told = [d.body for d in rows if d.user == cast.otto]
    assert ["no more" in told[0], "silent again" in told[1], len(told)] == [True, True, 2]


def test_a_halt_is_shown_beforehand_to_each_audience(make: Make) -> None:
    deployment = make(hosts=1, profile={"notify": False})
    shown = of_release(deployment.release, voice=Voice.of(deployment.cast.rex), at=deployment.clock.at)
    halts = [one for one in shown if one.label == find("rollout_halted").label]
    assert [one.audience for one in halts] == [str(Audience(a).label) for a in ("team", "management", "end_user")]
    assert len({one.text.title for one in halts}) == 3
