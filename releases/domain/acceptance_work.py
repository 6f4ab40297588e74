"""The work of an acceptance run on its test host: one step per call, found again by its key after a restart.

Nothing here holds a transaction while it talks to a host. What cannot be told is looked at, never repeated blindly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from changes.enums import WayBack
from changes.models import Artifact
from cmdb.queries.connections import endpoint_of
from cmdb.remote.errors import RemoteError
from patchflow.kernel import queue, registry, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import User
from releases.domain import acceptance, files
from releases.domain.slips import Answer
from releases.domain.trials import acting, furnish
from releases.domain.ways import way_of
from releases.enums import SIMULATOR, ArtifactUse, RunState, StepKind, StepOutcome
from releases.executors.base import (
    Action,
    ArtifactSpec,
    Batch,
    Executor,
    HealthCheck,
    JobOrder,
    JobProgress,
    JobResult,
    ObserveSpec,
    PackageChange,
    Stage,
    Verdict,
)
from releases.models import AcceptanceRun, BuildArtifact, BuildClass
from releases.wording import many

log = structlog.get_logger(__name__)
LEASE = timedelta(minutes=10)
AGAIN = timedelta(seconds=5)
LATER = timedelta(minutes=1)
PATIENCE = timedelta(hours=4)
"""A run that has not ended by then is inconclusive: somebody has to look at the host."""
ATTEMPTS = 5
"""How often a step is ordered anew after a refusal that may pass (a lock held, a disk full)."""


@registry.sweep("releases.acceptance")
def find_due(*, now: datetime) -> int:
    """Rings for every live run that is due."""
    live = AcceptanceRun.objects.filter(state__in=[RunState.PLANNED, RunState.RUNNING])
    ids = list(queue.due(live, now=now).values_list("pk", flat=True))
    for pk in ids:
        queue.enqueue("releases.tasks.run_acceptance", run_id=pk)
    return len(ids)


def advance(*, run_id: int, owner: str, now: datetime) -> bool:
    """Takes the run one step further, if it is due and nobody else holds it; False otherwise."""
    live = AcceptanceRun.objects.filter(pk=run_id, state__in=[RunState.PLANNED, RunState.RUNNING])
    held = queue.claim(live, owner=owner, lease=LEASE)
    if not held:
        return False
    bot = User.bot()
    run = AcceptanceRun.objects.select_related("plan__release", "plan__update", "plan__host", "build").get(pk=run_id)
    if run.state == RunState.PLANNED:
        run = workflow.fire(AcceptanceRun, run_id, "start", actor=bot, at=now)
    try:
        pause = Rehearsal(run, now).step()
    except RemoteError as error:
        pause = LATER
        if run.started_at and now - run.started_at > PATIENCE:
            _record(run, StepOutcome.UNKNOWN, english("The test host cannot be asked: %(error)s.", error=error), now)
    except Refusal as refusal:
        _record(run, StepOutcome.UNKNOWN, str(refusal), now)
        pause = AGAIN
    acceptance.settle(run_id=run_id, actor=bot, at=now)
    queue.release(AcceptanceRun, held[0], not_before=now + pause if pause else None)
    return True


def _record(run: AcceptanceRun, outcome: str, summary: str, now: datetime, **detail: Any) -> None:
    kind = acceptance.next_step(run)
    if kind:
        acceptance.record_step(
            run_id=run.pk, kind=kind, outcome=outcome, summary=summary, actor=User.bot(), at=now, detail=detail
        )


class Rehearsal:
    """One run as it stands, and what comes next on its host. `step` returns how long to wait before the next call."""

    def __init__(self, run: AcceptanceRun, now: datetime) -> None:
        self.run, self.now = run, now
        self.release = run.plan.release
        self.executor: Executor = acting(self.release.executor)
        self.endpoint = endpoint_of(run.plan.host_id)
        self.classes = list(run.build.classes.filter(platform=run.plan.host.platform))

    def step(self) -> timedelta | None:
        kind = acceptance.next_step(self.run)
        match kind:
            case StepKind.RESOLVE:
                return self.resolve()
            case StepKind.INSTALL:
                return self.work(Action.INSTALL, self.changes(), use=ArtifactUse.FORWARD)
            case StepKind.WAY_BACK:
                return self.find_way_back()
            case StepKind.BACK:
                if self.skipped_back():
                    self.record(StepOutcome.SKIPPED, english("The way back is not walked."))
                else:
                    return self.work(Action.ROLLBACK, reverse(self.changes()), use=ArtifactUse.BACK)
            case StepKind.REINSTALL:
                if self.skipped_back():
                    self.record(StepOutcome.SKIPPED, english("The way back is not walked."))
                else:
                    return self.work(Action.INSTALL, self.changes(), use=ArtifactUse.FORWARD)
        return None

    def record(self, outcome: str, summary: str, **detail: Any) -> None:
        _record(self.run, outcome, summary, self.now, **detail)

    # --- resolve ------------------------------------------------------------------------------------------------------
    def resolve(self) -> timedelta | None:
        """What the update would change on this host; every change must be in the build. How long to wait for a way to ask."""
        wanted = {
            (r["name"], r["to"]) for c in self.classes for r in c.requested if r["update"] == self.run.plan.update_id
        }
        present = {n: v for n, v in wanted if n in self.installed_names()}
        if not present:
            self.record(
                StepOutcome.UNKNOWN,
                english("%(host)s has no package of this update: test it on another host.", host=self.run.plan.host),
            )
            return None
        downloads, way = way_of(self.run.plan.host_id, at=self.now)
        if downloads.word != "pass":
            return self.cannot_download(downloads)
        if self.executor.name == SIMULATOR:
            furnish(self.executor, self.endpoint.address, self.run.plan.host_id, set(present))
        answer = self.executor.dry_run(self.endpoint, sorted(present.items()), way=way)
        allowed = {(p["name"], p["arch"], p["to"]) for c in self.classes for p in c.packages}
        strange = [c for c in answer.changes if (c.name, c.arch, c.to_version) not in allowed]
        if answer.refused:
            self.record(
                StepOutcome.FAILED, english("The host refuses it: %(why)s", why=answer.refused), code=answer.code
            )
        elif answer.removals:
            self.record(StepOutcome.FAILED, english("It would remove %(names)s.", names=", ".join(answer.removals)))
        elif strange:
            names = ", ".join(f"{c.name} {c.to_version}" for c in strange)
            self.record(
                StepOutcome.FAILED,
                english("It would also bring %(names)s, which the build does not have.", names=names),
            )
        elif not answer.changes:
            self.record(
                StepOutcome.UNKNOWN,
                english("%(host)s has it already: nothing can be shown here. Reset the host.", host=self.run.plan.host),
            )
        else:
            names = ", ".join(f"{c.name} {c.from_version or 'new'} → {c.to_version}" for c in answer.changes)
            self.record(StepOutcome.PASSED, names, changes=[asdict(c) for c in answer.changes])
        return None

    def installed_names(self) -> set[str]:
        rows = self.run.plan.host.installations.filter(gone_seen_at__isnull=True)
        return set(rows.values_list("package_version__name", flat=True))

    def changes(self) -> list[PackageChange]:
        """What the first step found, as it is ordered from then on."""
        detail = self.run.steps.get(kind=StepKind.RESOLVE).detail
        return [PackageChange(**change) for change in detail["changes"]]

    # --- the way back ---------------------------------------------------------------------------------------------------
    def skipped_back(self) -> bool:
        found = self.run.steps.filter(kind=StepKind.WAY_BACK).first()
        return not self.run.plan.walk_back or (found is not None and found.outcome == StepOutcome.SKIPPED)

    def find_way_back(self) -> timedelta | None:
        """The files of every previous version that a host of these classes has, asked of this host, which now has the new. How
        long to wait for a way to ask."""
        if not self.run.plan.walk_back:
            self.record(StepOutcome.SKIPPED, english("The way back is not walked."))
            return None
        downloads, way = way_of(self.run.plan.host_id, at=self.now)
        if downloads.word != "pass":
            return self.cannot_download(downloads)
        promised = self.release.way_back == WayBack.REINSTALL_PREVIOUS
        specs: dict[str, ArtifactSpec] = {}
        for wanted in self.previous():
            answer = self.executor.dry_run(self.endpoint, wanted, way=way)
            if answer.refused:
                names = ", ".join(f"{n} {v or 'removed'}" for n, v in wanted)
                outcome = StepOutcome.FAILED if promised else StepOutcome.SKIPPED
                self.record(
                    outcome,
                    english("There is no way back to %(names)s: %(why)s", names=names, why=answer.refused),
                    code=answer.code,
                )
                return None
            specs |= {a.sha256: a for a in answer.artifacts}
        known = self.files_of(specs.values())
        BuildArtifact.objects.bulk_create(
            [BuildArtifact(build=self.run.build, artifact=a, use=ArtifactUse.BACK) for a in known],
            ignore_conflicts=True,
        )
        self.record(
            StepOutcome.PASSED,
            english("%(files)s of previous versions at hand, signed.", files=many(len(known), "file")),
            files=[a.pk for a in known],
        )
        return None

    def files_of(self, specs: Iterable[ArtifactSpec]) -> list[Artifact]:
        """Each file as a signed repository lists it; invented ones as the simulator's own does."""
        host = self.run.plan.host
        if self.executor.name == SIMULATOR:
            assert host.platform_id is not None  # noqa: S101  a test host is of the update's platform
            return files.registered_simulated(specs, platform_id=host.platform_id, actor=User.bot(), at=self.now)
        return files.registered(specs, host_id=host.pk, actor=User.bot(), at=self.now)

    def previous(self) -> list[list[tuple[str, str]]]:
        """Each set of versions to go back to: this host's own first, then those of the hosts of its classes."""
        own = sorted((c.name, c.from_version) for c in self.changes())
        found = [own]
        for wanted in previous_versions(self.classes, {c.name for c in self.changes()}):
            if wanted not in found:
                found.append(wanted)
        return found

    # --- work on the host ---------------------------------------------------------------------------------------------
    def order(self, action: Action, packages: list[PackageChange], *, use: str, key: str) -> JobOrder:
        wanted = {(p.name, p.to_version, p.arch) for p in packages if p.to_version}
        rows = self.run.build.artifacts.filter(use=use).select_related("artifact")
        artifacts = [
            ArtifactSpec(
                filename=a.filename, package=a.package, version=a.version, arch=a.arch, sha256=a.sha256, size=a.size
            )
            for a in (row.artifact for row in rows)
            if (a.package, a.version, a.arch) in wanted
        ]
        return JobOrder(
            job_key=key, fence=self.run.fence, endpoint=self.endpoint, action=action, packages=tuple(packages),
            artifacts=tuple(artifacts), machine_id=self.run.plan.host.machine_id,
            health=tuple(HealthCheck(**check) for check in self.run.plan.checks),
        )  # fmt: skip

    def work(self, action: Action, packages: list[PackageChange], *, use: str) -> timedelta | None:
        """Orders the step once, then looks for its end; how long to wait before looking again."""
        key = self.run.job_key
        if not key:
            tried = int(self.run.ordered.get("tried", 0)) + 1
            key = f"{instance_key()}-acc-{self.run.pk}-{self.run.steps.count() + 1}-{tried}"
            order = self.order(action, packages, use=use, key=key)
            size = sum(one.size for one in order.artifacts)
            downloads, way = way_of(self.run.plan.host_id, size=size, at=self.now)
            if downloads.word != "pass":
                return self.cannot_download(downloads)
            order = replace(order, way=way)
            self.remember(key, tried=tried, downloads=downloads.sentence)
            answer = self.executor.start(Batch(orders=(order,))).jobs[0].answer
            if answer.has_it or answer.unknown:
                return AGAIN
            return self.again(
                tried,
                english("The host does not take the order (%(word)s): %(why)s", word=answer.word, why=answer.reason),
            )
        order = self.order(action, packages, use=use, key=key)
        progress = self.executor.events(self.executor.attach([order]))[0]
        if progress.result is not None:
            return self.judge(progress.result)
        if progress.reachable and (progress.alive or progress.stage == Stage.RESTARTING):
            return AGAIN
        return self.look(order, progress)

    def remember(self, key: str, **ordered: Any) -> None:
        """Commits the intention before the act: a worker that dies afterwards is followed by one that knows the key."""
        AcceptanceRun.objects.filter(pk=self.run.pk).update(job_key=key, ordered=ordered)
        self.run.job_key, self.run.ordered = key, ordered

    def again(self, tried: int, reason: str) -> timedelta | None:
        if tried >= ATTEMPTS:
            self.record(StepOutcome.UNKNOWN, f"{reason} " + english("Tried %(n)s times.", n=tried))
            return None
        self.remember("", tried=tried)
        return LATER

    def cannot_download(self, downloads: Answer) -> timedelta | None:
        return self.wait(english("The test host cannot download: %(why)s.", why=downloads.sentence))

    def wait(self, why: str) -> timedelta | None:
        """Later, and no attempt less: the host was asked nothing. A run that has waited too long is told as unknown."""
        if self.run.started_at is None or self.now - self.run.started_at <= PATIENCE:
            return LATER
        self.record(StepOutcome.UNKNOWN, why)
        return None

    def judge(self, result: JobResult) -> timedelta | None:
        """Success is what the host shows: every package at its version, by the executor's own verification."""
        detail = {
            "packages": [asdict(p) for p in result.packages], "restart_needed": result.restart_needed, "log": result.log_tail[-4000:],
        }  # fmt: skip
        match result.outcome:
            case Stage.SUCCEEDED:
                names = ", ".join(f"{p.name} {p.version or 'removed'}" for p in result.packages)
                self.record(StepOutcome.PASSED, names or "Done.", **detail)
            case Stage.NOT_NEEDED:
                self.record(StepOutcome.UNKNOWN, english("The host had it already: nothing was shown."), **detail)
            case Stage.REFUSED if not result.permanent:
                return self.again(int(self.run.ordered.get("tried", 1)), result.reason)
            case _:
                self.record(
                    StepOutcome.FAILED,
                    result.reason or english("Ended as %(outcome)s.", outcome=result.outcome),
                    code=result.code,
                    **detail,
                )
        return None

    def look(self, order: JobOrder, progress: JobProgress) -> timedelta | None:
        """The outcome is unknown: ask the host itself."""
        seen = self.executor.observe(
            ObserveSpec(
                endpoint=order.endpoint,
                job_key=order.job_key,
                action=order.action,
                packages=order.packages,
                health=order.health,
            )
        )
        match seen.verdict:
            case Verdict.RUNNING:
                return AGAIN
            case Verdict.SUCCEEDED:
                self.record(StepOutcome.PASSED, english("Seen on the host: %(why)s", why=seen.reason))
            case Verdict.UNDONE:
                return self.again(
                    int(self.run.ordered.get("tried", 1)),
                    english("Nothing was done: %(why)s", why=seen.reason or progress.reason),
                )
            case _:
                self.record(
                    StepOutcome.FAILED, seen.reason or english("Seen on the host: %(verdict)s.", verdict=seen.verdict)
                )
        return None


def reverse(changes: Iterable[PackageChange]) -> list[PackageChange]:
    """The way back of these changes; what was new is removed."""
    return [
        PackageChange(name=c.name, arch=c.arch, from_version=c.to_version, to_version=c.from_version) for c in changes
    ]


def previous_versions(classes: Iterable[BuildClass], names: set[str]) -> list[list[tuple[str, str]]]:
    """Each distinct set of versions of `names` that hosts of these classes have now, as wanted by a way back."""
    from cmdb.queries.software import installed

    host_ids = [host_id for one in classes for host_id in one.hosts]
    present = installed(host_ids, names)
    sets: set[tuple[tuple[str, str], ...]] = set()
    for host_id in host_ids:
        mine = tuple(sorted((name, version) for (host, name, _arch), version in present.items() if host == host_id))
        if mine:
            sets.add(mine)
    return [list(one) for one in sorted(sets)]
