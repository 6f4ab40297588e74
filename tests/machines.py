"""What machines that play a change against a model have in common: each example is undone, each act is tried on both sides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import models, transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine

from changes.models import RFC
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound, User


class ChangeMachine(RuleBasedStateMachine):
    """One change, `pk`, beside `m`, what a model says of it; the acts happen at `at`."""

    pk: int
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

    @property
    def row(self) -> RFC:
        return RFC.objects.get(pk=self.pk)

    @property
    def asked(self) -> models.QuerySet[SignOffRound]:
        """Its rounds, the first first."""
        return SignOffRound.objects.filter(subject_id=self.pk, subject_type="changes.rfc").order_by("number")

    def person(self, name: str) -> User:
        return User.bot() if name == "bot" else User.objects.get(username=name)

    def picture(self) -> tuple[Any, ...]:
        """What a refusal must not have changed."""
        raise NotImplementedError

    def does(self, may: bool, act: Callable[..., Any], who: str, **given: Any) -> bool:
        """Tries the act; it must succeed exactly when the model says so, and a refusal must have changed nothing."""
        before, refused = self.picture(), None
        try:
            act(actor=self.person(who), at=self.at, **given)
        except Refusal as refusal:
            refused = refusal.blockers
        said = f"{act.__name__} by {who} in {before[0]}, {given}: {refused or 'went through'}; {self.m}"
        assert may == (refused is None), said
        if refused is not None:
            assert self.picture() == before, said
            assert refused, said
            assert all(b.sentence for b in refused), said
        return may


def plays(examples: int, steps: int, **more: Any) -> settings:
    """So many examples of so many steps, however long each takes."""
    return settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck), **more
    )
