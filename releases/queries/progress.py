"""How a rollout comes along, asked as often for ten thousand hosts as for three: causes, pace, log, one host by its name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Min, QuerySet

from cmdb.models import ServiceWindow
from cmdb.queries.windows import openings
from patchflow.kernel.models import User
from releases.enums_rollout import JobState
from releases.forecast import Forecast, Pace, forecast, joined
from releases.models import Job, JobEvent, Rollout
from releases.planning import RolloutView
from releases.queries.rollouts import signed

CAUSES = 12
OPENINGS = 30
TROUBLE = (
    JobState.FAILED,
    JobState.UNDONE,
    JobState.UNKNOWN,
    JobState.LOST,
    JobState.REFUSED,
    JobState.PENDING,
)
"""States whose hosts are grouped by their cause; of the waiting ones only those that a gate has put off."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why so many hosts stand where they stand: `code` the short word of the cause, `said` what one of them says."""

    state: str
    code: str
    count: int
    said: str
    host: str


def causes(rollout: Rollout, actor: User) -> list[Cause]:
    """The causes of trouble, the worst first and of them the most frequent, of the hosts in the person's scope. Two queries."""
    rows = (
        Job.objects.filter(rollout=rollout, state__in=TROUBLE)
        .exclude(state=JobState.PENDING, code="")
        .visible_to(actor)
        .order_by()
        .values("state", "code")
        .annotate(n=Count("pk"), one=Min("pk"))
    )
    found = sorted(rows, key=lambda row: (TROUBLE.index(row["state"]), -row["n"]))[:CAUSES]
    samples = Job.objects.filter(pk__in=[row["one"] for row in found]).values_list(
        "pk", "reason", "statement", "host__name"
    )
    said = {pk: (reason or statement, host) for pk, reason, statement, host in samples}
    return [Cause(row["state"], row["code"], row["n"], *said.get(row["one"], ("", ""))) for row in found]


def pace_of(rollout: Rollout) -> Pace:
    """The mean time of the hosts that have succeeded; before that half of what the profile allows them. One query."""
    took = ExpressionWrapper(F("ended_at") - F("claimed_at"), output_field=DurationField())
    done = Job.objects.filter(
        rollout=rollout, state=JobState.SUCCEEDED, claimed_at__isnull=False, ended_at__isnull=False
    )
    measured = done.aggregate(n=Count("pk"), each=Avg(took))
    if measured["n"]:
        return Pace(max(measured["each"], timedelta(seconds=1)), measured["n"])
    profile = signed(rollout.manifest_id).document["profile"]
    return Pace(timedelta(minutes=max(1, int(profile["max_minutes_each"]) // 2)), 0)


def forecast_of(rollout: Rollout, view: RolloutView, *, now: datetime) -> Forecast:
    """When it may end, were it to go on from now. Three queries."""
    document = signed(rollout.manifest_id)
    soak = {ring.pk: timedelta(seconds=ring.soak_seconds) for ring in rollout.rings.all()}
    spans = None
    if not rollout.is_way_back:
        ids = [window["window"] for window in document.document["windows"]]
        coming = [
            (o.starts_at, o.ends_at)
            for window in ServiceWindow.objects.live().filter(pk__in=ids)
            for o in openings(window, after=now, count=OPENINGS)
        ]
        earliest = document.moment("earliest")
        spans = joined((max(s, earliest) if earliest else s, e) for s, e in coming if not earliest or e > earliest)
    latest = None if rollout.is_way_back else document.moment("latest")
    return forecast(view.rings, soak, pace_of(rollout), now=now, open_spans=spans, latest=latest)


def log_of_all(rollout: Rollout, actor: User, *, before: int | None = None) -> QuerySet[JobEvent]:
    """What the hosts have written, the newest first; `before`: the id of the last line that was shown."""
    rows = JobEvent.objects.filter(job__rollout=rollout)
    if actor.scopes_for("rollout.view") is not None:
        rows = rows.filter(job__in=Job.objects.filter(rollout=rollout).visible_to(actor))
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return rows.select_related("job__host").order_by("-pk")


def named(rollout: Rollout, actor: User, name: str) -> QuerySet[Job]:
    """The targets whose host has this in its name."""
    rows = Job.objects.filter(rollout=rollout, host__name__icontains=name).visible_to(actor)
    return rows.select_related("host", "ring", "rollout").order_by("host__name")
