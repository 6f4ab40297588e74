"""RFCs: raised from updates that hosts miss, and taken through their states. Approval is in `approvals`, edits in `revisions`.

Every verb that moves the cycle takes the Cycle's lock first, then the RFC's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Unpack, cast

from django.db.models import Q

from changes.domain import change_models, change_tasks, cycles, families, holds, risk, scope, task_templates
from changes.domain.revisions import Changes, Content, apply
from changes.domain.rfc_gates import PLANS, owed_documents
from changes.enums import CloseCode, CycleEventKind, EvidenceKind, ModelState, RFCKind, RFCState, UpdateClass
from changes.models import RFC, Cycle, Evidence, SoftwareUpdate
from changes.rules import CLASS_LENGTH, own_or_manager, start_by
from changes.signals import authorization_lost
from cmdb.models import Host
from patchflow.kernel import audit, signoffs, trial, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import digest
from patchflow.kernel.models import User
from patchflow.kernel.numbers import next_number
from patchflow.kernel.rules import capability, failing


def demand_raise(actor: User) -> None:
    """Raises NotAllowed for who may raise an RFC for no host at all."""
    if not actor.holds_somewhere("rfc.raise"):
        raise NotAllowed(failing([capability("rfc.raise")], None, actor))


@workflow.verb("change.rfc.raised")
def raise_rfc(
    *,
    update_ids: Collection[int],
    actor: User,
    at: datetime,
    kind: str = RFCKind.NORMAL,
    host_ids: Collection[int] | None = None,
    **content: Unpack[Content],
) -> RFC:
    """Raises a draft RFC for updates. Targets are the hosts that miss them and lie in the actor's scope, or `host_ids`
    of the actor's choice; title, windows, class and clock fill themselves. The scope is a snapshot: what the estate or
    the catalogue does later does not move it. Needs rfc.raise for each target. Raises NotAllowed, Invalid.
    """
    demand_raise(actor)
    if kind not in RFCKind.values:
        raise Invalid("Choose standard, normal or emergency.", code="rfc.kind")
    updates = scope.chosen_updates(update_ids)
    wanted = scope.missing_hosts([u.pk for u in updates], actor=actor) if host_ids is None else set(host_ids)
    hosts = scope.chosen_hosts(wanted, actor=actor)
    cycle = cycles.cycle_for(update_ids=[u.pk for u in updates], kind=kind, actor=actor, at=at)
    started = min((u.notified_at for u in updates if u.notified_at), default=at)
    update_class = tightest(updates)
    rfc = RFC(
        number=next_number("RFC", at=at),
        title=(content.get("title") or title_of(updates, hosts))[:200],
        kind=kind,
        state_at=at,
        cycle=cycle,
        requested_by=actor,
        raised_at=at,
        update_class=update_class,
        clock_started_at=started,
        start_by=start_by(update_class, started),
        trial=trial.active(),
    )
    rfc.save(force_insert=True)
    scope.set_updates(rfc, updates, at=at)
    scope.set_targets(rfc, hosts, at=at)
    scope.set_windows(rfc, scope.windows_of(hosts))
    content["title"] = rfc.title
    apply(rfc, cast(Changes, content), actor=actor, at=at)
    detail = {"updates": [str(u) for u in updates], "targets": len(hosts), "cycle": str(cycle), "kind": kind}
    audit.record(rfc, "change.rfc.raised", actor=actor, at=at, after=rfc.state, detail=detail)
    return rfc


@workflow.verb("change.rfc.raised")
def copy(*, rfc_id: int, actor: User, at: datetime) -> RFC:
    """Raises a draft like another RFC: its updates (less those withdrawn), the hosts of the actor's scope that still live,
    kind, model, plans, way back and tasks. Dates, risk, class, approvals and what became of the tasks are not copied. Needs
    rfc.raise, and to see the other."""
    like = RFC.objects.visible_to(actor).filter(pk=rfc_id).first()
    if like is None:
        raise Conflict("This RFC no longer exists.", code="conflict.gone")
    updates = like.updates.filter(removed_at__isnull=True, update__withdrawn_at__isnull=True)
    targets = like.targets.filter(removed_at__isnull=True, left_at__isnull=True).values("host_id")
    hosts = Host.objects.live().within(actor, "rfc.raise").filter(pk__in=targets)
    model = like.change_model
    usable = model is not None and model.state == ModelState.APPROVED
    content: Content = {
        "title": like.title,
        "other_reason": like.other_reason,
        "implementation_plan": like.implementation_plan,
        "test_plan": like.test_plan,
        "back_out_plan": like.back_out_plan,
        "communication_plan": like.communication_plan,
        "way_back": like.way_back,
        "change_model_id": model.pk if model is not None and usable else None,
    }
    made = raise_rfc(
        update_ids=list(updates.values_list("update_id", flat=True)),
        host_ids=list(hosts.values_list("pk", flat=True)),
        kind=like.kind,
        actor=actor,
        at=at,
        **content,
    )
    audit.record(made, "change.rfc.raised", actor=actor, at=at, detail={"like": like.number})
    task_templates.copy_tasks(like, made, actor=actor, at=at)
    return made


def title_of(updates: Collection[SoftwareUpdate], hosts: Collection[Host]) -> str:
    """ "openssl 3.0.15-1 on debian 12", "openssl and 4 more on debian 12"; without an update, the hosts."""
    if not updates:
        return f"Change on {len(hosts)} hosts"
    first, *more = updates
    platforms = sorted({u.platform_label for u in updates})
    where = platforms[0] if len(platforms) == 1 else f"{len(platforms)} platforms"
    what = f"{first.name} and {len(more)} more" if more else f"{first.name} {first.fixed_version}"
    return f"{what} on {where}"


def tightest(updates: Collection[SoftwareUpdate]) -> str:
    """The class with the shortest clock among the updates; medium where there is none."""
    order = list(CLASS_LENGTH)
    return min((u.update_class for u in updates), key=order.index, default=UpdateClass.MEDIUM)


# --- through the states --------------------------------------------------------------------------------------------------------
def _lock_cycle_of(rfc_id: int) -> Cycle:
    cycle_id = RFC.objects.filter(pk=rfc_id).values_list("cycle_id", flat=True).first()
    if cycle_id is None:
        raise Conflict("This RFC no longer exists.", code="conflict.gone")
    return workflow.lock(Cycle, cycle_id)


@workflow.verb("change.rfc.submitted", RFC, "rfc_id")
def submit(*, rfc_id: int, actor: User, at: datetime) -> RFC:
    """Submits a draft: the event that leaves identify. Its risk is assessed; a standard change with a licence that covers
    it is authorized at once. Gates: updates with a relevance, or another reason; targets."""
    cycle = _lock_cycle_of(rfc_id)
    workflow.fire(RFC, rfc_id, "submit", actor=actor, at=at)
    rfc = workflow.lock(RFC, rfc_id)
    risk.assess(rfc, actor=actor, at=at)
    cycles.happened(cycle_id=cycle.pk, kind=CycleEventKind.RFC_SUBMITTED, cause=rfc.number, actor=actor, at=at)
    if rfc.kind == RFCKind.STANDARD and not change_models.licence_blockers(rfc):
        change_models.use_licence(rfc, at=at)
    return RFC.objects.get(pk=rfc_id)


@workflow.verb("change.rfc.evaluated", RFC, "rfc_id")
def evaluate(*, rfc_id: int, actor: User, at: datetime) -> RFC:
    """Takes a submitted RFC into evaluation and assesses its risk afresh."""
    workflow.fire(RFC, rfc_id, "evaluate", actor=actor, at=at)
    rfc = workflow.lock(RFC, rfc_id)
    risk.assess(rfc, actor=actor, at=at)
    return rfc


def _reason(reason: str, what: str) -> str:
    if not reason.strip():
        raise Invalid(english("Say why it is %(what)s.", what=what), code="rfc.reason")
    return reason.strip()


@workflow.verb("change.rfc.sent_back", RFC, "rfc_id")
def send_back(*, rfc_id: int, reason: str, actor: User, at: datetime) -> RFC:
    """Back to draft, with what must be better."""
    return workflow.fire(RFC, rfc_id, "send_back", actor=actor, at=at, reason=_reason(reason, english("sent back")))


@workflow.verb("change.rfc.rejected", RFC, "rfc_id")
def reject(*, rfc_id: int, reason: str, actor: User, at: datetime) -> RFC:
    """Ends an RFC that is not wanted; an open round is withdrawn, its undone tasks are cancelled, its hold ends. Its children
    are let go, see `families.let_go`."""
    rfc = _leave(rfc_id, "reject", _reason(reason, english("rejected")), actor=actor, at=at)
    families.let_go(rfc, actor=actor, at=at)
    return rfc


@workflow.verb("change.rfc.cancelled", RFC, "rfc_id")
def cancel(*, rfc_id: int, reason: str, actor: User, at: datetime) -> RFC:
    """Ends an RFC before it is carried out, and its children and undone tasks with it; open rounds are withdrawn, and what was
    planned under them is told. Refused as a whole if a child may not be cancelled."""
    if peek := RFC.objects.filter(pk=rfc_id).first():
        workflow.demand_role(peek, "cancel", actor=actor)
    was = peek.state if peek else None
    if was in (RFCState.IMPLEMENTING, RFCState.SUSPENDED):
        raise Conflict("It is being carried out: it is not cancelled. Stop it.", code="rfc.stop_it")
    _lock_cycles_of_family(rfc_id)
    rfc = _leave(rfc_id, "cancel", _reason(reason, english("cancelled")), actor=actor, at=at)
    if was == RFCState.AUTHORIZED:
        authorization_lost.send(
            sender=RFC, rfc_id=rfc_id, reason=english("Cancelled: %(reason)s", reason=reason.strip()), at=at
        )
    for child in holds.open_children(rfc):
        cancel(
            rfc_id=child.pk,
            reason=english("Together with its parent %(rfc)s: %(reason)s", rfc=rfc.number, reason=reason.strip()),
            actor=actor,
            at=at,
        )
    return rfc


def _lock_cycles_of_family(rfc_id: int) -> None:
    """Cycles are locked before RFCs: those of the children too."""
    rows = RFC.objects.filter(Q(pk=rfc_id) | Q(parent=rfc_id)).order_by("cycle_id")
    for pk in rows.values_list("cycle_id", flat=True).distinct():
        workflow.lock(Cycle, pk)


def _leave(rfc_id: int, transition: str, reason: str, *, actor: User, at: datetime) -> RFC:
    cycle = _lock_cycle_of(rfc_id)
    rfc = workflow.fire(RFC, rfc_id, transition, actor=actor, at=at, reason=reason)
    rfc.glass.filter(broken_at__isnull=True, withdrawn_at__isnull=True).update(withdrawn_at=at)
    signoffs.withdraw(subject=rfc, actor=actor, at=at, reason=reason)
    holds.end(rfc, actor=actor, at=at, reason=reason)
    change_tasks.cancel_undone(rfc, actor=actor, at=at)
    cycles.advance(cycle_id=cycle.pk, cause=rfc.number, actor=actor, at=at)
    return RFC.objects.get(pk=rfc_id)


@workflow.verb("change.rfc.lapsed", RFC, "rfc_id")
def lapse(*, rfc_id: int, reason: str, actor: User, at: datetime) -> RFC:
    """Withdraws the authorization: authorized → evaluating, implementing → suspended. What runs under it is told to halt."""
    rfc = workflow.fire(RFC, rfc_id, "lapse", actor=actor, at=at, reason=_reason(reason, english("withdrawn")))
    authorization_lost.send(sender=RFC, rfc_id=rfc_id, reason=reason.strip(), at=at)
    return rfc


@workflow.verb("change.rfc.begun", RFC, "rfc_id")
def begin(*, rfc_id: int, actor: User, at: datetime) -> RFC:
    """A release starts to carry it out. Whoever decided about it cannot; what was signed must be what stands there."""
    return workflow.fire(RFC, rfc_id, "begin", actor=actor, at=at)


@workflow.verb("change.rfc.implemented", RFC, "rfc_id")
def implemented(*, rfc_id: int, outcome: str, actor: User, at: datetime) -> RFC:
    """Its release ended with `outcome` (full, partial, failed, rolled_back …): in review. Nothing happens if it is there
    already (it was stopped)."""
    rfc = workflow.lock(RFC, rfc_id)
    if rfc.state == RFCState.IN_REVIEW:
        return rfc
    if rfc.state == RFCState.SUSPENDED:
        reason = english("Its release ended: %(outcome)s.", outcome=outcome)
        rfc = workflow.fire(RFC, rfc_id, "stop", actor=actor, at=at, reason=reason)
        signoffs.withdraw(subject=rfc, actor=actor, at=at, reason=reason)
        _end_hold(rfc, reason, actor=actor, at=at)
        return RFC.objects.get(pk=rfc_id)
    return workflow.fire(RFC, rfc_id, "implemented", actor=actor, at=at, outcome=outcome)


@workflow.verb("change.rfc.stopped", RFC, "rfc_id")
def stop(*, rfc_id: int, reason: str, actor: User, at: datetime) -> RFC:
    """Ends what is being carried out, and with it its hold: what it waited for is decided. Gate (from releases): no live job;
    queued ones are withdrawn by the same verb."""
    rfc = workflow.fire(RFC, rfc_id, "stop", actor=actor, at=at, reason=_reason(reason, english("stopped")))
    signoffs.withdraw(subject=rfc, actor=actor, at=at, reason=reason.strip())
    _end_hold(rfc, reason.strip(), actor=actor, at=at)
    authorization_lost.send(
        sender=RFC, rfc_id=rfc_id, reason=english("Stopped: %(reason)s", reason=reason.strip()), at=at
    )
    return RFC.objects.get(pk=rfc_id)


def _end_hold(rfc: RFC, reason: str, *, actor: User, at: datetime) -> None:
    """The hold of a change that was stopped ends, and the holds that its children have with it."""
    if holds.end(rfc, actor=actor, at=at, reason=reason) is not None:
        why = english("Together with its parent %(rfc)s: %(reason)s", rfc=rfc.number, reason=reason)
        holds.release_children(rfc, actor=actor, at=at, reason=why)


@workflow.verb("change.rfc.evidence_recorded", RFC, "rfc_id")
def bring_owed(*, rfc_id: int, name: str, text: str, actor: User, at: datetime) -> Evidence:
    """Brings a plan that an emergency owed when it was authorized, as evidence: what was signed stays untouched.

    Needs rfc.revise for the hosts concerned.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.revise"), own_or_manager], rfc, actor):
        raise NotAllowed(refused)
    if name not in PLANS or name not in owed_documents(rfc):
        raise Invalid("This change does not owe that document.", code="rfc.owed")
    if not text.strip():
        raise Invalid("The document is empty.", code="rfc.owed")
    row = Evidence.objects.create(
        rfc=rfc, kind=EvidenceKind.DOCUMENT, name=name, digest=digest(text), summary=text.strip(), by=actor, at=at
    )
    detail = {"kind": row.kind, "name": name, "digest": row.digest}
    audit.record(rfc, "change.rfc.evidence_recorded", actor=actor, at=at, detail=detail)
    return row


@workflow.verb("change.rfc.closed", RFC, "rfc_id")
def close(*, rfc_id: int, code: str, actor: User, at: datetime, summary: str = "") -> RFC:
    """Closes a reviewed RFC with a code; tasks that were not required and that nobody has done are cancelled. A failure takes the
    licence of its standard model away; the cycle moves on."""
    if code not in CloseCode.values:
        raise Invalid("Say how it ended: choose a closing code.", code="rfc.close_code")
    cycle = _lock_cycle_of(rfc_id)
    rfc = workflow.fire(RFC, rfc_id, "close", actor=actor, at=at, code=code, summary=summary)
    if code in (CloseCode.FAILED, CloseCode.BACKED_OUT):
        change_models.lose_licence_after(rfc, at=at)
    change_tasks.cancel_undone(rfc, actor=actor, at=at)
    cycles.advance(cycle_id=cycle.pk, cause=rfc.number, actor=actor, at=at)
    return RFC.objects.get(pk=rfc_id)
