"""What a rollout does next, as a pure function: no rows, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releases.enums_rollout import BAD, LIVE, JobState, RingState, RolloutState
from releases.planning import (
    Claim,
    Complete,
    EndStopped,
    Expire,
    FailRing,
    Halt,
    NotifyRing,
    PassRing,
    RingView,
    RolloutView,
    SkipRing,
    SoakRing,
    StartRing,
    Withdraw,
    next_actions,
)

NOW = datetime(2026, 11, 18, 9, 42, tzinfo=UTC)


def ring(number: int = 1, state: str = "running", **given: Any) -> RingView:
    counts = given.pop("counts", {"pending": 4})
    given = {"concurrency": 2, "failure_limit": 2, "success_percent": 75, "due": counts.get("pending", 0), **given}
    return RingView(number, f"r{number}", state, counts=counts, **given)


def actions(*rings: RingView, state: str = "running", is_open: bool = True, expired: bool = False) -> list[Any]:
    return next_actions(RolloutView(7, state, is_open, rings, expired), NOW)


def kinds(found: list[Any]) -> list[type]:
    return [type(a) for a in found]


def test_the_first_ring_starts_when_the_gates_are_open() -> None:
    assert actions(ring(1, "pending"), ring(2, "pending")) == [NotifyRing(1)]
    assert actions(ring(1, "notified"), ring(2, "pending")) == [StartRing(1)]
    assert actions(ring(1, "pending"), is_open=False) == []
    assert actions(ring(1, "notified"), is_open=False) == []


def test_a_ring_lets_through_as_many_as_are_free_and_due() -> None:
    assert actions(ring(counts={"pending": 4})) == [Claim(1, 2)]
    assert actions(ring(counts={"pending": 4, "installing": 1})) == [Claim(1, 1)]
    assert actions(ring(counts={"pending": 3, "installing": 1, "unknown": 1}, failure_limit=9)) == []
    assert actions(ring(counts={"pending": 4}, due=1)) == [Claim(1, 1)]
    assert actions(ring(counts={"pending": 4}), is_open=False) == []


@pytest.mark.parametrize("bad", BAD)
def test_each_kind_of_bad_counts_against_the_limit(bad: str) -> None:
    assert kinds(actions(ring(counts={"pending": 2, bad: 1}))) == [Claim]
    assert kinds(actions(ring(counts={"pending": 2, bad: 2}))) == [FailRing, Halt]


def test_a_ring_whose_hosts_have_all_ended_is_judged_by_those_that_reported() -> None:
    assert actions(ring(counts={"succeeded": 3, "failed": 1, "refused": 5})) == [SoakRing(1)]
    assert kinds(actions(ring(counts={"succeeded": 2, "failed": 1}))) == [FailRing, Halt]
    assert actions(ring(counts={"not_needed": 2})) == [SoakRing(1)]


def test_a_ring_of_which_nobody_reported_proves_nothing() -> None:
    assert kinds(actions(ring(counts={"refused": 4}))) == [FailRing, Halt]
    assert kinds(actions(ring(counts={"lost": 1, "cancelled": 3}))) == [FailRing, Halt]


def test_a_ring_that_proves_too_little_is_not_promoted() -> None:
    """3 of 3 is no 80 %: the reason says what they prove, and how many it would take."""
    asked = {"bound_percent": 80, "confidence_percent": 95}
    found = actions(ring(counts={"succeeded": 3}, **asked))
    assert kinds(found) == [FailRing, Halt]
    assert found[0].cause == (
        "Ring r1: 3 of 3 that reported succeeded, so that at least 52 % do with 95 % confidence; 80 % are asked, and with 0 failed "
        "they take 11 hosts that reported."
    )
    assert actions(ring(counts={"succeeded": 11}, **asked)) == [SoakRing(1)]
    assert actions(ring(counts={"succeeded": 19, "failed": 1}, **asked)) == [SoakRing(1)]
    worse = ring(1, "soaking", counts={"succeeded": 18, "failed": 2}, soak_until=NOW, failure_limit=9, **asked)
    assert kinds(actions(worse)) == [FailRing, Halt]


def test_a_ring_that_did_not_try_a_class_of_machine_is_not_promoted() -> None:
    """All succeeded, and still: of one class that follows no host did."""
    asked = {"class_hosts": 1, "classes": {"arm": 0, "kvm": 9}, "counts": {"succeeded": 9}}
    found = actions(ring(**asked))
    assert kinds(found) == [FailRing, Halt]
    assert found[0].cause == (
        "Ring r1: too few good hosts so far of 1 of 2 classes of machine that are asked for the next rings: arm (0 of 1)."
    )
    assert actions(ring(**{**asked, "classes": {"arm": 1, "kvm": 8}})) == [SoakRing(1)]
    assert kinds(actions(ring(**{**asked, "class_hosts": 2, "classes": {"arm": 1, "kvm": 8}}))) == [FailRing, Halt]
    assert kinds(actions(ring(1, "soaking", soak_until=NOW, **asked))) == [FailRing, Halt]
    assert actions(ring(1, "soaking", soak_until=NOW, accepted_partly=True, **asked)) == [PassRing(1)]
    assert kinds(actions(ring(**{**asked, "counts": {"succeeded": 8, "pending": 1}}))) == [Claim]


def test_a_watched_ring_passes_after_its_time_and_fails_by_what_shows_later() -> None:
    good = {"succeeded": 4}
    assert actions(ring(1, "soaking", counts=good, soak_until=NOW + timedelta(seconds=1))) == []
    assert actions(ring(1, "soaking", counts=good, soak_until=NOW)) == [PassRing(1)]
    worse = {"succeeded": 2, "failed": 2}
    assert kinds(actions(ring(1, "soaking", counts=worse, soak_until=NOW))) == [FailRing, Halt]
    accepted = ring(1, "soaking", counts=worse, soak_until=NOW, accepted_partly=True)
    assert actions(accepted) == [PassRing(1)]


def test_the_next_ring_waits_for_the_one_before() -> None:
    watched = ring(1, "soaking", counts={"succeeded": 1}, soak_until=NOW + timedelta(hours=1))
    assert actions(watched, ring(2, "notified")) == []
    assert actions(ring(1, "passed", counts={"succeeded": 1}), ring(2, "notified")) == [StartRing(2)]


def test_the_people_of_the_next_ring_are_told_while_the_one_before_is_watched() -> None:
    watched = ring(1, "soaking", counts={"succeeded": 1}, soak_until=NOW + timedelta(hours=1))
    assert actions(watched, ring(2, "pending"), ring(3, "pending")) == [NotifyRing(2)]
    assert actions(watched, ring(2, "notified"), ring(3, "pending")) == []
    assert actions(watched, ring(2, "pending", counts={"cancelled": 2})) == []
    assert actions(watched, ring(2, "pending"), is_open=False) == []


def test_a_failed_ring_stands_in_the_way_until_somebody_decides() -> None:
    assert kinds(actions(ring(1, "failed"), ring(2, "pending"))) == [Halt]


def test_a_ring_of_which_nothing_is_left_is_left_out() -> None:
    assert actions(ring(1, "passed", counts={"succeeded": 1}), ring(2, "pending", counts={"cancelled": 3})) == [
        SkipRing(2)
    ]


def test_the_end_says_how_much_was_reached() -> None:
    done = ring(1, "passed", counts={"succeeded": 3, "not_needed": 1})
    assert actions(done) == [Complete("full")]
    assert actions(done, ring(2, "skipped", counts={"cancelled": 1})) == [Complete("partial")]
    assert actions(ring(1, "passed", counts={"failed": 1}, accepted_partly=True)) == [Complete("failed")]
    assert actions(ring(1, "passed", counts={"succeeded": 3, "unknown": 1})) == []


def test_a_stopping_rollout_withdraws_then_waits_for_what_is_at_work() -> None:
    assert actions(ring(counts={"pending": 1, "installing": 1}), state="stopping") == [Withdraw(1)]
    assert actions(ring(counts={"installing": 1, "cancelled": 1}), state="stopping") == []
    assert actions(ring(counts={"unknown": 1}), state="stopping") == []
    assert actions(ring(counts={"succeeded": 1, "cancelled": 1}), state="stopping") == [EndStopped("partial")]


def test_past_the_latest_start_nobody_waits_in_silence() -> None:
    rings = (ring(1, "running", counts={"pending": 1}), ring(2, "pending", counts={"pending": 2}))
    assert actions(*rings, expired=True) == [Expire(1), Expire(2)]
    assert actions(*rings, expired=True, is_open=False) == [Expire(1), Expire(2)]


@pytest.mark.parametrize("state", ["planned", "paused", "halted", "stopped", "completed", "cancelled"])
def test_only_running_and_stopping_rollouts_do_anything(state: str) -> None:
    assert actions(ring(1, "pending"), state=state) == []


counts = st.dictionaries(st.sampled_from([s.value for s in JobState]), st.integers(0, 6), max_size=6)
views = st.builds(
    RingView, id=st.just(1), name=st.just("r"), state=st.sampled_from([s.value for s in RingState]), concurrency=st.integers(1, 4),
    failure_limit=st.integers(1, 4), success_percent=st.integers(1, 100), soak_until=st.sampled_from([None, NOW, NOW + timedelta(1)]),
    accepted_partly=st.booleans(), due=st.integers(0, 6), counts=counts, class_hosts=st.integers(0, 2),
    classes=st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)),
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(views, max_size=4), st.sampled_from([s.value for s in RolloutState]), st.booleans(), st.booleans())
def test_nothing_is_let_through_past_a_limit(rings: list[RingView], state: str, is_open: bool, expired: bool) -> None:
    """Whatever the snapshot: no claim unless running and open, in one ring, within its concurrency, under its failure limit,
    with every ring before it passed or left out."""
    rings = [RingView(**{**{f: getattr(r, f) for f in RingView.__slots__}, "id": n}) for n, r in enumerate(rings)]
    found = next_actions(RolloutView(1, state, is_open, tuple(rings), expired), NOW)
    for action in found:
        if isinstance(action, SoakRing | PassRing) and not rings[action.ring_id].accepted_partly:
            judged = rings[action.ring_id]
            assert all(good >= judged.class_hosts for good in judged.classes.values()), "an untried class was promoted"
    claims = [a for a in found if isinstance(a, Claim)]
    assert len(claims) <= 1
    for claim in claims:
        one = rings[claim.ring_id]
        assert (state, is_open, one.state) == ("running", True, "running")
        assert one.bad < one.failure_limit
        assert 0 < claim.count <= one.due
        assert sum(one.counts.get(s, 0) for s in LIVE) + claim.count <= one.concurrency
        assert all(r.state in ("passed", "skipped") for r in rings[: claim.ring_id])
