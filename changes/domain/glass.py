"""Break-glass: an emergency that cannot wait for a round. One person asks, another decides beforehand, a third reviews."""

from __future__ import annotations

from datetime import datetime, timedelta

from changes.enums import RFCKind, RFCState
from changes.models import RFC, BreakGlass
from changes.queries.holds import hold_blocker
from changes.queries.rfcs import may_break_glass
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.hands import acted
from patchflow.kernel.models import RoleGrant, User
from patchflow.kernel.roles import roles_with
from patchflow.kernel.rules import a_person, capability, failing
from patchflow.notices.delivery import tell

REVIEW_WITHIN = timedelta(days=3)
BEFORE = (RFCState.SUBMITTED, RFCState.EVALUATING, RFCState.AWAITING_APPROVAL)


@workflow.verb("change.rfc.glass_asked", RFC, "rfc_id")
def ask(*, rfc_id: int, reason: str, actor: User, at: datetime) -> BreakGlass:
    """Asks a second person to break the glass for exactly this content. Needs rfc.submit; the requester may ask. Told
    is who may answer: not who asks, who wrote the change, or whose right does not reach its hosts."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.submit"), a_person], rfc, actor):
        raise NotAllowed(refused)
    if rfc.kind != RFCKind.EMERGENCY or rfc.state not in BEFORE:
        raise Conflict("The glass is broken only for an emergency that waits for approval.", code="conflict.state")
    if not reason.strip():
        raise Invalid("Say why it cannot wait for its approval.", code="rfc.reason")
    if held := hold_blocker(rfc):
        raise Blocked(held)
    rfc.glass.filter(broken_at__isnull=True, withdrawn_at__isnull=True).update(withdrawn_at=at)
    asked = BreakGlass.objects.create(
        rfc=rfc, digest=rfc.change_digest, reason=reason.strip(), asked_by=actor, asked_at=at
    )
    detail = {"reason": asked.reason, "digest": asked.digest}
    audit.record(rfc, "change.rfc.glass_asked", actor=actor, at=at, detail=detail)
    key, people = f"glass:{asked.pk}:asked", may_break_glass(asked)
    tell(kind="glass_asked", people=people, key=key, at=at, url=rfc.get_absolute_url(), rfc=rfc, asked=asked)
    return asked


@workflow.verb("change.rfc.glass_broken", RFC, "rfc_id")
def break_glass(*, rfc_id: int, reason: str, actor: User, at: datetime) -> BreakGlass:
    """The second person authorizes at once, with a reason. Needs rfc.break_glass, not being who asked or wrote it. An
    open round is withdrawn, and a review of this act is due from now on; the RFC cannot be closed without it."""
    if not reason.strip():
        raise Invalid("Say why you break the glass.", code="rfc.reason")
    rfc = workflow.lock(RFC, rfc_id)
    signed = rfc.change_digest
    asked = rfc.open_glass()
    facts = {"reason": reason.strip(), "digest": signed}
    rfc = workflow.fire(RFC, rfc_id, "break_glass", actor=actor, at=at, **facts)
    assert asked is not None  # noqa: S101  the rule glass_asked_by_another has looked
    asked.broken_by, asked.broken_at, asked.review_due_at = actor, at, at + REVIEW_WITHIN
    asked.reason = f"{asked.reason}\n{reason.strip()}"
    asked.save(update_fields=["broken_by", "broken_at", "review_due_at", "reason"])
    signoffs.withdraw(subject=rfc, actor=actor, at=at, reason=english("The glass was broken."))
    grants = RoleGrant.objects.filter(role__in=roles_with("rfc.close")).select_related("user")
    key = f"glass:{asked.pk}:review"
    people = [g.user for g in grants]
    tell(kind="glass_review_due", people=people, key=key, at=at, url=rfc.get_absolute_url(), rfc=rfc, asked=asked)
    return asked


@workflow.verb("change.rfc.glass_reviewed", RFC, "rfc_id")
def review(*, rfc_id: int, justified: bool, finding: str, actor: User, at: datetime) -> BreakGlass:
    """A third person states whether breaking the glass was justified. Needs rfc.approve or rfc.close for the hosts."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := _without_review_right(rfc, actor):
        raise NotAllowed(refused)
    broken = _unreviewed(rfc)
    if broken is None:
        raise Conflict("There is no broken glass to review.", code="conflict.state")
    if refused := why_not_review(rfc, actor):
        raise NotAllowed(refused)
    if not finding.strip():
        raise Invalid("Say what the review found.", code="rfc.finding")
    broken.reviewed_by, broken.reviewed_at = actor, at
    broken.justified, broken.finding = justified, finding.strip()
    broken.save(update_fields=["reviewed_by", "reviewed_at", "justified", "finding"])
    detail = {"justified": justified, "finding": broken.finding}
    audit.record(rfc, "change.rfc.glass_reviewed", actor=actor, at=at, detail=detail)
    return broken


def why_not_review(rfc: RFC, actor: User) -> list[Blocker]:
    """Why this person cannot review the broken glass: the right first, then whether they took part in it."""
    if refused := _without_review_right(rfc, actor):
        return refused
    broken = _unreviewed(rfc)
    if broken is not None and acted(actor, [broken.asked_by_id, broken.broken_by_id, rfc.requested_by_id]):
        return [Blocker("rfc.four_eyes_glass", "You took part in it; somebody else reviews it.")]
    return []


def _without_review_right(rfc: RFC, actor: User) -> list[Blocker]:
    if refused := failing([a_person], rfc, actor):
        return refused
    keys = rfc.scope_keys()
    if actor.holds("rfc.approve", over=keys) or actor.holds("rfc.close", over=keys):
        return []
    return failing([capability("rfc.close")], rfc, actor)


def _unreviewed(rfc: RFC) -> BreakGlass | None:
    return rfc.glass.filter(broken_at__isnull=False, reviewed_at__isnull=True).order_by("pk").first()
