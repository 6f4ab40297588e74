"""Raising and revising RFCs: forms that keep what was typed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from changes.domain import revisions, rfcs, scope
from changes.domain.offers import why_not
from changes.enums import RFCState
from changes.models import RFC, SoftwareUpdate
from changes.queries.below import Lift, lift_of_baseline, lift_of_group, lift_of_host
from changes.queries.conflicts import find_conflicts
from changes.queries.rfcs import sees_all
from changes.web import rfc_forms, rfc_next, rfc_parts
from changes.web.rfc_forms import ContentForm, ReviseForm
from changes.web.rfcs import crumbs_of, visible_rfc
from cmdb.models import Host
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web.parts import Crumb

SHOWN_HOSTS = 500
"""Hosts offered one by one in a form; more are chosen by group and by name."""
NAMED = 12


@dataclass(frozen=True)
class Picked:
    """How many hosts the picker means, and the first of them by name."""

    count: int
    names: list[str]


def _picked(host_ids: Collection[int]) -> Picked:
    rows = Host.objects.filter(pk__in=list(host_ids)).order_by("name")
    return Picked(len(set(host_ids)), list(rows.values_list("name", flat=True)[:NAMED]))


def _lift_asked_for(request: HttpRequest) -> Lift | None:
    """Hosts that are not at their baseline (`?below=group:3`, `baseline:7`, `host:12`), with what would lift them."""
    actor: Any = request.user
    noun, _colon, number = request.GET.get("below", "").partition(":")
    if not number.isdigit():
        return None
    match noun:
        case "group":
            return lift_of_group(int(number), at=timezone.now(), actor=actor)
        case "baseline":
            return lift_of_baseline(int(number), at=timezone.now(), actor=actor)
        case "host":
            return lift_of_host(int(number), actor=actor)
    return None


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in values if value.isdigit()]


def _updates_offered(actor: User, chosen: Collection[int], data: Any) -> list[SoftwareUpdate]:
    """The updates asked for, of those that the person may see, and the latest others."""
    asked = [*chosen, *(_numbers(data.getlist("update_ids")) if data else [])]
    visible = SoftwareUpdate.objects.visible_to(actor).filter(withdrawn_at__isnull=True)
    found = list(visible.filter(pk__in=asked).order_by("name", "pk"))
    recent = (
        visible.notified().exclude(pk__in=asked).filter(superseded_by__isnull=True).order_by("start_by", "-pk")[:40]
    )
    return [*found, *recent]


# --- the forms and their verbs, for pages and admin -----------------------------------------------------------------------------
def raise_form(data: Any, chosen: Collection[int], actor: User, *, lift: Lift | None = None) -> ContentForm:
    """The form of a new RFC for the `chosen` updates, or for what lifts hosts to their baseline; `data` is what was posted."""
    chosen = [*chosen, *(lift.update_ids if lift else [])]
    updates = _updates_offered(actor, chosen, data)
    missing = lift.host_ids if lift else sorted(scope.missing_hosts(chosen, actor=actor)) if chosen else []
    boxes = bool(missing) and len(missing) <= SHOWN_HOSTS
    form = ContentForm(
        data,
        initial={"update_ids": list(chosen), "host_ids": missing},
        updates=[(u.pk, str(u)) for u in updates],
        hosts=rfc_forms.host_choices(missing) if boxes else [],
        groups=None if boxes else rfc_forms.group_choices(actor),
    )
    form.present = missing
    return form


def _raised(form: ContentForm, *, actor: User) -> tuple[dict[str, Any], Collection[int]]:
    """What the form says, as the verb takes it, and the hosts that it means. Raises Invalid."""
    content = form.content()
    content.setdefault("update_ids", [])
    here: Collection[int] = set(form.present) or scope.missing_hosts(content["update_ids"], actor=actor)
    if (named := form.hosts(here, actor=actor)) is not None:
        content["host_ids"] = here = named
    return content, here


def raise_by(form: ContentForm, *, actor: User, at: datetime) -> RFC:
    """Raises what the form says. Raises what `rfcs.raise_rfc` does."""
    content, _hosts = _raised(form, actor=actor)
    return rfcs.raise_rfc(actor=actor, at=at, **content)


def revise_form(data: Any, rfc: RFC, actor: User) -> ReviseForm:
    """The form of an RFC as it stands."""
    present = list(rfc.targets.filter(removed_at__isnull=True).values_list("host_id", flat=True))
    update_ids = list(rfc.updates.filter(removed_at__isnull=True).values_list("update_id", flat=True))
    possible = sorted({*present, *scope.missing_hosts(update_ids, actor=actor)})
    many = len(possible) > SHOWN_HOSTS
    offered = _updates_offered(actor, (), data)
    initial = {name: getattr(rfc, name) for name in ContentForm.base_fields if hasattr(rfc, name)} | {
        "update_ids": update_ids,
        "host_ids": present,
        "window_ids": list(rfc.windows.values_list("window_id", flat=True)),
        "digest_seen": rfc.change_digest,
    }
    form = ReviseForm(
        data,
        initial=initial,
        updates=[(u.pk, str(u)) for u in SoftwareUpdate.objects.filter(pk__in=update_ids)]
        + [(u.pk, str(u)) for u in offered if u.pk not in update_ids],
        hosts=[] if many else rfc_forms.host_choices(possible),
        windows=rfc_forms.window_choices(),
        groups=rfc_forms.group_choices(actor) if many else None,
    )
    form.present, form.many = present, len(possible) if many else 0
    return form


def _revised(form: ReviseForm, *, actor: User) -> tuple[dict[str, Any], Collection[int]]:
    """As `_raised`."""
    content = form.content()
    if (named := form.hosts(form.present, actor=actor)) is None:
        return content, form.present
    return {**content, "host_ids": named}, named


def revise_by(form: ReviseForm, *, rfc: RFC, actor: User, at: datetime) -> RFC:
    """Writes what the form says. Raises what `revisions.revise` does."""
    content, _hosts = _revised(form, actor=actor)
    seen = form.cleaned_data["digest_seen"]
    return revisions.revise(rfc_id=rfc.pk, actor=actor, at=at, digest_seen=seen, **content)


# --- pages ----------------------------------------------------------------------------------------------------------------------
def _not_raised(actor: Any) -> list[Blocker]:
    """Why an RFC cannot be raised in the form now: its first question would have no answer."""
    if SoftwareUpdate.objects.visible_to(actor).exists():
        return []
    sentence = english("No update is known yet that an RFC could be about: add a host and a feed first.")
    return [Blocker("rfc.updates_missing", sentence, reverse("changes:update-list"), tone="wait")]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_raise(request: HttpRequest) -> HttpResponse:
    """Raises an RFC: for the updates in the address (`?update=7`), or for those chosen in the form."""
    actor: Any = request.user
    lift = _lift_asked_for(request)
    form = raise_form(request.POST or None, _numbers(request.GET.getlist("update")), actor, lift=lift)
    picked: Picked | None = None
    if request.method == "POST" and form.is_valid():
        try:
            if "preview" in request.POST:
                picked = _picked(_raised(form, actor=actor)[1])
            else:
                rfc = raise_by(form, actor=actor, at=timezone.now())
                messages.success(request, _("%(number)s is raised as a draft.") % {"number": rfc.number})
                return redirect(rfc)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
    context = {
        "title": _("Raise an RFC"),
        "phase": 2,
        "form": form,
        "submit_label": _("Raise as a draft"),
        "cancel_url": reverse("changes:rfc-list"),
        "missing_count": 0 if lift else len(form.present),
        "lifted_count": len(form.present) if lift else 0,
        "picks": form.picks,
        "picked": picked,
        "lede": _("Targets, windows, class and clock fill themselves from what your hosts miss."),
        "barred": [] if request.method == "POST" or "update_ids" in form.fields or lift else _not_raised(actor),
        "crumbs": [Crumb(_("Changes"), reverse("changes:rfc-list")), Crumb(_("Raise an RFC"))],
    }
    status = 400 if form.errors else 200
    return render(request, "changes/rfc_form.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_revise(request: HttpRequest, pk: int) -> HttpResponse:
    """Edits an RFC; says beforehand what the edit will void."""
    rfc = visible_rfc(request, pk)
    actor: Any = request.user
    form = revise_form(request.POST or None, rfc, actor)
    picked: Picked | None = None
    if request.method == "POST" and form.is_valid():
        try:
            if "preview" in request.POST:
                picked = _picked(_revised(form, actor=actor)[1])
            else:
                now = revise_by(form, rfc=rfc, actor=actor, at=timezone.now())
                messages.success(request, _said_after(rfc, now))
                found = find_conflicts(now, at=timezone.now())
                for line in rfc_parts.conflict_statements(found, actor, whole=sees_all(now, actor)):
                    messages.warning(request, line.text)
                return redirect(now)
        except Refusal as refusal:
            rfc_forms.refuse(form, refusal)
    context = {
        "title": _("Revise %(number)s") % {"number": rfc.number},
        "lede": rfc.title,
        "phase": rfc_next.phase_of(rfc),
        "form": form,
        "rfc": rfc,
        "submit_label": _("Save"),
        "cancel_url": rfc.get_absolute_url(),
        "barred": [] if request.method == "POST" else why_not(rfc, "revise", actor=actor, at=timezone.now()),
        "crumbs": crumbs_of(rfc, _("Revise")),
        "voids": rfc.state in (RFCState.AWAITING_APPROVAL, RFCState.AUTHORIZED),
        "many": form.many,
        "picks": form.picks,
        "picked": picked,
    }
    return render(request, "changes/rfc_form.html", context, status=400 if form.errors else 200)


def _said_after(before: RFC, now: RFC) -> str:
    if before.state == now.state:
        return _("Saved.")
    return _("Saved. What was signed has changed, so the change is evaluated again.")
