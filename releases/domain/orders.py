"""Orders to executors: made of the signed manifest and of nothing else (law 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cmdb.queries.connections import endpoint_of
from cmdb.queries.hosts import machine_kinds
from cmdb.remote.connection import Endpoint
from patchflow.kernel.errors import Blocked
from releases.domain.profiles import Restart, restart_for
from releases.executors.base import (
    Action,
    ArtifactSpec,
    HealthCheck,
    JobOrder,
    ObserveSpec,
    PackageChange,
)
from releases.models import Job
from releases.queries.rollouts import Signed, signed


def packages_for(document: Signed, host_id: int, *, back: bool) -> tuple[PackageChange, ...]:
    """What may change on the host: from → to, or to → from for a way back. Raises Blocked if the manifest does not name it."""
    entry = document.hosts.get(host_id)
    side = document.back.get(host_id) if back else entry
    if entry is None or side is None:
        raise Blocked("The manifest does not name this host.", code="order.not_in_manifest")
    if not back:
        return tuple(
            PackageChange(name=p["name"], arch=p["arch"], from_version=p["from"], to_version=p["to"])
            for p in entry["packages"]
        )
    forward = {(p["name"], p["arch"]): p["to"] for p in entry["packages"]}
    return tuple(
        PackageChange(name=p["name"], arch=p["arch"], from_version=forward[(p["name"], p["arch"])], to_version=p["to"])
        for p in side["packages"]
    )


def artifacts_for(document: Signed, packages: Iterable[PackageChange], *, back: bool) -> tuple[ArtifactSpec, ...]:
    """The files of exactly these packages, each with the hash that was signed."""
    wanted = {(p.name, p.to_version, p.arch) for p in packages if p.to_version}
    rows = document.document["way_back"]["artifacts"] if back else document.document["artifacts"]
    return tuple(
        ArtifactSpec(
            filename=a["filename"], package=a["package"], version=a["version"], arch=a["arch"], sha256=a["sha256"], size=a["size"]
        )
        for a in rows
        if (a["package"], a["version"], a["arch"]) in wanted
    )  # fmt: skip


def _health(profile: Mapping[str, Any]) -> tuple[HealthCheck, ...]:
    return tuple(HealthCheck(**check) for check in profile["checks"])


def restart_of(job: Job, profile: Mapping[str, Any]) -> Restart:
    """The profile's restart rule for this host: what is signed, less what its kind of machine takes away."""
    return restart_for(profile, machine_kinds([job.host_id]).get(job.host_id, ""))


def order_for(job: Job, *, fence: int) -> JobOrder:
    """The order of this attempt. Raises Blocked: not in the manifest, a manifest that was changed, no usable connection."""
    document, back = _intact(job), job.rollout.is_way_back
    packages = packages_for(document, job.host_id, back=back)
    profile = document.document["profile"]
    return JobOrder(
        job_key=job.job_key,
        fence=fence,
        endpoint=endpoint_of(job.host_id),
        action=Action.ROLLBACK if back else Action.INSTALL,
        packages=packages,
        artifacts=artifacts_for(document, packages, back=back),
        restart=restart_of(job, profile).policy,
        health=() if back else _health(profile),
        machine_id=document.hosts[job.host_id]["fingerprint"].partition("/")[0],
    )


def recovery_of(job: Job, *, fence: int) -> JobOrder:
    """The one order that finishes what was interrupted, under its own key; it may install no file."""
    document, back = _intact(job), job.rollout.is_way_back
    return JobOrder(
        job_key=job.recovery_key,
        fence=fence,
        endpoint=endpoint_of(job.host_id),
        action=Action.RECOVER,
        packages=packages_for(document, job.host_id, back=back),
        machine_id=document.hosts[job.host_id]["fingerprint"].partition("/")[0],
        refresh=False,
    )


def look_of(job: Job, *, endpoint: Endpoint | None = None) -> ObserveSpec:
    """What looking at the host must answer."""
    document, back = _intact(job), job.rollout.is_way_back
    return ObserveSpec(
        endpoint=endpoint or endpoint_of(job.host_id),
        job_key=job.job_key,
        action=Action.ROLLBACK if back else Action.INSTALL,
        packages=packages_for(document, job.host_id, back=back),
        health=() if back else _health(document.document["profile"]),
    )


def _intact(job: Job) -> Signed:
    document = signed(job.rollout.manifest_id)
    if not document.intact:
        raise Blocked("The stored manifest has not the digest that was signed.", code="order.manifest_changed")
    return document
