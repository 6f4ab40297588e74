"""The pages of saved filters: all of one's own and shared ones, saving, renaming, sharing, removing, beginning with one."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from patchflow.kernel import saved_filters
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SavedFilter, User
from patchflow.kernel.roles import all_roles, grantable
from patchflow.web import parts
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.tables.saving import address_of, list_titles
from patchflow.web.verbs import Verb


def _spoken(query: str) -> str:
    """What a filter asks for, readable: its fields and what they must be, the order, how many columns are left out."""
    asked = [(name, value) for name, value in parse_qsl(query) if value]
    said = [f"{name}: {value}".replace("_", " ") for name, value in asked if name not in ("sort", "without")]
    said += [_("ordered by %(name)s") % {"name": value.lstrip("-")} for name, value in asked if name == "sort"]
    if left := sum(name == "without" for name, _value in asked):
        said.append(ngettext("%(n)d column is left out", "%(n)d columns are left out", left) % {"n": left})
    return "; ".join(said) or "–"


class SaveForm(forms.Form):
    """A name, and with whom it is shared; `address` is what is saved."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    shared_with = forms.ChoiceField(
        label=gettext_lazy("Shared with"),
        required=False,
        help_text=gettext_lazy(
            "Everybody in this role finds it on the list, and sees with it what their own rights show."
        ),
    )

    def __init__(self, *args: Any, actor: User, shared_with: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if saved_filters.may_share(actor) or shared_with:
            roles = [(role.name, role.title) for role in grantable()]
            self.fields["shared_with"].choices = [("", _("nobody: it is my own")), *roles]  # type: ignore[attr-defined]
        else:
            del self.fields["shared_with"]


def refuse(form: forms.Form, refusal: Refusal) -> None:
    """Puts each reason beside the field of its code, else above the form."""
    for blocker in refusal.blockers:
        name = blocker.code.rpartition(".")[2]
        form.add_error(name if name in form.fields else None, blocker.sentence)


def _seen(request: HttpRequest) -> QuerySet[SavedFilter]:
    actor: Any = request.user
    return SavedFilter.objects.visible_to(actor).with_default(actor).select_related("owner")


def _columns(actor: User) -> list[Column]:
    def remark(row: Any) -> str:
        return _("the list begins with it") if row.is_default else ""

    def act(row: SavedFilter) -> str:
        return reverse("web:filter-edit", args=[row.pk])

    return [
        Column(_("Filter"), "name", url=address_of, sort="name", wide=True),
        Column(_("List"), lambda row: list_titles().get(row.list_name, row.list_name), sort="list", name="list"),
        Column(_("Asks"), lambda row: _spoken(row.query), name="query", wide=True),
        Column(_("Of"), "owner.username"),
        Column(
            _("Shared with"),
            lambda row: all_roles()[row.shared_with].title if row.shared_with else "",
            name="shared-with",
        ),
        Column(_("Remark"), remark, name="remark"),
        Column("", lambda row: _("Change") if row.owner_id == actor.pk else _("Options"), url=act),
    ]


@list_page(gettext_lazy("Saved filters"))
@login_required
@require_safe
def filter_list(request: HttpRequest) -> HttpResponseBase:
    """One's own saved filters and what is shared with one's roles, of all lists."""
    actor: Any = request.user
    listing = Listing(
        request,
        _seen(request),
        _columns(actor),
        sorts={"name": ("name", "id"), "list": ("list_name", "name", "id")},
        default="list",
        now=timezone.now(),
        filters=[
            Filter("q", gettext_lazy("Name"), "name__icontains"),
            Filter(
                "of",
                gettext_lazy("Of"),
                _whose(actor),
                [("me", gettext_lazy("me")), ("others", gettext_lazy("others"))],
            ),
        ],
        caption=_("Saved filters"),
    )
    if listing.wants_csv:
        return listing.csv("saved-filters.csv")
    context = {
        "title": _("Saved filters"),
        "lede": _("Each opens its list and shows what it finds now, as far as you may see it."),
        "listing": listing,
        "empty_title": _("No filter is saved"),
        "empty_advice": _("Filter or order any list; its menu “Saved filters” keeps that under a name."),
    }
    return render(request, "web/list.html", context)


def _whose(actor: User) -> Any:
    def narrow(rows: QuerySet[SavedFilter], value: str) -> QuerySet[SavedFilter]:
        return rows.filter(owner=actor) if value == "me" else rows.exclude(owner=actor)

    return narrow


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def filter_save(request: HttpRequest) -> HttpResponseBase:
    """Keeps what the list at `?of=` is asked, under a name."""
    actor: Any = request.user
    address = request.GET.get("of", "")
    if not address:
        return redirect("web:filter-list")
    asked = saved_filters.ask(address, actor)
    form = SaveForm(request.POST or None, actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            made = saved_filters.save(address=address, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved as “%(name)s”.") % {"name": made})
            return redirect(f"{address.partition('?')[0]}?{made.query}&saved={made.pk}")
    title = list_titles()[asked.list_name]
    context = {
        "title": _("Save this filter"),
        "lede": _("Of the list “%(list)s”: %(query)s") % {"list": title, "query": _spoken(asked.query)},
        "form": form,
        "submit_label": _("Save"),
        "cancel_url": address,
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)


def _own(request: HttpRequest, pk: int) -> SavedFilter:
    return get_object_or_404(_seen(request), pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def filter_edit(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Another name, or another role with which it is shared; from here one also removes it or begins with it."""
    actor: Any = request.user
    saved = _own(request, pk)
    form = SaveForm(
        request.POST or None, actor=actor, shared_with=saved.shared_with,
        initial={"name": saved.name, "shared_with": saved.shared_with},
    )  # fmt: skip
    if request.method == "POST" and form.is_valid():
        given = {"shared_with": "", **form.cleaned_data}
        try:
            saved_filters.rename(filter_id=saved.pk, actor=actor, at=timezone.now(), **given)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("web:filter-list")
    context = {
        "title": saved.name,
        "lede": _("Of the list “%(list)s”: %(query)s")
        % {"list": list_titles().get(saved.list_name, saved.list_name), "query": _spoken(saved.query)},
        "form": form,
        "saved": saved,
        "own": saved.owner_id == actor.pk,
        "address": address_of(saved),
        "cancel_url": reverse("web:filter-list"),
        "crumbs": [parts.Crumb(_("Saved filters"), reverse("web:filter-list")), parts.Crumb(saved.name)],
    }
    return render(request, "web/filter_edit.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def filter_remove(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Takes it away, for everybody with whom it is shared."""
    actor: Any = request.user
    saved = _own(request, pk)
    if request.method == "POST":
        saved_filters.remove(filter_id=saved.pk, actor=actor, at=timezone.now())
        messages.success(request, _("“%(name)s” is removed.") % {"name": saved})
        return redirect("web:filter-list")
    role = all_roles()[saved.shared_with].title if saved.shared_with else ""
    context = {
        "title": _("Remove the filter “%(name)s”") % {"name": saved},
        "verb": Verb("remove", _("Remove"), dangerous=True, icon="x"),
        "consequences": [
            _("It is shared with every %(role)s: they lose it too.") % {"role": role}
            if role
            else _("It is yours alone; nobody else loses it.")
        ],
        "cancel_url": reverse("web:filter-edit", args=[saved.pk]),
        "crumbs": [parts.Crumb(_("Saved filters"), reverse("web:filter-list")), parts.Crumb(saved.name)],
    }
    return render(request, "web/confirm.html", context)


@login_required
@require_POST
def filter_begin(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Begins its list with it from now on, or (`begin` empty) with the whole list again."""
    actor: Any = request.user
    saved = _own(request, pk)
    begin = bool(request.POST.get("begin"))
    saved_filters.begin_with(filter_id=saved.pk, begin=begin, actor=actor, at=timezone.now())
    messages.success(
        request,
        _("The list begins with “%(name)s” from now on.") % {"name": saved}
        if begin
        else _("The list begins with all of it again."),
    )
    return redirect(address_of(saved) or "web:filter-list")
