"""Approvals of RFCs: who is asked, what is signed, what each end of a round does.

A passed round authorizes in the same transaction, with the last signer as actor; a refused, expired or voided one sends
the RFC back to evaluation. Silence is never yes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db.models import Q

from changes.domain import reminders, risk, routing, scope
from changes.domain.rfc_gates import rest_unplanned
from changes.enums import ModelState, Owners, RFCKind, RFCState, TargetOutcome
from changes.models import RFC, ChangeModel
from changes.queries.holds import hold_blocker
from changes.queries.owners import owns
from changes.queries.routing import routes_missed
from cmdb.models import SupportGroup
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.enums import Basis, Verdict
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.models import SignOff, SignOffRound, User, Voter
from patchflow.kernel.registry import SignOffSubject, signoff_subjects
from patchflow.kernel.rules import capability, failing
from patchflow.notices.delivery import tell

Excluder = Callable[[RFC], dict[int, str]]
EXCLUDERS: list[Excluder] = []
REST = (TargetOutcome.PLANNED, TargetOutcome.OWED)
"""What became of the targets that a suspended change still has before it."""
BACK: dict[str, tuple[Any, str, str]] = {
    "changes.rfc": (RFC, RFCState.AWAITING_APPROVAL, "voided"),
    "changes.changemodel": (ChangeModel, ModelState.PROPOSED, "void"),
}
"""Subject of a round → its model, the state in which it is asked about, and how it leaves it when the question is taken back."""

WITHDRAWS = capability("round.withdraw")
HAS_ENDED = Blocker("signoff.round_over", "This round has ended.")


def excludes(function: Excluder) -> Excluder:
    """Registers who else may not sign an RFC (releases: who builds or deploys it): user id → reason."""
    if function not in EXCLUDERS:
        EXCLUDERS.append(function)
    return function


def excluded(rfc: RFC) -> dict[int, str]:
    """Who may not sign, and why: whoever requested, wrote, builds or deploys it (law 1)."""
    found: dict[int, str] = {}
    for function in EXCLUDERS:
        found.update(function(rfc))
    for pk in rfc.author_ids():
        found[pk] = english("You wrote this change; somebody else decides about it.")
    found[rfc.requested_by_id] = english("You requested this change; somebody else decides about it.")
    return found


def still_asked(rfc: RFC, voter: Voter) -> bool:
    """Whether who was asked as owner, or from a support group, is that now."""
    match voter.basis:
        case Basis.OWNER:
            hosts = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True)
            return owns(voter.user, list(hosts), services=voter.via == Owners.SERVICES)
        case Basis.GROUP:
            return (
                SupportGroup.objects.filter(name=voter.via).filter(Q(lead=voter.user) | Q(members=voter.user)).exists()
            )
    return True


@workflow.verb("change.rfc.approval_requested", RFC, "rfc_id")
def request_approval(*, rfc_id: int, actor: User, at: datetime) -> SignOffRound:
    """Asks for approval of exactly what stands there. Gates: plans, risk, targets. Opens the round that its
    kind or model and the routes that it meets ask for; routes that it would meet, were not all that they name retired, stand
    in the trail.

    A suspended RFC stays suspended; its round is about the rest of its scope, and waits for the tasks of
    its preparation too. Needs rfc.request_approval.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if rfc.state == RFCState.SUSPENDED:
        _may_ask_for_the_rest(rfc, actor)
        scope.drop_the_left(rfc, at=at)
        risk.assess(rfc, actor=actor, at=at)
    else:
        if rfc.state in (RFCState.SUBMITTED, RFCState.EVALUATING) and scope.drop_the_left(rfc, at=at):
            risk.assess(rfc, actor=actor, at=at)
        workflow.fire(RFC, rfc_id, "request_approval", actor=actor, at=at)
    rfc = workflow.lock(RFC, rfc_id)
    round_ = signoffs.open_round(
        subject=rfc, levels=routing.specs_for(rfc, at=at, out=signoffs.excluded_of(rfc)), actor=actor, at=at
    )
    if missed := routes_missed(rfc, at=at):
        named = [route.name for route in missed]
        audit.record(rfc, "change.rfc.routes_not_asked", actor=User.bot(), at=at, detail={"routes": named})
    reminders.ask(round_, at=at)
    return round_


def _may_ask_for_the_rest(rfc: RFC, actor: User) -> None:
    if refused := failing([capability("rfc.request_approval")], rfc, actor):
        raise NotAllowed(refused)
    rest = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True, outcome__in=REST).exists()
    if blockers := hold_blocker(rfc) + rest_unplanned(rfc):
        raise Blocked(blockers)
    if not rest:
        raise Blocked("No target is left to be done: stop the change instead.", code="rfc.targets_missing")


@workflow.verb("signoff.round.signed", SignOffRound, "round_id")
def decide(
    *, round_id: int, verdict: str, actor: User, at: datetime, comment: str = "", digest_seen: str = "",
    authenticated_at: datetime | None = None,
) -> SignOff:  # fmt: skip
    """Signs any round for or against, by the verb of its subject; tells whoever the next level asks.

    Raises what `signoffs.decide` raises: Blocked while the subject is on hold.
    """
    peek = SignOffRound.objects.defer("document").filter(pk=round_id).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    if peek.subject_type == RFC._meta.label_lower:
        workflow.lock(RFC, peek.subject_id)
    sign = signoff_subjects[peek.subject_type].decide or signoffs.decide
    signed: SignOff = sign(
        round_id=round_id, verdict=verdict, comment=comment, actor=actor, at=at, digest_seen=digest_seen,
        authenticated_at=authenticated_at,
    )  # fmt: skip
    now = SignOffRound.objects.defer("document").get(pk=round_id)
    if now.is_open and now.position != peek.position:
        reminders.ask(now, at=at)
    return signed


@workflow.verb("signoff.round.withdrawn", SignOffRound, "round_id")
def withdraw(*, round_id: int, reason: str, actor: User, at: datetime) -> RFC | ChangeModel:
    """Takes a question back: the round ends, the RFC is evaluated again, the model is a draft again. Needs round.withdraw."""
    workflow.demand_somewhere("round.withdraw", actor=actor)
    peek = SignOffRound.objects.filter(pk=round_id, subject_type__in=BACK).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    model, asked, back = BACK[peek.subject_type]
    subject: Any = workflow.lock(model, peek.subject_id)
    if refused := failing([WITHDRAWS], subject, actor):
        raise NotAllowed(refused)
    if not reason.strip():
        raise Blocked("Say why the question is taken back.", code="round.reason")
    if signoffs.withdraw(subject=subject, actor=actor, at=at, reason=reason.strip()) is None:
        raise Conflict(HAS_ENDED)
    if subject.state == asked:
        workflow.fire(
            model, subject.pk, back, actor=actor, at=at, reason=english("Withdrawn: %(reason)s", reason=reason.strip())
        )
    found: RFC | ChangeModel = model.objects.get(pk=subject.pk)
    return found


def why_not_withdraw(round_: SignOffRound, actor: User) -> list[Blocker]:
    """Why this person cannot take the question back now, the same as the verb raises."""
    if round_.subject_type not in BACK:
        return [Blocker("conflict.state", "It ends with what it is about, not by a withdrawal.")]
    subject = BACK[round_.subject_type][0].objects.filter(pk=round_.subject_id).first()
    return failing([WITHDRAWS], subject, actor) or ([] if round_.is_open else [HAS_ENDED])


# --- what the ends of a round do --------------------------------------------------------------------------------------------------
def _passed(rfc: RFC, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    workflow.fire(RFC, rfc.pk, "authorize", actor=actor, at=at, digest=round_.digest, round=round_.number)
    _tell_requester(rfc, round_, "authorized", at=at)


def _refused(rfc: RFC, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    comments = [s.comment for s in round_.signoffs.filter(verdict=Verdict.REFUSE)]
    if rfc.state == RFCState.AWAITING_APPROVAL:
        workflow.fire(RFC, rfc.pk, "refused", actor=actor, at=at, reason=" ".join(comments))
    _tell_requester(rfc, round_, "refused", at=at)


def _expired(rfc: RFC, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    if rfc.state == RFCState.AWAITING_APPROVAL:
        workflow.fire(RFC, rfc.pk, "expired", actor=actor, at=at, reason=round_.reason)
    _tell_requester(rfc, round_, "expired", at=at)


def _voided(rfc: RFC, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    if rfc.state == RFCState.AWAITING_APPROVAL:
        workflow.fire(RFC, rfc.pk, "voided", actor=actor, at=at, reason=round_.reason)


def _tell_requester(rfc: RFC, round_: SignOffRound, ended: str, *, at: datetime) -> None:
    tell(
        kind="approval_ended",
        people=[rfc.requested_by],
        key=f"round:{round_.pk}:ended",
        at=at,
        url=rfc.get_absolute_url(),
        rfc=rfc,
        round=round_,
        ended=ended,
        refusals=[
            [str(s.user), s.comment] for s in round_.signoffs.filter(verdict=Verdict.REFUSE).select_related("user")
        ],
    )


signoff_subjects.add(
    "changes.rfc",
    SignOffSubject(
        label="changes.rfc",
        document=RFC.change_document,
        excluded=excluded,
        capability="rfc.approve",
        on_passed=_passed,
        on_refused=_refused,
        on_expired=_expired,
        on_voided=_voided,
        not_now=hold_blocker,
        still_asked=still_asked,
        url=RFC.get_absolute_url,
        visible=lambda actor: RFC.objects.visible_to(actor).values("pk"),
        emergency=lambda rfc: rfc.kind == RFCKind.EMERGENCY,
    ),
)
