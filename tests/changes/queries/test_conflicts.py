"""Conflicts by the same CI, a related CI, a freeze, a window, a person; which deny, and that they are asked anew each time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.domain import approvals, freezes, revisions, rfcs, slots
from changes.domain.slots import Span
from changes.models import RFC, ChangeSlot, FreezeWindow
from changes.queries import conflicts
from changes.queries.conflicts import ConflictKind, find_conflicts
from changes.queries.fitting import fit_of
from cmdb.models import ConfigurationItem, Host, HostGroup, Relation, ServiceWindow
from patchflow.kernel.errors import Blocked, NotAllowed
from tests.factories import changes as made
from tests.factories.people import Cast

HOUR = timedelta(hours=1)


@pytest.fixture
def world(cast: Cast, now: datetime) -> made.World:
    return made.make_world(cast, now, hosts=3)


def sundays(hosts: list[Host], now: datetime, **fields: Any) -> ServiceWindow:
    """02:00 to 04:00 UTC on Sundays for these hosts: next on 22 November 2026."""
    group = made.make_group(f"group of {hosts[0].name}", at=now)
    for host in hosts:
        group.memberships.get_or_create(host=host, defaults={"since_at": now})
    window = ServiceWindow.objects.create(**{
        "name": f"Sundays {group.pk}", "recurrence": "weekly", "weekday": 6, "starts_local": time(2), "length_minutes": 120,
        "from_on": date(2026, 1, 1), "made_at": now, **fields,
    })  # fmt: skip
    window.groups.add(HostGroup.objects.get(pk=group.pk))
    return window


def kinds(rfc: RFC, now: datetime) -> list[tuple[str, bool]]:
    return [(str(c.kind), c.denies) for c in find_conflicts(RFC.objects.get(pk=rfc.pk), at=now)]


def book(
    rfc: RFC, window: ServiceWindow, starts_at: datetime, who: Any, holder: str = "REL-1", hours: int = 2
) -> list[ChangeSlot]:
    span = Span(window.pk, window.name, starts_at, starts_at + hours * HOUR, hosts=2)
    return slots.reserve(
        rfc_id=rfc.pk, holder=holder, spans=[span], responsible=who, actor=who, at=starts_at - 60 * HOUR
    )


def sunday(now: datetime, week: int = 0) -> datetime:
    return datetime(2026, 11, 22, 2, tzinfo=now.tzinfo) + timedelta(weeks=week)


def test_nothing_conflicts_with_a_change_alone_in_its_window(world: made.World, now: datetime) -> None:
    sundays(world.hosts, now)
    rfc = made.evaluating(world)
    assert kinds(rfc, now) == []
    assert set(fit_of(rfc, at=now).fits.values()) == {sunday(now)}


def test_the_same_hosts_at_times_that_can_meet(world: made.World, cast: Cast, now: datetime) -> None:
    window = sundays(world.hosts, now)
    mine, other = made.evaluating(world), made.authorized(world)
    (found,) = find_conflicts(mine, at=now)
    assert (found.kind, found.denies, found.other_id, found.hosts) == (ConflictKind.SAME_CI, False, other.pk, 3)
    book(other, window, sunday(now), cast.rex)
    assert kinds(mine, now) == [("same_ci", False)]
    book(mine, window, sunday(now, 1), cast.rex, "REL-2")
    assert kinds(mine, now) == []
    book(mine, window, sunday(now), cast.rex, "REL-2")
    found = find_conflicts(mine, at=now)[0]
    assert "at the same time from 22 Nov 2026 02:00 UTC" in found.sentence


def test_dates_that_never_meet_are_no_conflict(world: made.World, now: datetime) -> None:
    sundays(world.hosts, now)
    mine = made.evaluating(world, not_after=now + timedelta(days=5))
    made.authorized(world, not_before=now + timedelta(days=6))
    assert kinds(mine, now) == []


def test_a_draft_conflicts_with_nobody(world: made.World, now: datetime) -> None:
    sundays(world.hosts, now)
    mine = made.evaluating(world)
    made.draft(world)
    assert kinds(mine, now) == []


def test_hosts_under_the_same_service_are_related(world: made.World, cast: Cast, now: datetime) -> None:
    one, two, three = world.hosts
    sundays(world.hosts, now)
    service = ConfigurationItem.objects.create(kind="service", name="shop", state="in_service")
    for host in (one, two):
        Relation.objects.create(source=service, target=host.ci, kind="depends_on", since_at=now)
    mine = made.evaluating(world, host_ids=[one.pk])
    made.evaluating(world, host_ids=[three.pk])
    assert kinds(mine, now) == []
    other = made.evaluating(world, host_ids=[two.pk])
    (found,) = find_conflicts(mine, at=now)
    assert (found.kind, found.denies, found.other_id) == (ConflictKind.RELATED_CI, False, other.pk)


def test_a_change_on_the_same_and_on_related_hosts_is_named_once(world: made.World, cast: Cast, now: datetime) -> None:
    one, two, _three = world.hosts
    sundays(world.hosts, now)
    service = ConfigurationItem.objects.create(kind="service", name="shop", state="in_service")
    for host in (one, two):
        Relation.objects.create(source=service, target=host.ci, kind="depends_on", since_at=now)
    mine = made.evaluating(world, host_ids=[one.pk])
    made.evaluating(world, host_ids=[one.pk, two.pk])
    assert kinds(mine, now) == [("same_ci", False)]


def test_of_very_many_changes_the_nearest_are_compared_and_the_rest_is_said(
    world: made.World, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    sundays(world.hosts, now)
    mine = made.evaluating(world)
    for _ in range(4):
        made.evaluating(world)
    monkeypatch.setattr(conflicts, "COMPARED", 3)
    found = find_conflicts(mine, at=now)
    assert [bool(c.other_id) for c in found] == [True, True, True, False]
    assert [c.duplicate for c in found] == [True, True, True, True]
    left_out = "Still more changes with the same update are under way on the same hosts: 3 were compared."
    assert found[-1].sentence == f"{left_out} None of the others stops this one."
    another = made.make_update("curl", at=now, hosts=world.hosts)
    other = made.evaluating(world, update_ids=[another.pk])
    found = find_conflicts(other, at=now)
    assert [(bool(c.other_id), c.duplicate) for c in found] == [(True, False)] * 3 + [(False, False)]
    assert found[-1].sentence == (
        "Still more changes are under way on the same hosts: 3 with most hosts in common were compared."
        " None of the others has the same update, and none stops this one."
    )


def test_one_person_answers_for_two_slots_at_once(world: made.World, cast: Cast, now: datetime) -> None:
    one, two, _three = world.hosts
    window = sundays(world.hosts, now)
    mine = made.authorized(world, host_ids=[one.pk])
    other = made.authorized(world, host_ids=[two.pk])
    book(mine, window, sunday(now), cast.rex, "REL-1")
    book(other, window, sunday(now), cast.rex, "REL-2")
    (found,) = find_conflicts(mine, at=now)
    assert (found.kind, found.denies, found.other_id) == (ConflictKind.PERSON, False, other.pk)
    assert found.sentence.startswith("rex answers for")
    book(other, window, sunday(now, 1), cast.rex, "REL-2")
    assert kinds(mine, now) == []


def frozen(cast: Cast, now: datetime, since: datetime, until: datetime, **fields: Any) -> Any:
    said = {"name": "Year's end", "reason": "The books are closed.", **fields}
    return freezes.declare(**said, starts_at=since, ends_at=until, actor=cast.che, at=now)


def test_a_freeze_delays_and_denies_only_where_nothing_is_left(world: made.World, cast: Cast, now: datetime) -> None:
    sundays(world.hosts, now)
    rfc = made.evaluating(world, not_after=sunday(now) + 24 * HOUR)
    freeze = frozen(cast, now, sunday(now), sunday(now) + HOUR)
    assert kinds(rfc, now) == [("freeze", False)]
    assert set(fit_of(rfc, at=now).fits.values()) == {sunday(now) + HOUR}
    frozen(cast, now, sunday(now) + HOUR, sunday(now) + 3 * HOUR)
    assert kinds(rfc, now) == [("window", True), ("freeze", False), ("freeze", False)]
    with pytest.raises(Blocked) as refused:
        approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=now)
    assert [b.code for b in refused.value.blockers] == ["conflict.window"]
    assert "lies in a freeze" in refused.value.blockers[0].sentence
    freezes.lift(freeze_id=freeze.pk, reason="Books closed early.", actor=cast.che, at=now)
    approvals.request_approval(rfc_id=rfc.pk, actor=cast.che, at=now)


def test_a_freeze_after_the_change_could_have_started_delays_the_rest(
    world: made.World, cast: Cast, now: datetime
) -> None:
    """That it should have started by then does not say that it can: its hosts may have no window before the freeze."""
    sundays(world.hosts, now)
    rfc = made.evaluating(world)
    frozen(cast, now, sunday(now), sunday(now) + HOUR)

    def sentence(start_by: datetime | None) -> str:
        rfc.start_by = start_by
        (found,) = find_conflicts(rfc, at=now)
        return str(found.sentence)

    after = "delays only what is left to do by then."
    for start_by in (now - HOUR, sunday(now), sunday(now) + HOUR, None):
        assert sentence(start_by).endswith("lets no normal change start and delays it.")
    FreezeWindow.objects.update(starts_at=sunday(now, 1), ends_at=sunday(now, 1) + HOUR)
    assert sentence(None).endswith(after), "each host has a window before it"


def test_an_emergency_passes_the_freeze(world: made.World, cast: Cast, now: datetime) -> None:
    sundays(world.hosts, now)
    frozen(cast, now, now, now + timedelta(days=60))
    assert kinds(made.submitted(world, kind="emergency"), now) == []


def test_targets_that_will_not_fit_are_named_before_approval(world: made.World, cast: Cast, now: datetime) -> None:
    one, two, three = world.hosts
    window = sundays([one], now)
    sundays([two], now, length_minutes=20)
    rfc = made.evaluating(world)
    fit = fit_of(rfc, at=now)
    assert fit.fits == {one.pk: sunday(now)}
    assert fit.unfit == {
        two.pk: "None of its openings is 30 minutes long.",
        three.pk: "It is in no service window.",
    }
    (found,) = find_conflicts(rfc, at=now)
    assert (found.kind, found.denies, found.hosts) == (ConflictKind.WINDOW, False, 2)
    revisions.revise(rfc_id=rfc.pk, window_ids=[window.pk], actor=cast.ann, at=now)
    assert fit_of(rfc, at=now).unfit[two.pk] == "None of its windows is one of this change."


def test_it_is_asked_again_after_an_edit_and_before_the_start(world: made.World, cast: Cast, now: datetime) -> None:
    sundays(world.hosts, now)
    rfc = made.authorized(world)
    frozen(cast, now, now, now + timedelta(days=500))
    assert kinds(rfc, now) == [("window", True), ("freeze", False)]
    with pytest.raises(Blocked) as refused:
        rfcs.begin(rfc_id=rfc.pk, actor=cast.rex, at=now)
    assert [b.code for b in refused.value.blockers] == ["conflict.window"]
    edited = made.evaluating(world)
    revisions.revise(rfc_id=edited.pk, not_after=now + timedelta(days=2), actor=cast.ann, at=now)
    assert kinds(edited, now)[0] == ("window", True)


def test_a_slot_is_refused_in_a_freeze_and_given_back_by_its_holder(
    world: made.World, cast: Cast, now: datetime
) -> None:
    window = sundays(world.hosts, now)
    rfc = made.authorized(world)
    freeze = frozen(cast, now, sunday(now), sunday(now) + HOUR)
    with pytest.raises(Blocked) as refused:
        book(rfc, window, sunday(now), cast.rex)
    assert (refused.value.blockers[0].code, refused.value.blockers[0].where) == (
        "slot.freeze",
        freeze.get_absolute_url(),
    )
    with pytest.raises(NotAllowed):
        book(rfc, window, sunday(now, 1), cast.ann)
    (first,) = book(rfc, window, sunday(now, 1), cast.rex)
    assert book(rfc, window, sunday(now, 1), cast.rex) == [first]
    (second,) = book(rfc, window, sunday(now, 2), cast.rex)
    assert list(ChangeSlot.objects.live()) == [second]
    assert slots.give_back(rfc_id=rfc.pk, holder="REL-1", reason="Cancelled.", actor=cast.rex, at=now) == 1
    assert slots.give_back(rfc_id=rfc.pk, holder="REL-1", reason="Cancelled.", actor=cast.rex, at=now) == 0
    assert not ChangeSlot.objects.live().exists()


def test_the_number_of_questions_does_not_grow(world: made.World, cast: Cast, now: datetime) -> None:
    sundays(world.hosts, now)
    rfc = made.evaluating(world)
    counts = []
    for _ in range(2):
        for _more in range(3):
            made.evaluating(world)
        with CaptureQueriesContext(connection) as seen:
            find_conflicts(rfc, at=now)
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_a_change_with_the_same_update_comes_first_and_one_in_review_conflicts_no_longer(
    world: made.World, now: datetime
) -> None:
    window = sundays(world.hosts, now)
    another = made.make_update("curl", at=now, hosts=world.hosts)
    made.authorized(world, update_ids=[another.pk])
    mine, twin = made.evaluating(world), made.authorized(world)
    first, second = find_conflicts(mine, at=now)
    assert (first.other_id, first.duplicate, second.duplicate) == (twin.pk, True, False)
    assert "the same update, on 3 of the same hosts" in first.sentence
    RFC.objects.filter(pk=twin.pk).update(state="in_review")
    assert [conflict.duplicate for conflict in find_conflicts(mine, at=now)] == [False]
    RFC.objects.filter(pk=twin.pk).update(state="authorized")
    book(twin, window, sunday(now), world.cast.rex)
    RFC.objects.filter(pk=twin.pk).update(state="in_review")
    assert [conflict.duplicate for conflict in find_conflicts(mine, at=now)] == [True, False], "it holds a slot"
