"""One page for accepting a ring as it is: proposed with a reason, then read and signed by those who are asked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from changes.web import ladders
from patchflow.kernel import signoffs
from patchflow.kernel.errors import Refusal
from patchflow.kernel.integrity import digest
from patchflow.kernel.signoffs import why_not_sign
from patchflow.web import parts
from patchflow.web.accounts import authenticated_at, confirmed
from releases.domain import owed, partial
from releases.enums_rollout import GOOD
from releases.models import Job, Ring, Rollout
from releases.web import release_forms
from releases.web.class_lines import ring_lines
from releases.web.rollout_forms import ReasonForm
from releases.web.rollout_parts import proof_lines, tallies

SHOWN = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def ring_accept_partial(request: HttpRequest, pk: int) -> HttpResponse:
    """Proposes that a failed ring is accepted as it is, or decides about the proposal that is open."""
    actor: Any = request.user
    rows = Ring.objects.filter(rollout__in=Rollout.objects.all().visible_to(actor))
    ring = get_object_or_404(rows.select_related("rollout__release", "rollout__manifest", "proposed_by"), pk=pk)
    round_ = signoffs.rounds_of(ring).first()
    now = timezone.now()
    signing = "verdict" in request.POST
    sign = release_forms.SignForm(
        request.POST if signing else None, initial={"digest_seen": round_.digest if round_ else ""}
    )
    ask = ReasonForm(request.POST if request.method == "POST" and not signing else None)
    form: forms.Form = sign if signing else ask
    if request.method == "POST" and form.is_valid():
        try:
            if signing and round_:
                partial.decide(
                    round_id=round_.pk, actor=actor, at=now, authenticated_at=authenticated_at(request),
                    **form.cleaned_data,
                )  # fmt: skip
            else:
                partial.propose(ring_id=pk, reason=form.cleaned_data["reason"], actor=actor, at=now)
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, _("Your decision is written down.") if signing else _("The question is asked."))
            return redirect("releases:ring-accept-partial", pk)
    open_ = bool(round_ and round_.is_open)
    stale = bool(round_ and open_ and digest(partial.document_of(ring)) != round_.digest)
    reasons = why_not_sign(round_, ring, actor, at=now) if round_ and open_ else []
    jobs = Job.objects.filter(ring=ring).visible_to(actor)
    missed = jobs.exclude(state__in=GOOD).select_related("host").order_by("state", "host__name")
    count = missed.count()
    back = reverse("releases:rollout-detail", args=[ring.rollout_id])
    against = partial.why_not_propose(ring, actor)
    tally = tallies(ring.rollout, actor).get(ring.pk)
    classes = ring_lines(ring.rollout, list(ring.rollout.rings.order_by("position"))).get(ring.pk, [])
    context = {
        "title": _("Accept ring “%(ring)s” as it is") % {"ring": ring.name},
        "lede": ring.rollout.named,
        "phase": 4,
        "ring": ring,
        "round": round_,
        "open": open_,
        "stale": stale,
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        "sign": sign,
        "ask": ask,
        "may_ask": not against and (not open_ or stale),
        "against": [] if open_ and not stale else against,
        "may_sign": open_ and not stale and not reasons,
        "reasons": reasons,
        "missed": missed[:SHOWN],
        "count": count,
        "more": max(0, count - SHOWN),
        "good": jobs.filter(state__in=GOOD).count(),
        "proof": proof_lines(ring, tally, classes) if tally else [],
        "owed": len(owed.owed_hosts(ring.rollout.release_id)) if ring.accepted_partly else 0,
        "next_url": reverse("releases:release-propose-next", args=[ring.rollout.release_id]),
        "next_rfc": ring.rollout.release.next_rfc,
        "back": back,
        "crumbs": [
            parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")), parts.Crumb(ring.rollout.number, back),
            parts.Crumb(ring.name),
        ],
    }  # fmt: skip
    return render(request, "releases/ring_accept.html", context, status=400 if form.errors else 200)
