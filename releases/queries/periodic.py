"""The figures of a review of operations or of service levels over a period: from rows alone, each with what nobody knows.

A period is half open: [start, end). What is a state and not an event (open discrepancies, facts too old) is as of `at`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import Count, Q

from changes.enums import WITHDRAWN, RFCKind, RFCState
from changes.models import RFC, Feed, FeedRun, RFCTarget
from cmdb.models import Discrepancy, Host, ScanResult, ScanRun
from patchflow.kernel.enums import Outcome
from patchflow.kernel.models import AuditEntry, SignOff, User
from releases.enums import PeriodicKind
from releases.enums_rollout import GOOD, JobState
from releases.models import Job, PeriodicReview, ReleaseRFC, Rollout

SHARE_REACHED = 95
"""Percent of a change's targets that must be done for the span "notification to 95 %"."""
Figures = dict[str, Any]


def figures(kind: str, start: datetime, end: datetime, *, at: datetime) -> Figures:
    """What the rows say of [start, end) at `at`, by section; JSON, spans in days with one decimal, None: no row says it."""
    sections = SECTIONS[PeriodicKind(kind)]
    return {
        "asked_at": _text(at),
        "from": _text(start),
        "to": _text(end),
        **{name: section(start, end, at) for name, section in sections.items()},
    }


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _within(column: str, start: datetime, end: datetime) -> Q:
    return Q(**{f"{column}__gte": start, f"{column}__lt": end})


# --- service levels -------------------------------------------------------------------------------------------------------
def deadlines(start: datetime, end: datetime, at: datetime) -> Figures:
    """Class → changes whose start-by date lay in the period: started by then, or not. Withdrawn ones are left out."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    rows = RFC.objects.filter(_within("start_by", start, end)).exclude(state__in=WITHDRAWN)
    for update_class, start_by, stopped_at in rows.values_list("update_class", "start_by", "clock_stopped_at"):
        assert start_by is not None  # noqa: S101  the filter asks for it
        until = stopped_at or at
        result = "met" if stopped_at and stopped_at <= start_by else "missed" if until >= start_by else "running"
        found[update_class][result] += 1
    return {
        name: {"met": c["met"], "missed": c["missed"], "running": c["running"]} for name, c in sorted(found.items())
    }


def days_to_start(start: datetime, end: datetime, at: datetime) -> Figures:
    """Median days from the notification to the start of the first production ring, of changes that started in the period."""
    rows = RFC.objects.filter(_within("clock_stopped_at", start, end)).values_list(
        "clock_started_at", "clock_stopped_at"
    )
    return _median(stopped - started for started, stopped in rows if stopped is not None)


def days_to_reach(start: datetime, end: datetime, at: datetime) -> Figures:
    """Median days from the notification to the moment at which 95 % of a change's targets were done, of changes that came
    to that in the period."""
    jobs = Job.objects.filter(_within("ended_at", start, end), state__in=GOOD, rollout__reverses__isnull=True)
    touched = ReleaseRFC.objects.filter(release__in=jobs.values("rollout__release"))
    links: dict[int, set[int]] = defaultdict(set)
    for release_id, rfc_id in touched.values_list("release_id", "rfc_id"):
        links[rfc_id].add(release_id)
    targets: dict[int, set[int]] = defaultdict(set)
    rows = RFCTarget.objects.filter(rfc_id__in=list(links), removed_at__isnull=True)
    for rfc_id, host_id in rows.values_list("rfc_id", "host_id"):
        targets[rfc_id].add(host_id)
    done: dict[int, dict[int, datetime]] = defaultdict(dict)
    good = Job.objects.filter(state__in=GOOD, rollout__reverses__isnull=True, ended_at__isnull=False)
    releases = {pk for each in links.values() for pk in each}
    for release_id, host_id, ended_at in (
        good.filter(rollout__release__in=releases).order_by("ended_at").values_list("rollout__release_id", "host_id", "ended_at")
    ):  # fmt: skip
        if ended_at is not None:
            done[release_id].setdefault(host_id, ended_at)
    began = dict(RFC.objects.filter(pk__in=list(links)).values_list("pk", "clock_started_at"))
    spans = []
    for rfc_id, hosts in targets.items():
        ends = sorted(
            min(m[h] for m in maps) for h in hosts if (maps := [done[r] for r in links[rfc_id] if h in done[r]])
        )
        needed = math.ceil(len(hosts) * SHARE_REACHED / 100)
        if needed and len(ends) >= needed and start <= ends[needed - 1] < end:
            spans.append(ends[needed - 1] - began[rfc_id])
    return _median(spans)


def _median(spans: Iterable[timedelta]) -> Figures:
    days = [span.total_seconds() / 86400 for span in spans]
    return {"changes": len(days), "median_days": f"{median(days):.1f}" if days else None}


def success(start: datetime, end: datetime, at: datetime) -> Figures:
    """Hosts that were worked on in the period, ways back left out: succeeded, not, and those of which nobody knows."""
    jobs = Job.objects.filter(rollout__reverses__isnull=True)
    ended = Counter(jobs.filter(_within("ended_at", start, end)).values_list("state", flat=True))
    unknown = jobs.filter(state=JobState.UNKNOWN).filter(_within("unknown_since", start, end)).count()
    return {
        "succeeded": ended[JobState.SUCCEEDED],
        "failed": ended[JobState.FAILED] + ended[JobState.UNDONE],
        "unknown": ended[JobState.LOST] + unknown,
        "not_needed": ended[JobState.NOT_NEEDED],
    }


# --- operations -----------------------------------------------------------------------------------------------------------
def rollouts(start: datetime, end: datetime, at: datetime) -> Figures:
    """Rollouts that started in the period; how often one was halted or taken back."""
    started = Rollout.objects.filter(_within("started_at", start, end))
    halts = AuditEntry.objects.filter(
        _within("effective_at", start, end), verb="release.rollout.halted", outcome=Outcome.DONE
    )
    return {
        "started": started.filter(reverses__isnull=True).count(),
        "halted": halts.values("object_id").distinct().count(),
        "halts": halts.count(),
        "taken_back": started.filter(reverses__isnull=False).count(),
    }


def emergencies(start: datetime, end: datetime, at: datetime) -> Figures:
    """Changes submitted in the period, and how many of them as an emergency."""
    rows = RFC.objects.filter(_within("submitted_at", start, end)).exclude(state=RFCState.DRAFT)
    return rows.aggregate(submitted=Count("pk"), emergency=Count("pk", filter=Q(kind=RFCKind.EMERGENCY)))


def unknown(start: datetime, end: datetime, at: datetime) -> Figures:
    """Live hosts at `at`, and those whose facts are too old to count."""
    heard = Q(audited_at__gte=at - settings.PATCHFLOW["FACTS_STALE_AFTER"])
    total = Host.objects.live().count()
    return {"hosts": total, "unknown": total - Host.objects.live().filter(heard).count()}


def discrepancies(start: datetime, end: datetime, at: datetime) -> Figures:
    """Discrepancies open at `at`; opened and settled in the period."""
    return {
        "open": Discrepancy.objects.all().open().count(),
        "opened": Discrepancy.objects.filter(_within("opened_at", start, end)).count(),
        "settled": Discrepancy.objects.filter(_within("settled_at", start, end)).count(),
    }


def feeds(start: datetime, end: datetime, at: datetime) -> Figures:
    """Polls of feeds in the period by how they ended; feeds that are late at `at`."""
    enabled = list(Feed.objects.filter(enabled=True))
    states = Counter(FeedRun.objects.filter(_within("requested_at", start, end)).values_list("state", flat=True))
    return {"runs": dict(sorted(states.items())), "feeds": len(enabled), "late": sum(f.is_stale(at) for f in enabled)}


def scans(start: datetime, end: datetime, at: datetime) -> Figures:
    """Scans in the period by how they ended, and how the hosts in them fared."""
    runs = Counter(ScanRun.objects.filter(_within("requested_at", start, end)).values_list("state", flat=True))
    hosts = Counter(ScanResult.objects.filter(_within("ended_at", start, end)).values_list("state", flat=True))
    return {"runs": dict(sorted(runs.items())), "hosts": dict(sorted(hosts.items()))}


def load(start: datetime, end: datetime, at: datetime) -> Figures:
    """What people did in the period, by the trail: acts, of how many people, and the share of who did most; decisions apart."""
    people = AuditEntry.objects.filter(_within("effective_at", start, end)).exclude(actor=User.bot())
    acts = sorted(people.values("actor").annotate(n=Count("pk")).values_list("n", flat=True), reverse=True)
    signed = SignOff.objects.filter(_within("decided_at", start, end))
    return {
        "acts": sum(acts),
        "people": len(acts),
        "most": acts[0] if acts else 0,
        "decisions": signed.count(),
        "deciders": signed.values("user").distinct().count(),
    }


Section = Callable[[datetime, datetime, datetime], Figures]
SECTIONS: dict[PeriodicKind, dict[str, Section]] = {
    PeriodicKind.SLA: {
        "deadlines": deadlines,
        "days_to_start": days_to_start,
        "days_to_reach": days_to_reach,
        "success": success,
        "unknown": unknown,
    },
    PeriodicKind.OPERATIONS: {
        "deadlines": deadlines,
        "days_to_start": days_to_start,
        "days_to_reach": days_to_reach,
        "success": success,
        "rollouts": rollouts,
        "emergencies": emergencies,
        "unknown": unknown,
        "discrepancies": discrepancies,
        "feeds": feeds,
        "scans": scans,
        "load": load,
    },
}


# --- when ---------------------------------------------------------------------------------------------------------------
def interval_of(kind: str) -> timedelta | None:
    """How often a review of this kind is held (`PATCHFLOW_OPERATIONS_REVIEW_DAYS`, `PATCHFLOW_SLA_REVIEW_DAYS`); None: never
    by itself."""
    days: int = settings.PATCHFLOW[f"{PeriodicKind(kind).value.upper()}_REVIEW_DAYS"]
    return timedelta(days=days) if days > 0 else None


def last_of(kind: str) -> PeriodicReview | None:
    """The review of the kind whose period ends last."""
    return PeriodicReview.objects.filter(kind=kind).order_by("-ends_at", "-pk").first()


def next_period(kind: str) -> tuple[datetime, datetime] | None:
    """The period of the next review: it follows the last one, the first begins with the first host. None: none is due ever,
    or one is open."""
    every, last = interval_of(kind), last_of(kind)
    if every is None or (last is not None and last.completed_at is None):
        return None
    start = last.ends_at if last else Host.objects.order_by("added_at").values_list("added_at", flat=True).first()
    return (start, start + every) if start else None
