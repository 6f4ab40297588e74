"""Doubles of what lies beyond the network: a scanner, a key and a probe that answer what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cmdb.remote.connection import Endpoint, HostKey, ProbeResult
from cmdb.remote.errors import RemoteError
from cmdb.scanners.base import HostReport


@dataclass
class FakeScanner:
    """Implements the port of cmdb.scanners.base. `answers`: address → report, or the error that is raised."""

    name: str = "fake"
    answers: dict[str, HostReport | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def scan(self, endpoint: Endpoint, *, timeout: float, refresh: bool = False) -> HostReport:
        self.asked.append(endpoint.address)
        self.meanwhile()
        answer = self.answers[endpoint.address]
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeManyScanner(FakeScanner):
    """A scanner that asks many hosts in one go; `batches` keeps which."""

    batches: list[list[str]]

    def scan_many(
        self, endpoints: Sequence[Endpoint], *, timeout: float, refresh: bool = False
    ) -> Iterator[tuple[Endpoint, HostReport | RemoteError]]:
        self.batches = [*getattr(self, "batches", []), [place.address for place in endpoints]]
        for place in endpoints:
            try:
                yield place, self.scan(place, timeout=timeout)
            except RemoteError as error:
                yield place, error


@dataclass
class FakeHost:
    """A host that shows `line` as its key and is probed as `found` says; or cannot be reached at all."""

    line: str = ""
    found: ProbeResult = field(
        default_factory=lambda: ProbeResult(reachable=True, host_key_matches=True, authenticated=True)
    )
    error: RemoteError | None = None
    asked: list[Endpoint] = field(default_factory=list)

    def fetch(self, endpoint: Endpoint) -> HostKey:
        self.asked.append(endpoint)
        if self.error:
            raise self.error
        return HostKey.from_line(self.line)

    def probe(self, endpoint: Endpoint) -> ProbeResult:
        self.asked.append(endpoint)
        return self.found
