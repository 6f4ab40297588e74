"""Two small machines: a gate-keeping box with a chain of its own, and bulk balls whose entries go to the box's chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, DueWork, User
from patchflow.kernel.registry import verbs
from patchflow.kernel.rules import capability, rule

verbs(
    toy__box={"opened": "Opened", "shut": "Shut", "renamed": "Renamed", "burned": "Burned"},
    toy__ball={"thrown": "Thrown", "caught": "Caught"},
)


class BoxState(models.TextChoices):
    SHUT = "shut"
    OPEN = "open"
    BURNED = "burned"


class BallState(models.TextChoices):
    LYING = "lying"
    FLYING = "flying"
    CAUGHT = "caught"


@rule("box.not_maker", "You made this box; somebody else opens it.")
def not_maker(box: Box, actor: User) -> bool:
    return box.maker_id != actor.pk


class Box(Audited):
    state = state_field(BoxState)
    maker = models.ForeignKey(User, models.PROTECT, related_name="+")
    name = models.CharField(max_length=40, default="")
    locked = models.BooleanField(default=False)
    opened_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name or "box"

    @transition(
        field=state,
        source=BoxState.SHUT,
        target=BoxState.OPEN,
        verb="toy.box.opened",
        allowed=[capability("rfc.approve"), not_maker],
        gated=True,
    )
    def open(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self.opened_at = at

    @transition(
        field=state,
        source=BoxState.OPEN,
        target=BoxState.SHUT,
        verb="toy.box.shut",
        allowed=[capability("rfc.approve")],
    )
    def shut(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self.opened_at = None

    @transition(
        field=state,
        source=[BoxState.SHUT, BoxState.OPEN],
        target=BoxState.BURNED,
        verb="toy.box.burned",
        allowed=[capability("rfc.approve")],
        dangerous=True,
    )
    def burn(self, *, actor: User, at: datetime, **facts: Any) -> None:
        if facts.get("explode"):
            raise RuntimeError("boom")


class Ball(DueWork):
    state = state_field(BallState)
    box = models.ForeignKey(Box, models.PROTECT, related_name="balls")
    color = models.CharField(max_length=10, default="red")
    speed = models.IntegerField(default=0)
    throws = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.color} ball"

    @property
    def audit_parent(self) -> Box:
        return self.box

    @transition(
        field=state,
        source=BallState.LYING,
        target=BallState.FLYING,
        verb="toy.ball.thrown",
        allowed=[capability("rfc.approve")],
        bulk=True,
        gated=True,
    )
    def throw(self, *, actor: User, at: datetime, speed: int = 1, **facts: Any) -> None:
        if speed != 5:  # a body need not write the same columns for every row
            self.speed = speed
        if facts.get("spin") is not None:
            self.throws.append({"spin": facts["spin"]})

    @transition(
        field=state,
        source=BallState.FLYING,
        target=BallState.CAUGHT,
        verb="toy.ball.caught",
        allowed=[capability("rfc.approve")],
        bulk=True,
    )
    def catch(self, *, actor: User, at: datetime, **facts: Any) -> None:
        self.speed = 0


class Page(Audited):
    """Something to be signed."""

    text = models.CharField(max_length=100, default="")
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    outcome = models.CharField(max_length=20, default="")
    held = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.text
