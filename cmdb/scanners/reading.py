"""From what the collector said to a HostReport. The host is not trusted to have said it well."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import BadAnswer
from cmdb.scanners.base import (
    Fingerprint,
    HostReport,
    InstalledPackage,
    Origin,
    PendingUpdate,
    RestartEvidence,
    Source,
)
from patchflow.kernel.blockers import english

COLLECTOR = "cmdb.scanners.collector"


def report_from(said: Mapping[str, Any], *, endpoint: Endpoint, scanner: str) -> HostReport:
    """The report of one host. Parts that it did not send are empty. Raises BadAnswer when it is no report at all."""
    try:
        return _report(said, endpoint, scanner)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadAnswer(
            english(
                "%(endpoint)s: the collector's report cannot be read: %(error)s", endpoint=endpoint, error=repr(error)
            )
        ) from error


def _report(said: Mapping[str, Any], endpoint: Endpoint, scanner: str) -> HostReport:
    keys = tuple(said.get("host_keys", ()))
    packages = tuple(_package(row) for row in said.get("packages", ()))
    return HostReport(
        endpoint=endpoint,
        scanner=scanner,
        collected_at=datetime.fromisoformat(said["collected_at"]).astimezone(UTC),
        fingerprint=Fingerprint(machine_id=said.get("machine_id", ""), host_key=_proven(keys, endpoint)),
        host_keys=keys,
        hostname=said.get("hostname", ""),
        fqdn=said.get("fqdn", ""),
        distribution=said.get("distribution", ""),
        distribution_like=tuple(said.get("distribution_like", ())),
        release=said.get("release", ""),
        codename=said.get("codename", ""),
        arch=said.get("machine", ""),
        kernel=said.get("kernel", ""),
        boot_id=said.get("boot_id", ""),
        virtualization=said.get("virtualization", ""),
        package_manager=said["package_manager"],
        packages=packages,
        pending=tuple(_pending(row) for row in said.get("pending", ())),
        restart=_restart(said.get("restart", {})),
        sources=tuple(_source(row) for row in said.get("sources", ())),
        facts=dict(said.get("facts", {}))
        | {name: said.get(name, "") for name in ("pretty_name", "kernel_build")}
        | {"notes": list(said.get("notes", ()))},
        errors=tuple(str(line) for line in said["errors"]),
    )


def _proven(keys: tuple[str, ...], endpoint: Endpoint) -> str:
    """The key that the connection itself proved; only on this computer what its files say."""
    if endpoint.kind == "ssh":
        return " ".join(endpoint.host_key.split()[:2])
    return next((key for key in keys if key.startswith("ssh-ed25519 ")), keys[0] if keys else "")


def _origin(row: Mapping[str, str] | None) -> Origin:
    return Origin(**(row or {}))


def _package(row: Mapping[str, Any]) -> InstalledPackage:
    return InstalledPackage(
        name=row["name"],
        arch=row["arch"],
        version=row["version"],
        source_name=row["source_name"],
        source_version=row["source_version"],
        status=row["status"],
        held=row["held"],
        module=row["module"],
        origin=_origin(row.get("origin")),
    )


def _pending(row: Mapping[str, Any]) -> PendingUpdate:
    return PendingUpdate(
        name=row["name"],
        arch=row["arch"],
        installed=row["installed"],
        candidate=row["candidate"],
        origin=_origin(row["origin"]),
        security=row["security"],
        kept_back=row["kept_back"],
        available=tuple(row["available"]),
    )


def _restart(row: Mapping[str, Any]) -> RestartEvidence:
    return RestartEvidence(
        needed=row.get("needed"),
        reasons=tuple(row.get("reasons", ())),
        packages=tuple(row.get("packages", ())),
        kernel_running=row.get("kernel_running", ""),
        kernel_installed=row.get("kernel_installed", ""),
        processes=tuple(row.get("processes", ())),
    )


def _source(row: Mapping[str, Any]) -> Source:
    return Source(
        uris=tuple(row["uris"]),
        suites=tuple(row["suites"]),
        components=tuple(row["components"]),
        signed_by=row["signed_by"],
        trusted_unsigned=row["trusted_unsigned"],
        enabled=row["enabled"],
        file=row["file"],
    )
