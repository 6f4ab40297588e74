"""Programs: service accounts, which enter by token; for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from patchflow.kernel import service_accounts
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.reports.web.people_parts import confirm, crumbs, keeper, person, place
from patchflow.web import parts, words
from patchflow.web.fields import refuse
from patchflow.web.tables import Column, Table
from patchflow.web.verbs import Verb


class ServiceForm(forms.Form):
    """Which program it is."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=150,
        help_text=gettext_lazy("It stands in the trail for what the program does, and is never changed."),
    )
    name = forms.CharField(label=gettext_lazy("What it is for"), max_length=150, required=False)


class TokenForm(forms.Form):
    """How long it lives."""

    days = forms.TypedChoiceField(
        label=gettext_lazy("Ends in"),
        coerce=int,
        choices=lambda: [(days, _("%(n)d days") % {"n": days}) for days in (7, 30, 90, 180, service_accounts.LONGEST)],
        initial=90,
        help_text=gettext_lazy(
            "A token that has ended opens nothing. Give a new one in time, then revoke the old one."
        ),
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def add_service(request: HttpRequest) -> HttpResponseBase:
    """A new account for a program; it enters when it has been given a token."""
    actor = keeper(request)
    form = ServiceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = service_accounts.add(actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(
                request, _("%(who)s is there. Grant it roles, and give it a token.") % {"who": user.username}
            )
            return redirect(place(user))
    context = {
        "title": _("Add a service account"),
        "lede": _("For a program: it enters over REST with a token, never by a log-in, and signs nothing."),
        "form": form,
        "submit_label": _("Add"),
        "cancel_url": reverse("reports:person-list"),
        "crumbs": crumbs(parts.Crumb(_("Add a service account"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def give_token(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A new token for a program; its text is shown on the answer and never again."""
    user, actor, now = person(request, pk), keeper(request), timezone.now()
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row, token = service_accounts.give_token(user_id=user.pk, actor=actor, at=now, **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            path = crumbs(parts.Crumb(user.username, place(user)), parts.Crumb(_("Token")))
            context = {
                "title": user.username,
                "token": token,
                "expiry": row.expiry,
                "place": place(user),
                "crumbs": path,
            }
            return render(request, "reports/person_token.html", context)
    context = {
        "title": _("Give a token to %(name)s") % {"name": user.username},
        "lede": _("Whoever has it may over REST what the roles of this account say. It is shown once."),
        "form": form,
        "barred": [] if request.method == "POST" else against_token(user, actor, now),
        "submit_label": _("Give a token"),
        "cancel_url": place(user),
        "crumbs": crumbs(parts.Crumb(user.username, place(user)), parts.Crumb(_("Give a token"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_token(request: HttpRequest, pk: int, token: str) -> HttpResponseBase:
    """Ends a token of a program, after asking."""
    user, actor = person(request, pk), keeper(request)
    if request.method == "POST":
        service_accounts.revoke_token(user_id=user.pk, token=token, actor=actor, at=timezone.now())
        messages.success(request, _("The token %(token)s… opens nothing any more.") % {"token": token})
        return redirect(place(user))
    return confirm(
        request,
        user,
        Verb("revoke-token", _("Revoke"), icon="ban", dangerous=True, blockers=service_accounts.against_keeping(actor)),
        _("Revoke the token %(token)s… of %(who)s") % {"token": token, "who": user.username},
        [_("It ends at once: the program that has it is refused from now on."), _("What it did stays.")],
    )


def next_of(user: User, now: datetime) -> parts.Next:
    limits = _("It never logs in, signs nothing and keeps no people, whatever its roles.")
    if not user.is_active:
        return parts.Next(_("Cannot enter; the roles are kept for a return."), limits)
    tokens = list(service_accounts.tokens_of(user, at=now))
    if not tokens:
        return parts.Next(_("Has no token, and cannot enter: give one."), limits)
    if not user.role_grants.exists():
        return parts.Next(_("Holds no role, and sees nothing: grant one."), limits)
    ends = ngettext("Its token ends %(when)s.", "The last of its %(n)d tokens ends %(when)s.", len(tokens))
    return parts.Next(ends % {"n": len(tokens), "when": words.at(tokens[-1].expiry, now=now)}, limits)


def against_token(user: User, actor: User, now: datetime) -> list[Blocker]:
    return [*service_accounts.against_keeping(actor), *service_accounts.not_now(user, at=now)]


def tokens(user: User, actor: User, now: datetime) -> Table:
    may = not service_accounts.against_keeping(actor)

    def revoke(token: Any) -> str:
        return reverse("reports:person-revoke-token", args=[user.pk, service_accounts.name_of(token)]) if may else ""

    return Table(
        [
            Column(_("Begins with"), service_accounts.name_of, mono=True, name="begins"),
            Column(_("Given"), "created", age=True, numeric=True),
            Column(_("Ends"), "expiry", numeric=True),
            Column("", lambda _token: _("Revoke") if may else "", url=revoke),
        ],
        list(service_accounts.tokens_of(user, at=now)),
        now,
        _("Tokens"),
    )
