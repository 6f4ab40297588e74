"""Substitutes: who decides for me while I am away, and for whom I decide."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from changes.web import rfc_forms
from patchflow.kernel import substitutes
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import Substitution, User
from patchflow.kernel.people import persons
from patchflow.web import parts
from patchflow.web.fields import PersonField
from patchflow.web.tables import Column, Listing, list_page
from patchflow.web.verbs import Verb


class NameForm(forms.Form):
    """Whom, from when, until when."""

    substitute_id = PersonField(
        label=gettext_lazy("Who decides for you"),
        queryset=User.objects.none(),
        help_text=gettext_lazy("Only people whose own role decides. What they sign says that it is for you."),
    )
    starts_at = rfc_forms.MomentField(label=gettext_lazy("From"))
    ends_at = rfc_forms.MomentField(label=gettext_lazy("Until"))
    reason = forms.CharField(label=gettext_lazy("Reason"), required=False, max_length=200)

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = persons().exclude(pk=actor.pk)
        able = [u.pk for u in people.prefetch_related("role_grants") if substitutes.decides(u)]
        self.fields["substitute_id"].queryset = people.filter(pk__in=able).order_by("username")  # type: ignore[attr-defined]


def _where(one: Substitution, now: Any) -> str:
    if one.ended_at is not None or one.ends_at <= now:
        return "over"
    return "coming" if one.starts_at > now else "now"


@list_page(gettext_lazy("Substitutes"))
@login_required
@require_safe
def substitute_list(request: HttpRequest) -> HttpResponseBase:
    """Substitutions that concern me; all of them for who keeps people or audits."""
    actor: Any = request.user
    now = timezone.now()
    rows = Substitution.objects.all().visible_to(actor).select_related("user", "substitute")
    columns = (
        Column(_("Away"), lambda s: str(s.user), name="away"),
        Column(_("Decides instead"), lambda s: str(s.substitute), name="decides-instead"),
        Column(_("State"), lambda s: _where(s, now), state="kernel.substitution", name="state"),
        Column(_("From"), "starts_at", sort="from"),
        Column(_("Until"), lambda s: s.ended_at or s.ends_at, name="until"),
        Column(_("Reason"), "reason", wide=True),
        Column(
            "",
            lambda s: _("End it") if s.user_id == actor.pk and _where(s, now) != "over" else "",
            url=lambda s: reverse("changes:substitute-end", args=[s.pk]),
        ),
    )
    listing = Listing(
        request, rows, columns, sorts={"from": ("starts_at", "id")}, default="-from", now=now, caption=_("Substitutes")
    )
    if listing.wants_csv:
        return listing.csv("substitutes.csv")
    context = {
        "title": _("Substitutes"),
        "lede": _("Who decides for you while you are away. The record says who signed, and for whom."),
        "phase": 3,
        "listing": listing,
        "empty_url": reverse("changes:substitute-name"),
        "empty_label": _("Name a substitute"),
        "empty_title": _("Nobody stands in for anybody"),
        "empty_advice": _("Before you go away, say who decides for you, from when and until when."),
        "crumbs": [parts.Crumb(_("Board"), reverse("changes:board-list")), parts.Crumb(_("Substitutes"))],
    }
    return render(request, "changes/substitute_list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def substitute_name(request: HttpRequest) -> HttpResponseBase:
    """Names who decides for me."""
    actor: Any = request.user
    now = timezone.now()
    form = NameForm(request.POST or None, actor=actor, initial={"starts_at": timezone.localtime(now)})
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            substitutes.name_substitute(
                user_id=actor.pk, substitute_id=given["substitute_id"].pk, starts_at=given["starts_at"],
                ends_at=given["ends_at"], reason=given["reason"], actor=actor, at=now,
            )  # fmt: skip
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
        else:
            messages.success(request, _("%(who)s is told, and decides for you.") % {"who": given["substitute_id"]})
            return redirect("changes:substitute-list")
    context = {
        "title": _("Name a substitute"),
        "lede": _("Where both of you are asked, each decides for themselves: one person counts once."),
        "phase": 3,
        "form": form,
        "submit_label": _("Name the substitute"),
        "cancel_url": reverse("changes:substitute-list"),
        "crumbs": [
            parts.Crumb(_("Substitutes"), reverse("changes:substitute-list")),
            parts.Crumb(_("Name a substitute")),
        ],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def substitute_end(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Ends a substitution before its date."""
    actor: Any = request.user
    one = get_object_or_404(Substitution.objects.all().visible_to(actor).select_related("user", "substitute"), pk=pk)
    if request.method == "POST":
        substitutes.end(substitution_id=one.pk, actor=actor, at=timezone.now())
        messages.success(request, _("It is over. What was signed stays."))
        return redirect("changes:substitute-list")
    context = {
        "title": _("End the substitution: %(what)s") % {"what": one},
        "phase": 3,
        "verb": Verb("end", _("End it"), dangerous=True, icon="x"),
        "consequences": [_("From now on %(who)s is asked alone.") % {"who": one.user}],
        "barred": [Blocker("conflict.state", english("It is over already."))]
        if _where(one, timezone.now()) == "over"
        else [],
        "cancel_url": reverse("changes:substitute-list"),
        "crumbs": [parts.Crumb(_("Substitutes"), reverse("changes:substitute-list")), parts.Crumb(str(one))],
    }
    return render(request, "web/confirm.html", context)
