"""Support groups as pages: who is in them, what they look after, and which items have nobody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import support
from cmdb.enums import ItemKind
from cmdb.models import ConfigurationItem, SupportGroup
from cmdb.queries import support as questions
from cmdb.web.forms import posted
from cmdb.web.host_verbs import tried
from cmdb.web.hosts import who
from patchflow.kernel import audit
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts, verbs
from patchflow.web.fields import PersonField
from patchflow.web.tables import Column, Filter, Listing, list_page

MISSING = {
    "owner": (gettext_lazy("no owner"), gettext_lazy("an owner"), "st-warn"),
    "group": (gettext_lazy("no support group"), gettext_lazy("a support group"), "st-warn"),
    "both": (gettext_lazy("neither owner nor group"), gettext_lazy("both of them"), "st-bad"),
    "unpeopled": (gettext_lazy("a group without people"), gettext_lazy("people in its group"), "st-warn"),
}
"""What an item can lack: as a figure of items with it, as the answer to "lacks", and its look."""


def _groups(user: Any) -> QuerySet[SupportGroup]:
    rows = SupportGroup.objects.all()
    return rows if user.holds_somewhere("host.view") else rows.none()


def _people() -> QuerySet[User]:
    return persons().order_by("username")


class SupportForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("As items name it."))
    lead = PersonField(
        label=gettext_lazy("Lead"),
        queryset=User.objects.none(),
        required=False,
        help_text=gettext_lazy("Is told next when a representative stays silent."),
    )
    members = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Members"), queryset=User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("lead", "members"):
            self.fields[name].queryset = _people()  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {
            "name": said["name"],
            "lead": said["lead"].username if said["lead"] else "",
            "members": [person.username for person in said["members"]],
        }


def _counts(user: Any) -> list[parts.Count]:
    """How many items have nobody; each opens what it counts."""
    found, place = questions.gaps(user), reverse("cmdb:support-items")
    none = "st-good" if questions.items_in_sight(user).exists() else "st-open"
    return [
        parts.Count(str(label), found[name], css if found[name] else none, f"{place}?missing={name}")
        for name, (label, _lacks, css) in MISSING.items()
    ]


@list_page(gettext_lazy("Support groups"))
@login_required
def support_list(request: HttpRequest) -> HttpResponseBase:
    """Support groups with their people and items, and how many items have nobody."""
    user = who(request)
    rows = _groups(user).select_related("lead").annotate(people=Count("members"))
    items = questions.items_by_group(rows.values_list("name", flat=True), user)
    listing = Listing(
        request,
        rows,
        [
            Column(_("Support group"), "name", url=lambda g: reverse("cmdb:support-detail", args=[g.pk]), sort="name"),
            Column(_("Lead"), "lead.username"),
            Column(_("Members"), "people", numeric=True),
            Column(
                _("Items"), lambda g: items.get(g.name, 0), url=lambda g: _items_of(g.name), numeric=True, name="items"
            ),
        ],
        sorts={"name": ("name",)},
        default="name",
        filters=[Filter("q", _("Name"), "name__icontains")],
        now=timezone.now(),
        caption=_("Support groups"),
    )
    if listing.wants_csv:
        return listing.csv("support-groups.csv")
    context = {
        "title": _("Support groups"),
        "phase": 1,
        "lede": _("The people behind the items: told where an item has no owner, asked when its owner stays silent."),
        "listing": listing,
        "counts": _counts(user),
        "items_url": reverse("cmdb:support-items"),
        "add_url": reverse("cmdb:support-add"),
        "may_add": not failing([capability("group.edit")], None, user),
        "empty_title": _("No support group yet"),
        "empty_advice": _("Define one by the name that items carry, and say who is in it."),
        "empty_url": reverse("cmdb:support-add"),
        "empty_label": _("Define a support group"),
        "crumbs": [parts.Crumb(_("Support groups"))],
    }
    return render(request, "cmdb/support_list.html", context)


def _items_of(name: str) -> str:
    from urllib.parse import urlencode

    return f"{reverse('cmdb:support-items')}?{urlencode({'group': name})}"


def _missing(rows: QuerySet[ConfigurationItem], value: str) -> QuerySet[ConfigurationItem]:
    match value:
        case "owner":
            return rows.filter(questions.NO_OWNER)
        case "group":
            return rows.filter(questions.NO_GROUP)
        case "both":
            return rows.filter(questions.NOBODY)
    return questions.unpeopled(rows)


@list_page(gettext_lazy("Items"))
@login_required
def support_items(request: HttpRequest) -> HttpResponseBase:
    """Items with owner and support group; by what is missing."""
    user = who(request)

    def place(item: ConfigurationItem) -> str:
        host = getattr(item, "host", None)
        return reverse("cmdb:host-detail", args=[host.pk]) if host else ""

    listing = Listing(
        request,
        questions.items_in_sight(user).select_related("owner", "host"),
        [
            Column(_("Item"), "name", url=place, sort="name"),
            Column(_("Kind"), lambda i: i.get_kind_display(), name="kind"),
            Column(_("Criticality"), lambda i: i.get_criticality_display(), sort="criticality"),
            Column(_("Owner"), "owner.username"),
            Column(_("Support group"), "support_group"),
        ],
        sorts={"name": ("name",), "criticality": ("criticality", "name")},
        default="name",
        filters=[
            Filter("missing", _("Lacks"), _missing, [(name, lacks) for name, (_label, lacks, _css) in MISSING.items()]),
            Filter("kind", _("Kind"), "kind", ItemKind.choices),
            Filter("group", _("Support group"), "support_group"),
            Filter("q", _("Name"), "name__icontains"),
        ],
        now=timezone.now(),
        caption=_("Items"),
    )
    if listing.wants_csv:
        return listing.csv("items.csv")
    context = {
        "title": _("Who answers for what"),
        "phase": 1,
        "listing": listing,
        "empty_title": _("No item in sight"),
        "empty_advice": _("Hosts, services and clusters stand here with their owner and support group."),
        "empty_url": reverse("cmdb:host-list"),
        "empty_label": _("Go to the estate"),
        "crumbs": [
            parts.Crumb(_("Support groups"), reverse("cmdb:support-list")),
            parts.Crumb(_("Who answers for what")),
        ],
    }
    return render(request, "web/list.html", context)


@login_required
def support_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A support group: its people, its items, its history."""
    user = who(request)
    group = get_object_or_404(_groups(user).select_related("lead"), pk=pk)
    items = questions.items_in_sight(user).filter(support_group=group.name)
    count, members = items.count(), list(group.members.order_by("username"))
    refused = failing([capability("group.edit")], None, user)
    sentence = ngettext("It looks after %(n)d item.", "It looks after %(n)d items.", count) % {"n": count}
    context = {
        "title": group.name,
        "phase": 1,
        "ident": [_("support group")],
        "group": group,
        "members": members,
        "items": items.select_related("host", "owner").order_by("criticality", "name")[:20],
        "items_url": _items_of(group.name),
        "count": count,
        "next": parts.Next(sentence, "" if members or group.lead else _("Nobody is in it: nobody is told.")),
        "verbs": [verbs.edit(reverse("cmdb:support-revise", args=[pk]), refused)],
        "timeline": audit.history(group)[:8],
        "crumbs": [parts.Crumb(_("Support groups"), reverse("cmdb:support-list")), parts.Crumb(group.name)],
    }
    return render(request, "cmdb/support_detail.html", context)


@login_required
def support_add(request: HttpRequest) -> HttpResponseBase:
    """A support group, by the name that items carry."""
    return _edit(request, None)


@login_required
def support_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Who is in a support group, and who leads it."""
    return _edit(request, get_object_or_404(_groups(who(request)), pk=pk))


def _edit(request: HttpRequest, group: SupportGroup | None) -> HttpResponseBase:
    user = who(request)
    if failing([capability("group.edit")], None, user):
        raise Http404
    initial: dict[str, Any] = {"name": request.GET.get("name", "")}
    if group is not None:
        initial = {
            "name": group.name,
            "lead": group.lead_id,
            "members": list(group.members.values_list("pk", flat=True)),
        }
    form = SupportForm(posted(request), initial=initial)
    form.fields["name"].disabled = group is not None
    if group is not None:
        inside = set(initial["members"])
        people = sorted(_people(), key=lambda person: person.pk not in inside)
        form.fields["members"].choices = [(person.pk, str(person)) for person in people]  # type: ignore[attr-defined]
    if request.method == "POST" and form.is_valid():
        saved = tried(form, support.define, actor=user, at=timezone.now(), **form.given())
        if saved:
            messages.success(request, _("Saved."))
            return redirect("cmdb:support-detail", saved.pk)
    title = _("Edit “%(group)s”") % {"group": group} if group else _("Define a support group")
    context = {
        "title": title,
        "phase": 1,
        "form": form,
        "cancel_url": reverse("cmdb:support-detail", args=[group.pk]) if group else reverse("cmdb:support-list"),
        "crumbs": [parts.Crumb(_("Support groups"), reverse("cmdb:support-list")), parts.Crumb(title)],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
