"""Hosts added, revised, retired; and who may."""

from __future__ import annotations

from datetime import datetime

import pytest

from cmdb.domain import groups, hosts, scans
from cmdb.enums import ItemState
from cmdb.models import ConfigurationItem, Host
from patchflow.kernel import audit, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from tests.factories.cmdb import make_connection, make_group, make_host
from tests.factories.people import Cast, make_user


def test_add_makes_item_host_and_connection(cast: Cast, now: datetime) -> None:
    host = hosts.add(name="web-01", address="192.0.2.7", port=2222, user="admin", become=True, actor=cast.cora, at=now)
    assert (host.ci.kind, host.ci.state, host.fingerprint) == ("host", ItemState.PLANNED, "")
    assert str(host.connection) == "admin@192.0.2.7:2222"
    assert host.connection.host_key == ""
    assert [e.verb for e in audit.history(host)] == ["cmdb.host.added"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"name": "  "}, "invalid.name"),
        ({"name": "taken"}, "invalid.name"),
        ({"port": 0}, "invalid.port"),
        ({"address": "-oProxyCommand=x"}, "invalid.address"),
        ({"user": "root x"}, "invalid.user"),
        ({"environment": "moon"}, "invalid.environment"),
        ({"criticality": 5}, "invalid.criticality"),
        ({"key_kind": "file", "key_reference": "keys/id"}, "invalid.key_reference"),
        ({"key_kind": "environment", "key_reference": "A-B"}, "invalid.key_reference"),
        ({"group_id": 999_999}, "invalid.group"),
        ({"owner_id": 999_999}, "invalid.owner"),
        ({"jump_host_id": 999_999}, "invalid.jump"),
    ],
)
def test_add_refuses_what_cannot_be_used(cast: Cast, now: datetime, wrong: dict[str, object], code: str) -> None:
    make_host("taken")
    with pytest.raises(Invalid) as refused:
        hosts.add(**{"name": "web-01", "address": "192.0.2.7", "actor": cast.cora, "at": now, **wrong})
    assert refused.value.blockers[0].code == code
    assert Host.objects.count() == 1
    assert ConfigurationItem.objects.count() == 1


def test_add_needs_the_right(cast: Cast, now: datetime) -> None:
    for person in (cast.eve, cast.ann, cast.otto, cast.aud, cast.ada, cast.root):
        with pytest.raises(NotAllowed):
            hosts.add(name="web-01", actor=person, at=now)
    assert not Host.objects.exists()


def test_add_within_the_own_group_only(cast: Cast, now: datetime) -> None:
    mine, other = make_group("mine"), make_group("other")
    carl = make_user("carl", "configuration_manager", scope=mine.scope_key)
    for group_id in (None, other.pk):
        with pytest.raises(NotAllowed):
            hosts.add(name="web-01", group_id=group_id, actor=carl, at=now)
    host = hosts.add(name="web-01", group_id=mine.pk, actor=carl, at=now)
    assert host.scope_keys() == [frozenset([mine.scope_key])]


def test_revise_moves_rule_groups_with_it(cast: Cast, now: datetime) -> None:
    staging = groups.add(name="staging", kind="rule", rule_environment="staging", actor=cast.cora, at=now)
    host = hosts.add(name="web-01", actor=cast.cora, at=now)
    assert host.scope_keys() == [frozenset()]
    hosts.revise(host_id=host.pk, environment="staging", criticality=1, actor=cast.cora, at=now)
    assert Host.objects.get().scope_keys() == [frozenset([staging.scope_key])]
    hosts.revise(host_id=host.pk, environment="test", actor=cast.cora, at=now)
    assert Host.objects.get().scope_keys() == [frozenset()]
    changed = audit.history(host).filter(verb="cmdb.host.revised").first()
    assert changed is not None
    assert changed.detail == {"environment": {"before": "staging", "after": "test"}}


def test_revise_that_changes_nothing_leaves_no_entry(cast: Cast, now: datetime) -> None:
    host = hosts.add(name="web-01", actor=cast.cora, at=now)
    hosts.revise(host_id=host.pk, name="web-01", environment="production", actor=cast.cora, at=now)
    assert [e.verb for e in audit.history(host)] == ["cmdb.host.added"]


def test_revise_unmanaged_needs_a_reason(cast: Cast, now: datetime) -> None:
    host = hosts.add(name="web-01", actor=cast.cora, at=now)
    with pytest.raises(Invalid):
        hosts.revise(host_id=host.pk, management="unmanaged", actor=cast.cora, at=now)
    hosts.revise(host_id=host.pk, management="unmanaged", management_reason="vendor's", actor=cast.cora, at=now)
    assert Host.objects.get().ci.management == "unmanaged"


def test_revise_refuses_columns_that_are_not_said_by_people(cast: Cast, now: datetime) -> None:
    host = hosts.add(name="web-01", actor=cast.cora, at=now)
    for field in ("machine_id", "audited_at", "state", "audit_head"):
        with pytest.raises(Invalid):
            hosts.revise(host_id=host.pk, **{field: "x"}, actor=cast.cora, at=now)


def test_retire_leaves_groups_and_keeps_rows(cast: Cast, now: datetime) -> None:
    group = make_group()
    host = make_host("web-01", groups=[group])
    hosts.retire(host_id=host.pk, reason="Replaced.", actor=cast.cora, at=now)
    host.refresh_from_db()
    assert (host.ci.state, host.retired_at, host.memberships.count()) == (ItemState.RETIRED, now, 0)
    assert not Host.objects.live().exists()
    with pytest.raises(Conflict):
        hosts.retire(host_id=host.pk, reason="Again.", actor=cast.cora, at=now)
    again = hosts.add(name="web-01", actor=cast.cora, at=now)
    assert again.pk != host.pk


def test_retire_waits_for_a_scan(cast: Cast, now: datetime) -> None:
    host = make_host("web-01")
    make_connection(host, accepted_by=cast.cora)
    scans.request(host_ids=[host.pk], actor=cast.otto, at=now)
    with pytest.raises(Blocked, match="A scan of this host is under way"):
        hosts.retire(host_id=host.pk, reason="Replaced.", actor=cast.cora, at=now)
    offered = workflow.available(host.ci, actor=cast.cora, at=now)
    assert [(o.name, [b.code for b in o.blockers]) for o in offered] == [("retire", ["host.scan_under_way"])]


def test_retire_needs_right_and_reason(cast: Cast, now: datetime) -> None:
    host = make_host("web-01")
    for person in (cast.eve, cast.otto, cast.root):
        with pytest.raises(NotAllowed):
            hosts.retire(host_id=host.pk, reason="x", actor=person, at=now)
    with pytest.raises(Invalid):
        hosts.retire(host_id=host.pk, reason=" ", actor=cast.cora, at=now)
    assert Host.objects.live().count() == 1


def test_set_fact_needs_the_right(cast: Cast, now: datetime) -> None:
    host = make_host("web-01")
    with pytest.raises(NotAllowed):
        hosts.set_fact(host_id=host.pk, key="role", value="db", actor=cast.otto, at=now)
    with pytest.raises(Invalid):
        hosts.release_fact(host_id=host.pk, key="role", actor=cast.cora, at=now)
    assert not host.facts.exists()


def test_ensure_local_is_for_the_system(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        hosts.ensure_local(actor=cast.eve, at=now)
    host = hosts.ensure_local(actor=cast.bot, at=now, name="laptop")
    assert (host.name, host.is_local, host.connection.is_local, host.ci.environment) == ("laptop", True, True, "lab")
