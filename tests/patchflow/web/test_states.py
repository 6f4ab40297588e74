"""One look for a state everywhere."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from patchflow.kernel.enums import RoundState
from patchflow.kernel.models import SignOffRound
from patchflow.web import states
from patchflow.web.states import Look


@pytest.fixture
def machine() -> str:
    states.register("tests.machine", {"draft": ("st-open", "draft"), "halted": ("st-bad", "halted", "x-dash")})
    return "tests.machine"


def test_a_look_has_class_word_icon_and_shape(machine: str) -> None:
    assert states.look(machine, "draft") == Look("st-open", "draft", "x-empty", "open")
    assert states.look("Tests.Machine", "halted") == Look("st-bad", "halted", "x-dash", "bad")


def test_what_nobody_registered_is_shown_as_unknown_never_as_good(machine: str) -> None:
    assert states.look(machine, "invented") == Look("st-unk", "invented")
    assert states.look("tests.nothing", None) == Look("st-unk", "–")


def test_the_same_look_may_be_registered_again_another_may_not(machine: str) -> None:
    states.register(machine, {"draft": ("st-open", "draft")})
    with pytest.raises(ValueError, match="registered twice"):
        states.register(machine, {"draft": ("st-good", "draft")})


@pytest.mark.parametrize("wrong", [("st-fine", "fine"), ("st-open", "fine", "x-blob")])
def test_only_the_seven_classes_and_the_known_shapes_are_taken(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"st-fine|x-blob"):
        states.register("tests.wrong", {"fine": wrong})  # type: ignore[dict-item]


def test_missing_names_the_states_without_a_look(machine: str) -> None:
    assert states.missing(machine, ["draft", "halted", "gone"]) == ["gone"]


def test_look_of_reads_the_state_of_an_object(machine: str) -> None:
    thing = SimpleNamespace(_meta=SimpleNamespace(label_lower=machine), state="halted")
    assert states.look_of(thing).label == "halted"


def test_every_class_has_its_own_icon_and_shape() -> None:
    assert len(set(states.ICONS.values())) == len(set(states.SHAPE_OF.values())) == len(states.ICONS) == 7


def test_every_state_of_a_round_has_a_look() -> None:
    assert states.missing(SignOffRound._meta.label_lower, RoundState.values) == []
