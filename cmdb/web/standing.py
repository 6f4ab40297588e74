"""How groups, classes and single hosts stand against the baselines in force, as pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from cmdb.domain import discrepancies
from cmdb.enums import BaselineResult
from cmdb.models import Baseline, Host, HostGroup
from cmdb.queries import standing
from cmdb.queries.baselines import of_host
from cmdb.queries.standing import HostStanding, Reason, Standing
from cmdb.web.forms import SettleForm, posted
from cmdb.web.host_verbs import crumbs, tried
from cmdb.web.hosts import visible_host, who
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts, states, wordtags
from patchflow.web.tables import Column, Filter, Listing, Table
from patchflow.web.verbs import Verb

SHOWN = 200
"""Packages that differ on the page of one host."""
GOOD = (str(BaselineResult.AT), str(BaselineResult.ABOVE))


# --- shared by the pages of groups and of baselines -------------------------------------------------------------------------
def interval_of(found: Standing, place: str = "") -> parts.Interval:
    """The honest interval, each figure with the address of the list that it counts."""
    counted = found.interval
    return parts.Interval(
        counted.good,
        counted.unknown,
        counted.bad,
        _("hosts at or above it"),
        _("at or above"),
        _("unknown"),
        _("below"),
        f"{place}?result=good",
        f"{place}?result=unknown",
        f"{place}?result=below",
        exempt=counted.exempt,
        exempt_url=f"{place}?result=exempt",
    )


def apart_of(found: Standing) -> str:
    """How many hosts are at their baseline because they have nothing that it names, and how the others stand; empty where
    every host has something of it."""
    without = sum(row.has_none for row in found.hosts)
    if not without:
        return ""
    said = ngettext(
        "%(n)d of them has nothing installed that its baseline names, and so nothing below it.",
        "%(n)d of them have nothing installed that their baseline names, and so nothing below it.",
        without,
    ) % {"n": without}
    others = found.with_packages
    if not others.total:
        return said
    counted = parts.Interval(others.good, others.unknown, others.bad)
    share = ngettext(
        "Of %(of)d other host at or above it: %(share)s.",
        "Of the %(of)d others at or above it: %(share)s.",
        counted.total,
    ) % {"of": counted.total, "share": counted.figure}
    return f"{said} {share}"


def counts_of(found: Standing, place: str = "", current: str = "") -> list[parts.Count]:
    """The five results, each opening its hosts."""
    counts, looks = found.counts(), states.table("cmdb.baselineresult")
    return [
        parts.Count(str(look.label), counts[name], look.css, f"{place}?result={name}", current=name == current)
        for name, look in looks.items()
    ]


def hosts_of(request: HttpRequest, hosts: QuerySet[Host], found: Standing, now: datetime) -> Listing:
    """The hosts behind the figures. Who looks at one result gets exactly those that it counts."""
    by_id = {row.host_id: row for row in found.hosts}

    def narrow(rows: QuerySet[Host], value: str) -> QuerySet[Host]:
        if value == "unexplained":
            ids = [row.host_id for row in found.hosts if row.result == BaselineResult.ABOVE and not row.explained]
            return rows.filter(pk__in=ids)
        return rows.filter(pk__in=found.ids(*(GOOD if value == "good" else (value,))))

    def shown(host: Host) -> Any:
        row = by_id[host.pk]
        word = wordtags.word("cmdb.baselineresult", row.result)
        return format_html("{} <span class='dim'>{}</span>", word, _("explained")) if row.explained else word

    choices = [
        *((name, look.label) for name, look in states.table("cmdb.baselineresult").items()),
        ("good", gettext_lazy("at or above")),
        ("unexplained", gettext_lazy("above, not explained")),
    ]
    return Listing(
        request,
        hosts.filter(pk__in=list(by_id)),
        [
            Column(_("Host"), "name", url=lambda h: reverse("cmdb:host-baseline", args=[h.pk]), sort="name"),
            Column(_("Result"), shown, text=lambda h: by_id[h.pk].result.label),
            Column(_("Why"), lambda h: why(by_id[h.pk]), wide=True),
            Column(_("Age"), "audited_at", age=True, numeric=True, sort="age"),
        ],
        sorts={"name": ("name",), "age": ("audited_at",)},
        default="name",
        filters=[Filter("result", _("Result"), narrow, choices), Filter("q", _("Name"), "name__icontains")],
        now=now,
        caption=_("Hosts"),
    )


def why(row: HostStanding) -> str:
    """A host's result in one sentence."""
    found = row.found
    if row.baseline is None:
        if found.audited_at is None:
            return _("It never reported, so no baseline can be found for it.")
        return _("No baseline is in force for its platform.")
    if found.stale:
        return _("It was never audited.") if found.audited_at is None else _("Its facts are too old to count.")
    said = [
        (found.below, ngettext("%(n)d package is below", "%(n)d packages are below", found.below)),
        (found.unreadable, ngettext("%(n)d version cannot be read", "%(n)d versions cannot be read", found.unreadable)),
        (found.above, ngettext("%(n)d package is above", "%(n)d packages are above", found.above)),
    ]
    told = ", ".join(text % {"n": count} for count, text in said if count)
    if not told and not found.at:
        return _("nothing that it names is installed")
    return told or ngettext("its package is at it", "all %(n)d packages are at it", found.at) % {"n": found.at}


# --- pages ----------------------------------------------------------------------------------------------------------------
@login_required
def baseline_standing(request: HttpRequest) -> HttpResponseBase:
    """Every group and every class with its five results; each figure opens its hosts."""
    now, user = timezone.now(), who(request)
    groups, classes = standing.of_groups(at=now, actor=user), standing.of_classes(at=now, actor=user)

    def place(row: Any) -> str:
        name = "group-baseline" if isinstance(row, HostGroup) else "baseline-detail"
        return reverse(f"cmdb:{name}", args=[row.pk])

    def table(found: dict[int, Standing], rows: list[Any], label: str, caption: str) -> Table:
        def figure(name: str) -> Column:
            look = states.look("cmdb.baselineresult", name)
            return Column(
                look.label,
                lambda r: found[r.pk].counts()[name],
                url=lambda r: f"{place(r)}?result={name}",
                numeric=True,
            )

        columns = [
            Column(label, str, url=place, wide=True),
            Column(_("At or above"), lambda r: interval_of(found[r.pk]).figure),
            *(figure(name) for name in states.table("cmdb.baselineresult")),
            Column(_("Oldest audit"), lambda r: found[r.pk].oldest_at, age=True, numeric=True),
        ]
        return Table(columns, rows, now, caption)

    named = list(HostGroup.objects.filter(pk__in=groups).order_by("name"))
    context = {
        "title": _("Against the baselines"),
        "phase": 1,
        "lede": _(
            "In each row a host has one result: below, at, above, exempt or unknown. Unknown ones make the share a range."
        ),
        "groups": table(groups, named, _("Group"), _("Groups")),
        "classes": table({b.pk: s for b, s in classes}, [b for b, _s in classes], _("Baseline in force"), _("Classes")),
        "crumbs": [parts.Crumb(_("Baselines"), reverse("cmdb:baseline-list")), parts.Crumb(_("Results"))],
    }
    return render(request, "cmdb/baseline_standing.html", context)


@login_required
def group_baseline(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The members of a group against the baselines in force: the interval, the five results, the hosts behind each."""
    now, user = timezone.now(), who(request)
    group = get_object_or_404(HostGroup.objects.all().visible_to(user), pk=pk)
    found = standing.of_group(group, at=now, actor=user)
    listing = hosts_of(request, Host.objects.live().visible_to(user), found, now)
    if listing.wants_csv:
        return listing.csv(f"baseline-{group.pk}.csv")
    context = {
        "title": _("%(group)s against its baselines") % {"group": group},
        "phase": 1,
        "ident": [_("host group"), group.get_kind_display()],
        "group": group,
        "listing": listing,
        "interval": interval_of(found),
        "apart": apart_of(found),
        "counts": counts_of(found, current=request.GET.get("result", "")),
        "baselines": sorted({row.baseline for row in found.hosts if row.baseline}, key=str),
        "oldest": found.oldest_at,
        "below": Below(_("group"), f"group={group.pk}", found),
        "empty_title": _("No host is in this group"),
        "crumbs": [
            parts.Crumb(_("Groups"), reverse("cmdb:group-list")),
            parts.Crumb(group.name, reverse("cmdb:group-detail", args=[pk])),
            parts.Crumb(_("Baselines")),
        ],
    }
    return render(request, "cmdb/group_baseline.html", context)


class Below:
    """What an app above is told of the hosts that are below: whose they are, and the address of that question."""

    def __init__(self, noun: str, query: str, found: Standing) -> None:
        self.noun, self.query = noun, query
        self.host_ids = found.ids(str(BaselineResult.BELOW))


@login_required
def host_baseline(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Why a host has its result: each package beside the version that the baseline wants; what to do about it."""
    host, now = visible_host(request, pk), timezone.now()
    seen = set(Baseline.objects.all().visible_to(who(request)).approved().values_list("pk", flat=True))
    cards = []
    left = dict(host.standings.filter(left_at__isnull=False).values_list("baseline_id", "left_at"))
    for baseline, found in of_host(host, at=now):
        rows = standing.reasons(host, baseline)
        differ = [row for row in rows if row.verdict != BaselineResult.AT]
        cards.append(
            {
                "baseline": baseline,
                "found": found,
                "in_sight": baseline.pk in seen,
                "why": why(HostStanding(host.pk, host.name, baseline, found)),
                "table": Table(_reason_columns(), differ[:SHOWN], now, str(baseline)),
                "more": max(len(differ) - SHOWN, 0),
                "same": len(rows) - len(differ),
                "absent": standing.absent(host, baseline)[:SHOWN],
                "left_at": left.get(baseline.pk),
                "verbs": _about_above(host, baseline, found.result, who(request)),
            }
        )
    context = {
        "title": _("%(host)s against its baselines") % {"host": host},
        "phase": 1,
        "host": host,
        "cards": cards,
        "crumbs": crumbs(host, _("Baselines")),
    }
    return render(request, "cmdb/host_baseline.html", context)


def _reason_columns() -> list[Column]:
    return [
        Column(_("Package"), "package"),
        Column(_("Installed"), "installed", mono=True, wide=True),
        Column(_("Baseline"), "wanted", mono=True, wide=True),
        Column(_("Result"), lambda r: wordtags.word("cmdb.baselineresult", r.verdict)),
        Column(_("Seen for"), _seen_at, age=True, numeric=True),
    ]


def _seen_at(row: Reason) -> datetime:
    return row.seen_at


def _about_above(host: Host, baseline: Baseline, result: str, user: Any) -> list[Verb]:
    """What can become of a host above its baseline: said who did it, or made the baseline. Others are panels of apps above."""
    if result != BaselineResult.ABOVE:
        return []
    refused = failing([capability("discrepancy.settle")], host, user)
    explain = reverse("cmdb:host-explain", args=[host.pk, baseline.pk])
    may_propose = failing([capability("baseline.propose")], baseline, user)
    adopt = f"{reverse('cmdb:baseline-propose')}?host={host.pk}&name={baseline.name}"
    return [
        Verb("explain", _("Say who changed it"), explain, not refused, refused, method="get", icon="check"),
        Verb("adopt", _("Make it the baseline"), adopt, not may_propose, may_propose, method="get", icon="compare"),
    ]


@login_required
def host_explain(request: HttpRequest, pk: int, baseline: int) -> HttpResponseBase:
    """Who changed a host that is above its baseline, and what was found out."""
    host = visible_host(request, pk)
    against = get_object_or_404(Baseline.objects.approved(), pk=baseline)
    form = SettleForm(posted(request), initial={"how": "explain"})
    results = {one.pk: found.result for one, found in of_host(host, at=timezone.now())}
    above = results.get(against.pk) == BaselineResult.ABOVE
    against_explaining = list(failing([capability("discrepancy.settle")], host, who(request)))
    if not above:
        said = english("It is not above this baseline: nothing is to be explained.")
        against_explaining.append(Blocker("conflict.state", said))
    if (
        request.method == "POST"
        and form.is_valid()
        and tried(
            form,
            discrepancies.explain_above,
            host_id=pk,
            baseline_id=baseline,
            actor=who(request),
            at=timezone.now(),
            **form.cleaned_data,
        )
    ):
        messages.success(request, _("Written down. It counts as explained until something newer appears."))
        return redirect("cmdb:host-baseline", pk)
    context = {
        "title": _("Why is %(host)s above %(baseline)s?") % {"host": host, "baseline": against},
        "phase": 1,
        "form": form,
        "barred": [] if request.method == "POST" else against_explaining,
        "submit_label": _("Write down"),
        "cancel_url": reverse("cmdb:host-baseline", args=[pk]),
        "crumbs": crumbs(host, _("Baselines")),
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
