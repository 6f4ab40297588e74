"""What does not agree with itself: opened by what finds it, settled by a person, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cmdb.domain.permission import demand, said
from cmdb.enums import BaselineResult, BelowCause, DiscrepancyKind
from cmdb.models import Baseline, Discrepancy, Host
from cmdb.queries import standing
from cmdb.queries.baselines import of_host
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english_n
from patchflow.kernel.errors import Conflict, Invalid
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


def settle(*, discrepancy_id: int, how: str, reason: str, actor: User, at: datetime, cause: str = "") -> Discrepancy:
    """Settles it: `how` is explain, correct or hand_over; `reason` says what was found out. Needs discrepancy.settle for
    both hosts concerned. A host that stays below its baseline is handed over with its `cause` (BelowCause)."""
    reason = said("reason", reason, what="What was found out", limit=2000)
    below = Discrepancy.objects.filter(pk=discrepancy_id, kind=DiscrepancyKind.BELOW_BASELINE).exists()
    if how == "hand_over" and below:
        if cause not in BelowCause.values:
            raise Invalid("Say why it stays below.", code="invalid.cause")
        return workflow.fire(Discrepancy, discrepancy_id, "hand_over", actor=actor, at=at, reason=reason, cause=cause)
    return workflow.fire(Discrepancy, discrepancy_id, SETTLEMENTS[how], actor=actor, at=at, reason=reason)


@workflow.verb("cmdb.discrepancy.opened", Host, "host_id")
def explain_above(*, host_id: int, baseline_id: int, how: str, reason: str, actor: User, at: datetime) -> Discrepancy:
    """Says who brought a host above its baseline: opens the discrepancy and settles it (`how` as in `settle`). It holds
    until something newer appears above it. Needs discrepancy.settle; Conflict where the host is not above it now."""
    host = workflow.lock(Host, host_id)
    demand("discrepancy.settle", host, actor)
    reason = said("reason", reason, what="What was found out", limit=2000)
    against = {baseline.pk: found for baseline, found in of_host(host, at=at)}
    baseline = Baseline.objects.filter(pk=baseline_id).first()
    if baseline is None or baseline.pk not in against or against[baseline.pk].result != BaselineResult.ABOVE:
        raise Conflict("This host is not above this baseline now.", code="conflict.state")
    above = [r for r in standing.reasons(host, baseline) if r.verdict == BaselineResult.ABOVE]
    found = note(
        host=host,
        kind=DiscrepancyKind.ABOVE_BASELINE,
        key=str(baseline.pk),
        sentence=english_n(
            "%(n)s package is newer than %(baseline)s says.",
            "%(n)s packages are newer than %(baseline)s says.",
            len(above),
            baseline=baseline,
        ),
        source="baseline",
        actor=actor,
        at=at,
        detail={
            "baseline": str(baseline),
            "packages": {f"{r.package}:{r.arch}": [r.installed, r.wanted] for r in above},
        },
    )
    return settle(discrepancy_id=found.pk, how=how, reason=reason, actor=actor, at=at)
