"""A plan rehearsed, as a page: what is supposed of the hosts, what the plan came to, ring by ring, night by night."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from changes.web.rfc_forms import Moment
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts
from releases.domain.plan_rehearsals import Wanted, rehearse
from releases.models import PlanRehearsal, Release
from releases.models.release import BEFORE_DEPLOY
from releases.queries.access import sees_all
from releases.queries.rehearsals import last_rehearsal
from releases.web import release_forms
from releases.web.rehearsal_parts import CSS, course_of, ended, is_stale, ring_rows, summary, unfit_line
from releases.web.releases import visible_release

NAMED = 100
"""Hosts that do not fit, on the page; REST has them all."""
EARLIER = 10


class RehearseForm(forms.Form):
    starts_at = forms.DateTimeField(
        label=gettext_lazy("Start of the deployment"), required=False, widget=Moment(),
        help_text=gettext_lazy("Empty: now."),
    )  # fmt: skip
    fail_percent = forms.IntegerField(label=gettext_lazy("Hosts that fail, %"), min_value=0, max_value=100, initial=0)
    lie_percent = forms.IntegerField(
        label=gettext_lazy("Hosts that report success and show otherwise, %"), min_value=0, max_value=100, initial=0
    )
    away_percent = forms.IntegerField(
        label=gettext_lazy("Hosts that do not answer, %"), min_value=0, max_value=100, initial=0
    )
    minutes_least = forms.IntegerField(label=gettext_lazy("A host takes from, minutes"), min_value=0, initial=0)
    minutes_most = forms.IntegerField(
        label=gettext_lazy("to, minutes"), min_value=0, initial=0,
        help_text=gettext_lazy("0: from a quarter to three quarters of what the profile allows."),
    )  # fmt: skip
    seed = forms.IntegerField(
        label=gettext_lazy("Seed"), min_value=0, max_value=2**31 - 1, initial=1,
        help_text=gettext_lazy("The same number gives the same course."),
    )  # fmt: skip


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_rehearse(request: HttpRequest, pk: int) -> HttpResponse:
    """Rehearses the plan, and shows what it came to the last time. Redirects to itself after a POST."""
    actor: Any = request.user
    release, now = visible_release(request, pk), timezone.now()
    form = RehearseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            _rehearse(release, form.cleaned_data, actor=actor, at=now)
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("The plan is rehearsed. Nothing real was touched."))
            return redirect("releases:release-rehearse", release.pk)
    everything = sees_all(release, actor)
    last = last_rehearsal(release) if everything else None
    if last is not None and not form.is_bound:
        form = RehearseForm(initial=last.inputs)
    context = {
        "title": _("Rehearsal of %(number)s") % {"number": release.number},
        "lede": release.labelled,
        "phase": 3,
        "subject": release,
        "subject_label": release.number,
        "form": form,
        "everything": everything,
        "may": not failing([capability("release.plan")], release, actor) and release.state in BEFORE_DEPLOY,
        "begun": release.state not in BEFORE_DEPLOY,
        "refused_why": _("A release manager rehearses the plan."),
        **(shown(last, stale=_stale(release, last, now), now=now) if last else {}),
        "crumbs": [
            parts.Crumb(_("Releases"), reverse("releases:release-list")), parts.Crumb(release.number, release.get_absolute_url()),
            parts.Crumb(_("Rehearsal")),
        ],
    }  # fmt: skip
    return render(request, "releases/release_rehearse.html", context, status=400 if form.errors else 200)


def _stale(release: Release, row: PlanRehearsal, now: datetime) -> str:
    changed = is_stale(release, row, at=now)
    return _("The plan has changed since it was rehearsed: rehearse it again.") if changed else ""


def start_of(given: dict[str, Any], *, at: datetime) -> datetime | None:
    """Takes the start out of a form's answer."""
    starts_at: datetime | None = given.pop("starts_at")
    if starts_at is not None and at - timedelta(minutes=1) <= starts_at < at:
        return at  # a field of minutes cannot say the seconds of now
    return starts_at


def _rehearse(release: Release, given: dict[str, Any], *, actor: Any, at: datetime) -> PlanRehearsal:
    starts_at = start_of(given, at=at)
    return rehearse(release_id=release.pk, wanted=Wanted(**given), starts_at=starts_at, actor=actor, at=at)


def shown(row: PlanRehearsal, *, stale: str, now: datetime) -> dict[str, Any]:
    """What a page shows of a rehearsal, and of those before it. `stale`: why it is not of this plan any more."""
    result = row.result
    same = PlanRehearsal.objects.filter(release=row.release_id, rfc=row.rfc_id, pk__lt=row.pk)
    older = same.select_related("made_by").order_by("-pk")
    return {
        "row": row,
        "css": CSS[row.end],
        "ended": ended(row),
        "stale": stale,
        "lines": summary(row, now=now),
        "rings": ring_rows(row),
        "course": course_of(row),
        "unfit": result["unfit"][:NAMED],
        "unfit_line": unfit_line(row),
        "causes": result["causes"],
        "more": max(0, result["unfit_count"] - min(NAMED, len(result["unfit"]))),
        "older": [(one, summary(one, now=now)[0]) for one in older[:EARLIER]],
    }
