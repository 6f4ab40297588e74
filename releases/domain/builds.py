"""Building: a dry run on one real host per host class says which exact versions come, dependencies included; every file is
verified by the chain signature → index → hash.

Due work: claim, commit, ask the hosts, record. A failed build stays failed, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from changes.models import Artifact
from changes.queries.files import verified
from cmdb.models import Host
from cmdb.queries.connections import endpoint_of
from cmdb.remote.errors import RemoteError
from patchflow.kernel import audit, queue, registry, trial, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from releases.domain import files, releases
from releases.domain.trials import acting, furnish
from releases.domain.ways import way_of
from releases.enums import SIMULATOR, ArtifactUse, BuildState, ReleaseState
from releases.executors.base import ArtifactSpec, DryRun, Executor, PackageChange
from releases.models import Build, BuildArtifact, BuildClass, Release
from releases.queries.builds import ClassPlan, Wanted, class_plans, updates_of

LEASE = timedelta(minutes=30)
ASKED = 3
"""How many hosts of a class are tried before the build fails because none can be reached."""


class BuildFailed(Exception):
    """Why nothing can be built; the text is for people."""


@dataclass(frozen=True)
class Resolved:
    """What one class would get: its representative, the whole set, the files."""

    plan: ClassPlan
    host_id: int
    packages: list[dict[str, Any]]
    artifacts: list[Artifact]


@workflow.verb("release.build.requested", Release, "release_id")
def request(*, release_id: int, actor: User, at: datetime) -> Build:
    """Moves the release to building and writes the build as due work. Who signed an RFC of it may not (law 1)."""
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    release = workflow.fire(Release, release_id, "build", actor=actor, at=at)
    build = Build.objects.create(
        release=release, number=release.builds.count() + 1, requested_by=actor, requested_at=at
    )
    audit.record(
        build, "release.build.requested", actor=actor, at=at, after=BuildState.PENDING, detail={"number": build.number}
    )
    queue.enqueue("releases.tasks.run_build", build_id=build.pk)
    return build


@registry.gate("releases.release", "build")
def find_build_blockers(release: Release, **_: Any) -> list[Blocker]:
    """There is something to build for, and an executor that can ask the hosts."""
    found = []
    if not release.planned_hosts.exists():
        found.append(Blocker("build.no_hosts", "The release has no host."))
    if release.executor not in registry.executors:
        found.append(
            Blocker(
                "build.no_executor", english("The executor %(executor)s is not installed.", executor=release.executor)
            )
        )
    return found


@registry.gate("releases.release", "built")
def find_built_blockers(release: Release, **_: Any) -> list[Blocker]:
    newest = release.builds.order_by("-number").first()
    if newest is None or newest.state != BuildState.BUILT:
        return [Blocker("build.not_built", "The newest build is not built.")]
    return []


# --- the work -----------------------------------------------------------------------------------------------------------
@registry.sweep("releases.builds")
def find_due(*, now: datetime) -> int:
    """Rings for every pending build that is due."""
    ids = list(queue.due(Build.objects.filter(state=BuildState.PENDING), now=now).values_list("pk", flat=True))
    for pk in ids:
        queue.enqueue("releases.tasks.run_build", build_id=pk)
    return len(ids)


def run(*, build_id: int, owner: str, now: datetime) -> bool:
    """Works a pending build to its end, if nobody else does; False otherwise. Asks hosts outside any transaction."""
    held = queue.claim(Build.objects.filter(pk=build_id, state=BuildState.PENDING), owner=owner, lease=LEASE)
    if not held:
        return False
    build = Build.objects.select_related("release").get(pk=build_id)
    try:
        resolved = resolve(build.release, at=now)
    except BuildFailed as failed:
        return fail(build_id=build_id, fence=held[0].fence, reason=str(failed), actor=User.bot(), at=now)
    except (Refusal, RemoteError) as error:
        return fail(build_id=build_id, fence=held[0].fence, reason=f"{error}", actor=User.bot(), at=now)
    return record(build_id=build_id, fence=held[0].fence, resolved=resolved, actor=User.bot(), at=now)


def resolve(release: Release, *, at: datetime) -> list[Resolved]:
    """What every class of the release would get. Raises BuildFailed with the reason."""
    unreadable = [u for u in updates_of(release) if u.fixed_key is None]
    if unreadable:
        raise BuildFailed(
            english(
                "The fixed version of %(package)s cannot be ordered, so nobody can say who misses it.",
                package=unreadable[0],
            )
        )
    found = class_plans(release)
    if not found:
        raise BuildFailed(english("No host of this release misses one of its updates: there is nothing to build."))
    executor = acting(release.executor)
    if blocked := trial.mismatch(release.trial, str(release)):
        raise BuildFailed(blocked[0].sentence)
    return [_resolve_class(plan, executor, at=at) for plan in found]


def _resolve_class(plan: ClassPlan, executor: Executor, *, at: datetime) -> Resolved:
    host_id, answer = _ask(plan, executor, at=at)
    if answer.refused:
        raise BuildFailed(
            english(
                "%(plan)s: the host refuses it (%(code)s): %(why)s",
                plan=plan.label,
                code=answer.code or "refused",
                why=answer.refused,
            )
        )
    if answer.removals:
        raise BuildFailed(
            english("%(plan)s: it would remove %(names)s.", plan=plan.label, names=", ".join(answer.removals))
        )
    changed = {(c.name, c.to_version) for c in answer.changes}
    for wanted in plan.wanted:
        if (wanted.name, wanted.version) not in changed:
            raise BuildFailed(
                english(
                    "%(plan)s: %(package)s %(version)s is not what its repositories would bring.",
                    plan=plan.label,
                    package=wanted.name,
                    version=wanted.version,
                )
            )
    artifacts = _files_of(plan, answer, host_id, executor.name, at=at)
    return Resolved(plan, host_id, _packages(plan, answer.changes, artifacts), artifacts)


def _ask(plan: ClassPlan, executor: Executor, *, at: datetime) -> tuple[int, DryRun]:
    """The dry run on the first representative that can be reached, and has a way for its package lists."""
    wanted = sorted({(w.name, w.version) for w in plan.wanted})
    reasons: list[str] = []
    for host_id in plan.representatives[:ASKED]:
        try:
            endpoint = endpoint_of(host_id)
            downloads, way = way_of(host_id, at=at)
            if downloads.word != "pass":
                reasons.append(
                    english("%(host)s cannot download: %(why)s.", host=_name(host_id), why=downloads.sentence)
                )
                continue
            if executor.name == SIMULATOR:
                furnish(executor, endpoint.address, host_id, {name for name, _version in wanted})
            return host_id, executor.dry_run(endpoint, wanted, way=way)
        except (RemoteError, Refusal) as error:
            reasons.append(str(error))
    raise BuildFailed(english("%(plan)s: no host could be asked. %(why)s", plan=plan.label, why=" ".join(reasons)))


def _name(host_id: int) -> str:
    return Host.objects.values_list("name", flat=True).get(pk=host_id)


def _files_of(plan: ClassPlan, answer: DryRun, host_id: int, executor: str, *, at: datetime) -> list[Artifact]:
    """One verified file for each package of the set. Raises BuildFailed where the chain of trust does not hold."""
    specs = {(a.package, a.version, a.arch): a for a in answer.artifacts}
    missing = [c for c in answer.changes if not _spec_of(c, specs)]
    if missing:
        raise BuildFailed(
            english(
                "%(plan)s: no signed file for %(files)s.",
                plan=plan.label,
                files=", ".join(f"{c.name} {c.to_version}" for c in missing),
            )
        )
    try:
        if executor == SIMULATOR:
            sources = {(w.name, w.version): (w.source, w.source_version) for w in plan.wanted}
            found = files.registered_simulated(
                specs.values(), platform_id=plan.platform.pk, actor=User.bot(), at=at, sources=sources
            )
        else:
            found = files.registered(specs.values(), host_id=host_id, actor=User.bot(), at=at)
    except files.Untrusted as error:
        raise BuildFailed(f"{plan.label}: {error}") from error
    proven = verified([a.pk for a in found], at=at)
    bad = [a for a in found if not proven.get(a.pk)]
    if bad:
        raise BuildFailed(
            english(
                "%(plan)s: no passing verification for %(files)s.",
                plan=plan.label,
                files=", ".join(str(a) for a in bad),
            )
        )
    return found


def _spec_of(change: PackageChange, specs: dict[tuple[str, str, str], ArtifactSpec]) -> ArtifactSpec | None:
    return specs.get((change.name, change.to_version, change.arch))


def _packages(plan: ClassPlan, changes: Sequence[PackageChange], artifacts: list[Artifact]) -> list[dict[str, Any]]:
    """The whole set with each package's source. A wanted package must come from the approved source version."""
    wanted: dict[str, Wanted] = {w.name: w for w in plan.wanted}
    by_place = {(a.package, a.version, a.arch): a for a in artifacts}
    rows = []
    for change in sorted(changes, key=lambda c: (c.name, c.arch)):
        artifact = by_place[(change.name, change.to_version, change.arch)]
        source, version = artifact.source_name or change.name, artifact.source_version or change.to_version
        asked = wanted.get(change.name)
        if asked and (source, version) != (asked.source, asked.source_version):
            raise BuildFailed(
                english(
                    "%(plan)s: %(package)s %(version)s is built from %(source)s %(built)s; approved is %(approved)s %(approved_version)s.",
                    plan=plan.label,
                    package=change.name,
                    version=change.to_version,
                    source=source,
                    built=version,
                    approved=asked.source,
                    approved_version=asked.source_version,
                )
            )
        approved = {(w.source, w.source_version) for w in plan.wanted}
        rows.append({
            "name": change.name, "arch": change.arch, "to": change.to_version, "source": source, "source_version": version,
            "dependency": asked is None and (source, version) not in approved,
        })  # fmt: skip
    return rows


# --- recording ------------------------------------------------------------------------------------------------------------
def _still_ours(build_id: int, fence: int) -> Build | None:
    """The build, locked after its release, if it is still pending and the claim is ours."""
    release_id = Build.objects.values_list("release_id", flat=True).get(pk=build_id)
    release = workflow.lock(Release, release_id)
    build = workflow.lock(Build, build_id)
    if build.state != BuildState.PENDING or build.fence != fence or release.state != ReleaseState.BUILDING:
        return None
    return build


@workflow.verb("release.build.built", Build, "build_id")
def record(*, build_id: int, fence: int, resolved: Sequence[Resolved], actor: User, at: datetime) -> bool:
    """Writes what was found and moves the release to testing; False if the build was stopped or taken over meanwhile."""
    build = _still_ours(build_id, fence)
    if build is None:
        return False
    for one in resolved:
        BuildClass.objects.create(
            build=build, label=one.plan.label, platform=one.plan.platform, distribution=one.plan.platform.distribution,
            distribution_release=one.plan.platform.release, representative_id=one.host_id, hosts=list(one.plan.host_ids),
            requested=[
                {"name": w.name, "arch": w.arch, "to": w.version, "source": w.source, "source_version": w.source_version,
                 "update": w.update_id}
                for w in one.plan.wanted
            ],
            packages=one.packages,
        )  # fmt: skip
    artifacts = {a.pk: a for one in resolved for a in one.artifacts}
    BuildArtifact.objects.bulk_create(
        [BuildArtifact(build=build, artifact=a, use=ArtifactUse.FORWARD) for a in artifacts.values()]
    )
    detail = {"classes": [r.plan.label for r in resolved], "files": len(artifacts)}
    workflow.fire(Build, build_id, "built", actor=actor, at=at, **detail)
    workflow.fire(Release, build.release_id, "built", actor=actor, at=at)
    return True


@workflow.verb("release.build.failed", Build, "build_id")
def fail(*, build_id: int, fence: int, reason: str, actor: User, at: datetime) -> bool:
    """Ends the build as failed and sends the release back to planning, with the reason."""
    build = _still_ours(build_id, fence)
    if build is None:
        return False
    workflow.fire(Build, build_id, "fail", actor=actor, at=at, reason=reason)
    workflow.fire(Release, build.release_id, "build_failed", actor=actor, at=at, reason=reason)
    return True
