"""Exemptions: two people, an end, and the finding back afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cmdb.domain import discrepancies, exemptions, items
from cmdb.enums import DiscrepancyKind, ExemptionState
from cmdb.models import Exemption, Relation
from cmdb.queries.hosts import supported_services, target_facts
from patchflow.kernel import fsm
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast


def ask(cast: Cast, now: datetime, **fields: Any) -> Exemption:
    said = {
        "kind": "package",
        "subject": "openssl",
        "reason": "Vendor pins it.",
        "compensating_control": "Behind a proxy.",
        "expires_at": now + timedelta(days=30),
        "actor": cast.cora,
        "at": now,
    }
    return exemptions.request(**{**said, **fields})


def test_diagram() -> None:
    assert fsm.diagram("cmdb.exemption") == {
        ("requested", "grant", "granted"),
        ("requested", "refuse", "refused"),
        ("granted", "revoke", "revoked"),
        ("granted", "expire", "expired"),
    }


def test_grant_expire(cast: Cast, now: datetime) -> None:
    host = make_host()
    asked = ask(cast, now, host_id=host.pk)
    assert target_facts([host.pk], at=now)[host.pk].exempt == ()
    exemptions.grant(exemption_id=asked.pk, actor=cast.sam, at=now)
    assert target_facts([host.pk], at=now)[host.pk].exempt == (("package", "openssl"),)
    assert exemptions.expire_due(now=now + timedelta(days=29)) == 0
    assert exemptions.expire_due(now=now + timedelta(days=30)) == 1
    asked.refresh_from_db()
    assert asked.state == ExemptionState.EXPIRED


def test_grant_never_by_who_asked(cast: Cast, now: datetime) -> None:
    RoleGrant.objects.create(user=cast.cora, role="security_officer")
    cast.cora.refresh_from_db()
    asked = ask(cast, now, host_id=make_host().pk)
    for person in (cast.cora, cast.eve, cast.otto, cast.bot, cast.root):
        with pytest.raises(NotAllowed):
            exemptions.grant(exemption_id=asked.pk, actor=person, at=now)


def test_grant_after_its_end(cast: Cast, now: datetime) -> None:
    asked = ask(cast, now, host_id=make_host().pk)
    with pytest.raises(Blocked):
        exemptions.grant(exemption_id=asked.pk, actor=cast.sam, at=now + timedelta(days=31))


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_in": 0},
        {"expires_in": 181},
        {"reason": " "},
        {"compensating_control": ""},
        {"kind": "x"},
        {"host_id": None},
    ],
)
def test_request_refuses(cast: Cast, now: datetime, wrong: dict[str, Any]) -> None:
    host = make_host()
    if "expires_in" in wrong:
        wrong = {"expires_at": now + timedelta(days=wrong["expires_in"])}
    with pytest.raises(Invalid):
        ask(cast, now, **{"host_id": host.pk, **wrong})
    with pytest.raises(Invalid):
        ask(cast, now, host_id=host.pk, group_id=make_group().pk)


def test_target_facts_of_services_and_groups(cast: Cast, now: datetime) -> None:
    """service → cluster ← host, and another service that depends on the first."""
    group = make_group()
    host, other = make_host(groups=[group]), make_host()
    cluster = items.add(kind="cluster", name="pay-db", actor=cast.cora, at=now)
    shop = items.add(kind="service", name="shop", actor=cast.cora, at=now)
    portal = items.add(kind="service", name="portal", actor=cast.cora, at=now)
    items.relate(source_id=host.ci_id, target_id=cluster.pk, kind="member_of", actor=cast.cora, at=now)
    items.relate(source_id=shop.pk, target_id=cluster.pk, kind="depends_on", actor=cast.cora, at=now)
    items.relate(source_id=portal.pk, target_id=shop.pk, kind="depends_on", actor=cast.cora, at=now)
    items.relate(source_id=shop.pk, target_id=portal.pk, kind="depends_on", actor=cast.cora, at=now)
    facts = target_facts([host.pk, other.pk], at=now)
    assert facts[host.pk].services == (shop.pk, portal.pk)
    assert facts[host.pk].group_ids == frozenset([group.pk])
    assert facts[other.pk].services == ()
    items.unrelate(source_id=host.ci_id, target_id=cluster.pk, kind="member_of", actor=cast.cora, at=now)
    assert supported_services([host.ci_id]) == {host.ci_id: ()}
    assert Relation.objects.count() == 3


def test_relate_needs_right_and_two_items(cast: Cast, now: datetime) -> None:
    host = make_host()
    shop = items.add(kind="service", name="shop", actor=cast.cora, at=now)
    with pytest.raises(NotAllowed):
        items.relate(source_id=shop.pk, target_id=host.ci_id, kind="depends_on", actor=cast.otto, at=now)
    with pytest.raises(Invalid):
        items.relate(source_id=shop.pk, target_id=shop.pk, kind="depends_on", actor=cast.cora, at=now)
    with pytest.raises(Invalid):
        items.add(kind="host", name="x", actor=cast.cora, at=now)


def test_discrepancy_is_settled_with_a_reason(cast: Cast, now: datetime) -> None:
    host = make_host()
    found = discrepancies.note(
        host=host,
        kind=DiscrepancyKind.SOURCES_DIFFER,
        key="role",
        sentence="The directory says primary, the agent replica.",
        source="directory",
        actor=cast.bot,
        at=now,
    )
    for person in (cast.eve, cast.otto, cast.bot):
        with pytest.raises(NotAllowed):
            discrepancies.settle(discrepancy_id=found.pk, how="explain", reason="Failover.", actor=person, at=now)
    with pytest.raises(Invalid):
        discrepancies.settle(discrepancy_id=found.pk, how="explain", reason="", actor=cast.cora, at=now)
    discrepancies.settle(discrepancy_id=found.pk, how="hand_over", reason="Problem 7.", actor=cast.cora, at=now)
    found.refresh_from_db()
    assert (found.state, found.settled_by) == ("handed_to_problem_management", cast.cora)
