"""Trial mode: whether it is on, since when and why; entering and leaving it."""

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
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from changes.models import RFC
from patchflow.kernel import trial
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import TrialPeriod
from patchflow.kernel.rules import capability, failing
from patchflow.web.verbs import Reach
from releases.models import Release, Rollout


class TrialForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"), widget=forms.Textarea(attrs={"rows": 3}), max_length=2000,
        help_text=gettext_lazy("It stands in the audit trail for ever."),
    )  # fmt: skip


def _reach() -> list[Reach]:
    """What exists for real and would wait until the trial is left."""
    rfcs = RFC.objects.open().filter(trial=False).count()
    releases = Release.objects.open().filter(trial=False).count()
    rollouts = Rollout.objects.open().filter(release__trial=False).count()
    return [
        Reach(rollouts, ngettext("rollout waits", "rollouts wait", rollouts), reverse("releases:rollout-list")),
        Reach(releases, ngettext("release waits", "releases wait", releases), reverse("releases:release-list")),
        Reach(rfcs, ngettext("change waits", "changes wait", rfcs), reverse("changes:rfc-list")),
    ]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """What trial mode means here; for who may, the one form that turns it."""
    actor: Any = request.user
    on = trial.active()
    form = TrialForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        act = trial.leave if request.POST.get("do") == "leave" else trial.enter
        try:
            act(reason=form.cleaned_data["reason"], actor=actor, at=timezone.now())
        except Refusal as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Trial mode is left.") if act is trial.leave else _("This is trial mode now."))
            return redirect("reports:trial")
    refused = failing([capability("trial.set")], None, actor)
    context = {
        "title": _("Trial mode"),
        "on": on,
        "reach": [] if on or refused else _reach(),
        "not_now": [] if on or refused else trial.find_enter_blockers(actor=actor, at=timezone.now()),
        "by_environment": trial.by_environment(),
        "period": trial.current(),
        "periods": TrialPeriod.objects.select_related("started_by", "ended_by")[:20],
        "reasons": refused,
        "form": form,
    }
    return render(request, "reports/trial.html", context, status=400 if form.errors else 200)
