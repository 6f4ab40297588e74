"""What apps tell the kernel at start: verbs, gates, sign-off subjects, sweeps, slices. Registered once, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from patchflow.kernel.blockers import Blocker

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named things; a name is taken once (registering the very same thing again is harmless)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T) -> T:
        if self._items.get(name, item) is not item:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._items[name] = item
        return item

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise KeyError(
                f"no {self.kind} named {name!r}; known: {', '.join(sorted(self._items)) or 'none'}"
            ) from None

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def get(self, name: str) -> T | None:
        return self._items.get(name)


# --- verbs -----------------------------------------------------------------------------------------------------------
VERBS: dict[str, str] = {}
"""Audited verb → what it says to a reader (`change.rfc.submitted` → "Submitted")."""


def verbs(**groups: dict[str, str]) -> None:
    """Registers audited verbs: `verbs(change__rfc={"submitted": "Submitted"})` names `change.rfc.submitted`."""
    for group, table in groups.items():
        for name, text in table.items():
            VERBS[f"{group.replace('__', '.')}.{name}"] = text


# --- gates -----------------------------------------------------------------------------------------------------------
Gate = Callable[..., list[Blocker]]
_gates: dict[str, list[Gate]] = {}


def gate(label: str, *transitions: str) -> Callable[[Gate], Gate]:
    """Contributes blockers to transitions: `@gate("changes.rfc", "submit")`, also from an app above.

    The function gets (object, actor=, at=, facts=) and returns reasons; an exception in it denies (law 4).
    """

    def register(function: Gate) -> Gate:
        for transition in transitions:
            gates = _gates.setdefault(f"{label}.{transition}", [])
            if function not in gates:
                gates.append(function)
        return function

    return register


def gated_transitions() -> list[str]:
    return sorted(_gates)


def gates_of(label: str, transition: str) -> list[Gate]:
    return _gates.get(f"{label}.{transition}", [])


# --- sign-off subjects ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SignOffSubject:
    """What a round may decide about: how its digest is made, who cannot sign, and the transition each outcome fires.

    `document(obj)` is what is signed; `excluded(obj)` maps user ids that may not sign to the reason; `capability` is what
    a voter must still hold at the moment of signing; `on_*` run in the transaction of the deciding verb, with
    (obj, round_, actor=, at=). `still_asked(obj, voter)`: whether who was asked as owner, or from a group, is that still.
    `not_now(obj)` gives the reasons why nobody may be asked or sign for the time being (a hold); a round that is open
    stays open, and its deadline runs on. `visible(actor)` gives the ids of the subjects that the actor may see,
    `emergency(obj)` whether the emergency board decides about it; `decide` is the verb of an app whose locks go beyond
    subject and round (default: `signoffs.decide`).
    """

    label: str
    document: Callable[[Any], Any]
    excluded: Callable[[Any], dict[int, str]]
    capability: str
    on_passed: Callable[..., Any]
    on_refused: Callable[..., Any]
    on_expired: Callable[..., Any]
    on_voided: Callable[..., Any] = field(default=lambda *_a, **_k: None)
    still_asked: Callable[[Any, Any], bool] = field(default=lambda _obj, _voter: True)
    not_now: Callable[[Any], list[Blocker]] = field(default=lambda _obj: [])
    url: Callable[[Any], str] = field(default=lambda _obj: "")
    visible: Callable[[Any], Any] = field(default=lambda _actor: ())
    emergency: Callable[[Any], bool] = field(default=lambda _obj: False)
    decide: Callable[..., Any] | None = None


signoff_subjects: Registry[SignOffSubject] = Registry("sign-off subject")

# --- sweeps: what looks for due rows -----------------------------------------------------------------------------------
Sweep = Callable[..., int]
sweeps: Registry[Sweep] = Registry("sweep")


def sweep(name: str) -> Callable[[Sweep], Sweep]:
    """Registers `function(*, now: datetime) -> int`: finds due rows, enqueues their ids, returns how many."""
    return lambda function: sweeps.add(name, function)


# --- scopes: for what a role may be granted, beside everywhere ----------------------------------------------------------
Scopes = Callable[[], dict[str, str]]
scopes: Registry[Scopes] = Registry("scope")
"""Kind → a function that gives the scopes there are: key (`group:7`) → name."""

# --- slices: one file each ------------------------------------------------------------------------------------------------
feeds: Registry[Any] = Registry("feed")
scanners: Registry[Any] = Registry("scanner")
executors: Registry[Any] = Registry("executor")

__all__ = [
    "SignOffSubject",
    "executors",
    "feeds",
    "gate",
    "gates_of",
    "scanners",
    "scopes",
    "signoff_subjects",
    "sweep",
    "sweeps",
    "verbs",
]
