"""The audit pages: the trail, one entry, one object's history, and the proof that all of it is whole."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from patchflow.kernel import trail
from patchflow.kernel.enums import Outcome
from patchflow.kernel.models import AuditEntry
from patchflow.kernel.sentences import say
from patchflow.reports.queries import trail as asked
from patchflow.web import states
from patchflow.web.naming import laid_out
from patchflow.web.tables import Column, Filter, Listing, list_page

COLUMNS = [
    Column(gettext_lazy("When"), "effective_at", url=lambda e: f"/audit/{e.pk}/", sort="when"),
    Column(gettext_lazy("What"), lambda e: str(e.verb_label), wide=True, name="what"),
    Column(
        gettext_lazy("Object"),
        "object_label",
        url=lambda e: f"/audit/{e.object_type}/{e.object_id}/" if e.object_id else "",
        wide=True,
    ),
    Column(gettext_lazy("By"), "actor_name", sort="who"),
    Column(gettext_lazy("Outcome"), "outcome", state="audit.outcome"),
    Column(
        gettext_lazy("Sealed"),
        lambda e: e.leaf.seal.number if hasattr(e, "leaf") else None,
        numeric=True,
        name="sealed",
    ),
]
FILTERS = [
    Filter(
        "about",
        gettext_lazy("About"),
        lambda rows, value: rows.filter(verb__startswith=value + "."),
        choices=asked.groups_of_verbs,
    ),
    Filter("outcome", gettext_lazy("Outcome"), "outcome", choices=Outcome.choices),
    Filter("by", gettext_lazy("By"), "actor_name__iexact", hint=gettext_lazy("user name")),
    Filter("object", gettext_lazy("Object"), "object_label__icontains", hint=gettext_lazy("number or name")),
    Filter("correlation", gettext_lazy("Correlation id"), "correlation_id"),
]


@list_page(gettext_lazy("Audit"))
@login_required
@require_safe
def entry_list(request: HttpRequest) -> HttpResponseBase:
    actor: Any = request.user
    if actor.scopes_for("audit.view") is not None:
        raise PermissionDenied(_("The whole trail is for auditors; each object shows its own history."))
    now = timezone.now()
    listing = Listing(
        request,
        asked.entries(actor),
        COLUMNS,
        sorts={"when": ("pk",), "who": ("actor_name", "pk")},
        default="-when",
        now=now,
        filters=FILTERS,
    )
    if listing.wants_csv:
        return listing.csv("audit.csv")
    context = {
        "title": _("Audit trail"),
        "lede": _(
            "Every act and every refused attempt, chained and sealed. Nothing here can be edited; whether that held can be proven."
        ),
        "listing": listing,
        "state": asked.state(),
        "may_verify": may_verify(request.user),
        "empty_title": _("Nothing has happened yet"),
        "empty_advice": _("The first log-in will be the first entry."),
    }
    return render(request, "reports/audit_list.html", context)


@login_required
@require_safe
def entry_detail(request: HttpRequest, pk: int) -> HttpResponse:
    actor: Any = request.user
    entry = get_object_or_404(AuditEntry.objects.select_related("leaf__seal"), pk=pk)
    if entry.object_id:
        seen = trail.entries_of(entry.object_type, entry.object_id, actor).filter(pk=pk).exists()
    else:
        seen = asked.entries(actor).filter(pk=pk).exists()
    if not seen:
        raise Http404
    detail = dict(entry.detail)
    context = {
        "title": entry.verb_label,
        "ident": [_("Audit"), f"{entry.chain} #{entry.seq}"],
        "lede": say(entry.object_label, mixed=True),
        "entry": entry,
        "before": _state_label(entry, entry.before_state),
        "after": _state_label(entry, entry.after_state),
        "blockers": detail.pop("blockers", []),
        "difference": detail.pop("difference", []),
        "detail": laid_out(detail) if detail else "",
        "leaf": getattr(entry, "leaf", None),
    }
    return render(request, "reports/audit_entry.html", context)


def _state_label(entry: AuditEntry, state: str) -> str:
    """The word of the state as its pages say it; the bare name where the machine has no look."""
    return str(states.look(entry.object_type, state).label) if state else ""


@list_page(gettext_lazy("History"))
@login_required
@require_safe
def object_history(request: HttpRequest, object_type: str, object_id: str) -> HttpResponseBase:
    actor: Any = request.user
    try:
        found = trail.entries_of(object_type, object_id, actor)
    except LookupError:
        raise Http404 from None
    first = found.order_by("-pk").first()
    if first is None:
        raise Http404
    listing = Listing(
        request,
        found,
        COLUMNS,
        sorts={"when": ("pk",), "who": ("actor_name", "pk")},
        default="-when",
        now=timezone.now(),
    )
    if listing.wants_csv:
        return listing.csv(f"audit-{object_type}-{object_id}.csv")
    context = {
        "title": _("History of %(object)s") % {"object": first.object_label},
        "listing": listing,
        "state": asked.state(),
        "may_verify": may_verify(request.user),
    }
    return render(request, "reports/audit_list.html", context)


def may_verify(actor: Any) -> bool:
    """Whether this person may have the whole trail recomputed."""
    return actor.scopes_for("audit.verify") is None


@login_required
def verify(request: HttpRequest) -> HttpResponse:
    """GET explains; POST recomputes every chain, seal and published head now."""
    if not may_verify(request.user):
        raise PermissionDenied(_("Verifying the whole trail is for auditors."))
    found = trail.verify() if request.method == "POST" else None
    context = {
        "title": _("Is the trail whole?"),
        "lede": _("Recomputes every chain, every seal and every published head, and names the first bad row of each."),
        "found": found,
        "state": asked.state(),
        "at": timezone.now(),
    }
    return render(request, "reports/audit_verify.html", context)
