"""Pages of approval routes: who is asked besides, of which changes, and which changes that meets now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from changes.domain import routing
from changes.domain.policy import default_levels
from changes.enums import RFCKind, RFCState, RiskLevel, UpdateClass
from changes.models import RFC, ApprovalRoute
from changes.queries.idle_routes import deciders, why_idle
from changes.queries.routing import meeting, named_for
from changes.web.levels import level_fields, level_given, level_initial, level_words
from changes.web.rfc_forms import Area, ReasonForm, refuse
from cmdb.enums import Criticality, Environment, ItemKind
from cmdb.models import HostGroup
from cmdb.queries.support import items_in_sight
from patchflow.kernel import audit
from patchflow.kernel.blockers import Blocker, here
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web import parts, wordtags
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Reach, Verb

LEVEL = "level_"
AHEAD = (RFCState.DRAFT, RFCState.SUBMITTED, RFCState.EVALUATING)
LOOKED_AT = 200
"""Changes not yet asked about that the page of a route tries it on, the newest first."""


class RouteForm(forms.Form):
    """A route: what changes, what targets, which level."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds of change"),
        choices=[(k.value, k.label) for k in routing.ASKED],
        initial=[RFCKind.NORMAL.value],
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("A standard change that its licence does not cover counts as normal."),
    )
    min_risk = forms.ChoiceField(
        label=gettext_lazy("Risk from"), choices=[("", gettext_lazy("any")), *RiskLevel.choices], required=False
    )
    classes = forms.MultipleChoiceField(
        label=gettext_lazy("Urgency classes"), choices=UpdateClass.choices, required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None chosen: any."),
    )  # fmt: skip
    max_criticality = forms.TypedChoiceField(
        label=gettext_lazy("Criticality from"), choices=[("", gettext_lazy("any")), *Criticality.choices], coerce=int,
        required=False, empty_value=None, help_text=gettext_lazy("A host of this criticality or a higher one; 1 is the highest."),
    )  # fmt: skip
    environments = forms.MultipleChoiceField(
        label=gettext_lazy("Environments"),
        choices=Environment.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    group_ids = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Host groups"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Hosts of one of them. None chosen: any."),
    )  # fmt: skip
    service_ids = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Services"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("Hosts on which one of them rests. None chosen: any."),
    )  # fmt: skip
    reason = forms.CharField(label=gettext_lazy("Why it is asked"), widget=Area(2), max_length=2000)
    asked_last = forms.BooleanField(label=gettext_lazy("Asked after the usual levels"), required=False)

    def __init__(self, data: Any = None, *, actor: User, route: ApprovalRoute | None = None) -> None:
        super().__init__(data, initial=_initial(route) if route else {})
        services = items_in_sight(actor).filter(kind=ItemKind.SERVICE).order_by("name").values_list("pk", "name")
        groups = HostGroup.objects.live().visible_to(actor).order_by("name").values_list("pk", "name")
        kept: list[list[Any]] = [list(route.groups.all()), list(route.services.all())] if route else [[], []]
        offered: list[list[tuple[int, str]]] = [
            [*rows, *((one.pk, one.name) for one in own if one.pk not in dict(rows))]
            for rows, own in zip((list(groups), list(services)), kept, strict=True)
        ]
        for name, choices in zip(("group_ids", "service_ids"), offered, strict=True):
            chosen: Any = self.fields[name]
            chosen.choices = choices
            if not choices:
                del self.fields[name]
        self.fields |= level_fields(LEVEL, needed=True)

    def conditions(self) -> list[Any]:
        """The fields that say of which changes."""
        return [self[name] for name in self.fields if not name.startswith(LEVEL) and name != "asked_last"]

    def level(self) -> list[Any]:
        """The fields that say who is asked."""
        return [*(self[name] for name in self.fields if name.startswith(LEVEL)), self["asked_last"]]

    def content(self) -> dict[str, Any]:
        """The cleaned values as the verbs take them."""
        given = {k: v for k, v in self.cleaned_data.items() if not k.startswith(LEVEL)}
        return {**given, "level": level_given(self.cleaned_data, LEVEL)}


def _initial(route: ApprovalRoute) -> dict[str, Any]:
    plain = ("name", "kinds", "min_risk", "classes", "max_criticality", "environments", "asked_last")
    return {
        **{name: getattr(route, name) for name in plain},
        "group_ids": [g.pk for g in route.groups.all()],
        "service_ids": [s.pk for s in route.services.all()],
        **level_initial(route.level, LEVEL),
    }


def visible_route(request: HttpRequest, pk: int) -> ApprovalRoute:
    rows = ApprovalRoute.objects.select_related("written_by").prefetch_related("groups", "services")
    return get_object_or_404(rows.visible_to(request.user), pk=pk)  # type: ignore[arg-type]


def standing(route: ApprovalRoute) -> SafeString:
    return wordtags.state("changes.route", "retired" if route.retired_at else "in_force")


def conditions(route: ApprovalRoute, seen: tuple[set[int], set[int]]) -> list[tuple[str, str]]:
    """What a change must meet, as (what, which). Groups and services not in `seen` (`named_for`) are counted,
    not named."""
    kinds, classes, places = dict(RFCKind.choices), dict(UpdateClass.choices), dict(Environment.choices)
    found: list[tuple[Any, str]] = [(_("Kinds of change"), ", ".join(str(kinds[k]) for k in route.kinds))]
    if route.min_risk:
        found.append((_("Risk from"), str(route.get_min_risk_display())))
    if route.classes:
        found.append((_("Urgency classes"), ", ".join(str(classes[c]) for c in route.classes)))
    if route.max_criticality:
        found.append((_("Criticality from"), str(route.get_max_criticality_display())))
    if route.environments:
        found.append((_("Environments"), ", ".join(str(places[e]) for e in route.environments)))
    for label, rows, known in (
        (_("Host groups"), list(route.groups.all()), seen[0]),
        (_("Services"), list(route.services.all()), seen[1]),
    ):
        if rows:
            names = [_("%(name)s (retired)") % {"name": r} if r.retired_at else str(r) for r in rows if r.pk in known]
            hidden = len(rows) - len(names)
            more = [_("%(n)d outside your scope") % {"n": hidden}] if hidden else []
            found.append((label, ", ".join([*names, *more])))
    return [(str(label), text) for label, text in found]


@list_page(gettext_lazy("Approval routes"))
@login_required
@require_safe
def route_list(request: HttpRequest) -> HttpResponseBase:
    """Every route, in force or retired."""
    actor: Any = request.user
    rows = ApprovalRoute.objects.select_related("written_by").prefetch_related("groups", "services").visible_to(actor)
    seen, able = named_for(actor), deciders()
    listing = Listing(
        request,
        rows,
        [
            Column(_("Route"), "name", url=ApprovalRoute.get_absolute_url, sort="name", wide=True),
            Column(
                _("State"), lambda r: "retired" if r.retired_at else "in_force", state="changes.route", name="state"
            ),
            Column(
                _("Asked of"),
                lambda r: "; ".join(f"{label}: {text}" for label, text in conditions(r, seen)),
                wide=True,
                name="of",
            ),
            Column(_("Who is asked"), lambda r: level_words(r.level)[1], wide=True, name="asked"),
            Column(
                _("Asks nobody, because"),
                lambda r: " ".join(here(why) for why in why_idle(r, able)),
                wide=True,
                name="idle",
            ),
            Column(_("Written by"), "written_by.username"),
        ],
        sorts={"name": ("name", "id"), "written": ("written_at", "id")},
        default="name",
        filters=[
            Filter("q", _("Name"), "name__icontains"),
            Filter(
                "state",
                _("State"),
                lambda rows, value: rows.filter(retired_at__isnull=value == "in_force"),
                [("in_force", _("in force")), ("retired", _("retired"))],
            ),
        ],
        now=timezone.now(),
        caption=_("Approval routes"),
    )
    if listing.wants_csv:
        return listing.csv("approval-routes.csv")
    context = {
        "title": _("Approval routes"),
        "phase": 3,
        "lede": _(
            "Who is asked besides, when a change is of some risk or class or reaches some hosts. A route only adds: whom the kind "
            "or a signed model names is always asked."
        ),
        "listing": listing,
        "may_write": not routing.why_not_edit(None, actor),
        "usual": usual_levels(),
        "empty_title": _("No route yet"),
        "empty_advice": _("Write one to ask the owners of production, or the security officer where the risk is high."),
        "crumbs": [parts.Crumb(_("Change models"), reverse("changes:model-list")), parts.Crumb(_("Approval routes"))],
    }  # fmt: skip
    return render(request, "changes/route_list.html", context)


def usual_levels() -> list[tuple[Any, list[tuple[str, str]]]]:
    """The levels of each kind, without any route."""
    return [(k.label, [level_words(one) for one in default_levels(k)]) for k in routing.ASKED]


@login_required
@require_safe
def route_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A route: of which changes, whom, why; and which changes not yet asked about meet it now."""
    route, now = visible_route(request, pk), timezone.now()
    actor: Any = request.user
    name, rule = level_words(route.level)
    context = {
        "title": route.name,
        "phase": 3,
        "ident": [_("approval route")],
        "route": route,
        "standing": standing(route),
        "next": _next(route),
        "verbs": _verbs(route, actor),
        "conditions": conditions(route, named_for(actor)),
        "asks": [
            (_("Level"), name),
            (_("Who is asked"), rule),
            (_("When"), _("after the usual levels") if route.asked_last else _("before the usual levels")),
            (_("Written by"), route.written_by),
        ],
        "meets": _meets(route, actor, now),
        "timeline": audit.history(route)[:8],
        "crumbs": [
            parts.Crumb(_("Change models"), reverse("changes:model-list")),
            parts.Crumb(_("Approval routes"), reverse("changes:route-list")),
            parts.Crumb(route.name),
        ],
    }
    return render(request, "changes/route_detail.html", context)


def _next(route: ApprovalRoute) -> parts.Next:
    if route.retired_at:
        return parts.Next(_("Nothing more: it is retired."))
    if idle := why_idle(route, deciders()):
        return parts.Next(_("It asks nobody: revise it, or retire it."), " ".join(here(why) for why in idle))
    return parts.Next(_("Every round that opens from now on asks it, of the changes that meet it."))


def _meets(route: ApprovalRoute, actor: User, now: datetime) -> list[parts.Statement]:
    if route.retired_at:
        return []
    rows = RFC.objects.all().visible_to(actor).filter(state__in=AHEAD).order_by("-pk")[:LOOKED_AT]
    return [
        parts.Statement("st-wait", str(rfc), "", rfc.get_absolute_url()) for rfc in meeting(route, list(rows), at=now)
    ]


def _verbs(route: ApprovalRoute, actor: User) -> list[Verb]:
    if route.retired_at:
        return []
    refused = routing.why_not_edit(route, actor)
    return [
        Verb("revise", _("Revise it"), reverse("changes:route-revise", args=[route.pk]), not refused, refused, icon="pen"),
        Verb("retire", _("Retire it"), reverse("changes:route-retire", args=[route.pk]), not refused, refused, dangerous=True, icon="x"),
    ]  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def route_write(request: HttpRequest) -> HttpResponse:
    """A new route."""
    actor: Any = request.user
    form = RouteForm(request.POST if request.method == "POST" else None, actor=actor)
    barred = routing.why_not_edit(None, actor)
    return _form(request, form, _("Write an approval route"), reverse("changes:route-list"), barred, routing.write)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def route_revise(request: HttpRequest, pk: int) -> HttpResponse:
    """Another text for a route; rounds that are open stay as they were asked."""
    route, actor = visible_route(request, pk), request.user
    form = RouteForm(request.POST if request.method == "POST" else None, actor=actor, route=route)  # type: ignore[arg-type]
    title = _("Revise “%(route)s”") % {"route": route}
    barred = routing.why_not_edit(route, actor)  # type: ignore[arg-type]
    return _form(request, form, title, route.get_absolute_url(), barred, routing.revise, route_id=route.pk)


def _form(
    request: HttpRequest, form: RouteForm, title: str, cancel_url: str, barred: list[Blocker],
    verb: Callable[..., ApprovalRoute], **facts: Any,
) -> HttpResponse:  # fmt: skip
    if request.method == "POST" and form.is_valid():
        try:
            route = verb(actor=request.user, at=timezone.now(), **facts, **form.content())
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Saved. The next round that opens asks it."))
            return redirect(route)
    context = {
        "title": title,
        "phase": 3,
        "form": form,
        "barred": [] if request.method == "POST" else barred,
        "usual": usual_levels(),
        "submit_label": _("Save"),
        "cancel_url": cancel_url,
        "crumbs": [parts.Crumb(_("Approval routes"), reverse("changes:route-list")), parts.Crumb(title)],
    }
    return render(request, "changes/route_form.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def route_retire(request: HttpRequest, pk: int) -> HttpResponse:
    """Before a route is retired: which changes it would have been asked of."""
    route, now = visible_route(request, pk), timezone.now()
    actor: Any = request.user
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            routing.retire(route_id=pk, reason=form.cleaned_data["reason"], actor=actor, at=now)
        except Refusal as refusal:
            refuse(form, refusal)
        else:
            messages.success(request, _("Retired."))
            return redirect(route)
    context = {
        "title": _("Retire “%(route)s”") % {"route": route},
        "phase": 3,
        "verb": Verb("retire", _("Retire it"), dangerous=True, icon="x"),
        "reach": [Reach(len(_meets(route, actor, now)), _("changes not yet asked about that meet it"))],
        "consequences": [_("No further round asks this level. Rounds that are open stay as they were asked.")],
        "form": form,
        "barred": [] if request.method == "POST" else routing.why_not_edit(route, actor),
        "cancel_url": route.get_absolute_url(),
        "crumbs": [parts.Crumb(_("Approval routes"), reverse("changes:route-list")), parts.Crumb(route.name)],
    }
    return render(request, "web/confirm.html", context, status=400 if form.errors else 200)
