"""Recording reports: whole or not at all, newest wins, unknown stays unknown, and no more queries for more packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.domain import inventory
from cmdb.enums import ItemState
from cmdb.models import Discrepancy, Fact, Host, Installation, PackageVersion, PendingUpdate
from cmdb.queries.hosts import facts_of
from cmdb.queries.software import installed
from cmdb.remote.connection import HostKey
from cmdb.scanners.base import Fingerprint, HostReport, Origin, RestartEvidence
from cmdb.signals import inventory_recorded
from patchflow.kernel import audit
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from tests.factories.cmdb import host_key, make_host, make_package, make_packages, make_pending, make_report
from tests.factories.people import Cast

Record = Callable[..., inventory.Recorded]


@pytest.fixture
def host(db: None) -> Host:
    return make_host("web-01")


@pytest.fixture
def record(cast: Cast, now: datetime) -> Record:
    """Records as the system does."""

    def take(host: Host, report: HostReport, **other: Any) -> inventory.Recorded:
        return inventory.record(
            **{"host_id": host.pk, "report": report, "source": "ssh", "actor": cast.bot, "at": now, **other}
        )

    return take


def versions_on(host: Host) -> dict[str, str]:
    rows = Installation.objects.open().filter(host=host)
    return dict(rows.values_list("package_version__name", "package_version__version"))


def later(report: HostReport, minutes: int = 10, **changes: Any) -> HostReport:
    return replace(report, collected_at=report.collected_at + timedelta(minutes=minutes), **changes)


def test_record_first_report(host: Host, record: Record, now: datetime) -> None:
    report = make_report(host, pending=(make_pending("openssl", "3.0.17-1~deb12u3", "3.0.17-1~deb12u4"),))

    taken = record(host, report)

    host.refresh_from_db()
    assert taken == inventory.Recorded("recorded", packages=3, came=3, gone=0)
    assert str(host.platform) == "debian-12-amd64"
    assert (host.kernel_running, host.restart_needed) == ("6.1.0-40-amd64", False)
    assert (host.audited_at, host.last_seen_at, host.reported_at) == (report.collected_at,) * 3
    assert versions_on(host) == {"openssl": "3.0.17-1~deb12u3", "htop": "3.2.2-2", "bash": "5.2.15-2"}
    assert host.ci.state == ItemState.IN_SERVICE
    waiting = PendingUpdate.objects.get(host=host)
    assert (waiting.source_name, waiting.is_security, waiting.candidate_version) == (
        "openssl",
        True,
        "3.0.17-1~deb12u4",
    )
    assert [e.verb for e in audit.history(host)] == ["cmdb.inventory.recorded"]
    openssl = PackageVersion.objects.get(name="openssl")
    assert openssl.key is not None
    assert openssl.origin_class == "distribution"


def test_record_unchanged_report_is_one_update(host: Host, record: Record) -> None:
    report = make_report(host)
    record(host, report)
    again = later(report, facts={**report.facts, "uptime_s": 1800})

    with CaptureQueriesContext(connection) as queries:
        taken = record(host, again)

    host.refresh_from_db()
    assert taken.outcome == "unchanged"
    assert [q["sql"].split()[0] for q in queries] == ["UPDATE"]
    assert host.audited_at == again.collected_at
    assert audit.history(host).count() == 1


def test_record_closes_what_has_gone(host: Host, record: Record) -> None:
    first = make_report(host)
    record(host, first)
    second = later(first, packages=(make_package("openssl", "3.0.17-1~deb12u4"), make_package("bash", "5.2.15-2")))

    taken = record(host, second)

    assert (taken.came, taken.gone) == (1, 2)
    assert versions_on(host) == {"openssl": "3.0.17-1~deb12u4", "bash": "5.2.15-2"}
    closed = Installation.objects.get(package_version__version="3.0.17-1~deb12u3")
    assert (closed.installed_seen_at, closed.gone_seen_at) == (first.collected_at, second.collected_at)
    then = installed([host.pk], ["openssl"], as_of=first.collected_at)
    assert then == {(host.pk, "openssl", "amd64"): "3.0.17-1~deb12u3"}


def test_record_same_version_comes_back_as_new_span(host: Host, record: Record) -> None:
    first = make_report(host)
    record(host, first)
    record(host, later(first, 10, packages=first.packages[1:]))
    record(host, later(first, 20))
    spans = Installation.objects.filter(host=host, package_version__name="openssl").order_by("pk")
    assert [(s.installed_seen_at, s.gone_seen_at) for s in spans] == [
        (first.collected_at, first.collected_at + timedelta(minutes=10)),
        (first.collected_at + timedelta(minutes=20), None),
    ]


def test_record_older_report_changes_nothing(host: Host, record: Record) -> None:
    report = make_report(host)
    record(host, report)
    before = Host.objects.filter(pk=host.pk).values().get()

    taken = record(host, later(report, -30, packages=(make_package("openssl", "1.0-1"),)))

    assert taken.outcome == "older"
    assert Host.objects.filter(pk=host.pk).values().get() == before
    assert versions_on(host)["openssl"] == "3.0.17-1~deb12u3"


def test_record_clock_of_the_future_does_not_shut_out_what_follows(host: Host, record: Record, now: datetime) -> None:
    report = make_report(host, collected_at=now + timedelta(days=400))
    record(host, report)
    host.refresh_from_db()
    assert host.reported_at == now
    changed = make_report(host, collected_at=now + timedelta(minutes=5), packages=(make_package("bash", "5.3-1"),))
    assert record(host, changed, at=now + timedelta(minutes=5)).outcome == "recorded"
    assert versions_on(host) == {"bash": "5.3-1"}


@pytest.mark.parametrize("errors", [("packages: dpkg-query: exit 2",), ("something else broke",), ()])
def test_record_empty_package_list_wipes_nothing(host: Host, record: Record, errors: tuple[str, ...]) -> None:
    report = make_report(host)
    record(host, report)
    audited = report.collected_at

    taken = record(host, later(report, packages=(), kernel="6.1.0-41-amd64", errors=errors))

    host.refresh_from_db()
    assert taken.outcome == "partial"
    assert len(versions_on(host)) == 3
    assert host.audited_at == audited
    assert host.last_seen_at == audited + timedelta(minutes=10)
    assert host.report_errors


def test_record_pending_that_could_not_be_read_is_kept(host: Host, record: Record) -> None:
    report = make_report(host, pending=(make_pending("openssl", "3.0.17-1~deb12u3", "3.0.17-1~deb12u4"),))
    record(host, report)
    record(host, later(report, pending=(), errors=("pending: apt-get: exit 100",)))
    assert PendingUpdate.objects.filter(host=host, gone_seen_at__isnull=True).count() == 1
    record(host, later(report, 20, pending=()))
    assert PendingUpdate.objects.filter(host=host, gone_seen_at__isnull=True).count() == 0


def test_record_unreadable_version_is_kept_as_written_without_key(host: Host, record: Record) -> None:
    record(host, make_report(host, packages=(make_package("odd", "1.0 beta"), make_package("bash", "5.2.15-2"))))
    odd = PackageVersion.objects.get(name="odd")
    assert (odd.version, odd.key, odd.source_key) == ("1.0 beta", None, None)
    assert versions_on(host)["odd"] == "1.0 beta"


@pytest.mark.parametrize("bad", [{"name": "x" * 201}, {"version": "1\x002"}, {"version": ""}])
def test_record_takes_whole_report_or_nothing(host: Host, record: Record, bad: dict[str, str]) -> None:
    broken = replace(make_package("zzz", "1.0-1"), **bad)
    with pytest.raises(Invalid):
        record(host, make_report(host, packages=(make_package("bash", "5.2.15-2"), broken)))
    host.refresh_from_db()
    assert not Installation.objects.exists()
    assert (host.package_digest, host.reported_at, host.platform) == ("", None, None)


def test_record_needs_the_right(host: Host, record: Record, cast: Cast) -> None:
    report = make_report(host)
    record(host, report)
    for person in (cast.eve, cast.cora, cast.root):
        with pytest.raises(NotAllowed):
            record(host, later(report), actor=person)


def test_record_retired_host_is_refused(host: Host, record: Record, now: datetime) -> None:
    Host.objects.filter(pk=host.pk).update(retired_at=now)
    with pytest.raises(Blocked):
        record(host, make_report(host))
    assert not Installation.objects.exists()


def test_record_knows_origin_again_after_the_archive_forgot_it(host: Host, record: Record) -> None:
    report = make_report(host)
    record(host, report)
    forgotten = tuple(replace(p, origin=Origin(label="local")) for p in report.packages)
    taken = record(host, later(report, packages=forgotten))
    assert (taken.came, taken.gone) == (0, 0)
    assert set(PackageVersion.objects.values_list("origin_class", flat=True)) == {"distribution"}


def test_record_third_party_package(host: Host, record: Record) -> None:
    vendor = make_package("agent", "7.1-1", origin=Origin(origin="Example Vendor", label="agent"))
    record(host, make_report(host, packages=(vendor, make_package("local", "1", origin=Origin(label="local")))))
    assert dict(PackageVersion.objects.values_list("name", "origin_class")) == {
        "agent": "third_party",
        "local": "unknown",
    }


def test_record_shares_versions_between_hosts(host: Host, record: Record) -> None:
    other = make_host("web-02")
    record(host, make_report(host))
    record(other, make_report(other))
    assert PackageVersion.objects.count() == 3
    assert Installation.objects.open().count() == 6


def test_record_another_hosts_packages_are_left_alone(host: Host, record: Record) -> None:
    other = make_host("web-02")
    record(other, make_report(other))
    record(host, make_report(host, packages=(make_package("vim", "9.0-1"),)))
    assert len(versions_on(other)) == 3


def test_record_status_and_hold_change_in_place(host: Host, record: Record) -> None:
    report = make_report(host, packages=(make_package("bash", "5.2.15-2"),))
    record(host, report)
    record(host, later(report, packages=(make_package("bash", "5.2.15-2", status="half-configured", held=True),)))
    row = Installation.objects.get(host=host)
    assert (row.status, row.held, row.gone_seen_at, row.installed_seen_at) == (
        "half-configured",
        True,
        None,
        report.collected_at,
    )


def test_record_release_upgrade_moves_to_another_platform(host: Host, record: Record) -> None:
    report = make_report(host)
    record(host, report)
    record(host, later(report, release="13", codename="trixie"))
    host.refresh_from_db()
    assert str(host.platform) == "debian-13-amd64"
    rows = Installation.objects.open().filter(host=host)
    assert set(rows.values_list("package_version__platform__release", flat=True)) == {"13"}
    assert rows.count() == 3


def test_record_facts_of_two_sources_and_a_person(host: Host, record: Record, cast: Cast, now: datetime) -> None:
    from cmdb.domain import hosts

    report = make_report(host)
    record(host, report)
    record(host, later(report, 5, facts={**report.facts, "cpus": 4}), source="agent")
    hosts.set_fact(host_id=host.pk, key="cpus", value=16, actor=cast.cora, at=now)
    record(host, later(report, 10, facts={**report.facts, "cpus": 8}))
    host.refresh_from_db()
    row = next(f for f in facts_of(host) if f.key == "cpus")
    assert (row.value, row.source, row.locked_by) == (16, "person", "cora")
    assert sorted(row.others) == [("agent", 4), ("ssh", 8)]

    hosts.release_fact(host_id=host.pk, key="cpus", actor=cast.cora, at=now)
    row = next(f for f in facts_of(host) if f.key == "cpus")
    assert (row.value, row.source, row.others) == (8, "ssh", (("agent", 4),))


def test_record_facts_age_with_the_unchanged_report(host: Host, record: Record) -> None:
    report = make_report(host)
    record(host, report)
    record(host, later(report, 30))
    host.refresh_from_db()
    assert {f.seen_at for f in facts_of(host)} == {report.collected_at + timedelta(minutes=30)}


def test_record_restart_evidence(host: Host, record: Record) -> None:
    needed = RestartEvidence(needed=True, reasons=("A newer kernel is installed.",), kernel_installed="6.1.0-41-amd64")
    report = make_report(host, restart=needed)
    record(host, report)
    host.refresh_from_db()
    assert (host.restart_needed, host.restart_reasons) == (True, ["A newer kernel is installed."])
    record(host, later(report, errors=("restart: permission denied",), restart=RestartEvidence()))
    host.refresh_from_db()
    assert host.restart_needed is None


def test_record_first_fingerprint_is_taken(record: Record) -> None:
    host = make_host("new-01", machine_id="", ssh_host_key="")
    record(host, make_report(host, fingerprint=Fingerprint(machine_id="b" * 32, host_key=host_key("new-01"))))
    host.refresh_from_db()
    assert host.fingerprint == "b" * 32 + "/" + HostKey.from_line(host_key("new-01")).fingerprint
    assert "cmdb.host.identified" in set(audit.history(host).values_list("verb", flat=True))


def test_record_changed_fingerprint_is_a_discrepancy(host: Host, record: Record) -> None:
    before = host.fingerprint
    record(host, make_report(host, fingerprint=Fingerprint(machine_id="c" * 32, host_key=host_key("new"))))
    host.refresh_from_db()
    assert host.fingerprint != before
    found = Discrepancy.objects.get()
    assert (found.kind, found.state, found.detail["before"]) == ("fingerprint_changed", "open", before)


def test_record_fingerprint_of_another_host_is_refused_and_noted(host: Host, record: Record) -> None:
    other = make_host("web-02")
    with pytest.raises(Blocked, match="web-02 is this machine already"):
        record(host, make_report(other))
    host.refresh_from_db()
    found = Discrepancy.objects.get()
    assert (found.kind, found.host, found.other) == ("same_fingerprint", host, other)
    assert host.reported_at is None
    with pytest.raises(Blocked):
        record(host, make_report(other))
    assert Discrepancy.objects.count() == 1


def test_record_clone_is_noted(host: Host, record: Record) -> None:
    clone = make_host("clone-01", machine_id="", ssh_host_key="")
    record(clone, make_report(clone, fingerprint=Fingerprint(machine_id=host.machine_id, host_key=host_key("other"))))
    found = Discrepancy.objects.get()
    assert (found.kind, found.host, found.other) == ("clone", host, clone)


def test_record_tells_once_what_is_new(host: Host, record: Record, now: datetime) -> None:
    told: list[dict[str, Any]] = []

    def listen(sender: Any, **said: Any) -> None:
        said.pop("signal")
        told.append(said)

    inventory_recorded.connect(listen)
    try:
        report = make_report(host)
        record(host, report)
        record(host, later(report, 10))
        record(host, later(report, 20, facts={"cpus": 9}))
        record(host, later(report, 30, packages=(*report.packages, make_package("vim", "9.0-1"))))
    finally:
        inventory_recorded.disconnect(listen)
    assert [len(t["package_version_ids_new"]) for t in told] == [3, 1]
    assert {(t["host_id"], t["at"]) for t in told} == {(host.pk, now)}


def count_queries(record: Record, host: Host, report: HostReport) -> int:
    with CaptureQueriesContext(connection) as queries:
        record(host, report)
    return len(queries)


def test_record_number_of_queries_does_not_grow_with_packages(record: Record) -> None:
    """3 and 600 packages: first report, one with all versions changed, one with half of them gone."""
    counts = []
    for name, number in (("few", 3), ("many", 600)):
        host = make_host(name)
        pending = tuple(make_pending(p.name, p.version, "2.0-1") for p in make_packages(number))
        first = make_report(host, packages=make_packages(number), pending=pending)
        changed = later(first, 10, packages=make_packages(number, version="2.0-1"), pending=())
        halved = later(changed, 10, packages=changed.packages[: number // 2 + 1])
        counts.append([count_queries(record, host, report) for report in (first, changed, halved)])
        assert Installation.objects.open().filter(host=host).count() == number // 2 + 1
    # The first report of all makes the platform.
    assert counts[0][1:] == counts[1][1:]
    assert counts[1][0] <= counts[0][0]
    assert max(counts[0] + counts[1]) <= 30


def test_record_facts_are_deleted_only_by_their_own_complete_report(host: Host, record: Record) -> None:
    report = make_report(host, facts={"cpus": 8, "vendor": "QEMU"})
    record(host, report)
    record(host, later(report, 5, facts={"cpus": 8}, errors=("sources: broken",)))
    assert Fact.objects.filter(host=host, key="vendor").exists()
    record(host, later(report, 10, facts={"cpus": 8}))
    assert not Fact.objects.filter(host=host, key="vendor").exists()
