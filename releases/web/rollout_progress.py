"""What the live page says of very many hosts: causes with counts, a forecast, the log of all, and the list of the hosts."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from patchflow.kernel.models import User
from patchflow.web import parts, states, words
from patchflow.web.tables import Column, Filter, Listing, list_page
from releases.domain.waiting import Waiting
from releases.enums_rollout import OPEN_ROLLOUT, JobState, RolloutState
from releases.enums_staging import StagingState
from releases.forecast import Forecast
from releases.models import Job, Rollout
from releases.queries.progress import causes, forecast_of, log_of_all
from releases.queries.rollouts import view_of
from releases.web import stagings as staged
from releases.web.causes import ADVICE, cause_words, without_advice
from releases.web.rollout_parts import GATES

LINES = 60
LAST = 25
"""Lines of the whole log on the live page."""


def _visible(request: HttpRequest, pk: int) -> Rollout:
    rows = Rollout.objects.all().visible_to(request.user)  # type: ignore[arg-type]
    return get_object_or_404(rows.select_related("release", "manifest", "reverses"), pk=pk)


def hosts_url(rollout: Rollout, **given: str) -> str:
    return f"{reverse('releases:rollout-hosts', args=[rollout.pk])}?{urlencode(given)}"


def cause_rows(rollout: Rollout, actor: User) -> list[dict[str, Any]]:
    """The causes with their look, and where their hosts are listed."""
    return [
        {
            "css": states.look("releases.job", one.state).css,
            "word": states.look("releases.job", one.state).label,
            "count": one.count,
            "cause": cause_words(one.code, GATES),
            "advice": ADVICE.get(one.code, ""),
            "said": without_advice(one.code, one.said),
            "host": one.host,
            "url": hosts_url(rollout, state=one.state, code=one.code or "-"),
        }
        for one in causes(rollout, actor)
    ]


def forecast_lines(rollout: Rollout, *, now: datetime, stopped: bool = False, stands: bool = False) -> list[str]:
    """The forecast in sentences, said as the estimate that it is; none for what is over, `stopped` for who knows how long,
    or what stands still."""
    if rollout.state not in OPEN_ROLLOUT or rollout.state == RolloutState.STOPPING:
        return []
    if stopped:
        return [_("No estimate while the kill switch is on.")]
    if stands:
        return [_("No estimate while it stands still.")]
    found = forecast_of(rollout, view_of(rollout, now=now, is_open=True), now=now)
    lines = [_when(rollout, found, now)]
    each = words.duration(found.pace.each)
    if found.pace.measured:
        of = found.pace.measured
        lines.append(
            ngettext("A host took %(each)s (%(n)d measured).", "A host took %(each)s (mean of %(n)d).", of)
            % {"each": each, "n": of}
        )
    else:
        lines.append(_("No host's time was measured yet: %(each)s for each are assumed.") % {"each": each})
    if found.late:
        lines.append(
            _("At this pace some hosts will not start before the latest start that was signed, and are refused.")
        )
    return lines


def _when(rollout: Rollout, found: Forecast, now: datetime) -> str:
    if found.ends_at is None:
        return _("Estimate: the windows that are known do not suffice for the hosts that wait.")
    when = words.at(found.ends_at, now=now)
    if rollout.state == RolloutState.RUNNING:
        return _("Estimate: done %(when)s, with its windows and the time that each ring is watched.") % {"when": when}
    return _("Estimate: done %(when)s, if it went on now.") % {"when": when}


def log_lines(events: list[Any]) -> list[parts.LogLine]:
    """Events of many hosts as lines, the oldest first."""
    css: dict[str, Any] = {"succeeded": "ok", "not_needed": "ok", "failed": "er", "refused": "er"}
    return [
        parts.LogLine(words.clock(e.at), e.job.host.name, f"{e.stage}: {e.message}", css.get(e.stage, ""))
        for e in reversed(events)
    ]


def _of_cause(rows: Any, code: str) -> Any:
    return rows.filter(code="" if code == "-" else code)


def _cause_choices(rollout: Rollout) -> list[tuple[str, str]]:
    """The causes that its hosts have, in words; "-" are those without one."""
    codes = Job.objects.filter(rollout=rollout).exclude(code="").order_by("code").values_list("code", flat=True)
    return [("-", _("none")), *((code, cause_words(code, GATES)) for code in codes.distinct())]


@list_page(gettext_lazy("Hosts of the rollout"))
@login_required
def rollout_hosts(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The hosts of a rollout as a list: by ring, state, cause and name, each with its reason; the same as CSV."""
    rollout = _visible(request, pk)
    back = reverse("releases:rollout-detail", args=[pk])
    rings: list[tuple[str, Any]] = [(str(ring.pk), ring.name) for ring in rollout.rings.order_by("position")]
    ahead = ["staging"] if staged.is_asked(rollout) else []
    now = timezone.now()
    waiting = Waiting(now)
    listing = Listing(
        request,
        Job.objects.filter(rollout=rollout).visible_to(request.user).select_related("host", "ring", "rollout", *ahead),  # type: ignore[arg-type]
        [
            Column(_("Host"), "host.name", url=lambda job: f"{back}?target={job.pk}#why", sort="name"),
            Column(_("State"), "state", state="releases.job"),
            Column(_("Ring"), "ring.name"),
            Column(
                _("Attempt"),
                lambda job: "" if job.state == JobState.PENDING and job.attempt == 1 else job.attempt,
                numeric=True,
                name="attempt",
            ),
            Column(_("Since"), "state_at", age=True, numeric=True, sort="age"),
            *([Column(_("Files"), staged.said_of, kept="mixed", name="files")] if ahead else []),
            Column(_("Why"), lambda job: waiting.of_job(job) or job.reason, kept="mixed", wide=True, name="why"),
        ],
        sorts={"name": ("host__name", "pk"), "age": ("-state_at", "-pk")},
        default="name",
        filters=[
            Filter("state", _("State"), "state", JobState.choices),
            Filter("ring", _("Ring"), "ring", rings),
            Filter("code", _("Cause"), _of_cause, _cause_choices(rollout)),
            *([Filter("staging", _("Files"), "staging__state", StagingState.choices)] if ahead else []),
            Filter("host", _("Host"), "host__name__icontains"),
        ],
        now=now,
        caption=_("Hosts"),
    )
    if listing.wants_csv:
        return listing.csv(f"{rollout.number}-hosts.csv")
    context = {
        "title": _("Hosts of %(rollout)s") % {"rollout": rollout.number},
        "lede": rollout.release.labelled,
        "phase": 4,
        "listing": listing,
        "empty_title": _("No host matches"),
        "empty_advice": _("Ask for another state, ring, cause or name."),
        "empty_url": back,
        "empty_label": rollout.number,
        "crumbs": [
            parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")), parts.Crumb(rollout.number, back),
            parts.Crumb(_("Hosts")),
        ],
    }  # fmt: skip
    return render(request, "web/list.html", context)


@login_required
def rollout_log(request: HttpRequest, pk: int) -> HttpResponse:
    """What all hosts of a rollout write, newest first; older lines by cursor. The newest page asks for itself again."""
    rollout = _visible(request, pk)
    actor: Any = request.user
    before = request.GET.get("before", "")
    if before and not before.isdigit():
        raise Http404
    events = list(log_of_all(rollout, actor, before=int(before) if before else None)[: LINES + 1])
    more = len(events) > LINES
    events = events[:LINES]
    back = reverse("releases:rollout-detail", args=[pk])
    context = {
        "title": _("Log of %(rollout)s") % {"rollout": rollout.number},
        "lede": rollout.release.labelled,
        "phase": 4,
        "rollout": rollout,
        "often": "3s" if not before and rollout.state in OPEN_ROLLOUT else "",
        "events": events,
        "back": back,
        "newest": bool(before),
        "older": f"?before={events[-1].pk}" if more else "",
        "crumbs": [
            parts.Crumb(_("Rollouts"), reverse("releases:rollout-list")), parts.Crumb(rollout.number, back),
            parts.Crumb(_("Log")),
        ],
    }  # fmt: skip
    return render(request, "releases/rollout_log.html", context)
