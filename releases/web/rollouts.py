"""Rollouts as pages: the list, and the live page of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from patchflow.kernel import audit
from patchflow.kernel.models import User
from patchflow.web import parts
from patchflow.web.tables import Column, Filter, Listing, list_page
from patchflow.web.verbs import Verb
from releases.domain.waiting import Waiting
from releases.enums_rollout import OPEN_ROLLOUT, JobState, RingState, RolloutState
from releases.models import Job, KillSwitch, Rollout
from releases.planning import RingView
from releases.queries.progress import log_of_all, named
from releases.queries.rollouts import standing_rings, visible_rollouts
from releases.web import release_parts
from releases.web import rollout_parts as shown
from releases.web import rollout_progress as progress
from releases.web import stagings as staged
from releases.web.rollout_offers import verbs_of_job, verbs_of_ring, verbs_of_rollout

MATCHES = 12
"""Hosts offered for a name that several have."""
NAMED = 4
"""Hosts out of sight that the lead names."""
OFTEN = 500
"""Up to so many hosts the page asks for itself every 3 s, beyond every 10 s."""


def who(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  login_required has looked
    return request.user


def visible_rollout(request: HttpRequest, pk: int) -> Rollout:
    rows = Rollout.objects.all().visible_to(who(request))
    return get_object_or_404(rows.select_related("release", "manifest", "reverses", "started_by", "planned_by"), pk=pk)


@list_page(gettext_lazy("Rollouts"))
@login_required
def rollout_list(request: HttpRequest) -> HttpResponseBase:
    """Rollouts, newest first; the kill switch above them."""
    switch = KillSwitch.objects.filter(name="all").first()
    standing: dict[int, RingView] = {}
    now = timezone.now()
    waiting = Waiting(now)
    columns = [
        Column(_("Rollout"), "number", url=lambda r: r.get_absolute_url(), mono=True),
        Column(_("State"), "state", state="releases.rollout"),
        Column(_("Release"), "release.number", url=lambda r: r.release.get_absolute_url(), mono=True),
        Column(_("Title"), "release.labelled", name="title", wide=True),
        Column(_("Takes back"), "reverses.number", mono=True),
        Column(_("Hosts"), "host_count", numeric=True),
        Column(_("Good"), "good_count", numeric=True),
        Column(_("Failed or out of sight"), "bad_count", numeric=True),
        Column(_("Started by"), "started_by.username"),
        Column(_("Since"), "state_at", age=True, numeric=True, sort="age"),
        Column(
            _("Waits for"),
            lambda r: _stands_still(r, switch, standing.get(r.pk)) or waiting.of_rollout(r) or r.reason,
            kept="mixed",
            wide=True,
            name="waits-for",
        ),
    ]
    listing = Listing(
        request,
        visible_rollouts(who(request)),
        columns,
        sorts={"age": ("-state_at",), "new": ("-pk",)},
        default="new",
        filters=[Filter("state", _("State"), "state", RolloutState.choices)],
        now=now,
        caption=_("Rollouts"),
    )

    def learn(piece: Sequence[Rollout]) -> None:
        standing.update(standing_rings(piece))

    if listing.wants_csv:
        return listing.csv("rollouts.csv", learn=learn)
    learn(listing.page.rows)
    context = {
        "title": _("Rollouts"),
        "lede": _("Deployments on their way through the hosts, ring by ring."),
        "phase": 4,
        "listing": listing,
        "switch": switch,
        "empty_url": reverse("releases:release-list"),
        "empty_label": _("To the releases"),
        "empty_title": _("Nothing was rolled out yet"),
        "empty_advice": _("A rollout begins when the deployment of a ready release is started."),
        "crumbs": [parts.Crumb(_("Rollouts"))],
    }
    return render(request, "releases/rollout_list.html", context)


def _stands_still(rollout: Rollout, switch: KillSwitch | None, standing: RingView | None) -> str:
    """Why a rollout that is running lets nobody begin; of the switch its own statement says so from its next tick on."""
    if rollout.state != RolloutState.RUNNING:
        return ""
    if switch is not None and switch.is_on:
        return _("Kill switch on: nothing starts")
    if standing is None:
        return ""
    return _("Stands still until its hosts out of sight are known")  # how many, who sees a part of them is not told


def _of_failed_ring(rollout: Rollout, lanes: list[tuple[Any, list[Verb]]]) -> list[Verb]:
    """What one may do for the ring that halted the rollout: it stands at the top, too, where one looks for the way on."""
    if rollout.state != RolloutState.HALTED:
        return []
    failed = next((found for view, found in lanes if view.ring.state == RingState.FAILED), [])
    return [verb for verb in failed if verb.allowed and verb.name in ("retry", "accept_partial")]


@login_required
def rollout_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """The live page: rings as lanes, each host a cell; of one target why here and why not, its slip and its log.

    Complete without JavaScript; with it the page asks for itself again while the rollout is open.
    """
    rollout, actor, now = visible_rollout(request, pk), who(request), timezone.now()
    chosen = request.GET.get("state", "")
    chosen = chosen if chosen in JobState.values else ""
    sought = request.GET.get("host", "").strip()
    matches = list(named(rollout, actor, sought)[: MATCHES + 1]) if sought else []
    exact = next((job for job in matches if job.host.name == sought), matches[0] if len(matches) == 1 else None)
    target = exact or _target(rollout, actor, request.GET.get("target", ""))
    if target:
        target.rollout = rollout  # with what was read of it already
    found = shown.tallies(rollout, actor)
    total = shown.summed(found)
    told = replace(total, by_hand=shown.not_begun(rollout, actor))
    views = shown.lanes(rollout, found, actor=actor, at=now, chosen=chosen, target=target.pk if target else None)
    current = next((v.ring for v in views if v.ring.state not in (RingState.PASSED, RingState.SKIPPED)), None)
    switch, waiting = KillSwitch.objects.filter(name="all", is_on=True).first(), Waiting(now)
    standing = standing_rings([rollout]).get(rollout.pk)
    lanes = [(view, verbs_of_ring(view.ring, view.tally, actor=actor, at=now)) for view in views]
    context = {
        "title": rollout.number,
        "lede": rollout.release.title,
        "phase": 4,
        "ident": [
            _("way back of %(rollout)s") % {"rollout": rollout.reverses.number}
            if rollout.reverses
            else _("rollout of %(release)s") % {"release": rollout.release.number},
            *release_parts.simulated(rollout.release),
        ],
        "rollout": rollout,
        "often": ("3s" if total.total <= OFTEN else "10s") if rollout.state in OPEN_ROLLOUT or total.live > 0 else "",
        "tally": told,
        "done": total.ended,
        "legend": shown.legend(total, chosen=chosen),
        "lanes": lanes,
        "next": shown.next_step(
            rollout, waiting.of_rollout(rollout), told, current, standing, _unseen(standing, actor) if standing else []
        ),
        "verbs": [*_of_failed_ring(rollout, lanes), *verbs_of_rollout(rollout, total, actor=actor, at=now)],
        "switch": switch,
        "stands_still": _stands_still(rollout, switch, standing),
        "sought": sought,
        "exact": exact,
        "matches": [] if exact else matches[:MATCHES],
        "hosts_url": reverse("releases:rollout-hosts", args=[pk]),
        "causes": progress.cause_rows(rollout, actor),
        "staged": staged.lines(rollout, actor),
        "forecast": progress.forecast_lines(rollout, now=now, stopped=switch is not None, stands=standing is not None),
        "last_lines": progress.log_lines(list(log_of_all(rollout, actor)[: progress.LAST])),
        "log_url": reverse("releases:rollout-log", args=[pk]),
        "links": _links(rollout, actor),
        "timeline": audit.history(rollout)[:10],
        "crumbs": [parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")), parts.Crumb(rollout.number)],
        **(_of_target(target, actor, waiting) if target else {}),
    }
    return render(request, "releases/rollout_detail.html", context)


def _unseen(ring: RingView, actor: User) -> list[str]:
    """The first hosts of the ring that are out of sight, by name, of those that the person may see."""
    jobs = Job.objects.filter(ring_id=ring.id, state=JobState.UNKNOWN).visible_to(actor)
    return list(jobs.order_by("host__name").values_list("host__name", flat=True)[:NAMED])


def _target(rollout: Rollout, actor: User, given: str) -> Job | None:
    """The chosen target; without one, what most needs a look: bad before at work before deferred."""
    rows = Job.objects.filter(rollout=rollout).visible_to(actor).select_related("host", "ring", "rollout")
    if given:
        if not given.isdigit():
            raise Http404
        return get_object_or_404(rows, pk=int(given))
    for states in (
        ["failed", "lost", "unknown", "undone"],
        ["installing", "restarting", "verifying", "staged"],
        ["refused"],
        ["pending"],
    ):
        found = rows.filter(state__in=states).order_by("-state_at", "pk").first()
        if found:
            return found
    return rows.order_by("-state_at").first()


def _of_target(job: Job, actor: User, waiting: Waiting) -> dict[str, Any]:
    files = staged.row_of(job)
    return {
        "target": job,
        "target_facts": [
            *shown.changes_of(job),
            *staged.facts_of(job, files),
            (_("Attempt"), str(job.attempt)),
            (_("Key of the job"), format_html('<span class="mono">{}</span>', job.job_key)),
        ],
        "verdicts": shown.verdicts(shown.slips_of(job)),
        "ahead_unheard": staged.unheard(files),
        "ahead": shown.verdicts(staged.slips_of(job)),
        "log": shown.log_of(job),
        "target_verbs": verbs_of_job(job, actor=actor),
        "waits": waiting.of_job(job),
    }


def _links(rollout: Rollout, actor: User) -> list[tuple[str, Any]]:
    def link(url: str, text: str) -> Any:
        return format_html('<a href="{}">{}</a>', url, text)

    rows: list[tuple[str, Any]] = [(_("Release"), link(rollout.release.get_absolute_url(), rollout.release.number))]
    rows.append((_("Manifest"), format_html('<span class="mono">{}…</span>', rollout.manifest.digest[:16])))
    if rollout.reverses:
        rows.append((_("Takes back"), link(rollout.reverses.get_absolute_url(), rollout.reverses.number)))
    for back in rollout.reversed_by.all():
        rows.append((_("Taken back by"), link(back.get_absolute_url(), back.number)))
    rows.append((_("Executor"), rollout.executor))
    if rollout.started_by:
        rows.append((_("Started by"), str(rollout.started_by)))
    if rollout.state in OPEN_ROLLOUT and actor.holds("kill_switch.set"):
        rows.append((_("All rollouts"), link(reverse("releases:rollout-kill-switch"), _("kill switch"))))
    return rows
