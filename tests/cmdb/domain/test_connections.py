"""The host key: shown, accepted by a person who compared it, void when the place changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from cmdb.domain import connections
from cmdb.models import Host
from cmdb.queries.connections import endpoint_of
from cmdb.remote.connection import THIS_COMPUTER, HostKey, ProbeResult
from cmdb.remote.errors import Unreachable
from patchflow.kernel import audit
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from tests.factories.cmdb import host_key, make_connection, make_host
from tests.factories.people import Cast
from tests.fakes.hosts import FakeHost

KEY = host_key("web-01")
FINGERPRINT = HostKey.from_line(KEY).fingerprint


@pytest.fixture
def host(cast: Cast) -> Host:
    host = make_host("web-01")
    make_connection(host, address="192.0.2.7")
    return host


def test_key_is_shown_then_accepted(host: Host, cast: Cast, now: datetime) -> None:
    shown = connections.show_key(host_id=host.pk, actor=cast.cora, at=now, fetch=FakeHost(KEY).fetch)
    assert (shown.shown_key, shown.host_key, shown.key_waits) == (KEY, "", True)
    accepted = connections.accept_key(host_id=host.pk, fingerprint=FINGERPRINT, actor=cast.cora, at=now)
    assert (accepted.host_key, accepted.host_key_accepted_by, accepted.key_waits) == (KEY, cast.cora, False)
    assert endpoint_of(host.pk).host_key == KEY
    verbs = [e.verb for e in audit.history(host)]
    assert verbs == ["cmdb.connection.key_accepted", "cmdb.connection.key_shown"]


def test_accept_key_that_was_not_the_one_compared(host: Host, cast: Cast, now: datetime) -> None:
    with pytest.raises(Blocked, match="No key has been shown"):
        connections.accept_key(host_id=host.pk, fingerprint=FINGERPRINT, actor=cast.cora, at=now)
    connections.show_key(host_id=host.pk, actor=cast.cora, at=now, fetch=FakeHost(host_key("intruder")).fetch)
    with pytest.raises(Conflict, match="The host now shows SHA256:"):
        connections.accept_key(host_id=host.pk, fingerprint=FINGERPRINT, actor=cast.cora, at=now)
    assert Host.objects.get().connection.host_key == ""


def test_accept_key_needs_a_person_with_the_right(host: Host, cast: Cast, now: datetime) -> None:
    connections.show_key(host_id=host.pk, actor=cast.cora, at=now, fetch=FakeHost(KEY).fetch)
    for person in (cast.eve, cast.otto, cast.bot, cast.root):
        with pytest.raises(NotAllowed):
            connections.accept_key(host_id=host.pk, fingerprint=FINGERPRINT, actor=person, at=now)


def test_show_key_of_a_silent_host(host: Host, cast: Cast, now: datetime) -> None:
    silent = FakeHost(error=Unreachable("192.0.2.7 shows no host key: no route"))
    with pytest.raises(Blocked, match=r"192.0.2.7 shows no host key: no route\."):
        connections.show_key(host_id=host.pk, actor=cast.cora, at=now, fetch=silent.fetch)
    assert Host.objects.get().connection.shown_key == ""


def test_show_key_asks_nobody_without_the_right(host: Host, cast: Cast, now: datetime) -> None:
    there = FakeHost(KEY)
    with pytest.raises(NotAllowed):
        connections.show_key(host_id=host.pk, actor=cast.eve, at=now, fetch=there.fetch)
    assert there.asked == []


def test_test_without_accepted_key_asks_nobody(host: Host, cast: Cast, now: datetime) -> None:
    there = FakeHost(KEY)
    with pytest.raises(Blocked, match="has not been accepted by a person"):
        connections.test(host_id=host.pk, actor=cast.cora, at=now, probe=there.probe)
    assert there.asked == []


def test_test_keeps_reasons(cast: Cast, now: datetime) -> None:
    host = make_host("web-02")
    make_connection(host, accepted_by=cast.cora)
    refused = ProbeResult(reachable=True, host_key_matches=True, authenticated=True, sudo=False, reasons=("no sudo",))
    connections.test(host_id=host.pk, actor=cast.cora, at=now, probe=FakeHost(found=refused).probe)
    host = Host.objects.get(pk=host.pk)
    assert (host.connection.last_test_ok, host.connection.last_test_reasons) == (False, ["no sudo"])
    assert host.last_seen_at == now
    fine = replace(refused, sudo=True, reasons=())
    connections.test(host_id=host.pk, actor=cast.cora, at=now, probe=FakeHost(found=fine).probe)
    assert Host.objects.get(pk=host.pk).connection.last_test_ok is True


def test_test_shows_a_changed_key_and_trusts_it_not(cast: Cast, now: datetime) -> None:
    host = make_host("web-02")
    accepted = make_connection(host, accepted_by=cast.cora).host_key
    other = HostKey.from_line(host_key("other"))
    changed = ProbeResult(reachable=True, host_key_matches=False, shown_key=other, reasons=("another key",))
    connections.test(host_id=host.pk, actor=cast.cora, at=now, probe=FakeHost(found=changed).probe)
    connection = Host.objects.get(pk=host.pk).connection
    assert (connection.host_key, connection.shown_key, connection.key_waits) == (accepted, other.line, True)


def test_revise_of_the_place_voids_the_key(cast: Cast, now: datetime) -> None:
    host = make_host("web-02")
    make_connection(host, accepted_by=cast.cora)
    kept = connections.revise(host_id=host.pk, user="admin", become=True, actor=cast.cora, at=now)
    assert kept.host_key
    moved = connections.revise(host_id=host.pk, address="192.0.2.99", actor=cast.cora, at=now)
    assert (moved.host_key, moved.host_key_accepted_by, moved.shown_key) == ("", None, "")
    with pytest.raises(Blocked):
        endpoint_of(host.pk)


def test_revise_through_itself(cast: Cast, now: datetime) -> None:
    first, second = make_host("web-01"), make_host("web-02")
    make_connection(first, accepted_by=cast.cora)
    make_connection(second, accepted_by=cast.cora, jump=first.connection)
    with pytest.raises(Invalid):
        connections.revise(host_id=first.pk, jump_host_id=second.pk, actor=cast.cora, at=now)
    assert endpoint_of(second.pk).jump == endpoint_of(first.pk)


def test_endpoint_of_key_references(cast: Cast, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    host = make_host("web-02")
    make_connection(host, accepted_by=cast.cora, key_kind="environment", key_reference="FLEET_KEY")
    with pytest.raises(Blocked, match="FLEET_KEY"):
        endpoint_of(host.pk)
    monkeypatch.setenv("FLEET_KEY", "/etc/keys/fleet")
    assert endpoint_of(host.pk).key_path == "/etc/keys/fleet"


def test_endpoint_of_the_local_host(cast: Cast, now: datetime) -> None:
    from cmdb.domain import hosts

    local = hosts.ensure_local(actor=cast.bot, at=now)
    assert endpoint_of(local.pk) == THIS_COMPUTER
    with pytest.raises(Invalid):
        connections.show_key(host_id=local.pk, actor=cast.cora, at=now)
