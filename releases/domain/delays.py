"""A group with good reason gets its ring later: asked by a representative, granted by a change manager.

A granted delay only holds back, within the dates that were signed. What would go beyond them is no delay but another plan:
it is refused here, and the release goes back to planning.
"""

from __future__ import annotations

from datetime import datetime

from patchflow.kernel import audit, queue, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from patchflow.notices.delivery import tell
from releases.domain.rollouts import ADVANCE
from releases.enums_rollout import RingState
from releases.enums_telling import DelayState
from releases.models import DelayRequest, Representative, Ring
from releases.queries.rollouts import signed

WAITING = (RingState.PENDING, RingState.NOTIFIED)


@workflow.verb("release.delay.asked", Ring, "ring_id")
def ask(*, ring_id: int, until: datetime, reason: str, actor: User, at: datetime) -> DelayRequest:
    """A representative of the ring asks that it does not start before `until`. The change managers are told, and how often it was
    granted before.

    Raises NotAllowed (no representative), Conflict (it has begun, or is asked already), Invalid (no reason, no later time).
    """
    ring = workflow.lock(Ring, ring_id)
    if refused := _no_representative(ring, actor):
        raise NotAllowed(refused)
    if begun := _has_begun(ring):
        raise Conflict(begun)
    wrong = [] if reason.strip() else [Blocker("delay.reason", "Say why your hosts need more time.")]
    if until <= at:
        wrong.append(Blocker("delay.until", "Say a time that is still to come."))
    if wrong:
        raise Invalid(wrong)
    if DelayRequest.objects.filter(ring=ring, asked_by=actor, state=DelayState.ASKED).exists():
        raise Conflict("You have asked already: withdraw that first, or wait for the answer.", code="delay.asked")
    request = DelayRequest.objects.create(ring=ring, asked_by=actor, asked_at=at, reason=reason.strip(), until=until)
    before = DelayRequest.objects.filter(ring=ring, state=DelayState.GRANTED).count()
    detail = {"until": until, "reason": request.reason, "granted_before": before}
    audit.record(request, "release.delay.asked", actor=actor, at=at, detail=detail)
    people = [user for user, _via in voters_by_role("change_manager", ring.scope_keys())]
    _tell("delay_asked", request, people, at=at, before=before)
    return request


def why_not_ask(ring: Ring, actor: User) -> list[Blocker]:
    """Why this person cannot ask for more time now: who was told first, then the state."""
    return _no_representative(ring, actor) or _has_begun(ring)


def _no_representative(ring: Ring, actor: User) -> list[Blocker]:
    if Representative.objects.filter(ring=ring, user=actor).exists():
        return []
    return [Blocker("ring.not_representative", "Only a representative of its hosts asks for a delay.")]


def _has_begun(ring: Ring) -> list[Blocker]:
    if ring.state in WAITING:
        return []
    said = english("The ring is %(state)s: it can no longer start later.", state=label_of(ring))
    return [Blocker("conflict.state", said)]


def grant(*, request_id: int, comment: str, actor: User, at: datetime) -> DelayRequest:
    """Keeps the ring from starting before the time asked for. Needs ring.delay; blocked where the plan ends before."""
    request = workflow.fire(DelayRequest, request_id, "grant", actor=actor, at=at, comment=comment.strip())
    _tell("delay_decided", request, [request.asked_by], at=at)
    queue.enqueue(ADVANCE, rollout_id=request.ring.rollout_id)
    return request


def refuse(*, request_id: int, comment: str, actor: User, at: datetime) -> DelayRequest:
    """Says no, and why. Needs ring.delay."""
    if not comment.strip():
        raise Invalid("A refusal needs its reason.", code="delay.comment")
    request = workflow.fire(DelayRequest, request_id, "refuse", actor=actor, at=at, comment=comment.strip())
    _tell("delay_decided", request, [request.asked_by], at=at)
    return request


def withdraw(*, request_id: int, actor: User, at: datetime) -> DelayRequest:
    """Takes one's own request back."""
    return workflow.fire(DelayRequest, request_id, "withdraw", actor=actor, at=at)


@gate("releases.delayrequest", "grant")
def find_grant_blockers(request: DelayRequest, **_: object) -> list[Blocker]:
    """A delay lies within what was signed, and comes before the ring has begun."""
    ring = request.ring
    found = []
    if ring.state not in WAITING:
        found.append(
            Blocker(
                "delay.begun",
                english("The ring is %(state)s: it can no longer start later.", state=label_of(ring)),
            )
        )
    latest = signed(ring.rollout.manifest_id).moment("latest")
    if latest is not None and request.until >= latest:
        found.append(
            Blocker(
                "delay.plan",
                english(
                    "The latest start that was signed is %(latest)s UTC: stop the rollout and revise the plan of %(number)s first.",
                    latest=f"{latest:%d %b %Y %H:%M}",
                    number=ring.rollout.release.number,
                ),
                ring.rollout.release.get_absolute_url(),
            )
        )
    return found


def _tell(kind: str, request: DelayRequest, people: list[User], *, at: datetime, before: int = 0) -> None:
    ring = request.ring
    tell(
        kind=kind,
        people=people,
        key=f"delay:{request.pk}:{kind}",
        at=at,
        url=ring.get_people_url(),
        ring=ring,
        rollout=ring.rollout,
        release=ring.rollout.release,
        request=request,
        granted=request.state == DelayState.GRANTED,
        before=before,
    )
