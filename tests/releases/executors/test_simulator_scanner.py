"""Simulated hosts are scanned like real ones: what the fleet says, with what the simulator has really done."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import Unreachable
from releases.executors.base import PackageState
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_fleet import SimulatedHost, fleet
from releases.executors.simulator_journal import JournalLedger
from releases.executors.simulator_scanner import NOBODY, SILENT, SimulatedScanner, installed


@pytest.fixture
def simulator(now: datetime, tmp_path: Path) -> SimulatorExecutor:
    return SimulatorExecutor(JournalLedger(tmp_path / "journal"), clock=lambda: now)


@pytest.fixture
def scanner(simulator: SimulatorExecutor, now: datetime) -> SimulatedScanner:
    return SimulatedScanner(simulator, clock=lambda: now)


def one(duty: str) -> SimulatedHost:
    return next(host for host in fleet() if host.duty == duty)


def test_the_fleet_is_of_three_hundred_hosts_each_another_machine() -> None:
    hosts = fleet()
    assert len(hosts) == 300
    assert len({h.name for h in hosts}) == len({h.machine_id for h in hosts}) == len({h.host_key for h in hosts}) == 300
    assert set(fleet(60)) < set(hosts)


def test_a_host_reports_what_the_fleet_says_of_it(scanner: SimulatedScanner, now: datetime) -> None:
    host = one("web")
    report = scanner.scan(Endpoint(address=host.address), timeout=1)
    assert (report.hostname, report.fqdn, report.collected_at) == (host.name, host.address, now)
    assert (report.fingerprint.machine_id, report.fingerprint.host_key) == (host.machine_id, host.host_key)
    assert {p.name: p.version for p in report.packages} == {s.name: s.version for s in installed(host)}
    assert "glanz-server" in {update.name for update in report.pending}


def test_what_was_simulated_there_shows_in_the_next_scan(
    scanner: SimulatedScanner, simulator: SimulatorExecutor
) -> None:
    host = one("web")
    simulator.furnish(host.address, [PackageState(name="glanz-server", arch="amd64", version="9", status="installed")])
    report = scanner.scan(Endpoint(address=host.address), timeout=1)
    assert {p.version for p in report.packages if p.name == "glanz-server"} == {"9"}


def test_hosts_that_are_silent_or_nobody_cannot_be_reached(scanner: SimulatedScanner) -> None:
    silent = next(host for host in fleet() if host.is_silent)
    for address, reason in ((silent.address, SILENT), ("sim-nobody.simulated.invalid", NOBODY)):
        with pytest.raises(Unreachable, match=reason):
            scanner.scan(Endpoint(address=address), timeout=1)


def test_furnishing_only_what_is_new_keeps_what_was_simulated(simulator: SimulatorExecutor) -> None:
    def state(name: str, version: str) -> PackageState:
        return PackageState(name=name, arch="amd64", version=version, status="installed")

    simulator.furnish("h", [state("a", "2")])
    simulator.furnish("h", [state("a", "1"), state("b", "1")], only_new=True)
    assert [(c.name, c.from_version) for c in simulator.dry_run(Endpoint(address="h"), [("a", "3"), ("b", "3")]).changes] == [
        ("a", "2"), ("b", "1"),
    ]  # fmt: skip
