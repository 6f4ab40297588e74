"""Rows of cmdb in their first state, and reports as scanners make them; what comes later goes through the verbs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from cmdb.models import ConfigurationItem, Connection, GroupMember, Host, HostGroup, Platform, Relation
from cmdb.remote.connection import Endpoint
from cmdb.scanners.base import Fingerprint, HostReport, InstalledPackage, Origin, PendingUpdate, RestartEvidence
from patchflow.kernel.models import User

MADE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
DEBIAN = Origin(
    uri="https://archive.example.org/debian", suite="stable", codename="bookworm", origin="Debian", label="Debian"
)
DEBIAN_SECURITY = replace(DEBIAN, suite="stable-security", codename="bookworm-security", label="Debian-Security")
_numbers = count(1)


def host_key(text: str) -> str:
    """A line that looks like an ed25519 host key, the same for the same text."""
    body = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + text.encode().ljust(32, b"\x00")[:32]
    return f"ssh-ed25519 {base64.b64encode(body).decode()}"


def make_platform(distribution: str = "debian", release: str = "12", arch: str = "amd64", **fields: Any) -> Platform:
    codenames = {"12": "bookworm", "13": "trixie", "11": "bullseye"}
    fields = {"ecosystem": "deb", "codename": codenames.get(release, ""), **fields}
    platform, _ = Platform.objects.get_or_create(distribution=distribution, release=release, arch=arch, **fields)
    return platform


def make_host(
    name: str = "", *, groups: Sequence[HostGroup] = (), platform: Platform | None = None, **fields: Any
) -> Host:
    """A planned host with a fingerprint of its own; `environment`, `criticality`, `owner` go to its item."""
    name = name or f"host-{next(_numbers)}"
    item = {key: fields.pop(key) for key in ("environment", "criticality", "owner") if key in fields}
    ci = ConfigurationItem.objects.create(kind="host", name=name, **item)
    fields = {
        "fqdn": f"{name}.example.org",
        "machine_id": hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
        "ssh_host_key": host_key(name),
        "added_at": MADE,
        **fields,
    }
    host = Host.objects.create(ci=ci, name=name, platform=platform, **fields)
    for group in groups:
        GroupMember.objects.create(group=group, host=host, since_at=MADE)
    return host


def make_group(name: str = "", **fields: Any) -> HostGroup:
    return HostGroup.objects.create(name=name or f"group {next(_numbers)}", made_at=MADE, **fields)


def make_connection(host: Host, *, accepted_by: User | None = None, **fields: Any) -> Connection:
    """An SSH connection to 192.0.2.1; with `accepted_by` its key has been accepted."""
    if accepted_by is not None:
        key = host_key(host.name)
        fields = {
            "host_key": key,
            "shown_key": key,
            "host_key_accepted_by": accepted_by,
            "host_key_accepted_at": MADE,
            **fields,
        }
    return Connection.objects.create(host=host, **{"address": "192.0.2.1", **fields})


def make_package(name: str, version: str, **fields: Any) -> InstalledPackage:
    fields = {"arch": "amd64", "source_name": name, "source_version": version, "origin": DEBIAN, **fields}
    return InstalledPackage(name=name, version=version, **fields)


def make_packages(number: int, *, version: str = "1.0-1") -> tuple[InstalledPackage, ...]:
    return tuple(make_package(f"package-{index:04}", version) for index in range(number))


def make_pending(name: str, installed: str, candidate: str, **fields: Any) -> PendingUpdate:
    fields = {"arch": "amd64", "origin": DEBIAN_SECURITY, "security": True, "available": (candidate,), **fields}
    return PendingUpdate(name=name, installed=installed, candidate=candidate, **fields)


def make_report(
    host: Host | None = None, *, packages: Sequence[InstalledPackage] | None = None, **fields: Any
) -> HostReport:
    """What a scan of a Debian 12 machine says; of `host`, with its fingerprint."""
    if packages is None:
        packages = (
            make_package("openssl", "3.0.17-1~deb12u3"),
            make_package("htop", "3.2.2-2"),
            make_package("bash", "5.2.15-2"),
        )
    name = host.name if host else "web-01"
    told: dict[str, Any] = {
        "endpoint": Endpoint(address="192.0.2.1", host_key=host_key(name)),
        "scanner": "ssh",
        "collected_at": datetime(2026, 11, 18, 9, 0, tzinfo=UTC),
        "fingerprint": Fingerprint(
            machine_id=host.machine_id if host else "a" * 32, host_key=host.ssh_host_key if host else host_key(name)
        ),
        "host_keys": (host_key(name),),
        "hostname": name,
        "fqdn": f"{name}.example.org",
        "distribution": "debian",
        "distribution_like": (),
        "release": "12",
        "codename": "bookworm",
        "arch": "x86_64",
        "kernel": "6.1.0-40-amd64",
        "boot_id": "boot-1",
        "virtualization": "kvm",
        "package_manager": "dpkg",
        "packages": tuple(packages),
        "pending": (),
        "restart": RestartEvidence(needed=False),
        "sources": (),
        "facts": {"cpus": 8, "memory_mib": 16384, "uptime_s": 1200, "vendor": "QEMU", "pretty_name": "Debian 12"},
    }
    return HostReport(**{**told, **fields})


def make_service(name: str, hosts: Iterable[Host], at: datetime, **rule: int) -> ConfigurationItem:
    """A service that runs on these hosts; `rule`: how many of them stay."""
    service = ConfigurationItem.objects.create(kind="service", name=name, **rule)
    for one in hosts:
        Relation.objects.create(source=service, target=one.ci, kind="runs_on", since_at=at)
    return service
