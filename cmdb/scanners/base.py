"""The port of a scanner, and what a scan reports: dataclasses only, times aware and in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from cmdb.remote.connection import Endpoint

PackageManager = Literal["dpkg", "rpm", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The archive a version comes from, as its signed release file names itself. `label` "local": in no archive."""

    uri: str = ""
    suite: str = ""
    codename: str = ""
    origin: str = ""
    label: str = ""
    component: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPackage:
    """One package on the host. `status` is the package manager's word; all but "installed" is unfinished work.

    `version` and `source_version` are as written by the package manager (epoch where there is one).
    """

    name: str
    arch: str
    version: str
    source_name: str
    source_version: str
    status: str = "installed"
    held: bool = False
    module: str = ""
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingUpdate:
    """What the host's own package manager would bring in. `installed` is empty for a package that would be new.

    `available` lists every newer version it knows, newest first. `security`: a security archive or advisory offers
    one of them; None where the sources say nothing about it. `kept_back`: newer, but an upgrade would leave it.
    """

    name: str
    arch: str
    installed: str
    candidate: str
    origin: Origin
    security: bool | None = None
    kept_back: bool = False
    available: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartEvidence:
    """Whether the host should be restarted, and why. None: nobody over there can tell.

    `processes` still run files that were replaced on disk; they want a restart of a service, not of the host.
    """

    needed: bool | None = None
    reasons: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    kernel_running: str = ""
    kernel_installed: str = ""
    processes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One configured package source, with the key that must sign it (file or "inline key")."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    signed_by: str = ""
    trusted_unsigned: bool = False
    enabled: bool = True
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What makes the machine this machine: a reinstalled host has another, whatever its address and name."""

    machine_id: str
    host_key: str

    def __bool__(self) -> bool:
        return bool(self.machine_id and self.host_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """One scan of one host. `errors` names the parts that could not be read; what is here was read."""

    endpoint: Endpoint
    scanner: str
    collected_at: datetime
    fingerprint: Fingerprint
    host_keys: tuple[str, ...]
    hostname: str
    fqdn: str
    distribution: str
    distribution_like: tuple[str, ...]
    release: str
    codename: str
    arch: str
    kernel: str
    boot_id: str
    virtualization: str
    package_manager: PackageManager
    packages: tuple[InstalledPackage, ...]
    pending: tuple[PendingUpdate, ...]
    restart: RestartEvidence
    sources: tuple[Source, ...]
    facts: Mapping[str, Any]
    errors: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.errors


class Scanner(Protocol):
    """Asks one host, read-only. `refresh` lets the host fetch its package lists anew first (needs root there).

    A host that fails half-way is a report with errors. Raises a `cmdb.remote.errors.RemoteError` with its reason
    when the host could not be asked at all.
    """

    name: str

    def scan(self, endpoint: Endpoint, *, timeout: float, refresh: bool = False) -> HostReport: ...
