"""An update of a change is replaced, or withdrawn by its vendor, while the change is under way.

The system puts the change on hold and tells its people; a person decides: keep it (resume), or move it to the newer update.
What somebody has decided about once is not asked again, until a still newer one comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F, Q, QuerySet

from changes.domain import holds, revisions
from changes.enums import HoldCause, RFCState
from changes.models import RFC, Hold, RFCUpdate
from changes.queries.holds import open_hold_of
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english, english_n, label_of
from patchflow.kernel.errors import Blocked, Conflict, NotAllowed
from patchflow.kernel.levels import voters_by_role
from patchflow.kernel.models import User
from patchflow.kernel.registry import sweep
from patchflow.kernel.rules import capability, failing
from patchflow.notices.delivery import tell

WATCHED = (
    RFCState.SUBMITTED,
    RFCState.EVALUATING,
    RFCState.AWAITING_APPROVAL,
    RFCState.AUTHORIZED,
    RFCState.IMPLEMENTING,
    RFCState.SUSPENDED,
)
REPLACED = Q(update__superseded_by__isnull=False) & (
    Q(told_successor__isnull=True) | ~Q(told_successor=F("update__superseded_by"))
)
GONE = Q(update__withdrawn_at__isnull=False, told_withdrawn=False)


NAMED = 3
"""Updates that the reason of a hold names."""


def untold() -> QuerySet[RFCUpdate]:
    """Updates of changes under way that were replaced or withdrawn, about which their change has not been told."""
    return RFCUpdate.objects.filter(REPLACED | GONE, removed_at__isnull=True, rfc__state__in=WATCHED)


@workflow.verb("change.rfc.superseded", RFC, "rfc_id")
def note(*, rfc_id: int, actor: User, at: datetime) -> Hold | None:
    """Writes down that updates of the RFC were replaced or withdrawn, puts it on hold and tells its people. Needs rfc.hold.

    Telling twice changes nothing; a hold that is open already stays as it is. The trail names each update; the hold and the
    notice the first few.
    """
    rfc = workflow.lock(RFC, rfc_id)
    rows = list(untold().filter(rfc=rfc).select_related("update__superseded_by"))
    if not rows:
        return None
    said = [_sentence(row) for row in rows]
    whole, reason = " ".join(said), _in_short(said)
    for row in rows:
        row.told_successor, row.told_withdrawn = row.update.superseded_by, row.update.withdrawn_at is not None
        row.save(update_fields=["told_successor", "told_withdrawn"])
    audit.record(rfc, "change.rfc.superseded", actor=actor, at=at, detail={"reason": whole})
    hold = open_hold_of(rfc)
    if hold is None:
        replaced = any(row.update.superseded_by_id for row in rows)
        cause = HoldCause.SUPERSEDED if replaced else HoldCause.FACTS_CHANGED
        hold = holds.place(rfc_id=rfc.pk, reason=reason, cause=cause, actor=actor, at=at)
    managers = [user for user, _via in voters_by_role("change_manager", rfc.scope_keys())]
    told = "-".join(f"{row.pk}.{row.told_successor_id or 0}.{int(row.told_withdrawn)}" for row in rows)
    tell(
        kind="rfc_superseded",
        people=[rfc.requested_by, *managers],
        key=f"rfc:{rfc.pk}:superseded:{told}"[:160],
        at=at,
        url=rfc.get_absolute_url(),
        rfc=rfc,
        reason=reason,
    )
    return hold


def _in_short(said: list[str]) -> str:
    """The first few of the sentences, and of how many more updates the like is true."""
    if (left := len(said) - NAMED) < 2:
        return " ".join(said)
    more = english_n(
        "%(n)s more of its updates was replaced or withdrawn.",
        "%(n)s more of its updates were replaced or withdrawn.",
        left,
    )
    return " ".join([*said[:NAMED], more])


def _sentence(row: RFCUpdate) -> str:
    newer = row.update.superseded_by
    if newer is not None:
        return english(
            "%(update)s %(version)s was replaced by %(newer)s.",
            update=row.name,
            version=row.fixed_version,
            newer=newer.fixed_version,
        )
    return english("%(update)s %(version)s was withdrawn by its vendor.", update=row.name, version=row.fixed_version)


def successors_of(rfc: RFC) -> list[RFCUpdate]:
    """The updates of the RFC that a newer one has replaced."""
    rows = rfc.updates.filter(removed_at__isnull=True, update__superseded_by__isnull=False)
    return list(rows.select_related("update__superseded_by"))


@workflow.verb("change.rfc.moved", RFC, "rfc_id")
def move(*, rfc_id: int, actor: User, at: datetime, reason: str = "") -> RFC:
    """Moves a change to the newer updates: its hold for that cause ends and it is revised, in one act, so that nothing
    goes on between. What was signed is void. Needs rfc.hold and rfc.revise; what runs is suspended first.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.hold"), capability("rfc.revise")], rfc, actor):
        raise NotAllowed(refused)
    if rfc.state not in revisions.EDITABLE:
        sentence = english("It is %(state)s: stop its rollout and suspend it before you move it.", state=label_of(rfc))
        raise Conflict(sentence, code="conflict.state")
    replaced = {row.update_id: row.update.superseded_by_id for row in successors_of(rfc)}
    if not replaced:
        raise Blocked("None of its updates has been replaced.", code="rfc.not_superseded")
    hold = open_hold_of(rfc)
    if hold is not None and hold.cause == HoldCause.SUPERSEDED:
        holds.resume(rfc_id=rfc_id, reason=english("Moved to the newer updates."), actor=actor, at=at)
    present: Sequence[int] = list(rfc.updates.filter(removed_at__isnull=True).values_list("update_id", flat=True))
    wanted = list(dict.fromkeys(replaced.get(pk) or pk for pk in present))
    why = reason.strip() or english("Moved to the newer updates.")
    moved = revisions.revise(rfc_id=rfc_id, update_ids=wanted, reason=why, actor=actor, at=at)
    audit.record(moved, "change.rfc.moved", actor=actor, at=at, detail={"reason": why, "updates": len(replaced)})
    return RFC.objects.get(pk=rfc_id)


@sweep("superseded_changes")
def due_notes(*, now: datetime) -> int:
    """Finds changes under way whose updates were replaced or withdrawn, and tells each once."""
    found = sorted(set(untold().values_list("rfc_id", flat=True)[:200]))
    return sum(note(rfc_id=pk, actor=User.bot(), at=now) is not None for pk in found)
