"""Pages of updates: parse, one verb, render."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changes.domain import responses
from changes.enums_identify import Response, SeverityStep, UpdateClass, UpdateOrigin
from changes.models import SoftwareUpdate
from changes.queries.applicability import MISSING, verdict_counts
from changes.queries.coverage import coverage
from changes.queries.cycles import cycle_choices
from changes.queries.notice import ClockState, begun_at, clock_state
from changes.queries.updates import carried, counted, relevant
from changes.rules_identify import may_respond
from changes.web import update_parts
from changes.web.update_forms import ClassifyForm, RespondForm, refuse
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import failing
from patchflow.kernel.sentences import say
from patchflow.web import states, wordtags
from patchflow.web.parts import Crumb
from patchflow.web.tables import Column, Filter, Listing, csv_response, list_page


def visible_update(request: HttpRequest, pk: int) -> SoftwareUpdate:
    """The update, if the person may look at updates; 404 otherwise."""
    return get_object_or_404(SoftwareUpdate.objects.visible_to(request.user).select_related("superseded_by"), pk=pk)


def address_of(update: SoftwareUpdate) -> str:
    return reverse("changes:update-detail", args=[update.pk])


# --- the list ---------------------------------------------------------------------------------------------------------
SORTS = {
    "name": ("name", "pk"),
    "severity": ("severity_rank", "pk"),
    "class": ("start_by", "pk"),
    "missing": ("missed", "pk"),
    "notified": ("notified_at", "pk"),
    "known": ("known_at", "pk"),
}
SHOWN = [
    ("superseded", gettext_lazy("also superseded")),
    ("all", gettext_lazy("all that are known")),
]
OVER = (ClockState.MISSED, ClockState.LATE)
"""Clocks that ran out before production began."""


def _platforms() -> list[tuple[str, str]]:
    found = SoftwareUpdate.objects.notified().values_list("distribution", "release").distinct()
    return [(f"{name}:{release}", f"{name} {release}") for name, release in found.order_by("distribution", "release")]


def _on_platform(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    distribution, _sep, release = value.partition(":")
    return rows.filter(distribution=distribution, release=release)


def _filters(cycle: str) -> list[Filter]:
    """`cycle`: the one that is asked for, which may be older than those that are offered."""
    return [
        Filter("q", gettext_lazy("Name"), "name__icontains", hint=gettext_lazy("openssl")),
        Filter("cve", gettext_lazy("Vulnerability"), _with_cve, hint=gettext_lazy("CVE-2026-1234")),
        Filter("platform", gettext_lazy("Platform"), _on_platform, _platforms),
        Filter("class", gettext_lazy("Class"), "update_class", UpdateClass.choices),
        Filter(
            "severity",
            gettext_lazy("Severity"),
            "severity_rank",
            [(str(v), label) for v, label in SeverityStep.choices],
        ),
        Filter(
            "response",
            gettext_lazy("Response"),
            _by_response,
            [*Response.choices, ("carried", gettext_lazy("in a change"))],
        ),
        Filter("exploited", gettext_lazy("Known exploited"), _exploited, [("yes", gettext_lazy("yes"))]),
        Filter(
            "clock",
            gettext_lazy("Start-by"),
            _by_clock,
            [("over", gettext_lazy("past")), ("running", gettext_lazy("still to come"))],
        ),
        Filter("origin", gettext_lazy("Origin"), "origin", UpdateOrigin.choices),
        Filter("cycle", gettext_lazy("Cycle"), "cycle_rows__cycle", lambda: cycle_choices(cycle)),
        Filter(
            "missing",
            gettext_lazy("Missing"),
            _missed,
            [("yes", gettext_lazy("on a host")), ("no", gettext_lazy("nowhere"))],
        ),
        Filter("shown", gettext_lazy("Shown"), lambda rows, _value: rows, SHOWN),
    ]


def _by_response(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    """What a change carries is not undecided, although nobody has written down a response of its own."""
    if value == "carried":
        return rows.filter(carried(), response=Response.UNDECIDED)
    rows = rows.filter(response=value)
    return rows.filter(~carried()) if value == Response.UNDECIDED else rows


def _with_cve(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(advisories__vulnerabilities__cve__iexact=value).distinct()


def _exploited(rows: QuerySet[Any], _value: str) -> QuerySet[Any]:
    return rows.filter(exploited=True)


def _by_clock(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    now = timezone.now()
    return rows.filter(start_by__lt=now) if value == "over" else rows.filter(start_by__gte=now)


def _missed(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    return rows.filter(missed__gt=0) if value == "yes" else rows.filter(missed=0)


def _columns(counts: dict[int, dict[str, int]], selectable: bool, now: datetime) -> list[Column]:
    def box(update: SoftwareUpdate) -> SafeString:
        label = _("Choose %(name)s") % {"name": update}
        return format_html('<input type="checkbox" name="update" value="{}" aria-label="{}">', update.pk, label)

    def name(update: SoftwareUpdate) -> SafeString:
        mark = wordtags.say("st-bad", _("known exploited"), "flame") if update.exploited else ""
        newer = (
            format_html(
                '<div class="tiny dim">{}</div>', _("replaced by %(v)s") % {"v": update.superseded_by.fixed_version}
            )
            if update.superseded_by
            else ""
        )
        return format_html(
            '<a href="{}"><b>{}</b> <span class="ver">{}</span></a> {}{}',
            address_of(update), update.name, update.fixed_version, mark, newer,
        )  # fmt: skip

    def missing(update: SoftwareUpdate) -> int:
        return sum(counts.get(update.pk, {}).get(verdict, 0) for verdict in MISSING)

    def start_by(update: SoftwareUpdate) -> Any:
        begun: datetime | None = update.begun_at  # type: ignore[attr-defined]
        is_late = missing(update) and clock_state(update, update.notified_at or now, begun, now) in OVER
        return wordtags.missed(update.start_by, now) if is_late else update.start_by  # type: ignore[arg-type]

    columns = [
        Column(_("Update"), name, wide=True, sort="name", text=lambda u: f"{u.name} {u.fixed_version}", name="update"),
        Column(_("Platform"), lambda u: f"{u.distribution}\u00a0{u.release}", name="platform"),
        Column(_("Severity"), lambda u: u.severity or u.get_severity_rank_display(), sort="severity", name="severity"),
        Column(_("Class"), "update_class", state="changes.updateclass"),
        Column(_("Missing"), missing, numeric=True, sort="missing", name="missing"),
        Column(
            _("Unknown"),
            lambda u: counts.get(u.pk, {}).get("unknown", 0),
            numeric=True,
            name="unknown",
        ),
        Column(_("Response"), update_parts.response_of, state="changes.response", name="response"),
        Column(_("Start by"), start_by, sort="class", wide=True, text=lambda u: u.start_by),
        Column(_("Notified"), "notified_at", age=True, numeric=True, sort="notified"),
    ]
    return [Column("", box), *columns] if selectable else columns


@list_page(gettext_lazy("Updates"))
@login_required
@require_safe
def update_list(request: HttpRequest) -> HttpResponseBase:
    """The catalogue: what applies here first; choose several and raise an RFC for them."""
    actor: Any = request.user
    now = timezone.now()
    shown = request.GET.get("shown", "")
    rows = SoftwareUpdate.objects.visible_to(actor) if shown else relevant(actor)
    if shown == "superseded":
        rows = rows.notified().filter(withdrawn_at__isnull=True)
    may_raise = actor.holds_somewhere("rfc.raise")
    counts: dict[int, dict[str, int]] = {}

    def learn(piece: Sequence[SoftwareUpdate]) -> None:
        counts.update(verdict_counts([update.pk for update in piece], actor=actor))

    listing = Listing(
        request,
        counted(rows, actor).select_related("superseded_by").annotate(carried=carried(), begun_at=begun_at(actor)),
        _columns(counts, may_raise, now),
        sorts=SORTS,
        default="class",
        now=now,
        filters=_filters(request.GET.get("cycle", "")),
        caption=_("Updates"),
    )
    if listing.wants_csv:
        return listing.csv("updates.csv", learn=learn)
    learn(listing.page.rows)
    context = {
        "title": _("Updates"),
        "phase": 2,
        "listing": listing,
        "may_raise": may_raise,
        "raise_url": reverse("changes:rfc-raise"),
        "coverage": update_parts.coverage_statements(coverage(at=now, actor=actor)),
        "may_manage": actor.holds_somewhere("feed.manage"),
    }
    return render(request, "changes/update_list.html", context)


# --- one update -------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def update_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """What it is, which hosts miss it and why, what is done about it."""
    update = visible_update(request, pk)
    form = RespondForm(initial={"response": update.response})
    return render(request, "changes/update_detail.html", _page(request, update, form, timezone.now()))


def _page(request: HttpRequest, update: SoftwareUpdate, form: RespondForm, now: datetime) -> dict[str, Any]:
    actor: Any = request.user
    verdict = request.GET.get("verdict", "")
    return {**update_parts.page_of(update, actor=actor, now=now, verdict=verdict), "form": form, "now": now}


@login_required
@require_safe
def update_hosts(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Every host that has its packages, with verdict and versions, as CSV."""
    update = visible_update(request, pk)
    actor: Any = request.user
    columns = [(label, take) for label, take in update_parts.HOST_FILE_COLUMNS]
    rows = update_parts.host_lines(update, actor=actor, now=timezone.now())
    return csv_response(f"{update.name}-{update.fixed_version}-hosts.csv", columns, rows)


@login_required
@require_POST
def update_respond(request: HttpRequest, pk: int) -> HttpResponse:
    """Decides what is done about it."""
    update = visible_update(request, pk)
    actor: Any = request.user
    form = RespondForm(request.POST)
    if form.is_valid():
        try:
            responses.respond(update_id=update.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            word = states.look("changes.response", form.cleaned_data["response"]).label
            messages.success(request, _("Response: %(word)s.") % {"word": word})
            return redirect("changes:update-detail", pk=pk)
    return render(request, "changes/update_detail.html", _page(request, update, form, timezone.now()), status=400)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def update_classify(request: HttpRequest, pk: int) -> HttpResponse:
    """Gives it another class; the clock keeps its start."""
    update = visible_update(request, pk)
    actor: Any = request.user
    form = ClassifyForm(request.POST or None, initial={"update_class": update.update_class})
    if request.method == "POST" and form.is_valid():
        try:
            responses.classify(update_id=update.pk, actor=actor, at=timezone.now(), **form.cleaned_data)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("The class is changed; the clock still counts from the notification."))
            return redirect("changes:update-detail", pk=pk)
    context = {
        "title": _("Change the class of %(update)s") % {"update": update},
        "lede": (_("Now %(cls)s: %(why)s") if update.class_reason else _("Now %(cls)s."))
        % {"cls": update.get_update_class_display(), "why": say(update.class_reason, mixed=True)},
        "phase": 2,
        "form": form,
        "submit_label": _("Change the class"),
        "consequences": [_("Its clock keeps counting from the notification; only its end moves.")],
        "barred": [] if request.method == "POST" else failing([may_respond], update, actor),
        "cancel_url": address_of(update),
        "crumbs": [
            Crumb(_("Updates"), reverse("changes:update-list")),
            Crumb(str(update), address_of(update)),
            Crumb(_("Change the class")),
        ],
    }
    return render(request, "web/form.html", context, status=400 if form.errors else 200)
