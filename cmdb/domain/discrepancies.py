"""What does not agree with itself: opened by what finds it, settled by a person, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cmdb.domain.permission import said
from cmdb.enums import DiscrepancyKind
from cmdb.models import Discrepancy, Host
from patchflow.kernel import audit, workflow
from patchflow.kernel.models import User

SETTLEMENTS = {"explain": "explain", "correct": "correct", "hand_over": "hand_over"}


def note(
    *,
    host: Host,
    kind: DiscrepancyKind,
    key: str,
    sentence: str,
    source: str,
    actor: User,
    at: datetime,
    other: Host | None = None,
    detail: Mapping[str, Any] | None = None,
) -> Discrepancy:
    """Opens a discrepancy, or returns the open one of the same host, kind and key. Inside the finding transaction."""
    found, made = Discrepancy.objects.get_or_create(
        host=host,
        kind=kind,
        key=key[:120],
        state="open",
        defaults={
            "other": other,
            "sentence": sentence[:500],
            "detail": dict(detail or {}),
            "source": source[:40],
            "opened_at": at,
        },
    )
    if made:
        audit.record(found, "cmdb.discrepancy.opened", actor=actor, at=at, after="open", detail={"sentence": sentence})
    return found


def settle(*, discrepancy_id: int, how: str, reason: str, actor: User, at: datetime) -> Discrepancy:
    """Settles it: `how` is explain, correct or hand_over; `reason` says what was found out. Needs discrepancy.settle for
    both hosts concerned."""
    reason = said("reason", reason, what="What was found out", limit=2000)
    return workflow.fire(Discrepancy, discrepancy_id, SETTLEMENTS[how], actor=actor, at=at, reason=reason)
