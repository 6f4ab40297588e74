"""One look for a state everywhere: colour, icon and word always together.

Every app says once how the states of its machines look; templates know no state names:

    states.register("changes.rfc", {
        "draft": ("st-open", _("draft")),
        "awaiting": ("st-wait", _("awaiting approval")),
        "pending": ("st-open", _("pending"), "x-empty"),
    })

The third part, a shape, is needed only where a state is drawn as a cell of a rollout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise

from patchflow.kernel import fsm

ICONS: Final[dict[str, str]] = {
    "st-open": "open",
    "st-wait": "wait",
    "st-run": "run",
    "st-good": "good",
    "st-warn": "warn",
    "st-bad": "bad",
    "st-unk": "unk",
}
"""The seven classes and the icon of each (nothing due, a person or a time must come, at work, proven, goes on but look,
broken or denied, nobody knows)."""

SHAPES: Final = frozenset(
    f"x-{name}"
    for name in (
        "empty",
        "dot",
        "quarter",
        "half",
        "three",
        "most",
        "check",
        "cross",
        "dash",
        "clock",
        "alert",
        "query",
    )
)
"""The shapes of cells; each can be told from the others without its colour."""

SHAPE_OF: Final[dict[str, str]] = {
    "st-open": "x-empty",
    "st-wait": "x-dot",
    "st-run": "x-half",
    "st-good": "x-check",
    "st-warn": "x-alert",
    "st-bad": "x-cross",
    "st-unk": "x-query",
}

Label = str | Promise


@dataclass(frozen=True, slots=True)
class Look:
    """How one state is shown: `css` is one of the seven classes, `label` the word, `shape` that of its cell."""

    css: str
    label: Label
    shape: str = ""
    icon: str = ""

    def __post_init__(self) -> None:
        if self.css not in ICONS:
            raise ValueError(f"{self.css!r} is not one of the seven state classes: {', '.join(ICONS)}")
        if self.shape and self.shape not in SHAPES:
            raise ValueError(f"{self.shape!r} is not a cell shape: {', '.join(sorted(SHAPES))}")
        object.__setattr__(self, "shape", self.shape or SHAPE_OF[self.css])
        object.__setattr__(self, "icon", self.icon or ICONS[self.css])


_looks: dict[str, dict[str, Look]] = {}


def register(machine: str, table: Mapping[str, Look | tuple[str, Label] | tuple[str, Label, str]]) -> None:
    """Says how the states of `machine` ("changes.rfc": the model's label in lower case) look. Said once per state."""
    known = _looks.setdefault(machine.lower(), {})
    for state, look in table.items():
        entry = look if isinstance(look, Look) else Look(*look)
        if known.get(str(state), entry) != entry:
            raise ValueError(f"state {state!r} of {machine!r} is registered twice, with different looks")
        known[str(state)] = entry


def look(machine: str, state: Any) -> Look:
    """How `state` of `machine` is shown. What nobody registered is shown as unknown under its own name."""
    found = _looks.get(machine.lower(), {}).get(str(state))
    return found or Look("st-unk", str(state) if state not in (None, "") else "–")


def is_known(machine: str, state: Any) -> bool:
    """Whether anybody said how `state` of `machine` looks."""
    return str(state) in _looks.get(machine.lower(), {})


def look_of(obj: Any) -> Look:
    """How the state of a model instance is shown; its machine is the model's label."""
    attribute = "state" if hasattr(obj, "state") else fsm.state_attribute(type(obj))
    return look(obj._meta.label_lower, getattr(obj, attribute))


def table(machine: str) -> dict[str, Look]:
    """Every registered state of `machine`, in the order of registration (for legends and filters)."""
    return dict(_looks.get(machine.lower(), {}))


def missing(machine: str, states: Iterable[str]) -> list[str]:
    """Those of `states` that have no look: for the tests of an app."""
    return [state for state in states if str(state) not in _looks.get(machine.lower(), {})]
