"""Reasons: why a verb is refused now, said the same way on the page, over REST and in the exception."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Tone = Literal["wait", "bad", "unknown"]


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason against a verb.

    `code` is stable and dotted (`rfc.plan_missing`); `sentence` is for people, with figures; `where` is the address of
    the place that clears it, or empty; `tone` says whether time or a person clears it (wait), it was denied (bad), or
    the gate could not be evaluated (unknown: denies like the others, law 4).
    """

    code: str
    sentence: str
    where: str = ""
    tone: Tone = "bad"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return self.sentence


def sentences(blockers: Iterable[Blocker]) -> str:
    """The reasons as one line."""
    return " ".join(b.sentence for b in blockers)
