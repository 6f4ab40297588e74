"""Knowing a machine again, in the order of the rungs; two hits are a discrepancy, a clone is split."""

from __future__ import annotations

from datetime import datetime

import pytest

from cmdb.domain.identity import Claim, Resolution, resolve
from cmdb.models import Discrepancy, Host, HostIdentity
from patchflow.kernel.errors import NotAllowed
from tests.factories.cmdb import host_key, make_host
from tests.factories.people import Cast


@pytest.fixture
def host(db: None) -> Host:
    return make_host("web-01", serial="SN-1", product_uuid="uuid-1")


def ask(cast: Cast, now: datetime, **claim: str) -> Resolution:
    return resolve(claim=Claim(source="directory", **claim), actor=cast.cora, at=now)


def test_resolve_nobody_known_makes_a_host(cast: Cast, now: datetime) -> None:
    found = ask(cast, now, source_id="42", fqdn="new.example.org", machine_id="d" * 32, ssh_host_key=host_key("new"))
    made = Host.objects.get()
    assert found == Resolution(made.pk, "new")
    assert (made.fqdn, made.machine_id, made.ci.state) == ("new.example.org", "d" * 32, "planned")
    assert ask(cast, now, source_id="42") == Resolution(made.pk, "source")


def test_resolve_by_each_rung(host: Host, cast: Cast, now: datetime) -> None:
    HostIdentity.objects.create(host=host, source="directory", source_id="7", since_at=now)
    assert ask(cast, now, source_id="7").how == "source"
    assert ask(cast, now, machine_id=host.machine_id, ssh_host_key=host.ssh_host_key).how == "fingerprint"
    assert ask(cast, now, serial="SN-1", product_uuid="uuid-1").how == "serial"
    assert ask(cast, now, fqdn="WEB-01.example.org").how == "fqdn"
    assert Host.objects.count() == 1


def test_resolve_serial_counts_only_with_product_uuid(host: Host, cast: Cast, now: datetime) -> None:
    assert ask(cast, now, serial="SN-1", source_id="x").how == "new"


def test_resolve_serial_that_is_none(cast: Cast, now: datetime) -> None:
    make_host("web-01", serial="To Be Filled By O.E.M.", product_uuid="uuid-1")
    assert ask(cast, now, serial="To Be Filled By O.E.M.", product_uuid="uuid-1", source_id="x").how == "new"


def test_resolve_two_hits_merges_nothing(host: Host, cast: Cast, now: datetime) -> None:
    other = make_host("web-02")
    found = ask(cast, now, source_id="9", fqdn="web-02.example.org", serial="SN-1", product_uuid="uuid-1")
    opened = Discrepancy.objects.get()
    assert found == Resolution(None, "undecided", opened.pk)
    assert (opened.kind, opened.host, opened.other) == ("two_hits", host, other)
    assert not HostIdentity.objects.exists()
    assert ask(cast, now, source_id="9", fqdn="web-02.example.org", serial="SN-1", product_uuid="uuid-1") == found


def test_resolve_clone_is_split(host: Host, cast: Cast, now: datetime) -> None:
    """One machine-id, another live key, and everything else copied with the image."""
    found = ask(
        cast,
        now,
        source_id="clone",
        machine_id=host.machine_id,
        ssh_host_key=host_key("clone"),
        fqdn=host.fqdn,
        serial="SN-1",
        product_uuid="uuid-1",
    )
    clone = Host.objects.exclude(pk=host.pk).get()
    assert (found.host_id, found.how) == (clone.pk, "split")
    assert Discrepancy.objects.get().kind == "clone"
    assert clone.fingerprint != host.fingerprint


def test_resolve_retired_hosts_are_not_known_again(host: Host, cast: Cast, now: datetime) -> None:
    Host.objects.update(retired_at=now)
    assert ask(cast, now, machine_id=host.machine_id, ssh_host_key=host.ssh_host_key, fqdn=host.fqdn).how == "new"


def test_resolve_needs_the_right(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        resolve(claim=Claim(source="directory", source_id="1"), actor=cast.otto, at=now)
    assert not Host.objects.exists()
