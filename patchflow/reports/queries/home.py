"""What Home asks: what waits for this person, what stands in each phase, which clocks run out, how healthy the sources are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Min, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy
from django.utils.translation import ngettext

from changes.enums import RFCState
from changes.enums_identify import Response
from changes.models import RFC, BreakGlass, Feed, SoftwareUpdate
from changes.queries import board
from changes.queries.feeds import visible_feeds
from changes.queries.rfcs import refusal_of
from changes.queries.updates import relevant
from cmdb.enums import DiscrepancyState
from cmdb.models import Discrepancy, Host, ScanRun
from patchflow.kernel.enums import Outcome
from patchflow.kernel.models import AuditEntry, User
from patchflow.notices.models import Delivery
from patchflow.web import words
from patchflow.web.parts import Clock, Phase, Statement, Todo
from patchflow.web.parts import Count as Figure
from patchflow.web.states import look
from releases.enums import ReleaseState, ReviewState
from releases.enums_rollout import RingState, RolloutState
from releases.enums_telling import DelayState
from releases.models import DelayRequest, PostImplementationReview, Release, Representative, Rollout

MANY = 8
"""How many of each kind Home shows; the rest is behind "all"."""

SHOWN = 12
"""How many of all that wait stand on Home."""

WAITING = 100
"""How much of each kind that waits is counted."""

R, S = RFCState, ReleaseState
Label = str | Promise
UNDER_WAY = (
    S.DEPLOYING, S.ROLLING_BACK, S.DEPLOYED, S.ROLLED_BACK, S.READY, S.AWAITING_READINESS, S.SCHEDULING, S.TESTING, S.BUILDING, S.PLANNING,
)  # fmt: skip
"""Releases that are not completed, what touches hosts first."""

STANDING = (R.AWAITING_APPROVAL, R.EVALUATING, R.SUBMITTED, R.DRAFT, R.AUTHORIZED)
RFC_DUE: dict[str, tuple[str, Label, Label]] = {
    # state: (capability that moves it on, act, button)
    R.DRAFT: ("rfc.submit", lazy("Submit"), lazy("Open draft")),
    R.SUBMITTED: ("rfc.evaluate", lazy("Evaluate"), lazy("Evaluate")),
    R.EVALUATING: ("rfc.request_approval", lazy("Complete and ask for approval"), lazy("Complete")),
    R.AUTHORIZED: ("release.compose", lazy("Compose a release"), lazy("Open")),
    R.IN_REVIEW: ("rfc.close", lazy("Close"), lazy("Close")),
}
RELEASE_DUE: dict[str, tuple[str, Label, Label]] = {
    S.PLANNING: ("release.build", lazy("Build"), lazy("Plan")),
    S.TESTING: ("acceptance.run", lazy("Test"), lazy("Test")),
    S.SCHEDULING: ("release.seal", lazy("Schedule and seal"), lazy("Schedule")),
    S.READY: ("release.deploy", lazy("Start the deployment"), lazy("Open")),
    S.DEPLOYED: ("release.accept", lazy("Complete"), lazy("Complete")),
    S.ROLLED_BACK: ("release.accept", lazy("Complete"), lazy("Complete")),
}


def waiting_for(actor: User, *, at: datetime) -> list[Todo]:
    """What waits for `actor`: decisions first, then what concerns them in person, then what their roles move on; in each the
    longest waiting first."""
    return [
        *_votes(actor, at),
        *_delays(actor, at),
        *_glass(actor, at),
        *_my_hosts(actor, at),
        *_refused(actor, at),
        *_rfcs(actor, at),
        *_releases(actor, at),
        *_reviews(actor, at),
        *_halted(actor, at),
        *_duties(actor, at),
    ]


@dataclass(frozen=True, slots=True)
class Section:
    """What waits for a person in one of their roles: the first few, and how many more."""

    title: str
    todo: list[Todo]
    more: int


def sections(todo: list[Todo]) -> list[Section]:
    """`waiting_for` by role, in its order."""
    found: dict[str, list[Todo]] = {}
    for one in todo:
        found.setdefault(one.section, []).append(one)
    shown = SHOWN if len(found) == 1 else SHOWN // 2
    return [Section(title, rows[:shown], max(len(rows) - shown, 0)) for title, rows in found.items()]


def _span(since: datetime | None, at: datetime, until: datetime | None = None) -> str:
    """ "since 3 h · until 20 Nov, 14:00, in 2 d", "since 3 h · overdue by 4 h"."""
    said = [_("since %(age)s") % {"age": words.duration(at - since)}] if since else []
    if until and until > at:
        said.append(
            _("until %(when)s, in %(left)s") % {"when": words.at(until, now=at), "left": words.duration(until - at)}
        )
    elif until:
        said.append(_("overdue by %(age)s") % {"age": words.duration(at - until)})
    return " · ".join(said)


def _may(actor: User, right: str) -> bool:
    """Whether the actor holds the right anywhere."""
    return actor.scopes_for(right) != frozenset()


# --- asked in person ----------------------------------------------------------------------------------------------------
def _votes(actor: User, at: datetime) -> list[Todo]:
    """Rounds of the board whose present level asks `actor`; who is asked sees them without rights on the hosts."""
    return [
        Todo(
            "st-wait",
            _("Decide"),
            round_.subject_label,
            reverse("changes:board-item", args=[round_.pk]),
            due=_span(round_.opened_at, at, round_.not_before),
            button=_("Decide"),
            section=_("To decide"),
        )
        for round_ in board.waiting_for(actor, at=at)[:WAITING]
    ]


def _delays(actor: User, at: datetime) -> list[Todo]:
    """Groups that ask for more time before their ring."""
    if not _may(actor, "ring.delay"):
        return []
    rows = DelayRequest.objects.filter(
        state=DelayState.ASKED, ring__rollout__in=Rollout.objects.all().visible_to(actor)
    )
    rows = rows.exclude(asked_by=actor).select_related("ring__rollout", "asked_by").order_by("asked_at")[:MANY]
    return [
        Todo(
            "st-wait",
            _("Grant or refuse more time"),
            f"{r.ring} · {r.asked_by}",
            r.ring.get_people_url(),
            why=Truncator(r.reason).chars(110),
            due=_span(r.asked_at, at),
            button=_("Decide"),
            section=_("To decide"),
        )
        for r in rows
    ]


def _glass(actor: User, at: datetime) -> list[Todo]:
    """Broken glass that waits for its review by a person who took no part in it."""
    if not (_may(actor, "rfc.close") or _may(actor, "rfc.approve")):
        return []
    rows = BreakGlass.objects.filter(
        broken_at__isnull=False, reviewed_at__isnull=True, rfc__in=RFC.objects.visible_to(actor)
    ).exclude(Q(asked_by=actor) | Q(broken_by=actor) | Q(rfc__requested_by=actor))
    return [
        Todo(
            "st-warn",
            _("Review the broken glass"),
            f"{g.rfc.number} · {g.rfc.title}",
            g.rfc.get_absolute_url(),
            due=_span(g.broken_at, at, g.review_due_at),
            button=_("Review"),
            section=_("To decide"),
        )
        for g in rows.select_related("rfc").order_by("review_due_at")[:MANY]
    ]


def _my_hosts(actor: User, at: datetime) -> list[Todo]:
    """Rings about whose hosts the actor was told, and has not said that they know."""
    rows = Representative.objects.filter(user=actor, acknowledged_at__isnull=True, ring__state=RingState.NOTIFIED)
    return [
        Todo(
            "st-wait",
            _("Acknowledge"),
            str(r.ring),
            r.ring.get_people_url(),
            why=ngettext("%(n)d of your hosts is next.", "%(n)d of your hosts are next.", r.hosts) % {"n": r.hosts},
            due=_span(r.told_at, at),
            button=_("I know"),
            section=_("My hosts"),
        )
        for r in rows.select_related("ring__rollout").order_by("told_at")[:MANY]
    ]


def _refused(actor: User, at: datetime) -> list[Todo]:
    """The actor's own requests that were refused and have not been changed since."""
    rows = RFC.objects.visible_to(actor).filter(requested_by=actor, state=R.EVALUATING).order_by("state_at")[:MANY]
    found = [(r, refusal_of(r)) for r in rows]
    return [
        Todo(
            "st-bad",
            _("Revise"),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            why=_("%(who)s refused: “%(why)s”") % {"who": refused.user, "why": refused.comment},
            due=_span(r.state_at, at, r.start_by),
            button=_("Revise"),
            section=_("My requests"),
        )
        for r, refused in found
        if refused is not None
    ]


# --- moved on by role ---------------------------------------------------------------------------------------------------
def _rfcs(actor: User, at: datetime) -> list[Todo]:
    states = [state for state, (right, _act, _button) in RFC_DUE.items() if _may(actor, right)]
    own = Q(state=R.DRAFT, requested_by=actor) | Q(state__in=[s for s in states if s != R.DRAFT])
    rows = (
        RFC.objects.visible_to(actor)
        .filter(own)
        .exclude(state=R.AUTHORIZED, release_links__left_at__isnull=True, release_links__isnull=False)
        .order_by("state_at")[:WAITING]
    )
    found = [
        Todo(
            look("changes.rfc", r.state).css,
            str(RFC_DUE[r.state][1]),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            due=_span(r.state_at, at, None if r.clock_stopped_at else r.start_by),
            button=str(RFC_DUE[r.state][2]),
            section=_("My requests") if r.state == R.DRAFT else _("Changes to move on"),
        )
        for r in rows
    ]
    return sorted(found, key=lambda todo: todo.section != _("My requests"))


def _releases(actor: User, at: datetime) -> list[Todo]:
    states = [state for state, (right, _act, _button) in RELEASE_DUE.items() if _may(actor, right)]
    rows = (
        Release.objects.visible_to(actor)
        .filter(state__in=states)
        .exclude(state__in=[S.DEPLOYED, S.ROLLED_BACK], review__state=ReviewState.OPEN)
        .order_by("state_at")[:WAITING]
    )
    return [
        Todo(
            look("releases.release", r.state).css,
            str(RELEASE_DUE[r.state][1]),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            why=r.reason,
            due=_span(r.state_at, at, r.latest_at if r.state not in (S.DEPLOYED, S.ROLLED_BACK) else None),
            button=str(RELEASE_DUE[r.state][2]),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def _reviews(actor: User, at: datetime) -> list[Todo]:
    """Open reviews that `actor` may complete: who started the deployment does not."""
    if not _may(actor, "review.complete"):
        return []
    rows = PostImplementationReview.objects.visible_to(actor).filter(state=ReviewState.OPEN)
    rows = rows.exclude(release__started_by=actor).select_related("release").order_by("opened_at")[:MANY]
    return [
        Todo(
            "st-wait",
            _("Review"),
            f"{r.release.number} · {r.release.title}",
            r.get_absolute_url(),
            why=_("What happened, and what we learn from it."),
            due=_span(r.opened_at, at),
            button=_("Review"),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def _halted(actor: User, at: datetime) -> list[Todo]:
    """Rollouts that stand still until a person has looked."""
    if not (_may(actor, "rollout.retry") or _may(actor, "rollout.stop")):
        return []
    rows = Rollout.objects.filter(state__in=[RolloutState.HALTED, RolloutState.PAUSED]).visible_to(actor)
    return [
        Todo(
            look("releases.rollout", r.state).css,
            _("Look, and decide how it goes on"),
            f"{r.number} · {r.release.title}",
            r.get_absolute_url(),
            why=Truncator(r.reason).chars(140),
            due=_span(r.state_at, at),
            button=_("Look"),
            section=_("Rollouts to look at"),
        )
        for r in rows.select_related("release").order_by("state_at")[:MANY]
    ]


def _duties(actor: User, at: datetime) -> list[Todo]:
    """What roles look after as a whole: a figure, and the list that it counts."""
    found = []
    if _may(actor, "discrepancy.settle"):
        rows = Discrepancy.objects.visible_to(actor).filter(state=DiscrepancyState.OPEN)
        seen = rows.aggregate(n=Count("pk"), first=Min("opened_at"))
        found.append((
            seen["n"], seen["first"], "st-warn", _("Settle"),
            ngettext("%(n)d discrepancy", "%(n)d discrepancies", seen["n"]), reverse("cmdb:discrepancy-list"), _("Inventory"),
        ))  # fmt: skip
    if _may(actor, "update.respond"):
        late = (
            relevant(actor)
            .filter(reach__gt=0, response=Response.UNDECIDED)
            .aggregate(n=Count("pk"), first=Min("notified_at"))
        )
        found.append((
            late["n"], late["first"], "st-wait", _("Say what to do about"),
            ngettext("%(n)d update that hosts miss", "%(n)d updates that hosts miss", late["n"]),
            reverse("changes:update-list") + "?missing=yes&response=undecided", _("Updates"),
        ))  # fmt: skip
    if actor.holds("notice.oversee"):
        mail = Delivery.objects.undelivered(actor).aggregate(n=Count("pk"), first=Min("notice__written_at"))
        found.append((
            mail["n"], mail["first"], "st-bad", _("Send again"),
            ngettext("%(n)d notice that did not arrive", "%(n)d notices that did not arrive", mail["n"]),
            reverse("reports:undelivered-list"), _("Mail"),
        ))  # fmt: skip
    if actor.scopes_for("audit.verify") is None:
        day = at - timedelta(days=1)
        refused = AuditEntry.objects.filter(outcome=Outcome.REFUSED, recorded_at__gte=day).aggregate(
            n=Count("pk"), first=Min("effective_at")
        )
        found.append((
            refused["n"], refused["first"], "st-warn", _("Read"),
            ngettext("%(n)d attempt refused since yesterday", "%(n)d attempts refused since yesterday", refused["n"]),
            reverse("reports:audit-list") + "?outcome=refused", _("Trail"),
        ))  # fmt: skip
    return [
        Todo(css, act, title % {"n": n}, url, due=_span(since, at), button=_("Open"), section=section)
        for n, since, css, act, title, url, section in found
        if n
    ]


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
        relevant(actor)
        .filter(reach__gt=0)
        .aggregate(
            all=Count("pk"),
            undecided=Count("pk", filter=Q(response=Response.UNDECIDED)),
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
                    _("audited in %(span)s") % {"span": words.duration(stale)},
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
            _("completion; then Assess again"), reverse("releases:release-list"),
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


def first_steps(actor: User) -> list[Todo]:
    """What a fresh installation needs before anything can be found: hosts, and somebody who tells what is fixed. Empty as
    soon as both are there, and for who sees neither."""
    steps = []
    if actor.scopes_for("host.view") is None and not Host.objects.live().exists():
        may = actor.scopes_for("host.add") != frozenset()
        steps.append(
            Todo(
                "st-open",
                _("First"),
                _("Add a host"),
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
        may = actor.scopes_for("feed.manage") != frozenset()
        steps.append(
            Todo(
                "st-open",
                _("Then") if steps else _("First"),
                _("Add an advisory feed"),
                reverse("changes:feed-add" if may else "changes:feed-list"),
                why=_("Without one, only what package managers report is known.")
                if may
                else _(
                    "A security officer or administrator does it. Without one, only what package managers report is known."
                ),
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
    """The five start-by clocks that end first, of updates that hosts miss and nobody has begun to deploy."""
    rows = (
        SoftwareUpdate.objects.visible_to(actor)
        .filter(
            withdrawn_at__isnull=True,
            superseded_by__isnull=True,
            reach__gt=0,
            start_by__isnull=False,
            notified_at__isnull=False,
        )
        .exclude(response__in=[Response.DECLINE])
        .order_by("start_by")[:5]
    )
    return [
        Risk(
            str(u),
            reverse("changes:update-detail", args=[u.pk]),
            ngettext("%(n)d host misses it", "%(n)d hosts miss it", u.reach) % {"n": u.reach},
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
                f"{text}: {Truncator(feed.problem).chars(110)}" if feed.problem else text,
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
