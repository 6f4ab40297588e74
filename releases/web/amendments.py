"""One page for late-comers: who could join and who cannot, the proposal with its difference, and the decision over it."""

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
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from changes.web import ladders
from patchflow.kernel import signoffs
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound, User
from patchflow.kernel.rules import capability, failing
from patchflow.kernel.signoffs import why_not_sign
from patchflow.web import parts
from patchflow.web.accounts import authenticated_at, confirmed
from releases.amending import joined
from releases.domain import amendments
from releases.models import Amendment, Release
from releases.queries.access import demand_all
from releases.queries.amendments import LateComers, open_amendment
from releases.rules import not_signer
from releases.web import release_forms
from releases.web.amendment_parts import late_of
from releases.web.releases import visible_release

NAMED = 60


class ProposeForm(release_forms.ReasonForm):
    host_ids = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Hosts that join"), coerce=int, widget=forms.CheckboxSelectMultiple
    )
    field_order = ("host_ids", "reason")

    def offer(self, late: LateComers) -> None:
        chosen = [(entry["host"], entry["name"]) for entry in late.entries]
        self.fields["host_ids"].choices = chosen  # type: ignore[attr-defined]
        self.fields["host_ids"].initial = [pk for pk, _name in chosen]


def _asked(request: HttpRequest, pk: int) -> Release:
    """The release, for who may see the whole of it or is asked about its late-comers."""
    actor: Any = request.user
    asks = SignOffRound.objects.filter(
        subject_type="releases.amendment", subject_id__in=Amendment.objects.filter(release_id=pk).values("pk"),
        levels__voters__user=actor,
    )  # fmt: skip
    if asks.exists():
        return get_object_or_404(Release, pk=pk)
    release = visible_release(request, pk)
    demand_all(release, actor)
    return release


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def release_amend(request: HttpRequest, pk: int) -> HttpResponse:
    """Proposes that late-comers join, decides about the proposal that is open, or takes it back."""
    actor: Any = request.user
    release, now = _asked(request, pk), timezone.now()
    amendment = open_amendment(release)
    late = LateComers() if amendment else late_of(release, actor=actor, at=now)
    posted = request.POST if request.method == "POST" else None
    signing, back = bool(posted and "verdict" in posted), bool(posted and "withdraw" in posted)
    sign = release_forms.SignForm(
        posted if signing else None, initial={"digest_seen": amendment.digest if amendment else ""}
    )
    take_back = release_forms.ReasonForm(posted if back else None, prefix="withdraw")
    ask = ProposeForm(posted if posted is not None and not signing and not back else None)
    ask.offer(late)
    form: forms.Form = sign if signing else take_back if back else ask
    if posted is not None and form.is_valid():
        try:
            said = _act(request, release, amendment, form, now)
        except Refusal as refusal:
            release_forms.refuse(form, refusal)
        else:
            messages.success(request, said)
            return redirect("releases:release-amend", pk)
    context = {
        "title": _("Late-comers of %(number)s") % {"number": release.number},
        "ident": [release.labelled],
        "lede": _(
            "Hosts that came to miss its updates after the manifest was sealed. They join only if the people who sign readiness agree."
        ),
        "phase": 4,
        "release": release,
        "late": late,
        "sign": sign,
        "ask": ask,
        "take_back": take_back,
        "may_ask": not amendment and bool(late.entries) and not against_proposing(release, actor),
        "against": against_proposing(release, actor) if not amendment else [],
        "next_url": reverse("changes:rfc-raise"),
        "outside": late.outside[:NAMED],
        "more": max(0, len(late.outside) - NAMED),
        "older": release.amendments.exclude(state="proposed").select_related("manifest", "base", "proposed_by")[:10],
        **(_open(amendment, actor, now) if amendment else {}),
        "crumbs": [
            parts.Crumb(_("Releases"), reverse("releases:release-list")),
            parts.Crumb(release.number, release.get_absolute_url()), parts.Crumb(_("Late-comers")),
        ],
    }  # fmt: skip
    return render(request, "releases/release_amend.html", context, status=400 if form.errors else 200)


def _act(request: HttpRequest, release: Release, amendment: Amendment | None, form: forms.Form, now: Any) -> str:
    actor: Any = request.user
    given = form.cleaned_data
    if isinstance(form, ProposeForm):
        amendments.propose(release_id=release.pk, actor=actor, at=now, **given)
        return _("The question is asked.")
    round_ = signoffs.open_round_of(amendment) if amendment else None
    if amendment and isinstance(form, release_forms.ReasonForm):
        amendments.withdraw(amendment_id=amendment.pk, reason=given["reason"], actor=actor, at=now)
        return _("The proposal is withdrawn.")
    amendments.decide(
        round_id=round_.pk if round_ else 0, actor=actor, at=now, authenticated_at=authenticated_at(request), **given
    )
    return _("Your decision is written down.")


def against_proposing(release: Release, actor: User) -> list[Any]:
    """Why this person cannot propose now."""
    rollout = release.rollouts.open().filter(reverses__isnull=True).first()
    found = failing([capability("release.seal"), not_signer], release, actor)
    return [*found, *amendments.find_standing(release, rollout)]


def _open(amendment: Amendment, actor: User, now: Any) -> dict[str, Any]:
    """The proposal that is being decided."""
    round_ = signoffs.open_round_of(amendment)
    reasons = why_not_sign(round_, amendment, actor, at=now) if round_ else []
    names = {ring["ring"]: ring["name"] for ring in amendment.document["rings"]}
    before = {ring["ring"] for ring in amendment.base.document["rings"]}
    return {
        "amendment": amendment,
        "joiners": [
            {**entry, "ring_name": names[entry["ring"]], "new_ring": entry["ring"] not in before}
            for entry in joined(amendment.base.document, amendment.document)
        ],
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        "round": round_,
        "overtaken": amendments.find_overtaken(amendment),
        "reasons": reasons,
        "may_sign": bool(round_ and not reasons),
        "may_withdraw": not failing([capability("release.seal")], amendment.release, actor),
    }
