"""What machines that play against a model have in common: each example is undone, each act is tried on both sides."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import models, transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine

from changes.models import RFC
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound, User


class Machine(RuleBasedStateMachine):
    """What happens beside `m`, what a model says of it; the acts happen at `at`."""

    m: Any
    at: datetime

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.frame.__exit__(None, None, None)
        transaction.get_connection().needs_rollback = False

    def person(self, name: str) -> User:
        return User.bot() if name == "bot" else User.objects.get(username=name)

    def picture(self) -> tuple[Any, ...]:
        """What a refusal must not have changed."""
        raise NotImplementedError

    def does(self, may: bool | None, act: Callable[..., Any], who: str, **given: Any) -> bool:
        """Tries the act, and says whether it went through: exactly when the model says so (`may` None: a gate that is not
        modelled decides), and a refusal has changed nothing."""
        before, refused = self.picture(), None
        try:
            act(actor=self.person(who), at=self.at, **given)
        except Refusal as refusal:
            refused = refusal.blockers
        said = f"{act.__name__} by {who} in {before[0]}, {given}: {refused or 'went through'}; {self.m}"
        assert may is None or may == (refused is None), said
        if refused is not None:
            assert self.picture() == before, said
            assert refused, said
            assert all(b.sentence for b in refused), said
        return refused is None


class ChangeMachine(Machine):
    """One change, `pk`."""

    pk: int

    @property
    def row(self) -> RFC:
        return RFC.objects.get(pk=self.pk)

    @property
    def asked(self) -> models.QuerySet[SignOffRound]:
        """Its rounds, the first first."""
        return SignOffRound.objects.filter(subject_id=self.pk, subject_type="changes.rfc").order_by("number")


DOSE = "PATCHFLOW_MODEL_EXAMPLES"


def dose(usual: int) -> int:
    """How many examples are played: as many as PATCHFLOW_MODEL_EXAMPLES says, else the usual few."""
    return int(os.environ.get(DOSE, usual))


def plays(examples: int, steps: int, **more: Any) -> settings:
    """So many examples of so many steps, however long each takes: the same each time, so that what is red is red for everybody;
    others each time where a dose is asked for."""
    fixed = DOSE not in os.environ
    given: dict[str, Any] = {"derandomize": fixed, "database": None, "suppress_health_check": list(HealthCheck), **more}
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, **given)
