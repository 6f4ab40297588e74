"""Groups and windows as pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import groups, points
from cmdb.enums import GroupKind
from cmdb.models import Host, HostGroup
from cmdb.queries import standing
from cmdb.queries.groups import matching, rule_of
from cmdb.web.forms import GroupForm, ReasonForm, posted
from cmdb.web.host_verbs import retire_barred, tried
from cmdb.web.hosts import who
from cmdb.web.standing import apart_of, interval_of
from patchflow.kernel import audit
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing
from patchflow.web import panels, parts, verbs
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb


def rule_in_words(group: HostGroup) -> str:
    """The rule as people read it."""
    words = {"environment": _("environment"), "criticality": _("criticality"), "distribution": "", "release": ""}
    said = [f"{words[name]} {value}".strip() for name, value in rule_of(group).items()]
    return _(" and ").join(said)


@list_page(gettext_lazy("Groups"))
@login_required
def group_list(request: HttpRequest) -> HttpResponseBase:
    """Groups: who is in them by choice or rule."""
    rows = HostGroup.objects.live().visible_to(who(request)).annotate(hosts=Count("memberships"))
    listing = Listing(
        request,
        rows,
        [
            Column(_("Group"), "name", url=lambda g: reverse("cmdb:group-detail", args=[g.pk]), sort="name"),
            Column(_("Members"), lambda g: g.get_kind_display(), name="members"),
            Column(_("Rule"), rule_in_words, name="rule"),
            Column(_("Hosts"), "hosts", numeric=True, url=lambda g: f"{reverse('cmdb:host-list')}?group={g.pk}"),
        ],
        sorts={"name": ("name",)},
        default="name",
        filters=[Filter("q", _("Name"), "name__icontains"), Filter("kind", _("Members"), "kind", GroupKind.choices)],
        now=timezone.now(),
        caption=_("Groups"),
    )
    if listing.wants_csv:
        return listing.csv("groups.csv")
    context = {
        "title": _("Groups"),
        "phase": 1,
        "lede": _("A group gives its hosts their windows, their baseline, and says who may see and do what."),
        "listing": listing,
        "add_url": reverse("cmdb:group-add"),
        "add_label": _("Make a group"),
        "may_add": not failing([capability("group.edit")], None, who(request)),
        "empty_title": _("No group yet"),
        "empty_advice": _("Make one of chosen hosts, or by a rule such as: environment staging."),
        "empty_url": reverse("cmdb:group-add"),
        "empty_label": _("Make a group"),
        "crumbs": [parts.Crumb(_("Groups"))],
    }
    return render(request, "cmdb/list.html", context)


def _visible(request: HttpRequest, pk: int) -> HostGroup:
    return get_object_or_404(HostGroup.objects.all().visible_to(who(request)), pk=pk)


@login_required
def group_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A group: its members, its windows, its history."""
    group, now, user = _visible(request, pk), timezone.now(), who(request)
    members = Host.objects.filter(memberships__group=group).select_related("platform", "ci")
    listing = Listing(
        request,
        members,
        [
            Column(_("Host"), "name", url=lambda h: reverse("cmdb:host-detail", args=[h.pk]), sort="name"),
            Column(_("Platform"), lambda h: h.platform.label if h.platform else "", name="platform"),
            Column(_("Environment"), lambda h: h.ci.get_environment_display(), name="environment"),
            Column(_("Age"), "audited_at", age=True, numeric=True),
        ],
        sorts={"name": ("name",)},
        default="name",
        now=now,
        caption=_("Members"),
    )
    count = group.memberships.count()
    windows = list(group.windows.all().live())
    found = standing.of_group(group, at=now, actor=user)
    sentence = ngettext("%(n)d host is in this group.", "%(n)d hosts are in this group.", count) % {"n": count}
    detail = (
        _("Rule: %(rule)s. Members follow it by themselves.") % {"rule": rule_in_words(group)} if rule_of(group) else ""
    )
    if not windows:
        detail = f"{detail} " + _("It has no window: by it, nothing can be deployed.")
    context = {
        "title": group.name,
        "phase": 1,
        "ident": [_("host group"), group.get_kind_display()],
        "lede": group.description,
        "group": group,
        "listing": listing,
        "windows": windows,
        "standing": found,
        "interval": interval_of(found, reverse("cmdb:group-baseline", args=[pk])),
        "apart": apart_of(found),
        "next": parts.Next(_("This group is retired.") if group.retired_at else sentence, detail),
        "verbs": _verbs(group, user),
        "timeline": audit.history(group)[:8],
        "crumbs": [parts.Crumb(_("Groups"), reverse("cmdb:group-list")), parts.Crumb(group.name)],
    }
    return render(request, "cmdb/group_detail.html", context)


def _verbs(group: HostGroup, user: Any) -> list[Verb]:
    if group.retired_at is not None:
        return []
    refused = failing([capability("group.edit")], None, user)
    return [
        verbs.edit(reverse("cmdb:group-revise", args=[group.pk]), refused),
        verbs.retire(
            reverse("cmdb:group-retire", args=[group.pk]), [*refused, *points.serving(user, group_id=group.pk)]
        ),
    ]


@login_required
def group_add(request: HttpRequest) -> HttpResponseBase:
    """A new group; a rule shows first whom it would take."""
    return _edit(request, None)


@login_required
def group_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A group, changed."""
    return _edit(request, _visible(request, pk))


def _edit(request: HttpRequest, group: HostGroup | None) -> HttpResponseBase:
    user = who(request)
    form = form_of(posted(request), group, user)
    preview = None
    if request.method == "POST" and form.is_valid():
        if "preview" in request.POST:
            found = matching(form.rule).filter(pk__in=Host.objects.visible_to(user)).order_by("name")
            preview = {"count": found.count(), "names": list(found.values_list("name", flat=True)[:20])}
        elif saved := tried(form, save, form=form, now=timezone.now(), group=group, user=user):
            messages.success(request, _("Saved."))
            return redirect("cmdb:group-detail", saved.pk)
    title = _("Edit “%(group)s”") % {"group": group} if group else _("Make a group")
    context = {
        "title": title,
        "phase": 1,
        "form": form,
        "preview": preview,
        "cancel_url": reverse("cmdb:group-detail", args=[group.pk]) if group else reverse("cmdb:group-list"),
        "crumbs": [parts.Crumb(_("Groups"), reverse("cmdb:group-list")), parts.Crumb(title)],
    }
    return render(request, "cmdb/group_form.html", context, status=400 if form.errors else 200)


def form_of(data: Any, group: HostGroup | None, viewer: User) -> GroupForm:
    """The form of a group as it is, or of a new one."""
    names = ("name", "description", "kind", "rule_environment", "rule_criticality", "rule_distribution", "rule_release")
    initial: dict[str, Any] = {}
    if group is not None:
        initial = {name: getattr(group, name) for name in names}
        initial["host_ids"] = list(group.memberships.values_list("host_id", flat=True))
    return GroupForm(data, viewer=viewer, initial=initial, kept=group.kind if group else "")


def save(*, form: GroupForm, group: HostGroup | None, user: Any, now: datetime) -> HostGroup:
    """The verbs behind a valid form: a new group, or another text, rule and members of one."""
    given = form.cleaned_data
    plain = {"name": given["name"], "description": given["description"]}
    by_rule = given["kind"] == GroupKind.RULE
    if group is None:
        host_ids = [] if by_rule else given["host_ids"]
        return groups.add(
            kind=given["kind"], host_ids=host_ids, actor=user, at=now, **plain, **(form.rule if by_rule else {})
        )
    group = groups.revise(group_id=group.pk, actor=user, at=now, **plain, **(form.rule if by_rule else {}))
    if not by_rule:
        groups.set_members(group_id=group.pk, host_ids=given["host_ids"], actor=user, at=now)
    return group


@login_required
def group_retire(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Before a group is retired: what that reaches."""
    group = _visible(request, pk)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        groups.retire(group_id=pk, reason=form.cleaned_data["reason"], actor=who(request), at=timezone.now())
        return redirect("cmdb:group-list")
    hosts, windows = group.memberships.count(), group.windows.all().live().count()
    context = {
        "title": _("Retire “%(group)s”") % {"group": group},
        "barred": [*retire_barred(group, "group.edit", None, who(request)), *points.serving(who(request), group_id=pk)],
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=group.name, icon="archive"),
        "reach": [
            Reach(hosts, ngettext("host leaves it", "hosts leave it", hosts)),
            Reach(windows, ngettext("window loses it", "windows lose it", windows)),
        ],
        "consequences": [
            _("Hosts that have a window by this group only can no longer be deployed to."),
            _("Roles granted for this group see nothing any more."),
            *panels.render("cmdb.group-retire", request, group),
        ],
        "form": form,
        "cancel_url": reverse("cmdb:group-detail", args=[pk]),
        "crumbs": [parts.Crumb(_("Groups"), reverse("cmdb:group-list")), parts.Crumb(group.name)],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
