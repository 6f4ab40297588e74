"""Edits of an RFC. Whoever changes what was asked for, or approved, voids it; the difference is kept and shown (law 2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypedDict, Unpack

from django.db.models import Max

from changes.domain import scope, task_templates
from changes.enums import RFCKind, RFCState, WayBack
from changes.models import RFC, ChangeModel, RFCRevision
from changes.queries.holds import hold_blocker
from changes.rules import own_or_manager
from changes.signals import authorization_lost
from cmdb.models import Host, ServiceWindow
from patchflow.kernel import audit, signoffs, workflow
from patchflow.kernel.blockers import English, english, label_of
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.integrity import difference, plain
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing

EDITABLE = (
    RFCState.DRAFT,
    RFCState.SUBMITTED,
    RFCState.EVALUATING,
    RFCState.AWAITING_APPROVAL,
    RFCState.AUTHORIZED,
    RFCState.SUSPENDED,
)
PLANS = ("implementation_plan", "test_plan", "back_out_plan", "communication_plan")
TEXTS = ("title", "other_reason", *PLANS)


class Content(TypedDict, total=False):
    """What an RFC says, apart from its scope and kind."""

    title: str
    other_reason: str
    implementation_plan: str
    test_plan: str
    back_out_plan: str
    communication_plan: str
    way_back: str
    not_before: datetime | None
    not_after: datetime | None
    change_model_id: int | None
    window_ids: list[int]


class Changes(Content, total=False):
    """What an edit may change; lists are the whole new list."""

    kind: str
    update_ids: list[int]
    host_ids: list[int]


def not_on_hold(rfc: RFC) -> None:
    """Raises Blocked while a hold is open."""
    if held := hold_blocker(rfc):
        raise Blocked(held)


def not_editable(rfc: RFC) -> English:
    """Why an RFC in its state is not revised."""
    return english("It is %(state)s: suspend or stop it before you change what it does.", state=label_of(rfc))


@workflow.verb("change.rfc.revised", RFC, "rfc_id")
def revise(
    *, rfc_id: int, actor: User, at: datetime, reason: str = "", digest_seen: str = "", **changes: Unpack[Changes]
) -> RFC:
    """Changes an RFC before it is carried out. Needs rfc.revise, as its requester or a change manager.

    An edit of what approval signs, or of the title that its voters read, voids an open round (back to evaluating) or an
    authorization (lapsed), and keeps the difference as a revision. `digest_seen` guards against editing what somebody else
    has changed meanwhile. Raises NotAllowed, Blocked (on hold), Conflict (state, or changed since), Invalid.
    """
    rfc = workflow.lock(RFC, rfc_id)
    if refused := failing([capability("rfc.revise"), own_or_manager], rfc, actor):
        raise NotAllowed(refused)
    if rfc.state not in EDITABLE:
        raise Conflict(not_editable(rfc), code="conflict.state")
    not_on_hold(rfc)
    if digest_seen and digest_seen != rfc.change_digest:
        raise Conflict("Somebody else has changed it since you opened it. Look again, then repeat.", code="rfc.changed")
    with editing(rfc, actor=actor, at=at, reason=reason):
        apply(rfc, changes, actor=actor, at=at)
    return RFC.objects.get(pk=rfc_id)


def apply(rfc: RFC, changes: Changes, *, actor: User, at: datetime) -> None:
    """Writes the changed fields and rows of a locked RFC; checks each input. No permission, no consequence. A model brings its
    tasks when it is chosen, and not with each edit after: whoever moved or retitled one had the right to."""
    model_before = rfc.change_model_id
    if "kind" in changes and changes["kind"] not in RFCKind.values:
        raise Invalid("Choose standard, normal or emergency.", code="rfc.kind")
    if "way_back" in changes and changes["way_back"] not in WayBack.values:
        raise Invalid("Choose a way back, or say that there is none.", code="rfc.way_back")
    for name in (*TEXTS, "kind", "way_back", "not_before", "not_after"):
        if name in changes:
            value: Any = changes[name]  # type: ignore[literal-required]
            setattr(rfc, name, value.strip() if isinstance(value, str) else value)
    if not rfc.title:
        raise Invalid("An RFC needs a title.", code="rfc.title")
    if rfc.not_before and rfc.not_after and rfc.not_after <= rfc.not_before:
        raise Invalid("The last permitted date must come after the first.", code="rfc.not_after")
    if "change_model_id" in changes:
        rfc.change_model = _model_of(changes["change_model_id"])
        _fill_from(rfc)
    if rfc.change_model and rfc.change_model.kind != rfc.kind:
        raise Invalid(
            english(
                "“%(change_model)s” is a model of %(kind)s changes.",
                change_model=rfc.change_model,
                kind=rfc.change_model.kind,
            ),
            code="rfc.change_model_id",
        )
    fields = [*TEXTS, "kind", "way_back", "not_before", "not_after", "change_model"]
    rfc.save(update_fields=fields)
    if "update_ids" in changes:
        scope.set_updates(rfc, scope.chosen_updates(changes["update_ids"]), at=at)
    if "host_ids" in changes:
        _set_hosts(rfc, changes["host_ids"], actor=actor, at=at)
    if "window_ids" in changes:
        windows = list(ServiceWindow.objects.live().filter(pk__in=changes["window_ids"]))
        if len(windows) != len(set(changes["window_ids"])):
            raise Invalid("One of these windows does not exist or is retired.", code="rfc.window_ids")
        scope.set_windows(rfc, windows)
    if rfc.change_model and rfc.change_model_id != model_before:
        task_templates.add_of_model(rfc, rfc.change_model.tasks, actor=actor, at=at)


def _fill_from(rfc: RFC) -> None:
    """A model is the template of its changes: plans that nobody wrote are the model's."""
    for name in ("implementation_plan", "test_plan", "back_out_plan"):
        if rfc.change_model is not None and not getattr(rfc, name):
            setattr(rfc, name, getattr(rfc.change_model, name))


def _model_of(pk: int | None) -> ChangeModel | None:
    if pk is None:
        return None
    found = ChangeModel.objects.exclude(state="retired").filter(pk=pk).first()
    if found is None:
        raise Invalid("This change model does not exist or is retired.", code="rfc.change_model_id")
    return found


def _set_hosts(rfc: RFC, host_ids: list[int], *, actor: User, at: datetime) -> None:
    """Sets the targets; those added or taken out must lie in the actor's scope."""
    present = set(rfc.targets.filter(removed_at__isnull=True).values_list("host_id", flat=True))
    touched = present ^ set(host_ids)
    scope.chosen_hosts(touched & set(host_ids), actor=actor)
    kept = Host.objects.filter(pk__in=host_ids).select_related("ci")
    leaving = touched & present
    may = set(Host.objects.within(actor, "rfc.raise").filter(pk__in=leaving).values_list("pk", flat=True))
    if may != leaving:
        raise NotAllowed("Some of the hosts that you take out are not in your scope.", code="rfc.host_ids")
    scope.set_targets(rfc, list(kept), at=at)


@contextmanager
def editing(rfc: RFC, *, actor: User, at: datetime, reason: str, authored: bool = True) -> Iterator[None]:
    """Around an edit of a locked RFC: if what is asked differs afterwards, the difference is kept as a revision
    and what was signed, or is being asked, ends."""
    before, digest_before = plain(rfc.what_is_asked()), rfc.change_digest
    yield
    after = plain(rfc.what_is_asked())
    changed = difference(before, after)
    if not changed:
        return
    state = rfc.state
    last = rfc.revisions.aggregate(Max("number"))["number__max"] or 0
    revision = RFCRevision.objects.create(
        rfc=rfc,
        number=last + 1,
        by=actor,
        at=at,
        reason=reason.strip(),
        difference=changed,
        digest_before=digest_before,
        digest_after=rfc.change_digest,
        voided={RFCState.AWAITING_APPROVAL: "round", RFCState.AUTHORIZED: "authorization"}.get(state, ""),
        authored=authored,
    )
    detail = {"revision": revision.number, "difference": changed, "reason": reason.strip()}
    audit.record(rfc, "change.rfc.revised", actor=actor, at=at, detail=detail)
    _void(rfc, revision, actor=actor, at=at)


def _void(rfc: RFC, revision: RFCRevision, *, actor: User, at: datetime) -> None:
    why = english(
        "Revision %(n)s by %(actor)s changed %(fields)s.",
        n=revision.number,
        actor=actor,
        fields=", ".join(row["field"] for row in revision.difference),
    )
    rfc.glass.filter(broken_at__isnull=True, withdrawn_at__isnull=True).update(withdrawn_at=at)
    signoffs.void(subject=rfc, actor=actor, at=at, reason=why)
    if rfc.state == RFCState.AUTHORIZED:
        workflow.fire(RFC, rfc.pk, "lapse", actor=User.bot(), at=at, reason=why)
        authorization_lost.send(sender=RFC, rfc_id=rfc.pk, reason=why, at=at)
