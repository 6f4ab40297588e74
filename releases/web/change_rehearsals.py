"""A change rehearsed before any release carries it, as a page beside that of a release's plan."""

from __future__ import annotations

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

from changes.models import RFC
from changes.queries.evidence import newest
from changes.queries.rfcs import sees_all
from changes.web.rfcs import visible_rfc
from patchflow.kernel.blockers import here
from patchflow.kernel.errors import Refusal
from patchflow.kernel.rules import capability, failing
from patchflow.web import parts
from releases.domain.change_rehearsals import REHEARSED, carrier, rehearse
from releases.domain.plan_rehearsals import Wanted
from releases.models import PlanRehearsal
from releases.queries.rehearsals import last_rehearsal_of
from releases.web import release_forms
from releases.web.builder_forms import newest_profiles
from releases.web.rehearsals import RehearseForm, shown, start_of


class RehearseChangeForm(RehearseForm):
    profile_id = forms.TypedChoiceField(label=gettext_lazy("Install profile"), coerce=int)
    field_order = ("profile_id",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["profile_id"].choices = [(p.pk, str(p)) for p in newest_profiles()]  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rfc_rehearse(request: HttpRequest, pk: int) -> HttpResponse:
    """Rehearses what a release of this change alone would begin with, and shows what it came to the last time."""
    actor: Any = request.user
    rfc, now = visible_rfc(request, pk), timezone.now()
    form = RehearseChangeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        starts_at, profile_id = start_of(given, at=now), given.pop("profile_id")
        try:
            rehearse(
                rfc_id=rfc.pk, profile_id=profile_id, wanted=Wanted(**given), starts_at=starts_at, actor=actor, at=now
            )
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("The plan is rehearsed. Nothing real was touched."))
            return redirect("releases:rfc-rehearse", rfc.pk)
    everything = sees_all(rfc, actor)
    last = last_rehearsal_of(rfc) if everything else None
    if last is not None and not form.is_bound:
        form = RehearseChangeForm(initial={**last.inputs, "profile_id": last.inputs["profile"]})
    carried = carrier(rfc)
    context = {
        "title": _("Rehearsal of %(number)s") % {"number": rfc.number},
        "lede": rfc.title,
        "phase": 3,
        "subject": rfc,
        "subject_label": rfc.number,
        "form": form,
        "everything": everything,
        "alone": True,
        "may": not failing([capability("release.plan")], rfc, actor) and rfc.state in REHEARSED and not carried,
        "refused_why": _("%(release)s carries it: rehearse its plan.") % {"release": carried.number} if carried
        else _("A release manager rehearses the plan, after the submission and before the start."),
        **(shown(last, stale=_stale(rfc, last, now), now=now) if last else {}),
        "crumbs": [
            parts.Crumb(_("Changes"), reverse("changes:rfc-list")), parts.Crumb(rfc.number, rfc.get_absolute_url()),
            parts.Crumb(_("Rehearsal")),
        ],
    }  # fmt: skip
    return render(request, "releases/release_rehearse.html", context, status=400 if form.errors else 200)


def _stale(rfc: RFC, row: PlanRehearsal, now: Any) -> str:
    """Why the rehearsal is not of what is planned now, as the evidence says it."""
    return next((here(one.outdated) for one in newest(rfc, at=now) if one.row.digest == row.digest), "")
