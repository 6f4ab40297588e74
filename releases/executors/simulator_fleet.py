"""The simulated fleet: which hosts there are, where, for what, and what is on them. Pure: the same every time.

Each host is found again by its address alone, so that the simulated scanner needs no file of its own.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import lru_cache

from cmdb.remote.connection import SIMULATED
from releases.executors import simulator_software as software
from releases.executors.simulator_software import DEBIAN_12, DEBIAN_13, ROCKY, UBUNTU, Platform, Product

SITES = {"ber": "Berlin", "ham": "Hamburg", "vie": "Vienna", "muc": "Munich"}
SHARES = ("ber", "ham", "ber", "vie", "ber", "ham", "muc", "ber", "ham", "vie")
"""Sites by turns, so that each duty is everywhere."""
DUTIES = {
    "web": 48, "app": 48, "api": 12, "db": 28, "cache": 16, "mail": 12, "file": 16, "auth": 8, "mon": 8, "build": 12,
    "desk": 84, "bench": 8,
}  # fmt: skip
WHOLE = sum(DUTIES.values())
WORKSTATION = "desk"
VITAL, HIGH, MEDIUM, LOW = 1, 2, 3, 4
CRITICALITY = {
    "db": VITAL, "auth": VITAL, "web": HIGH, "app": HIGH, "api": HIGH, "mail": HIGH, "file": HIGH, "cache": MEDIUM,
    "mon": MEDIUM, "build": LOW, "desk": LOW, "bench": LOW,
}  # fmt: skip


@dataclass(frozen=True)
class SimulatedHost:
    """One host as it is described to Patchflow, and as its scan describes it."""

    name: str
    duty: str
    site: str
    number: int
    environment: str
    criticality: int
    platform: Platform

    @property
    def address(self) -> str:
        return f"{self.name}{SIMULATED}"

    @property
    def machine_id(self) -> str:
        return self._drawn("machine")

    @property
    def host_key(self) -> str:
        body = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + bytes.fromhex(self._drawn("key", 64))
        return f"ssh-ed25519 {base64.b64encode(body).decode()}"

    @property
    def is_workstation(self) -> bool:
        return self.duty == WORKSTATION

    @property
    def is_silent(self) -> bool:
        """One that answers nobody: its facts grow old."""
        return self.number in (7, 41) and self.duty in ("app", "desk")

    @property
    def restart_due(self) -> bool:
        return int(self._drawn("restart")[:2], 16) < 16

    def products(self) -> tuple[Product, ...]:
        everywhere = self.duty == "bench"
        return tuple(p for p in software.PRODUCTS if not p.duties or everywhere or self.duty in p.duties)

    def _drawn(self, what: str, digits: int = 32) -> str:
        return hashlib.sha256(f"simulated {self.name} {what}".encode()).hexdigest()[:digits]


@lru_cache(maxsize=4)
def fleet(hosts: int = WHOLE) -> tuple[SimulatedHost, ...]:
    """About so many hosts, in order of their names' making; a smaller fleet is a part of the whole, with all its benches."""
    shares = {duty: count if duty == "bench" else -(-count * hosts // WHOLE) for duty, count in DUTIES.items()}
    return tuple(_host(duty, number) for duty, count in shares.items() for number in range(1, count + 1))


@lru_cache(maxsize=1)
def by_address() -> dict[str, SimulatedHost]:
    return {host.address: host for host in fleet()}


def _host(duty: str, number: int) -> SimulatedHost:
    site = SHARES[number % len(SHARES)]
    environment = _environment(duty, number)
    criticality = CRITICALITY[duty] if environment == "production" else max(CRITICALITY[duty], MEDIUM)
    return SimulatedHost(
        name=f"sim-{duty}-{site}-{number:02}", duty=duty, site=site, number=number, environment=environment,
        criticality=criticality, platform=_platform(duty, number),
    )  # fmt: skip


def _environment(duty: str, number: int) -> str:
    if duty == "bench":
        return "lab"
    if duty == "build" or number % 12 == 5:
        return "test"
    return "staging" if duty != WORKSTATION and number % 6 == 3 else "production"


def _platform(duty: str, number: int) -> Platform:
    if duty == "bench":
        return (DEBIAN_12, DEBIAN_13, UBUNTU, ROCKY)[number % 4]
    if duty == WORKSTATION:
        return UBUNTU if number % 3 else DEBIAN_12
    if duty in ("db", "auth") and number % 4 == 0:
        return ROCKY
    return DEBIAN_13 if number % 4 == 1 else DEBIAN_12
