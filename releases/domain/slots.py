"""Fitting a release into windows, and its slots in the change calendar.

Each ring takes the openings that its hosts' windows give it, one ring after the other, outside the freezes that a change of
the release does not pass. Sealing reserves what was found; whatever takes the seal back gives it back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from changes.domain import slots
from changes.domain.slots import Span
from changes.models import RFC, RFCUpdate
from changes.queries.fitting import EXPECTED, HORIZON, Freezes, free_parts, freezes_against
from cmdb.models import ServiceWindow
from cmdb.queries.windows import each_opening, windows_of
from patchflow.kernel import registry
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from releases.domain.profiles import countdown_minutes
from releases.models import PlannedRing, Release

TRIED = 60
"""Openings of a window that are tried for one ring."""


@dataclass
class Fitting:
    """Part of an opening → how many hosts; and the hosts that no opening fits."""

    pieces: dict[tuple[int, str, datetime, datetime], int] = field(default_factory=dict)
    unfit: set[int] = field(default_factory=set)

    @property
    def spans(self) -> list[Span]:
        """The pieces in order of start; those that begin together in one window are one, as long as the longest."""
        whole: dict[tuple[int, datetime], Span] = {}
        for (window, name, starts, ends), hosts in self.pieces.items():
            other = whole.get((window, starts))
            longest, every = (max(ends, other.ends_at), hosts + other.hosts) if other else (ends, hosts)
            whole[window, starts] = Span(window, name, starts, longest, every)
        return sorted(whole.values(), key=lambda span: (span.starts_at, span.window_id or 0))


def minutes_of(release: Release) -> timedelta:
    """How long one host may take by the release's profile: the run time of its updates, and the notice before a restart."""
    profile = release.profile
    if profile is None:
        return EXPECTED
    updates = RFCUpdate.objects.filter(rfc__in=release.rfc_ids(), removed_at__isnull=True)
    most = max(1, updates.values("name").distinct().order_by().count())
    run_time = min(profile.max_minutes_total, profile.max_minutes_each * most)
    return timedelta(minutes=run_time + countdown_minutes(vars(profile)))


def fit(release: Release, *, at: datetime) -> Fitting:
    """Where the rings of the plan go from `at` on. A fixed number of queries."""
    kinds = RFC.objects.filter(pk__in=release.rfc_ids()).values_list("kind", flat=True)
    freezes = sorted({freeze for kind in set(kinds) for freeze in freezes_against(kind, after=at)})
    permitted = set(release.planned_windows.values_list("window_id", flat=True))
    places: dict[int | None, list[int]] = defaultdict(list)
    for host_id, number in release.planned_hosts.values_list("host_id", "ring__number"):
        places[number].append(host_id)
    windows = windows_of([host_id for hosts in places.values() for host_id in hosts])
    begin, end = max(at, release.earliest_at or at), release.latest_at or at + HORIZON
    found, need = Fitting(), minutes_of(release)
    for ring in release.planned_rings.order_by("number"):
        done = _fit_ring(found, ring, places[ring.number], windows, permitted, freezes, need, begin, end)
        begin = done + timedelta(seconds=ring.soak_seconds) if done else begin
    return found


def _fit_ring(
    found: Fitting, ring: PlannedRing, hosts: list[int], windows: Mapping[int, list[ServiceWindow]], permitted: set[int],
    freezes: Freezes, need: timedelta, begin: datetime, end: datetime,
) -> datetime | None:  # fmt: skip
    """Gives the ring's hosts their openings from `begin` on; hosts with the same windows go together. When the last ends."""
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    known: dict[int, ServiceWindow] = {}
    for host_id in hosts:
        mine = {w.pk: w for w in windows.get(host_id, []) if w.pk in permitted}
        known |= mine
        alike[tuple(sorted(mine))].append(host_id)
    at_once, last = ring.at_once(len(hosts)), None
    for pks, group in alike.items():
        waiting = len(group)
        for name, window_id, starts, ends in _parts([known[pk] for pk in pks], freezes, need, begin, end):
            taken = min(waiting, max(1, (ends - starts) // need) * at_once)
            ends = min(ends, starts + need * -(-taken // at_once))
            place = (window_id, name, starts, ends)
            found.pieces[place] = found.pieces.get(place, 0) + taken
            waiting, last = waiting - taken, max(last or ends, ends)
            if not waiting:
                break
        if waiting:
            found.unfit.update(group[-waiting:])
    return last


def _parts(
    windows: list[ServiceWindow], freezes: Freezes, need: timedelta, begin: datetime, end: datetime
) -> list[tuple[str, int, datetime, datetime]]:
    """What is left of the next openings of these windows, long enough for one host, in order of start."""
    parts = []
    for window in windows:
        for opening in islice(each_opening(window, after=begin), TRIED):
            if opening.starts_at >= end:
                break
            parts += [
                (window.name, window.pk, starts, ends)
                for starts, ends in free_parts(opening, freezes, after=begin)
                if ends - starts >= need and starts < end
            ]
    return sorted(parts, key=lambda part: (part[2], part[1]))


# --- the slots of a release -----------------------------------------------------------------------------------------------
def reserve(release: Release, *, actor: User, at: datetime) -> Fitting:
    """Reserves what the rings fit into, for each change of the release; who seals answers for it. RFCs and release are
    locked by the caller."""
    found = fit(release, at=at)
    for rfc_id in release.rfc_ids():
        slots.reserve(
            rfc_id=rfc_id,
            holder=release.number,
            spans=found.spans,
            responsible=actor,
            simulated=release.is_simulated,
            actor=User.bot(),
            at=at,
        )
    return found


def give_back(release: Release, *, reason: str, at: datetime) -> None:
    """Gives back what is reserved; RFCs are locked by the caller before the release."""
    for rfc_id in release.rfc_ids():
        slots.give_back(rfc_id=rfc_id, holder=release.number, reason=reason, actor=User.bot(), at=at)


@registry.gate("releases.release", "seal")
def find_unfit_blockers(release: Release, *, at: datetime, **_: Any) -> list[Blocker]:
    """Nothing is sealed whose rings fit no opening at all. Hosts that alone do not fit are refused at their turn."""
    if not release.planned_windows.exists() or not release.planned_rings.exists():
        return []  # other reasons say so
    found = fit(release, at=at)
    if found.pieces or not found.unfit:
        return []
    latest = (
        english(" before its latest start, %(when)s UTC", when=f"{release.latest_at:%d %b %Y %H:%M}")
        if release.latest_at
        else ""
    )
    sentence = english(
        "No host fits an opening of its windows outside freezes%(latest)s: choose other windows, dates or a profile.",
        latest=latest,
    )
    return [Blocker("release.no_slot", sentence, release.get_absolute_url())]
