"""The admin of feeds, advisories, updates and files: every row to be seen, and its verbs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from changes.admin.rfc import RAISE
from changes.domain import responses
from changes.models import (
    RFC,
    Advisory,
    Artifact,
    Fix,
    RepositoryIndex,
    Revision,
    SoftwareUpdate,
    UpdateResponse,
    Verification,
    Vulnerability,
)
from changes.queries.updates import counted
from changes.rules_identify import may_respond
from changes.web import rfc_writing
from changes.web.rfc_forms import ContentForm
from changes.web.update_forms import ClassifyForm, RespondForm
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.rules import failing
from patchflow.web.admin import AdminVerb, ReadOnlyInline, VerbAdmin, plain


class RevisionInline(ReadOnlyInline):
    model = Revision
    fields = ("number", "document_sha256", "severity_vendor", "modified_at", "seen_at")


@admin.register(Advisory)
class AdvisoryAdmin(VerbAdmin):
    list_display = ("advisory_id", "scope", "title", "status", "severity_vendor", "revision", "modified_at")
    list_filter = ("status", "kind", "feed")
    search_fields = ("advisory_id", "title")
    inlines = (RevisionInline,)


@admin.register(Vulnerability)
class VulnerabilityAdmin(VerbAdmin):
    list_display = ("cve", "severity_vendor", "epss", "exploited_since_on", "rejected")
    search_fields = ("cve",)


class ResponseInline(ReadOnlyInline):
    model = UpdateResponse
    fields = ("response", "reason", "revisit_on", "decided_by", "decided_at")


def _against_response(update: SoftwareUpdate, actor: User, _at: datetime) -> list[Blocker]:
    return failing([may_respond], update, actor)


def _raise(_updates: Any, actor: User, at: datetime, form: ContentForm) -> RFC:
    return rfc_writing.raise_by(form, actor=actor, at=at)


def _raise_form(data: Any, updates: list[SoftwareUpdate], actor: User) -> ContentForm:
    return rfc_writing.raise_form(data, [update.pk for update in updates], actor)


def _respond(update: SoftwareUpdate, actor: User, at: datetime, form: RespondForm) -> None:
    responses.respond(update_id=update.pk, actor=actor, at=at, **form.cleaned_data)


def _classify(update: SoftwareUpdate, actor: User, at: datetime, form: ClassifyForm) -> None:
    responses.classify(update_id=update.pk, actor=actor, at=at, **form.cleaned_data)


@admin.register(SoftwareUpdate)
class UpdateAdmin(VerbAdmin):
    list_display = (
        "name",
        "fixed_version",
        "distribution",
        "release",
        "origin",
        "update_class",
        "response",
        "missing",
        "start_by",
    )
    exclude = ("reach",)
    readonly_fields = ("missing",)
    list_filter = ("update_class", "response", "origin", "kind", "distribution")
    search_fields = ("name", "fixed_version")
    inlines = (ResponseInline,)
    verbs = (
        AdminVerb("raise", _("Raise an RFC"), _raise, form=_raise_form, on="all", why_not=RAISE.why_not),
        AdminVerb("respond", _("Respond"), _respond, form=plain(RespondForm), why_not=_against_response),
        AdminVerb("classify", _("Change the class"), _classify, form=plain(ClassifyForm), why_not=_against_response),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        actor: Any = request.user
        found: QuerySet[Any] = counted(super().get_queryset(request), actor)  # type: ignore[arg-type]
        return found

    @admin.display(description=_("Hosts missing it"), ordering="missed")
    def missing(self, update: Any) -> int:
        return int(update.missed)


@admin.register(Fix)
class FixAdmin(VerbAdmin):
    list_display = (
        "name",
        "name_kind",
        "distribution",
        "release",
        "state",
        "fixed_version",
        "known_at",
        "withdrawn_at",
    )
    list_filter = ("state", "name_kind", "distribution")
    search_fields = ("name",)
    raw_id_fields = ("advisory", "update")


class VerificationInline(ReadOnlyInline):
    model = Verification
    fk_name = "index"
    fields = ("outcome", "subject", "reason", "verified_by", "verified_at")


@admin.register(RepositoryIndex)
class IndexAdmin(VerbAdmin):
    list_display = ("uri", "suite", "signer_name", "dated_at", "valid_until", "registered_at")
    inlines = (VerificationInline,)


@admin.register(Artifact)
class ArtifactAdmin(VerbAdmin):
    list_display = ("package", "version", "arch", "size", "sha256", "origin")
    search_fields = ("package", "version")


@admin.register(Verification)
class VerificationAdmin(VerbAdmin):
    list_display = ("subject", "outcome", "reason", "verified_by", "verified_at")
    list_filter = ("outcome",)
