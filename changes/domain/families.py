"""Parent and child changes: children follow the hold, the resuming and the cancellation of their parent, which is not closed
before them; those of a rejected one are let go. One level deep; being a child is not part of what is signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changes.domain import holds
from changes.enums import TERMINAL
from changes.models import RFC
from changes.rules import own_or_manager
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate
from patchflow.kernel.rules import capability, failing


@workflow.verb("change.rfc.parent_set", RFC, "rfc_id")
def set_parent(*, rfc_id: int, parent_id: int | None, actor: User, at: datetime) -> RFC:
    """Makes an RFC the child of another, or nobody's child. Needs rfc.revise, as its requester or a change manager;
    and for the hosts of the parent before and after: what becomes of a child keeps its parent open, and follows it. Under a
    parent that is on hold it stands still from then on; leaving that parent resumes nothing.

    Raises NotAllowed (the parent is not visible either), Invalid (itself, or more than one level), Conflict (ended).
    """
    seen = RFC.objects.visible_to(actor).filter(pk=parent_id).values_list("pk", flat=True) if parent_id else []
    for pk in sorted({rfc_id, *seen}):
        workflow.lock(RFC, pk)
    rfc = RFC.objects.get(pk=rfc_id)
    if refused := failing([capability("rfc.revise"), own_or_manager], rfc, actor):
        raise NotAllowed(refused)
    if rfc.state in TERMINAL:
        raise Conflict(english("It is %(state)s.", state=label_of(rfc)), code="conflict.state")
    parent = RFC.objects.filter(pk__in=list(seen)).first()
    for bound in (rfc.parent, parent):
        if bound is not None and (refused := failing([capability("rfc.revise")], bound, actor)):
            raise NotAllowed(refused)
    if parent_id is not None:
        if parent is None:
            raise Invalid("There is no such change, or you may not see it.", code="rfc.parent_id")
        if parent.pk == rfc.pk or parent.parent_id or rfc.children.exists():
            raise Invalid("A parent is no child itself, and a child has no children.", code="rfc.parent_id")
        if parent.state in TERMINAL:
            raise Conflict(
                english("%(number)s is %(state)s.", number=parent.number, state=label_of(parent)),
                code="rfc.parent_id",
            )
    rfc.parent = parent
    rfc.save(update_fields=["parent"])
    detail = {"parent": parent.number if parent else ""}
    audit.record(rfc, "change.rfc.parent_set", actor=actor, at=at, detail=detail)
    if parent is not None:
        holds.follow(rfc, parent, actor=actor, at=at)
    return RFC.objects.get(pk=rfc_id)


def let_go(parent: RFC, *, actor: User, at: datetime) -> None:
    """Takes the children that have not ended from under a change that was rejected, and ends the holds that they have with it.

    They are not rejected with it: a rejection is a decision about one change, on its own content and by who decides about its
    hosts; a child is evaluated and signed on its own, may not have been submitted yet, and stands as what it asks. Who does
    not want it either rejects or cancels it. Called inside the rejection.
    """
    why = english("Its parent %(rfc)s was rejected.", rfc=parent.number)
    holds.release_children(parent, actor=actor, at=at, reason=why)
    for child in holds.open_children(parent):
        rfc = workflow.lock(RFC, child.pk)
        rfc.parent = None
        rfc.save(update_fields=["parent"])
        detail = {"parent": "", "reason": why}
        audit.record(rfc, "change.rfc.parent_set", actor=actor, at=at, detail=detail)


@gate("changes.rfc", "close")
def children_have_ended(rfc: RFC, *, actor: User, at: datetime, facts: Mapping[str, Any]) -> list[Blocker]:
    """A parent is closed when its children are."""
    return [
        Blocker(
            "rfc.children_open",
            english("Its child %(number)s is %(state)s.", number=child.number, state=label_of(child)),
            child.get_absolute_url(),
            "wait",
        )
        for child in rfc.children.exclude(state__in=TERMINAL).order_by("pk")[:20]
    ]
