"""The admin of distribution points."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from cmdb.domain import points
from cmdb.models import DistributionPoint
from cmdb.web.points import PointForm
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, VerbAdmin


def _against_point(name: str) -> Any:
    return lambda point, actor, _at: points.why_not(point, name, actor)


def _revise_point(point: DistributionPoint, actor: User, at: datetime, form: PointForm) -> None:
    points.revise(point_id=point.pk, actor=actor, at=at, **form.cleaned_data)


def _check_point(point: DistributionPoint, actor: User, at: datetime, _said: str) -> None:
    points.check(point_id=point.pk, actor=actor, at=at)


def _retire_point(point: DistributionPoint, actor: User, at: datetime, said: str) -> None:
    points.retire(point_id=point.pk, reason=said, actor=actor, at=at)


def _point_form(data: Any, point: DistributionPoint, actor: User) -> PointForm:
    return PointForm(data, viewer=actor, initial={name: getattr(point, name) for name in points.SAID})


ADD_POINT = AdminVerb(
    "add_point",
    _("Add a distribution point"),
    lambda _none, actor, at, form: points.add(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, actor: PointForm(data, viewer=actor),
    on="new",
    why_not=_against_point("point.edit"),
)


@admin.register(DistributionPoint)
class PointAdmin(VerbAdmin):
    list_display = ("name", "state", "address", "site", "group", "when_silent", "answered", "checked_at")
    list_filter = ("state", "when_silent", "answered")
    search_fields = ("name", "address")
    list_select_related = ("site", "group")
    maker = ADD_POINT
    verbs = (
        AdminVerb("check", _("Check now"), _check_point, why_not=_against_point("point.check")),
        AdminVerb("revise", _("Edit"), _revise_point, form=_point_form, on="one", why_not=_against_point("point.edit")),
        AdminVerb("retire", _("Retire"), _retire_point, needs_reason=True, why_not=_against_point("point.edit")),
    )
