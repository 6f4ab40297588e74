"""Evidence: pushed down by releases, asked for by the gates of an RFC. Insert-only."""

from __future__ import annotations

from datetime import datetime

from changes.enums import EvidenceKind, RFCState
from changes.models import RFC, Evidence
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

OF_SYSTEM = (EvidenceKind.PLAN_REHEARSAL,)
"""What no person states: it rests on a simulation that the system made and keeps."""


@workflow.verb("change.rfc.evidence_recorded", RFC, "rfc_id")
def record(
    *, rfc_id: int, kind: str, digest: str, summary: str, passed: bool | None, actor: User, at: datetime
) -> Evidence:
    """Writes a statement about an RFC: its kind, the digest of the document it rests on, its verdict (None: no verdict).

    Needs evidence.record for the hosts concerned. A later row of the same kind supersedes; none is edited. Works on hold
    and in every state but draft, since it states what happened.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("evidence.record")], rfc, actor):
        raise NotAllowed(refused)
    if kind not in EvidenceKind.values:
        raise Invalid(english("There is no evidence of kind %(kind)s.", kind=repr(kind)), code="evidence.kind")
    if kind in OF_SYSTEM and not actor.is_bot:
        raise Invalid("The system itself states this, from what it simulated.", code="evidence.kind")
    if not summary.strip():
        raise Invalid("Say what this evidence shows.", code="evidence.summary")
    if early := _too_early(rfc):
        raise Conflict(early)
    said = f"Trial: {summary.strip()}" if rfc.trial else summary.strip()
    row = Evidence.objects.create(rfc=rfc, kind=kind, digest=digest, summary=said, passed=passed, by=actor, at=at)
    detail = {"kind": kind, "digest": digest, "passed": passed, "summary": row.summary}
    audit.record(rfc, "change.rfc.evidence_recorded", actor=actor, at=at, detail=detail)
    return row


def why_not_record(rfc: RFC, actor: User) -> list[Blocker]:
    """Every reason why `actor` may not record evidence on it now."""
    return [*failing([capability("evidence.record")], rfc, actor), *_too_early(rfc)]


def _too_early(rfc: RFC) -> list[Blocker]:
    if rfc.state != RFCState.DRAFT:
        return []
    return [Blocker("conflict.state", "A draft has no evidence yet.", tone="wait")]
