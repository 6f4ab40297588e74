"""What is queued in a window, as the apps above tell it: asked before an edit, and settled by the rule that its editor chose.

An app registers its `Work` under a name. `planned` is read under the lock of the window before anything changes, `settle`
runs in the transaction of the edit after it: what a preview shows is what the same code did, taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from cmdb.models import ServiceWindow
from patchflow.kernel.models import User
from patchflow.kernel.registry import Registry

Word = Literal["stays", "moved", "cancelled", "halted"]


@dataclass(frozen=True, slots=True)
class Queued:
    """One queued piece of work on a host, and what the edit makes of it. `opens`: when it would have run at the earliest;
    `becomes`: when it does now; None: not within this window's signed openings."""

    deployment: str
    url: str
    host_id: int
    host: str
    opens: datetime | None
    becomes: datetime | None
    word: Word
    why: str


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of a window that is under way. `before`: the window as it was, not saved; `rule`: a QueuedRule."""

    before: ServiceWindow
    window: ServiceWindow
    rule: str
    actor: User
    at: datetime


class Work(Protocol):
    """Work that waits for windows."""

    def planned(self, window: ServiceWindow, *, at: datetime) -> Any:
        """What is queued in this window as it stands now."""

    def settle(self, planned: Any, edit: Edit) -> list[Queued]:
        """Does to what was planned as the rule says, and tells it piece by piece."""


works: Registry[Work] = Registry("work in windows")


def planned(window: ServiceWindow, *, at: datetime) -> dict[str, Any]:
    """What every app has queued in this window."""
    return {name: works[name].planned(window, at=at) for name in works}


def settle(found: dict[str, Any], edit: Edit) -> list[Queued]:
    """What becomes of it."""
    return [one for name in works for one in works[name].settle(found[name], edit)]


def counted(rows: Sequence[Queued]) -> dict[str, int]:
    """How many stay, are moved, cancelled, halted."""
    return dict(sorted(Counter(row.word for row in rows).items()))
