"""Admin of the ground: people, rounds, deliveries, the trail. The kernel is below the web toolkit, so its windows are here."""

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
from patchflow.kernel import saved_filters, substitutes
from patchflow.kernel.models import (
    AuditEntry,
    AuditSeal,
    RoleGrant,
    SavedFilter,
    SignOff,
    SignOffLevel,
    SignOffRound,
    Substitution,
    User,
)
from patchflow.notices import webhooks
from patchflow.notices.models import Delivery, Webhook
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin

for _of_a_library in (Group, EmailAddress, get_token_model()):
    admin.site.unregister(_of_a_library)  # their windows are no `VerbAdmin`: they would be second doors


class GrantInline(ReadOnlyInline):
    model = RoleGrant
    fk_name = "user"
    fields = ("role", "scope", "granted_by", "granted_at")


@admin.register(User)
class UserAdmin(VerbAdmin):
    list_display = ("username", "first_name", "last_name", "email", "is_active", "is_service", "last_login")
    list_filter = ("is_active", "is_service")
    search_fields = ("username", "email", "last_name")
    fields = (
        "username",
        "first_name",
        "last_name",
        "email",
        "is_active",
        "is_service",
        "must_change_password",
        "time_zone",
        "language",
        "last_login",
        "date_joined",
    )
    inlines = (GrantInline,)
    view_capability = "user.edit"


class LevelInline(ReadOnlyInline):
    model = SignOffLevel
    fields = ("position", "name", "quorum", "amount", "deadline_at", "escalate_to", "veto", "reason")


class SignOffInline(ReadOnlyInline):
    model = SignOff
    fields = ("level", "user", "on_behalf_of", "verdict", "comment", "decided_at")


def _end(substitution: Any, actor: Any, at: Any, _said: str) -> None:
    substitutes.end(substitution_id=substitution.pk, actor=actor, at=at)


@admin.register(Substitution)
class SubstitutionAdmin(VerbAdmin):
    list_display = ("user", "substitute", "starts_at", "ends_at", "ended_at", "named_by")
    list_select_related = ("user", "substitute", "named_by")
    verbs = (AdminVerb("end", _("End it"), _end),)


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
        return [name for name in super().get_fields(request, obj) if whole or name != "document"]

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
    list_display = ("effective_at", "verb", "object_label", "actor_name", "outcome", "correlation_id")
    list_filter = ("outcome", "object_type")
    search_fields = ("object_label", "actor_name", "correlation_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("actor")


@admin.register(AuditSeal)
class AuditSealAdmin(TrailAdmin):
    list_display = ("number", "sealed_at", "count", "root", "hash")


def _switch_off(hook: Any, actor: Any, at: Any, _said: str) -> None:
    webhooks.switch(webhook_id=hook.pk, off=True, actor=actor, at=at)


@admin.register(Webhook)
class WebhookAdmin(VerbAdmin):
    list_display = ("name", "url", "made_by", "made_at", "disabled_at")
    list_select_related = ("made_by",)
    view_capability = "webhook.manage"
    verbs = (AdminVerb("switch_off", _("Switch it off"), _switch_off),)


@admin.register(Delivery)
class DeliveryAdmin(VerbAdmin):
    list_display = ("notice", "user", "channel", "state", "sent_at", "attempts", "error")
    list_filter = ("state", "channel")
    list_select_related = ("notice", "user")
