"""What stands in the calendar. Each app contributes its kinds of entries; pages, REST and the iCalendar feed show them all.

@calendars.source("meeting")
def meetings(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]: ...

A kind's word and colour are registered as the look of `calendar` (`web.states.register("calendar", {"meeting": ...})`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from patchflow.kernel.registry import Registry

if TYPE_CHECKING:
    from patchflow.kernel.models import User

Source = Callable[..., Iterable["Entry"]]
sources: Registry[Source] = Registry("calendar source")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, [starts_at, ends_at); a mere date is an entry without length. `key` names it for ever ("freeze-7"). `missed`: it
    has passed without what it was for."""

    kind: str
    key: str
    title: str
    starts_at: datetime
    ends_at: datetime
    url: str = ""
    detail: str = ""
    missed: bool = False

    def touches(self, since: datetime, until: datetime) -> bool:
        """Whether some of it lies in [since, until)."""
        return self.starts_at < until and (self.ends_at > since or self.starts_at >= since)


def source(kind: str) -> Callable[[Source], Source]:
    """Registers `function(*, actor, since, until, at)`: the entries of a kind that touch the span and that `actor` may see at `at`."""
    return lambda function: sources.add(kind, function)


def entries(
    *, actor: User, since: datetime, until: datetime, at: datetime, kinds: Collection[str] | None = None
) -> list[Entry]:
    """What touches [since, until), as far as `actor` may see it now (`at`), in order of start; of these kinds only, if any are named."""
    wanted = [kind for kind in sources if kinds is None or kind in kinds]
    found = [
        e
        for kind in wanted
        for e in sources[kind](actor=actor, since=since, until=until, at=at)
        if e.touches(since, until)
    ]
    return sorted(found, key=lambda e: (e.starts_at, e.ends_at, e.kind, e.key))
