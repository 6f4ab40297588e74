"""Distribution points as pages: whom each serves, whether it answers, and what its hosts do while it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
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

from cmdb.domain import points
from cmdb.enums import ItemKind, ItemState, PointAnswer, PointState, WhenSilent
from cmdb.models import ConfigurationItem, DistributionPoint, Host, HostGroup
from cmdb.queries.points import hosts_of, members_of_groups, members_of_sites, served_by
from cmdb.web.forms import ReasonForm, posted
from cmdb.web.host_verbs import form_page, tried
from cmdb.web.hosts import who
from cmdb.web.point_words import RULES, limit_of
from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web import parts, states, verbs, words, wordtags
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb

SHOWN = 24
"""Hosts named on a page."""


class PointForm(forms.Form):
    """A distribution point."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    address = forms.CharField(
        label=gettext_lazy("Address of the proxy"), max_length=200,
        help_text=gettext_lazy("As the hosts reach it, with its port: http://dp-berlin.example.org:3142"),
    )  # fmt: skip
    site_id = forms.TypedChoiceField(
        label=gettext_lazy("Serves the hosts of the site"), required=False, coerce=int, empty_value=None,
        help_text=gettext_lazy("Those that are members of it, directly or through others."),
    )  # fmt: skip
    group_id = forms.TypedChoiceField(
        label=gettext_lazy("Or those of the group"), required=False, coerce=int, empty_value=None,
        help_text=gettext_lazy("A group's point goes before a site's."),
    )  # fmt: skip
    throttle_kib = forms.IntegerField(
        label=gettext_lazy("KiB in a second for each host at most"), required=False, min_value=points.SLOWEST,
        max_value=points.FASTEST, help_text=gettext_lazy("For a slow line. Empty: as fast as it goes."),
    )  # fmt: skip
    when_silent = forms.ChoiceField(
        label=gettext_lazy("While nobody knows that it answers"), choices=list(RULES.items()), initial=WhenSilent.WAIT,
        widget=forms.RadioSelect,
    )  # fmt: skip

    when_silent.preset = True  # type: ignore[attr-defined]  # one is always chosen

    def __init__(self, *args: Any, viewer: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sites = ConfigurationItem.objects.all().visible_to(viewer).filter(kind=ItemKind.SITE)
        fields: dict[str, Any] = self.fields
        in_use = sites.exclude(state=ItemState.RETIRED).order_by("name").values_list("pk", "name")
        fields["site_id"].choices = [("", "–"), *_counted(in_use, members_of_sites(viewer))]
        groups = HostGroup.objects.live().visible_to(viewer).values_list("pk", "name")
        fields["group_id"].choices = [("", "–"), *_counted(groups, members_of_groups(viewer))]


def _counted(places: Iterable[tuple[int, str]], hosts: Mapping[int, int]) -> list[tuple[int, str]]:
    """Places to choose from, each with the number of its hosts: a point at an empty one serves nobody."""
    return [
        (pk, ngettext("%(name)s, %(n)d host", "%(name)s, %(n)d hosts", hosts.get(pk, 0)) % {"name": name, "n": hosts.get(pk, 0)})
        for pk, name in places
    ]  # fmt: skip


def visible_point(request: HttpRequest, pk: int) -> DistributionPoint:
    rows = DistributionPoint.objects.all().visible_to(who(request)).select_related("site", "group")
    return get_object_or_404(rows, pk=pk)


def serves(point: DistributionPoint) -> str:
    """Whom it serves, in words."""
    if point.site is not None:
        return _("site %(name)s") % {"name": point.site.name}
    return _("group %(name)s") % {"name": point.group.name if point.group else "–"}


def _place(point: DistributionPoint) -> str:
    """The page of whom it serves."""
    if point.site is not None:
        return point.site.get_absolute_url()
    return reverse("cmdb:group-detail", args=[point.group_id])


@list_page(gettext_lazy("Distribution points"))
@login_required
def point_list(request: HttpRequest) -> HttpResponseBase:
    """Distribution points: whom they serve, and whether they answer."""
    user, now = who(request), timezone.now()
    rows = DistributionPoint.objects.all().visible_to(user).select_related("site", "group")
    listing = Listing(
        request,
        rows,
        [
            Column(_("Name"), "name", url=DistributionPoint.get_absolute_url, sort="name"),
            Column(_("State"), "state", state="cmdb.distributionpoint"),
            Column(
                _("Answers"),
                lambda p: wordtags.word("cmdb.pointanswer", p.answer_at(now)) if _is_used(p) else "",
                text=lambda p: states.look("cmdb.pointanswer", p.answer_at(now)).label if _is_used(p) else "",
                name="answers",
            ),
            Column(_("Checked"), "checked_at", age=True, numeric=True),
            Column(_("Serves"), serves, url=_place, name="serves"),
            Column(_("Hosts"), lambda p: len(under.get(p.pk, ())), numeric=True, name="hosts"),
            Column(_("Address"), "address", mono=True, wide=True),
            Column(_("Limit"), limit_of, numeric=True, name="limit"),
        ],
        sorts={"name": ("name", "id")},
        default="name",
        filters=[
            Filter("q", _("Name"), "name__icontains"),
            Filter("state", _("State"), "state", PointState.choices),
        ],
        now=now,
        caption=_("Distribution points"),
    )
    under = hosts_of(rows.values_list("pk", flat=True))
    if listing.wants_csv:
        return listing.csv("distribution-points.csv")
    context = {
        "title": _("Distribution points"),
        "phase": 1,
        "lede": _(
            "Proxies near the hosts for what deployments install. Each file is compared with what was signed all the same."
        ),
        "listing": listing,
        "add_url": reverse("cmdb:point-add"),
        "add_label": _("Add a distribution point"),
        "may_add": not points.why_not(None, "point.edit", user),
        "empty_title": _("No distribution point yet"),
        "empty_advice": _(
            "Hosts download directly from their own repositories. Add a point for hosts behind a slow line or a firewall."
        ),
        "empty_url": reverse("cmdb:point-add"),
        "empty_label": _("Add a distribution point"),
        "crumbs": [parts.Crumb(_("Distribution points"))],
    }
    return render(request, "cmdb/list.html", context)


def _is_used(point: DistributionPoint) -> bool:
    return point.state == PointState.IN_SERVICE


@login_required
def point_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A distribution point: whether it answers, whom it serves, what its hosts do meanwhile."""
    point, user, now = visible_point(request, pk), who(request), timezone.now()
    hosts = served_by(point, user)
    count = hosts.count()
    found = point.answer_at(now)
    context = {
        "title": point.name,
        "phase": 1,
        "ident": [_("distribution point"), point.address],
        "point": point,
        "found": found if _is_used(point) else "",
        "hosts": list(hosts[:SHOWN]),
        "more_hosts": max(0, count - SHOWN),
        "next": _next(point, found, count, now),
        "verbs": _verbs(point, user),
        "answers": [
            (_("Address"), point.address),
            (_("Serves"), serves(point)),
            (_("Limit for each host"), limit_of(point) or _("none")),
            (_("While nobody knows that it answers"), RULES[WhenSilent(point.when_silent)]),
        ],
        "timeline": audit.history(point)[:8],
        "crumbs": [parts.Crumb(_("Distribution points"), reverse("cmdb:point-list")), parts.Crumb(point.name)],
    }
    return render(request, "cmdb/point_detail.html", context)


def _next(point: DistributionPoint, found: PointAnswer, hosts: int, now: datetime) -> parts.Next:
    if not _is_used(point):
        return parts.Next(_("It is retired: nothing downloads through it."))
    if not hosts:
        detail = _("Put hosts into %(what)s, or say at the point whom else it serves.") % {"what": serves(point)}
        if found == PointAnswer.SILENT:
            mend = _("It does not answer: somebody must mend it.")
            return parts.Next(mend, f"{say(point.check_reason)} " + _("It serves no host in your sight."))
        return parts.Next(_("It serves no host in your sight."), detail)
    served = ngettext("%(n)d host downloads through it.", "%(n)d hosts download through it.", hosts) % {"n": hosts}
    if found == PointAnswer.ANSWERING:
        return parts.Next(served, say(point.check_reason))
    rule = _("Meanwhile %(rule)s.") % {"rule": RULES[WhenSilent(point.when_silent)]}
    if found == PointAnswer.SILENT:
        return parts.Next(_("It does not answer: somebody must mend it."), f"{say(point.check_reason)} {rule}")
    if point.checked_at is None:
        return parts.Next(_("Nobody knows yet whether it answers: check it."), rule)
    why = say(point.check_reason) if point.answered is None else _("The last check was %(age)s ago.") % {
        "age": words.duration(now - point.checked_at)
    }  # fmt: skip
    return parts.Next(_("Nobody knows whether it answers."), f"{why} {rule}")


def _verbs(point: DistributionPoint, user: User) -> list[Verb]:
    if not _is_used(point):
        return []
    place = {name: reverse(f"cmdb:point-{name}", args=[point.pk]) for name in ("check", "revise", "retire")}
    against, refused = points.why_not(point, "point.check", user), points.why_not(point, "point.edit", user)
    return [
        Verb("check", _("Check now"), place["check"], not against, tuple(against), icon="radar", primary=True),
        verbs.edit(place["revise"], refused),
        verbs.retire(place["retire"], refused),
    ]


@login_required
def point_add(request: HttpRequest) -> HttpResponseBase:
    """A new distribution point, in service at once."""
    user = who(request)
    form = PointForm(posted(request), viewer=user)
    if request.method == "POST" and form.is_valid():
        added = tried(form, points.add, actor=user, at=timezone.now(), **form.cleaned_data)
        if added:
            _tell(request, added, _("Added. Check now whether it answers."))
            return redirect(added)
    barred = points.why_not(None, "point.edit", user)
    return _form(request, form, _("Add a distribution point"), reverse("cmdb:point-list"), barred)


@login_required
def point_revise(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What people say of a point."""
    point, user = visible_point(request, pk), who(request)
    form = PointForm(posted(request), viewer=user, initial={name: getattr(point, name) for name in points.SAID})
    if request.method == "POST" and form.is_valid():
        saved = tried(form, points.revise, point_id=pk, actor=user, at=timezone.now(), **form.cleaned_data)
        if saved:
            _tell(request, saved, _("Saved."))
            return redirect(point)
    title = _("Edit “%(point)s”") % {"point": point}
    return _form(request, form, title, point.get_absolute_url(), points.why_not(point, "point.edit", user))


def _tell(request: HttpRequest, point: DistributionPoint, done: str) -> None:
    """That it is done, and how many hosts wait because of it."""
    waits = point.when_silent == WhenSilent.WAIT and point.answer_at(timezone.now()) != PointAnswer.ANSWERING
    hosts = served_by(point, who(request)).count() if waits else 0
    if not hosts:
        messages.success(request, done)
        return
    held = ngettext(
        "%(n)d host waits with its downloads until it answers.", "%(n)d hosts wait with their downloads until it answers.", hosts
    )  # fmt: skip
    messages.warning(request, f"{done} {held % {'n': hosts}}")


def _form(
    request: HttpRequest, form: forms.Form, title: str, cancel_url: str, barred: list[Blocker]
) -> HttpResponseBase:
    listed = parts.Crumb(_("Distribution points"), reverse("cmdb:point-list"))
    return form_page(request, form, title, cancel_url, barred, below=listed)


@login_required
@require_POST
def point_check(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Asks the point whether it answers. A refusal becomes the page of its reasons."""
    point = visible_point(request, pk)
    checked = points.check(point_id=point.pk, actor=who(request), at=timezone.now())
    tell = messages.success if checked.answered else messages.warning
    tell(request, say(checked.check_reason))
    return redirect(point)


@login_required
def point_retire(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Before a point is retired: which hosts lose it."""
    point, user = visible_point(request, pk), who(request)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        gone = tried(form, points.retire, point_id=pk, actor=user, at=timezone.now(), **form.cleaned_data)
        if gone:
            messages.success(request, _("Retired."))
            return redirect("cmdb:point-list")
    hosts = served_by(point, user)
    count = hosts.count()
    context = {
        "title": _("Retire “%(point)s”") % {"point": point},
        "barred": [] if request.method == "POST" else points.why_not(point, "point.edit", user),
        "phase": 1,
        "verb": Verb("retire", _("Retire"), dangerous=True, reach=point.name, icon="archive"),
        "reach": [Reach(count, ngettext("host loses it", "hosts lose it", count))],
        "consequences": [
            *([_named(list(hosts[:SHOWN]), count)] if count else []),
            _("They are served by the next point by the rule where there is one, or download directly; the slip of each says so."),
        ],
        "form": form,
        "cancel_url": point.get_absolute_url(),
        "crumbs": [parts.Crumb(_("Distribution points"), reverse("cmdb:point-list")), parts.Crumb(point.name)],
    }  # fmt: skip
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)


def _named(hosts: list[Host], count: int) -> str:
    names = ", ".join(host.name for host in hosts)
    more = count - len(hosts)
    return f"{names} " + _("and %(n)d more") % {"n": more} if more > 0 else names
