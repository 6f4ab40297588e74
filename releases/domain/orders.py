"""Orders to executors: made of the signed manifest and of nothing else (law 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cmdb.queries.connections import endpoints_of
from cmdb.queries.hosts import machine_kinds
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


class Orders:
    """What is needed to make the orders of jobs of one rollout, read by a fixed number of queries.

    Raises Blocked: a manifest that was changed. Each order raises Blocked: not in the manifest, no usable connection.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.document, self.back = _intact(jobs[0]), jobs[0].rollout.is_way_back
        ids = [job.host_id for job in jobs]
        self.endpoint, self.kinds = endpoints_of(ids), machine_kinds(ids)

    def order(self, job: Job, *, fence: int) -> JobOrder:
        """The order of this attempt."""
        packages = packages_for(self.document, job.host_id, back=self.back)
        profile = self.document.document["profile"]
        return JobOrder(
            job_key=job.job_key,
            fence=fence,
            endpoint=self.endpoint(job.host_id),
            action=Action.ROLLBACK if self.back else Action.INSTALL,
            packages=packages,
            artifacts=artifacts_for(self.document, packages, back=self.back),
            restart=restart_for(profile, self.kinds.get(job.host_id, "")).policy,
            health=() if self.back else _health(profile),
            machine_id=self.document.hosts[job.host_id]["fingerprint"].partition("/")[0],
        )

    def recovery(self, job: Job, *, fence: int) -> JobOrder:
        """The one order that finishes what was interrupted, under its own key; it may install no file."""
        return JobOrder(
            job_key=job.recovery_key,
            fence=fence,
            endpoint=self.endpoint(job.host_id),
            action=Action.RECOVER,
            packages=packages_for(self.document, job.host_id, back=self.back),
            machine_id=self.document.hosts[job.host_id]["fingerprint"].partition("/")[0],
            refresh=False,
        )

    def look(self, job: Job) -> ObserveSpec:
        """What looking at the host must answer."""
        return ObserveSpec(
            endpoint=self.endpoint(job.host_id),
            job_key=job.job_key,
            action=Action.ROLLBACK if self.back else Action.INSTALL,
            packages=packages_for(self.document, job.host_id, back=self.back),
            health=() if self.back else _health(self.document.document["profile"]),
        )


def order_for(job: Job, *, fence: int) -> JobOrder:
    """The order of one job (see `Orders`)."""
    return Orders([job]).order(job, fence=fence)


def recovery_of(job: Job, *, fence: int) -> JobOrder:
    return Orders([job]).recovery(job, fence=fence)


def look_of(job: Job) -> ObserveSpec:
    return Orders([job]).look(job)


def _intact(job: Job) -> Signed:
    document = signed(job.rollout.manifest_id)
    if not document.intact:
        raise Blocked("The stored manifest has not the digest that was signed.", code="order.manifest_changed")
    return document
