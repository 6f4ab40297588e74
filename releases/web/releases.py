"""Pages of releases: the list, one release with its builder, its tests."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from changes.enums import RFCKind
from changes.models import RFC
from changes.queries.cycles import cycle_choices
from changes.queries.holds import open_hold_of, open_holds
from changes.web import ladders
from patchflow.kernel.audit import history
from patchflow.kernel.models import User
from patchflow.kernel.signoffs import rounds_of
from patchflow.web import states
from patchflow.web.tables import Column, Filter, Listing, list_page
from releases.domain import checklist
from releases.domain.plans import PLANNABLE
from releases.enums import ReleaseState
from releases.models import PostImplementationReview, Release, ReleaseRFC
from releases.queries.access import hosts_seen, sees_all
from releases.queries.builds import updates_of
from releases.queries.manifests import current, refinement
from releases.queries.releases import authorizations, current_build, newest_runs, proof_of, visible_releases
from releases.web import amendment_parts, rehearsal_parts, release_parts, release_steps
from releases.web.release_verbs import may_plan, verbs_of_release


def visible_release(request: HttpRequest, pk: int) -> Release:
    """The release, if the person may see it; 404 otherwise."""
    rows = Release.objects.visible_to(request.user).select_related("composed_by", "started_by", "profile")  # type: ignore[arg-type]
    return get_object_or_404(rows, pk=pk)


def _kind_of(release: Release) -> str:
    """Its kind, and that it is on hold (`held`, as `release_list` reads it)."""
    kind = str(RFCKind(release.kind).label)
    return _("%(kind)s, on hold") % {"kind": kind} if release.held else kind  # type: ignore[attr-defined]


AT_WORK = {ReleaseState.BUILDING, ReleaseState.DEPLOYING, ReleaseState.ROLLING_BACK}
"""States that it leaves by itself: the page asks for itself until then."""
COLUMNS = (
    Column(gettext_lazy("Release"), "number", url=Release.get_absolute_url, mono=True, sort="number"),
    Column(gettext_lazy("Title"), "labelled", name="title", url=Release.get_absolute_url, wide=True),
    Column(gettext_lazy("State"), "state", state="releases.release", sort="state"),
    Column(gettext_lazy("Since"), "state_at", age=True, numeric=True, sort="since"),
    Column(gettext_lazy("Kind"), _kind_of, name="kind"),
    Column(gettext_lazy("Changes"), "rfc_count", numeric=True),
    Column(gettext_lazy("Hosts"), "host_count", numeric=True, sort="hosts"),
    Column(gettext_lazy("Latest start"), "latest_at", sort="latest", wide=True),
    Column(gettext_lazy("Outcome"), lambda r: r.get_outcome_display() or "–", name="outcome"),
)
SORTS = {
    "number": ("id",),
    "state": ("state", "id"),
    "since": ("state_at", "id"),
    "hosts": ("host_count", "id"),
    "latest": ("latest_at", "id"),
}


def _of_cycle(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    """Those that carry, or carried, a change of this cycle."""
    return rows.filter(pk__in=ReleaseRFC.objects.filter(rfc__cycle_id=int(value)).values("release"))


@list_page(gettext_lazy("Releases"))
@login_required
@require_safe
def release_list(request: HttpRequest) -> HttpResponseBase:
    """All releases that the person may see."""
    actor: Any = request.user
    listing = Listing(
        request,
        visible_releases(actor).annotate(held=Exists(open_holds(Release, OuterRef("pk")))),
        COLUMNS,
        sorts=SORTS,
        default="-number",
        now=timezone.now(),
        caption=_("Releases"),
        filters=(
            Filter("state", gettext_lazy("State"), "state", ReleaseState.choices),
            Filter("kind", gettext_lazy("Kind"), "kind", RFCKind.choices),
            Filter("cycle", gettext_lazy("Cycle"), _of_cycle, lambda: cycle_choices(request.GET.get("cycle", ""))),
            Filter("title", gettext_lazy("Title"), "title__icontains"),
        ),
    )
    if listing.wants_csv:
        return listing.csv("releases.csv")
    context = {
        "title": _("Releases"),
        "lede": _("Authorized changes, bundled to be built, tested, signed and deployed together."),
        "phase": 3,
        "listing": listing,
        "may_compose": actor.holds_somewhere("release.compose"),
        "compose_url": reverse("releases:release-compose"),
        "profiles_url": reverse("releases:profile-list"),
    }
    return render(request, "releases/release_list.html", context)


@login_required
@require_safe
def release_detail(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One release: what happens next, the builder's steps, readiness as reasons, its manifest."""
    actor: Any = request.user
    return render(
        request, "releases/release_detail.html", page_of(visible_release(request, pk), actor=actor, now=timezone.now())
    )


def page_of(release: Release, *, actor: User, now: Any) -> dict[str, Any]:
    """What the page of a release shows. What names hosts outside the reader's scope is left out, and said to be."""
    everything = sees_all(release, actor)
    items = checklist.checklist(release, at=now) if everything else []
    manifest = current(release.pk)
    round_ = rounds_of(release).first()
    changes = authorizations(release.rfc_ids(), at=now)
    seen = hosts_seen(release, actor)
    build = current_build(release)
    verbs = verbs_of_release(release, actor=actor, at=now)
    yours = (
        may_plan(release, actor)
        if release.state == ReleaseState.PLANNING
        else any(verb.primary and verb.allowed for verb in verbs)
    )
    return {
        "release": release,
        "title": release.title,
        "phase": release_parts.phase_of(release),
        "ident": [
            release.number,
            _("%(kind)s release") % {"kind": RFCKind(release.kind).label},
            *release_parts.simulated(release),
        ],
        "held": open_hold_of(release) is not None,
        "next": release_parts.next_of(release, now=now, yours=yours, whole=everything),
        "verbs": verbs,
        "often": "3s" if release.state in AT_WORK else "",
        "everything": everything,
        "hidden": release.planned_hosts.count() - len(seen),
        "steps": release_steps.steps_of(
            release,
            updates=updates_of(release),
            build=build,
            proof=proof_of(release),
            items={i.name: i for i in items},
            plan=may_plan(release, actor),
            now=now,
        ),
        "items": release_parts.readiness_rows(items),
        "late": amendment_parts.card_of(release, actor=actor, at=now) if everything else None,
        "rehearsal": rehearsal_parts.card_of(release, at=now) if everything else None,
        "planning": everything and release_parts.phase_of(release) == 3,
        "open_reasons": sum(1 for i in items if not i.holds),
        "manifest": manifest if everything else None,
        "manifest_url": reverse("releases:manifest-detail", args=[release.pk, manifest.revision]) if manifest else "",
        "manifest_head": release_parts.manifest_head(manifest) if manifest and everything else "",
        "refinement": refinement(manifest.document, changes) if manifest and everything else None,
        "round": round_,
        "ladder": ladders.ladder(round_, now=now) if round_ else [],
        "links": _links(release, actor),
        "review": PostImplementationReview.objects.filter(release=release).first(),
        "timeline": history(release).select_related("actor")[:20],
    }


def _links(release: Release, actor: User) -> list[tuple[str, Any]]:
    visible = RFC.objects.visible_to(actor).filter(release_links__release=release)
    rfcs = format_html_join("", '<div><a href="{}">{}</a></div>', ((r.get_absolute_url(), r) for r in visible))
    found: list[tuple[str, Any]] = [
        (_("Changes"), rfcs or "–"),
        (_("Composed by"), release.composed_by),
        (_("Executor"), release.executor),
    ]
    if release.started_by:
        found.append((_("Started by"), release.started_by))
    return found


@login_required
@require_safe
def release_tests(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The planned tests of a release, each with its newest run on the current build, step by step."""
    actor: Any = request.user
    release, now = visible_release(request, pk), timezone.now()
    everything = sees_all(release, actor)
    rows = release_parts.test_rows(release, newest_runs(release), states.look, now) if everything else []
    context = {
        "release": release,
        "often": "3s" if any(row.live for row in rows) else "",
        "title": _("Tests of %(number)s") % {"number": release.number},
        "lede": release.labelled,
        "phase": 3,
        "everything": everything,
        "rows": rows,
        "proof": proof_of(release),
        "verbs": [v for v in verbs_of_release(release, actor=actor, at=now) if v.name == "test"],
        "may_test": actor.holds("acceptance.run", over=release.scope_keys())
        and release.state in ("planning", "building", "testing"),
        "may_judge": actor.holds("acceptance.judge", over=release.scope_keys()),
        "may_drop": actor.holds("acceptance.judge", over=release.scope_keys()) and release.state in PLANNABLE,
    }
    return render(request, "releases/release_tests.html", context)
