"""Questions about releases: whether what they serve is still authorized, and what a page shows of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changes.queries.authorization import Authorization, authorization_for
from changes.queries.holds import hold_blocker
from cmdb.queries.groups import scope_keys_of
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from releases.enums import RunState
from releases.models import AcceptanceRun, Build, Release


@dataclass(frozen=True)
class Reach:
    """The hosts that an act would reach, for rules that ask whose scope they are in."""

    host_ids: tuple[int, ...]

    def scope_keys(self) -> list[frozenset[str]]:
        return list(scope_keys_of(self.host_ids).values())


def authorizations(rfc_ids: Iterable[int], *, at: datetime) -> list[Authorization]:
    """The standing of each RFC now, in the order of their ids."""
    return [authorization_for(rfc_id=rfc_id, at=at) for rfc_id in sorted(rfc_ids)]


def authorization_blockers(release: Release, *, at: datetime) -> list[Blocker]:
    """Why what this release serves may not be done now: RFCs no longer authorized, on hold, or the release itself on hold."""
    found: list[Blocker] = []
    for one in authorizations(release.rfc_ids(), at=at):
        if not one.valid:
            found += one.blockers or [
                Blocker("release.rfc", english("%(number)s is not authorized.", number=one.number))
            ]
    return [*found, *hold_blocker(release)]


def current_build(release: Release) -> Build | None:
    """The newest build, whatever came of it."""
    return release.builds.order_by("-number").first()


def release_of_rfc(rfc_id: int) -> list[Release]:
    """The releases of an RFC, newest first (at most one is open)."""
    return list(Release.objects.filter(links__rfc_id=rfc_id).order_by("-id"))


def visible_releases(actor: User) -> Any:
    """What a list shows, with the counts it needs."""
    from django.db.models import Count

    return Release.objects.visible_to(actor).annotate(
        host_count=Count("planned_hosts", distinct=True), rfc_count=Count("links", distinct=True)
    )


@dataclass(frozen=True)
class Proof:
    """How much acceptance has shown for the current build: of `asked` plans `passed`; of `walked` the way back held in `back`."""

    asked: int
    passed: int
    failed: int
    waiting: int
    walked: int
    back: int

    @property
    def complete(self) -> bool:
        return self.asked > 0 and self.passed == self.asked

    @property
    def back_percent(self) -> int | None:
        """Share of plans whose way back was walked and held, of all plans; None where nothing was asked."""
        return self.back * 100 // self.asked if self.asked else None


def newest_runs(release: Release) -> dict[int, AcceptanceRun]:
    """Plan → its newest run for the current build."""
    build = current_build(release)
    runs = AcceptanceRun.objects.filter(plan__release=release, plan__dropped_at__isnull=True, build=build)
    return {run.plan_id: run for run in runs.select_related("plan").order_by("number")}


def proof_of(release: Release) -> Proof:
    """What acceptance has shown so far for the current build."""
    plans = list(release.acceptance_plans.filter(dropped_at__isnull=True))
    runs = newest_runs(release)
    states = [runs[p.pk].state if p.pk in runs else "" for p in plans]
    back = sum(
        1
        for p in plans
        if p.walk_back and p.pk in runs and runs[p.pk].state == RunState.PASSED and _went_back(runs[p.pk])
    )
    return Proof(
        asked=len(plans),
        passed=states.count(RunState.PASSED),
        failed=states.count(RunState.FAILED),
        waiting=sum(1 for s in states if s in ("", RunState.PLANNED, RunState.RUNNING, RunState.INCONCLUSIVE)),
        walked=sum(1 for p in plans if p.walk_back),
        back=back,
    )


def _went_back(run: AcceptanceRun) -> bool:
    return set(run.steps.filter(outcome="passed").values_list("kind", flat=True)) >= {"back", "reinstall"}
