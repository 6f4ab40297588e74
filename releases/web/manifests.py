"""The page of a sealed manifest: what runs where, how it narrows the changes, and the decision over exactly this digest."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from changes.web import ladders, rfc_parts
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import SignOffRound
from patchflow.kernel.signoffs import why_not_sign
from patchflow.web.accounts import authenticated_at, confirmed
from releases.domain import readiness
from releases.domain.profiles import offline_rule, restart_rule, staging_rule
from releases.models import Manifest, ReadinessReview, Release
from releases.queries.access import demand_all
from releases.queries.manifests import intact, refinement, since_previous
from releases.queries.releases import authorizations, proof_of
from releases.web import release_forms as shapes
from releases.web import release_parts
from releases.web.releases import visible_release

SHOWN = 100
"""Hosts and files shown on the page; the whole document is one click away."""


def _asked(request: HttpRequest, pk: int) -> Release:
    """The release, for who may see it or is asked to sign it; the whole of it."""
    actor: Any = request.user
    asks = SignOffRound.objects.filter(subject_type="releases.release", subject_id=pk, levels__voters__user=actor)
    release = get_object_or_404(Release, pk=pk) if asks.exists() else visible_release(request, pk)
    if not asks.exists():
        demand_all(release, actor)
    return release


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def manifest_detail(request: HttpRequest, pk: int, revision: int) -> HttpResponse:
    """One revision, and the vote over it for who is asked."""
    actor: Any = request.user
    release = _asked(request, pk)
    manifest = get_object_or_404(Manifest.objects.select_related("sealed_by"), release=release, revision=revision)
    review = ReadinessReview.objects.filter(manifest=manifest).select_related("round").first()
    form = shapes.SignForm(request.POST or None, initial={"digest_seen": manifest.digest})
    if request.method == "POST" and form.is_valid() and review:
        try:
            readiness.decide(
                round_id=review.round_id, actor=actor, at=timezone.now(), authenticated_at=authenticated_at(request),
                **form.cleaned_data,
            )  # fmt: skip
        except Refusal as refusal:
            shapes.refuse(form, refusal)
        else:
            messages.success(request, _("Your decision on %(what)s is written down.") % {"what": manifest})
            return redirect(release)
    return render(
        request,
        "releases/manifest_detail.html",
        _page(release, manifest, review, actor, form),
        status=400 if form.errors else 200,
    )


def _page(
    release: Release, manifest: Manifest, review: ReadinessReview | None, actor: Any, form: shapes.SignForm
) -> dict[str, Any]:
    now = timezone.now()
    document = manifest.document
    round_ = review.round if review else None
    reasons = why_not_sign(round_, release, actor, at=now) if round_ and round_.is_open else []
    return {
        "release": release,
        "manifest": manifest,
        "review": review,
        "round": round_,
        "form": form,
        "phase": 3,
        "title": _("Manifest %(n)d of %(number)s") % {"n": manifest.revision, "number": release.number},
        "lede": release.labelled,
        "intact": intact(manifest),
        "document": document,
        "rings": release_parts.ring_rows(document),
        "ring_names": {r["ring"]: r["name"] for r in document["rings"]},
        "hosts": [
            {**h, "ring_name": {r["ring"]: r["name"] for r in document["rings"]}.get(h["ring"], "–")}
            for h in document["hosts"][:SHOWN]
        ],
        "more_hosts": max(len(document["hosts"]) - SHOWN, 0),
        "files": document["artifacts"][:SHOWN],
        "more_files": max(len(document["artifacts"]) - SHOWN, 0),
        "head": release_parts.manifest_head(manifest),
        "refinement": refinement(document, authorizations(release.rfc_ids(), at=now)),
        "since": rfc_parts.differences(since_previous(manifest)[:12]),
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        "restart": restart_rule(document["profile"]),
        "offline": offline_rule(document["profile"]),
        "staging": staging_rule(document["profile"]),
        "steps": release_parts.step_rows(document),
        "may_sign": bool(round_ and round_.is_open and not reasons),
        "reasons": reasons,
        "proof": proof_of(release),
        "earliest": release_parts.moment(document["start"]["earliest"]),
        "latest": release_parts.moment(document["start"]["latest"]),
    }


@login_required
@require_safe
def manifest_json(request: HttpRequest, pk: int, revision: int) -> HttpResponse:
    """The document itself, as it was signed."""
    release = _asked(request, pk)
    manifest = get_object_or_404(Manifest, release=release, revision=revision)
    body = json.dumps(manifest.document, indent=2, ensure_ascii=False, sort_keys=True)
    answer = HttpResponse(body, content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{release.number}-manifest-{revision}.json"'
    return answer
