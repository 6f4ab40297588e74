"""Scan runs: requested, claimed once, recorded host by host with reasons, found again after a lost worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from cmdb.domain import scans
from cmdb.enums import ItemState, ResultState, ScanState
from cmdb.models import Host, ScanResult, ScanRun
from cmdb.remote.errors import HostKeyChanged, SudoRefused, Unreachable
from patchflow.kernel import audit, queue, registry, workflow
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, RoleGrant
from tests.factories.cmdb import make_connection, make_group, make_host, make_report
from tests.factories.people import Cast, make_user
from tests.fakes.hosts import FakeManyScanner, FakeScanner


@pytest.fixture
def scanner() -> Iterator[FakeScanner]:
    fake = FakeScanner()
    registry.scanners._items["fake"] = fake
    yield fake
    del registry.scanners._items["fake"]


@pytest.fixture
def fleet(cast: Cast, scanner: FakeScanner) -> list[Host]:
    """Three hosts that answer, each at an address of its own."""
    hosts = []
    for number in (1, 2, 3):
        host = make_host(f"web-0{number}")
        make_connection(host, accepted_by=cast.cora, address=f"192.0.2.{number}")
        scanner.answers[f"192.0.2.{number}"] = make_report(host)
        hosts.append(host)
    return hosts


def ids(hosts: list[Host]) -> list[int]:
    return [host.pk for host in hosts]


def results(run: ScanRun) -> dict[str, tuple[str, str]]:
    rows = run.results.values_list("host__name", "state", "code")
    return {name: (state, code) for name, state, code in rows}


def test_request_queues_one_result_per_host(fleet: list[Host], cast: Cast, now: datetime) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    assert (run.state, run.results.count()) == (ScanState.QUEUED, 3)
    assert [e.verb for e in audit.history(run)] == ["cmdb.scan.requested"]


def test_run_records_every_host(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.lease_until, run.attempts) == (ScanState.COMPLETED, None, 1)
    assert results(run) == {h.name: (ResultState.SCANNED, "") for h in fleet}
    assert {h.ci.state for h in Host.objects.select_related("ci")} == {ItemState.IN_SERVICE}
    assert set(run.results.values_list("packages", "changed")) == {(3, True)}
    assert sorted(scanner.asked) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    chain = AuditEntry.objects.filter(chain=run.audit_chain).order_by("seq").values_list("verb", flat=True)
    assert list(chain)[:2] == ["cmdb.scan.requested", "cmdb.scan.started"]
    assert list(chain)[-1] == "cmdb.scan.completed"
    assert list(chain).count("cmdb.scan.host_scanned") == 3


def test_run_gives_each_failing_host_its_reason(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    scanner.answers["192.0.2.1"] = Unreachable("root@192.0.2.1 cannot be reached: no route")
    scanner.answers["192.0.2.2"] = SudoRefused("root@192.0.2.2: sudo asks for a password")
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    assert run.state == ScanState.PARTIAL
    assert run.reason == "1 of 3 hosts were scanned, 0 of them in part."
    assert results(run) == {
        "web-01": (ResultState.FAILED, "unreachable"),
        "web-02": (ResultState.FAILED, "sudo_refused"),
        "web-03": (ResultState.SCANNED, ""),
    }
    assert run.results.get(host=fleet[0]).reason == "root@192.0.2.1 cannot be reached: no route"


def test_run_that_reached_nobody_failed(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    for address in scanner.answers:
        scanner.answers[address] = HostKeyChanged("another key")
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    assert (run.state, run.reason) == (ScanState.FAILED, "None of 3 hosts could be scanned.")


def test_run_without_accepted_key_asks_nobody(cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    host = make_host("web-09")
    make_connection(host)
    bare = make_host("web-10")
    run = scans.request(host_ids=[host.pk, bare.pk], actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    assert scanner.asked == []
    assert results(run) == {"web-09": (ResultState.FAILED, "key_not_accepted"), "web-10": (ResultState.FAILED, "none")}


def test_run_partial_report(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    scanner.answers["192.0.2.1"] = make_report(fleet[0], errors=("packages: dpkg-query: exit 2",), packages=())
    run = scans.request(host_ids=[fleet[0].pk], actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    row = run.results.get()
    assert (run.state, row.state, row.reason) == (
        ScanState.PARTIAL,
        ResultState.PARTIAL,
        "packages: dpkg-query: exit 2",
    )


def test_run_broken_scanner_is_that_hosts_failure(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    scanner.answers["192.0.2.1"] = ZeroDivisionError("oops")
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    assert results(run)["web-01"] == (ResultState.FAILED, "error")
    assert results(run)["web-02"] == (ResultState.SCANNED, "")


def test_run_asks_many_in_one_go_where_the_scanner_can(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    many = FakeManyScanner(answers=scanner.answers)
    registry.scanners._items["fake"] = many
    scanner.answers["192.0.2.2"] = Unreachable("no route")
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    assert many.batches == [["192.0.2.1", "192.0.2.2", "192.0.2.3"]]
    assert results(run) == {
        "web-01": (ResultState.SCANNED, ""),
        "web-02": (ResultState.FAILED, "unreachable"),
        "web-03": (ResultState.SCANNED, ""),
    }


def test_run_asks_outside_any_transaction(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    ours = transaction.get_connection()
    depth, seen = len(ours.savepoint_ids), []
    scanner.meanwhile = lambda: seen.append(len(ours.savepoint_ids))
    run = scans.request(host_ids=[fleet[0].pk], actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    assert seen == [depth]


def test_run_twice_scans_once(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.run(scan_run_id=run.pk, now=now)
    scans.run(scan_run_id=run.pk, now=now)
    assert len(scanner.asked) == 3


def test_run_held_by_another_worker_is_left_alone(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    queue.claim(ScanRun.objects.filter(pk=run.pk), owner="other", lease=timedelta(minutes=5))
    scans.run(scan_run_id=run.pk, now=now)
    assert scanner.asked == []


def test_run_continues_after_a_lost_worker(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    workflow.fire(ScanRun, run.pk, "start", actor=cast.bot, at=now)
    done = run.results.get(host=fleet[0])
    workflow.fire(ScanResult, done.pk, "succeed", actor=cast.bot, at=now, packages=3, changed=True)
    ScanRun.objects.filter(pk=run.pk).update(lease_until=queue.database_now() - timedelta(seconds=1), attempts=1)
    assert scans.find_due(now=queue.database_now()) == 1
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    assert run.state == ScanState.COMPLETED
    assert sorted(scanner.asked) == ["192.0.2.2", "192.0.2.3"]


def test_sweep_gives_up_what_no_worker_came_back_from(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    ScanRun.objects.filter(pk=run.pk).update(attempts=scans.MAX_ATTEMPTS)
    scans.find_due(now=now)
    run.refresh_from_db()
    assert run.state == ScanState.LOST
    assert {state for state, _code in results(run).values()} == {ResultState.LOST}
    again = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    assert again.results.count() == 3


def test_cancel_leaves_out_who_was_not_asked(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    run = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    scans.cancel(scan_run_id=run.pk, actor=cast.otto, at=now)
    scans.run(scan_run_id=run.pk, now=now)
    run.refresh_from_db()
    assert run.state == ScanState.CANCELLED
    assert {state for state, _code in results(run).values()} == {ResultState.CANCELLED}
    assert scanner.asked == []


def test_request_while_a_scan_is_under_way(fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime) -> None:
    scans.request(host_ids=[fleet[0].pk], actor=cast.otto, at=now, scanner="fake")
    with pytest.raises(Conflict, match="A scan of this host is under way already"):
        scans.request(host_ids=[fleet[0].pk], actor=cast.otto, at=now, scanner="fake")
    rest = scans.request(host_ids=ids(fleet), actor=cast.otto, at=now, scanner="fake")
    assert set(rest.results.values_list("host__name", flat=True)) == {"web-02", "web-03"}


def test_request_needs_the_right_for_every_host(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    group = make_group("mine")
    group.memberships.create(host=fleet[0], since_at=now)
    omar = make_user("omar")
    RoleGrant.objects.create(user=omar, role="operator", scope=group.scope_key)
    for person in (cast.eve, cast.ann, cast.aud, cast.root):
        with pytest.raises(NotAllowed):
            scans.request(host_ids=ids(fleet), actor=person, at=now, scanner="fake")
    with pytest.raises(NotAllowed):
        scans.request(host_ids=ids(fleet[:2]), actor=omar, at=now, scanner="fake")
    assert scans.request(host_ids=ids(fleet[:1]), actor=omar, at=now, scanner="fake").results.count() == 1


def test_request_refuses_nobody_unknown_and_retired(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime
) -> None:
    Host.objects.filter(pk=fleet[0].pk).update(retired_at=now)
    for wanted in ([], [fleet[0].pk], [fleet[1].pk, 999_999]):
        with pytest.raises(Invalid):
            scans.request(host_ids=wanted, actor=cast.otto, at=now, scanner="fake")
    with pytest.raises(Invalid, match="no scanner named"):
        scans.request(host_ids=[fleet[1].pk], actor=cast.otto, at=now, scanner="nmap")


def test_daily_scan_asks_whose_facts_are_a_day_old(
    fleet: list[Host], cast: Cast, scanner: FakeScanner, now: datetime, settings: object
) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "SCANNER": "fake"}  # type: ignore[attr-defined]
    old, fresh, never = fleet
    Host.objects.filter(pk=old.pk).update(audited_at=now - timedelta(hours=25), last_seen_at=now - timedelta(hours=25))
    Host.objects.filter(pk=fresh.pk).update(audited_at=now - timedelta(hours=2), last_seen_at=now)
    assert scans.request_daily(now=now) == 1
    run = ScanRun.objects.get()
    assert (run.requested_by, run.results.get().host) == (cast.bot, old)
    assert scans.request_daily(now=now) == 0
    scans.run(scan_run_id=run.pk, now=now)
    assert scans.request_daily(now=now + timedelta(minutes=5)) == 0
    assert never.pk not in ScanResult.objects.values_list("host_id", flat=True)


@pytest.mark.integration
def test_run_reads_this_very_computer(cast: Cast, now: datetime, tmp_path: Path) -> None:
    from django.utils import timezone

    from cmdb.domain import hosts
    from cmdb.models import Installation

    started = timezone.now()
    host = hosts.ensure_local(actor=cast.bot, at=started)
    assert hosts.ensure_local(actor=cast.bot, at=started).pk == host.pk
    run = scans.request(host_ids=[host.pk], actor=cast.otto, at=started)
    scans.run(scan_run_id=run.pk, now=started)
    run.refresh_from_db()
    host.refresh_from_db()
    assert run.state in {ScanState.COMPLETED, ScanState.PARTIAL}, run.results.get().reason
    assert host.platform is not None
    assert Installation.objects.open().filter(host=host).count() > 20
    assert not Installation.objects.filter(host=host, package_version__key__isnull=True).exists()
