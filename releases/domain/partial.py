"""Accepting a failed ring as it is: proposed with a reason, signed by others over exactly what succeeded and what is owed.

The round decides about the ring's document: a retry, a host that is found again, another proposal make another one.
Four eyes: who started the deployment or proposed the acceptance does not sign it. Locks: Rollout < Ring < Job < Round.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from changes.domain import reminders
from changes.enums import RFCKind
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.enums import Verdict
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.levels import LevelSpec, voters_by_role
from patchflow.kernel.models import SignOff, SignOffRound, User
from patchflow.kernel.registry import SignOffSubject, gate, signoff_subjects
from patchflow.kernel.rules import capability, failing
from releases.domain import rollouts
from releases.domain.gates import find_ring_blockers
from releases.domain.readiness import definition
from releases.enums import ReviewSlot
from releases.enums_rollout import GOOD, RingState
from releases.models import Job, Ring, Rollout
from releases.rules_rollout import either


def document_of(ring: Ring) -> dict[str, Any]:
    """What is signed: how many are good (and a digest of which), every host that is not with its reason, and why this is
    good enough."""
    rollout = ring.rollout
    jobs = Job.objects.filter(ring=ring).order_by("host_id")
    missed = jobs.exclude(state__in=GOOD).values_list("host_id", "host__name", "state", "reason")
    good = list(jobs.filter(state__in=GOOD).values_list("host_id", flat=True))
    return {
        "schema": 1, "rollout": rollout.number, "ring": ring.position, "name": ring.name,
        "manifest": rollout.manifest.digest, "failed_because": ring.reason, "proposal": ring.proposal,
        "good": len(good), "good_hosts": digest(good),
        "missed": [{"host": pk, "name": name, "state": state, "reason": why} for pk, name, state, why in missed],
    }  # fmt: skip


def locked(ring_id: int) -> tuple[Rollout, Ring]:
    """Rollout and ring, locked in this order."""
    peek = Ring.objects.filter(pk=ring_id).first()
    if peek is None:
        raise Conflict("This ring no longer exists.", code="conflict.gone")
    return workflow.lock(Rollout, peek.rollout_id), workflow.lock(Ring, ring_id)


proposes = either(capability("rollout.retry"), capability("rollout.accept_partial"))
"""Who may ask that a ring is accepted as it is."""


@workflow.verb("release.ring.partial_proposed", Ring, "ring_id")
def propose(*, ring_id: int, reason: str, actor: User, at: datetime) -> SignOffRound:
    """Asks the people that the slot names to accept a failed ring as it is. Raises NotAllowed, Blocked (it has not failed,
    hosts are at work, nobody could sign), Conflict (they are asked already, about exactly this)."""
    reason = rollouts.said(reason, "ring.reason")
    rollout, ring = locked(ring_id)
    if refused := failing([proposes], ring, actor):
        raise NotAllowed(refused)
    if not_failed := _not_failed(ring):
        raise Conflict(not_failed)
    if blockers := find_ring_blockers(ring):
        raise Blocked(blockers)
    if open_round := signoffs.open_round_of(ring):
        if open_round.digest == digest(document_of(ring)) and ring.proposal == reason:
            raise Conflict("The people who decide are asked about exactly this already.", code="conflict.round_open")
        signoffs.void(subject=ring, actor=actor, at=at, reason=english("It was proposed anew."))
    ring.proposal, ring.proposed_by = reason, actor
    ring.save(update_fields=["proposal", "proposed_by"])
    round_ = signoffs.open_round(
        subject=ring, levels=levels_of(rollout, ring, at=at), actor=actor, at=at, kind="partial"
    )
    audit.record(ring, "release.ring.partial_proposed", actor=actor, at=at, detail={"reason": reason})
    reminders.ask(round_, at=at)
    return round_


def why_not_propose(ring: Ring, actor: User) -> list[Blocker]:
    """Why this person cannot ask now that the ring is accepted as it is: the role first, then the state and its hosts."""
    return failing([proposes], ring, actor) or _not_failed(ring) or find_ring_blockers(ring)


def _not_failed(ring: Ring) -> list[Blocker]:
    if ring.state == RingState.FAILED:
        return []
    said = english("The ring is %(state)s: only one that has failed is accepted as it is.", state=label_of(ring))
    return [Blocker("conflict.state", said)]


def levels_of(rollout: Rollout, ring: Ring, *, at: datetime) -> list[LevelSpec]:
    """The levels that the slot asks for this kind of change, with those who hold the roles for all hosts of the ring."""
    over = ring.scope_keys()
    return [
        LevelSpec(
            name=str(level["name"]),
            voters=voters_by_role(str(level["role"]), over),
            quorum=str(level["quorum"]),
            amount=int(level.get("amount", 1)),
            deadline_at=at + timedelta(hours=int(level["hours"])) if level.get("hours") else None,
            escalate_to=str(level.get("escalate_to", "release_manager")),
        )
        for level in definition(ReviewSlot.ACCEPT_PARTIAL, rollout.release.kind).levels
    ]


@workflow.verb("signoff.round.signed", SignOffRound, "round_id")
def decide(
    *, round_id: int, verdict: str, actor: User, at: datetime, comment: str = "", digest_seen: str = "",
    authenticated_at: datetime | None = None,
) -> SignOff:  # fmt: skip
    """Signs for or against; when the tally closes the ring is accepted as it is, or stays failed."""
    peek = SignOffRound.objects.filter(pk=round_id, subject_type=Ring._meta.label_lower).first()
    if peek is None:
        raise Conflict("This round does not exist.", code="conflict.gone")
    locked(peek.subject_id)
    signed = signoffs.decide(
        round_id=round_id, verdict=verdict, comment=comment, actor=actor, at=at, digest_seen=digest_seen,
        authenticated_at=authenticated_at,
    )  # fmt: skip
    now = SignOffRound.objects.get(pk=round_id)
    if now.is_open and now.position != peek.position:
        reminders.ask(now, at=at)
    return signed


def retire(ring: Ring, *, actor: User, at: datetime, reason: str) -> None:
    """Voids an open question about a ring that goes another way. The ring is locked by the caller."""
    signoffs.void(subject=ring, actor=actor, at=at, reason=reason)


@gate("releases.ring", "accept_partial")
def find_unsigned(ring: Ring, **_: object) -> list[Blocker]:
    """A ring is accepted as it is by a passed round on exactly what stands there."""
    if signoffs.passed_round_of(ring, digest_now=digest(document_of(ring))):
        return []
    return [Blocker("ring.unsigned", "Nobody has signed that this ring is accepted as it stands.", tone="wait")]


# --- the sign-off subject ---------------------------------------------------------------------------------------------
def excluded(ring: Ring) -> dict[int, str]:
    """Who may not accept this ring, and why (law 1)."""
    found: dict[int, str] = {}
    if ring.proposed_by_id:
        found[ring.proposed_by_id] = english("You proposed to accept this ring as it is; somebody else signs.")
    for pk in (ring.rollout.release.started_by_id, ring.rollout.started_by_id):
        if pk:
            found[pk] = english("You started this deployment; somebody else accepts an incomplete ring.")
    return found


def _passed(ring: Ring, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    """The ring is watched like any other; its hosts not begun are withdrawn and stay owed. The rollout stays halted."""
    ring = workflow.fire(Ring, ring.pk, "accept_partial", actor=actor, at=at, reason=ring.proposal, round=round_.number)
    why = english("The ring was accepted as it is: %(reason)s", reason=ring.proposal)
    rollouts.withdraw(ring.rollout, reason=why, actor=User.bot(), at=at, ring_id=ring.pk)


def _ended(ring: Ring, round_: SignOffRound, *, actor: User, at: datetime) -> None:
    """Refused, or silence: the ring stays failed."""
    comments = " ".join(s.comment for s in round_.signoffs.filter(verdict=Verdict.REFUSE))
    why = comments or round_.reason
    audit.record(ring, "release.ring.partial_refused", actor=actor, at=at, detail={"reason": why})


def _visible(actor: User) -> Any:
    """The document names every host of the ring: for who sees all hosts."""
    rows = Ring.objects.all() if actor.scopes_for("rollout.view") is None else Ring.objects.none()
    return rows.values("pk")


signoff_subjects.add(
    "releases.ring",
    SignOffSubject(
        label="releases.ring",
        document=document_of,
        excluded=excluded,
        capability="rollout.accept_partial",
        on_passed=_passed,
        on_refused=_ended,
        on_expired=_ended,
        url=lambda ring: f"/rings/{ring.pk}/accept-partial/",
        visible=_visible,
        emergency=lambda ring: ring.rollout.release.kind == RFCKind.EMERGENCY,
        decide=decide,
    ),
)
