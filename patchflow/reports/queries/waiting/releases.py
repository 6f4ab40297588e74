"""What waits for a person at releases: more time, their hosts, work by hand, rollouts that stand still, reviews."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from itertools import islice

from django.db.models import Count, Exists, F, Min, OuterRef, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from changes.domain.evidence import carriers_of_each
from cmdb.models import Host
from patchflow.kernel.hands import acted_as
from patchflow.kernel.models import User
from patchflow.kernel.sentences import say
from patchflow.reports.queries.waiting.rows import MANY, WAITING, span
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

RETRIED = (JobState.FAILED, JobState.UNDONE)
"""How a host ended that a person can have tried again."""

LAST_MINUTE = time(23, 59)
"""Until then a day lasts that something is due on."""

S = ReleaseState
Label = str | Promise
RELEASE_DUE: dict[str, tuple[str, Label, Label]] = {
    S.PLANNING: ("release.build", gettext_lazy("Build"), gettext_lazy("Plan")),
    S.TESTING: ("acceptance.run", gettext_lazy("Test"), gettext_lazy("Test")),
    S.SCHEDULING: ("release.seal", gettext_lazy("Schedule and seal"), gettext_lazy("Schedule")),
    S.READY: ("release.deploy", gettext_lazy("Start the deployment"), gettext_lazy("Open")),
    S.DEPLOYED: ("release.accept", gettext_lazy("Complete"), gettext_lazy("Complete")),
    S.ROLLED_BACK: ("release.accept", gettext_lazy("Complete"), gettext_lazy("Complete")),
}


def delays(actor: User, at: datetime) -> list[Todo]:
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
            due=span(r.asked_at, at, _may_start_at(starts[r.ring_id])),
            button=_("Decide"),
            section=_("To decide"),
        )
        for r in rows
    ]


def _may_start_at(start: telling.Start) -> datetime | None:
    """When the ring may start: what is undecided then holds nothing back. None where somebody is to acknowledge first."""
    return None if start.silent else start.at


def _ring(ring: Ring) -> str:
    """The ring by its name, and that its rollout is simulated."""
    return ", ".join(filter(None, [str(ring), ring.rollout.simulated_word]))


def my_hosts(actor: User, at: datetime) -> list[Todo]:
    """Rings about whose hosts the actor was told, and has not said that they know."""
    rows = Representative.objects.filter(user=actor, acknowledged_at__isnull=True, ring__state=RingState.NOTIFIED)
    rows = rows.annotate(profile=F("ring__rollout__manifest__document__profile")).select_related("ring__rollout")
    found = list(rows.order_by("told_at")[:MANY])
    starts = telling.starts_of([r.ring for r in found], {r.ring_id: r.profile for r in found}, now=at)
    return [
        Todo(
            "st-wait",
            _("Acknowledge"),
            _ring(r.ring),
            r.ring.get_people_url(),
            why=ngettext("%(n)d of your hosts is next.", "%(n)d of your hosts are next.", r.hosts) % {"n": r.hosts},
            due=span(r.told_at, at, starts[r.ring_id].at),
            button=_("I know"),
            section=_("My hosts"),
        )
        for r in found
    ]


def by_hand(actor: User, at: datetime) -> list[Todo]:
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
            due=span(t.begun_at or t.given_at, at, t.finish_by or t.begin_by),
            button=_("Open"),
            section=_("By hand"),
        )
        for t in rows.select_related("job__host", "job__rollout").order_by("begin_by")[:WAITING]
    ]


def releases(actor: User, at: datetime) -> list[Todo]:
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
            due=span(r.state_at, at, r.latest_at if r.state not in (S.DEPLOYED, S.ROLLED_BACK) else None),
            button=str(RELEASE_DUE[r.state][2]),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def reviews(actor: User, at: datetime) -> list[Todo]:
    """Open reviews that `actor` may complete: who carried out a part of the deployment does not."""
    return [
        Todo(
            "st-wait",
            _("Review"),
            r.release.named,
            r.get_absolute_url(),
            why=_("What happened, and what we learn from it."),
            due=span(r.opened_at, at),
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


def periodic(actor: User, at: datetime) -> list[Todo]:
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
            due=span(r.opened_at, at, r.due_at),
            button=_("Review"),
            section=_("Releases to move on"),
        )
        for r in rows
    ]


def actions(actor: User, at: datetime) -> list[Todo]:
    """What `actor` has taken on in a review and has not settled, the first due first."""
    rows = PeriodicAction.objects.filter(owner=actor, settled_at__isnull=True).select_related("review")
    return [
        Todo(
            "st-bad" if row.due_on < at.date() else "st-wait",
            _("Action"),
            row.text,
            reverse("releases:periodic-settle", args=[row.review_id, row.pk]),
            why=str(row.review),
            due=span(row.raised_at, at, datetime.combine(row.due_on, LAST_MINUTE, UTC)),
            button=_("Settle"),
            section=_("My actions"),
        )
        for row in rows.order_by("due_on", "pk")[:MANY]
    ]


def halted(actor: User, at: datetime) -> list[Todo]:
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
            due=span(r.state_at, at),
            button=_("Look"),
            section=_("Rollouts to look at"),
        )
        for r in rows.select_related("release").order_by("state_at")[:MANY]
    ]


def failing(actor: User, at: datetime) -> list[Todo]:
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
            due=span(counts[r.pk]["first"], at),
            button=_("Look"),
            section=_("Rollouts to look at"),
        )
        for r in sorted(rows, key=lambda r: counts[r.pk]["first"])[:MANY]
    ]
