"""What a cycle was told of, and how its clocks stand: from the vendor's release to the notification here, to the start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median_low

from django.db.models import Min, OuterRef, Q, Subquery

from changes.enums_identify import Response
from changes.models import RFC, Cycle, RFCUpdate, SoftwareUpdate
from changes.queries.updates import carried, counted
from patchflow.kernel.models import User

AT_RISK = 3, 4
"""The share of its time after which a clock that runs is called near."""


CARRIED = "carried"


class ClockState(StrEnum):
    """How the start-by target of an update stands."""

    MISSED = "missed"
    NEAR = "near"
    RUNNING = "running"
    LATE = "late"
    MET = "met"
    DECLINED = "declined"
    NONE = "none"


WORST_FIRST = tuple(ClockState)


@dataclass(frozen=True, slots=True)
class Notified:
    """An update of a cycle. `released_at`: the vendor's first advisory on it, if it has a date; `begun_at`: when the first
    change in sight started it in production; `missing`: hosts in sight that miss it now; `carried`: a change has it that is
    still to bring it to a host."""

    update: SoftwareUpdate
    released_at: datetime | None
    notified_at: datetime
    start_by: datetime | None
    begun_at: datetime | None
    clock: ClockState
    missing: int
    carried: bool = False

    @property
    def took(self) -> timedelta | None:
        """From the vendor's release to the notification here."""
        return self.notified_at - self.released_at if self.released_at else None


@dataclass(frozen=True, slots=True)
class Notice:
    """The updates of a cycle, what needs somebody first."""

    updates: Sequence[Notified]

    @property
    def counts(self) -> dict[str, int]:
        """Clock state → updates, in their order; without those that no update has."""
        found = Counter(one.clock for one in self.updates)
        return {state: found[state] for state in WORST_FIRST if found[state]}

    @property
    def responses(self) -> dict[str, int]:
        """Response → updates; what a change carries is not undecided, although nobody has written down a response."""
        found = Counter(
            CARRIED if one.carried and one.update.response == Response.UNDECIDED else one.update.response
            for one in self.updates
        )
        return {response: found[response] for response in (*Response.values, CARRIED) if found[response]}

    @property
    def released_at(self) -> datetime | None:
        """The first release by a vendor."""
        return min((one.released_at for one in self.updates if one.released_at), default=None)

    @property
    def notified_at(self) -> datetime | None:
        """The first notification here."""
        return min((one.notified_at for one in self.updates), default=None)

    @property
    def took(self) -> timedelta | None:
        """The median time from release to notification (the lower of two), of those that have both."""
        spans = [one.took for one in self.updates if one.took is not None]
        return median_low(spans) if spans else None


def notice_of(cycle: Cycle, actor: User, *, at: datetime) -> Notice:
    """The updates of the cycle that concern the actor: all, or those that a host or a change in sight has to do with. Three
    queries, for a scope one more."""
    rfcs = RFC.objects.visible_to(actor)
    rows = counted(SoftwareUpdate.objects.visible_to(actor).filter(cycle_rows__cycle=cycle), actor).annotate(
        released_at=Min("advisories__published_at"), told_at=Min("cycle_rows__notified_at"), begun_at=begun_at(actor), carried=carried(),
    )  # fmt: skip
    if actor.scopes_for("host.view") is not None:
        mine = RFCUpdate.objects.filter(removed_at__isnull=True, rfc__in=rfcs).values("update")
        rows = rows.filter(Q(missed__gt=0) | Q(pk__in=mine))
    return Notice(sorted(_notified(rows, at), key=_urgency))


def missed_by(cycle: Cycle, actor: User, *, at: datetime) -> int:
    """How many updates of the cycle hosts in sight miss although production should have begun: no change in sight began it, and
    it was not declined. One query, for a scope one more."""
    rows = counted(SoftwareUpdate.objects.visible_to(actor).filter(cycle_rows__cycle=cycle), actor)
    late = rows.filter(missed__gt=0, start_by__lte=at).exclude(response=Response.DECLINE)
    return int(late.annotate(begun_at=begun_at(actor)).filter(begun_at__isnull=True).count())


def begun_at(actor: User) -> Subquery:
    """Of an update: when production began with it, by the changes in sight of the actor."""
    rows = RFCUpdate.objects.filter(
        update=OuterRef("pk"), removed_at__isnull=True, rfc__in=RFC.objects.visible_to(actor)
    ).order_by()
    return Subquery(rows.values("update").annotate(at=Min("rfc__clock_stopped_at")).values("at"))


def _notified(rows: Iterable[SoftwareUpdate], at: datetime) -> Iterable[Notified]:
    for row in rows:
        told: datetime = row.told_at  # type: ignore[attr-defined]
        begun: datetime | None = row.begun_at  # type: ignore[attr-defined]
        yield Notified(
            update=row, released_at=row.released_at, notified_at=told, start_by=row.start_by, begun_at=begun,  # type: ignore[attr-defined]
            clock=clock_state(row, told, begun, at), missing=row.missed,  # type: ignore[attr-defined]
            carried=row.carried,  # type: ignore[attr-defined]
        )  # fmt: skip


def clock_state(update: SoftwareUpdate, told: datetime, begun: datetime | None, at: datetime) -> ClockState:
    """Whether production starts by the target: what began is met or late, what is declined has none, what runs is near its end
    or missed it."""
    if update.start_by is None:
        return ClockState.NONE
    if begun is not None:
        return ClockState.MET if begun <= update.start_by else ClockState.LATE
    if update.response == Response.DECLINE:
        return ClockState.DECLINED
    if at >= update.start_by:
        return ClockState.MISSED
    share, whole = AT_RISK
    near = told + (update.start_by - told) * share / whole
    return ClockState.NEAR if at >= near else ClockState.RUNNING


def _urgency(one: Notified) -> tuple[int, bool, datetime, str, int]:
    return (
        WORST_FIRST.index(one.clock),
        one.start_by is None,
        one.start_by or one.notified_at,
        one.update.name,
        one.update.pk,
    )
