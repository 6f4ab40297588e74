"""Scans simulated hosts: what the fleet says of a host, with the versions that the simulator has really "installed".

A host that somebody else named simulated, or that answers nobody, cannot be reached.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError, Unreachable
from cmdb.scanners.base import Fingerprint, HostReport, InstalledPackage, Origin, PendingUpdate, RestartEvidence, Source
from releases.executors import simulator_software as software
from releases.executors.base import Action, Executor, Observed, ObserveSpec, PackageChange, PackageState
from releases.executors.simulator_fleet import SimulatedHost, by_address

KERNEL = {"deb": "6.1.0-simulated", "rpm": "5.14.0-simulated.el9"}
SILENT = "simulator: the host does not answer"
NOBODY = "simulator: there is no such simulated host"
Found = HostReport | RemoteError


class SimulatedScanner:
    """Answers like a scanner. `executor` is the simulator that remembers what was done; `clock` gives the present."""

    name = "simulator"

    def __init__(self, executor: Executor, *, clock: Callable[[], datetime]) -> None:
        self.executor, self.clock = executor, clock
        self.published = 99
        """Up to which wave updates are known to the hosts' package managers."""
        self._lock = threading.Lock()

    def scan(self, endpoint: Endpoint, *, timeout: float, refresh: bool = False) -> HostReport:
        [(_place, found)] = self.scan_many([endpoint], timeout=timeout, refresh=refresh)
        if isinstance(found, RemoteError):
            raise found
        return found

    def scan_many(
        self, places: Sequence[Endpoint], *, timeout: float, refresh: bool = False
    ) -> list[tuple[Endpoint, Found]]:
        """A report or the reason for each place, in their order; one round trip to the simulator."""
        known = [(place, by_address().get(place.address)) for place in places]
        asked = [(place, host) for place, host in known if host is not None and not host.is_silent]
        with self._lock:
            seen = self.executor.observe_all([_question(place, host) for place, host in asked])
        answers = {place: found for (place, _host), found in zip(asked, seen, strict=True)}
        return [(place, self._answer(place, host, answers.get(place))) for place, host in known]

    def _answer(self, place: Endpoint, host: SimulatedHost | None, seen: Observed | RemoteError | None) -> Found:
        if host is None:
            return Unreachable(NOBODY)
        if seen is None:
            return Unreachable(SILENT)
        return seen if isinstance(seen, RemoteError) else self._report(place, host, seen)

    def _report(self, place: Endpoint, host: SimulatedHost, seen: Observed) -> HostReport:
        platform, origin = host.platform, _origin(host)
        there = {state.name: state for state in seen.packages if state.version}
        packages = [_installed(state, there, origin) for state in installed(host)]
        kernel = KERNEL[platform.ecosystem]
        return HostReport(
            endpoint=place, scanner=self.name, collected_at=self.clock(),
            fingerprint=Fingerprint(machine_id=host.machine_id, host_key=host.host_key), host_keys=(host.host_key,),
            hostname=host.name, fqdn=host.address, distribution=platform.distribution, distribution_like=(),
            release=platform.release, codename=platform.codename, arch=platform.machine, kernel=kernel, boot_id=seen.boot_id,
            virtualization="simulated", package_manager="rpm" if platform.ecosystem == "rpm" else "dpkg",
            packages=tuple(packages), pending=tuple(self._pending(host, packages)),
            restart=RestartEvidence(
                needed=host.restart_due, reasons=("simulated: a library in use was replaced.",) if host.restart_due else (),
                kernel_running=kernel, kernel_installed=kernel,
            ),
            sources=(Source(uris=("simulated://repository",), suites=("simulated",), components=("main",)),),
            facts={
                "cpus": 2 if host.is_workstation else 8, "memory_mib": 8192 if host.is_workstation else 32768,
                "vendor": "simulated", "machine_kind": "workstation" if host.is_workstation else "server",
            },
        )  # fmt: skip

    def _pending(self, host: SimulatedHost, packages: Sequence[InstalledPackage]) -> list[PendingUpdate]:
        newest: dict[str, int] = {}
        for fix in software.fixes_until(self.published):
            newest[fix.product] = max(newest.get(fix.product, 0), fix.number)
        found = []
        for package in packages:
            product = software.BY_NAME[package.source_name]
            candidate = software.version(product, host.platform, newest.get(product.name, 0))
            if candidate != package.version:
                found.append(
                    PendingUpdate(
                        name=package.name, arch=package.arch, installed=package.version, candidate=candidate,
                        origin=package.origin, security=True, available=(candidate,),
                    )
                )  # fmt: skip
        return found


def installed(host: SimulatedHost) -> list[PackageState]:
    """What is on a host before anything was done to it."""
    return [
        PackageState(name=name, arch=host.platform.arch, version=software.version(p, host.platform), status="installed")
        for p in host.products()
        for name in p.packages
    ]


def _question(place: Endpoint, host: SimulatedHost) -> ObserveSpec:
    changes = [PackageChange(name=s.name, arch=s.arch, from_version="", to_version=s.version) for s in installed(host)]
    return ObserveSpec(endpoint=place, job_key="", action=Action.INSTALL, packages=tuple(changes))


def _origin(host: SimulatedHost) -> Origin:
    platform = host.platform
    return Origin(
        uri="simulated://repository", suite="simulated", codename=platform.codename, origin=platform.origin,
        label="simulated", component="main",
    )  # fmt: skip


def _installed(first: PackageState, there: dict[str, PackageState], origin: Origin) -> InstalledPackage:
    now = there.get(first.name, first)
    source = next(p.name for p in software.PRODUCTS if first.name in p.packages)
    return InstalledPackage(
        name=now.name, arch=now.arch, version=now.version, source_name=source, source_version=now.version,
        status=now.status, origin=origin,
    )  # fmt: skip
