"""Freezes out of an iCalendar file: each event that can be one is declared by the usual verb; the others say why not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from changes.domain import freezes
from changes.models import FreezeWindow
from cmdb.sources import ics
from patchflow.kernel import workflow
from patchflow.kernel.blockers import english, sentences
from patchflow.kernel.errors import Invalid, NotAllowed, Refusal
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing


@dataclass(frozen=True, slots=True)
class Line:
    """An event and what became of it: the freeze once it is declared, or the reason why it is none."""

    entry: ics.Entry
    freeze: FreezeWindow | None = None
    problem: str = ""

    @property
    def made(self) -> int | None:
        """The id of the freeze that was declared."""
        return self.freeze.pk if self.freeze else None


def preview(*, content: bytes, zone: str, actor: User, at: datetime) -> list[Line]:
    """What the events would become; nothing is saved. Needs freeze.declare; raises Invalid for a file that cannot be read."""
    if refused := failing([capability("freeze.declare")], None, actor):
        raise NotAllowed(refused)
    return [Line(entry, problem=_problem(entry, at)) for entry in _read(content, zone)]


@workflow.verb("change.freeze.declared")
def take_over(
    *, content: bytes, zone: str, numbers: Collection[int], reason: str, actor: User, at: datetime,
    passes: Sequence[str] | None = None,
) -> list[Line]:  # fmt: skip
    """Declares freezes of the chosen events (`numbers`, counted from 1), with `reason` where an event has no description.
    What is refused is told beside the others, which are declared. Needs freeze.declare."""
    lines = []
    for line in preview(content=content, zone=zone, actor=actor, at=at):
        if line.entry.number not in numbers:
            line = replace(line, problem=line.problem or english("Left out."))
        elif not line.problem:
            line = _declared(line.entry, reason, passes, actor, at)
        lines.append(line)
    return lines


def _read(content: bytes, zone: str) -> list[ics.Entry]:
    try:
        return ics.read(content, zone=zone)
    except ics.UnreadableCalendar as error:
        raise Invalid(str(error), code="invalid.file") from error


def _problem(entry: ics.Entry, at: datetime) -> str:
    if entry.problem:
        return entry.problem
    if entry.repeat is not None:
        return english("It repeats; a freeze is one span.")
    if entry.starts_at is None or entry.ends_at is None or entry.ends_at <= at:
        return english("It is over.")
    same = FreezeWindow.objects.filter(name=entry.name, starts_at=entry.starts_at, ends_at=entry.ends_at)
    return english("It is declared already.") if same.filter(lifted_at__isnull=True).exists() else ""


def _declared(entry: ics.Entry, reason: str, passes: Sequence[str] | None, actor: User, at: datetime) -> Line:
    try:
        if entry.starts_at is None or entry.ends_at is None:
            raise Invalid("It has no span.", code="invalid.ends_at")
        with transaction.atomic():
            made = freezes.declare(
                name=entry.name, reason=entry.description or reason, starts_at=entry.starts_at, ends_at=entry.ends_at,
                passes=passes, actor=actor, at=at,
            )  # fmt: skip
    except Refusal as refusal:
        return Line(entry, problem=sentences(refusal.blockers))
    return Line(entry, made)
