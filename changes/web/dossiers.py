"""The dossier of an RFC as pages: discussion, files, references, evidence, parent and copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import dossiers, evidence, families, rfcs
from changes.domain.offers import why_not
from changes.enums import EvidenceKind, ReferenceKind
from changes.models import RFC, Attachment
from changes.queries.rfcs import sees_all
from changes.web import rfc_forms, rfc_next, rfc_parts
from changes.web.rfcs import crumbs_of, visible_rfc
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User

SHOWN = 50


class CommentForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("Comment"),
        widget=rfc_forms.Area(4),
        max_length=8000,
        help_text=gettext_lazy("@name tells that person. A comment is never edited."),
    )


class FileForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "Text, PDF, PNG, JPEG, an office document, ZIP or gzip. It is kept as it is, with its SHA-256."
        ),
    )


class ReferenceForm(forms.Form):
    kind = forms.ChoiceField(label=gettext_lazy("What it is"), choices=ReferenceKind.choices)
    system = forms.CharField(label=gettext_lazy("System"), max_length=60)
    name = forms.CharField(label=gettext_lazy("Its number there"), max_length=120)
    url = forms.URLField(label=gettext_lazy("Address"), required=False, max_length=500, assume_scheme="https")


class EvidenceForm(forms.Form):
    """A statement about the change, and whether it is a verdict."""

    kind = forms.ChoiceField(
        label=gettext_lazy("What it is"),
        choices=[
            (kind, kind.label) for kind in EvidenceKind if kind not in (EvidenceKind.DOCUMENT, *evidence.OF_SYSTEM)
        ],
    )
    summary = forms.CharField(
        label=gettext_lazy("What it shows"),
        widget=rfc_forms.Area(4),
        max_length=4000,
        help_text=gettext_lazy(
            "For example: installed and removed on 8 of 8 hosts of the test ring, the application answers."
        ),
    )
    passed = forms.TypedChoiceField(
        label=gettext_lazy("Verdict"),
        required=False,
        choices=[
            ("", gettext_lazy("none: it states something")),
            ("yes", gettext_lazy("passed")),
            ("no", gettext_lazy("failed")),
        ],
        coerce=lambda value: value == "yes",
        empty_value=None,
    )
    digest = forms.RegexField(
        r"^[0-9a-fA-F]{64}$",
        label=gettext_lazy("SHA-256 of the document it rests on"),
        required=False,
        help_text=gettext_lazy("64 hexadecimal digits; empty if there is none. A file is attached in the dossier."),
        error_messages={"invalid": gettext_lazy("A SHA-256 has 64 hexadecimal digits.")},
    )

    def clean_digest(self) -> str:
        return str(self.cleaned_data["digest"]).lower()


class ParentForm(forms.Form):
    """The parent by its number, as people say it."""

    number = forms.CharField(
        label=gettext_lazy("Parent"), required=False, max_length=20, help_text=gettext_lazy("For example RFC-2026-00012. Empty: none.")
    )  # fmt: skip

    def parent_id(self, actor: User) -> int | None:
        """The parent among what the person sees; 0 is none of these, None nobody."""
        number = self.cleaned_data["number"].strip()
        rows = RFC.objects.visible_to(actor).filter(number__iexact=number)
        return rows.values_list("pk", flat=True).first() or 0 if number else None


def parent_form(data: Any, rfc: RFC) -> ParentForm:
    return ParentForm(data, initial={"number": rfc.parent.number if rfc.parent else ""})


def against_file(file: Attachment, actor: User, at: datetime) -> list[Blocker]:
    """Why this person does not withdraw a file now."""
    gone = [Blocker("attachment.withdrawn", english("It is withdrawn already."))] if file.withdrawn_at else []
    return [*dossiers.why_not_add(file.rfc, actor, dossiers.ATTACH, at=at), *gone]


def dossier_of(rfc: RFC, *, actor: User, now: datetime) -> dict[str, Any]:
    """What the page of an RFC shows of its dossier."""
    family = RFC.objects.visible_to(actor)
    return {
        "comments": list(rfc.comments.select_related("by")[:SHOWN]),
        "may_comment": not dossiers.why_not_add(rfc, actor, dossiers.COMMENT, at=now),
        "may_record": not evidence.why_not_record(rfc, actor),
        "may_attach": not dossiers.why_not_add(rfc, actor, dossiers.ATTACH, at=now),
        "comment_form": CommentForm(auto_id="comment_%s"),
        "files": list(rfc.attachments.select_related("by", "withdrawn_by")),
        "references": list(rfc.references.filter(removed_at__isnull=True)),
        "parent": family.filter(pk=rfc.parent_id).first() if rfc.parent_id else None,
        "children": list(family.filter(parent=rfc).order_by("pk")[:SHOWN]),
    }


def _form_page(
    request: HttpRequest,
    rfc: RFC,
    form: forms.Form,
    title: Any,
    call: Callable[[], Any],
    *,
    label: Any = "",
    consequences: Sequence[str] = (),
    barred: Sequence[Blocker] = (),
    template: str = "web/form.html",
    **more: Any,
) -> HttpResponse:
    """The form; or, if what was typed is right and the verb goes through, back to the RFC."""
    if request.method == "POST" and form.is_valid():
        try:
            call()
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(number)s: done.") % {"number": rfc.number})
            return redirect(rfc)
    context = {
        "title": title,
        "lede": str(rfc),
        "phase": rfc_next.phase_of(rfc),
        "form": form,
        "submit_label": label or title,
        "consequences": consequences,
        "barred": [] if request.method == "POST" else barred,
        "cancel_url": rfc.get_absolute_url(),
        "crumbs": crumbs_of(rfc, title),
        **more,
    }
    return render(request, template, context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_comment(request: HttpRequest, pk: int) -> HttpResponse:
    rfc, actor = visible_rfc(request, pk), _actor(request)
    form = CommentForm(request.POST or None)

    def call() -> None:
        dossiers.comment(rfc_id=rfc.pk, actor=actor, at=timezone.now(), **form.cleaned_data)

    return _form_page(request, rfc, form, _("Comment"), call, barred=_not_added(rfc, actor, dossiers.COMMENT))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_attach(request: HttpRequest, pk: int) -> HttpResponse:
    rfc, actor = visible_rfc(request, pk), _actor(request)
    form = FileForm(request.POST or None, request.FILES or None)

    def call() -> None:
        sent = form.cleaned_data["file"]
        dossiers.attach(rfc_id=rfc.pk, name=sent.name, content=sent.file, actor=actor, at=timezone.now())

    return _form_page(request, rfc, form, _("Attach a file"), call, barred=_not_added(rfc, actor, dossiers.ATTACH))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_refer(request: HttpRequest, pk: int) -> HttpResponse:
    rfc, actor = visible_rfc(request, pk), _actor(request)
    form = ReferenceForm(request.POST or None)

    def call() -> None:
        dossiers.refer(rfc_id=rfc.pk, actor=actor, at=timezone.now(), **form.cleaned_data)

    return _form_page(request, rfc, form, _("Add a reference"), call, barred=_not_added(rfc, actor, dossiers.ATTACH))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_evidence(request: HttpRequest, pk: int) -> HttpResponse:
    """All evidence on the change, superseded rows too; who may adds to it."""
    rfc, actor, now = visible_rfc(request, pk), _actor(request), timezone.now()
    form = EvidenceForm(request.POST or None)

    def call() -> None:
        evidence.record(rfc_id=rfc.pk, actor=actor, at=timezone.now(), **form.cleaned_data)

    return _form_page(
        request, rfc, form, _("Evidence"), call, label=_("Add this evidence"), barred=evidence.why_not_record(rfc, actor),
        consequences=[_("It is kept as it is and never edited: the newest of a kind counts, earlier ones stay.")],
        template="changes/rfc_evidence.html",
        rows=rfc_parts.evidence_table(rfc.evidence.select_related("by"), whole=sees_all(rfc, actor), now=now),
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_parent(request: HttpRequest, pk: int) -> HttpResponse:
    rfc, actor = visible_rfc(request, pk), _actor(request)
    form = parent_form(request.POST or None, rfc)

    def call() -> None:
        families.set_parent(rfc_id=rfc.pk, parent_id=form.parent_id(actor), actor=actor, at=timezone.now())

    title = _("Parent of %(number)s") % {"number": rfc.number}
    barred = why_not(rfc, "parent", actor=actor, at=timezone.now())
    return _form_page(
        request, rfc, form, title, call, label=_("Save"), barred=barred,
        consequences=[_("A child follows the hold and the cancellation of its parent. The parent is closed after its children.")],
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_withdraw_file(request: HttpRequest, pk: int, attachment: int) -> HttpResponse:
    rfc, actor = visible_rfc(request, pk), _actor(request)
    form = rfc_forms.ReasonForm(request.POST or None)

    def call() -> None:
        given = {"rfc_id": rfc.pk, "attachment_id": attachment, **form.cleaned_data}
        dossiers.withdraw_attachment(actor=actor, at=timezone.now(), **given)

    file = get_object_or_404(rfc.attachments, pk=attachment)
    title = _("Withdraw “%(file)s”") % {"file": file.name}
    said = [_("Nobody can open it any more. Its name, its SHA-256 and your reason stay in the record.")]
    barred = against_file(file, actor, timezone.now())
    return _form_page(request, rfc, form, title, call, label=_("Withdraw the file"), consequences=said, barred=barred)


@login_required
@require_POST
def rfc_drop_reference(request: HttpRequest, pk: int, reference: int) -> HttpResponse:
    rfc = visible_rfc(request, pk)
    dossiers.drop_reference(rfc_id=rfc.pk, reference_id=reference, actor=_actor(request), at=timezone.now())
    messages.success(request, _("The reference is taken off."))
    return redirect(rfc)


@login_required
@require_POST
def rfc_copy(request: HttpRequest, pk: int) -> HttpResponse:
    """A new draft like this one."""
    rfc = visible_rfc(request, pk)
    made = rfcs.copy(rfc_id=rfc.pk, actor=_actor(request), at=timezone.now())
    messages.success(request, _("%(number)s is raised as a draft.") % {"number": made.number})
    return redirect(made)


@login_required
@require_safe
def rfc_file(request: HttpRequest, pk: int, attachment: int) -> HttpResponseBase:
    """The file, for who may see the RFC: always as a download, of the type that was found, never sniffed."""
    row, content = dossiers.read_attachment(rfc=visible_rfc(request, pk), attachment_id=attachment)
    media_type = f"{row.media_type}; charset=utf-8" if row.media_type == "text/plain" else row.media_type
    response = FileResponse(content, as_attachment=True, filename=row.name, content_type=media_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response


def _not_added(rfc: RFC, actor: User, right: str) -> list[Blocker]:
    return dossiers.why_not_add(rfc, actor, right, at=timezone.now())


def _actor(request: HttpRequest) -> Any:
    return request.user
