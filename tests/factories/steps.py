"""Steps on hosts, written and approved through their verbs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from patchflow.kernel.models import User
from releases.domain import steps
from releases.models import HostStep
from tests.factories.people import Cast


def made_step(writer: User, at: datetime, **values: Any) -> HostStep:
    """A proposed step; by default a check of free space."""
    usual = {"name": "Space", "moment": "before", "kind": "space", "target": "/", "amount": 100}
    return steps.propose(actor=writer, at=at, **{**usual, **values})


def approved_step(cast: Cast, at: datetime, **values: Any) -> HostStep:
    """A step that otto wrote and sam approved."""
    step = made_step(cast.otto, at, **values)
    return steps.approve(step_id=step.pk, actor=cast.sam, at=at)


def service_steps(cast: Cast, at: datetime) -> list[HostStep]:
    """Stops a service before, starts it after, also where nothing was installed."""
    stop = approved_step(cast, at, name="Stop web", kind="stop_service", target="web.service", amount=0)
    start = approved_step(
        cast, at, name="Start web", moment="after", kind="start_service", target="web.service", amount=0, runs="intact"
    )
    return [stop, start]
