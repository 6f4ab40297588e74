"""Questions about who knows that a ring is next, and what keeps it from starting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from changes.models import RFC, RFCUpdate
from cmdb.models import Host, SupportGroup
from cmdb.queries.windows import each_opening, windows_of
from patchflow.kernel.blockers import english, english_n
from patchflow.kernel.models import User
from releases.enums_rollout import JobState, RingState
from releases.enums_telling import DelayState, Via
from releases.models import DelayRequest, Job, Release, Representative, Ring, Rollout


@dataclass
class Concerned:
    """A person to be told, with their hosts by name."""

    user: User
    via: str
    names: list[str] = field(default_factory=list)
    support_groups: set[str] = field(default_factory=set)


Named = tuple[str, User | None, str]
"""A host's name, its owner, its support group."""


def concerned(items: Sequence[Named]) -> tuple[list[Concerned], int]:
    """Whom these hosts concern: the owner, else the members of the support group; and how many hosts concern nobody.
    Hosts in the order given; people by name."""
    groups = members_of({group for _name, owner, group in items if group and owner is None})
    found: dict[int, Concerned] = {}
    nobody = 0
    for name, owner, group in items:
        people = [(owner, Via.OWNER)] if owner else [(u, Via.SUPPORT) for u in groups.get(group, [])]
        people = [(user, via) for user, via in people if user.is_active]
        nobody += not people
        for user, via in people:
            one = found.setdefault(user.pk, Concerned(user, via))
            one.names.append(name)
            one.support_groups |= {group} - {""}
    return sorted(found.values(), key=lambda one: one.user.get_username()), nobody


def members_of(names: set[str]) -> dict[str, list[User]]:
    """Support group → its active members."""
    groups = SupportGroup.objects.filter(name__in=names).prefetch_related("members") if names else []
    return {g.name: [u for u in g.members.all() if u.is_active] for g in groups}


def leads_of(names: set[str]) -> list[User]:
    rows = SupportGroup.objects.filter(name__in=names, lead__is_active=True).select_related("lead")
    return [g.lead for g in rows if g.lead]


def named_of(rows: Iterable[Any]) -> list[Named]:
    """Of rows that each have `host` with its `ci`."""
    return [(row.host.name, row.host.ci.owner, row.host.ci.support_group) for row in rows]


def waiting_hosts(ring: Ring) -> list[Named]:
    """The hosts whose turn has not come yet, by name."""
    jobs = Job.objects.filter(ring=ring, state=JobState.PENDING).order_by("host__name")
    rows = list(jobs.values_list("host__name", "host__ci__owner", "host__ci__support_group"))
    owners = User.objects.in_bulk({owner for _name, owner, _group in rows if owner})
    return [(name, owners.get(owner), group) for name, owner, group in rows]


def windows_ahead(host_names: Iterable[str], signed: Iterable[int | None], *, after: datetime) -> list[dict[str, Any]]:
    """The signed windows of these hosts, each with when it opens next, the first to open first; None where it never does.
    Four queries."""
    hosts = list(Host.objects.live().filter(name__in=list(host_names)).values_list("pk", flat=True))
    wanted = set(signed)
    found = {w.pk: w for windows in windows_of(hosts).values() for w in windows if w.pk in wanted}
    rows = [(next(each_opening(window, after=after), None), window.name) for window in found.values()]
    ahead = [{"name": name, "opens": max(opening.starts_at, after) if opening else None} for opening, name in rows]
    return sorted(ahead, key=lambda row: (row["opens"] is None, row["opens"] or after, row["name"]))


def urgency_of(release: Release) -> dict[str, Any]:
    """By when a release is still to start in production, and whether what it mends is exploited already. Two queries."""
    rfcs = RFC.objects.filter(pk__in=release.rfc_ids())
    exploited = RFCUpdate.objects.filter(rfc__in=rfcs, removed_at__isnull=True, update__exploited=True).exists()
    return {
        "start_by": rfcs.filter(clock_stopped_at=None).aggregate(first=Min("start_by"))["first"],
        "exploited": exploited,
    }


def notice_hours(profile: Mapping[str, Any]) -> int:
    return int(profile.get("notice_hours", 0))


def starts_at(ring: Ring, profile: Mapping[str, Any]) -> datetime | None:
    """When the notice of a ring that was told is over; None where the profile gives none."""
    hours = notice_hours(profile)
    return ring.state_at + timedelta(hours=hours) if hours and ring.state == RingState.NOTIFIED else None


@dataclass(frozen=True)
class Start:
    """From when a ring may start as far as its notice and the delays granted say; None where neither does. `silent`: somebody
    is still to acknowledge first, and nobody knows when."""

    at: datetime | None
    silent: bool = False


def starts_of(rings: Sequence[Ring], profiles: Mapping[int, Mapping[str, Any]], *, now: datetime) -> dict[int, Start]:
    """Ring id → from when it may start; `profiles` by ring id. Two queries at most, for as many rings as there are."""
    held = [ring for ring in rings if not ring.rollout.is_way_back]
    told = [ring for ring in held if ring.state == RingState.NOTIFIED]
    granted = _granted(held, now)
    silent = _silent([ring for ring in told if profiles[ring.pk].get("acknowledge")])
    found = {ring.pk: Start(None) for ring in rings}
    for ring in held:
        known = [starts_at(ring, profiles[ring.pk]), *(delay.until for delay in granted[ring.pk])]
        found[ring.pk] = Start(max(filter(None, known), default=None), bool(silent[ring.pk]))
    return found


def _granted(rings: Sequence[Ring], now: datetime) -> dict[int, list[DelayRequest]]:
    """Ring id → the delays granted to it that still hold it."""
    found: dict[int, list[DelayRequest]] = defaultdict(list)
    rows = DelayRequest.objects.filter(ring__in=rings, state=DelayState.GRANTED, until__gt=now)
    for request in rows.select_related("asked_by"):
        found[request.ring_id].append(request)
    return found


def _silent(rings: Sequence[Ring]) -> dict[int, list[str]]:
    """Ring id → who was told and has not acknowledged."""
    found: dict[int, list[str]] = defaultdict(list)
    rows = Representative.objects.filter(ring__in=rings, acknowledged_at__isnull=True)
    for row in rows.select_related("user"):
        found[row.ring_id].append(str(row.user))
    return found


def ring_before(ring: Ring) -> Ring | None:
    """The ring whose turn comes just before, where it is still to be passed."""
    rows = Ring.objects.filter(rollout_id=ring.rollout_id, position__lt=ring.position)
    return rows.exclude(state__in=[RingState.PASSED, RingState.SKIPPED]).order_by("-position").first()


def clocks_before(ring: Ring, moment: datetime) -> list[RFC]:
    """The changes of its release whose start-by target comes before `moment` and whose clock runs, the first first."""
    rows = RFC.objects.filter(release_links__release=ring.rollout.release_id, release_links__left_at__isnull=True)
    return list(rows.filter(start_by__lt=moment, clock_stopped_at__isnull=True).order_by("start_by", "pk"))


def waits_of(rollout: Rollout, profile: Mapping[str, Any], *, now: datetime) -> dict[int, str]:
    """Ring id → why a ring that was told does not start yet: its notice runs, somebody has not acknowledged where the
    profile asks for that, or a delay was granted. A way back waits for none of it."""
    if rollout.is_way_back:
        return {}
    rings = list(rollout.rings.filter(state=RingState.NOTIFIED))
    if not rings:
        return {}
    until, silent = _granted(rings, now), _silent(rings if profile.get("acknowledge") else [])
    found = {}
    for ring in rings:
        if why := _why(starts_at(ring, profile), until[ring.pk], silent[ring.pk], now):
            found[ring.pk] = why
    return found


def _why(start: datetime | None, delays: list[DelayRequest], silent: list[str], now: datetime) -> str:
    if delays:
        last = max(delays, key=lambda d: d.until)
        return english(
            "a delay until %(when)s was granted to %(who)s", when=f"{last.until:%d %b %Y %H:%M} UTC", who=last.asked_by
        )
    if start and start > now:
        return english("its notice runs until %(when)s", when=f"{start:%d %b %Y %H:%M} UTC")
    if silent:
        return english_n(
            "%(n)s representative has not acknowledged: %(who)s",
            "%(n)s representatives have not acknowledged: %(who)s",
            len(silent),
            who=", ".join(silent[:5]),
        )
    return ""


@dataclass(frozen=True)
class Knowing:
    """How many were told about a ring, how many acknowledged, and for how many hosts nobody could be told."""

    told: int
    known: int

    @property
    def silent(self) -> int:
        return self.told - self.known


def knowing_of(rollout: Rollout) -> dict[int, Knowing]:
    """Ring id → who knows. One query."""
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for ring_id, acknowledged_at in Representative.objects.filter(ring__rollout=rollout).values_list(
        "ring_id", "acknowledged_at"
    ):
        counts[ring_id][0] += 1
        counts[ring_id][1] += acknowledged_at is not None
    return {pk: Knowing(told, known) for pk, (told, known) in counts.items()}


def silent_rings() -> Any:
    """Rings that were told and wait, with somebody who has not acknowledged and whose silence is not yet answered in full."""
    rows = Representative.objects.filter(acknowledged_at__isnull=True, reported_at__isnull=True)
    return Ring.objects.filter(state=RingState.NOTIFIED, pk__in=rows.values("ring_id")).select_related("rollout")
