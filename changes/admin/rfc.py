"""The admin of cycles, RFCs and rounds: every row to be seen, and the verbs that need no more than a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin

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
from changes.domain.rfc_gates import PLANS
from changes.enums import CloseCode, UpdateClass
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
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import SignOffRound, User
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


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
    fields = ("number", "by", "at", "reason", "difference", "voided")


class RiskInline(ReadOnlyInline):
    model = RiskAssessment
    fields = ("level", "score", "maximum", "factors", "by", "at")


class EvidenceInline(ReadOnlyInline):
    model = Evidence
    fields = ("kind", "name", "passed", "summary", "digest", "by", "at")


class GlassInline(ReadOnlyInline):
    model = BreakGlass
    fk_name = "rfc"
    fields = ("asked_by", "asked_at", "broken_by", "broken_at", "reviewed_by", "reviewed_at", "justified", "reason")


JUSTIFIED = (("yes", "It was justified"), ("no", "It was not justified"))
OWED = tuple((name, name.replace("_", " ").capitalize()) for name in PLANS)


def _comment(rfc: Any, actor: Any, at: Any, said: str) -> None:
    dossiers.comment(rfc_id=rfc.pk, text=said, actor=actor, at=at)


def _review_glass(rfc: Any, actor: Any, at: Any, said: str, choice: str) -> None:
    glass.review(rfc_id=rfc.pk, justified=choice == "yes", finding=said, actor=actor, at=at)


def _classify(rfc: Any, actor: Any, at: Any, said: str, choice: str) -> None:
    clocks.classify(rfc_id=rfc.pk, update_class=choice, reason=said, actor=actor, at=at)


def _bring_owed(rfc: Any, actor: Any, at: Any, said: str, choice: str) -> None:
    rfcs.bring_owed(rfc_id=rfc.pk, name=choice, text=said, actor=actor, at=at)


def _close(rfc: Any, actor: Any, at: Any, said: str, choice: str) -> None:
    rfcs.close(rfc_id=rfc.pk, code=choice, summary=said, actor=actor, at=at)


def chosen(name: str, label: str, call: Callable[..., Any], choices: Sequence[tuple[str, Any]]) -> AdminVerb:
    return AdminVerb(name, label, call, needs_reason=True, choices=choices, why_not=_against(name))


def _against_comment(rfc: RFC, actor: User, at: datetime) -> list[Blocker]:
    return dossiers.why_not_add(rfc, actor, dossiers.COMMENT, at=at)


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
        chosen("review_glass", "Review the broken glass", _review_glass, JUSTIFIED),
        chosen("classify", "Change the class", _classify, UpdateClass.choices),
        chosen("bring_owed", "Bring an owed document", _bring_owed, OWED),
        AdminVerb("close", "Close", _close, transition="close", needs_reason=True, choices=CloseCode.choices),
    )


def _approve(round_: Any, actor: Any, at: Any, said: str) -> None:
    approvals.decide(round_id=round_.pk, verdict="approve", comment=said, actor=actor, at=at, digest_seen=round_.digest)


def _refuse(round_: Any, actor: Any, at: Any, said: str) -> None:
    approvals.decide(round_id=round_.pk, verdict="refuse", comment=said, actor=actor, at=at, digest_seen=round_.digest)


def _withdraw(round_: Any, actor: Any, at: Any, said: str) -> None:
    approvals.withdraw(round_id=round_.pk, reason=said, actor=actor, at=at)


def _against_signing(round_: SignOffRound, actor: User, at: datetime) -> list[Blocker]:
    return board.why_not(round_, actor, at=at)


ROUND_VERBS = (
    AdminVerb("approve", "Approve", _approve, why_not=_against_signing),
    AdminVerb("refuse", "Refuse", _refuse, needs_reason=True, why_not=_against_signing),
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
    fields = ("phase", "key", "state", "owner", "output", "reason", "settled_at")


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


@admin.register(ChangeModel)
class ChangeModelAdmin(VerbAdmin):
    list_display = ("name", "kind", "state", "max_score", "max_hosts", "written_by", "approved_at")
    list_filter = ("state", "kind")
    verbs = (
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


@admin.register(ChangeSlot)
class SlotAdmin(VerbAdmin):
    list_display = ("rfc", "holder", "name", "starts_at", "ends_at", "hosts", "responsible", "released_at")
    list_filter = ("holder",)
    list_select_related = ("rfc", "responsible")


def _revoke_key(key: CalendarKey, actor: Any, at: Any, said: str) -> None:
    calendar_keys.revoke_of(key_id=key.pk, reason=said, actor=actor, at=at)


@admin.register(CalendarKey)
class CalendarKeyAdmin(VerbAdmin):
    list_display = ("user", "made_at", "revoked_at")
    fields = ("user", "made_at", "revoked_at")
    list_select_related = ("user",)
    verbs = (AdminVerb("revoke", "Revoke", _revoke_key, needs_reason=True),)
