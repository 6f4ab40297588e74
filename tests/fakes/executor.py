"""Machines in memory behind the executor's port: what is installed, what the repository has, and what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError, Unreachable
from releases.executors.base import (
    Action,
    ArtifactSpec,
    Batch,
    CancelAnswer,
    DryRun,
    Handle,
    JobOrder,
    JobProgress,
    JobResult,
    Observed,
    ObserveSpec,
    PackageChange,
    PackageState,
    Stage,
    StartAnswer,
    StartedJob,
    Verdict,
    Way,
)
from tests.fakes.repository import Repository


@dataclass
class Machine:
    """One host: its packages, and the ways in which it misbehaves.

    `fails`: package names whose installation fails; `refuses`: a refusal given to every order; `silent`: takes orders,
    then is never heard of; `away`: cannot be reached.
    """

    packages: dict[str, str] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    refuses: str = ""
    silent: bool = False
    away: bool = False


class FakeExecutor:
    """Acts at once when an order is started. `needs`: package → others that come along with it, at these versions."""

    honours = frozenset({"restart", "countdown_seconds", "steps", "stage_hours"})
    needs_connection = True

    def __init__(self, repository: Repository, name: str = "fake") -> None:
        self.name = name
        self.repository = repository
        self.machines: dict[str, Machine] = {}
        self.needs: dict[str, dict[str, str]] = {}
        self.removes: dict[str, list[str]] = {}
        self.no_way_back: set[str] = set()
        self.orders: list[JobOrder] = []
        self.rehearsed: list[Way | None] = []
        """The way of each dry run."""
        self.results: dict[str, JobResult] = {}

    def machine(self, endpoint: Endpoint) -> Machine:
        found = self.machines[endpoint.address]
        if found.away:
            raise Unreachable(f"{endpoint.address} does not answer")
        return found

    # --- dry run --------------------------------------------------------------------------------------------------------
    def dry_run(
        self, endpoint: Endpoint, wanted: Sequence[tuple[str, str]], *, refresh: bool = True, way: Way | None = None
    ) -> DryRun:
        machine = self.machine(endpoint)
        self.rehearsed.append(way)
        every = dict(wanted)
        for name in list(every):
            every |= {n: v for n, v in self.needs.get(name, {}).items() if n not in every}
        changes, artifacts = [], []
        for name, version in sorted(every.items()):
            have = machine.packages.get(name, "")
            if have == version:
                continue
            package = next((p for p in self.repository.packages if (p.name, p.version) == (name, version)), None)
            if version and package is None:
                return DryRun(refused=f"Version {version} of {name} was not found", code="impossible")
            if have and name in self.no_way_back and version < have:
                return DryRun(refused=f"{name} cannot be taken back", code="impossible")
            changes.append(PackageChange(name=name, arch="amd64", from_version=have, to_version=version))
            if package:
                artifacts.append(
                    ArtifactSpec(
                        filename=package.filename.rpartition("/")[2], package=name, version=version, arch=package.arch,
                        sha256=package.sha256, size=len(package.body), uri=f"{self.repository.uri}/{package.filename}",
                    )
                )  # fmt: skip
        removals = tuple(r for name in every for r in self.removes.get(name, []))
        return DryRun(changes=tuple(changes), removals=removals, artifacts=tuple(artifacts))

    # --- work -----------------------------------------------------------------------------------------------------------
    def start(self, batch: Batch) -> Handle:
        return Handle(executor=self.name, jobs=tuple(self._start(order) for order in batch.orders))

    def _start(self, order: JobOrder) -> StartedJob:
        machine = self.machine(order.endpoint)
        word = "already" if order.job_key in self.results else "accepted"
        self.orders.append(order)
        if word == "accepted" and not machine.silent:
            self.results[order.job_key] = self._work(machine, order)
        return StartedJob(
            job_key=order.job_key, fence=order.fence, endpoint=order.endpoint, answer=StartAnswer(word=word)  # type: ignore[arg-type]
        )  # fmt: skip

    def _work(self, machine: Machine, order: JobOrder) -> JobResult:
        if machine.refuses:
            return JobResult(outcome=Stage.REFUSED, code=machine.refuses, reason=machine.refuses, permanent=False)
        carried = {(a.package, a.version) for a in order.artifacts}
        without = [p.name for p in order.packages if p.to_version and (p.name, p.to_version) not in carried]
        if without:
            return JobResult(
                outcome=Stage.REFUSED, code="not_contained", reason=f"no file for {without}", permanent=True
            )
        if all(machine.packages.get(p.name, "") == p.to_version for p in order.packages):
            return JobResult(outcome=Stage.NOT_NEEDED)
        bad = [p.name for p in order.packages if p.name in machine.fails and order.action == Action.INSTALL]
        for package in order.packages:
            if package.name in bad:
                continue
            if package.to_version:
                machine.packages[package.name] = package.to_version
            else:
                machine.packages.pop(package.name, None)
        states = tuple(
            PackageState(name=p.name, arch=p.arch, version=machine.packages.get(p.name, ""), status="installed")
            for p in order.packages
        )
        if bad:
            return JobResult(
                outcome=Stage.FAILED, code="postinst", reason=f"{bad[0]} did not configure", packages=states
            )
        return JobResult(outcome=Stage.SUCCEEDED, packages=states)

    def attach(self, orders: Sequence[JobOrder]) -> Handle:
        answer = StartAnswer(word="already")
        return Handle(
            executor=self.name,
            jobs=tuple(
                StartedJob(job_key=o.job_key, fence=o.fence, endpoint=o.endpoint, answer=answer) for o in orders
            ),
        )

    def events(self, handle: Handle, *, after: Mapping[str, int] | None = None) -> list[JobProgress]:
        found = []
        for job in handle.jobs:
            result = self.results.get(job.job_key)
            found.append(
                JobProgress(
                    job_key=job.job_key,
                    reachable=True,
                    known=result is not None,
                    stage=result.outcome if result else None,
                    result=result,
                )
            )
        return found

    def observe(self, spec: ObserveSpec) -> Observed:
        machine = self.machine(spec.endpoint)
        there = all(machine.packages.get(p.name, "") == p.to_version for p in spec.packages)
        return Observed(
            verdict=Verdict.SUCCEEDED if there else Verdict.UNDONE, reason="by its packages", packages=(), apt_running=(), audit="",
            interrupted=False, boot_id="b", machine_id="m", restart_needed=False, health_failures=(), ledger_stage=None,
            ledger_alive=False, result=None,
        )  # fmt: skip

    def observe_all(self, specs: Sequence[ObserveSpec]) -> list[Observed | RemoteError]:
        return [self.observe(spec) for spec in specs]

    def cancel(self, handle: Handle) -> list[CancelAnswer]:
        return [CancelAnswer(job_key=job.job_key, word="too_late") for job in handle.jobs]
