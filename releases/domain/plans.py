"""Planning a release: rings, windows, dates, install profile, way back. Only before a manifest is sealed.

What is sealed is edited by `releases.revise` (or `releases.void`), which voids the signature; then plan again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from changes.enums import WayBack
from cmdb.enums import MachineKind
from cmdb.models import Host, ServiceWindow
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain.profiles import profile_problems
from releases.enums import ReleaseState, RestartMode
from releases.executors.base import HealthCheck
from releases.models import InstallProfile, PlannedRing, PlannedWindow, Release

PLANNABLE = (ReleaseState.PLANNING, ReleaseState.BUILDING, ReleaseState.TESTING, ReleaseState.SCHEDULING)


@dataclass(frozen=True)
class RingPlan:
    """One ring: chosen hosts, or a percentage of all hosts (rounded up) taken from those not in an earlier ring.

    `percent` 100 takes all that are left. `soak_seconds`: how long it is watched before the next ring.
    """

    name: str
    host_ids: Sequence[int] = field(default=())
    percent: int | None = None
    concurrency: int = 1
    failure_limit: int = 1
    success_percent: int = 95
    soak_seconds: int = 86400


def _plannable(release_id: int, actor: User) -> Release:
    release = workflow.lock(Release, release_id)
    if refused := failing([capability("release.plan")], release, actor):
        raise NotAllowed(refused)
    if release.state not in PLANNABLE:
        what = "Its manifest is sealed: revise it first, which voids the signatures." if release.state in (
            ReleaseState.AWAITING_READINESS, ReleaseState.READY
        ) else "It is past planning."  # fmt: skip
        raise Conflict(f"It is {release.get_state_display()}. {what}", code="conflict.state")
    return release


def _record(release: Release, actor: User, at: datetime, **detail: Any) -> Release:
    audit.record(release, "release.release.planned", actor=actor, at=at, detail=detail)
    return release


@workflow.verb("release.release.planned", Release, "release_id")
def plan_rings(*, release_id: int, rings: Sequence[RingPlan], actor: User, at: datetime) -> Release:
    """Replaces the rings. Every host of the release must end up in exactly one; a ring without hosts is refused."""
    release = _plannable(release_id, actor)
    places = _distribute(release, rings)
    release.planned_hosts.update(ring=None)
    release.planned_rings.all().delete()
    for number, ring in enumerate(rings):
        row = PlannedRing.objects.create(
            release=release, number=number, name=ring.name.strip()[:60], concurrency=ring.concurrency,
            failure_limit=ring.failure_limit, success_percent=ring.success_percent, soak_seconds=ring.soak_seconds,
        )  # fmt: skip
        release.planned_hosts.filter(host_id__in=places[number]).update(ring=row)
    detail = [{**asdict(ring), "host_ids": places[number]} for number, ring in enumerate(rings)]
    return _record(release, actor, at, rings=detail)


def _distribute(release: Release, rings: Sequence[RingPlan]) -> list[list[int]]:
    """Host ids of each ring. Raises Invalid with every reason."""
    hosts = list(
        release.planned_hosts.order_by("host__ci__criticality", "host__name").values_list("host_id", flat=True)
    )
    hosts.reverse()  # criticality 1 is the highest: what matters most comes last
    found: list[Blocker] = [] if rings else [Blocker("release.rings", "Plan at least one ring.")]
    for ring in rings:
        if not ring.name.strip():
            found.append(Blocker("release.rings.name", "Every ring needs a name."))
        if (
            ring.concurrency < 1
            or ring.failure_limit < 1
            or not 1 <= ring.success_percent <= 100
            or ring.soak_seconds < 0
        ):
            found.append(Blocker("release.rings.bounds", f"Ring {ring.name}: numbers are out of their range."))
    chosen = [host_id for ring in rings for host_id in ring.host_ids]
    if len(chosen) != len(set(chosen)):
        found.append(Blocker("release.rings.twice", "A host was chosen for two rings."))
    if strangers := set(chosen) - set(hosts):
        found.append(Blocker("release.rings.stranger", f"{len(strangers)} chosen hosts are not in this release."))
    free = [host_id for host_id in hosts if host_id not in set(chosen)]
    places: list[list[int]] = []
    for ring in rings:
        taken = list(ring.host_ids)
        if ring.percent is not None:
            share = len(free) if ring.percent >= 100 else min(len(free), -(-len(hosts) * ring.percent // 100))
            taken, free = taken + free[:share], free[share:]
        if not taken:
            found.append(Blocker("release.rings.empty", f"Ring {ring.name} has no host."))
        places.append(sorted(taken))
    if free and not found:
        found.append(
            Blocker(
                "release.rings.left_over", f"{len(free)} hosts are in no ring; let the last one take all that are left."
            )
        )
    if found:
        raise Invalid(found)
    return places


def usual_rings(release: Release) -> list[RingPlan]:
    """The rings proposed for this many hosts: a pilot, a tenth, the rest (one ring for one host)."""
    count = release.planned_hosts.count()
    first = RingPlan("Pilot", percent=1, soak_seconds=3600)
    if count <= 1:
        return [RingPlan("All", percent=100)]
    if count <= 5:
        return [first, RingPlan("All others", percent=100, concurrency=2)]
    limit = max(1, count // 20)
    return [
        first,
        RingPlan("Early", percent=10, concurrency=max(1, count // 40)),
        RingPlan("All others", percent=100, concurrency=max(2, count // 10), failure_limit=limit),
    ]


@workflow.verb("release.release.planned", Release, "release_id")
def plan_windows(
    *, release_id: int, window_ids: Sequence[int], actor: User, at: datetime,
    earliest_at: datetime | None = None, latest_at: datetime | None = None,
) -> Release:  # fmt: skip
    """Sets the service windows it may use, at their present revision, and between which moments it may start."""
    release = _plannable(release_id, actor)
    windows = list(ServiceWindow.objects.filter(pk__in=window_ids, retired_at__isnull=True))
    found: list[Blocker] = []
    if len(windows) != len(set(window_ids)) or not windows:
        found.append(Blocker("release.windows", "Choose at least one window that is in use."))
    if earliest_at and latest_at and latest_at <= earliest_at:
        found.append(Blocker("release.latest_at", "The latest start must come after the earliest."))
    if latest_at and latest_at <= at:
        found.append(Blocker("release.latest_at", "The latest start has passed already."))
    if found:
        raise Invalid(found)
    release.planned_windows.all().delete()
    PlannedWindow.objects.bulk_create(
        [PlannedWindow(release=release, window=w, revision=w.revision, name=w.name[:120]) for w in windows]
    )
    release.earliest_at, release.latest_at = earliest_at, latest_at
    release.save(update_fields=["earliest_at", "latest_at"])
    return _record(
        release, actor, at, windows=[{"window": w.pk, "revision": w.revision} for w in windows], earliest=earliest_at,
        latest=latest_at,
    )  # fmt: skip


@workflow.verb("release.release.planned", Release, "release_id")
def choose_profile(*, release_id: int, profile_id: int, actor: User, at: datetime) -> Release:
    """Sets the install profile, at the revision chosen."""
    release = _plannable(release_id, actor)
    profile = InstallProfile.objects.filter(pk=profile_id).first()
    if profile is None:
        raise Invalid("There is no such install profile.", code="release.profile_id")
    release.profile = profile
    release.save(update_fields=["profile"])
    return _record(release, actor, at, profile=str(profile))


@workflow.verb("release.release.planned", Release, "release_id")
def choose_way_back(*, release_id: int, kind: str, actor: User, at: datetime) -> Release:
    """Sets the way back; one that its RFCs promised cannot be taken away (the seal would refuse it)."""
    release = _plannable(release_id, actor)
    if kind not in WayBack.values:
        raise Invalid("This way back is not known.", code="release.way_back")
    promised = {link.rfc.way_back for link in release.links.select_related("rfc")} - {WayBack.NONE, kind}
    if promised:
        raise Blocked(
            Blocker("release.way_back", f"An RFC was approved with the way back {', '.join(sorted(promised))}.")
        )
    release.way_back = kind
    release.save(update_fields=["way_back"])
    return _record(release, actor, at, way_back=kind)


@workflow.verb("release.release.planned", Release, "release_id")
def drop_host(*, release_id: int, host_id: int, reason: str, actor: User, at: datetime) -> Release:
    """Takes a host out of the release: it stays owed by its RFC. Joining is `revise`."""
    release = _plannable(release_id, actor)
    if not reason.strip():
        raise Invalid("Say why this host is left out.", code="release.reason")
    if not release.planned_hosts.filter(host_id=host_id).delete()[0]:
        raise Invalid("This host is not in the release.", code="release.host_id")
    return _record(release, actor, at, dropped=str(Host.objects.get(pk=host_id)), reason=reason.strip())


@workflow.verb("release.profile.defined")
def define_profile(*, name: str, actor: User, at: datetime, **values: Any) -> InstallProfile:
    """Defines an install profile, or its next revision; releases planned with an earlier one keep it.

    `values` are the fields of InstallProfile; without `restart_kinds` every kind of machine may be restarted;
    checks are {name, kind: http|tcp|service|command, target, expect}.
    """
    if refused := failing([capability("release.plan")], None, actor):
        raise NotAllowed(refused)
    name = name.strip()
    if values.get("restart", RestartMode.IF_NEEDED) != RestartMode.NEVER:
        values.setdefault("restart_kinds", list(MachineKind.values))
    problems = [] if name else [Blocker("profile.name", "A profile needs a name.")]
    if values.get("restart", RestartMode.IF_NEEDED) not in RestartMode.values:
        problems.append(Blocker("profile.restart", "This restart rule is not known."))
    each, total = values.get("max_minutes_each", 30), values.get("max_minutes_total", 120)
    if not 1 <= each <= total:
        problems.append(Blocker("profile.max_minutes_total", "The run time in all is at least that of one update."))
    problems += profile_problems(values) + check_problems(values.get("checks", []), "profile.checks")
    if problems:
        raise Invalid(problems)
    last = InstallProfile.objects.filter(name=name).order_by("-revision").first()
    profile = InstallProfile.objects.create(
        name=name, revision=last.revision + 1 if last else 1, defined_by=actor, defined_at=at, **values
    )
    audit.record(
        profile,
        "release.profile.defined",
        actor=actor,
        at=at,
        detail={"name": name, "revision": profile.revision, **values},
    )
    return profile


def check_problems(checks: Sequence[Mapping[str, Any]], code: str) -> list[Blocker]:
    """What is wrong with health checks, one reason each."""
    found = []
    for check in checks:
        try:
            wrong = (
                not check["name"] or not check["target"] or check["kind"] not in ("http", "tcp", "service", "command")
            )
            wrong = wrong or any(isinstance(value, float) for value in check.values())  # a signed document has none
            HealthCheck(**dict(check))
        except (KeyError, TypeError):
            wrong = True
        if wrong:
            found.append(
                Blocker(code, f"A check needs name, kind (http, tcp, service, command) and target: {dict(check)}.")
            )
    return found
