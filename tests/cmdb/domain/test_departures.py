"""Hosts that leave their baseline are told of once; those that stay below it become a discrepancy with a cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings

from cmdb.domain import baselines, departures, discrepancies, exemptions, inventory
from cmdb.models import Baseline, BaselineStanding, Discrepancy, Host
from patchflow.kernel import signoffs
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import AuditEntry
from patchflow.notices.models import Delivery, Notice
from tests.factories.cmdb import make_group, make_host, make_package, make_platform, make_report
from tests.factories.people import Cast

WANTED = "3.0.17-1"
OPENSSL = make_package("openssl", WANTED)
OLDER, NEWER = replace(OPENSSL, version="3.0.9-1"), replace(OPENSSL, version="3.0.18-1")
LATER = timedelta(minutes=11)


def in_force(cast: Cast, at: datetime, name: str = "web", version: str = WANTED, **fields: Any) -> Baseline:
    made = baselines.propose(
        name=name,
        platform_id=make_platform().pk,
        items=[("openssl", "amd64", version)],
        actor=cast.cora,
        at=at,
        **fields,
    )
    round_ = signoffs.open_round_of(made)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=cast.sam, at=at)
    return made


def scanned(host: Host, cast: Cast, at: datetime, *packages: Any) -> Host:
    report = make_report(host, packages=packages or (OPENSSL,), collected_at=at)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=at)
    host.refresh_from_db()
    return host


def test_a_host_that_leaves_its_baseline_is_told_of_once(cast: Cast, now: datetime) -> None:
    one, two = make_host("web-1"), make_host("web-2")
    for host in (one, two):
        scanned(host, cast, now)
    in_force(cast, now)
    scanned(one, cast, now + timedelta(minutes=1), OLDER)
    scanned(two, cast, now + timedelta(minutes=2), NEWER)
    assert departures.tell_left(now=now + timedelta(minutes=5)) == 0  # gathered first
    assert departures.tell_left(now=now + timedelta(minutes=2) + LATER) == 2
    assert departures.tell_left(now=now + timedelta(hours=1)) == 0
    notice = Notice.objects.get(kind="baseline_left")
    assert (notice.facts["names"], notice.facts["below"], notice.facts["above"]) == (["web-1", "web-2"], 1, 1)
    assert set(Delivery.objects.filter(notice=notice).values_list("user__username", flat=True)) == {"cora"}
    assert AuditEntry.objects.filter(verb="cmdb.host.left_baseline").count() == 2


def test_coming_back_and_leaving_again_is_told_again(cast: Cast, now: datetime) -> None:
    host = scanned(make_host("web-1"), cast, now)
    in_force(cast, now)
    for turn, package in enumerate([OLDER, OPENSSL, OLDER], start=1):
        at = now + timedelta(hours=turn)
        scanned(host, cast, at, package)
        departures.tell_left(now=at + LATER)
    assert Notice.objects.filter(kind="baseline_left").count() == 2


def test_a_new_baseline_lets_nobody_leave(cast: Cast, now: datetime) -> None:
    host = scanned(make_host("web-1"), cast, now)
    in_force(cast, now)
    in_force(cast, now + timedelta(minutes=1), version="3.0.18-1")
    assert departures.tell_left(now=now + timedelta(hours=1)) == 0
    assert list(BaselineStanding.objects.filter(host=host).order_by("pk").values_list("result", flat=True)) == [
        "at",
        "below",
    ]


def test_what_nobody_can_read_is_no_departure(cast: Cast, now: datetime) -> None:
    host = scanned(make_host("web-1"), cast, now)
    in_force(cast, now)
    scanned(host, cast, now + timedelta(minutes=1), replace(OPENSSL, version="3.0 beta"))
    assert departures.tell_left(now=now + timedelta(hours=1)) == 0
    assert BaselineStanding.objects.get().result == "at"


def test_what_was_signed_is_vouched_for(cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    host = scanned(make_host("web-1"), cast, now)
    in_force(cast, now)
    scanned(host, cast, now + timedelta(minutes=1), NEWER)
    monkeypatch.setitem(departures.vouchers._items, "test", lambda hosts, since: hosts)
    assert departures.tell_left(now=now + timedelta(hours=1)) == 0
    assert not Notice.objects.filter(kind="baseline_left").exists()
    assert BaselineStanding.objects.get().told_at is not None


def test_a_group_judges_before_the_platform(cast: Cast, now: datetime) -> None:
    group = make_group("pinned")
    host = scanned(make_host("web-1", groups=[group]), cast, now, OLDER)
    in_force(cast, now, group_id=group.pk, name="pinned", version="3.0.9-1")
    in_force(cast, now)
    scanned(host, cast, now + timedelta(minutes=1), OPENSSL)
    departures.tell_left(now=now + timedelta(hours=1))
    assert [n.facts["above"] for n in Notice.objects.filter(kind="baseline_left")] == [1]


def test_who_stays_below_becomes_a_discrepancy_once(cast: Cast, now: datetime) -> None:
    grace = django_settings.PATCHFLOW["BASELINE_GRACE"]
    host = scanned(make_host("web-1"), cast, now, OLDER)
    in_force(cast, now)
    at = now + grace
    Host.objects.update(audited_at=at, reported_at=at)
    assert departures.note_owed(now=at - timedelta(minutes=1)) == 0
    assert departures.note_owed(now=at) == 1
    assert departures.note_owed(now=at + timedelta(days=1)) == 0
    found = Discrepancy.objects.get(kind="below_baseline", host=host)
    assert found.sentence == f"It has been below web, version 1 for {grace.days} days."
    notice = Notice.objects.get(kind="baseline_owed")
    assert (notice.facts["names"], notice.facts["days"]) == (["web-1"], grace.days)


def test_an_exempt_host_is_not_owed(cast: Cast, now: datetime) -> None:
    host = scanned(make_host("web-1"), cast, now, OLDER)
    in_force(cast, now)
    at = now + django_settings.PATCHFLOW["BASELINE_GRACE"]
    asked = exemptions.request(
        kind="baseline", subject="web", host_id=host.pk, reason="Pinned.", compensating_control="Behind a wall.",
        expires_at=at + timedelta(days=1), actor=cast.cora, at=now,
    )  # fmt: skip
    exemptions.grant(exemption_id=asked.pk, actor=cast.sam, at=now)
    Host.objects.update(audited_at=at, reported_at=at)
    assert departures.note_owed(now=at) == 0
    assert BaselineStanding.objects.get().result == "exempt"


def test_it_is_handed_over_with_its_cause(cast: Cast, now: datetime) -> None:
    scanned(make_host("web-1"), cast, now, OLDER)
    in_force(cast, now)
    at = now + django_settings.PATCHFLOW["BASELINE_GRACE"]
    Host.objects.update(audited_at=at, reported_at=at)
    departures.note_owed(now=at)
    found = Discrepancy.objects.get()
    said = {
        "discrepancy_id": found.pk,
        "how": "hand_over",
        "reason": "Its agent is broken.",
        "actor": cast.cora,
        "at": at,
    }
    with pytest.raises(Invalid):
        discrepancies.settle(**said)
    settled = discrepancies.settle(**said, cause="distribution")
    assert (settled.state, settled.cause) == ("handed_to_problem_management", "distribution")


def test_an_exemption_that_has_ended_is_looked_at_again(cast: Cast, now: datetime) -> None:
    grace = django_settings.PATCHFLOW["BASELINE_GRACE"]
    host = scanned(make_host("web-1"), cast, now, OLDER)
    in_force(cast, now)
    BaselineStanding.objects.filter(host=host).update(result="exempt")
    Host.objects.update(audited_at=now + grace, reported_at=now + grace)
    assert departures.note_owed(now=now + grace) == 1
