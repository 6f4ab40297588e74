"""Plan and deploy: a release is composed, built, tested, sealed, signed, rolled out, reviewed. Time passes window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from changes.models import RFC
from cmdb.models import ServiceWindow
from patchflow.kernel import signoffs
from releases.demo.story import Story
from releases.domain import (
    acceptance,
    acceptance_work,
    advance,
    builds,
    jobs,
    manifests,
    plans,
    readiness,
    releases,
    reviews,
    stagings,
)
from releases.domain.plans import RingPlan
from releases.enums_rollout import LIVE
from releases.executors.simulator_plan import Habits
from releases.models import (
    AcceptanceRun,
    InstallProfile,
    Job,
    PostImplementationReview,
    Release,
    Ring,
    Rollout,
)

QUICK = Habits(staging=(1, 3), installing=(2, 8), restarting=(3, 10), verifying=(1, 2))
"""In what is past nobody watches."""
HOUR = 3600
STEP = timedelta(minutes=10)
TURNS = 4000
"""So many turns at most: a rollout that does not end is a defect of the demo."""
ANSWERS = (
    "Yes: every host shows the version that was signed.", "The canary could be smaller.", "Yes.", "No; the baseline follows the manifest.",
)  # fmt: skip


def servers(*, vital: bool = True) -> list[RingPlan]:
    """Rings over servers: what is tested, what is staged, what serves, and (where there are any) what is vital."""
    shown: dict[str, Any] = {
        "failure_percent": 10,
        "success_percent": 90,
        "bound_percent": 0,
        "soak_seconds": 12 * HOUR,
    }
    production = [RingPlan("Production", criticalities=[2, 3, 4], concurrency=20, **shown)] if vital else []
    last = RingPlan("Vital" if vital else "Production", percent=100, concurrency=6, **shown)
    return [
        RingPlan(
            "Canary", environments=["test", "lab"], concurrency=8, failure_percent=20, success_percent=80, soak_seconds=HOUR
        ),
        RingPlan(
            "Staging", environments=["staging"], concurrency=4, failure_percent=40, success_percent=75, bound_percent=0,
            soak_seconds=2 * HOUR,
        ),
        *production,
        last,
    ]  # fmt: skip


def desks() -> list[RingPlan]:
    return [
        RingPlan("First ten", percent=12, concurrency=10, soak_seconds=HOUR, bound_percent=0, success_percent=80, failure_percent=20),
        RingPlan("All others", percent=100, concurrency=30, success_percent=90, soak_seconds=HOUR, failure_percent=10),
    ]  # fmt: skip


def profile(story: Story, hours: int) -> InstallProfile:
    """How simulated hosts are installed; with `hours`: their files are laid ready so long before their windows."""
    name = "Simulated hosts, files ahead" if hours else "Simulated hosts"
    found = InstallProfile.objects.filter(name=name).order_by("-revision").first()
    values: dict[str, Any] = {
        "restart": "if_needed",
        "restart_kinds": ["server"],
        "max_minutes_each": 15,
        "max_minutes_total": 45,
        "stage_hours": hours,
    }
    return found or plans.define_profile(name=name, **values, **story.who("rex"))


def compose(
    story: Story, changes: Sequence[RFC], title: str, *, rings: Sequence[RingPlan], latest: timedelta, hours: int = 0
) -> Release:
    """Rex composes a release and plans it: rings, every window of its hosts, dates, profile; Tia plans its tests."""
    release = releases.compose(
        rfc_ids=[rfc.pk for rfc in changes], title=title, executor="simulator", **story.who("rex")
    )
    plans.plan_rings(release_id=release.pk, rings=rings, **story.who("rex"))
    of_hosts = ServiceWindow.objects.live().filter(groups__memberships__host__planned_in__release=release).distinct()
    who = story.who("rex")
    plans.plan_windows(
        release_id=release.pk, window_ids=[w.pk for w in of_hosts], earliest_at=who["at"], latest_at=who["at"] + latest, **who
    )  # fmt: skip
    plans.choose_profile(release_id=release.pk, profile_id=profile(story, hours).pk, **story.who("rex"))
    for update in acceptance.uncovered(release):
        bench = next(
            one for one in story.fleet()
            if one.duty == "bench" and (one.platform.distribution, one.platform.release) == (update.distribution, update.release)
        )  # fmt: skip
        acceptance.plan(
            release_id=release.pk, update_id=update.pk, host_id=story.hosts[bench.name].pk, **story.who("tia")
        )
    return Release.objects.get(pk=release.pk)


def build(story: Story, release: Release) -> Release:
    """Asks for a build and carries it out: a dry run for each class, every file verified."""
    builds.request(release_id=release.pk, **story.who("rex"))
    builds.run(build_id=release.builds.get(state="pending").pk, owner="demo", now=story.at)
    return _expect(release, "testing")


def test(story: Story, release: Release) -> Release:
    """Asks for the tests and takes them through all their steps on the benches, one after the other."""
    story.simulator.habits = QUICK
    for run in acceptance.request_runs(release_id=release.pk, **story.who("tia")):
        for _turn in range(40):
            if AcceptanceRun.objects.get(pk=run.pk).state not in ("planned", "running"):
                break
            AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)  # the waiting is the story's
            acceptance_work.advance(run_id=run.pk, owner="demo", now=story.at)
            story.clock.wait(10)
    return _expect(release, "scheduling")


def seal(story: Story, release: Release) -> Release:
    manifests.seal(release_id=release.pk, **story.who("rex"))
    return _expect(release, "awaiting_readiness")


def sign(story: Story, release: Release) -> Release:
    """Gus says go; in an emergency the chair of the board too."""
    for name in ("gus", "cal"):
        if round_ := signoffs.open_round_of(Release.objects.get(pk=release.pk)):
            readiness.decide(
                round_id=round_.pk, verdict="approve", comment="Go.", digest_seen=round_.digest, **story.who(name)
            )
    return _expect(release, "ready")


def _expect(release: Release, state: str) -> Release:
    found = Release.objects.get(pk=release.pk)
    if found.state != state:
        newest = found.builds.order_by("-number").first()
        raise RuntimeError(
            f"The demo's {found} is {found.state} instead of {state}: {found.reason} {newest and newest.reason}"
        )
    return found


# --- deploying ----------------------------------------------------------------------------------------------------------
def roll_out(
    story: Story, release: Release, *, habits: Habits = QUICK, until: Callable[[Rollout], bool] = lambda _r: False
) -> Rollout:
    """Rex starts it, unless it runs; time passes until it has ended, `until` holds, or the present is reached."""
    story.simulator.habits = habits
    if Release.objects.get(pk=release.pk).state == "ready":
        releases.deploy(release_id=release.pk, **story.who("rex"))
    for _turn in range(TURNS):
        rollout = Rollout.objects.filter(release=release).latest("pk")
        if rollout.ended_at or rollout.state == "halted" or story.at >= story.now or until(rollout):
            break
        if not _turn_of(story, rollout):
            story.until(_next_moment(story, rollout))
    story.work_scans()
    return Rollout.objects.filter(release=release).latest("pk")


def lay_ready(story: Story, rollout: Rollout) -> None:
    """What the scheduler and its workers do for the files of hosts whose windows are still to come."""
    for _turn in range(4):
        stagings.sweep(now=story.at)
        for pk in rollout.rings.order_by("position").values_list("pk", flat=True):
            stagings.run(ring_id=pk, owner="demo", now=story.clock.now)
        story.clock.wait(10)


def _turn_of(story: Story, rollout: Rollout) -> bool:
    """One tick and one visit to all that is due; whether anything was at work."""
    advance.advance(rollout_id=rollout.pk, now=story.at)
    live = list(Job.objects.filter(jobs.DUE, rollout=rollout).order_by("pk").values_list("pk", "state"))
    working = [pk for pk, state in live if state not in jobs.AWAY]
    Job.objects.filter(pk__in=working).update(not_before=None)  # the waiting is the story's
    if working:
        jobs.run_many(job_ids=working, owner="demo", now=story.clock.now, wait=story.clock.wait)
        story.clock.wait(5)
    for pk, state in live:
        if state in jobs.AWAY:
            jobs.run(job_id=pk, owner="demo", now=story.clock.now, wait=story.clock.wait)
    return bool(working)


def _next_moment(story: Story, rollout: Rollout) -> datetime:
    """When something is due next: a window, the end of a soak."""
    pending = Job.objects.filter(rollout=rollout, state="pending", ring__state="running", not_before__gt=story.at)
    found = [*pending.order_by("not_before").values_list("not_before", flat=True)[:1]]
    found += Ring.objects.filter(rollout=rollout, state="soaking").values_list("soak_until", flat=True)
    later = [moment for moment in found if moment and moment > story.at]
    return min(later, default=story.at + STEP)


def at_work(rollout: Rollout) -> int:
    return Job.objects.filter(rollout=rollout, state__in=LIVE).count()


def review(story: Story, release: Release) -> Release:
    """Rex answers, che completes the review, rex completes the release: its changes are in review then."""
    found = PostImplementationReview.objects.get(release=release)
    answers = dict(zip(found.questions, ANSWERS, strict=False))
    reviews.answer(review_id=found.pk, answers=answers, **story.who("rex"))
    reviews.complete(
        review_id=found.pk, lessons="Tell the help desk on the day before.", actions="Shorten the soak of the canary.", **story.who("che")
    )  # fmt: skip
    return releases.accept(release_id=release.pk, **story.who("rex"))
