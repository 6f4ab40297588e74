"""An RFC rehearsed before any release carries it, so that the board sees what its plan would come to."""

from __future__ import annotations

from datetime import datetime

from changes.enums import RFCState
from changes.models import RFC
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english, label_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from releases.domain import rehearsal_evidence, releases
from releases.domain.plan_rehearsals import Wanted, demand_supposed, run_on_paper, told_of
from releases.domain.sketches import sketch
from releases.models import InstallProfile, PlanRehearsal, Release

REHEARSED = (
    RFCState.SUBMITTED, RFCState.EVALUATING, RFCState.AWAITING_APPROVAL, RFCState.AUTHORIZED, RFCState.SUSPENDED,
)  # fmt: skip
"""Where an RFC is planned and nothing runs. A draft has no evidence yet."""


@workflow.verb("release.rfc.rehearsed", RFC, "rfc_id")
def rehearse(
    *, rfc_id: int, profile_id: int, actor: User, at: datetime, wanted: Wanted | None = None,
    starts_at: datetime | None = None, executor: str = "",
) -> PlanRehearsal:  # fmt: skip
    """Runs what a release of this RFC alone would begin with on a simulated clock from `starts_at` (None: from now): its hosts
    that miss its updates, in the rings that are usually proposed, its windows and dates, the profile that is supposed. Keeps
    what it came to, and gives it to the RFC as evidence.

    Needs release.plan for every host. Raises NotAllowed, Conflict (its state; a release carries it, whose plan is then
    rehearsed), Invalid (profile, executor, rates, minutes, start), Blocked (no host misses an update of it).
    """
    wanted, starts_at = wanted or Wanted(), starts_at or at
    rfc = RFC.objects.filter(pk=rfc_id).first()
    if rfc is None:
        raise Conflict("This RFC no longer exists.", code="conflict.gone")
    if refused := failing([capability("release.plan")], rfc, actor):
        raise NotAllowed(refused)
    _demand_alone(rfc)
    profile = InstallProfile.objects.filter(pk=profile_id).first()
    if profile is None:
        raise Invalid("There is no such install profile.", code="release.profile_id")
    demand_supposed(wanted, starts_at, at=at)
    plan = sketch(rfc, profile, executor=releases.executor_for(executor, is_trial=rfc.trial), at=at)
    row = run_on_paper(plan, plan.digest, plan.document, wanted, at=at, starts_at=starts_at)
    rfc = workflow.lock(RFC, rfc_id)
    _demand_alone(rfc)
    row.rfc, row.made_by = rfc, actor
    row.inputs = {**row.inputs, "profile": profile.pk, "executor": plan.executor}
    row.save()
    audit.record(rfc, "release.rfc.rehearsed", actor=actor, at=at, detail=told_of(row))
    rehearsal_evidence.push(row, rfc, at=at)
    return row


def carrier(rfc: RFC) -> Release | None:
    """The open release that carries the RFC."""
    found: Release | None = Release.objects.filter(links__rfc=rfc, links__left_at__isnull=True).first()
    return found


def _demand_alone(rfc: RFC) -> None:
    if rfc.state not in REHEARSED:
        said = english("It is %(state)s: only what is planned and has not begun is rehearsed.", state=label_of(rfc))
        raise Conflict(said, code="conflict.state")
    if release := carrier(rfc):
        said = english("%(release)s carries it: rehearse its plan.", release=release.number)
        raise Conflict(said, code="rehearsal.carried")
