"""The admin of meetings: every row to be seen, and the verbs that need no more than a reason."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import agendas, meetings
from changes.models import AgendaItem, Attendee, Meeting, Minutes
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin


class ItemInline(ReadOnlyInline):
    model = AgendaItem
    fields = ("position", "title", "minutes", "consent", "pulled_by", "state", "outcome")


class AttendeeInline(ReadOnlyInline):
    model = Attendee
    fields = ("user", "presence")


def _publish(meeting: Any, actor: Any, at: Any, _said: str) -> None:
    meetings.publish(meeting_id=meeting.pk, actor=actor, at=at)


def _cancel(meeting: Any, actor: Any, at: Any, said: str) -> None:
    meetings.cancel(meeting_id=meeting.pk, reason=said, actor=actor, at=at)


def _fill(meeting: Any, actor: Any, at: Any, _said: str) -> None:
    agendas.fill(meeting_id=meeting.pk, actor=actor, at=at)


@admin.register(Meeting)
class MeetingAdmin(VerbAdmin):
    list_display = ("number", "kind", "state", "starts_at", "minutes", "place", "chair")
    list_filter = ("state", "kind")
    list_select_related = ("chair",)
    search_fields = ("number",)
    inlines = (ItemInline, AttendeeInline)
    verbs = (
        AdminVerb("publish", _("Publish the agenda"), _publish, transition="publish"),
        AdminVerb("fill", _("Fill the agenda"), _fill, why_not=lambda m, actor, _at: agendas.why_not_fill(m, actor)),
        AdminVerb("cancel", _("Cancel the meeting"), _cancel, transition="cancel", needs_reason=True),
    )


@admin.register(Minutes)
class MinutesAdmin(VerbAdmin):
    list_display = ("meeting", "digest", "sealed_by", "sealed_at")
    list_select_related = ("meeting", "sealed_by")
