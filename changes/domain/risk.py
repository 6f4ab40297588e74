"""Risk: assessed by the system from stated factors, kept as a row, part of what approval signs."""

from __future__ import annotations

from datetime import datetime

from changes.domain import revisions
from changes.enums import RFCState
from changes.models import RFC, RiskAssessment
from changes.queries.risk import scored
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english, label_of
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

SCORABLE = (
    RFCState.DRAFT,
    RFCState.SUBMITTED,
    RFCState.EVALUATING,
    RFCState.AWAITING_APPROVAL,
    RFCState.AUTHORIZED,
    RFCState.SUSPENDED,
)


@workflow.verb("change.rfc.scored", RFC, "rfc_id")
def score(*, rfc_id: int, actor: User, at: datetime) -> RiskAssessment:
    """Assesses the risk again. Needs rfc.score. A changed result is an edit: it voids an open round or an authorization."""
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.score")], rfc, actor):
        raise NotAllowed(refused)
    if rfc.state not in SCORABLE:
        raise Conflict(english("It is %(state)s: its risk is history.", state=label_of(rfc)), code="conflict.state")
    revisions.not_on_hold(rfc)
    with revisions.editing(rfc, actor=actor, at=at, reason=english("risk assessed again"), authored=False):
        return assess(rfc, actor=actor, at=at)


def assess(rfc: RFC, *, actor: User, at: datetime) -> RiskAssessment:
    """Writes an assessment of the RFC as it stands. Inside a verb that has the RFC's lock."""
    found = scored(rfc, at=at)
    row = RiskAssessment.objects.create(
        rfc=rfc,
        score=found.score,
        maximum=found.maximum,
        level=found.level,
        factors=[f.as_dict() for f in found.factors],
        content_digest=rfc.content_digest(),
        by=actor,
        at=at,
    )
    detail = {"level": row.level, "score": row.score, "of": row.maximum, "factors": row.factors}
    audit.record(rfc, "change.rfc.scored", actor=actor, at=at, detail=detail)
    return row
