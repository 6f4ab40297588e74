"""The figures of a post-implementation review: what happened, from rows alone."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from django.db.models import Prefetch, QuerySet

from changes.models import SoftwareUpdate
from cmdb.models import Host
from patchflow.kernel.models import User
from releases.enums_rollout import BAD, GOOD, JobState
from releases.models import Job, PlannedHost, PostImplementationReview, Release
from releases.queries.builds import updates_of
from releases.queries.manifests import current
from releases.queries.releases import proof_of


def figures(release: Release, *, at: datetime) -> dict[str, Any]:
    """Planned and real times, hosts per ring and outcome, failures by cause, restarts, missed hosts, exposure.

    Times are ISO texts in UTC, spans are seconds or days; no number is made up: what no row says is None.
    """
    manifest = current(release.pk)
    hosts = manifest.document["hosts"] if manifest else []
    jobs, back = _jobs(release), taken_back(release)
    inside = {h["host"] for h in hosts}
    reached = {j.host_id for j in jobs if j.state in GOOD} - back
    return {
        "taken_at": _text(at),
        "outcome": release.outcome,
        "planned": {"earliest": _text(release.earliest_at), "latest": _text(release.latest_at)},
        "real": {"started": _text(release.started_at), "finished": _text(release.finished_at)},
        "seconds": _seconds(release.started_at, release.finished_at),
        "hosts": {
            "manifest": len(hosts),
            "done": len(reached & inside),
            "taken_back": len(inside & taken_back(release, proven=True)),
            "jobs": len(jobs),
        },
        "states": dict(sorted(Counter(j.state for j in jobs).items())),
        "rings": _rings(manifest.document if manifest else {}, jobs),
        "failures": dict(Counter(_cause(j) for j in jobs if j.state in BAD).most_common()),
        "restarts": sum(1 for j in jobs if j.result.get("restarted")),
        "owed": sorted(h["name"] for h in hosts if h["host"] not in reached),
        "acceptance": {
            "passed": proof_of(release).passed,
            "asked": proof_of(release).asked,
            "back": proof_of(release).back,
        },
        "exposure": [_exposure(u, release) for u in updates_of(release)],
        "clocks": _clocks(release),
    }


def with_hosts_seen(rows: QuerySet[PostImplementationReview], actor: User) -> QuerySet[PostImplementationReview]:
    """These reviews, with the hosts of their releases that the actor sees, for `figures_seen`; as many queries for fifty as
    for one. Who sees all needs none."""
    if actor.scopes_for("release.view") is None:
        return rows
    seen = PlannedHost.objects.filter(host__in=Host.objects.within(actor, "release.view")).select_related("host")
    return rows.prefetch_related(Prefetch("release__planned_hosts", seen, to_attr="hosts_seen"))


def figures_seen(review: PostImplementationReview, actor: User) -> dict[str, Any]:
    """Its figures as this person may read them: missed hosts by name only those in sight, the others as a number
    (`owed_hidden`). All counts stay whole, as on its page."""
    found: dict[str, Any] = dict(review.figures)
    owed = found.get("owed")
    if owed is None or actor.scopes_for("release.view") is None:
        return found
    release = review.release
    if not hasattr(release, "hosts_seen"):
        [_kept] = with_hosts_seen(
            PostImplementationReview.objects.filter(pk=review.pk).select_related("release"), actor
        )
        release = _kept.release
    names = {row.host.name for row in release.hosts_seen}  # type: ignore[attr-defined]
    shown = [name for name in owed if name in names]
    return {**found, "owed": shown, "owed_hidden": len(owed) - len(shown)}


def taken_back(release: Release, *, proven: bool = False) -> set[int]:
    """Hosts that its way back was sent to: whatever the way forward had reached there is not known to be there any more. With
    `proven` those that were seen to have what they had before."""
    rows = Job.objects.filter(rollout__release=release, rollout__reverses__isnull=False)
    rows = rows.filter(state__in=GOOD) if proven else rows.exclude(state=JobState.CANCELLED)
    return set(rows.values_list("host_id", flat=True))


def _text(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return int((end - start).total_seconds()) if start and end else None


def _jobs(release: Release) -> list[Job]:
    """The jobs of the deployment, not of its way back: the newest of each host."""
    rows = (
        Job.objects.filter(rollout__release=release, rollout__reverses__isnull=True)
        .select_related("ring")
        .order_by("id")
    )
    return list({job.host_id: job for job in rows}.values())


def _cause(job: Job) -> str:
    return job.code or job.reason[:80] or str(job.state)


def _rings(document: dict[str, Any], jobs: list[Job]) -> list[dict[str, Any]]:
    """Per ring of the manifest: hosts, how many are there, how many went wrong."""
    ring_of = {h["host"]: h["ring"] for h in document.get("hosts", [])}
    good = Counter(ring_of.get(j.host_id) for j in jobs if j.state in GOOD)
    bad = Counter(ring_of.get(j.host_id) for j in jobs if j.state in BAD)
    hosts = Counter(ring_of.values())
    return [
        {
            "ring": r["ring"], "name": r["name"], "hosts": hosts[r["ring"]], "succeeded": good[r["ring"]],
            "failed": bad[r["ring"]],
        }
        for r in document.get("rings", [])
    ]  # fmt: skip


def _exposure(update: SoftwareUpdate, release: Release) -> dict[str, Any]:
    """Days from the notification to the end of the deployment, and to the date by which it had to start."""
    start, end = update.notified_at, release.finished_at
    return {
        "update": str(update),
        "notified": _text(start),
        "days": (end - start).days if start and end else None,
        "start_by": _text(update.start_by),
        "in_time": release.started_at <= update.start_by if release.started_at and update.start_by else None,
    }


def _clocks(release: Release) -> dict[str, int]:
    """How many RFCs started by their date, how many late, how many had none."""
    found = Counter({"met": 0, "missed": 0, "none": 0})
    for link in release.links.select_related("rfc"):
        if not link.rfc.start_by or not release.started_at:
            found["none"] += 1
        else:
            found["met" if release.started_at <= link.rfc.start_by else "missed"] += 1
    return dict(found)


def unanswered(review: PostImplementationReview) -> list[str]:
    """The questions that nobody has answered."""
    answered = set(review.answers.values_list("question", flat=True))
    return [question for question in review.questions if question not in answered]


def answers(review: PostImplementationReview) -> list[dict[str, Any]]:
    """Each question with its newest answer, or none."""
    newest = {a.question: a for a in review.answers.select_related("answered_by").order_by("id")}
    return [{"question": question, "answer": newest.get(question)} for question in review.questions]
