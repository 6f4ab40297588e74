"""The admin of what lies in the dossier of a change: files and references, with their verbs. Files are attached on its page."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from changes.domain import dossiers
from changes.models import Attachment, Reference
from changes.web.dossiers import against_file
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.models import User
from patchflow.web.admin import AdminVerb, VerbAdmin


def _withdraw(file: Attachment, actor: User, at: datetime, said: str) -> None:
    dossiers.withdraw_attachment(rfc_id=file.rfc_id, attachment_id=file.pk, reason=said, actor=actor, at=at)


@admin.register(Attachment)
class AttachmentAdmin(VerbAdmin):
    sight = "rfc"
    list_display = ("name", "rfc", "media_type", "size", "by", "at", "withdrawn_at")
    list_filter = ("media_type",)
    list_select_related = ("rfc", "by")
    search_fields = ("name", "rfc__number", "sha256")
    verbs = (AdminVerb("withdraw", _("Withdraw the file"), _withdraw, needs_reason=True, why_not=against_file),)


def _drop(reference: Reference, actor: User, at: datetime, _said: str) -> None:
    dossiers.drop_reference(rfc_id=reference.rfc_id, reference_id=reference.pk, actor=actor, at=at)


def _against_dropping(reference: Reference, actor: User, at: datetime) -> list[Blocker]:
    gone = [Blocker("conflict.gone", english("It is taken off already."))] if reference.removed_at else []
    return dossiers.why_not_add(reference.rfc, actor, dossiers.ATTACH, at=at) or gone


@admin.register(Reference)
class ReferenceAdmin(VerbAdmin):
    sight = "rfc"
    list_display = ("name", "system", "kind", "rfc", "by", "at", "removed_at")
    fields = ("kind", "system", "name", "url", "rfc", "by", "at", "removed_at")
    list_filter = ("kind", "system")
    list_select_related = ("rfc", "by")
    search_fields = ("name", "rfc__number")
    verbs = (AdminVerb("drop", _("Take it off"), _drop, why_not=_against_dropping),)
