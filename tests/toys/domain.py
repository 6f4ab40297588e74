"""Gates, a plain verb, and a sign-off subject for the toys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from patchflow.kernel.registry import SignOffSubject, gate, signoff_subjects
from patchflow.kernel.workflow import lock, verb
from tests.toys.models import Ball, Box, Page


@gate("toys.box", "open")
def box_is_unlocked(box: Box, *, actor: User, at: datetime, facts: dict[str, Any]) -> list[Blocker]:
    if box.name == "broken":
        raise ZeroDivisionError("the gate itself is broken")
    return [Blocker("box.locked", "The box is locked.", where="/key/")] if box.locked else []


@gate("toys.ball", "throw")
def only_red_balls_fly(ball: Ball, *, actor: User, at: datetime, facts: dict[str, Any]) -> list[Blocker]:
    if ball.color != "red":
        return [Blocker("ball.color", "Only red balls fly.")]
    if meanwhile := facts.get("meanwhile"):  # what another writes after the door has read the row
        Ball.objects.filter(pk=ball.pk).update(**meanwhile)
    return []


@verb("toy.box.renamed", Box, "box_id")
def rename(*, box_id: int, name: str, actor: User, at: datetime) -> Box:
    box = lock(Box, box_id)
    if not name:
        raise Invalid("A box needs a name.", code="box.name")
    old, box.name = box.name, name
    box.save(update_fields=["name"])
    audit.record(box, "toy.box.renamed", actor=actor, at=at, detail={"from": old, "to": name})
    return box


def _outcome(name: str) -> Any:
    def note(page: Page, _round: Any, *, actor: User, at: datetime) -> None:
        Page.objects.filter(pk=page.pk).update(outcome=f"{name} by {actor}")

    return note


signoff_subjects.add(
    "toys.page",
    SignOffSubject(
        label="toys.page",
        document=lambda page: {"text": page.text},
        excluded=lambda page: {page.author_id: "You wrote this page."},
        capability="rfc.approve",
        on_passed=_outcome("passed"),
        on_refused=_outcome("refused"),
        on_expired=_outcome("expired"),
        on_voided=_outcome("voided"),
        not_now=lambda page: [Blocker("page.held", "The page is on hold.", tone="wait")] if page.held else [],
    ),
)
