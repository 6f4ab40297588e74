"""Pages of RFCs: the list, one RFC, its targets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from changes.domain.rfc_gates import owed
from changes.enums import STEPS, TERMINAL, EvidenceKind, RFCKind, RFCState, UpdateClass
from changes.models import RFC
from changes.queries.conflicts import find_conflicts
from changes.queries.cycles import cycle_choices, states_in
from changes.queries.fitting import Fit, fit_of
from changes.queries.holds import open_hold_of, open_holds
from changes.queries.rfcs import changes_since_signed, history_of, in_sight, last_voided, sees_all, targets_seen
from changes.queries.risk import cost_of_waiting
from changes.web import ladders, rfc_next, rfc_parts
from changes.web.change_task_parts import tasks_of
from changes.web.rfc_verbs import verbs_of_rfc
from cmdb.models import Host
from patchflow.kernel.models import User
from patchflow.kernel.signoffs import rounds_of
from patchflow.web import states, words, wordtags
from patchflow.web.parts import Crumb, Statement
from patchflow.web.tables import Column, Filter, Listing, list_page


def visible_rfc(request: HttpRequest, pk: int) -> RFC:
    """The RFC, if the person may see it; 404 otherwise."""
    rows = RFC.objects.visible_to(request.user).select_related("requested_by", "cycle", "change_model")  # type: ignore[arg-type]
    return get_object_or_404(rows, pk=pk)


def crumbs_of(rfc: RFC, title: Any) -> list[Crumb]:
    """The way back from the page of an act to the RFC."""
    return [
        Crumb(_("Changes"), reverse("changes:rfc-list")),
        Crumb(rfc.number, rfc.get_absolute_url()),
        Crumb(str(title)),
    ]


def _kind_of(rfc: RFC) -> str:
    """Its kind, that it is a trial's, and that it is on hold (`held`, as `rfc_list` reads it)."""
    kind = str(rfc.get_kind_display())
    kind = _("%(kind)s, trial") % {"kind": kind} if rfc.trial else kind
    return _("%(kind)s, on hold") % {"kind": kind} if rfc.held else kind  # type: ignore[attr-defined]


def start_by_of(rfc: RFC, now: datetime) -> Any:
    """Its start-by target; as missed where the clock has run past it."""
    clock = rfc_parts.clock_of(rfc)
    if clock is None or (clock.stopped_at or now) <= clock.ends_at:
        return rfc.start_by
    return wordtags.missed(clock.ends_at, now)


def first_possible_of(rfc: RFC, moment: datetime | None, now: datetime) -> Any:
    """The first start that a window gives a host, and that this is too late where it is."""
    clock = rfc_parts.clock_of(rfc)
    if moment is None or clock is None or clock.stopped_at is not None or moment <= clock.ends_at:
        return moment
    said = _("%(when)s, after the start-by target") % {"when": words.at(moment, now=now)}
    return wordtags.say("st-warn", said)


# --- the list --------------------------------------------------------------------------------------------------------------
COLUMNS = (
    Column(gettext_lazy("RFC"), "number", url=RFC.get_absolute_url, mono=True, sort="number"),
    Column(gettext_lazy("Title"), "title", url=RFC.get_absolute_url, wide=True),
    Column(gettext_lazy("State"), "state", state="changes.rfc", sort="state"),
    Column(gettext_lazy("Since"), "state_at", age=True, numeric=True, sort="since"),
    Column(gettext_lazy("Kind"), lambda rfc: _kind_of(rfc), name="kind"),
    Column(gettext_lazy("Class"), lambda rfc: rfc.get_update_class_display(), sort="class", name="class"),
    Column(
        gettext_lazy("Start by"),
        lambda rfc: start_by_of(rfc, timezone.now()),
        text=lambda rfc: rfc.start_by,
        sort="clock",
        wide=True,
    ),
    Column(gettext_lazy("Hosts"), "hosts", numeric=True, sort="hosts"),
    Column(gettext_lazy("By"), "requested_by.username"),
)
SORTS = {
    "number": ("id",),
    "state": ("state", "id"),
    "since": ("state_at", "id"),
    "class": ("update_class", "id"),
    "clock": ("start_by", "id"),
    "hosts": ("hosts", "id"),
}


def _in_phase(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    """Those that stand in this column of their cycle."""
    return rows.filter(state__in=states_in(value))


@list_page(gettext_lazy("Changes"))
@login_required
@require_safe
def rfc_list(request: HttpRequest) -> HttpResponseBase:
    """All RFCs that the person may see."""
    actor: Any = request.user
    live = Q(in_sight(actor, "targets__host"), targets__removed_at__isnull=True, targets__left_at__isnull=True)
    rows = RFC.objects.visible_to(actor).select_related("requested_by")
    listing = Listing(
        request,
        rows.annotate(hosts=Count("targets", filter=live), held=Exists(open_holds(RFC, OuterRef("pk")))),
        COLUMNS,
        sorts=SORTS,
        default="-number",
        now=timezone.now(),
        filters=(
            Filter("state", gettext_lazy("State"), "state", RFCState.choices),
            Filter("kind", gettext_lazy("Kind"), "kind", RFCKind.choices),
            Filter("class", gettext_lazy("Class"), "update_class", UpdateClass.choices),
            Filter("cycle", gettext_lazy("Cycle"), "cycle_id", lambda: cycle_choices(request.GET.get("cycle", ""))),
            Filter("phase", gettext_lazy("Phase"), _in_phase, [(p, p.label) for p in STEPS if states_in(p)]),
            Filter("title", gettext_lazy("Title"), "title__icontains"),
            Filter("by", gettext_lazy("Requested by"), "requested_by__username__iexact"),
        ),
        caption=_("Changes"),
    )
    if listing.wants_csv:
        return listing.csv("changes.csv")
    context = {
        "title": _("Changes"),
        "phase": 3,
        "listing": listing,
        "may_raise": request.user.holds_somewhere("rfc.raise"),  # type: ignore[union-attr]
        "raise_url": reverse("changes:rfc-raise"),
    }
    return render(request, "changes/rfc_list.html", context)


# --- one RFC -----------------------------------------------------------------------------------------------------------------
@login_required
@require_safe
def rfc_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Everything about one RFC; what can be done first."""
    rfc = visible_rfc(request, pk)
    now = timezone.now()
    actor: Any = request.user
    from changes.web.dossiers import dossier_of

    context = page_of(rfc, actor=actor, now=now) | dossier_of(rfc, actor=actor, now=now)
    context |= tasks_of(rfc, actor=actor, now=now)
    return render(request, "changes/rfc_detail.html", context)


def page_of(rfc: RFC, *, actor: User, now: Any) -> dict[str, Any]:
    """What the page of an RFC shows."""
    whole = sees_all(rfc, actor)
    targets = list(targets_seen(rfc, actor))
    round_ = rounds_of(rfc).first()
    cost = cost_of_waiting(rfc, at=now, actor=actor)
    risk_now = rfc.risk
    since = changes_since_signed(rfc)
    verbs, also = verbs_of_rfc(rfc, actor=actor, at=now)
    return {
        "rfc": rfc,
        "title": rfc.title,
        "phase": rfc_next.phase_of(rfc),
        "ident": [
            rfc.number,
            _("%(kind)s change, class %(cls)s")
            % {"kind": rfc.get_kind_display(), "cls": rfc.get_update_class_display()},
            *([_("trial: never counts as real")] if rfc.trial else []),
        ],
        "next": rfc_next.next_of(rfc, now=now),
        "still_missing": rfc_parts.still_missing(rfc, actor, now=now),
        "verbs": [*verbs, *(verb for verb in also if not verb.allowed)],
        "also": [verb for verb in also if verb.allowed],
        "held": open_hold_of(rfc) is not None,
        "ended": rfc.state in TERMINAL,
        "done": rfc.state in (*TERMINAL, RFCState.IN_REVIEW),
        "risk": risk_now,
        "risk_look": states.look("changes.risk", risk_now.level) if risk_now else None,
        "risk_lines": rfc_parts.risk_statements(risk_now, whole=whole),
        "risk_old": risk_now is not None and risk_now.content_digest != rfc.content_digest(),
        "cost": cost,
        "cost_head": rfc_parts.cost_head(cost),
        "cost_rows": rfc_parts.waiting_rows(cost, now=now),
        "round": round_,
        "lapsed": "" if round_ is None or round_.is_open else rfc_next.lapse_said(rfc, now=now),
        "whole": whole,
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        **_to_be_asked(rfc, whole=whole, at=now),
        "owed": [] if rfc.state in TERMINAL else [Statement("st-warn", str(b)) for b in owed(rfc)],
        "glass": list(rfc.glass.select_related("asked_by", "broken_by", "reviewed_by")),
        "target_count": len(targets),
        "scope_done": rfc_parts.scope_done(rfc, targets),
        "scope_rows": rfc_parts.scope_rows(targets),
        "left_count": rfc.targets.filter(in_sight(actor), left_at__isnull=False, removed_at__isnull=True).count(),
        "updates": list(rfc.updates.filter(removed_at__isnull=True)),
        "windows": rfc.windows.all(),
        "plans": [(label, getattr(rfc, name)) for name, label in rfc_parts.PLAN_NAMES],
        "evidence": rfc_parts.evidence_statements(rfc, whole=whole, now=now),
        "since_signed": rfc_parts.differences(since),
        "last_voided": rfc_parts.differences(last_voided(rfc)) if not since else [],
        "revisions": list(rfc.revisions.select_related("by")[:8]),
        "clock": rfc_parts.clock_of(rfc),
        "tested_since": risk_now is not None
        and rfc.evidence.filter(at__gte=risk_now.at, passed__isnull=False)
        .exclude(kind=EvidenceKind.PLAN_REHEARSAL)
        .exists(),
        "conflicts": []
        if rfc.state in (*TERMINAL, RFCState.IN_REVIEW)
        else rfc_parts.conflict_statements(find_conflicts(rfc, at=now), actor, whole=whole),
        "links": _links(rfc),
        "timeline": history_of(rfc)[:20],
    }


def _to_be_asked(rfc: RFC, *, whole: bool, at: datetime) -> dict[str, Any]:
    """Who would be asked if approval were requested now, while nobody is. What stands against it may name hosts: for who
    sees them all."""
    if rfc.state not in TO_BE_ASKED:
        return {}
    levels, against = ladders.levels_to_come(rfc, at=at)
    return {
        "to_come": levels,
        "to_come_against": against if whole else [],
        "to_come_without": ladders.routes_not_asked(rfc, at=at),
    }


def _links(rfc: RFC) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [
        (_("Cycle"), format_html('<a href="{}">{}</a>', rfc.cycle.get_absolute_url(), rfc.cycle)),
    ]
    if rfc.change_model:
        model = rfc.change_model
        link = format_html('<a href="{}">{}</a> ({})', model.get_absolute_url(), model, model.get_state_display())
        found.append((_("Model"), link))
    return found


TO_BE_ASKED = (RFCState.DRAFT, RFCState.SUBMITTED, RFCState.EVALUATING)
TARGET_COLUMNS = (
    Column(gettext_lazy("Host"), "host_name", sort="name"),
    Column(gettext_lazy("Environment"), rfc_parts.environment_of),
    Column(gettext_lazy("Criticality"), rfc_parts.criticality_of, sort="criticality", text=lambda t: t.criticality),
    Column(
        gettext_lazy("Outcome"), lambda t: "left" if t.left_at else t.outcome, state="changes.rfctarget", name="outcome"
    ),
)


@list_page(gettext_lazy("Targets"))
@login_required
@require_safe
def rfc_targets(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The targets of an RFC that the person may see, and when each fits its windows."""
    rfc, now = visible_rfc(request, pk), timezone.now()
    visible = Host.objects.visible_to(request.user)  # type: ignore[arg-type]
    fit = Fit() if rfc.state in TERMINAL else fit_of(rfc, at=now)
    listing = Listing(
        request,
        rfc.targets.filter(removed_at__isnull=True, host__in=visible),
        (
            *TARGET_COLUMNS,
            Column(
                _("First possible"),
                lambda t: first_possible_of(rfc, fit.fits.get(t.host_id), now),
                text=lambda t: fit.fits.get(t.host_id),
                name="first-possible",
                wide=True,
            ),
            Column(
                _("Why not"),
                lambda t: t.left_reason or fit.unfit.get(t.host_id, ""),
                kept="mixed",
                wide=True,
                name="why-not",
            ),
        ),
        sorts={"name": ("host_name", "id"), "criticality": ("criticality", "id")},
        default="name",
        now=now,
        filters=(
            Filter("name", gettext_lazy("Name"), "host_name__icontains"),
            Filter(
                "fits",
                gettext_lazy("Fits its windows"),
                lambda rows, value: rows.filter(host_id__in=list(fit.fits if value == "yes" else fit.unfit)),
                [("yes", gettext_lazy("yes")), ("no", gettext_lazy("no"))],
            ),
        ),
        caption=_("Targets"),
    )
    if listing.wants_csv:
        return listing.csv(f"{rfc.number}-targets.csv")
    title = _("Targets of %(number)s") % {"number": rfc.number}
    return render(request, "web/list.html", {"title": title, "listing": listing, "lede": rfc.title})
