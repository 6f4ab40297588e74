"""What waits for a person: decisions first, then what concerns them, then what their roles move on, each with its clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice

from django.db.models import Case, Count, Exists, F, Min, OuterRef, Q, Value, When
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from changes.domain.evidence import carriers_of_each
from changes.domain.glass import BEFORE
from changes.enums import EvidenceKind, RFCKind, RFCState
from changes.models import RFC, BreakGlass, ChangeTask, Evidence
from changes.queries import board
from changes.queries.change_tasks import with_hold
from changes.queries.holds import open_holds
from changes.queries.rfcs import refusal_of
from changes.queries.updates import undecided
from cmdb.enums import DiscrepancyState
from cmdb.models import Discrepancy, Host
from patchflow.kernel.enums import Outcome
from patchflow.kernel.hands import acted_as
from patchflow.kernel.models import AuditEntry, User
from patchflow.kernel.sentences import say
from patchflow.kernel.workflow import why_not
from patchflow.notices.models import Delivery
from patchflow.web import words
from patchflow.web.parts import Todo
from patchflow.web.states import look
from releases.enums import ReleaseState, ReviewState
from releases.enums_rollout import JobState, RingState, RolloutState
from releases.enums_telling import DelayState
from releases.models import (
    DelayRequest,
    HandTask,
    Job,
    PeriodicAction,
    PeriodicReview,
    PlannedHost,
    PostImplementationReview,
    Release,
    ReleaseRFC,
    Representative,
    Ring,
    Rollout,
)
from releases.queries import telling

MANY = 8
"""How many of each kind are shown; the rest is behind "all"."""

SHOWN = 12
"""How many of all that wait stand on Home."""

WAITING = 100
"""How much of each kind that waits is counted."""

RETRIED = (JobState.FAILED, JobState.UNDONE)
"""How a host ended that a person can have tried again."""

LAST_MINUTE = time(23, 59)
"""Until then a day lasts that something is due on."""

R, S = RFCState, ReleaseState
Label = str | Promise
RFC_DUE: dict[str, tuple[str, Label, Label]] = {
    # state: (capability that moves it on, act, button)
    R.DRAFT: ("rfc.submit", gettext_lazy("Submit"), gettext_lazy("Open draft")),
    R.SUBMITTED: ("rfc.evaluate", gettext_lazy("Evaluate"), gettext_lazy("Evaluate")),
    R.EVALUATING: (
        "rfc.request_approval",
        gettext_lazy("Complete and ask for approval"),
        pgettext_lazy("plans", "Complete"),
    ),
    R.AUTHORIZED: ("release.compose", gettext_lazy("Compose a release"), gettext_lazy("Open")),
    R.IN_REVIEW: ("rfc.close", gettext_lazy("Close"), gettext_lazy("Close")),
}
SUBMITTED_DUE: dict[str, tuple[Label, Label]] = {
    RFCKind.EMERGENCY: (gettext_lazy("Ask the ECAB"), gettext_lazy("Open")),
    RFCKind.STANDARD: (gettext_lazy("Send it back: its licence does not cover it"), gettext_lazy("Open")),
}
"""Act and button for the kinds that are not evaluated once they are submitted."""
RELEASE_DUE: dict[str, tuple[str, Label, Label]] = {
    S.PLANNING: ("release.build", gettext_lazy("Build"), gettext_lazy("Plan")),
    S.TESTING: ("acceptance.run", gettext_lazy("Test"), gettext_lazy("Test")),
    S.SCHEDULING: ("release.seal", gettext_lazy("Schedule and seal"), gettext_lazy("Schedule")),
    S.READY: ("release.deploy", gettext_lazy("Start the deployment"), gettext_lazy("Open")),
    S.DEPLOYED: ("release.accept", gettext_lazy("Complete"), gettext_lazy("Complete")),
    S.ROLLED_BACK: ("release.accept", gettext_lazy("Complete"), gettext_lazy("Complete")),
}


def waiting_for(actor: User, *, at: datetime) -> list[Todo]:
    """What waits for `actor`: decisions first, then what concerns them in person, then what their roles move on; in each the
    longest waiting first, of changes the emergencies and those whose start-by date is over."""
    return [
        *_to_break(actor, at),
        *_votes(actor, at),
        *_delays(actor, at),
        *_glass(actor, at),
        *_halted(actor, at),
        *_failing(actor, at),
        *_my_hosts(actor, at),
        *_by_hand(actor, at),
        *_tasks(actor, at),
        *_refused(actor, at),
        *_rfcs(actor, at),
        *_releases(actor, at),
        *_reviews(actor, at),
        *_periodic(actor, at),
        *_actions(actor, at),
        *_duties(actor, at),
    ]


@dataclass(frozen=True, slots=True)
class Section:
    """What waits for a person in one of their roles: the first few, and the rest."""

    title: str
    todo: list[Todo]
    rest: list[Todo]

    @property
    def more(self) -> int:
        return len(self.rest)


def sections(todo: list[Todo]) -> list[Section]:
    """`waiting_for` by role, in its order."""
    found: dict[str, list[Todo]] = {}
    for one in todo:
        found.setdefault(one.section, []).append(one)
    shown = SHOWN if len(found) == 1 else SHOWN // 2
    return [Section(title, rows[:shown], rows[shown:]) for title, rows in found.items()]


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
    if not actor.holds_somewhere("ring.delay"):
        return []
    rows = DelayRequest.objects.filter(
        state=DelayState.ASKED, ring__rollout__in=Rollout.objects.all().visible_to(actor)
    )
    rows = rows.exclude(asked_by=actor).annotate(profile=F("ring__rollout__manifest__document__profile"))
    rows = rows.select_related("ring__rollout", "asked_by").order_by("asked_at")[:MANY]
    starts = telling.starts_of([r.ring for r in rows], {r.ring_id: r.profile for r in rows}, now=at)
    return [
        Todo(
            "st-wait",
            _("Grant or refuse more time"),
            f"{_ring(r.ring)} · {r.asked_by}",
            r.ring.get_people_url(),
            why=Truncator(r.reason).chars(110),
            due=_span(r.asked_at, at, _may_start_at(starts[r.ring_id])),
            button=_("Decide"),
            section=_("To decide"),
        )
        for r in rows
    ]


def _to_break(actor: User, at: datetime) -> list[Todo]:
    """Emergencies for which somebody asks a second person to break the glass, where `actor` can: who wrote it, or who asks by
    another door, cannot; nor can anybody while it is on hold or its risk is not known. Some queries for each; they are few."""
    if not actor.holds_somewhere("rfc.break_glass"):
        return []
    rows = BreakGlass.objects.filter(
        broken_at__isnull=True,
        withdrawn_at__isnull=True,
        rfc__in=RFC.objects.visible_to(actor).filter(state__in=BEFORE),
    ).exclude(Q(asked_by=actor) | Q(rfc__requested_by=actor))
    asked = rows.select_related("rfc", "asked_by").order_by("asked_at")[:WAITING]
    can = (g for g in asked if not why_not(g.rfc, "break_glass", actor=actor, at=at))
    return [
        Todo(
            "st-bad",
            _("Break the glass, or leave it to the board"),
            f"{g.rfc.number} · {g.rfc.title}",
            g.rfc.get_absolute_url(),
            why=_("%(who)s asks: “%(why)s”") % {"who": g.asked_by, "why": Truncator(g.reason).chars(110)},
            due=_span(g.asked_at, at),
            button=_("Decide"),
            section=_("To decide"),
        )
        for g in islice(can, MANY)
    ]


def _may_start_at(start: telling.Start) -> datetime | None:
    """When the ring may start: what is undecided then holds nothing back. None where somebody is to acknowledge first."""
    return None if start.silent else start.at


def _glass(actor: User, at: datetime) -> list[Todo]:
    """Broken glass that waits for its review by a person who took no part in it."""
    if not (actor.holds_somewhere("rfc.close") or actor.holds_somewhere("rfc.approve")):
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


def _ring(ring: Ring) -> str:
    """The ring by its name, and that its rollout is simulated."""
    return ", ".join(filter(None, [str(ring), ring.rollout.simulated_word]))


def _my_hosts(actor: User, at: datetime) -> list[Todo]:
    """Rings about whose hosts the actor was told, and has not said that they know."""
    rows = Representative.objects.filter(user=actor, acknowledged_at__isnull=True, ring__state=RingState.NOTIFIED)
    return [
        Todo(
            "st-wait",
            _("Acknowledge"),
            _ring(r.ring),
            r.ring.get_people_url(),
            why=ngettext("%(n)d of your hosts is next.", "%(n)d of your hosts are next.", r.hosts) % {"n": r.hosts},
            due=_span(r.told_at, at),
            button=_("I know"),
            section=_("My hosts"),
        )
        for r in rows.select_related("ring__rollout").order_by("told_at")[:MANY]
    ]


def _by_hand(actor: User, at: datetime) -> list[Todo]:
    """Hosts that wait for a person, or at which the actor is at work."""
    if not actor.holds_somewhere("job.perform"):
        return []
    rows = HandTask.objects.open().visible_to(actor).filter(Q(begun_by__isnull=True) | Q(begun_by=actor))
    return [
        Todo(
            look("releases.handtask", t.state).css,
            _("Report what became of it") if t.begun_at else _("Update by hand"),
            f"{t.job.host.name} · {t.job.rollout.number}",
            t.get_absolute_url(),
            due=_span(t.begun_at or t.given_at, at, t.finish_by or t.begin_by),
            button=_("Open"),
            section=_("By hand"),
        )
        for t in rows.select_related("job__host", "job__rollout").order_by("begin_by")[:WAITING]
    ]


def _tasks(actor: User, at: datetime) -> list[Todo]:
    """Tasks of changes that are the actor's, or their support group's, and whose turn it is; the first due first."""
    rows = with_hold(ChangeTask.objects.all().visible_to(actor).undone().given_to(actor).may_begin())
    rows = rows.select_related("rfc").order_by(F("due_at").asc(nulls_last=True), "pk")
    return [
        Todo(
            "st-bad" if t.is_overdue(at) else look("changes.changetask", t.state).css,
            _("Say what came of it") if t.begun_at else _("Begin the task"),
            str(t),
            t.get_absolute_url(),
            why=_("On hold: until it is resumed, nothing of it goes on.") if t.held else t.rfc.title,  # type: ignore[attr-defined]
            due=_span(t.begun_at or t.added_at, at, t.due_at),
            button=_("Open"),
            section=_("My tasks"),
        )
        for t in rows[:WAITING]
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
    """What can be moved on now: a change on hold is resumed first, one in review is closed when its review is there and its
    required tasks are done."""
    owing = ChangeTask.objects.all().undone().filter(rfc=OuterRef("pk"), required=True)
    reviewed = Evidence.objects.filter(rfc=OuterRef("pk"), kind=EvidenceKind.REVIEW)
    may_resume = actor.holds_somewhere("rfc.hold")
    states = [state for state, (right, _act, _button) in RFC_DUE.items() if actor.holds_somewhere(right)]
    own = Q(state=R.DRAFT, requested_by=actor) | Q(state__in=[s for s in states if s != R.DRAFT])
    rows = (
        RFC.objects.visible_to(actor)
        .filter(own)
        .exclude(state=R.AUTHORIZED, release_links__left_at__isnull=True, release_links__isnull=False)
        .exclude(Q(state=R.IN_REVIEW) & (~Exists(reviewed) | Exists(owing)))
        .annotate(held=Exists(open_holds(RFC, OuterRef("pk"))))
        .filter(Q(held=False) | Q(held=may_resume))
        .order_by(_urgency(at), "state_at")[:WAITING]
    )
    found = [
        Todo(
            look("changes.rfc", r.state).css,
            _("Resume") if r.held else str(_due(r)[0]),
            f"{r.number} · {r.title}",
            r.get_absolute_url(),
            why=_why(r),
            due=_span(r.state_at, at, None if r.clock_stopped_at else r.start_by),
            button=_("Open") if r.held else str(_due(r)[1]),
            section=_("My requests") if r.state == R.DRAFT else _("Changes to move on"),
        )
        for r in rows
    ]
    return sorted(found, key=lambda todo: todo.section != _("My requests"))


def _urgency(at: datetime) -> Case:
    """Emergencies, then what should have started by now, then the rest."""
    over = Q(start_by__lt=at, clock_stopped_at__isnull=True)
    return Case(When(kind=RFCKind.EMERGENCY, then=Value(0)), When(over, then=Value(1)), default=Value(2))


def _due(rfc: RFC) -> tuple[Label, Label]:
    """Act and button: what its page asks for next: an emergency goes to the ECAB at once, a standard change that waits is not covered."""
    _right, *usual = RFC_DUE[rfc.state]
    act, button = SUBMITTED_DUE.get(rfc.kind, usual) if rfc.state == R.SUBMITTED else usual
    return act, button


def _why(rfc: RFC) -> str:
    """That it is an emergency, and that it is on hold (`held`, as `_rfcs` reads it)."""
    said = [_("Emergency.")] if rfc.kind == RFCKind.EMERGENCY else []
    if rfc.held:  # type: ignore[attr-defined]
        said.append(_("On hold: until it is resumed, nothing of it goes on."))
    return " ".join(said)


def _releases(actor: User, at: datetime) -> list[Todo]:
    states = [state for state, (right, _act, _button) in RELEASE_DUE.items() if actor.holds_somewhere(right)]
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
            r.named,
            r.get_absolute_url(),
            why=say(r.reason, mixed=True),
            due=_span(r.state_at, at, r.latest_at if r.state not in (S.DEPLOYED, S.ROLLED_BACK) else None),
            button=str(RELEASE_DUE[r.state][2]),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def _reviews(actor: User, at: datetime) -> list[Todo]:
    """Open reviews that `actor` may complete: who carried out a part of the deployment does not."""
    return [
        Todo(
            "st-wait",
            _("Review"),
            r.release.named,
            r.get_absolute_url(),
            why=_("What happened, and what we learn from it."),
            due=_span(r.opened_at, at),
            button=_("Review"),
            section=_("Releases to move on"),
        )
        for r in islice(_completable(actor), MANY)
    ]


def _completable(actor: User) -> Iterator[PostImplementationReview]:
    """The longest open first. A fixed number of queries."""
    if not actor.holds_somewhere("review.complete"):
        return
    rows = PostImplementationReview.objects.visible_to(actor).filter(state=ReviewState.OPEN)
    if actor.scopes_for("review.complete") is not None:
        planned = PlannedHost.objects.filter(release=OuterRef("release"))
        beyond = planned.exclude(host__in=Host.objects.within(actor, "review.complete"))
        rows = rows.filter(Exists(planned), ~Exists(beyond))
    rows = rows.exclude(release__started_by=actor).select_related("release").order_by("opened_at")
    open_ = list(rows[:WAITING])
    links = ReleaseRFC.objects.filter(release__in=[review.release_id for review in open_]).select_related("rfc")
    carried: dict[int, set[int | None]] = {review.release_id: {review.release.started_by_id} for review in open_}
    rfcs = {link.rfc_id: link.rfc for link in links}
    hands = carriers_of_each(*rfcs.values())
    for link in links:
        carried[link.release_id] |= hands[link.rfc_id]
    own = acted_as(actor, set().union(*carried.values()))
    yield from (review for review in open_ if own.isdisjoint(carried[review.release_id]))


def _periodic(actor: User, at: datetime) -> list[Todo]:
    """Open reviews at intervals: the own ones, and those of nobody for who may complete them."""
    mine = Q(owner=actor)
    if actor.scopes_for("review.complete") is None:
        mine |= Q(owner__isnull=True)
    rows = PeriodicReview.objects.all().visible_to(actor).open().filter(mine).order_by("due_at")[:MANY]
    return [
        Todo(
            "st-bad" if r.due_at < at else "st-wait",
            _("Review"),
            str(r),
            r.get_absolute_url(),
            why=_("What the figures of the period say, and what follows from them."),
            due=_span(r.opened_at, at, r.due_at),
            button=_("Review"),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def _actions(actor: User, at: datetime) -> list[Todo]:
    """What `actor` has taken on in a review and has not settled, the first due first."""
    rows = PeriodicAction.objects.filter(owner=actor, settled_at__isnull=True).select_related("review")
    return [
        Todo(
            "st-bad" if row.due_on < at.date() else "st-wait",
            _("Action"),
            row.text,
            reverse("releases:periodic-settle", args=[row.review_id, row.pk]),
            why=str(row.review),
            due=_span(row.raised_at, at, datetime.combine(row.due_on, LAST_MINUTE, UTC)),
            button=_("Settle"),
            section=_("My actions"),
        )
        for row in rows.order_by("due_on", "pk")[:MANY]
    ]


def _halted(actor: User, at: datetime) -> list[Todo]:
    """Rollouts that stand still until a person has looked."""
    if not (actor.holds_somewhere("rollout.retry") or actor.holds_somewhere("rollout.stop")):
        return []
    rows = Rollout.objects.filter(state__in=[RolloutState.HALTED, RolloutState.PAUSED]).visible_to(actor)
    return [
        Todo(
            look("releases.rollout", r.state).css,
            _("Look, and decide how it goes on"),
            r.named,
            r.get_absolute_url(),
            why=Truncator(say(r.reason, mixed=True)).chars(140),
            due=_span(r.state_at, at),
            button=_("Look"),
            section=_("Rollouts to look at"),
        )
        for r in rows.select_related("release").order_by("state_at")[:MANY]
    ]


def _failing(actor: User, at: datetime) -> list[Todo]:
    """Rollouts that go on although hosts of theirs failed: such a host waits for a person, and for nothing else."""
    if not actor.holds_somewhere("rollout.retry"):
        return []
    jobs = Job.objects.visible_to(actor).filter(
        rollout__state=RolloutState.RUNNING, ring__state=RingState.RUNNING, state__in=RETRIED,
        host__in=Host.objects.within(actor, "rollout.retry"),
    )  # fmt: skip
    counts = {row["rollout"]: row for row in jobs.values("rollout").annotate(n=Count("pk"), first=Min("state_at"))}
    rows = Rollout.objects.filter(pk__in=counts).visible_to(actor).select_related("release")
    return [
        Todo(
            "st-bad",
            ngettext("Help %(n)d failed host", "Help %(n)d failed hosts", counts[r.pk]["n"]) % {"n": counts[r.pk]["n"]},
            r.named,
            r.get_absolute_url(),
            why=_("The rollout goes on. Look at the cause, then retry them in their ring."),
            due=_span(counts[r.pk]["first"], at),
            button=_("Look"),
            section=_("Rollouts to look at"),
        )
        for r in sorted(rows, key=lambda r: counts[r.pk]["first"])[:MANY]
    ]


def _duties(actor: User, at: datetime) -> list[Todo]:
    """What roles look after as a whole: a figure, and the list that it counts."""
    found = []
    if actor.holds_somewhere("discrepancy.settle"):
        rows = Discrepancy.objects.visible_to(actor).filter(state=DiscrepancyState.OPEN)
        seen = rows.aggregate(n=Count("pk"), first=Min("opened_at"))
        found.append((
            seen["n"], seen["first"], "st-warn", _("Settle"),
            ngettext("%(n)d discrepancy", "%(n)d discrepancies", seen["n"]), reverse("cmdb:discrepancy-list"), _("Inventory"),
        ))  # fmt: skip
    if actor.holds_somewhere("update.respond"):
        late = undecided(actor).aggregate(n=Count("pk"), first=Min("notified_at"))
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
