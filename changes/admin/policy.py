"""The admin of what is agreed beforehand: change models and approval routes, with their verbs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import change_models, routing
from changes.enums import ModelState
from changes.models import ApprovalRoute, ChangeModel
from changes.web.change_model_forms import ModelForm
from changes.web.routes import RouteForm
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web.admin import AdminVerb, VerbAdmin


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
        AdminVerb("propose", _("Propose to the board"), _propose, transition="propose"),
        AdminVerb("withdraw", _("Withdraw the approval"), _lose_licence, transition="lose_licence", needs_reason=True),
        AdminVerb("retire", _("Retire"), _retire, transition="retire", needs_reason=True),
    )


def _retire_route(route: Any, actor: Any, at: Any, said: str) -> None:
    routing.retire(route_id=route.pk, reason=said, actor=actor, at=at)


def _write_route(_none: None, actor: User, at: datetime, form: RouteForm) -> ApprovalRoute:
    return routing.write(actor=actor, at=at, **form.content())


def _revise_route(route: ApprovalRoute, actor: User, at: datetime, form: RouteForm) -> None:
    routing.revise(route_id=route.pk, actor=actor, at=at, **form.content())


def _against_route(route: ApprovalRoute | None, actor: User, _at: datetime) -> list[Blocker]:
    return routing.why_not_edit(route, actor)


WRITE = AdminVerb(
    "write",
    _("Write an approval route"),
    _write_route,
    form=lambda data, _none, actor: RouteForm(data, actor=actor),
    on="new",
    why_not=_against_route,
)


@admin.register(ApprovalRoute)
class ApprovalRouteAdmin(VerbAdmin):
    """A route only adds: whom the kind or a signed model names is always asked."""

    list_display = ("name", "kinds", "min_risk", "classes", "environments", "written_by", "retired_at")
    list_filter = ("min_risk",)
    list_select_related = ("written_by",)
    maker = WRITE
    verbs = (
        AdminVerb(
            "revise",
            _("Revise"),
            _revise_route,
            form=lambda data, route, actor: RouteForm(data, actor=actor, route=route),
            on="one",
            why_not=_against_route,
        ),
        AdminVerb("retire", _("Retire"), _retire_route, needs_reason=True, why_not=_against_route),
    )
