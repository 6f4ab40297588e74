"""Which classes of machine a ring must have tried before the next one starts. Pure: classes in, reasons out.

A class that production hosts of later rings have is tried by hosts of it in the rings so far. A host whose class is not
known is like no other: it is tried by none, and tries none (law 3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from patchflow.kernel.blockers import Blocker, english_n

USUAL_CLASS_HOSTS = 1
"""Good hosts of each class, where nothing else is said: of those classes that the rings so far have."""
MOST_CLASS_HOSTS = 1000
NAMED = 3
"""Classes that a sentence names; it counts all of them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A host on its ring. `label`: its class; empty: not known."""

    label: str
    production: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What a ring asks: `least` good hosts of each class (0: nothing). `must`: of every class that follows, or the plan is
    refused; else of those that the rings so far have."""

    least: int
    must: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """What a ring tries for those after it. `asked`: the classes; `untried`: (class, production hosts that have it) of those
    of which the rings so far have too few hosts; `unknown`: production hosts after it whose class nobody knows."""

    least: int
    must: bool
    asked: tuple[str, ...]
    untried: tuple[tuple[str, int], ...] = ()
    unknown: int = 0

    @property
    def possible(self) -> bool:
        """Whether every production host that follows can be tried for."""
        return not self.untried and not self.unknown

    def entry(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {
            "least": self.least, "must": self.must, "asked": list(self.asked), "unknown": self.unknown,
            "untried": [{"class": label, "hosts": hosts} for label, hosts in self.untried],
        }  # fmt: skip


def trial_of(entry: Mapping[str, Any]) -> Trial | None:
    """What the entry of a ring in a manifest asks; None: nothing (and nothing in a manifest from before it was known)."""
    said = entry.get("classes")
    if not said:
        return None
    untried = tuple((one["class"], one["hosts"]) for one in said["untried"])
    return Trial(said["least"], said["must"], tuple(said["asked"]), untried, said["unknown"])


def trials(rules: Sequence[Rule], places: Sequence[Sequence[Machine]]) -> list[Trial | None]:
    """What each ring asks, in order; None where it asks nothing, or no production host follows."""
    return [_trial(rule, places, number) for number, rule in enumerate(rules)]


def _trial(rule: Rule, places: Sequence[Sequence[Machine]], number: int) -> Trial | None:
    after = Counter(one.label for place in places[number + 1 :] for one in place if one.production)
    if not rule.least or not after:
        return None
    so_far = Counter(one.label for place in places[: number + 1] for one in place)
    unknown = after.pop("", 0)
    few = {label for label in after if so_far[label] < rule.least}
    asked = tuple(sorted(after if rule.must else set(after) - few))
    return Trial(rule.least, rule.must, asked, tuple((label, after[label]) for label in sorted(few)), unknown)


def untriable(name: str, trial: Trial) -> list[Blocker]:
    """Why a ring cannot try all that follows it; empty: it can."""
    found = []
    if trial.untried:
        said = english_n(
            "Ring %(name)s must try every class of machine of the next rings; of %(n)s class it and the rings before it have"
            " too few hosts (%(classes)s): move hosts of it into one of them, %(least)s at least, or ask nothing there (0).",
            "Ring %(name)s must try every class of machine of the next rings; of %(n)s classes it and the rings before it have"
            " too few hosts (%(classes)s): move hosts of each into one of them, %(least)s at least, or ask nothing there (0).",
            len(trial.untried),
            name=name,
            least=trial.least,
            classes=named(counted(trial)),
        )
        found.append(Blocker("release.rings.untried", said))
    if trial.unknown:
        said = english_n(
            "Ring %(name)s must try every class of machine of the next rings; of %(n)s host there it is not known: scan it, or"
            " say what it is, or ask nothing there (0).",
            "Ring %(name)s must try every class of machine of the next rings; of %(n)s hosts there it is not known: scan them,"
            " or say what they are, or ask nothing there (0).",
            trial.unknown,
            name=name,
        )
        found.append(Blocker("release.rings.class_unknown", said, tone="unknown"))
    return found


def counted(trial: Trial) -> list[str]:
    """The classes that are not tried, each with the number of production hosts that have it."""
    return [f"{label} × {hosts}" for label, hosts in trial.untried]


def tried(
    asked: Iterable[str], good: Mapping[str, int], *, waived: Collection[str] = (), here: Collection[str] = ()
) -> dict[str, int]:
    """Class that is asked → good hosts of it so far. `waived`: classes that an earlier ring asked which was accepted as it is:
    not asked again, but of a ring that has hosts of them (`here`)."""
    return {label: good.get(label, 0) for label in asked if label not in waived or label in here}


def short_of(classes: Mapping[str, int], least: int) -> list[str]:
    """The classes of which too few hosts are good."""
    return sorted(label for label, count in classes.items() if count < least)


def named(labels: Sequence[str]) -> str:
    """The first few of them."""
    return "; ".join([*labels[:NAMED], *(["…"] if len(labels) > NAMED else [])])
