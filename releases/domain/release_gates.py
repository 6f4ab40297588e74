"""What every step of a release asks anew: authorizations, dates, live work; and the sweep that voids what lost its ground."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from changes.enums import WayBack
from changes.models import Cycle
from changes.queries.change_tasks import task_blockers, unprepared
from patchflow.kernel import registry
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.models import User
from releases.domain import releases
from releases.enums import ReleaseState
from releases.models import Job, Release, Rollout
from releases.queries.manifests import current
from releases.queries.releases import authorization_blockers, authorizations


@registry.gate("releases.release", "build", "seal", "ready", "deploy")
def find_authorization_blockers(release: Release, *, at: datetime, **_: Any) -> list[Blocker]:
    """What every step forward asks anew: each RFC authorized on what stands there now, nothing on hold."""
    return authorization_blockers(release, at=at)


@registry.gate("changes.cycle", "release_completed", "close_unneeded")
def find_open_releases(cycle: Cycle, **_: Any) -> list[Blocker]:
    """A cycle moves on when every release that serves it is completed or cancelled."""
    still = Release.objects.open().filter(links__rfc__cycle=cycle).distinct()
    return [
        Blocker(
            "cycle.release_open",
            english("%(number)s is %(state)s.", number=r.number, state=label_of(r)),
            r.get_absolute_url(),
            "wait",
        )
        for r in still
    ]


@registry.gate("releases.release", "deploy")
def find_order_blockers(release: Release, *, at: datetime, **_: Any) -> list[Blocker]:
    """A deployment starts before the manifest's latest start, or not at all."""
    if release.latest_at and at >= release.latest_at:
        return [
            Blocker(
                "release.too_late",
                english(
                    "Its latest start, %(latest_at)s UTC, has passed: revise it.",
                    latest_at=f"{release.latest_at:%Y-%m-%d %H:%M}",
                ),
            )
        ]
    return []


@registry.gate("releases.release", "deploy")
def find_unprepared_changes(release: Release, **_: Any) -> list[Blocker]:
    """Its changes begin with it: what must be done before each of them begins is done."""
    return task_blockers(unprepared(release.rfc_ids()))


@registry.gate("releases.release", "finish", "stop", "rolled_back")
def find_live_jobs(release: Release, **_: Any) -> list[Blocker]:
    """Nothing ends while a job may still act on its host, or a rollout could start the next one."""
    found = []
    live = Job.objects.live().filter(rollout__release=release).count()
    if live:
        found.append(
            Blocker(
                "release.live_jobs",
                english("%(live)s jobs are still at work: wait for them, or stop the rollout.", live=live),
                tone="wait",
            )
        )
    for rollout in Rollout.objects.open().filter(release=release):
        found.append(
            Blocker(
                "release.open_rollout",
                english("%(rollout)s is %(state)s: stop it first.", rollout=rollout, state=label_of(rollout)),
                tone="wait",
            )
        )
    return found


@registry.gate("releases.release", "roll_back")
def find_way_back_blockers(release: Release, **_: Any) -> list[Blocker]:
    """A rollback needs the way back that the signed manifest names."""
    manifest = current(release.pk)
    kind = manifest.document["way_back"]["kind"] if manifest else WayBack.NONE
    if kind != WayBack.REINSTALL_PREVIOUS:
        return [Blocker("release.no_way_back", "Its manifest names no previous versions to go back to.")]
    return []


@registry.sweep("releases.recheck")
def recheck(*, now: datetime) -> int:
    """Voids ready releases whose changes are no longer authorized (lapsed, on other content, too late). A hold only waits."""
    voided = 0
    for release in Release.objects.filter(state=ReleaseState.READY):
        lost = [
            b
            for one in authorizations(release.rfc_ids(), at=now)
            for b in one.blockers
            if not b.code.startswith("hold.")
        ]
        if lost:
            releases.void(release_id=release.pk, reason=" ".join(b.sentence for b in lost), actor=User.bot(), at=now)
            voided += 1
    return voided
