"""Acceptance: plans per update and test host, runs that install, check, go back and install again, and their verdict.

What works on the host is the executor; a run is due work that takes one step at a time (claim, commit, act, record) and
finds its attempt again by its key after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from changes.enums import EvidenceKind, WayBack
from changes.models import SoftwareUpdate
from changes.queries.holds import hold_blocker
from cmdb.enums import Environment
from cmdb.models import Host
from patchflow.kernel import audit, queue, registry, trial, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain import plans, releases
from releases.enums import ReleaseState, RunState, StepKind, StepOutcome
from releases.models import AcceptancePlan, AcceptanceRun, AcceptanceStep, Release
from releases.queries.builds import updates_of
from releases.queries.manifests import built
from releases.queries.releases import newest_runs, proof_of

PLANNABLE = (ReleaseState.PLANNING, ReleaseState.BUILDING, ReleaseState.TESTING)


@workflow.verb("release.acceptance.planned", Release, "release_id")
def plan(
    *, release_id: int, update_id: int, host_id: int, actor: User, at: datetime,
    checks: Sequence[Mapping[str, Any]] = (), walk_back: bool = True,
) -> AcceptancePlan:  # fmt: skip
    """Plans the test of one update on one host. The host is no production host, unless the release targets it anyway.

    Raises NotAllowed, Invalid (not an update of this release, a production host, checks), Conflict (past testing).
    """
    release = workflow.lock(Release, release_id)
    _demand("acceptance.run", release, actor)
    if blockers := _past_testing(release):
        raise Conflict(blockers)
    host = Host.objects.select_related("ci", "platform").filter(pk=host_id, retired_at__isnull=True).first()
    update = next((u for u in updates_of(release) if u.pk == update_id), None)
    found: list[Blocker] = plans.check_problems(checks, "acceptance.checks")
    if update is None:
        found.append(Blocker("acceptance.update_id", "This update is not in the release."))
    if host is None:
        found.append(Blocker("acceptance.host_id", "There is no such host."))
    else:
        production = host.ci.environment == Environment.PRODUCTION
        if production and not release.planned_hosts.filter(host=host).exists():
            found.append(
                Blocker(
                    "acceptance.host_id",
                    english("%(host)s is in production and no target: nothing was approved for it.", host=host),
                )
            )
        if update and (
            host.platform is None
            or (host.platform.distribution, host.platform.release) != (update.distribution, update.release)
        ):
            found.append(
                Blocker(
                    "acceptance.host_id",
                    english(
                        "%(host)s is not %(distribution)s %(release)s.",
                        host=host,
                        distribution=update.distribution,
                        release=update.release,
                    ),
                )
            )
    if found:
        raise Invalid(found)
    row, made = AcceptancePlan.objects.update_or_create(
        release=release, update_id=update_id, host_id=host_id, dropped_at=None,
        defaults={"checks": [dict(c) for c in checks], "walk_back": walk_back, "planned_by": actor, "planned_at": at},
    )  # fmt: skip
    audit.record(release, "release.acceptance.planned", actor=actor, at=at,
                 detail={"plan": str(row), "checks": row.checks, "walk_back": walk_back, "new": made})  # fmt: skip
    return row


@workflow.verb("release.acceptance.planned", Release, "release_id")
def drop(*, release_id: int, plan_id: int, reason: str, actor: User, at: datetime) -> None:
    """Takes a plan out, with its reason; refused where a run of it has failed on this build, or it is the update's last."""
    release = workflow.lock(Release, release_id)
    _demand("acceptance.judge", release, actor)
    row = release.acceptance_plans.filter(pk=plan_id, dropped_at__isnull=True).first()
    if row is None or release.state not in PLANNABLE:
        raise Conflict("There is no such plan, or testing is over.", code="conflict.state")
    if blockers := _held_by_its_run(row):
        raise Blocked(blockers)
    row.dropped_at = at
    row.save(update_fields=["dropped_at"])
    audit.record(
        release,
        "release.acceptance.planned",
        actor=actor,
        at=at,
        detail={"dropped": str(row), "reason": releases.said(reason)},
    )


@workflow.verb("release.acceptance.requested", Release, "release_id")
def request_runs(*, release_id: int, actor: User, at: datetime) -> list[AcceptanceRun]:
    """Starts a run of every plan that has neither passed nor a live run on the current build. Work begins with the sweep."""
    release = workflow.lock(Release, release_id)
    _demand("acceptance.run", release, actor)
    build = built(release)
    if release.state != ReleaseState.TESTING or build is None:
        raise Conflict(
            english("It is %(state)s: acceptance runs on a build.", state=label_of(release)),
            code="conflict.state",
        )
    if of_other_mode := trial.mismatch(release.trial, str(release)):
        raise Blocked(of_other_mode)
    if held := hold_blocker(release):
        raise Blocked(held)
    untested = uncovered(release)
    if untested:
        raise Blocked(
            [
                Blocker("acceptance.uncovered", english("No test is planned for %(u)s.", u=u), tone="wait")
                for u in untested
            ]
        )
    newest = newest_runs(release)
    made = []
    for row in release.acceptance_plans.filter(dropped_at__isnull=True).order_by("pk"):
        if row.pk in newest and newest[row.pk].state in (RunState.PASSED, RunState.PLANNED, RunState.RUNNING):
            continue
        run = AcceptanceRun.objects.create(
            plan=row, build=build, number=row.runs.count() + 1, requested_by=actor, requested_at=at
        )
        audit.record(
            run,
            "release.acceptance.requested",
            actor=actor,
            at=at,
            after=RunState.PLANNED,
            detail={"build": build.number},
        )
        queue.enqueue("releases.tasks.run_acceptance", run_id=run.pk)
        made.append(run)
    return made


def why_not_plan(release: Release, actor: User) -> list[Blocker]:
    """Why this person cannot plan a test of the release now: the role first, then the state."""
    return failing([capability("acceptance.run")], release, actor) or _past_testing(release)


def why_not_drop(row: AcceptancePlan, actor: User) -> list[Blocker]:
    """Why this person cannot take the planned test out now."""
    if refused := failing([capability("acceptance.judge")], row.release, actor):
        return refused
    if row.dropped_at:
        return [Blocker("conflict.state", "It is taken out already.")]
    return _past_testing(row.release) or _held_by_its_run(row)


def _past_testing(release: Release) -> list[Blocker]:
    if release.state in PLANNABLE:
        return hold_blocker(release)
    said = english("It is %(state)s: tests are planned before or while testing.", state=label_of(release))
    return [Blocker("conflict.state", said)]


def _held_by_its_run(row: AcceptancePlan) -> list[Blocker]:
    """A test with a run that failed, or is not over, on the present build stays."""
    run = newest_runs(row.release).get(row.pk)
    if run is None or run.state not in (RunState.FAILED, RunState.PLANNED, RunState.RUNNING):
        return []
    said = english("Its run is %(state)s: a test is not dropped for its result.", state=label_of(run))
    return [Blocker("acceptance.run", said)]


def uncovered(release: Release) -> list[SoftwareUpdate]:
    """Updates of the release for which no test is planned."""
    covered = set(release.acceptance_plans.filter(dropped_at__isnull=True).values_list("update_id", flat=True))
    return [u for u in updates_of(release) if u.pk not in covered]


def _demand(name: str, obj: Any, actor: User) -> None:
    if refused := failing([capability(name)], obj, actor):
        raise NotAllowed(refused)


# --- recording --------------------------------------------------------------------------------------------------------
@workflow.verb("release.acceptance.step", AcceptanceRun, "run_id")
def record_step(
    *,
    run_id: int,
    kind: str,
    outcome: str,
    summary: str,
    actor: User,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> AcceptanceStep:
    """Writes what a step showed; only while the run is running, and each kind once, in order."""
    run = workflow.lock(AcceptanceRun, run_id)
    _demand("acceptance.record", run, actor)
    expected = next_step(run)
    if run.state != RunState.RUNNING or kind != expected:
        raise Conflict(
            english("The run is %(state)s and waits for %(expected)s.", state=label_of(run), expected=expected),
            code="conflict.state",
        )
    step = AcceptanceStep.objects.create(
        run=run,
        position=run.steps.count() + 1,
        kind=kind,
        outcome=outcome,
        summary=summary,
        detail=dict(detail or {}),
        at=at,
    )
    run.job_key, run.ordered = "", {}
    run.save(update_fields=["job_key", "ordered"])
    audit.record(
        run,
        "release.acceptance.step",
        actor=actor,
        at=at,
        detail={"step": kind, "outcome": outcome, "summary": summary},
    )
    return step


def next_step(run: AcceptanceRun) -> str | None:
    """The step that comes next; None when all are done."""
    return next(iter(StepKind.values[run.steps.count() :]), None)


@workflow.verb("release.acceptance.passed", AcceptanceRun, "run_id")
def settle(*, run_id: int, actor: User, at: datetime) -> AcceptanceRun:
    """Ends a running run by what its steps showed: failed by the first failure, passed when all are done, else unchanged."""
    release_id = AcceptanceRun.objects.values_list("plan__release_id", flat=True).get(pk=run_id)
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    workflow.lock(Release, release_id)
    run = workflow.lock(AcceptanceRun, run_id)
    steps = list(run.steps.all())
    bad = next((s for s in steps if s.outcome == StepOutcome.FAILED), None)
    unknown = next((s for s in steps if s.outcome == StepOutcome.UNKNOWN), None)
    if bad:
        run = workflow.fire(AcceptanceRun, run_id, "fail", actor=actor, at=at, reason=bad.summary)
    elif unknown:
        run = workflow.fire(AcceptanceRun, run_id, "give_up", actor=actor, at=at, reason=unknown.summary)
    elif len(steps) == len(StepKind.values):
        run = workflow.fire(AcceptanceRun, run_id, "succeed", actor=actor, at=at)
    else:
        return run
    conclude(release_id, actor=actor, at=at)
    return run


@workflow.verb("release.acceptance.failed", AcceptanceRun, "run_id")
def judge(*, run_id: int, verdict: str, reason: str, actor: User, at: datetime) -> AcceptanceRun:
    """A tester ends a run that is not over: failed or inconclusive, with the reason. Nobody judges a run as passed."""
    release_id = AcceptanceRun.objects.values_list("plan__release_id", flat=True).get(pk=run_id)
    releases.lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    workflow.lock(Release, release_id)
    names = {"failed": "fail", "inconclusive": "give_up"}
    if verdict not in names:
        raise Invalid("Say failed or inconclusive: a run passes by its steps alone.", code="acceptance.verdict")
    run = workflow.fire(AcceptanceRun, run_id, names[verdict], actor=actor, at=at, reason=releases.said(reason))
    conclude(release_id, actor=actor, at=at)
    return run


def conclude(release_id: int, *, actor: User, at: datetime) -> None:
    """Moves the release when testing is over: one failure sends it back to planning, all passed send it on.

    Either way the RFCs get the evidence. An inconclusive run moves nothing: it is run again.
    """
    release = workflow.lock(Release, release_id)
    if release.state != ReleaseState.TESTING:
        return
    proof = proof_of(release)
    if proof.failed:
        reasons = [f"{run.plan}: {run.reason}" for run in newest_runs(release).values() if run.state == RunState.FAILED]
        release = workflow.fire(Release, release_id, "test_failed", actor=actor, at=at, reason=" ".join(reasons))
        releases.stop_work(release, actor=actor, at=at, reason=english("acceptance failed"))
    elif proof.complete and not uncovered(release):
        release = workflow.fire(Release, release_id, "tested", actor=actor, at=at)
    else:
        return
    summary = english(
        "%(release)s: %(passed)s of %(asked)s acceptance tests passed.",
        release=release.number,
        passed=proof.passed,
        asked=proof.asked,
    )
    releases.push_evidence(release, EvidenceKind.ACCEPTANCE, at=at, summary=summary, passed=not proof.failed)
    if proof.walked:
        summary = english(
            "%(release)s: way back walked in %(back)s of %(asked)s tests (%(back_percent)s %%).",
            release=release.number,
            back=proof.back,
            asked=proof.asked,
            back_percent=proof.back_percent,
        )
        releases.push_evidence(
            release, EvidenceKind.ROLLBACK_REHEARSAL, at=at, summary=summary, passed=proof.back == proof.walked
        )


# --- gates ------------------------------------------------------------------------------------------------------------
@registry.gate("releases.release", "tested")
def find_test_blockers(release: Release, **_: Any) -> list[Blocker]:
    """Every update has a test, every test passed on this build."""
    proof = proof_of(release)
    found = [
        Blocker("acceptance.uncovered", english("No test is planned for %(u)s.", u=u), tone="wait")
        for u in uncovered(release)
    ]
    if not proof.complete:
        found.append(
            Blocker(
                "acceptance.open",
                english("%(passed)s of %(asked)s tests have passed.", passed=proof.passed, asked=proof.asked),
                tone="wait",
            )
        )
    return found


@registry.gate("releases.acceptancerun", "succeed")
def find_step_blockers(run: AcceptanceRun, **_: Any) -> list[Blocker]:
    """A run passes by its rows: every step there, none failed; the way back walked where the release promises it."""
    outcomes = dict(run.steps.values_list("kind", "outcome"))
    found = []
    for kind in StepKind:
        outcome = outcomes.get(kind)
        if outcome not in (StepOutcome.PASSED, StepOutcome.SKIPPED):
            found.append(
                Blocker(
                    "acceptance.step",
                    english("Step “%(label)s” is %(outcome)s.", label=kind.label, outcome=outcome or "not done"),
                )
            )
    if outcomes.get(StepKind.INSTALL) != StepOutcome.PASSED:
        found.append(Blocker("acceptance.not_installed", "The update was not installed."))
    promised = run.plan.release.way_back == WayBack.REINSTALL_PREVIOUS and run.plan.walk_back
    if promised and outcomes.get(StepKind.BACK) != StepOutcome.PASSED:
        found.append(Blocker("acceptance.not_back", "The way back was promised and not walked."))
    return found
