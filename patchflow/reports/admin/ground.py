"""The admin of rounds, saved filters, the trail and deliveries."""

from __future__ import annotations

from typing import Any

import allauth.account.admin  # noqa: F401  registered before it is taken off
import django.contrib.auth.admin  # noqa: F401
import knox.admin  # noqa: F401
from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import get_token_model

from changes.admin.rfc import ROUND_VERBS
from changes.queries import board
from patchflow.kernel import saved_filters
from patchflow.kernel.models import (
    AuditEntry,
    AuditSeal,
    SavedFilter,
    SignOff,
    SignOffLevel,
    SignOffRound,
)
from patchflow.notices import delivery
from patchflow.notices.models import Delivery
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin

for _of_a_library in (Group, EmailAddress, get_token_model()):
    admin.site.unregister(_of_a_library)  # their windows are no `VerbAdmin`: they would be second doors


class LevelInline(ReadOnlyInline):
    model = SignOffLevel
    fields = ("position", "name", "quorum", "amount", "deadline_at", "escalate_to", "veto", "reason")


class SignOffInline(ReadOnlyInline):
    model = SignOff
    fields = ("level", "user", "on_behalf_of", "verdict", "comment", "decided_at")


def _remove(saved: Any, actor: Any, at: Any, _said: str) -> None:
    saved_filters.remove(filter_id=saved.pk, actor=actor, at=at)


@admin.register(SavedFilter)
class SavedFilterAdmin(VerbAdmin):
    list_display = ("name", "list_name", "owner", "shared_with", "made_at", "removed_at")
    list_select_related = ("owner",)
    list_filter = ("list_name", "shared_with")
    verbs = (AdminVerb("remove", _("Remove"), _remove),)


@admin.register(SignOffRound)
class RoundAdmin(VerbAdmin):
    list_display = ("subject_label", "number", "kind", "state", "opened_by", "opened_at", "closed_at")
    list_filter = ("state", "kind", "subject_type")
    search_fields = ("subject_label", "digest")
    fields = (
        "subject_label",
        "number",
        "kind",
        "state",
        "digest",
        "document",
        "opened_by",
        "opened_at",
        "closed_at",
        "reason",
        "excluded",
    )
    inlines = (LevelInline, SignOffInline)
    verbs = ROUND_VERBS

    def view_on_site(self, round_: SignOffRound) -> str:
        """The page that has all evidence on one screen."""
        return reverse("changes:board-item", args=[round_.pk])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Rounds about what the person may see, and those that ask them."""
        actor: Any = request.user
        return board.rounds_visible_to(actor, at=timezone.now()).select_related("opened_by")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The document names every host: only who sees them all, or is asked, reads it."""
        actor: Any = request.user
        whole = obj is None or board.reads_whole(obj, actor, at=timezone.now())
        return [name for name in super().get_fields(request, obj) if whole or str(name) != "document"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)


class TrailAdmin(VerbAdmin):
    """The whole trail is for auditors of everything; each object shows its own history."""

    view_capability = "audit.view"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user: Any = request.user
        return super().has_view_permission(request, obj) and user.scopes_for(self.view_capability) is None


@admin.register(AuditEntry)
class AuditEntryAdmin(TrailAdmin):
    list_display = ("effective_at", "act", "verb", "object_label", "actor_name", "outcome", "correlation_id")
    list_filter = ("outcome", "object_type")
    search_fields = ("object_label", "actor_name", "correlation_id")
    fields = (
        "act",
        *(column.name for column in AuditEntry._meta.concrete_fields if column.name != "id"),
    )

    @admin.display(description=_("What was done"), ordering="verb")
    def act(self, entry: AuditEntry) -> str:
        return entry.verb_label

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("actor")


@admin.register(AuditSeal)
class AuditSealAdmin(TrailAdmin):
    list_display = ("number", "sealed_at", "count", "root", "hash")


def _send_again(row: Any, actor: Any, at: Any, _said: str) -> None:
    delivery.send_again(delivery_id=row.pk, actor=actor, at=at)


@admin.register(Delivery)
class DeliveryAdmin(VerbAdmin):
    list_display = ("notice", "user", "channel", "state", "sent_at", "attempts", "error")
    list_filter = ("state", "channel")
    list_select_related = ("notice", "user")
    verbs = (
        AdminVerb(
            "send_again",
            _("Send again"),
            _send_again,
            why_not=lambda row, actor, _at: delivery.why_not_send_again(row, actor),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """One's own, and, for who looks after that, mail to others that did not arrive: as on their pages."""
        actor: Any = request.user
        return super().get_queryset(request) | Delivery.objects.undelivered(actor)
