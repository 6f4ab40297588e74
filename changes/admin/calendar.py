"""The admin of the calendar: freezes, reserved slots and the keys of subscribed calendars."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from changes.domain import calendar_keys, freezes
from changes.models import CalendarKey, ChangeSlot, FreezeWindow
from changes.queries.calendar import slots_seen
from changes.web.freezes import FreezeForm, may_declare
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, VerbAdmin


def _lift(freeze: Any, actor: Any, at: Any, said: str) -> None:
    freezes.lift(freeze_id=freeze.pk, reason=said, actor=actor, at=at)


def _against_declaring(_none: None, actor: User, _at: datetime) -> list[Blocker]:
    return may_declare(actor)


DECLARE = AdminVerb(
    "declare",
    _("Declare a freeze"),
    lambda _none, actor, at, form: freezes.declare(actor=actor, at=at, **form.cleaned_data),
    form=lambda data, _none, _actor: FreezeForm(data),
    on="new",
    why_not=_against_declaring,
)


@admin.register(FreezeWindow)
class FreezeAdmin(VerbAdmin):
    list_display = ("name", "starts_at", "ends_at", "passes", "declared_by", "lifted_at")
    list_select_related = ("declared_by",)
    maker = DECLARE
    verbs = (AdminVerb("lift", _("Lift at once"), _lift, needs_reason=True, why_not=freezes.why_not_lift),)


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
    verbs = (AdminVerb("revoke", _("Revoke"), _revoke_key, needs_reason=True),)
