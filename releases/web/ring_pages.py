"""Rings of a release as pages: planned by hand and by rule, what they can prove, and hosts moved between them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from cmdb.models import Host
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User
from patchflow.web.verbs import Verb
from releases import confidence
from releases.diversity import Trial
from releases.domain import plans, ring_plans
from releases.models import PlannedRing, Release
from releases.queries.classes import planned_trials
from releases.web import ring_forms as shapes
from releases.web.builder_forms import rings_form
from releases.web.class_lines import planned_lines
from releases.web.releases import visible_release

NAMED = 60
"""Hosts named above the form; the others are found on the page of the hosts."""
LISTED = 100


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_rings(request: HttpRequest, pk: int) -> HttpResponse:
    """Rings, one row each; every host must end up in one."""
    release = visible_release(request, pk)
    actor: Any = request.user
    seen = Host.objects.within(actor, "release.view").filter(planned_in__release=release).order_by("name")
    planned = list(release.planned_rings.all())
    rows = rings_form(request.POST or None, release, actor)
    numbered = list(enumerate(rows))
    problems: list[Any] = []
    if request.method == "POST" and rows.is_valid():
        try:
            plans.plan_rings(release_id=release.pk, rings=rows.plans(), actor=actor, at=timezone.now())
        except Refusal as refusal:
            problems = refusal.blockers
        else:
            messages.success(request, _("Rings are planned."))
            return redirect(release)
    count = release.planned_hosts.count()
    against = [] if request.method == "POST" else plans.why_not_plan(release, actor)
    trials = planned_trials(release) if planned else {}
    context = {
        "title": _("Rings of %(number)s") % {"number": release.number},
        "lede": _("The first few hosts try the release for the next."),
        "rows": rows,
        "shown": numbered[: rows.given + 1],
        "more": numbered[rows.given + 1 :],
        "more_open": any(row.is_bound and row.has_changed() for _number, row in numbered[rows.given + 1 :]),
        "problems": problems,
        "hosts": count,
        "phase": 3,
        "names": list(seen.values_list("name", flat=True)[:NAMED]) if count <= NAMED else [],
        "hosts_url": reverse("releases:release-hosts", args=[release.pk]) if planned else "",
        "proofs": [(ring, proof_of(release, ring, trials.get(ring.number))) for ring in planned],
        "usual": not planned,
        "cancel_url": release.get_absolute_url(),
        "verb": Verb("rings", _("Plan rings"), allowed=not against, blockers=against),
    }
    return render(
        request,
        "releases/release_rings.html",
        context,
        status=400 if problems or (request.method == "POST" and not rows.is_valid()) else 200,
    )


def proof_of(release: Release, ring: PlannedRing, trial: Trial | None) -> list[str]:
    """What the ring could show, were all its hosts good; how many the usual bound would take; which classes it stands for,
    and which it tries for the next rings."""
    count, sure = ring.hosts.count(), ring.confidence_percent
    most = confidence.lower_bound(count, count, confidence=sure)
    lines = [
        ngettext(
            "If its %(n)d host succeeds, at least %(most)d %% of such hosts would, with %(sure)d %% confidence (Wilson's bound).",
            "If all its %(n)d hosts succeed, at least %(most)d %% of such hosts would, with %(sure)d %% confidence (Wilson's bound).",
            count,
        )
        % {"n": count, "most": most, "sure": sure}
    ]
    if ring.bound_percent:
        lines.append(_("At least %(bound)d %% are asked for.") % {"bound": ring.bound_percent})
    else:
        rule = ring_plans.unasked_bound(ring)
        if rule:
            lines.append(
                _(
                    "It has too few hosts to show the usual %(bound)d %%, which takes %(n)d: so no such share is asked for."
                )
                % {"bound": rule, "n": confidence.hosts_needed(rule, confidence=sure)}
            )
    if ring.number == 0:
        covered = ring_plans.coverage(release, ring)
        if covered.every > 1:
            lines.append(
                _("It stands for %(present)d of %(every)d classes of machine.")
                % {"present": covered.present, "every": covered.every}
            )
        if covered.missing:
            lines.append(_("Not in it: %(names)s.") % {"names": ", ".join(covered.missing[:4])})
    return [*lines, *planned_lines(trial)]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_hosts(request: HttpRequest, pk: int) -> HttpResponse:
    """The hosts of a release by name, group, environment and ring; all that match are moved by one verb."""
    release = visible_release(request, pk)
    actor: Any = request.user
    rings = [(r.number, f"{r.number} · {r.name}") for r in release.planned_rings.all()]
    find = shapes.FindForm(request.GET or None)
    find.offer(shapes.groups_of(release, actor), rings)
    wanted = _wanted(find)
    rows = plans.wanted_hosts(release, wanted) if wanted != plans.Wanted() else release.planned_hosts.all()
    rows = rows.filter(host__in=Host.objects.within(actor, "release.view"))
    count = rows.count()
    form = shapes.MoveForm(request.POST or None, initial={"seen": count})
    form.offer(rings)
    problems: list[Any] = []
    if request.method == "POST" and form.is_valid():
        problems = _move(request, release, wanted, actor, form.cleaned_data)
        if not problems:
            return redirect(request.get_full_path())
    context = {
        "title": _("Hosts of %(number)s") % {"number": release.number},
        "phase": 3,
        "release": release,
        "find": find,
        "form": form,
        "problems": problems,
        "against": [] if request.method == "POST" else plans.why_not_plan(release, actor),
        "asked": wanted != plans.Wanted(),
        "count": count,
        "hosts": rows.select_related("host__ci", "ring").order_by("host__name")[:LISTED],
        "more": max(0, count - LISTED),
        "rings": [(r.number, r.name, r.hosts.count()) for r in release.planned_rings.all()],
        "rings_url": reverse("releases:release-rings", args=[pk]),
    }
    return render(request, "releases/release_hosts.html", context, status=400 if problems else 200)


def _wanted(find: shapes.FindForm) -> plans.Wanted:
    if not find.is_bound or not find.is_valid():
        return plans.Wanted()
    given = find.cleaned_data
    return plans.Wanted(
        name=given["name"], group_id=given["group"], environment=given["environment"], ring=given["ring"]
    )


def _move(
    request: HttpRequest, release: Release, wanted: plans.Wanted, actor: User, given: dict[str, Any]
) -> list[Any]:
    try:
        plans.move_hosts(
            release_id=release.pk, ring=given["into"], wanted=wanted, count_seen=given["seen"], actor=actor,
            at=timezone.now(),
        )  # fmt: skip
    except Refusal as refusal:
        return refusal.blockers
    messages.success(request, _("The hosts are moved."))
    return []
