"""Reviews in the admin site: after a deployment, those that stand in slots, and those at intervals."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, VerbAdmin, plain
from releases.admin.parts import inline
from releases.domain import periodic, readiness, reviews
from releases.enums import ReviewSlot
from releases.models import (
    PeriodicAction,
    PeriodicRecord,
    PeriodicRemark,
    PeriodicReview,
    PostImplementationReview,
    ReviewAnswer,
    ReviewDefinition,
)
from releases.queries import reviews as questions
from releases.web import periodic as periodic_forms
from releases.web import release_forms as shapes
from releases.web.periodic import against as against_periodic
from releases.web.reviews import AnswersForm
from releases.web.slots import SlotForm, initial_of


def _answer(review: PostImplementationReview, actor: User, at: Any, form: AnswersForm) -> None:
    reviews.answer(review_id=review.pk, answers=form.given(), actor=actor, at=at)


def _complete(review: PostImplementationReview, actor: User, at: Any, form: shapes.CompleteForm) -> None:
    reviews.complete(review_id=review.pk, actor=actor, at=at, **form.cleaned_data)


@admin.register(PostImplementationReview)
class ReviewAdmin(VerbAdmin):
    list_display = ("release", "name", "state", "opened_at", "completed_by", "completed_at")
    list_filter = ("state",)
    list_select_related = ("release", "completed_by")
    exclude = ("figures",)
    readonly_fields = ("taken",)
    inlines = (inline(ReviewAnswer, "question", "answer", "answered_by", "answered_at"),)
    verbs = (
        AdminVerb(
            "answer",
            _("Answer its questions"),
            _answer,
            form=lambda data, review, _actor: AnswersForm(review, data),
            on="one",
            why_not=lambda review, actor, _at: reviews.why_not_answer(review, actor),
        ),
        AdminVerb("complete", _("Complete the review"), _complete, "complete", form=plain(shapes.CompleteForm)),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        found: QuerySet[Any] = questions.with_hosts_seen(super().get_queryset(request), actor)
        return found

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.seen_figures = questions.figures_seen(found, request.user)  # type: ignore[arg-type]
        return found

    @admin.display(description=_("Figures"))
    def taken(self, review: Any) -> str:
        """What was counted; of the missed hosts those in sight by name."""
        return format_html("<pre>{}</pre>", json.dumps(review.seen_figures, indent=2, ensure_ascii=False))


class WhereForm(SlotForm):
    """The same, and the slot that it goes into."""

    slot = forms.ChoiceField(label=_("Where it stands"), choices=ReviewSlot.choices)
    field_order = ("slot",)


def _configure(slot: str, form: SlotForm, actor: User, at: Any) -> ReviewDefinition:
    return readiness.configure_slot(slot=slot, actor=actor, at=at, **form.given())


def _against_configuring(_of: ReviewDefinition | None, actor: User, _at: Any) -> list[Blocker]:
    return failing([capability("settings.edit")], None, actor)


CONFIGURE = AdminVerb(
    "configure",
    _("Put a review into a slot"),
    lambda _none, actor, at, form: _configure(form.cleaned_data["slot"], form, actor, at),
    form=lambda data, _none, _actor: WhereForm(data),
    on="new",
    why_not=_against_configuring,
)


@admin.register(ReviewDefinition)
class ReviewDefinitionAdmin(VerbAdmin):
    list_display = ("slot", "kind", "name", "configured_by", "configured_at")
    list_select_related = ("configured_by",)
    maker = CONFIGURE
    verbs = (
        AdminVerb(
            "configure",
            _("Put another review in its place"),
            lambda row, actor, at, form: _configure(row.slot, form, actor, at),
            form=lambda data, row, _actor: SlotForm(data, initial=initial_of(row.slot, row.kind)),
            on="one",
            why_not=_against_configuring,
        ),
    )


def _conclude(obj: PeriodicReview, actor: User, at: Any, said: str) -> None:
    periodic.complete(review_id=obj.pk, conclusion=said, actor=actor, at=at)


def _on_review(verb: Callable[..., Any]) -> Callable[[PeriodicReview, User, Any, Any], Any]:
    """A call of an admin verb: one domain verb on one review at intervals, with what the form of its page says."""

    def call(review: PeriodicReview, actor: User, at: Any, form: Any) -> None:
        said = {**form.cleaned_data}
        if "owner_id" in said:
            said["owner_id"] = said["owner_id"].pk
        verb(review_id=review.pk, actor=actor, at=at, **said)

    return call


def _against_adding(review: PeriodicReview, actor: User, _at: Any) -> list[Blocker]:
    return against_periodic(review, actor)


OPEN = AdminVerb(
    "open",
    _("Open a review"),
    lambda _none, actor, at, form: periodic.open_review(actor=actor, at=at, **form.given()),
    form=lambda data, _none, _actor: periodic_forms.OpenForm(data),
    on="new",
    why_not=lambda _none, actor, _at: failing([periodic.writes], None, actor),
)


def _settle_action(action: PeriodicAction, actor: User, at: Any, form: periodic_forms.SettleForm) -> None:
    given = {"review_id": action.review_id, "action_id": action.pk, **form.cleaned_data}
    periodic.settle_action(actor=actor, at=at, **given)


@admin.register(PeriodicAction)
class PeriodicActionAdmin(VerbAdmin):
    """What was said would be done, followed until it is settled."""

    sight = "review"
    list_display = ("text", "review", "owner", "due_on", "settled_by", "settled_at")
    list_filter = (("settled_at", admin.EmptyFieldListFilter),)
    list_select_related = ("review", "owner", "settled_by")
    search_fields = ("text",)
    verbs = (
        AdminVerb(
            "settle",
            _("Say what came of it"),
            _settle_action,
            form=plain(periodic_forms.SettleForm),
            why_not=lambda action, actor, _at: periodic.why_not_settle(action, actor),
        ),
    )


@admin.register(PeriodicReview)
class PeriodicReviewAdmin(VerbAdmin):
    list_display = ("kind", "state", "starts_at", "ends_at", "due_at", "owner", "completed_by", "completed_at")
    list_filter = ("kind", "state")
    inlines = (
        inline(PeriodicRecord, "figures", "digest", "taken_at", "taken_by"),
        inline(PeriodicRemark, "text", "said_by", "said_at"),
        inline(PeriodicAction, "text", "owner", "due_on", "settled_by", "settled_at", "outcome"),
    )
    list_select_related = ("owner", "completed_by")
    maker = OPEN
    verbs = (
        AdminVerb(
            "assign",
            _("Give it to a person"),
            _on_review(periodic.assign),
            form=plain(periodic_forms.AssignForm, owner_id=attrgetter("owner_id")),
            on="one",
            why_not=_against_adding,
        ),
        AdminVerb(
            "remark",
            _("Add to the discussion"),
            _on_review(periodic.remark),
            form=plain(periodic_forms.RemarkForm),
            on="one",
            why_not=_against_adding,
        ),
        AdminVerb(
            "act",
            _("Raise an action"),
            _on_review(periodic.raise_action),
            form=plain(periodic_forms.ActionForm),
            on="one",
            why_not=_against_adding,
        ),
        AdminVerb(
            "complete", _("Complete, with what follows from it"), _conclude, transition="complete", needs_reason=True
        ),
    )
