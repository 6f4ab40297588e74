"""What a rehearsed plan says to the RFCs that it serves: the result in one sentence, and whether it still is of the plan."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from changes.domain import evidence
from changes.enums import EvidenceKind, RFCState
from changes.models import RFC, Evidence
from changes.queries.evidence import standing
from patchflow.kernel.blockers import english
from patchflow.kernel.models import User
from releases.domain import plan_digests
from releases.enums import RehearsalEnd, ReleaseState
from releases.models import InstallProfile, PlanRehearsal, Release
from releases.models.release import BEFORE_DEPLOY
from releases.wording import many

ENDS = {RehearsalEnd.HALTED: "halts", RehearsalEnd.STUCK: english("waits without end")}
GOES = {RehearsalEnd.FULL: True, RehearsalEnd.PARTIAL: None}
"""All done is good, a part is no verdict; what halts, fails or waits without end is bad."""
CARRIED_OUT = (RFCState.IMPLEMENTING, RFCState.IN_REVIEW, RFCState.CLOSED, RFCState.REJECTED, RFCState.CANCELLED)
UNDER_WAY = (ReleaseState.DEPLOYING, ReleaseState.DEPLOYED, ReleaseState.ROLLING_BACK, ReleaseState.ROLLED_BACK)
CHANGED = english("The plan has changed since: rehearse it again.")


def push(row: PlanRehearsal, rfc: RFC, *, at: datetime) -> Evidence:
    """Hands a rehearsal to an RFC as evidence, as the system. The RFC is locked by who calls."""
    return evidence.record(
        rfc_id=rfc.pk, kind=EvidenceKind.PLAN_REHEARSAL, digest=row.digest, summary=summary(row), actor=User.bot(), at=at,
        passed=GOES.get(RehearsalEnd(row.end), False),
    )  # fmt: skip


def summary(row: PlanRehearsal) -> str:
    """When it would start and end, how many are done, fail and do not fit, and why it stops, if it does."""
    result, whose = row.result, row.release.number if row.release else english("before any release")
    ends = ENDS.get(RehearsalEnd(row.end), english("fails"))
    if row.ends_at:
        ends = english("ends %(when)s UTC", when=f"{row.ends_at:%d %b %Y %H:%M}")
    said = english(
        "%(whose)s: starts %(when)s UTC, %(ends)s; %(good)s of %(hosts)s done, %(bad)s failed, %(unfit)s will not fit.",
        whose=whose,
        when=f"{row.starts_at:%d %b %Y %H:%M}",
        ends=ends,
        good=result["good"],
        hosts=many(result["hosts"], "host"),
        bad=result["bad"],
        unfit=result["unfit_count"],
    )
    before = english("Packages and files that only a build finds are not in it.") if result["unbuilt"] else ""
    return " ".join(one for one in (said, before, row.cause) if one)


@standing(EvidenceKind.PLAN_REHEARSAL)
def find_outdated(rfc: RFC, row: Evidence, at: datetime) -> str:
    """Why a rehearsal is not of what is planned for the RFC now, or was not of what began. What ended without having begun
    is not asked."""
    releases = Release.objects.filter(links__rfc=rfc)
    begun = releases.filter(started_at__isnull=False).order_by("-started_at", "-pk").first()
    if rfc.state in CARRIED_OUT and begun is None:
        return ""
    rehearsals = PlanRehearsal.objects.filter(Q(rfc=rfc) | Q(release__links__rfc=rfc), digest=row.digest)
    made = rehearsals.select_related("release").order_by("-pk").first()
    if made is None:
        return english("No rehearsal with this digest is kept.")
    if begun is not None and (rfc.state in CARRIED_OUT or begun.state in UNDER_WAY):
        return _when_begun(begun, made)
    newest = releases.exclude(state=ReleaseState.CANCELLED).order_by("-pk").first()
    if made.release is None:
        return _since_alone(rfc, made, newest, at)
    if newest is None or newest.pk != made.release_id:
        number = made.release.number
        return english("%(release)s is not what carries it now: rehearse it again.", release=number)
    if newest.state == ReleaseState.COMPLETED:
        return english("%(release)s is completed: the rest is not rehearsed.", release=newest.number)
    if newest.state in BEFORE_DEPLOY and plan_digests.digest_of_release(newest, at=at) != row.digest:
        return CHANGED
    return ""


def _when_begun(release: Release, made: PlanRehearsal) -> str:
    """The same of what the release that carried it began with; hosts that joined later were never rehearsed with it."""
    if made.release_id != release.pk:
        return english("%(release)s carried it out, and its plan was not rehearsed.", release=release.number)
    sealed = release.manifests.filter(sealed_at__lte=release.started_at).order_by("-revision")
    began_with = sealed.values_list("digest", flat=True).first()
    return "" if made.digest == began_with else english("%(release)s began with another plan.", release=release.number)


def _since_alone(rfc: RFC, made: PlanRehearsal, newest: Release | None, at: datetime) -> str:
    """The same of an RFC rehearsed alone."""
    if newest is not None:
        return english("%(release)s carries it now: rehearse its plan.", release=newest.number)
    profile = InstallProfile.objects.get(pk=made.inputs["profile"])
    now = plan_digests.digest_of_rfc(rfc, profile, executor=made.inputs["executor"], at=at)
    return "" if now == made.digest else CHANGED
