"""Orders to executors: made of the signed manifest and of nothing else (law 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
    RestartPolicy,
    Step,
)
from releases.models import Job, Staging
from releases.queries.reach import endpoints_for
from releases.queries.rollouts import Signed, signed
from releases.queries.steps import steps_for


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
        self.endpoint, self.kinds = endpoints_for(jobs[0].rollout.executor, ids), machine_kinds(ids)
        self._packages: dict[int, tuple[PackageChange, ...]] = {}
        self._files: dict[tuple[PackageChange, ...], tuple[ArtifactSpec, ...]] = {}
        self._steps: dict[tuple[str, ...], tuple[Step, ...]] = {}
        self._restarts: dict[str, RestartPolicy] = {}
        self._health = _health(self.document.document["profile"])

    def packages(self, host_id: int) -> tuple[PackageChange, ...]:
        if host_id not in self._packages:
            self._packages[host_id] = packages_for(self.document, host_id, back=self.back)
        return self._packages[host_id]

    def files(self, packages: tuple[PackageChange, ...]) -> tuple[ArtifactSpec, ...]:
        """`artifacts_for`, worked out once for all hosts with the same packages."""
        if packages not in self._files:
            self._files[packages] = artifacts_for(self.document, packages, back=self.back)
        return self._files[packages]

    def steps(self, host_id: int) -> tuple[Step, ...]:
        """`steps_for`, worked out once for all hosts with the same steps."""
        entry = self.document.hosts[host_id]
        named = tuple(entry.get("steps", ()))
        if named not in self._steps:
            self._steps[named] = steps_for(self.document.document, entry, back=self.back)
        return self._steps[named]

    def restart(self, host_id: int) -> RestartPolicy:
        kind = self.kinds.get(host_id, "")
        if kind not in self._restarts:
            self._restarts[kind] = restart_for(self.document.document["profile"], kind).policy
        return self._restarts[kind]

    def order(self, job: Job, *, fence: int) -> JobOrder:
        """The order of this attempt."""
        packages = self.packages(job.host_id)
        return JobOrder(
            job_key=job.job_key,
            fence=fence,
            endpoint=self.endpoint(job.host_id),
            action=Action.ROLLBACK if self.back else Action.INSTALL,
            packages=packages,
            artifacts=self.files(packages),
            restart=self.restart(job.host_id),
            health=self._health,
            steps=self.steps(job.host_id),
            machine_id=self.document.hosts[job.host_id]["fingerprint"].partition("/")[0],
        )

    def staging(self, row: Staging, *, fence: int) -> JobOrder:
        """The order to lay ready what this job will install: the same packages and files, under a key of its own. No step, no
        restart and no check goes with it."""
        packages = self.packages(row.job.host_id)
        return JobOrder(
            job_key=row.key,
            fence=fence,
            endpoint=self.endpoint(row.job.host_id),
            action=Action.STAGE,
            packages=packages,
            artifacts=self.files(packages),
            machine_id=self.document.hosts[row.job.host_id]["fingerprint"].partition("/")[0],
        )

    def recovery(self, job: Job, *, fence: int) -> JobOrder:
        """The one order that finishes what was interrupted, under its own key; it may install no file. Of the steps only
        those that follow: what the interrupted job took away is put back."""
        return JobOrder(
            job_key=job.recovery_key,
            fence=fence,
            endpoint=self.endpoint(job.host_id),
            action=Action.RECOVER,
            packages=self.packages(job.host_id),
            steps=tuple(step for step in self.steps(job.host_id) if step.moment == "after"),
            machine_id=self.document.hosts[job.host_id]["fingerprint"].partition("/")[0],
            refresh=False,
        )

    def look(self, job: Job) -> ObserveSpec:
        """What looking at the host must answer."""
        return ObserveSpec(
            endpoint=self.endpoint(job.host_id),
            job_key=job.job_key,
            action=Action.ROLLBACK if self.back else Action.INSTALL,
            packages=self.packages(job.host_id),
            health=self._health,
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
