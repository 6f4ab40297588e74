"""Holds: an RFC or a release stands still where it is, for a stated cause, until somebody resumes it."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext_noop

from changes.enums import TERMINAL, HoldCause
from changes.models import RFC, Hold
from changes.queries.holds import open_hold_of
from changes.signals import authorization_lost
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english, label_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import Audited, User
from patchflow.kernel.rules import capability, failing

EARLIER = (
    gettext_noop("With its parent %(rfc)s: %(reason)s"),
    gettext_noop("With its parent %(rfc)s: %(because)s"),
    gettext_noop("With its parent %(rfc)s."),
)
"""As holds were explained before: trails keep them, and they are said again in the reader's language."""


@workflow.verb("change.rfc.held", RFC, "rfc_id")
def place(*, rfc_id: int, reason: str, actor: User, at: datetime, cause: str = HoldCause.PERSON) -> Hold:
    """Puts an RFC on hold, and its children with it. Needs rfc.hold for each. What runs under them is stopped by the
    signal; clocks run on."""
    rfc = workflow.lock(RFC, rfc_id)
    if rfc.state in TERMINAL:
        raise Conflict(
            english("It is %(state)s: there is nothing to hold.", state=label_of(rfc)), code="conflict.state"
        )
    hold = _place(rfc, reason=reason, cause=cause, actor=actor, at=at)
    _stands(rfc, hold, actor=actor, at=at)
    for child in open_children(rfc):
        if open_hold_of(child) is None:
            why = _with_parent(rfc, hold)
            place(rfc_id=child.pk, reason=why, cause=HoldCause.PARENT, actor=actor, at=at)
    return hold


def follow(child: RFC, parent: RFC, *, actor: User, at: datetime) -> Hold | None:
    """Puts a change on hold that becomes the child of one that is; None where nothing is to be done. The caller has its lock
    and has asked for the right to make it a child: that it stands still with its parent is a part of that."""
    hold = open_hold_of(parent)
    if hold is None or open_hold_of(child) is not None:
        return None
    made = _write(child, reason=_with_parent(parent, hold), cause=HoldCause.PARENT, actor=actor, at=at)
    _stands(child, made, actor=actor, at=at)
    return made


def _with_parent(parent: RFC, hold: Hold) -> str:
    return english("Together with its parent %(rfc)s: %(because)s", rfc=parent.number, because=hold.reason)


def _stands(rfc: RFC, hold: Hold, *, actor: User, at: datetime) -> None:
    """Writes the hold of a change into its trail, and stops by the signal what runs under it."""
    audit.record(rfc, "change.rfc.held", actor=actor, at=at, detail={"cause": hold.cause, "reason": hold.reason})
    because = english("On hold: %(because)s", because=hold.reason)
    authorization_lost.send(sender=RFC, rfc_id=rfc.pk, reason=because, at=at)


def open_children(rfc: RFC) -> list[RFC]:
    """The children that have not ended, in the order in which they are locked."""
    return list(rfc.children.exclude(state__in=TERMINAL).order_by("pk"))


@workflow.verb("change.rfc.resumed", RFC, "rfc_id")
def resume(*, rfc_id: int, actor: User, at: datetime, reason: str = "") -> Hold:
    """Ends the hold of an RFC, and those of its children that came with it. Needs rfc.hold for each; the system's own hold
    is resumed by a person."""
    rfc = workflow.lock(RFC, rfc_id)
    if rfc.state in TERMINAL:
        if refused := failing([capability("rfc.hold")], rfc, actor):
            raise NotAllowed(refused)
        raise Conflict(
            english("It is %(state)s: there is nothing to resume.", state=label_of(rfc)), code="conflict.state"
        )
    hold = _resume(rfc, reason=reason, actor=actor, at=at)
    audit.record(rfc, "change.rfc.resumed", actor=actor, at=at, detail={"reason": hold.resume_reason})
    for child in open_children(rfc):
        held = open_hold_of(child)
        if held is not None and held.cause == HoldCause.PARENT:
            resume(
                rfc_id=child.pk, reason=english("Together with its parent %(rfc)s.", rfc=rfc.number), actor=actor, at=at
            )
    return hold


def end(rfc: RFC, *, actor: User, at: datetime, reason: str) -> Hold | None:
    """Ends the open hold of a change that has left or was stopped, inside the verb that did it, and says so in its trail; None if
    there is none. It needs no right to resume: the change does not go on by it."""
    hold = open_hold_of(rfc)
    if hold is None:
        return None
    _close(hold, reason=reason, actor=actor, at=at)
    audit.record(rfc, "change.rfc.hold_ended", actor=actor, at=at, detail={"reason": hold.resume_reason})
    return hold


def release_children(rfc: RFC, *, actor: User, at: datetime, reason: str) -> None:
    """Ends the holds that the children of a change have because of its own, which has ended; their own holds stay. A child may go on
    by it: so it is a person with rfc.hold for it who ends them; else they stand, and are resumed on the child."""
    for one in open_children(rfc):
        child = workflow.lock(RFC, one.pk)
        held = open_hold_of(child)
        may = actor.is_person and not failing([capability("rfc.hold")], child, actor)
        if held is not None and held.cause == HoldCause.PARENT and may:
            end(child, actor=actor, at=at, reason=reason)


@workflow.verb("change.hold.placed")
def place_on(*, subject: Audited, reason: str, actor: User, at: datetime, cause: str = HoldCause.PERSON) -> Hold:
    """Puts another subject (a release) on hold; the caller has its row lock. Needs rfc.hold over its hosts."""
    hold = _place(subject, reason=reason, cause=cause, actor=actor, at=at)
    audit.record(subject, "change.hold.placed", actor=actor, at=at, detail={"cause": cause, "reason": hold.reason})
    return hold


@workflow.verb("change.hold.resumed")
def resume_on(*, subject: Audited, actor: User, at: datetime, reason: str = "") -> Hold:
    """Ends the hold of another subject; the caller has its row lock. Needs rfc.hold over its hosts."""
    hold = _resume(subject, reason=reason, actor=actor, at=at)
    audit.record(subject, "change.hold.resumed", actor=actor, at=at, detail={"reason": hold.resume_reason})
    return hold


def _place(subject: Audited, *, reason: str, cause: str, actor: User, at: datetime) -> Hold:
    if refused := failing([capability("rfc.hold")], subject, actor):
        raise NotAllowed(refused)
    if cause not in HoldCause.values:
        raise Invalid("Say who or what holds it.", code="hold.cause")
    if not reason.strip():
        raise Invalid("Say why it is put on hold.", code="hold.reason")
    if open_hold_of(subject):
        raise Conflict("It is on hold already.", code="hold.open")
    return _write(subject, reason=reason, cause=cause, actor=actor, at=at)


def _write(subject: Audited, *, reason: str, cause: str, actor: User, at: datetime) -> Hold:
    return Hold.objects.create(
        subject_type=subject._meta.label_lower,
        subject_id=subject.pk,
        cause=cause,
        reason=reason.strip(),
        placed_by=actor,
        placed_at=at,
    )


def _resume(subject: Audited, *, reason: str, actor: User, at: datetime) -> Hold:
    if refused := failing([capability("rfc.hold")], subject, actor):
        raise NotAllowed(refused)
    hold = open_hold_of(subject)
    if hold is None:
        raise Conflict("It is not on hold.", code="hold.none")
    if actor.is_bot:
        raise NotAllowed("The system holds, and people resume.", code="hold.bot")
    _close(hold, reason=reason, actor=actor, at=at)
    return hold


def _close(hold: Hold, *, reason: str, actor: User, at: datetime) -> None:
    hold.resumed_by, hold.resumed_at, hold.resume_reason = actor, at, reason.strip()
    hold.save(update_fields=["resumed_by", "resumed_at", "resume_reason"])
