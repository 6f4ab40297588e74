"""Which classes of machine a ring must have tried: asked of those that follow in production, and never of the unknown."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releases.diversity import Machine, Rule, Trial, short_of, trial_of, trials, tried, untriable

USUAL, MUST, NONE = Rule(1), Rule(1, must=True), Rule(0)


def place(*labels: str, production: bool = True) -> list[Machine]:
    return [Machine(label, production) for label in labels]


def test_the_usual_rule_asks_what_the_rings_so_far_have_and_names_what_they_have_not() -> None:
    pilot, early, rest = place("kvm"), place("metal", production=False), place("kvm", "metal", "arm", "arm", "")
    first, second, last = trials([USUAL] * 3, [pilot, early, rest])
    assert first == Trial(1, False, ("kvm",), (("arm", 2), ("metal", 1)), unknown=1)
    assert second == Trial(1, False, ("kvm", "metal"), (("arm", 2),), unknown=1)
    assert last is None


def test_a_must_asks_every_class_that_follows_in_production_and_says_what_it_lacks() -> None:
    (trial, _last) = trials([MUST, USUAL], [place("kvm"), [*place("arm"), *place("desk", production=False)]])
    assert trial == Trial(1, True, ("arm",), (("arm", 1),))
    (why,) = untriable("Pilot", trial)
    assert why.code == "release.rings.untried"
    assert "of 1 class it and the rings before it have too few hosts (arm × 1)" in why.sentence
    (met, _last) = trials([MUST, USUAL], [place("arm"), place("arm")])
    assert met is not None
    assert met.possible
    assert untriable("Pilot", met) == []


def test_two_hosts_of_which_nobody_knows_the_class_prove_nothing_of_each_other() -> None:
    (trial, _last) = trials([MUST, USUAL], [place("", ""), place("", "")])
    assert trial == Trial(1, True, (), (), unknown=2)
    (why,) = untriable("Pilot", trial)
    assert (why.code, why.tone) == ("release.rings.class_unknown", "unknown")
    assert "of 2 hosts there it is not known: scan them" in why.sentence


def test_nothing_is_asked_by_a_ring_that_says_so_or_that_no_production_follows() -> None:
    assert trials([NONE, USUAL], [place("kvm"), place("kvm")]) == [None, None]
    assert trials([MUST, MUST], [place("kvm"), place("arm", production=False)]) == [None, None]


def test_hosts_of_a_class_add_up_over_the_rings() -> None:
    two = Rule(2)
    first, second, _last = trials([two] * 3, [place("kvm"), place("kvm"), place("kvm")])
    assert first == Trial(2, False, (), (("kvm", 2),))
    assert second == Trial(2, False, ("kvm",))


def test_what_was_accepted_as_it_was_is_asked_again_only_of_a_ring_that_has_hosts_of_it() -> None:
    asked = ("arm", "kvm")
    assert tried(asked, {"kvm": 2}) == {"arm": 0, "kvm": 2}
    assert tried(asked, {"kvm": 2}, waived=asked) == {}
    assert tried(asked, {"kvm": 2}, waived=asked, here={"arm"}) == {"arm": 0}
    assert short_of({"arm": 0, "kvm": 2}, 1) == ["arm"]


def test_a_manifest_says_it_and_one_from_before_asks_nothing() -> None:
    trial = Trial(2, True, ("kvm",), (("arm", 3),), unknown=1)
    assert trial_of({"ring": 0, "classes": trial.entry()}) == trial
    assert trial_of({"ring": 0}) is None


labels = st.sampled_from(["", "a", "b", "c", "d"])
hosts = st.lists(st.builds(Machine, label=labels, production=st.booleans()), max_size=6)
rules = st.builds(Rule, least=st.integers(0, 3), must=st.booleans())


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(rules, hosts), min_size=1, max_size=4))
def test_every_production_host_that_follows_is_asked_for_or_named(plan: list[tuple[Rule, list[Machine]]]) -> None:
    """Whatever the plan: of each class that follows it is asked, or it is named as untried, or counted as unknown; and what the
    usual rule asks can be met."""
    places = [one for _rule, one in plan]
    for number, trial in enumerate(trials([rule for rule, _hosts in plan], places)):
        after = [one.label for later in places[number + 1 :] for one in later if one.production]
        if trial is None:
            assert not plan[number][0].least or not after
            continue
        assert set(trial.asked) | {label for label, _n in trial.untried} == set(after) - {""}
        assert trial.unknown == after.count("")
        assert all(after.count(label) == count for label, count in trial.untried)
        so_far = [one.label for earlier in places[: number + 1] for one in earlier]
        short = {label for label, _n in trial.untried}
        assert all((so_far.count(label) < trial.least) == (label in short) for label in set(after) - {""})
        assert trial.must or not short & set(trial.asked)


@pytest.mark.parametrize(("least", "short"), [(1, ["b"]), (2, ["a", "b"]), (0, [])])
def test_so_many_good_hosts_are_needed(least: int, short: list[str]) -> None:
    assert short_of({"a": 1, "b": 0}, least) == short
