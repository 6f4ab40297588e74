"""People: who can log in, and with which roles; for administrators. Programs: `programs.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from patchflow.kernel import access, audit, people
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import RoleGrant, Substitution, User
from patchflow.kernel.roles import all_roles, grantable
from patchflow.reports.web import programs
from patchflow.reports.web.people_parts import confirm, crumbs, keeper, person, place
from patchflow.web import parts, words
from patchflow.web.fields import refuse
from patchflow.web.tables import Column, Filter, Listing, Table, list_page
from patchflow.web.verbs import Verb

SHOWN = 10


class PersonForm(forms.Form):
    """Who it is."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=150,
        help_text=gettext_lazy("For the log-in; it stands in the trail and is never changed."),
    )
    first_name = forms.CharField(label=gettext_lazy("First name"), max_length=150, required=False)
    last_name = forms.CharField(label=gettext_lazy("Last name"), max_length=150, required=False)
    email = forms.EmailField(
        label=gettext_lazy("Mail address"),
        required=False,
        help_text=gettext_lazy("Notices go there. Without one they stand in Patchflow alone."),
    )


class GrantForm(forms.Form):
    """Which role, and where."""

    role = forms.ChoiceField(
        label=gettext_lazy("Role"), choices=lambda: [(role.name, role.label) for role in grantable()]
    )
    scope = forms.ChoiceField(
        label=gettext_lazy("Where"),
        required=False,
        choices=lambda: [("", _("everywhere")), *sorted(access.scopes().items(), key=lambda pair: pair[1])],
        help_text=gettext_lazy("Of a group: it counts only for what concerns hosts of that group alone."),
    )


class DeactivateForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=gettext_lazy("Reason"), required=False, max_length=200)


def _state(user: User) -> str:
    return "active" if user.is_active else "inactive"


def _kind(user: User) -> str:
    return _("service account") if user.is_service else _("person")


def _role(grant: RoleGrant) -> str:
    known = all_roles().get(grant.role)
    return known.label if known else grant.role


def _where(grant: RoleGrant, scopes: dict[str, str]) -> str:
    return scopes.get(grant.scope, grant.scope) or _("everywhere")


def _held(user: User, scopes: dict[str, str]) -> str:
    """The roles of one line: "Tester, Operator (Web servers)"."""
    return ", ".join(
        f"{_role(grant)} ({_where(grant, scopes)})" if grant.scope else _role(grant) for grant in user.role_grants.all()
    )


def _named(rows: QuerySet[User], text: str) -> QuerySet[User]:
    columns = ("username", "first_name", "last_name", "email")
    asked = Q()
    for column in columns:
        asked |= Q(**{f"{column}__icontains": text})
    return rows.filter(asked)


def _holding(rows: QuerySet[User], role: str) -> QuerySet[User]:
    return rows.filter(pk__in=RoleGrant.objects.filter(role=role).values("user"))


@list_page(gettext_lazy("People"))
@login_required
@require_safe
def person_list(request: HttpRequest) -> HttpResponseBase:
    """Everybody who can log in, or could, and every program with an account."""
    actor, scopes = keeper(request), access.scopes()
    listing = Listing(
        request,
        people.visible_to(actor).prefetch_related("role_grants"),
        [
            Column(_("Person"), "username", url=place, sort="name"),
            Column(_("Name"), lambda user: user.get_full_name(), name="full-name"),
            Column(_("What it is"), _kind, name="kind"),
            Column(_("State"), _state, state="kernel.person", name="state"),
            Column(_("Roles"), lambda user: _held(user, scopes), wide=True, name="roles"),
            Column(_("Mail address"), "email"),
            Column(_("Last log-in"), "last_login", age=True, numeric=True),
            Column(_("Added"), "date_joined", age=True, numeric=True, sort="added"),
        ],
        sorts={"name": ("username", "id"), "added": ("-date_joined", "id")},
        default="name",
        now=timezone.now(),
        filters=[
            Filter("q", gettext_lazy("Name"), _named),
            Filter("role", gettext_lazy("Role"), _holding, lambda: [(role.name, role.label) for role in grantable()]),
            Filter(
                "kind",
                gettext_lazy("What it is"),
                lambda rows, value: rows.filter(is_service=value == "service"),
                [("person", gettext_lazy("person")), ("service", gettext_lazy("service account"))],
            ),
            Filter(
                "state",
                gettext_lazy("State"),
                lambda rows, value: rows.filter(is_active=value == "active"),
                [("active", gettext_lazy("active")), ("inactive", gettext_lazy("deactivated"))],
            ),
        ],
        caption=_("People"),
    )
    if listing.wants_csv:
        return listing.csv("people.csv")
    context = {
        "title": _("People"),
        "lede": _("Who can log in, and what each may do where. Rights come from roles alone."),
        "listing": listing,
        "add_url": reverse("reports:person-add"),
        "add_service_url": reverse("reports:person-add-service"),
    }
    return render(request, "reports/person_list.html", context)


@login_required
@require_safe
def person_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A person, or a program with its tokens: roles, where and by whom granted; substitutes; what was done to them, and by them."""
    user, now = person(request, pk), timezone.now()
    actor: Any = request.user
    context = {
        "title": user.get_full_name() or user.username,
        "ident": [_kind(user), user.username],
        "person_state": _state(user),
        "person": user,
        "next": programs.next_of(user, now) if user.is_service else _next(user, now),
        "verbs": _verbs(user, actor, now),
        "roles": _grants(user, actor, now),
        "tokens": programs.tokens(user, actor, now),
        "substitutes": _substitutes(user, now),
        "links": [
            (_("Mail address"), user.email or _("none")),
            (_("Language"), dict(settings.LANGUAGES).get(user.language, user.language)),
            (_("Time zone"), user.time_zone),
            (_("Added"), words.at(user.date_joined, now=now)),
        ],
        "acts_url": f"{reverse('reports:audit-list')}?by={user.username}",
        "timeline": audit.history(user)[:8],
        "timeline_url": reverse("reports:audit-object", args=[user._meta.label_lower, user.pk]),
        "crumbs": crumbs(parts.Crumb(user.username)),
    }
    return render(request, "reports/person_detail.html", context)


def _next(user: User, now: datetime) -> parts.Next:
    seen = (
        _("Last logged in %(when)s.") % {"when": words.ago(user.last_login, now=now)}
        if user.last_login
        else _("Has never logged in.")
    )
    if not user.is_active:
        return parts.Next(_("Cannot log in; the roles are kept for a return."), seen)
    if not user.role_grants.exists():
        return parts.Next(_("Holds no role, and sees nothing but the home page: grant one."), seen)
    return parts.Next(_("Can log in, and may what the roles below say."), seen)


def _verbs(user: User, actor: User, now: datetime) -> list[Verb]:
    def verb_url(name: str) -> str:
        return reverse(f"reports:person-{name}", args=[user.pk])

    granting = tuple(access.against_granting(user, actor))
    switching = tuple(people.against_switching(user, actor))
    switch = (
        Verb("deactivate", _("Deactivate"), verb_url("deactivate"), not switching, switching, method="get", icon="ban", dangerous=True)
        if user.is_active
        else Verb("reactivate", _("Reactivate"), verb_url("reactivate"), not switching, switching, method="get", icon="key")
    )  # fmt: skip
    offered = [
        Verb("grant", _("Grant a role"), verb_url("grant"), not granting, granting, method="get", icon="plus", primary=not user.is_service),
        switch,
    ]  # fmt: skip
    if user.is_service:
        giving = tuple(programs.against_token(user, actor, now))
        give = Verb(
            "give-token",
            _("Give a token"),
            verb_url("give-token"),
            not giving,
            giving,
            method="get",
            icon="key",
            primary=True,
        )
        offered.insert(0, give)
    return offered


def _grants(user: User, actor: User, now: datetime) -> Table:
    may, scopes = not access.against_granting(user, actor), access.scopes()
    return Table(
        [
            Column(_("Role"), _role, name="role"),
            Column(_("Where"), lambda grant: _where(grant, scopes), name="where"),
            Column(_("Granted by"), lambda grant: grant.granted_by or _("at the first start"), name="by"),
            Column(_("Since"), "granted_at", age=True, numeric=True),
            Column(
                "",
                lambda _grant: _("Revoke") if may else "",
                url=lambda grant: reverse("reports:person-revoke", args=[user.pk, grant.pk]) if may else "",
            ),
        ],
        list(user.role_grants.select_related("granted_by").order_by("role", "scope")),
        now,
        _("Roles"),
    )


def _substitutes(user: User, now: datetime) -> Table:
    concerned = Substitution.objects.filter(Q(user=user) | Q(substitute=user)).filter(
        Q(ended_at__isnull=True), ends_at__gt=now
    )
    return Table(
        [
            Column(_("Away"), lambda one: str(one.user), name="away"),
            Column(_("Decides instead"), lambda one: str(one.substitute), name="instead"),
            Column(_("From"), "starts_at"),
            Column(_("Until"), "ends_at"),
        ],
        list(concerned.select_related("user", "substitute").order_by("starts_at", "pk")[:SHOWN]),
        now,
        _("Substitutes"),
    )


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def person_add(request: HttpRequest) -> HttpResponseBase:
    """A new person; the password for the first log-in is shown on the answer and never again."""
    actor = keeper(request)
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user, password = people.add(actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            return _with_password(request, user, password)
    context = {
        "title": _("Add a person"),
        "lede": _("Without a role they see nothing but the home page: grant roles afterwards."),
        "form": form,
        "submit_label": _("Add"),
        "cancel_url": reverse("reports:person-list"),
        "crumbs": crumbs(parts.Crumb(_("Add a person"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _with_password(request: HttpRequest, user: User, password: str) -> HttpResponse:
    context = {
        "title": user.get_full_name() or user.username,
        "person": user,
        "password": password,
        "place": place(user),
        "crumbs": crumbs(parts.Crumb(user.username, place(user)), parts.Crumb(_("Password"))),
    }
    return render(request, "reports/person_password.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def person_grant(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A role, everywhere or for a group of hosts."""
    user, actor = person(request, pk), keeper(request)
    form = GrantForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            grant = access.grant_role(user_id=user.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            said = {"who": user.username, "role": _role(grant), "where": _where(grant, access.scopes())}
            messages.success(request, _("%(who)s is %(role)s now: %(where)s.") % said)
            return redirect(place(user))
    context = {
        "title": _("Grant a role to %(name)s") % {"name": user.username},
        "form": form,
        "barred": access.against_granting(user, actor),
        "submit_label": _("Grant"),
        "cancel_url": place(user),
        "crumbs": crumbs(parts.Crumb(user.username, place(user)), parts.Crumb(_("Grant a role"))),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def person_revoke(request: HttpRequest, pk: int, grant: int) -> HttpResponseBase:
    """Takes a role away, after asking."""
    user, actor = person(request, pk), keeper(request)
    held = get_object_or_404(user.role_grants, pk=grant)
    if request.method == "POST":
        access.revoke_role(user_id=user.pk, role=held.role, scope=held.scope, actor=actor, at=timezone.now())
        messages.success(request, _("%(who)s is %(role)s no longer.") % {"who": user.username, "role": _role(held)})
        return redirect(place(user))
    said = {"role": _role(held), "who": user.username, "where": _where(held, access.scopes())}
    return confirm(
        request,
        user,
        Verb("revoke", _("Revoke"), icon="minus", dangerous=True, blockers=access.against_granting(user, actor)),
        _("Revoke the role %(role)s of %(who)s") % said,
        [
            _("Held: %(where)s.") % said,
            _("It ends at once. What was signed with it stays, and what waits for it waits for another."),
        ],
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def person_deactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Shuts a person out, after asking."""
    user, actor = person(request, pk), keeper(request)
    form = DeactivateForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        people.deactivate(user_id=user.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        messages.success(request, _("%(who)s can no longer log in.") % {"who": user.username})
        return redirect(place(user))
    return confirm(
        request,
        user,
        Verb("deactivate", _("Deactivate"), icon="ban", dangerous=True, blockers=people.against_switching(user, actor)),
        _("Deactivate %(who)s") % {"who": user.username},
        [
            _("Log-in, sessions, tokens, the password and the calendar address end at once and for good."),
            _("Roles, signatures and history stay. What waits for them goes on waiting: see who stands in."),
        ],
        form=form,
    )


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def person_reactivate(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Lets a person in again, with a new password that is shown once."""
    user, actor = person(request, pk), keeper(request)
    if request.method == "POST":
        back, password = people.reactivate(user_id=user.pk, actor=actor, at=timezone.now())
        return _with_password(request, back, password) if password else redirect(place(user))
    kept = _held(user, access.scopes()) or _("none")
    return confirm(
        request,
        user,
        Verb("reactivate", _("Reactivate"), icon="key", blockers=people.against_switching(user, actor)),
        _("Reactivate %(who)s") % {"who": user.username},
        [
            _("Roles that apply again: %(roles)s.") % {"roles": kept},
            _("It has no token: give it one afterwards.") if user.is_service else _("A new password is shown once."),
        ],
        harmless=True,
    )
