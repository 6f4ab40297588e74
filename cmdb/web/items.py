"""Services, clusters and other items that are no hosts as pages: what they rest on, who answers for them, how many of their
hosts stay up while others are changed."""

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
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from cmdb.domain import items
from cmdb.enums import Criticality, Environment, ItemState, Link
from cmdb.models import ConfigurationItem, Host, SupportGroup
from cmdb.queries.items import OTHERS, hosts_under, links_of
from cmdb.web.forms import ReasonForm, posted
from cmdb.web.host_verbs import form_page, tried
from cmdb.web.hosts import who
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.kernel.rules import capability, failing
from patchflow.web import panels, parts, verbs
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb

SHOWN = 200
"""Relations on the page of an item."""
HOSTS = 24
"""Hosts named there."""


class ItemForm(forms.Form):
    """An item that is no host."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=[(k.value, k.label) for k in OTHERS])
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), choices=Environment.choices)
    criticality = forms.TypedChoiceField(
        label=gettext_lazy("Criticality"), choices=Criticality.choices, coerce=int, initial=Criticality.MEDIUM
    )
    owner_id = forms.TypedChoiceField(
        label=gettext_lazy("Owner"), required=False, coerce=int, empty_value=None,
        help_text=gettext_lazy("Of a service: is asked where an approval route asks owners of services."),
    )  # fmt: skip
    support_group = forms.ChoiceField(label=gettext_lazy("Support group"), required=False)
    min_alive = forms.IntegerField(
        label=gettext_lazy("Hosts that stay up"), required=False, min_value=0, max_value=100_000,
        help_text=gettext_lazy("Of a service or cluster, while others are changed. Empty: what the install profile says, at least one."),
    )  # fmt: skip
    min_alive_percent = forms.IntegerField(
        label=gettext_lazy("Share of its hosts that stay up, in percent"), required=False, min_value=0, max_value=99
    )

    def __init__(self, *args: Any, item: ConfigurationItem | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = list(persons().order_by("username"))
        if item is not None and item.owner is not None and item.owner not in people:
            people.append(item.owner)
        fields: dict[str, Any] = self.fields
        fields["owner_id"].choices = [("", _("nobody yet")), *((u.pk, str(u)) for u in people)]
        names = list(SupportGroup.objects.order_by("name").values_list("name", flat=True))
        kept = [item.support_group] if item and item.support_group and item.support_group not in names else []
        fields["support_group"].choices = [("", "–"), *((name, name) for name in (*names, *kept))]
        if item is not None:
            del self.fields["kind"]


class LinkForm(forms.Form):
    """How an item hangs together with others."""

    how = forms.ChoiceField(label=gettext_lazy("It"), choices=Link.choices)
    names = forms.CharField(
        label=gettext_lazy("Hosts or other items"), widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("One per line; web-* is every host whose name begins so."),
    )  # fmt: skip

    def clean_names(self) -> list[str]:
        return str(self.cleaned_data["names"]).splitlines()


def _rows(user: User) -> Any:
    return ConfigurationItem.objects.all().visible_to(user).filter(kind__in=OTHERS)


def visible_item(request: HttpRequest, pk: int) -> ConfigurationItem:
    return get_object_or_404(_rows(who(request)).select_related("owner"), pk=pk)


def rule_words(item: ConfigurationItem) -> str:
    """Its own rule for how many hosts stay, empty where it has none."""
    said = []
    if item.min_alive is not None:
        said.append(ngettext("%(n)d host", "%(n)d hosts", item.min_alive) % {"n": item.min_alive})
    if item.min_alive_percent is not None:
        said.append(_("%(n)d %% of them") % {"n": item.min_alive_percent})
    return _("at least %(rule)s") % {"rule": _(" and ").join(said)} if said else ""


@list_page(gettext_lazy("Services"))
@login_required
def item_list(request: HttpRequest) -> HttpResponseBase:
    """Items that are no hosts, with the hosts on which they rest."""
    user = who(request)
    listing = Listing(
        request,
        _rows(user).select_related("owner", "host"),
        [
            Column(_("Name"), "name", url=ConfigurationItem.get_absolute_url, sort="name"),
            Column(_("Kind"), lambda i: i.get_kind_display(), name="kind"),
            Column(_("State"), "state", state="cmdb.configurationitem"),
            Column(_("Environment"), lambda i: i.get_environment_display(), name="environment"),
            Column(_("Criticality"), lambda i: i.get_criticality_display(), sort="criticality", name="criticality"),
            Column(_("Hosts"), lambda i: len(under.get(i.pk, ())), numeric=True, name="hosts"),
            Column(_("Stay up"), rule_words, name="stay"),
            Column(_("Owner"), "owner.username"),
        ],
        sorts={"name": ("name", "id"), "criticality": ("criticality", "name", "id")},
        default="name",
        filters=[
            Filter("q", _("Name"), "name__icontains"),
            Filter("kind", _("Kind"), "kind", [(k.value, k.label) for k in OTHERS]),
            Filter("state", _("State"), "state", ItemState.choices),
        ],
        now=timezone.now(),
        caption=_("Services"),
    )
    under = hosts_under(_rows(user).values_list("pk", flat=True))
    if listing.wants_csv:
        return listing.csv("services.csv")
    context = {
        "title": _("Services"),
        "phase": 1,
        "lede": _("Services, clusters and what else rests on hosts: whom a change reaches, who answers, and how much stays up."),
        "listing": listing,
        "add_url": reverse("cmdb:item-add"),
        "add_label": _("Add a service"),
        "may_add": not failing([capability("host.edit")], None, user),
        "empty_title": _("No service yet"),
        "empty_advice": _("Add one and say on which hosts it runs: then never all of them are changed at once."),
        "empty_url": reverse("cmdb:item-add"),
        "empty_label": _("Add a service"),
        "crumbs": [parts.Crumb(_("Services"))],
    }  # fmt: skip
    return render(request, "cmdb/list.html", context)


@login_required
def item_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """An item: what it rests on, how much of that stays up, who answers for it."""
    item, user, now = visible_item(request, pk), who(request), timezone.now()
    links = links_of(item, user)
    hosts = Host.objects.live().filter(pk__in=hosts_under([item.pk])[item.pk])
    refused = items.why_not_say(item, user)
    context = {
        "title": item.name,
        "phase": 1,
        "ident": [item.get_kind_display(), item.get_environment_display()],
        "item": item,
        "hosts": list(hosts.visible_to(user).order_by("name")[:HOSTS]),
        "more_hosts": max(0, hosts.count() - HOSTS),
        "next": _next(item, hosts.count()),
        "verbs": _verbs(item, user, now),
        "may_link": not refused,
        "related": links[:SHOWN],
        "more_links": max(0, len(links) - SHOWN),
        "answers": [
            (_("Criticality"), item.get_criticality_display()),
            (_("Owner"), str(item.owner) if item.owner else _("nobody yet")),
            (_("Support group"), item.support_group or "–"),
            (_("Hosts that stay up"), rule_words(item) or _("as the install profile says, at least one")),
        ],
        "timeline": audit.history(item)[:8],
        "crumbs": [parts.Crumb(_("Services"), reverse("cmdb:item-list")), parts.Crumb(item.name)],
    }
    return render(request, "cmdb/item_detail.html", context)


def _next(item: ConfigurationItem, hosts: int) -> parts.Next:
    if item.state == ItemState.RETIRED:
        return parts.Next(_("It is retired: nothing is kept up for its sake."))
    if not hosts:
        detail = _("Nothing is kept up for its sake, and no change reaches it.")
        return parts.Next(_("Somebody must say on which hosts it rests."), detail)
    rests = ngettext("It rests on %(n)d host.", "It rests on %(n)d hosts.", hosts) % {"n": hosts}
    if item.kind not in items.RULED:
        return parts.Next(rests, _("A change of these hosts reaches it."))
    stay = item.must_stay(hosts)
    if stay >= hosts:
        return parts.Next(
            rests, _("Its rule keeps all of them: none can be changed. Change the rule, or give it another host.")
        )
    if stay:
        given = {"stay": stay, "free": hosts - stay}
        return parts.Next(rests, _("%(stay)d stay up: at most %(free)d of them are changed at once.") % given)
    return parts.Next(rests, _("Never all of them are changed at once; how many stay up says the install profile."))


def _why_not_retire(item: ConfigurationItem, user: User) -> list[Blocker]:
    return items.why_not_say(item, user) or workflow.why_not(item, "retire", actor=user, at=timezone.now())


def _verbs(item: ConfigurationItem, user: User, now: Any) -> list[Verb]:
    if item.state == ItemState.RETIRED:
        return []
    refused = items.why_not_say(item, user)
    place = {name: reverse(f"cmdb:item-{name}", args=[item.pk]) for name in ("revise", "link", "retire", "enter")}
    found = [
        Verb("link", _("Say on what it rests"), place["link"], not refused, tuple(refused), method="get", icon="link"),
        verbs.edit(place["revise"], refused),
        verbs.retire(place["retire"], _why_not_retire(item, user)),
    ]
    if item.state == ItemState.PLANNED:
        against = workflow.why_not(item, "enter_service", actor=user, at=now)
        found.insert(0, Verb("enter", _("It is in use"), place["enter"], not against, tuple(against), icon="check"))
    return found


@login_required
def item_add(request: HttpRequest) -> HttpResponseBase:
    """A new item; on which hosts it rests is said next."""
    form = ItemForm(posted(request), item=None)
    barred = failing([capability("host.edit")], None, who(request))
    if request.method == "POST" and form.is_valid():
        added = tried(form, items.add, actor=who(request), at=timezone.now(), **form.cleaned_data)
        if added:
            messages.success(request, _("Added. Now say on which hosts it rests."))
            return redirect("cmdb:item-link", added.pk)
    return _form(request, form, _("Add a service"), reverse("cmdb:item-list"), barred)


@login_required
def item_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What people say of an item."""
    item = visible_item(request, pk)
    form = ItemForm(posted(request), item=item, initial={name: getattr(item, name) for name in items.SAID})
    if request.method == "POST" and form.is_valid():
        saved = tried(form, items.revise, item_id=pk, actor=who(request), at=timezone.now(), **form.cleaned_data)
        if saved:
            messages.success(request, _("Saved."))
            return redirect(item)
    title = _("Edit “%(item)s”") % {"item": item}
    return _form(request, form, title, item.get_absolute_url(), items.why_not_say(item, who(request)))


@login_required
def item_link(request: HttpRequest, pk: int) -> HttpResponseBase:
    """How an item hangs together with others, named one by one."""
    item = visible_item(request, pk)
    form = LinkForm(posted(request), initial={"how": Link.RUNS_ON})
    if request.method == "POST" and form.is_valid():
        found = tried(form, items.link, item_id=pk, actor=who(request), at=timezone.now(), **form.cleaned_data)
        if found:
            said = ngettext("%(n)d relation is said.", "%(n)d relations are said.", len(found)) % {"n": len(found)}
            messages.success(request, said)
            return redirect(item)
    title = _("What “%(item)s” rests on") % {"item": item}
    return _form(request, form, title, item.get_absolute_url(), items.why_not_say(item, who(request)))


def _form(
    request: HttpRequest, form: forms.Form, title: str, cancel_url: str, barred: list[Blocker]
) -> HttpResponseBase:
    listed = parts.Crumb(_("Services"), reverse("cmdb:item-list"))
    return form_page(request, form, title, cancel_url, barred, below=listed)


@login_required
@require_POST
def item_enter(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A planned item is in use. A refusal becomes the page of its reasons."""
    item = visible_item(request, pk)
    items.enter_service(item_id=item.pk, actor=who(request), at=timezone.now())
    messages.success(request, _("It is in service."))
    return redirect(item)


@login_required
@require_POST
def item_unlink(request: HttpRequest, pk: int, relation: int) -> HttpResponseBase:
    """Takes a relation of the item back. A refusal becomes the page of its reasons."""
    item = visible_item(request, pk)
    items.unlink(item_id=pk, relation_id=relation, actor=who(request), at=timezone.now())
    messages.success(request, _("The relation is taken back."))
    return redirect(item)


@login_required
def item_retire(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Before an item is retired: on how many hosts it rests."""
    item, user = visible_item(request, pk), who(request)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        gone = tried(form, items.retire, item_id=pk, actor=user, at=timezone.now(), **form.cleaned_data)
        if gone:
            messages.success(request, _("Retired."))
            return redirect("cmdb:item-list")
    hosts = len(hosts_under([item.pk])[item.pk])
    context = {
        "title": _("Retire “%(item)s”") % {"item": item},
        "barred": [] if request.method == "POST" else _why_not_retire(item, user),
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=item.name, icon="archive"),
        "reach": [Reach(hosts, ngettext("host rests under it", "hosts rest under it", hosts))],
        "consequences": [
            _("None of its hosts is kept up for its sake any more: all of them may be changed at once."),
            _("Its owner is no longer asked for its sake."),
            *panels.render("cmdb.item-retire", request, item),
        ],
        "form": form,
        "cancel_url": item.get_absolute_url(),
        "crumbs": [parts.Crumb(_("Services"), reverse("cmdb:item-list")), parts.Crumb(item.name)],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
