"""Clocks: from the notification of an update to its start in production. The class gives the length, nothing resets it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from changes.enums import TERMINAL, UpdateClass
from changes.models import RFC
from changes.rules import start_by
from patchflow.kernel import audit, workflow
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing


@dataclass(frozen=True)
class Reading:
    """A clock at a moment. `left` is negative once it is over; None where the class names no date."""

    started_at: datetime
    ends_at: datetime | None
    stopped_at: datetime | None
    left: timedelta | None

    @property
    def missed(self) -> bool:
        """Whether production started after the target, or has not started though the target has passed."""
        return self.left is not None and self.left <= timedelta(0)


def reading(rfc: RFC, *, at: datetime) -> Reading:
    """The RFC's clock at `at`; a stopped one keeps what was left when it stopped."""
    until = rfc.clock_stopped_at or at
    return Reading(
        rfc.clock_started_at, rfc.start_by, rfc.clock_stopped_at, rfc.start_by - until if rfc.start_by else None
    )


@workflow.verb("change.rfc.classified", RFC, "rfc_id")
def classify(*, rfc_id: int, update_class: str, reason: str, actor: User, at: datetime) -> RFC:
    """Changes the class, with a reason. Needs rfc.evaluate. The target is counted from the notification as before."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.evaluate")], rfc, actor):
        raise NotAllowed(refused)
    if update_class not in UpdateClass.values:
        raise Invalid("Choose critical, high, medium or low.", code="rfc.update_class")
    if not reason.strip():
        raise Invalid("Say why the class changes.", code="rfc.reason")
    if rfc.state in TERMINAL or rfc.clock_stopped_at:
        raise Conflict("Its clock has stopped: the class is history.", code="conflict.state")
    detail = {
        "before": rfc.update_class,
        "after": update_class,
        "reason": reason.strip(),
        "start_by_before": rfc.start_by,
    }
    rfc.update_class, rfc.start_by = update_class, start_by(update_class, rfc.clock_started_at)
    rfc.save(update_fields=["update_class", "start_by"])
    audit.record(rfc, "change.rfc.classified", actor=actor, at=at, detail={**detail, "start_by": rfc.start_by})
    return rfc


@workflow.verb("change.rfc.clock_stopped", RFC, "rfc_id")
def stop(*, rfc_id: int, actor: User, at: datetime) -> Reading:
    """The first production ring has started. Needs rfc.implement. Stopping twice changes nothing."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.implement")], rfc, actor):
        raise NotAllowed(refused)
    if rfc.clock_stopped_at is None:
        rfc.clock_stopped_at = at
        rfc.save(update_fields=["clock_stopped_at"])
        detail = {"start_by": rfc.start_by, "missed": reading(rfc, at=at).missed}
        audit.record(rfc, "change.rfc.clock_stopped", actor=actor, at=at, detail=detail)
    return reading(rfc, at=at)
