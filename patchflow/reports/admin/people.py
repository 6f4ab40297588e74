"""The admin of people, their roles and who decides for them. A new password or token is shown on its page alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from changes.web.substitutes import NameForm
from patchflow.kernel import access, people, substitutes
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import (
    RoleGrant,
    Substitution,
    User,
)
from patchflow.reports.web.people import DeactivateForm, GrantForm
from patchflow.web.admin import AdminVerb, ReadOnlyInline, RoleFilter, VerbAdmin, plain


class GrantInline(ReadOnlyInline):
    model = RoleGrant
    fk_name = "user"
    fields = ("role", "scope", "granted_by", "granted_at")


def _grant(user: User, actor: User, at: datetime, form: GrantForm) -> None:
    access.grant_role(user_id=user.pk, actor=actor, at=at, **form.cleaned_data)


def _deactivate(user: User, actor: User, at: datetime, form: DeactivateForm) -> None:
    people.deactivate(user_id=user.pk, actor=actor, at=at, **form.cleaned_data)


def _against_deactivating(user: User, actor: User, _at: datetime) -> list[Blocker]:
    if not user.is_active:
        return [Blocker("conflict.state", english("It is deactivated already."))]
    return people.against_switching(user, actor)


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
    verbs = (
        AdminVerb(
            "grant",
            _("Grant a role"),
            _grant,
            form=plain(GrantForm),
            on="one",
            why_not=lambda user, actor, _at: access.against_granting(user, actor),
        ),
        AdminVerb(
            "deactivate", _("Deactivate"), _deactivate, form=plain(DeactivateForm), why_not=_against_deactivating
        ),
    )


def _revoke(grant: RoleGrant, actor: User, at: datetime, _said: str) -> None:
    access.revoke_role(user_id=grant.user_id, role=grant.role, scope=grant.scope, actor=actor, at=at)


@admin.register(RoleGrant)
class RoleGrantAdmin(VerbAdmin):
    """Who holds which role, and where."""

    list_display = ("user", "role", "scope", "granted_by", "granted_at")
    list_filter = (("role", RoleFilter),)
    list_select_related = ("user", "granted_by")
    search_fields = ("user__username", "role", "scope")
    view_capability = "user.edit"
    verbs = (
        AdminVerb(
            "revoke",
            _("Revoke"),
            _revoke,
            why_not=lambda grant, actor, _at: access.against_granting(grant.user, actor),
        ),
    )


def _end(substitution: Any, actor: Any, at: Any, _said: str) -> None:
    substitutes.end(substitution_id=substitution.pk, actor=actor, at=at)


def _name(_none: None, actor: User, at: datetime, form: NameForm) -> Substitution:
    given = {**form.cleaned_data, "substitute_id": form.cleaned_data["substitute_id"].pk}
    return substitutes.name_substitute(user_id=actor.pk, actor=actor, at=at, **given)


NAME = AdminVerb(
    "name",
    _("Name who decides for you"),
    _name,
    form=lambda data, _none, actor: NameForm(
        data, actor=actor, initial={"starts_at": timezone.localtime(timezone.now())}
    ),
    on="new",
)


@admin.register(Substitution)
class SubstitutionAdmin(VerbAdmin):
    list_display = ("user", "substitute", "starts_at", "ends_at", "ended_at", "named_by")
    list_select_related = ("user", "substitute", "named_by")
    maker = NAME
    verbs = (
        AdminVerb("end", _("End it"), _end, why_not=lambda one, actor, at: substitutes.why_not_end(one, actor, at=at)),
    )
