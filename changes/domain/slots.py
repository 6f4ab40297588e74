"""Slots in the change calendar: reserved when a release has fitted its rings into windows, given back when it will not use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from changes.models import RFC, ChangeSlot
from changes.queries import calendar  # noqa: F401  registers what changes has in the calendar
from changes.queries.conflicts import freezes_over
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing


@dataclass(frozen=True)
class Span:
    """A piece of an opening: [starts_at, ends_at) of a window, for so many hosts."""

    window_id: int | None
    name: str
    starts_at: datetime
    ends_at: datetime
    hosts: int = 0


@workflow.verb("change.rfc.slots_reserved", RFC, "rfc_id")
def reserve(
    *,
    rfc_id: int,
    holder: str,
    spans: Sequence[Span],
    responsible: User,
    actor: User,
    at: datetime,
    simulated: bool = False,
) -> list[ChangeSlot]:
    """Makes `spans` the slots of this change held by `holder`; those that it held before and are not among them are given
    back. `simulated`: what runs in them touches no host. Needs rfc.implement. Raises NotAllowed, Invalid (no holder, a span
    that ends before it starts), Blocked (a freeze that this kind of change does not pass)."""
    rfc = _locked(rfc_id, actor)
    if not holder.strip() or any(span.ends_at <= span.starts_at for span in spans):
        raise Invalid("A slot has a holder, and ends after it starts.", code="slot.span")
    frozen = [
        Blocker(
            "slot.freeze",
            english(
                "%(starts_at)s UTC lies in freeze “%(name)s”: %(reason)s",
                starts_at=f"{span.starts_at:%d %b %Y %H:%M}",
                name=freeze.name,
                reason=freeze.reason,
            ),
            freeze.get_absolute_url(),
        )
        for span in spans
        for freeze in freezes_over(rfc.kind, span.starts_at, span.ends_at)
    ]
    if frozen:
        raise Blocked(frozen)
    wanted = {(span.window_id, span.starts_at, span.ends_at, span.hosts): span for span in spans}
    kept = []
    for slot in rfc.slots.filter(holder=holder, released_at__isnull=True):
        if wanted.pop((slot.window_id, slot.starts_at, slot.ends_at, slot.hosts), None):
            kept.append(slot)
        else:
            _release(slot, actor, at, english("Fitted anew."))
    made = [
        ChangeSlot.objects.create(
            rfc=rfc, holder=holder, window_id=span.window_id, name=span.name[:120], starts_at=span.starts_at, ends_at=span.ends_at,
            hosts=span.hosts, simulated=simulated, responsible=responsible, reserved_by=actor, reserved_at=at,
        )
        for span in wanted.values()
    ]  # fmt: skip
    if made:
        detail = {"holder": holder, "slots": [{"from": s.starts_at, "to": s.ends_at, "window": s.name} for s in made]}
        audit.record(rfc, "change.rfc.slots_reserved", actor=actor, at=at, detail=detail)
    return sorted([*kept, *made], key=lambda slot: (slot.starts_at, slot.pk))


@workflow.verb("change.rfc.slots_released", RFC, "rfc_id")
def give_back(*, rfc_id: int, holder: str, reason: str, actor: User, at: datetime) -> int:
    """Gives back what `holder` still has reserved for this change. Needs rfc.implement. Returns how many."""
    rfc = _locked(rfc_id, actor)
    slots = list(rfc.slots.filter(holder=holder, released_at__isnull=True))
    for slot in slots:
        _release(slot, actor, at, reason)
    if slots:
        detail = {"holder": holder, "count": len(slots), "reason": reason}
        audit.record(rfc, "change.rfc.slots_released", actor=actor, at=at, detail=detail)
    return len(slots)


def _locked(rfc_id: int, actor: User) -> RFC:
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.implement")], rfc, actor):
        raise NotAllowed(refused)
    return rfc


def _release(slot: ChangeSlot, actor: User, at: datetime, reason: str) -> None:
    slot.released_by, slot.released_at, slot.release_reason = actor, at, reason[:300] or english("Given back.")
    slot.save(update_fields=["released_by", "released_at", "release_reason"])
