"""Planning a release: rings, windows, dates, install profile, way back. Only before a manifest is sealed.

What is sealed is edited by `releases.revise` (or `releases.void`), which voids the signature; then plan again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from changes.enums import WayBack
from changes.queries.holds import hold_blocker
from cmdb.enums import MachineKind
from cmdb.models import Host, ServiceWindow
from cmdb.queries.machines import machine_classes
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain.profiles import profile_problems
from releases.domain.ring_plans import Candidate, candidates, distribute, find_untriable, numbers, provable
from releases.domain.ring_plans import RingPlan as RingPlan
from releases.domain.steps import find_profile_problems
from releases.enums import ReleaseState, RestartMode
from releases.executors.base import HealthCheck
from releases.models import InstallProfile, PlannedHost, PlannedRing, PlannedWindow, Release

AT_ONCE = 500
"""Rows of one statement."""
PLANNABLE = (ReleaseState.PLANNING, ReleaseState.BUILDING, ReleaseState.TESTING, ReleaseState.SCHEDULING)


DIVERSE_FROM = 20
"""Up to so many hosts the proposed pilot is one host, whatever the others are."""


@dataclass(frozen=True)
class Wanted:
    """Which hosts of a release are meant: all that is given must hold."""

    host_ids: Sequence[int] = ()
    name: str = ""
    group_id: int | None = None
    environment: str = ""
    ring: int | None = None


def find_past_planning(release: Release) -> list[Blocker]:
    """Why the plan of the release can no longer be changed, if so."""
    if release.state in PLANNABLE:
        return []
    sealed = release.state in (ReleaseState.AWAITING_READINESS, ReleaseState.READY)
    what = (
        english("Its manifest is sealed: revise it first, which voids the signatures.")
        if sealed
        else english("It is past planning.")
    )
    return [Blocker("conflict.state", english("It is %(state)s. %(what)s", state=label_of(release), what=what))]


def why_not_plan(release: Release, actor: User) -> list[Blocker]:
    """Why this person cannot change the plan of the release now: the role first, then the state."""
    return failing([capability("release.plan")], release, actor) or find_past_planning(release) or hold_blocker(release)


def _plannable(release_id: int, actor: User) -> Release:
    release = workflow.lock(Release, release_id)
    if refused := failing([capability("release.plan")], release, actor):
        raise NotAllowed(refused)
    if blockers := find_past_planning(release):
        raise Conflict(blockers)
    if held := hold_blocker(release):
        raise Blocked(held)
    return release


def _record(release: Release, actor: User, at: datetime, **detail: Any) -> Release:
    audit.record(release, "release.release.planned", actor=actor, at=at, detail=detail)
    return release


@workflow.verb("release.release.planned", Release, "release_id")
def plan_rings(*, release_id: int, rings: Sequence[RingPlan], actor: User, at: datetime) -> Release:
    """Replaces the rings. Every host of the release must end up in exactly one; a ring without hosts is refused."""
    release = _plannable(release_id, actor)
    places = distribute(candidates(release), rings)
    release.planned_hosts.update(ring=None)
    release.planned_rings.all().delete()
    for number, (ring, place) in enumerate(zip(rings, places, strict=True)):
        row = PlannedRing.objects.create(release=release, number=number, **numbers(ring, place))
        _place(release, row, [one.host_id for one in place])
    detail = [
        {**asdict(ring), "host_ids": [one.host_id for one in place]} for ring, place in zip(rings, places, strict=True)
    ]
    return _record(release, actor, at, rings=detail)


def _place(release: Release, ring: PlannedRing, host_ids: Sequence[int]) -> None:
    for start in range(0, len(host_ids), AT_ONCE):
        release.planned_hosts.filter(host_id__in=host_ids[start : start + AT_ONCE]).update(ring=ring)


@workflow.verb("release.release.planned", Release, "release_id")
def move_hosts(
    *, release_id: int, ring: int, wanted: Wanted, actor: User, at: datetime, count_seen: int | None = None
) -> Release:
    """Moves hosts into the ring with this number: those of `wanted`, by id, name, group, environment or present ring.

    `count_seen`: how many a person was shown; if others match by now it is refused. A ring must not be left empty, nor
    with fewer hosts than its bound takes, nor without the classes of machine that it must try. Raises Invalid, Conflict.
    """
    release = _plannable(release_id, actor)
    target = release.planned_rings.filter(number=ring).first()
    if target is None:
        raise Invalid("There is no such ring.", code="release.ring")
    rows = list(wanted_hosts(release, wanted).exclude(ring=target).values_list("host_id", "ring__name"))
    if count_seen is not None and count_seen != len(rows):
        raise Conflict(
            english("%(rows)s hosts match now, not %(count_seen)s: look again.", rows=len(rows), count_seen=count_seen),
            code="conflict.changed",
        )
    if not rows:
        raise Invalid("No host of the other rings matches.", code="release.hosts")
    moved = {host_id for host_id, _ring in rows}
    _place(release, target, sorted(moved))
    for row in release.planned_rings.all():  # what a person has placed stays so when the rings are planned again
        chosen = set(row.rule.get("hosts", [])) - moved | (moved if row.pk == target.pk else set())
        row.rule = {**row.rule, "hosts": sorted(chosen)}
        row.save(update_fields=["rule"])
    _renumber(release)
    came_from = {str(name or "-"): sum(1 for _pk, one in rows if one == name) for _pk, name in rows}
    return _record(release, actor, at, moved=sorted(moved), into=target.name, came_from=came_from)


def wanted_hosts(release: Release, wanted: Wanted) -> QuerySet[PlannedHost]:
    """The planned hosts that all given conditions name; nothing given names none."""
    rows = release.planned_hosts.select_related("host__ci", "ring")
    given = {
        "host_id__in": list(wanted.host_ids) or None, "host__name__icontains": wanted.name.strip() or None,
        "host__memberships__group_id": wanted.group_id, "host__ci__environment": wanted.environment or None,
        "ring__number": wanted.ring,
    }  # fmt: skip
    asked = {lookup: value for lookup, value in given.items() if value is not None}
    return rows.filter(**asked) if asked else rows.none()


def _renumber(release: Release) -> None:
    """After hosts have moved: shares become numbers anew, the usual bound is chosen anew."""
    every = {one.host_id: one for one in candidates(release)}
    found: list[Blocker] = []
    planned: list[tuple[RingPlan, list[Candidate]]] = []
    for row in release.planned_rings.all():
        place = [every[pk] for pk in row.hosts.values_list("host_id", flat=True)]
        if not place:
            found.append(Blocker("release.rings.empty", english("Ring %(name)s would have no host.", name=row.name)))
            continue
        plan = plan_of(row)
        found += provable(plan, len(place))
        planned.append((plan, place))
        PlannedRing.objects.filter(pk=row.pk).update(**{k: v for k, v in numbers(plan, place).items() if k != "rule"})
    found += find_untriable([p.name for p, _ in planned], [p.asks for p, _ in planned], [hosts for _, hosts in planned])
    if found:
        raise Invalid(found)


def plan_of(row: PlannedRing) -> RingPlan:
    """The plan by which a ring was made, as it would be given again."""
    rule: dict[str, Any] = {
        "hosts": [], "percent": None, "environments": [], "groups": [], "criticalities": [], "diverse": False,
        "bound": row.bound_percent, "class_hosts": None, **row.rule,
    }  # fmt: skip
    return RingPlan(
        name=row.name, host_ids=rule["hosts"], percent=rule["percent"], environments=rule["environments"],
        group_ids=rule["groups"], criticalities=rule["criticalities"], diverse=rule["diverse"],
        concurrency=row.concurrency, concurrency_percent=row.concurrency_percent,
        failure_limit=None if row.failure_percent else row.failure_limit, failure_percent=row.failure_percent,
        success_percent=row.success_percent, confidence_percent=row.confidence_percent, bound_percent=rule["bound"],
        class_hosts=rule["class_hosts"], soak_seconds=row.soak_seconds,
    )  # fmt: skip


def usual_rings(release: Release) -> list[RingPlan]:
    """The rings proposed for the hosts of a release."""
    ids = list(release.planned_hosts.values_list("host_id", flat=True))
    classes = set(machine_classes(ids).values()) if len(ids) > DIVERSE_FROM else ()
    return usual_rings_for(len(ids), classes=len(classes))


def usual_rings_for(count: int, *, classes: int) -> list[RingPlan]:
    """The rings proposed for this many hosts of so many classes of machine: a pilot with each class, a tenth, the rest (one for
    one host). Where the classes would make more than half of the hosts the pilot, it is of the usual size: no pilot is most of
    the hosts, and no ring is left empty."""
    if count <= 1:
        return [RingPlan("All", percent=100)]
    first = RingPlan("Pilot", percent=1, diverse=DIVERSE_FROM < count >= 2 * classes, soak_seconds=3600)
    if count <= 5:
        return [first, RingPlan("All others", percent=100, concurrency=2)]
    return [
        first,
        RingPlan("Early", percent=10, concurrency=max(1, count // 40)),
        RingPlan("All others", percent=100, concurrency=max(2, count // 10)),
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


def promised_way_back(release: Release) -> str:
    """The way back that its changes were approved with, for a form that offers no other; NONE where none promised any, or
    they promise different ones (the verb then refuses each, and says so)."""
    ways = _promised(release) - {WayBack.NONE}
    return ways.pop() if len(ways) == 1 else WayBack.NONE


def _promised(release: Release) -> set[str]:
    return {str(link.rfc.way_back) for link in release.links.select_related("rfc")}


@workflow.verb("release.release.planned", Release, "release_id")
def choose_way_back(*, release_id: int, kind: str, actor: User, at: datetime) -> Release:
    """Sets the way back; one that its RFCs promised cannot be taken away (the seal would refuse it)."""
    release = _plannable(release_id, actor)
    if kind not in WayBack.values:
        raise Invalid("This way back is not known.", code="release.way_back")
    promised = _promised(release) - {WayBack.NONE, kind}
    if promised:
        raise Blocked(
            Blocker(
                "release.way_back",
                english("An RFC was approved with the way back %(promised)s.", promised=", ".join(sorted(promised))),
            )
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
    checks are {name, kind: http|tcp|service|command, target, expect}; steps are approved ones, {name, revision} in order.
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
    problems += find_profile_problems(values.get("steps", []))
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
                Blocker(
                    code,
                    english(
                        "A check needs name, kind (http, tcp, service, command) and target: %(dict)s.", dict=dict(check)
                    ),
                )
            )
    return found
