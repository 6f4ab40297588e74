"""The admin of cycles, RFCs and rounds: every row to be seen, and its verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from changes.domain import (
    approvals,
    change_tasks,
    clocks,
    dossiers,
    evidence,
    families,
    glass,
    holds,
    offers,
    rfcs,
    risk,
    supersedence,
)
from changes.models import (
    RFC,
    Attachment,
    BreakGlass,
    ChangeTask,
    Comment,
    Evidence,
    Hold,
    Reference,
    RFCRevision,
    RFCTarget,
    RFCUpdate,
    RiskAssessment,
)
from changes.queries import board
from changes.queries.evidence import said_of
from changes.queries.rfcs import sees_all
from changes.queries.risk import factors_for
from changes.web import change_task_forms, rfc_forms, rfc_parts, rfc_writing
from changes.web import dossiers as dossier_forms
from changes.web.board import DecideForm
from patchflow.kernel.blockers import Blocker, here
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.rules import failing, somewhere
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, in_sight, plain


def on_rfc(name: str, label: Any, verb: Callable[..., Any], *, transition: str = "", reason: bool = False) -> AdminVerb:
    """An action that calls a domain verb of an RFC."""

    def call(rfc: Any, actor: Any, at: Any, said: str) -> None:
        verb(rfc_id=rfc.pk, actor=actor, at=at, **({"reason": said} if reason else {}))

    return AdminVerb(name, label, call, transition=transition, needs_reason=reason, why_not=_against(name))


def _against(name: str) -> Callable[[RFC, User, datetime], list[Blocker]]:
    """The question that the pages of an RFC ask before its verb `name`."""
    return lambda rfc, actor, at: offers.why_not(rfc, name, actor=actor, at=at)


class UpdateInline(ReadOnlyInline):
    model = RFCUpdate
    fields = ("distribution", "release", "name", "fixed_version", "removed_at")


class TargetInline(ReadOnlyInline):
    model = RFCTarget
    fields = ("host", "criticality", "environment", "outcome", "left_at", "left_reason", "removed_at")


class RevisionInline(ReadOnlyInline):
    model = RFCRevision
    fields = ("number", "by", "at", "reason", "said", "voided")

    @admin.display(description=_("Difference"))
    def said(self, revision: RFCRevision) -> str:
        """It names hosts: it is read by who sees them all."""
        if not sees_all(revision.rfc, self.actor):
            return "–"
        lines = rfc_parts.differences(revision.difference)
        return "; ".join(f"{one.field}: {', '.join(one.removed)} → {', '.join(one.added)}" for one in lines)


class RiskInline(ReadOnlyInline):
    model = RiskAssessment
    fields = ("level", "score", "maximum", "said", "by", "at")

    @admin.display(description=_("Factors"))
    def said(self, risk: RiskAssessment) -> str:
        """What counts hosts is read by who sees them all."""
        whole = sees_all(risk.rfc, self.actor)
        return " ".join(str(factor["sentence"]) for factor in factors_for(risk, whole=whole))


class EvidenceInline(ReadOnlyInline):
    model = Evidence
    fields = ("kind", "name", "passed", "said", "digest", "by", "at")

    @admin.display(description=_("What it shows"))
    def said(self, row: Evidence) -> str:
        """Its sentence; what counts hosts out of sight is left out."""
        return here(said_of(row, whole=sees_all(row.rfc, self.actor)), mixed=True)


class GlassInline(ReadOnlyInline):
    model = BreakGlass
    fk_name = "rfc"
    fields = ("asked_by", "asked_at", "broken_by", "broken_at", "reviewed_by", "reviewed_at", "justified", "reason")


def _comment(rfc: Any, actor: Any, at: Any, said: str) -> None:
    dossiers.comment(rfc_id=rfc.pk, text=said, actor=actor, at=at)


def _set_parent(rfc: RFC, actor: User, at: datetime, form: dossier_forms.ParentForm) -> None:
    families.set_parent(rfc_id=rfc.pk, parent_id=form.parent_id(actor), actor=actor, at=at)


def _against_comment(rfc: RFC, actor: User, at: datetime) -> list[Blocker]:
    return dossiers.why_not_add(rfc, actor, dossiers.COMMENT, at=at)


def with_form(name: str, label: Any, verb: Callable[..., Any], form: Any, **given: Any) -> AdminVerb:
    """An action that calls a domain verb of an RFC with what the form of its page says."""

    def call(rfc: RFC, actor: User, at: datetime, form: Any) -> Any:
        return verb(rfc_id=rfc.pk, actor=actor, at=at, **form.cleaned_data)

    return AdminVerb(name, label, call, form=form, why_not=_against(name), **given)


def _owed_form(data: Any, rfc: RFC, _actor: User) -> rfc_forms.OwedForm:
    form = rfc_forms.OwedForm(data)
    form.offer(rfc)
    return form


def _against_raising(_rfc: None, actor: User, _at: datetime) -> list[Blocker]:
    return failing([somewhere("rfc.raise")], None, actor)


RAISE = AdminVerb(
    "raise",
    _("Raise an RFC"),
    lambda _rfc, actor, at, form: rfc_writing.raise_by(form, actor=actor, at=at),
    form=lambda data, _rfc, actor: rfc_writing.raise_form(data, (), actor),
    on="new",
    why_not=_against_raising,
)


class AttachmentInline(ReadOnlyInline):
    model = Attachment
    fields = ("name", "media_type", "size", "sha256", "by", "at", "withdrawn_at", "withdrawn_reason")
    fk_name = "rfc"


class TaskInline(ReadOnlyInline):
    model = ChangeTask
    fk_name = "rfc"
    fields = ("number", "title", "stage", "required", "state", "assignee", "group", "due_at", "outcome")


class CommentInline(ReadOnlyInline):
    model = Comment
    fields = ("by", "at", "text", "mentioned")


class ReferenceInline(ReadOnlyInline):
    model = Reference
    fields = ("kind", "system", "name", "url", "by", "at", "removed_at")


@admin.register(RFC)
class RFCAdmin(VerbAdmin):
    list_display = ("number", "title", "kind", "state", "update_class", "start_by", "requested_by", "raised_at")
    list_filter = ("state", "kind", "update_class")
    list_select_related = ("requested_by",)
    search_fields = ("number", "title")
    inlines = (
        UpdateInline,
        TargetInline,
        RevisionInline,
        RiskInline,
        EvidenceInline,
        GlassInline,
        TaskInline,
        CommentInline,
        AttachmentInline,
        ReferenceInline,
    )
    maker = RAISE
    verbs = (
        on_rfc("submit", _("Submit"), rfcs.submit, transition="submit"),
        on_rfc("evaluate", _("Evaluate"), rfcs.evaluate, transition="evaluate"),
        on_rfc("score", _("Assess the risk again"), risk.score),
        on_rfc("request_approval", _("Request approval"), approvals.request_approval, transition="request_approval"),
        on_rfc("send_back", _("Send back"), rfcs.send_back, transition="send_back", reason=True),
        on_rfc("reject", _("Reject"), rfcs.reject, transition="reject", reason=True),
        on_rfc("cancel", _("Cancel"), rfcs.cancel, transition="cancel", reason=True),
        on_rfc("lapse", _("Withdraw authorization"), rfcs.lapse, transition="lapse", reason=True),
        on_rfc("stop", _("Stop"), rfcs.stop, transition="stop", reason=True),
        on_rfc("hold", _("Put on hold"), holds.place, reason=True),
        on_rfc("resume", _("Resume"), holds.resume, reason=True),
        on_rfc("move", _("Move to the newer updates"), supersedence.move, reason=True),
        on_rfc("ask_break_glass", _("Ask to break the glass"), glass.ask, reason=True),
        on_rfc("break_glass", _("Break the glass"), glass.break_glass, transition="break_glass", reason=True),
        on_rfc("copy", _("Copy as a draft"), rfcs.copy),
        AdminVerb(
            "add_task",
            _("Add a task"),
            lambda rfc, actor, at, form: change_tasks.add(rfc_id=rfc.pk, actor=actor, at=at, **form.content()),
            form=lambda data, _rfc, _actor: change_task_forms.AddForm(data),
            on="one",
            why_not=lambda rfc, actor, _at: change_tasks.why_not_add(rfc, actor),
        ),
        AdminVerb("comment", _("Add to the discussion"), _comment, needs_reason=True, why_not=_against_comment),
        with_form("review_glass", _("Review the broken glass"), glass.review, plain(rfc_forms.GlassReviewForm)),
        with_form("classify", _("Change the class"), clocks.classify, plain(rfc_forms.ClassifyForm)),
        with_form("bring_owed", _("Bring an owed document"), rfcs.bring_owed, _owed_form, on="one"),
        AdminVerb(
            "evidence",
            _("Add evidence"),
            lambda rfc, actor, at, form: evidence.record(rfc_id=rfc.pk, actor=actor, at=at, **form.cleaned_data),
            form=plain(dossier_forms.EvidenceForm),
            on="one",
            why_not=lambda rfc, actor, _at: evidence.why_not_record(rfc, actor),
        ),
        AdminVerb(
            "refer",
            _("Add a reference"),
            lambda rfc, actor, at, form: dossiers.refer(rfc_id=rfc.pk, actor=actor, at=at, **form.cleaned_data),
            form=plain(dossier_forms.ReferenceForm),
            on="one",
            why_not=lambda rfc, actor, at: dossiers.why_not_add(rfc, actor, dossiers.ATTACH, at=at),
        ),
        AdminVerb(
            "parent",
            _("Set its parent"),
            _set_parent,
            form=lambda data, rfc, _actor: dossier_forms.parent_form(data, rfc),
            on="one",
            why_not=_against("parent"),
        ),
        with_form("close", _("Close"), rfcs.close, plain(rfc_forms.CloseForm)),
        AdminVerb(
            "revise",
            _("Revise"),
            lambda rfc, actor, at, form: rfc_writing.revise_by(form, rfc=rfc, actor=actor, at=at),
            form=rfc_writing.revise_form,
            on="one",
            why_not=_against("revise"),
        ),
    )


def _decide(round_: SignOffRound, actor: User, at: datetime, form: Any, authenticated_at: datetime | None) -> None:
    approvals.decide(
        round_id=round_.pk, actor=actor, at=at, authenticated_at=authenticated_at, **form.cleaned_data
    )  # fmt: skip


def _withdraw(round_: Any, actor: Any, at: Any, said: str) -> None:
    approvals.withdraw(round_id=round_.pk, reason=said, actor=actor, at=at)


def _against_signing(round_: SignOffRound, actor: User, at: datetime) -> list[Blocker]:
    return board.why_not(round_, actor, at=at)


ROUND_VERBS = (
    AdminVerb(
        "decide",
        _("Decide: approve or refuse"),
        _decide,
        form=plain(DecideForm, digest_seen=lambda round_: round_.digest),
        on="one",
        why_not=_against_signing,
        signs=True,
    ),
    AdminVerb(
        "withdraw",
        _("Withdraw the question"),
        _withdraw,
        needs_reason=True,
        why_not=lambda round_, actor, _at: approvals.why_not_withdraw(round_, actor),
    ),
)
"""The verbs of a sign-off round, for the window on rounds (`patchflow.reports.admin`)."""


@admin.register(Hold)
class HoldAdmin(VerbAdmin):
    list_display = ("subject_type", "subject_id", "cause", "reason", "placed_by", "placed_at", "resumed_at")
    list_filter = ("cause",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Holds of what the person sees."""
        seen = Q(pk__in=())
        for label in Hold.objects.order_by().values_list("subject_type", flat=True).distinct():
            subjects = in_sight(apps.get_model(label)._default_manager.all(), request.user)
            seen |= Q(subject_type=label, subject_id__in=subjects.values("pk"))
        return super().get_queryset(request).filter(seen)
