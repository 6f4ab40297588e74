"""The life of a release: composed from authorized changes, revised, deployed, finished, accepted, cancelled.

Locks are taken Cycle < RFC < Release: a verb that touches an RFC locks it before the release.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from changes.domain import cycles, evidence, rfcs, scope
from changes.enums import EvidenceKind, RFCState, TargetOutcome, WayBack
from changes.models import RFC, Cycle, RFCTarget
from patchflow.kernel import audit, registry, signoffs, trial, workflow
from patchflow.kernel.blockers import Blocker, English, english, label_of
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.numbers import next_number
from patchflow.kernel.rules import capability, failing
from releases.domain import slots
from releases.enums import SIMULATOR, BuildState, ReadinessState, ReleaseOutcome, ReleaseState, RunState
from releases.enums_rollout import RolloutState
from releases.models import AcceptanceRun, Build, PlannedHost, ReadinessReview, Release, ReleaseRFC, Rollout
from releases.queries.manifests import carried, current
from releases.queries.outcomes import outcomes_of
from releases.queries.releases import Reach, authorizations

URGENCY = ("standard", "normal", "emergency")


def lock_rfcs(rfc_ids: Sequence[int]) -> list[RFC]:
    """The RFCs, locked in the order of their ids."""
    return [workflow.lock(RFC, rfc_id) for rfc_id in sorted(rfc_ids)]


def lock_cycles(rfc_ids: Sequence[int]) -> list[int]:
    """Locks the cycles of these RFCs, before anything else; their ids."""
    cycle_ids = sorted(set(RFC.objects.filter(pk__in=rfc_ids).values_list("cycle_id", flat=True)))
    for cycle_id in cycle_ids:
        workflow.lock(Cycle, cycle_id)
    return cycle_ids


def said(reason: str) -> str:
    """The reason given, or Invalid."""
    if not reason.strip():
        raise Invalid("Say why.", code="release.reason")
    return reason.strip()


# --- composing --------------------------------------------------------------------------------------------------------
@workflow.verb("release.release.composed")
def compose(*, rfc_ids: Sequence[int], actor: User, at: datetime, title: str = "", executor: str = "") -> Release:
    """Bundles authorized RFCs into a new release in planning, with all their hosts, dates and the way back they promise.

    Raises NotAllowed (role for the hosts), Invalid (no RFC, unknown executor), Blocked (an RFC is not authorized, is in
    another open release, or the RFCs promise different ways back).
    """
    if not rfc_ids:
        raise Invalid("Choose at least one authorized RFC.", code="release.rfc_ids")
    is_trial = trial.active()
    executor = executor_for(executor, is_trial=is_trial)
    found = lock_rfcs(list(dict.fromkeys(rfc_ids)))
    joined = _joinable(found, actor=actor, at=at)
    release = Release.objects.create(
        number=next_number("REL", at=at),
        title=title.strip()[:200] or ", ".join(r.title for r in found)[:200],
        kind=max((r.kind for r in found), key=URGENCY.index),
        executor=executor,
        trial=is_trial,
        way_back=_way_back(found),
        earliest_at=max((r.not_before for r in found if r.not_before), default=None),
        latest_at=min((r.not_after for r in found if r.not_after), default=None),
        composed_by=actor,
        composed_at=at,
        state_at=at,
    )
    _link(release, joined, at=at)
    audit.record(release, "release.release.composed", actor=actor, at=at, after=ReleaseState.PLANNING,
                 detail={"rfcs": {a.number: a.digest for a in joined}, "executor": executor, "trial": is_trial})  # fmt: skip
    return release


def executor_for(asked: str, *, is_trial: bool) -> str:
    """Who acts for a new release: in trial mode the simulator and nobody else, in production never the simulator."""
    chosen = asked or (SIMULATOR if is_trial else settings.PATCHFLOW["EXECUTOR"])
    if chosen not in registry.executors:
        raise Invalid(english("There is no executor named %(executor)s.", executor=chosen), code="release.executor")
    if is_trial and chosen != SIMULATOR:
        raise Invalid(
            english("%(trial)s Only the simulator acts.", trial=English.of(trial.NOTHING)), code="release.executor"
        )
    if settings.PRODUCTION and not is_trial and chosen == SIMULATOR:
        raise Invalid("In production the simulator acts in trial mode only.", code="release.executor")
    return str(chosen)


def _joinable(found: list[RFC], *, actor: User, at: datetime, of: Release | None = None) -> list[Any]:
    """The authorizations of the RFCs; refuses by name those that cannot join."""
    joined = authorizations([r.pk for r in found], at=at)
    hosts = {host_id for one in joined for host_id in one.host_ids}
    if refused := failing([capability("release.compose")], Reach(tuple(sorted(hosts))), actor):
        raise NotAllowed(refused)
    blockers = [b for one in joined for b in one.blockers]
    blockers += [b for rfc in found for b in trial.mismatch(rfc.trial, rfc.number)]
    for one in joined:
        other = ReleaseRFC.objects.filter(rfc_id=one.rfc_id, left_at__isnull=True).exclude(release=of).first()
        if other:
            sentence = english(
                "%(number)s is in %(release)s: an RFC has at most one open release.",
                number=one.number,
                release=other.release,
            )
            blockers.append(Blocker("release.rfc_taken", sentence, other.release.get_absolute_url()))
    ways = {r.way_back for r in found} - {WayBack.NONE}
    if len(ways) > 1:
        blockers.append(
            Blocker("release.way_back", "The RFCs promise different ways back: compose one release for each.")
        )
    if blockers:
        raise Blocked(blockers)
    return joined


def _way_back(found: list[RFC]) -> str:
    return next((r.way_back for r in found if r.way_back != WayBack.NONE), WayBack.NONE)


def _link(release: Release, joined: list[Any], *, at: datetime) -> None:
    """RFCs and hosts of the release become exactly these; hosts that stay keep their ring."""
    release.links.exclude(rfc_id__in=[one.rfc_id for one in joined]).delete()
    for one in joined:
        ReleaseRFC.objects.update_or_create(
            release=release,
            rfc_id=one.rfc_id,
            defaults={"digest": one.digest},
            create_defaults={"digest": one.digest, "joined_at": at},
        )
    hosts = {host_id for one in joined for host_id in one.host_ids}
    release.planned_hosts.exclude(host_id__in=hosts).delete()
    present = set(release.planned_hosts.values_list("host_id", flat=True))
    PlannedHost.objects.bulk_create(
        [PlannedHost(release=release, host_id=host_id) for host_id in sorted(hosts - present)]
    )


# --- going back, giving up --------------------------------------------------------------------------------------------
@workflow.verb("release.release.revised", Release, "release_id")
def revise(*, release_id: int, reason: str, actor: User, at: datetime, rfc_ids: Sequence[int] | None = None) -> Release:
    """Takes a release that is not deploying back to planning; voids the round over its manifest, drops work in progress.

    The RFCs are asked again; `rfc_ids` exchanges them. Hosts follow the RFCs' targets of today.
    """
    reason = said(reason)
    chosen = list(rfc_ids) if rfc_ids is not None else Release.objects.get(pk=release_id).rfc_ids()
    found = lock_rfcs(chosen)
    release = workflow.fire(Release, release_id, "revise", actor=actor, at=at, reason=reason)
    stop_work(release, actor=actor, at=at, reason=reason)
    end_readiness(release, actor=actor, at=at, reason=reason)
    if rfc_ids is not None or all(one.valid for one in authorizations(chosen, at=at)):
        _link(release, _joinable(found, actor=actor, at=at, of=release), at=at)
    return workflow.lock(Release, release_id)


@workflow.verb("release.release.voided", Release, "release_id")
def void(*, release_id: int, reason: str, actor: User, at: datetime) -> Release:
    """Takes readiness back (facts changed, an authorization lapsed): the release waits in scheduling for a new seal."""
    lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    release = workflow.fire(Release, release_id, "void", actor=actor, at=at, reason=said(reason))
    end_readiness(release, actor=actor, at=at, reason=reason)
    return release


@workflow.verb("release.release.cancelled", Release, "release_id")
def cancel(*, release_id: int, reason: str, actor: User, at: datetime) -> Release:
    """Gives a release up before it deploys; its RFCs are free for another one. Stop a deploying one instead."""
    from releases.domain import rollouts

    lock_rfcs(Release.objects.get(pk=release_id).rfc_ids())
    release = workflow.fire(Release, release_id, "cancel", actor=actor, at=at, reason=said(reason))
    stop_work(release, actor=actor, at=at, reason=reason)
    end_readiness(release, actor=actor, at=at, reason=reason)
    for rollout in Rollout.objects.filter(release=release, state=RolloutState.PLANNED):
        rollouts.cancel(rollout_id=rollout.pk, reason=reason, actor=actor, at=at)
    release.links.update(left_at=at)
    return release


def stop_work(release: Release, *, actor: User, at: datetime, reason: str) -> None:
    """Ends a pending build and live acceptance runs: what they find later counts no more."""
    why = english("Stopped: %(reason)s", reason=reason)
    for pk in release.builds.filter(state=BuildState.PENDING).values_list("pk", flat=True):
        workflow.fire(Build, pk, "fail", actor=User.bot(), at=at, reason=why)
    live = AcceptanceRun.objects.filter(plan__release=release, state__in=[RunState.PLANNED, RunState.RUNNING])
    for pk in live.values_list("pk", flat=True):
        workflow.fire(AcceptanceRun, pk, "give_up", actor=User.bot(), at=at, reason=why)


def end_readiness(release: Release, *, actor: User, at: datetime, reason: str) -> None:
    """Voids the open round and the review over the manifest: an approval never outlives what it was given for. Slots are
    given back."""
    from releases.domain import amendments

    slots.give_back(release, reason=reason, at=at)
    amendments.retire(release, actor=actor, at=at, reason=reason)
    signoffs.void(subject=release, actor=actor, at=at, reason=reason)
    reviews = release.readiness_reviews.filter(state__in=[ReadinessState.OPEN, ReadinessState.GO])
    for pk in reviews.values_list("pk", flat=True):
        workflow.fire(ReadinessReview, pk, "void", actor=actor, at=at, reason=reason)


# --- deploying ----------------------------------------------------------------------------------------------------------
@workflow.verb("release.release.deploying", Release, "release_id")
def deploy(*, release_id: int, actor: User, at: datetime) -> Release:
    """Starts the deployment of a ready release: its RFCs begin, its rollout starts.

    Everything is asked again (authorizations, digests, verification, round on exactly this manifest). Raises NotAllowed
    for who signed an RFC or the manifest.
    """
    from releases.domain import rollouts

    rfc_ids = Release.objects.get(pk=release_id).rfc_ids()
    lock_cycles(rfc_ids)
    found = lock_rfcs(rfc_ids)
    workflow.fire(Release, release_id, "deploy", actor=actor, at=at)
    for rfc in found:
        if rfc.state == RFCState.AUTHORIZED:  # one that was suspended goes on with the rest of its scope
            rfcs.begin(rfc_id=rfc.pk, actor=actor, at=at)
    rollouts.start(release_id=release_id, actor=actor, at=at)
    return workflow.lock(Release, release_id)


@workflow.verb("release.release.rolling_back", Release, "release_id")
def roll_back(*, release_id: int, reason: str, actor: User, at: datetime) -> Release:
    """Marks a deploying or deployed release as going back; the rollout that does it is the caller's (`rollouts.roll_back`)."""
    from releases.domain import amendments

    release = workflow.fire(Release, release_id, "roll_back", actor=actor, at=at, reason=said(reason))
    amendments.retire(release, actor=actor, at=at, reason=reason)
    return release


@workflow.verb("release.release.stopped", Release, "release_id")
def stop(*, release_id: int, reason: str, actor: User, at: datetime, outcome: str = ReleaseOutcome.PARTIAL) -> Release:
    """Ends a deployment that is at rest short of its goal; refused while a job lives."""
    if outcome not in (ReleaseOutcome.PARTIAL, ReleaseOutcome.FAILED):
        raise Invalid("A stopped deployment is partial or failed.", code="release.outcome")
    workflow.fire(Release, release_id, "stop", actor=actor, at=at, outcome=outcome, reason=said(reason))
    return _after(release_id, actor=actor, at=at)


@workflow.verb("release.release.finished", Release, "release_id")
def finished(*, release_id: int, outcome: str, actor: User, at: datetime) -> Release:
    """Called by the rollout when its last ring is done, stopped or taken back; opens the review with its figures.

    `outcome`: full, partial or failed of a deployment; rolled_back or rolled_back_partly of a way back.
    """
    if outcome not in ReleaseOutcome.values:
        raise Invalid(english("%(outcome)s is no outcome of a release.", outcome=repr(outcome)), code="release.outcome")
    back = outcome in (ReleaseOutcome.ROLLED_BACK, ReleaseOutcome.ROLLED_BACK_PARTLY)
    workflow.fire(Release, release_id, "rolled_back" if back else "finish", actor=actor, at=at, outcome=outcome)
    return _after(release_id, actor=actor, at=at)


def _after(release_id: int, *, actor: User, at: datetime) -> Release:
    """What follows every end of a deployment: outcomes and evidence for the RFCs, the review opened."""
    from releases.domain import amendments, reviews

    release = workflow.lock(Release, release_id)
    amendments.retire(release, actor=actor, at=at, reason=english("The deployment has ended."))
    push_outcomes(release, at=at)
    slots.give_back(
        release, reason=english("Its deployment has ended: %(outcome)s.", outcome=label_of(release, "outcome")), at=at
    )
    push_evidence(
        release, EvidenceKind.DEPLOYMENT, at=at, passed=release.outcome == ReleaseOutcome.FULL,
        summary=english(
            "%(release)s: deployment %(outcome)s.", release=release.number, outcome=label_of(release, "outcome")
        ),
    )  # fmt: skip
    reviews.open_review(release_id=release_id, actor=User.bot(), at=at)
    return release


def push_outcomes(release: Release, *, at: datetime) -> None:
    """Tells every RFC, as the system, what became of its targets; one that no job names is owed."""
    found = outcomes_of(release)
    for rfc_id in release.rfc_ids():
        targets = RFCTarget.objects.filter(rfc_id=rfc_id, removed_at__isnull=True, left_at__isnull=True)
        outcomes = {pk: found.get(pk, TargetOutcome.OWED) for pk in targets.values_list("host_id", flat=True)}
        if outcomes:
            scope.record_outcomes(rfc_id=rfc_id, outcomes=outcomes, actor=User.bot(), at=at)


NOBODY_TOUCHED = english("It was simulated: no host was touched.")
NOBODY_TOUCHED_BEFORE = english("Simulated: no host was touched.")
"""As evidence said it before, which keeps it."""


def push_evidence(
    release: Release, kind: str, *, at: datetime, summary: str, passed: bool | None, digest: str = ""
) -> None:
    """Hands a statement to every RFC of the release, as the system, resting on its current manifest unless another
    digest is named."""
    manifest = current(release.pk)
    rests_on = digest or (manifest.digest if manifest else "")
    summary = f"{summary} {NOBODY_TOUCHED}" if release.is_simulated else summary
    for rfc_id in release.rfc_ids():
        evidence.record(
            rfc_id=rfc_id, kind=kind, digest=rests_on, summary=summary, passed=passed, actor=User.bot(), at=at
        )


# --- completing -----------------------------------------------------------------------------------------------------------
@workflow.verb("release.release.accepted", Release, "release_id")
def accept(*, release_id: int, actor: User, at: datetime) -> Release:
    """Completes a reviewed release: pushes *implemented* to its RFCs and its completion to their cycles, proposes baselines.

    No path leaves an RFC or a cycle hanging: this is the one end of everything that was ever started.
    """
    from releases.domain import adoption

    rfc_ids = Release.objects.get(pk=release_id).rfc_ids()
    cycle_ids = lock_cycles(rfc_ids)
    found = lock_rfcs(rfc_ids)
    release = workflow.fire(Release, release_id, "accept", actor=actor, at=at)
    for rfc in found:
        if rfc.state == RFCState.IMPLEMENTING and not _authorized_anew(release, rfc):
            rfcs.implemented(rfc_id=rfc.pk, outcome=release.outcome, actor=User.bot(), at=at)
    release.links.update(left_at=at)
    adoption.propose_baselines(release, at=at)
    cycles.release_completed(cycle_ids=cycle_ids, actor=User.bot(), at=at, cause=release.number)
    return workflow.lock(Release, release_id)


def _authorized_anew(release: Release, rfc: RFC) -> bool:
    """Whether the RFC was suspended and authorized again for the rest of its scope, which this release does not carry."""
    ended_before = bool(release.finished_at and rfc.authorized_at and rfc.authorized_at > release.finished_at)
    return ended_before or carried(release.pk).get(rfc.number) != rfc.change_digest
