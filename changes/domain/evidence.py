"""Evidence: pushed down by releases, asked for by the gates of an RFC. Insert-only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from changes.enums import EvidenceKind, RFCState
from changes.models import RFC, Evidence
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.hands import acted
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.rules import capability, failing

Hands = Callable[..., dict[int, set[int]]]
HANDS: list[Hands] = []
CARRIED_OUT = ("change.rfc.begun", "change.rfc.implemented", "change.rfc.stopped")
JUDGED = (EvidenceKind.REVIEW, EvidenceKind.READINESS)
"""What judges the work on a change: who did the work does not state it (law 1)."""
OF_SYSTEM = (EvidenceKind.PLAN_REHEARSAL,)
"""What no person states: it rests on a simulation that the system made and keeps."""


def hands(function: Hands) -> Hands:
    """Registers who else carried some RFCs out, by RFC (releases: who started or ended a deployment of one); called with them all."""
    if function not in HANDS:
        HANDS.append(function)
    return function


@workflow.verb("change.rfc.evidence_recorded", RFC, "rfc_id")
def record(
    *, rfc_id: int, kind: str, digest: str, summary: str, passed: bool | None, actor: User, at: datetime
) -> Evidence:
    """Writes a statement about an RFC: its kind, the digest of the document it rests on, its verdict (None: no verdict).

    Needs evidence.record for the hosts concerned; a review needs one who did not carry the change out, a readiness review
    one who did not write it either (`not_independent`). A later row of the same kind supersedes; none is edited. Works on hold
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
    if refused := not_independent(rfc, kind, actor):
        raise NotAllowed(refused)
    if early := _too_early(rfc):
        raise Conflict(early)
    said = english("Trial: %(because)s", because=summary.strip()) if rfc.trial else summary.strip()
    row = Evidence.objects.create(rfc=rfc, kind=kind, digest=digest, summary=said, passed=passed, by=actor, at=at)
    detail = {"kind": kind, "digest": digest, "passed": passed, "summary": row.summary}
    audit.record(rfc, "change.rfc.evidence_recorded", actor=actor, at=at, detail=detail)
    return row


def why_not_record(rfc: RFC, actor: User) -> list[Blocker]:
    """Every reason why `actor` may not record evidence on it now."""
    return [*failing([capability("evidence.record")], rfc, actor), *_too_early(rfc)]


def not_independent(rfc: RFC, kind: str, actor: User) -> list[Blocker]:
    """Why this person does not state evidence of this kind, having a part in what it judges; programs count as whoever was
    given a token of them. What the system hands down was judged by others before."""
    if kind not in JUDGED or actor.is_bot:
        return []
    if acted(actor, carriers(rfc)):
        said = "You carried this change out, or stopped it: another person reviews it."
        return [Blocker("evidence.four_eyes", said)]
    if kind == EvidenceKind.READINESS and acted(actor, rfc.author_ids()):
        return [
            Blocker("evidence.four_eyes", "You requested or wrote this change: another person says that it is ready.")
        ]
    return []


def carriers(*rfcs: RFC) -> set[int]:
    """Who carried out any of these changes: began, ended or stopped it, by whichever door, or is of those that `hands` names.
    They do not review it. A fixed number of queries."""
    return set().union(*carriers_of_each(*rfcs).values())


def carriers_of_each(*rfcs: RFC) -> dict[int, set[int]]:
    """RFC → who carried it out (`carriers`). A fixed number of queries."""
    done = AuditEntry.objects.filter(
        object_type=RFC._meta.label_lower,
        object_id__in=[str(rfc.pk) for rfc in rfcs],
        verb__in=CARRIED_OUT,
        outcome=Outcome.DONE,
    )
    found: dict[int, set[int]] = {rfc.pk: set() for rfc in rfcs}
    for pk, actor_id in done.values_list("object_id", "actor_id").distinct():
        found[int(pk)].add(actor_id)
    for function in HANDS:
        for rfc_id, people in function(*rfcs).items():
            found[rfc_id] |= people
    return {rfc_id: people - {None} for rfc_id, people in found.items()}


def _too_early(rfc: RFC) -> list[Blocker]:
    if rfc.state != RFCState.DRAFT:
        return []
    return [Blocker("conflict.state", "A draft has no evidence yet.", tone="wait")]
