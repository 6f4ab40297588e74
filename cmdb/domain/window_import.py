"""Windows out of an iCalendar file: each event that can be one becomes a window by the usual verb; the others say why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from cmdb.domain import windows
from cmdb.domain.permission import demand
from cmdb.enums import Recurrence
from cmdb.models import HostGroup, ServiceWindow
from cmdb.sources import ics
from patchflow.kernel import workflow
from patchflow.kernel.blockers import english, sentences
from patchflow.kernel.errors import Invalid, NotAllowed, Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability

LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Line:
    """An event and what became of it: the window (not saved in a preview), or the reason why it is none."""

    entry: ics.Entry
    window: ServiceWindow | None
    problem: str = ""

    @property
    def made(self) -> int | None:
        """The id of the window that was saved."""
        return self.window.pk if self.window else None


def preview(*, content: bytes, zone: str, actor: User, at: datetime) -> list[Line]:
    """What the events would become; nothing is saved. Needs window.edit somewhere; raises Invalid for a file that cannot be
    read."""
    if not actor.holds_somewhere("window.edit"):
        raise NotAllowed(capability("window.edit").refusal())
    taken = set(ServiceWindow.objects.all().live().values_list("name", flat=True))
    lines = []
    for entry in _read(content, zone):
        line = _line(entry, actor)
        if line.window is not None and entry.name in taken:
            line = Line(entry, None, english("There is a window named %(name)s already.", name=entry.name))
        elif line.window is not None:
            taken.add(entry.name)
        lines.append(line)
    return lines


@workflow.verb("cmdb.window.added")
def take_over(
    *, content: bytes, zone: str, numbers: Collection[int], group_ids: Iterable[int], actor: User, at: datetime,
    cutoff_minutes: int = 0,
) -> list[Line]:  # fmt: skip
    """Makes windows of the chosen events (`numbers`, counted from 1), for these groups. What is refused is told beside the
    others, which are saved. Needs window.edit for each group (everywhere, if none)."""
    groups = list(group_ids)
    for group in HostGroup.objects.filter(pk__in=groups) if groups else [None]:
        demand("window.edit", group, actor)
    lines = []
    for entry in _read(content, zone):
        if entry.number not in numbers:
            lines.append(Line(entry, None, english("Left out.")))
        elif entry.problem:
            lines.append(Line(entry, None, entry.problem))
        else:
            lines.append(_made(entry, groups, cutoff_minutes, actor, at))
    return lines


def _read(content: bytes, zone: str) -> list[ics.Entry]:
    try:
        return ics.read(content, zone=zone)
    except ics.UnreadableCalendar as error:
        raise Invalid(str(error), code="invalid.file") from error


def _made(entry: ics.Entry, groups: list[int], cutoff: int, actor: User, at: datetime) -> Line:
    try:
        fields = fields_of(entry)
        with transaction.atomic():
            made = windows.add(name=entry.name, cutoff_minutes=cutoff, group_ids=groups, actor=actor, at=at, **fields)
    except Refusal as refusal:
        return Line(entry, None, sentences(refusal.blockers))
    return Line(entry, made)


def _line(entry: ics.Entry, actor: User) -> Line:
    if entry.problem:
        return Line(entry, None, entry.problem)
    try:
        return Line(entry, windows.proposed(actor=actor, **fields_of(entry)))
    except Refusal as refusal:
        return Line(entry, None, sentences(refusal.blockers))


def fields_of(entry: ics.Entry) -> dict[str, Any]:
    """What `windows.add` is told of an event; a single one is a weekly window whose first day is its last."""
    start, end = entry.starts_local, entry.ends_at
    if start is None or end is None or end - start > LONGEST:
        raise Invalid("A window lasts seven days at most.", code="invalid.length_minutes")
    repeat = entry.repeat
    monthly = repeat is not None and repeat.nth is not None
    return {
        "recurrence": Recurrence.MONTHLY if monthly else Recurrence.WEEKLY,
        **({"nth": repeat.nth} if repeat is not None and monthly else {}),
        "weekday": start.weekday(),
        "starts_local": start.time().replace(second=0, microsecond=0),
        "zone": entry.zone,
        "length_minutes": int((end - start).total_seconds() // 60),
        "from_on": start.date(),
        "until_on": repeat.until if repeat is not None else start.date(),
    }
