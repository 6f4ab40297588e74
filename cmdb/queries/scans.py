"""Scan runs as a person may read them: the sentence with its figures speaks of the hosts that they may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from cmdb.enums import ResultState, ScanState
from cmdb.models import Host, ScanResult, ScanRun
from patchflow.kernel.blockers import english
from patchflow.kernel.models import User

COUNTED = (ScanState.PARTIAL, ScanState.FAILED)
"""States whose reason says how many hosts answered."""


def outcome_of(states: Sequence[str]) -> str:
    """What a run came to, from the states of its results."""
    good, partly = states.count(ResultState.SCANNED), states.count(ResultState.PARTIAL)
    return _outcome(len(states), good + partly, partly)


def _outcome(asked: int, some: int, partly: int) -> str:
    if not some:
        return english("None of %(asked)s hosts could be scanned.", asked=asked)
    return english(
        "%(some)s of %(asked)s hosts were scanned, %(partly)s of them in part.", some=some, asked=asked, partly=partly
    )


@dataclass(frozen=True, slots=True)
class Covered:
    """At `moment`: hosts that were there, those with a current scan, and those that were current and read in part only."""

    moment: datetime
    hosts: int
    whole: int
    partly: int


def coverage_at(moments: Sequence[datetime], actor: User, *, current: timedelta) -> list[Covered]:
    """How many of the hosts in sight had been scanned not longer than `current` ago, at each moment. Two queries."""
    if not moments:
        return []
    seen = Host.objects.visible_to(actor)
    there = seen.aggregate(**{f"h{n}": Count("pk", filter=_there(at)) for n, at in enumerate(moments)})
    results = ScanResult.objects.filter(
        host__in=seen, ended_at__gt=min(moments) - current, ended_at__lte=max(moments), state__in=READ
    )
    best: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    for n, at in enumerate(moments):
        lately = Q(ended_at__gt=at - current, ended_at__lte=at)
        whole = When(lately & Q(state=ResultState.SCANNED), then=Value(WHOLE))
        best[f"m{n}"] = Max(Case(whole, When(lately, then=Value(PARTLY)), default=Value(0)))
        for name, value in (("w", WHOLE), ("p", PARTLY)):
            asked[f"{name}{n}"] = Count("host", filter=Q(**{f"m{n}": value}) & _there(at, "host__"))
    each = results.order_by().values("host", "host__added_at", "host__retired_at").annotate(**best)
    found = each.aggregate(**asked)
    return [Covered(at, there[f"h{n}"], found[f"w{n}"], found[f"p{n}"]) for n, at in enumerate(moments)]


WHOLE, PARTLY = 2, 1
READ = (ResultState.SCANNED, ResultState.PARTIAL)


def _there(at: datetime, path: str = "") -> Q:
    """Hosts that were known by then and not retired yet."""
    gone = Q(**{f"{path}retired_at__isnull": True}) | Q(**{f"{path}retired_at__gt": at})
    return gone & Q(**{f"{path}added_at__lte": at})


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
