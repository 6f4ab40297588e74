"""The slots of a release: fitted ring by ring into openings outside freezes, reserved by the seal, given back with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from changes.domain import freezes
from changes.domain.slots import Span
from changes.models import ChangeSlot, FreezeWindow
from changes.queries.conflicts import find_conflicts
from patchflow.kernel.errors import Blocked
from releases.domain import manifests, plans, releases, slots
from releases.domain.slots import Fitting
from releases.models import PlannedRing, Release
from tests.factories import releases as stages
from tests.factories.releases import Yard

NIGHT = datetime(2026, 11, 18, 22, tzinfo=UTC)
WEEK = timedelta(days=7)


def at(hours: float, day: datetime = NIGHT) -> datetime:
    return day + timedelta(hours=hours)


def reserved(release: Release) -> list[tuple[datetime, datetime, int]]:
    rows = ChangeSlot.objects.live().filter(holder=release.number)
    return [(s.starts_at, s.ends_at, s.hosts) for s in rows]


def freeze(yard: Yard, since: datetime, until: datetime, **fields: object) -> FreezeWindow:
    return freezes.declare(
        name="Quiet", reason="Election.", starts_at=since, ends_at=until, actor=yard.cast.che, at=yard.at, **fields
    )  # type: ignore[arg-type]


def test_the_seal_reserves_ring_after_ring(yard: Yard) -> None:
    release = stages.sealed(yard)
    assert reserved(release) == [(at(0), at(0.5), 1), (at(1.5), at(2), 2)]
    slot = ChangeSlot.objects.first()
    assert slot is not None
    assert (slot.responsible, slot.window, slot.reserved_by) == (yard.cast.rex, yard.window, yard.cast.bot)


def test_what_takes_the_seal_back_gives_the_slots_back(yard: Yard) -> None:
    release = stages.sealed(yard)
    releases.revise(release_id=release.pk, reason="One more look.", actor=yard.cast.rex, at=yard.at)
    assert reserved(release) == []
    assert {s.release_reason for s in ChangeSlot.objects.all()} == {"One more look."}


@pytest.mark.parametrize("how", ["cancel", "void", "no_go"])
def test_every_way_out_of_the_seal(yard: Yard, how: str) -> None:
    release = stages.sealed(yard) if how == "no_go" else stages.ready(yard)
    assert reserved(release)
    match how:
        case "cancel":
            releases.cancel(release_id=release.pk, reason="Not now.", actor=yard.cast.rex, at=yard.at)
        case "void":
            releases.void(release_id=release.pk, reason="Facts changed.", actor=yard.cast.bot, at=yard.at)
        case "no_go":
            stages.sign(yard, release, verdict="refuse", comment="Too soon.")
    assert reserved(release) == []


def test_a_freeze_moves_the_slots_and_one_over_everything_refuses_the_seal(yard: Yard) -> None:
    release = stages.scheduling(yard)
    freeze(yard, at(-1), at(1))
    assert [(s.starts_at, s.ends_at) for s in slots.fit(release, at=yard.at).spans] == [
        (at(1), at(1.5)),
        (at(2.5), at(3)),
    ]
    whole = freeze(yard, at(0), at(24, NIGHT + WEEK))
    with pytest.raises(Blocked) as refused:
        manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert "release.no_slot" in [b.code for b in refused.value.blockers]
    freezes.lift(freeze_id=whole.pk, reason="Moved.", actor=yard.cast.che, at=yard.at)
    manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert reserved(release)[0][0] == at(1)


def test_a_freeze_that_the_kind_passes_moves_nothing(yard: Yard) -> None:
    release = stages.scheduling(yard)
    freeze(yard, at(-1), at(24), passes=["normal"])
    assert slots.fit(release, at=yard.at).spans[0].starts_at == at(0)


def test_many_hosts_spill_into_the_next_openings(yard: Yard) -> None:
    release = stages.planned(yard)
    PlannedRing.objects.filter(release=release).update(concurrency=1)
    plans.choose_profile(release_id=release.pk, actor=yard.cast.rex, at=yard.at, profile_id=plans.define_profile(
        name="Slow", max_minutes_each=200, max_minutes_total=200, actor=yard.cast.rex, at=yard.at,
    ).pk)  # fmt: skip
    found = slots.fit(Release.objects.get(pk=release.pk), at=yard.at)
    assert [(s.starts_at, s.hosts) for s in found.spans] == [(at(0), 1), (at(0, NIGHT + WEEK), 1)]
    assert len(found.unfit) == 1  # the third opening comes after the latest start


def test_two_releases_of_one_person_at_one_time_are_a_conflict_of_persons(yard: Yard) -> None:
    hosts = [host.pk for host in yard.world.hosts]
    first = stages.sealed(yard, stages.rfc_of(yard, host_ids=hosts[:1]))
    second = stages.sealed(yard, stages.rfc_of(yard, host_ids=hosts[1:]))
    rfc = second.links.get().rfc
    kinds = [str(c.kind) for c in find_conflicts(rfc, at=yard.at)]
    assert kinds == ["person"]
    assert reserved(first)[0][0] == reserved(second)[0][0] == at(0)


def test_groups_that_begin_together_in_a_window_are_one_slot(now: datetime) -> None:
    """Hosts of one window of which some have another one too: two groups, one slot, as long as the longer takes."""
    hour = timedelta(hours=1)
    pieces = {(7, "Nights", now, now + hour): 2, (7, "Nights", now, now + 2 * hour): 3, (8, "Days", now, now + hour): 1}
    assert Fitting(pieces=pieces).spans == [
        Span(7, "Nights", now, now + 2 * hour, 5),
        Span(8, "Days", now, now + hour, 1),
    ]
