"""The class of a machine: from facts and relations, and known only where platform, kind and hardware are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.models import ConfigurationItem, Fact, Host, Relation
from cmdb.queries.machines import MachineClass, machine_classes
from tests.factories.changes import make_host
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db
PLATFORM = "debian-12-amd64"


def host_with(at: datetime, **facts: Any) -> Host:
    host = make_host(at=at)
    for key, value in facts.items():
        Fact.objects.create(host=host, key=key, value=value, source="ssh", seen_at=at)
    return host


def class_of(host: Host) -> MachineClass:
    return machine_classes([host.pk])[host.pk]


def test_a_virtual_machine_is_what_it_runs_on_and_a_real_one_make_and_model(now: datetime) -> None:
    virtual = host_with(now, machine_kind="server", virtualization="kvm", vendor="QEMU", product="Standard PC")
    metal = host_with(now, machine_kind="server", virtualization="none", vendor="Dell Inc.", product="PowerEdge R650")
    assert class_of(virtual) == MachineClass(f"{PLATFORM} · server · kvm", known=True)
    assert class_of(metal) == MachineClass(f"{PLATFORM} · server · Dell Inc. PowerEdge R650", known=True)


@pytest.mark.parametrize("facts", [
    {"machine_kind": "server"}, {"machine_kind": "server", "virtualization": "none"}, {"virtualization": "kvm"},
    {"machine_kind": "toaster", "virtualization": "kvm"}, {"machine_kind": "server", "virtualization": ""}, {},
])  # fmt: skip
def test_what_nobody_said_leaves_it_unknown(now: datetime, facts: dict[str, str]) -> None:
    assert not class_of(host_with(now, **facts)).known


def test_without_a_platform_it_is_unknown(now: datetime) -> None:
    host = host_with(now, machine_kind="server", virtualization="kvm")
    Host.objects.filter(pk=host.pk).update(platform=None)
    assert class_of(host) == MachineClass("server · kvm", known=False)


def test_a_person_outranks_what_is_newer_and_of_the_others_the_newest_counts(now: datetime, cast: Cast) -> None:
    host = host_with(now, machine_kind="server", virtualization="kvm")
    later = now + timedelta(days=1)
    Fact.objects.create(host=host, key="virtualization", value="vmware", source="import", seen_at=later)
    assert class_of(host).label == f"{PLATFORM} · server · vmware"
    before = now - timedelta(days=9)
    said = {"value": "workstation", "source": "person", "seen_at": before, "locked_by": cast.cora}
    Fact.objects.create(host=host, key="machine_kind", **said)
    assert class_of(host).label == f"{PLATFORM} · workstation · vmware"


def test_what_rests_on_it_makes_another_class_unless_it_is_retired_or_a_place(now: datetime) -> None:
    host = host_with(now, machine_kind="server", virtualization="kvm")

    def item(kind: str, **given: Any) -> ConfigurationItem:
        return ConfigurationItem.objects.create(kind=kind, name=f"a {kind} {given}", **given)

    def relate(source: Any, target: Any, kind: str) -> None:
        Relation.objects.create(source=source, target=target, kind=kind, since_at=now)

    relate(item("database"), host.ci, "runs_on")
    relate(item("application", state="retired"), host.ci, "runs_on")
    relate(host.ci, item("site"), "member_of")
    relate(host.ci, item("cluster"), "member_of")
    relate(host.ci, item("service"), "depends_on")  # it needs the service; the service does not rest on it
    assert class_of(host) == MachineClass(f"{PLATFORM} · server · kvm · database+cluster", known=True)


def test_it_takes_four_queries_for_any_number_of_hosts(now: datetime) -> None:
    hosts = [host_with(now, machine_kind="server", virtualization="kvm") for _n in range(3)]
    for ids in ([hosts[0].pk], [host.pk for host in hosts]):
        with CaptureQueriesContext(connection) as asked:
            assert len(machine_classes(ids)) == len(ids)
        assert len(asked) == 4
