"""What Home shows beside what waits: the phases, the first steps, the clocks that run out, how healthy the sources are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.urls import reverse
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.enums import RFCState
from changes.enums_identify import Response
from changes.models import RFC, Feed
from changes.queries.feeds import visible_feeds
from changes.queries.updates import carried, counted, relevant
from cmdb.models import Host, ScanRun
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.web import words
from patchflow.web.parts import Clock, Phase, Statement, Todo
from patchflow.web.parts import Count as Figure
from patchflow.web.states import look
from releases.enums import ReleaseState
from releases.models import Release

MANY = 8
"""How many of each kind Home shows; the rest is behind "all"."""

R, S = RFCState, ReleaseState
UNDER_WAY = (
    S.DEPLOYING, S.ROLLING_BACK, S.DEPLOYED, S.ROLLED_BACK, S.READY, S.AWAITING_READINESS, S.SCHEDULING, S.TESTING, S.BUILDING, S.PLANNING,
)  # fmt: skip
"""Releases that are not completed, what touches hosts first."""

STANDING = (R.AWAITING_APPROVAL, R.EVALUATING, R.SUBMITTED, R.DRAFT, R.AUTHORIZED, R.SUSPENDED)


def phases(actor: User, *, at: datetime) -> list[Phase]:
    """What stands in each of the four phases, with the event that leaves it. Four queries."""
    stale = settings.PATCHFLOW["FACTS_STALE_AFTER"]
    fresh = at - stale
    hosts = (
        Host.objects.visible_to(actor)
        .live()
        .aggregate(
            all=Count("pk"),
            fresh=Count("pk", filter=Q(audited_at__gte=fresh)),
            restart=Count("pk", filter=Q(restart_needed=True)),
        )
    )
    identified = (
        counted(relevant(actor), actor)
        .filter(missed__gt=0)
        .aggregate(
            all=Count("pk"),
            undecided=Count("pk", filter=Q(Q(response=Response.UNDECIDED), ~carried())),
            exploited=Count("pk", filter=Q(exploited=True)),
            late=Count("pk", filter=Q(start_by__lt=at)),
        )
    )
    rfcs = dict(RFC.objects.visible_to(actor).open().values_list("state").annotate(Count("pk")))
    releases = dict(Release.objects.visible_to(actor).open().values_list("state").annotate(Count("pk")))
    estate, catalogue = reverse("cmdb:host-list"), reverse("changes:update-list") + "?missing=yes"
    return [
        Phase(
            1, _("hosts"), hosts["all"],
            [
                Figure(
                    _("audited in the last %(span)s") % {"span": words.duration(stale)},
                    hosts["fresh"], "st-good", estate + "?facts=fresh",
                ),
                Figure(_("not reporting"), hosts["all"] - hosts["fresh"], "st-unk", estate + "?facts=silent"),
                Figure(_("restart pending"), hosts["restart"], "st-warn", estate + "?restart=yes"),
            ],
            _("notification of an update"), estate,
        ),
        Phase(
            2, _("updates that hosts miss"), identified["all"],
            [
                Figure(_("response undecided"), identified["undecided"], "st-wait", catalogue + "&response=undecided"),
                Figure(_("known exploited"), identified["exploited"], "st-bad", catalogue + "&exploited=yes"),
                Figure(_("past their start-by"), identified["late"], "st-bad", catalogue + "&clock=over"),
            ],
            _("submission of an RFC"), catalogue,
        ),
        Phase(
            3, _("changes"), sum(n for s, n in rfcs.items() if s not in (R.IMPLEMENTING, R.IN_REVIEW)),
            _figures("changes.rfc", rfcs, STANDING, reverse("changes:rfc-list")),
            _("approval for production"), reverse("changes:rfc-list"),
        ),
        Phase(
            4, _("releases"), sum(releases.values()),
            _figures("releases.release", releases, UNDER_WAY, reverse("releases:release-list")),
            _("completion of the release"), reverse("releases:release-list"),
        ),
    ]  # fmt: skip


def late(found: list[Phase]) -> int:
    """How many updates that hosts miss are past their start-by, from `phases`."""
    return found[1].counts[-1].count


def _figures(machine: str, counts: dict[str, int], states: tuple[Any, ...], url: str) -> list[Figure]:
    return [
        Figure(str(look(machine, s).label), counts[s], look(machine, s).css, f"{url}?state={s}")
        for s in states
        if counts.get(s)
    ]


def without_feed() -> str:
    """What is known while no feed tells which updates exist."""
    return _(
        "Without a feed only what each host's own package manager offers is seen; what your hosts miss is unknown."
    )


def first_steps(actor: User) -> list[Todo]:
    """What a fresh installation needs before anything can be found: hosts, and somebody who tells what is fixed. Empty as
    soon as both are there, and for who sees neither."""
    steps = []
    if actor.scopes_for("host.view") is None and not Host.objects.live().exists():
        may = actor.holds_somewhere("host.add")
        steps.append(
            Todo(
                "st-open",
                _("First"),
                _("Add a host") if may else _("No host yet"),
                reverse("cmdb:host-add" if may else "cmdb:host-list"),
                why=_("Say where it is and accept its key; the first scan shows what it runs and what it misses.")
                if may
                else _(
                    "A configuration manager says where it is and accepts its key; the first scan shows what it runs."
                ),
                button=_("Add a host") if may else "",
            )
        )
    if actor.scopes_for("update.view") is None and not Feed.objects.exists():
        may = actor.holds_somewhere("feed.manage")
        steps.append(
            Todo(
                "st-open",
                _("Then") if steps else _("First"),
                _("Add an advisory feed") if may else _("No advisory feed yet"),
                reverse("changes:feed-add" if may else "changes:feed-list"),
                why=without_feed()
                if may
                else " ".join([_("A security officer or administrator adds it."), without_feed()]),
                button=_("Add a feed") if may else "",
            )
        )
    return steps


@dataclass(frozen=True, slots=True)
class Risk:
    """A start-by clock that runs out: the update or RFC, and its clock."""

    title: str
    url: str
    detail: str
    clock: Clock


def clocks(actor: User, *, at: datetime) -> list[Risk]:
    """The five start-by clocks that end first, of updates that hosts in sight miss and nobody has begun to deploy."""
    rows = (
        counted(relevant(actor).filter(start_by__isnull=False), actor)
        .filter(missed__gt=0)
        .exclude(response__in=[Response.DECLINE])
        .order_by("start_by")[:5]
    )
    return [
        Risk(
            str(u),
            reverse("changes:update-detail", args=[u.pk]),
            ngettext("%(n)d host misses it", "%(n)d hosts miss it", u.missed) % {"n": u.missed},
            Clock(u.notified_at, u.start_by, label=str(u.get_update_class_display())),
        )
        for u in rows
        if u.notified_at and u.start_by
    ]


def feeds(actor: User, *, at: datetime) -> list[Statement]:
    """Each feed with its last good poll; a stale one is not good."""
    found = []
    for feed in visible_feeds(actor).filter(enabled=True).order_by("name")[:MANY]:
        good = feed.last_good_at is not None and not feed.is_stale(at) and not feed.problem
        css = "st-good" if good else "st-unk" if feed.last_good_at is None else "st-warn"
        age = words.duration(at - feed.last_good_at) if feed.last_good_at else _("never")
        text = feed.title or feed.name
        found.append(
            Statement(
                css,
                f"{text}: {Truncator(say(feed.problem, mixed=True)).chars(200)}" if feed.problem else text,
                age,
                reverse("changes:feed-detail", args=[feed.pk]),
            )
        )
    return found


def scans(actor: User, *, at: datetime) -> list[Statement]:
    """The last scan runs."""
    rows = ScanRun.objects.visible_to(actor).order_by("-pk")[:5]
    return [
        Statement(
            look("cmdb.scanrun", r.state).css,
            f"{r.scanner}: {r.get_state_display()}",
            words.duration(at - r.requested_at),
            reverse("cmdb:scan-detail", args=[r.pk]),
        )
        for r in rows
    ]


def recent(actor: User, *, at: datetime) -> list[Statement]:
    """Releases that are being deployed, or ended in the last week."""
    rows = Release.objects.visible_to(actor).filter(
        Q(state__in=[S.DEPLOYING, S.ROLLING_BACK]) | Q(finished_at__gte=at - timedelta(days=7))
    )
    return [
        Statement(
            look("releases.release", r.state).css,
            f"{r.number} · {r.title}",
            str(look("releases.release", r.state).label),
            r.get_absolute_url(),
        )
        for r in rows.order_by("-pk")[:MANY]
    ]
