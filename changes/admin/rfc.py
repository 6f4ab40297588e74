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
    calendar_keys,
    change_models,
    clocks,
    cycles,
    dossiers,
    freezes,
    glass,
    holds,
    offers,
    rfcs,
    risk,
    routing,
    supersedence,
)
from changes.enums import ModelState
from changes.models import (
    RFC,
    ApprovalRoute,
    Attachment,
    BreakGlass,
    CalendarKey,
    ChangeModel,
    ChangeSlot,
    Comment,
    Cycle,
    CycleEvent,
    Evidence,
    FreezeWindow,
    Hold,
    PhaseStep,
    Reference,
    RFCRevision,
    RFCTarget,
    RFCUpdate,
    RiskAssessment,
)
from changes.queries import board
from changes.queries.calendar import slots_seen
from changes.queries.cycles import output_of
from changes.queries.evidence import said_of
from changes.queries.rfcs import sees_all
from changes.queries.risk import factors_for
from changes.web import rfc_forms, rfc_parts, rfc_writing
from changes.web.board import DecideForm
from changes.web.change_model_forms import ModelForm
from patchflow.kernel.blockers import Blocker, english, here, label_of
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.rules import capability, failing, somewhere
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, in_sight, plain


def on_rfc(name: str, label: str, verb: Callable[..., Any], *, transition: str = "", reason: bool = False) -> AdminVerb:
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
        return here(said_of(row, whole=sees_all(row.rfc, self.actor)))


class GlassInline(ReadOnlyInline):
    model = BreakGlass
    fk_name = "rfc"
    fields = ("asked_by", "asked_at", "broken_by", "broken_at", "reviewed_by", "reviewed_at", "justified", "reason")


def _comment(rfc: Any, actor: Any, at: Any, said: str) -> None:
    dossiers.comment(rfc_id=rfc.pk, text=said, actor=actor, at=at)


def _against_comment(rfc: RFC, actor: User, at: datetime) -> list[Blocker]:
    return dossiers.why_not_add(rfc, actor, dossiers.COMMENT, at=at)


def with_form(name: str, label: str | Any, verb: Callable[..., Any], form: Any, **given: Any) -> AdminVerb:
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
        CommentInline,
        AttachmentInline,
        ReferenceInline,
    )
    maker = RAISE
    verbs = (
        on_rfc("submit", "Submit", rfcs.submit, transition="submit"),
        on_rfc("evaluate", "Evaluate", rfcs.evaluate, transition="evaluate"),
        on_rfc("score", "Assess the risk again", risk.score),
        on_rfc("request_approval", "Request approval", approvals.request_approval, transition="request_approval"),
        on_rfc("send_back", "Send back", rfcs.send_back, transition="send_back", reason=True),
        on_rfc("reject", "Reject", rfcs.reject, transition="reject", reason=True),
        on_rfc("cancel", "Cancel", rfcs.cancel, transition="cancel", reason=True),
        on_rfc("lapse", "Withdraw authorization", rfcs.lapse, transition="lapse", reason=True),
        on_rfc("stop", "Stop", rfcs.stop, transition="stop", reason=True),
        on_rfc("hold", "Put on hold", holds.place, reason=True),
        on_rfc("resume", "Resume", holds.resume, reason=True),
        on_rfc("move", "Move to the newer updates", supersedence.move, reason=True),
        on_rfc("ask_break_glass", "Ask to break the glass", glass.ask, reason=True),
        on_rfc("break_glass", "Break the glass", glass.break_glass, transition="break_glass", reason=True),
        on_rfc("copy", "Copy as a draft", rfcs.copy),
        AdminVerb("comment", "Add to the discussion", _comment, needs_reason=True, why_not=_against_comment),
        with_form("review_glass", _("Review the broken glass"), glass.review, plain(rfc_forms.GlassReviewForm)),
        with_form("classify", _("Change the class"), clocks.classify, plain(rfc_forms.ClassifyForm)),
        with_form("bring_owed", _("Bring an owed document"), rfcs.bring_owed, _owed_form, on="one"),
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
        "Withdraw the question",
        _withdraw,
        needs_reason=True,
        why_not=lambda round_, actor, _at: approvals.why_not_withdraw(round_, actor),
    ),
)
"""The verbs of a sign-off round, for the window on rounds (`patchflow.reports.admin`)."""


class StepInline(ReadOnlyInline):
    model = PhaseStep
    fields = ("phase", "key", "state", "owner", "brought", "reason", "settled_at")

    @admin.display(description=_("Output"))
    def brought(self, step: PhaseStep) -> str:
        return output_of(step, self.actor)


class EventInline(ReadOnlyInline):
    model = CycleEvent
    fields = ("kind", "at", "by", "cause")


def _close_unneeded(cycle: Any, actor: Any, at: Any, said: str) -> None:
    cycles.close_unneeded(cycle_id=cycle.pk, reason=said, actor=actor, at=at)


@admin.register(Cycle)
class CycleAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "opened_at", "decision_on", "closed_at")
    list_filter = ("state", "kind")
    inlines = (StepInline, EventInline)
    verbs = (
        AdminVerb(
            "close_unneeded", "Close as not needed", _close_unneeded, transition="close_unneeded", needs_reason=True
        ),
    )


def _propose(model: Any, actor: Any, at: Any, said: str) -> None:
    change_models.propose(model_id=model.pk, actor=actor, at=at)


def _lose_licence(model: Any, actor: Any, at: Any, said: str) -> None:
    change_models.withdraw(model_id=model.pk, reason=said, actor=actor, at=at)


def _retire(model: Any, actor: Any, at: Any, said: str) -> None:
    change_models.retire(model_id=model.pk, reason=said, actor=actor, at=at)


def _revise_model(model: ChangeModel, actor: User, at: datetime, form: ModelForm) -> None:
    change_models.revise(model_id=model.pk, actor=actor, at=at, **form.content())


def _against_revising(model: ChangeModel, actor: User, _at: datetime) -> list[Blocker]:
    draft = model.state == ModelState.DRAFT
    state = [] if draft else [Blocker("conflict.state", english("It is %(state)s.", state=label_of(model)))]
    return failing([capability("change_model.edit")], model, actor) or state


DRAFT = AdminVerb(
    "draft",
    _("Write a change model"),
    lambda _none, actor, at, form: change_models.draft(actor=actor, at=at, **form.content()),
    form=lambda data, _none, _actor: ModelForm(data),
    on="new",
    why_not=lambda _none, actor, _at: failing([capability("change_model.edit")], None, actor),
)


@admin.register(ChangeModel)
class ChangeModelAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "max_score", "max_hosts", "written_by", "approved_at")
    list_filter = ("state", "kind")
    maker = DRAFT
    verbs = (
        AdminVerb(
            "revise",
            _("Revise"),
            _revise_model,
            form=lambda data, model, _actor: ModelForm(data, model=model),
            on="one",
            why_not=_against_revising,
        ),
        AdminVerb("propose", "Propose to the board", _propose, transition="propose"),
        AdminVerb("withdraw", "Withdraw the approval", _lose_licence, transition="lose_licence", needs_reason=True),
        AdminVerb("retire", "Retire", _retire, transition="retire", needs_reason=True),
    )


def _lift(freeze: Any, actor: Any, at: Any, said: str) -> None:
    freezes.lift(freeze_id=freeze.pk, reason=said, actor=actor, at=at)


@admin.register(FreezeWindow)
class FreezeAdmin(VerbAdmin):
    list_display = ("name", "starts_at", "ends_at", "passes", "declared_by", "lifted_at")
    verbs = (AdminVerb("lift", "Lift at once", _lift, needs_reason=True),)


def _retire_route(route: Any, actor: Any, at: Any, said: str) -> None:
    routing.retire(route_id=route.pk, reason=said, actor=actor, at=at)


def _why_not_route(route: Any, actor: Any, _at: Any) -> list[Blocker]:
    return routing.why_not_edit(route, actor)


@admin.register(ApprovalRoute)
class ApprovalRouteAdmin(VerbAdmin):
    list_display = ("name", "kinds", "min_risk", "classes", "environments", "written_by", "retired_at")
    list_filter = ("min_risk",)
    list_select_related = ("written_by",)
    verbs = (AdminVerb("retire", "Retire", _retire_route, needs_reason=True, why_not=_why_not_route),)


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


@admin.register(ChangeSlot)
class SlotAdmin(VerbAdmin):
    list_display = ("rfc", "holder", "name", "starts_at", "ends_at", "taken", "responsible", "released_at")
    list_filter = ("holder",)
    exclude = ("hosts",)
    readonly_fields = ("taken",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        return slots_seen(actor).select_related("rfc", "responsible")

    @admin.display(description=_("Hosts"))
    def taken(self, slot: Any) -> int | str:
        """How many hosts it takes, for who may see every one of them."""
        return slot.hosts if slot.whole else "–"


def _revoke_key(key: CalendarKey, actor: Any, at: Any, said: str) -> None:
    calendar_keys.revoke_of(key_id=key.pk, reason=said, actor=actor, at=at)


@admin.register(CalendarKey)
class CalendarKeyAdmin(VerbAdmin):
    list_display = ("user", "made_at", "revoked_at")
    fields = ("user", "made_at", "revoked_at")
    list_select_related = ("user",)
    verbs = (AdminVerb("revoke", "Revoke", _revoke_key, needs_reason=True),)
