"""Scan runs as a person may read them: the sentence with its figures speaks of the hosts that they may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from cmdb.enums import ResultState, ScanState
from cmdb.models import Host, ScanResult, ScanRun
from patchflow.kernel.models import User

COUNTED = (ScanState.PARTIAL, ScanState.FAILED)
"""States whose reason says how many hosts answered."""


def outcome_of(states: Sequence[str]) -> str:
    """What a run came to, from the states of its results."""
    good, partly = states.count(ResultState.SCANNED), states.count(ResultState.PARTIAL)
    return _outcome(len(states), good + partly, partly)


def _outcome(asked: int, some: int, partly: int) -> str:
    if not some:
        return f"None of {asked} hosts could be scanned."
    return f"{some} of {asked} hosts were scanned, {partly} of them in part."


def runs_in_sight(actor: User) -> QuerySet[ScanRun]:
    """The runs that concern a host in sight, with what `reason_for` needs."""
    rows = ScanRun.objects.visible_to(actor).select_related("requested_by")
    if actor.scopes_for("host.view") is None:
        return rows.annotate(unseen=Value(False))
    results = ScanResult.objects.filter(scan_run=OuterRef("pk")).order_by()
    seen = results.filter(host__in=Host.objects.visible_to(actor))
    return rows.annotate(
        unseen=Exists(results.exclude(host__in=Host.objects.visible_to(actor))),
        asked=_number(seen),
        some=_number(seen.filter(state__in=[ResultState.SCANNED, ResultState.PARTIAL])),
        partly=_number(seen.filter(state=ResultState.PARTIAL)),
    )


def _number(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows.values("scan_run").annotate(n=Count("pk")).values("n")), 0)


def reason_for(run: Any) -> str:
    """Why a run of `runs_in_sight` ended so. What was written counts every host: it is shown to who sees them all, others
    read the figures of theirs."""
    if run.unseen and run.state in COUNTED:
        return _outcome(run.asked, run.some, run.partly)
    return str(run.reason)
