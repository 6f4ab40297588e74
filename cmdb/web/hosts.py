"""The estate and its hosts as pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cmdb.enums import Criticality, Environment, ItemState
from cmdb.models import GroupMember, Host, HostGroup, Installation, PendingUpdate, Platform
from cmdb.queries import baselines, software, windows
from cmdb.queries.hosts import history_of, stale_after
from cmdb.queries.items import links_of
from cmdb.web import host_page, point_words
from patchflow.web import parts, states, words, wordtags
from patchflow.web.tables import Column, Filter, Listing, Table, list_page

SHOWN = 8
OPENINGS = 4


def who(request: HttpRequest) -> Any:
    """The logged-in person (the decorators saw to it)."""
    return request.user


def visible_host(request: HttpRequest, pk: int) -> Host:
    """The host, if the viewer sees it; 404 otherwise, whether it exists or not."""
    rows = Host.objects.visible_to(who(request)).select_related("ci__owner", "platform", "connection__jump__host")
    return get_object_or_404(rows, pk=pk)


# --- the estate --------------------------------------------------------------------------------------------------------------
def _pending() -> Any:
    waiting = PendingUpdate.objects.filter(host=OuterRef("pk"), gone_seen_at__isnull=True)
    return waiting.order_by().values("host").annotate(n=Count("pk")).values("n")


def _by_freshness(rows: QuerySet[Host], value: str) -> QuerySet[Host]:
    limit = timezone.now() - stale_after()
    stale, never = Q(audited_at__lt=limit), Q(audited_at__isnull=True)
    return rows.filter(
        {"fresh": Q(audited_at__gte=limit), "stale": stale, "never": never, "silent": stale | never}[value]
    )


def _by_state(rows: QuerySet[Host], value: str) -> QuerySet[Host]:
    return rows.filter(ci__state=value) if value != "all" else rows


def _in_group(rows: QuerySet[Host], value: str) -> QuerySet[Host]:
    return rows.filter(Exists(GroupMember.objects.filter(group_id=int(value), host=OuterRef("pk"))))


def _restart(rows: QuerySet[Host], value: str) -> QuerySet[Host]:
    return rows.filter(restart_needed={"yes": True, "no": False, "unknown": None}[value])


def _filters(request: HttpRequest) -> list[Filter]:
    groups = HostGroup.objects.live().visible_to(who(request))
    return [
        Filter(
            "q", gettext_lazy("Name"), lambda rows, text: rows.filter(Q(name__icontains=text) | Q(fqdn__icontains=text))
        ),
        Filter("group", gettext_lazy("Group"), _in_group, lambda: [(str(g.pk), g.name) for g in groups]),
        Filter("environment", gettext_lazy("Environment"), "ci__environment", Environment.choices),
        Filter(
            "criticality",
            gettext_lazy("Criticality"),
            "ci__criticality",
            [(str(value), label) for value, label in Criticality.choices],
        ),
        Filter(
            "platform",
            gettext_lazy("Platform"),
            "platform_id",
            lambda: [(str(p.pk), p.label) for p in Platform.objects.order_by("distribution", "release", "arch")],
        ),
        Filter(
            "facts",
            gettext_lazy("Facts"),
            _by_freshness,
            [
                *((name, look.label) for name, look in states.table("cmdb.freshness").items()),
                ("silent", gettext_lazy("stale or never audited")),
            ],
        ),
        Filter(
            "restart",
            gettext_lazy("Restart"),
            _restart,
            [("yes", gettext_lazy("needed")), ("no", gettext_lazy("not needed")), ("unknown", gettext_lazy("unknown"))],
        ),
        Filter("state", gettext_lazy("State"), _by_state, [("all", gettext_lazy("retired too")), *ItemState.choices]),
    ]


def _columns(now: datetime) -> list[Column]:
    def restart(host: Host) -> SafeString:
        return wordtags.word("cmdb.restart", host.restart_needed)

    def updates(host: Host) -> SafeString | str:
        if host.audited_at is None:
            return wordtags.say("st-unk", _("unknown"))
        return words.number(getattr(host, "waiting", None) or 0)

    def facts(host: Host) -> SafeString:
        return wordtags.word("cmdb.freshness", host_page.freshness(host, now))

    return [
        Column(_("Host"), "name", url=lambda h: reverse("cmdb:host-detail", args=[h.pk]), sort="name"),
        Column(
            _("Platform"),
            lambda h: h.platform.label.replace(" ", "\u00a0") if h.platform else "",
            text=lambda h: h.platform.label if h.platform else "",
            sort="platform",
            name="platform",
        ),
        Column(_("Environment"), lambda h: h.ci.get_environment_display(), name="environment"),
        Column(_("Criticality"), lambda h: h.ci.get_criticality_display(), sort="criticality", name="criticality"),
        Column(_("State"), "ci.state", state="cmdb.configurationitem"),
        Column(_("Facts"), facts, text=lambda h: host_page.freshness(h, now), name="facts"),
        Column(_("Restart"), restart, text=lambda h: h.restart_needed, name="restart"),
        Column(
            _("Offered updates"),
            updates,
            numeric=True,
            text=lambda h: getattr(h, "waiting", None),
            name="offered-updates",
        ),
        Column(_("Age"), "audited_at", age=True, numeric=True, sort="age"),
    ]


@list_page(gettext_lazy("Hosts"))
@login_required
def host_list(request: HttpRequest) -> HttpResponseBase:
    """The estate: every host the viewer sees, with what is known and how old it is."""
    now = timezone.now()
    seen = Host.objects.visible_to(who(request))
    asked = request.GET.get("state", "")
    rows = seen if asked in ("all", *ItemState.values) else seen.live()
    listing = Listing(
        request,
        rows.select_related("ci", "platform").annotate(waiting=Subquery(_pending())),
        _columns(now),
        sorts={
            "name": ("name",),
            "age": ("-audited_at",),
            "criticality": ("ci__criticality", "name"),
            "platform": ("platform__distribution", "platform__release", "name"),
        },
        default="name",
        filters=_filters(request),
        now=now,
        caption=_("Hosts"),
    )
    if listing.wants_csv:
        return listing.csv("hosts.csv")
    context = {
        "title": _("Estate"),
        "phase": 1,
        "listing": listing,
        "counts": _counts(seen.live(), now),
        "may_add": who(request).holds_somewhere("host.add"),
        "crumbs": [parts.Crumb(_("Estate"))],
    }
    return render(request, "cmdb/host_list.html", context)


def _counts(hosts: QuerySet[Host], now: datetime) -> list[parts.Count]:
    """How many facts count, and how many do not; each opens what it counts. One query."""
    limit = now - stale_after()
    found = hosts.aggregate(
        fresh=Count("pk", filter=Q(audited_at__gte=limit)),
        stale=Count("pk", filter=Q(audited_at__lt=limit)),
        never=Count("pk", filter=Q(audited_at__isnull=True)),
        restart=Count("pk", filter=Q(restart_needed=True)),
    )
    place = reverse("cmdb:host-list")
    hours = int(stale_after().total_seconds() // 3600)
    return [
        parts.Count(_("audited in %(n)d h") % {"n": hours}, found["fresh"], "st-good", f"{place}?facts=fresh"),
        parts.Count(_("facts stale"), found["stale"], "st-unk", f"{place}?facts=stale"),
        parts.Count(_("never audited"), found["never"], "st-unk", f"{place}?facts=never"),
        parts.Count(_("restart needed"), found["restart"], "st-warn", f"{place}?restart=yes"),
    ]


# --- a host ------------------------------------------------------------------------------------------------------------------
@login_required
def host_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A host: what happens next, what can be done, facts with source and age, software, windows, history."""
    host, now = visible_host(request, pk), timezone.now()
    scanning, last = host_page.open_scan_of(host), host_page.last_scan_of(host)
    openings = windows.openings_of_host(host.pk, after=now, count=OPENINGS)
    waiting = software.pending_counts([host.pk]).get(host.pk, (0, 0))
    upcoming = openings[0] if openings else None
    context = {
        "host": host,
        "title": host.name,
        "phase": 1,
        "ident": [
            _("host"),
            host.ci.get_environment_display(),
            _("criticality %(level)s") % {"level": host.ci.get_criticality_display()},
        ],
        "crumbs": [parts.Crumb(_("Estate"), reverse("cmdb:host-list")), parts.Crumb(host.name)],
        "freshness": host_page.freshness(host, now),
        "next": host_page.next_step(host, at=now, scanning=scanning, last=last, opening=upcoming, waiting=waiting),
        "verbs": host_page.verbs_of(host, actor=who(request), at=now, scanning=scanning),
        "scanning": scanning,
        "last_scan": last,
        "facts": host_page.shown_facts(host, now),
        "baselines": baselines.of_host(host, at=now),
        "pending": _pending_table(host, now),
        "waiting": waiting,
        "packages": _package_table(host, now),
        "package_count": software.package_counts([host.pk]).get(host.pk, 0),
        "windows": _window_table(openings, now),
        "groups": host.memberships.select_related("group").order_by("group__name"),
        "discrepancies": host.discrepancies.all().open(),
        "connection": host_page.connection_of(host),
        "related": links_of(host.ci, who(request)),
        "connection_rows": host_page.connection_rows(host),
        "downloads": point_words.download_rows(host, who(request), now),
        "timeline": history_of(host)[:SHOWN],
    }
    return render(request, "cmdb/host_detail.html", context)


def _pending_table(host: Host, now: datetime) -> Table:
    rows = software.pending_of(host.pk)[:SHOWN]
    return Table(_pending_columns(), rows, now, _("Offered updates"))


def _pending_columns() -> list[Column]:
    return [
        Column(_("Package"), "name", sort="name"),
        Column(_("Installed"), "installed_version", mono=True, wide=True),
        Column(_("Offered"), "candidate_version", mono=True, wide=True),
        Column(
            _("Kind"),
            lambda p: wordtags.word("cmdb.pending", p.is_security),
            text=lambda p: wordtags.look_for("cmdb.pending", p.is_security).label,
            name="kind",
        ),
        Column(_("Since"), "seen_at", age=True, numeric=True, sort="age"),
    ]


def _package_columns() -> list[Column]:
    def readable(row: Installation) -> SafeString | str:
        if row.package_version.key is None:
            return wordtags.say("st-unk", _("version cannot be read"))
        if row.held:
            return wordtags.say("st-open", _("held"), "lock")
        return row.status if row.status != "installed" else ""

    return [
        Column(_("Package"), "package_version.name", sort="name"),
        Column(_("Version"), "package_version.version", mono=True, wide=True),
        Column(_("Source"), "package_version.source_name"),
        Column(_("Origin"), lambda r: r.package_version.get_origin_class_display(), name="origin"),
        Column(_("Remark"), readable, text=lambda r: r.status, name="remark"),
        Column(_("Seen for"), "installed_seen_at", age=True, numeric=True, sort="age"),
    ]


def _package_table(host: Host, now: datetime) -> Table:
    newest = Installation.objects.open().filter(host=host).select_related("package_version")
    columns = [
        c for c in _package_columns() if str(c.label) in (_("Package"), _("Version"), _("Remark"), _("Seen for"))
    ]
    return Table(columns, newest.order_by("-installed_seen_at", "pk")[:SHOWN], now, _("Packages that came last"))


def _window_table(openings: list[windows.Opening], now: datetime) -> Table:
    columns = [
        Column(_("Next openings"), lambda o: host_page.opening_words(o, now)),
        Column(
            _("Window"),
            lambda o: f"{o.name}, {words.duration(o.ends_at - o.starts_at)}",
            url=lambda o: reverse("cmdb:window-detail", args=[o.window_id]),
            wide=True,
        ),
    ]
    return Table(columns, openings, now, _("Next openings"))


@list_page(gettext_lazy("Installed packages"))
@login_required
def host_packages(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Every package of a host."""
    host, now = visible_host(request, pk), timezone.now()
    listing = Listing(
        request,
        Installation.objects.open().filter(host=host).select_related("package_version"),
        _package_columns(),
        sorts={"name": ("package_version__name",), "age": ("-installed_seen_at",)},
        default="name",
        filters=[
            Filter("q", _("Package"), "package_version__name__icontains"),
            Filter(
                "unreadable",
                _("Version"),
                lambda r, _v: r.filter(package_version__key=None),
                [("yes", _("cannot be read"))],
            ),
        ],
        now=now,
        caption=_("Packages"),
    )
    return _part(request, host, listing, _("Packages"), _("No package is known"))


@list_page(gettext_lazy("Offered updates"))
@login_required
def host_pending(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Everything that the host's own package manager offers."""
    host, now = visible_host(request, pk), timezone.now()
    listing = Listing(
        request,
        PendingUpdate.objects.filter(host=host, gone_seen_at__isnull=True),
        _pending_columns(),
        sorts={"name": ("name",), "age": ("-seen_at",)},
        default="name",
        filters=[Filter("security", _("Kind"), "is_security", [("True", _("security")), ("False", _("other"))])],
        now=now,
        caption=_("Offered updates"),
    )
    return _part(request, host, listing, _("Offered updates"), _("Its package manager offers nothing"))


def _part(request: HttpRequest, host: Host, listing: Listing, title: str, nothing: str) -> HttpResponseBase:
    if listing.wants_csv:
        return listing.csv(f"{host.name}.csv")
    place = reverse("cmdb:host-detail", args=[host.pk])
    context = {
        "title": f"{title} · {host.name}",
        "phase": 1,
        "listing": listing,
        "empty_title": nothing,
        "empty_advice": _("What is known comes from scans."),
        "empty_url": place,
        "empty_label": _("Back to the host"),
        "crumbs": [
            parts.Crumb(_("Estate"), reverse("cmdb:host-list")),
            parts.Crumb(host.name, place),
            parts.Crumb(title),
        ],
    }
    return render(request, "web/list.html", context)
