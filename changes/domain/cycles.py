"""Cycles: opened by notifications, moved by four events, completed when every change in them has ended.

MOF update management process: assess → identify on the notification that an update exists; → evaluate and plan on the
submission of an RFC; → deploy on the approval to deploy; → assess again on the completion of the release. The events are
fired by the verbs that cause them. Lock order: Cycle before RFC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from django.db.models import Q

from changes.domain import phase_steps
from changes.enums import TERMINAL, WITHDRAWN, CycleEventKind, CycleKind, CycleState, UpdateClass
from changes.models import RFC, Cycle, CycleEvent, CycleUpdate, SoftwareUpdate
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, English, english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from patchflow.kernel.rules import capability, failing

E = CycleEventKind


def decision_day(month_on: date) -> date:
    """The third Wednesday: the week after vendors publish on the second Tuesday."""
    first = (2 - month_on.weekday()) % 7
    return month_on + timedelta(days=first + 14)


def kind_for(update: SoftwareUpdate) -> CycleKind:
    """Which turn an update joins: critical ones do not wait for the month; exploited critical ones are an emergency."""
    if update.update_class != UpdateClass.CRITICAL:
        return CycleKind.MONTHLY
    return CycleKind.EMERGENCY if update.exploited else CycleKind.OUT_OF_BAND


# --- opening -----------------------------------------------------------------------------------------------------------------
@workflow.verb("change.cycle.opened")
def open_cycle(*, kind: str, actor: User, at: datetime, name: str = "") -> Cycle:
    """Opens a cycle by hand (the first monthly one, an exercise). Needs cycle.manage; Conflict if a monthly one is open."""
    if refused := failing([capability("cycle.manage")], None, actor):
        raise NotAllowed(refused)
    if kind not in CycleKind.values:
        raise Invalid("Say monthly, out of band or emergency.", code="cycle.kind")
    if kind == CycleKind.MONTHLY and Cycle.objects.open().filter(kind=kind).exists():
        raise Conflict("A monthly cycle is open already; at most one is.", code="cycle.monthly_open")
    return _open(CycleKind(kind), actor=actor, at=at, name=name)


def _open(kind: CycleKind, *, actor: User, at: datetime, name: str = "") -> Cycle:
    monthly = kind == CycleKind.MONTHLY
    month_on = _next_month(at) if monthly else None
    decision = decision_day(month_on) if month_on else None
    cycle = Cycle(
        name=name or (f"{month_on:%B %Y}" if month_on else f"{kind.label.capitalize()}, {at:%d %b %Y}"),
        kind=kind,
        state=CycleState.ASSESS if monthly else CycleState.IDENTIFY,
        state_at=at,
        opened_at=at,
        month_on=month_on,
        decision_on=decision if decision and decision >= at.date() else None,
    )
    cycle.save(force_insert=True)
    phase_steps.plan(cycle)
    audit.record(cycle, "change.cycle.opened", actor=actor, at=at, after=cycle.state, detail={"kind": kind})
    return cycle


def _next_month(at: datetime) -> date:
    month = at.date().replace(day=1)
    last = Cycle.objects.filter(kind=CycleKind.MONTHLY, month_on__isnull=False).order_by("-month_on").first()
    if last and last.month_on and last.month_on >= month:
        month = (last.month_on.replace(day=28) + timedelta(days=4)).replace(day=1)
    return month


def monthly(*, actor: User, at: datetime) -> Cycle:
    """The open monthly cycle, locked; opened if there is none."""
    found = Cycle.objects.open().filter(kind=CycleKind.MONTHLY).first()
    return workflow.lock(Cycle, found.pk) if found else _open(CycleKind.MONTHLY, actor=actor, at=at)


def cycle_for(*, update_ids: Iterable[int], kind: str, actor: User, at: datetime) -> Cycle:
    """The cycle that a new RFC joins: an open one that knows its updates, beside the month if there is one; an
    emergency change never waits in the monthly cycle. Locked."""
    known = Cycle.objects.open().filter(updates__update_id__in=list(update_ids)).distinct()
    beside = known.exclude(kind=CycleKind.MONTHLY).order_by("-pk").first()
    if beside:
        return workflow.lock(Cycle, beside.pk)
    if kind == "emergency":
        cycle = _open(CycleKind.EMERGENCY, actor=actor, at=at)
        _join(cycle, SoftwareUpdate.objects.filter(pk__in=list(update_ids)), at=at)
        return happened(cycle_id=cycle.pk, kind=E.NOTIFIED, cause=english("emergency RFC"), actor=actor, at=at)
    return monthly(actor=actor, at=at)


# --- events ------------------------------------------------------------------------------------------------------------------
@workflow.verb("change.cycle.notified")
def notified(*, actor: User, at: datetime, update_ids: Sequence[int]) -> list[int]:
    """Tells the process that updates exist which matter here. Returns the ids of the cycles they joined.

    Critical ones open (or join) a cycle beside the month; what comes after the decision day of a monthly cycle that has
    left assess waits for the next one. Telling twice changes nothing.
    """
    updates = SoftwareUpdate.objects.filter(pk__in=list(update_ids)).exclude(
        cycle_rows__in=CycleUpdate.objects.filter(Q(cycle__isnull=True) | ~Q(cycle__state=CycleState.COMPLETED))
    )
    by_kind: dict[CycleKind, list[SoftwareUpdate]] = {}
    for update in updates:
        by_kind.setdefault(kind_for(update), []).append(update)
    joined: list[int] = []
    for kind in CycleKind:
        if not (found := by_kind.get(kind)):
            continue
        cycle = _cycle_of_kind(kind, actor=actor, at=at)
        if kind == CycleKind.MONTHLY and _after_decision(cycle, at):
            CycleUpdate.objects.bulk_create([CycleUpdate(update=u, notified_at=at) for u in found])
            detail = {"updates": len(found), "wait": "for the next monthly cycle"}
            audit.record(cycle, "change.cycle.notified", actor=actor, at=at, detail=detail)
            continue
        _join(cycle, found, at=at)
        happened(cycle_id=cycle.pk, kind=E.NOTIFIED, cause=english("%(n)s updates", n=len(found)), actor=actor, at=at)
        joined.append(cycle.pk)
    return joined


def _cycle_of_kind(kind: CycleKind, *, actor: User, at: datetime) -> Cycle:
    if kind == CycleKind.MONTHLY:
        return monthly(actor=actor, at=at)
    found = Cycle.objects.filter(kind=kind, state=CycleState.IDENTIFY).order_by("-pk").first()
    return workflow.lock(Cycle, found.pk) if found else _open(kind, actor=actor, at=at)


def _after_decision(cycle: Cycle, at: datetime) -> bool:
    return cycle.state != CycleState.ASSESS and cycle.decision_on is not None and at.date() > cycle.decision_on


def _join(cycle: Cycle, updates: Iterable[SoftwareUpdate], *, at: datetime) -> None:
    rows = [CycleUpdate(cycle=cycle, update=u, notified_at=at, joined_at=at) for u in updates]
    CycleUpdate.objects.bulk_create(rows, ignore_conflicts=True)


def happened(*, cycle_id: int, kind: str, cause: str, actor: User, at: datetime) -> Cycle:
    """Records an event and moves the cycle as far as the recorded events carry it. Inside the causing verb."""
    cycle = workflow.lock(Cycle, cycle_id)
    CycleEvent.objects.create(cycle=cycle, kind=kind, at=at, by=actor, cause=cause[:200])
    moves = cycle.next_event() == kind and not workflow.find_blockers(cycle, kind, actor=actor, at=at)
    if not moves:
        audit.record(cycle, f"change.cycle.{kind}", actor=actor, at=at, detail={"cause": cause, "moved": False})
    return advance(cycle_id=cycle_id, cause=cause, actor=actor, at=at)


def advance(*, cycle_id: int, cause: str, actor: User, at: datetime) -> Cycle:
    """Moves a cycle past every phase whose leaving event has been recorded (high-water mark), and proves its steps."""
    cycle = workflow.lock(Cycle, cycle_id)
    while (name := cycle.next_event()) and cycle.has_next_event():
        if workflow.find_blockers(cycle, name, actor=actor, at=at):
            break
        cycle = workflow.fire(Cycle, cycle_id, name, actor=actor, at=at, cause=cause)
    phase_steps.prove(cycle_id=cycle_id, actor=User.bot(), at=at)
    if cycle.state == CycleState.COMPLETED and cycle.kind == CycleKind.MONTHLY:
        _open_next(actor=actor, at=at)
    return Cycle.objects.get(pk=cycle_id)


def _open_next(*, actor: User, at: datetime) -> None:
    """The next monthly cycle stands in assess; what waited past the decision day joins it."""
    if Cycle.objects.open().filter(kind=CycleKind.MONTHLY).exists():
        return
    cycle = _open(CycleKind.MONTHLY, actor=actor, at=at)
    waiting = CycleUpdate.objects.filter(cycle__isnull=True).update(cycle=cycle, joined_at=at)
    if waiting:
        cause = english("%(n)s updates that waited", n=waiting)
        happened(cycle_id=cycle.pk, kind=E.NOTIFIED, cause=cause, actor=actor, at=at)


@workflow.verb("change.cycle.deployment_approved", Cycle, "cycle_id")
def deployment_approved(*, cycle_id: int, actor: User, at: datetime, cause: str = "") -> Cycle:
    """A release of this cycle became ready. Called by the verb that made it so."""
    return happened(cycle_id=cycle_id, kind=E.DEPLOYMENT_APPROVED, cause=cause, actor=actor, at=at)


@workflow.verb("change.cycle.release_completed")
def release_completed(*, cycle_ids: Sequence[int], actor: User, at: datetime, cause: str = "") -> list[Cycle]:
    """A release that served these cycles was completed; each moves on if nothing else in it is open."""
    return [
        happened(cycle_id=pk, kind=E.RELEASE_COMPLETED, cause=cause, actor=actor, at=at)
        for pk in sorted(set(cycle_ids))
    ]


@workflow.verb("change.cycle.closed_unneeded", Cycle, "cycle_id")
def close_unneeded(*, cycle_id: int, reason: str, actor: User, at: datetime) -> Cycle:
    """Ends a cycle that came to nothing: every RFC rejected or cancelled, no open release. Needs cycle.manage."""
    if not reason.strip():
        raise Invalid("Say why this cycle is not needed.", code="cycle.reason")
    cycle = workflow.fire(Cycle, cycle_id, "close_unneeded", actor=actor, at=at, reason=reason.strip())
    if cycle.kind == CycleKind.MONTHLY:
        _open_next(actor=actor, at=at)
    return cycle


@workflow.verb("change.cycle.decision_day_set", Cycle, "cycle_id")
def set_decision_day(*, cycle_id: int, decision_on: date | None, actor: User, at: datetime) -> Cycle:
    """Sets the day after which updates wait for the next monthly cycle. Needs cycle.manage."""
    cycle = workflow.lock(Cycle, cycle_id)
    if refused := failing([capability("cycle.manage")], cycle, actor):
        raise NotAllowed(refused)
    if cycle.state == CycleState.COMPLETED:
        raise Conflict("This cycle is completed.", code="cycle.completed")
    before, cycle.decision_on = cycle.decision_on, decision_on
    cycle.save(update_fields=["decision_on"])
    detail = {"before": before, "after": decision_on}
    audit.record(cycle, "change.cycle.decision_day_set", actor=actor, at=at, detail=detail)
    return cycle


# --- gates -------------------------------------------------------------------------------------------------------------------
def _named(rfcs: Iterable[RFC], shown: int = 5) -> str | English:
    """The first of them, and how many more there are."""
    numbers = [rfc.number for rfc in rfcs]
    first = ", ".join(numbers[:shown])
    left = len(numbers) - shown
    return english("%(first)s and %(n)s more", first=first, n=left) if left > 0 else first


@gate("changes.cycle", "release_completed")
def every_rfc_has_ended(cycle: Cycle, *, actor: User, at: datetime, facts: object) -> list[Blocker]:
    """A cycle with a change under way is not completed."""
    still = cycle.rfcs.exclude(state__in=TERMINAL).order_by("pk")
    count = still.count()
    if not count:
        return []
    return [
        Blocker(
            "cycle.rfcs_open",
            english("%(count)s RFCs of this cycle have not ended: %(named)s.", count=count, named=_named(still)),
            tone="wait",
        )
    ]


@gate("changes.cycle", "close_unneeded")
def every_rfc_was_withdrawn(cycle: Cycle, *, actor: User, at: datetime, facts: object) -> list[Blocker]:
    """Only a cycle in which nothing is, and nothing was, carried out is not needed."""
    others = cycle.rfcs.exclude(state__in=WITHDRAWN).order_by("pk")
    count = others.count()
    if not count:
        return []
    sentence = english(
        "%(count)s RFCs of this cycle are neither rejected nor cancelled: %(named)s.", count=count, named=_named(others)
    )
    return [Blocker("cycle.rfcs_not_withdrawn", sentence)]
