"""Conflicts of a change: the same CI, a related CI, a freeze, a window, a person. Never stored, always asked anew: before
approval, after each edit, when a release is sealed, and before the change begins.

What denies and what only warns is decided in docs/adr: time heals most conflicts, and the gates of each host keep two jobs
apart; what no waiting heals denies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from django.db.models import Count, Exists, OuterRef, Q
from django.urls import reverse

from changes.enums import TERMINAL, RFCState
from changes.models import RFC, ChangeSlot, FreezeWindow, RFCTarget, RFCUpdate
from changes.queries.fitting import Fit, fit_of
from cmdb.models import Host
from cmdb.queries.hosts import related_hosts
from patchflow.kernel.blockers import Blocker, english, english_n
from patchflow.kernel.models import User

COMPARED = 24
"""How many other changes on the same hosts are compared, those with most hosts in common first."""


class ConflictKind(StrEnum):
    SAME_CI = "same_ci"
    RELATED_CI = "related_ci"
    FREEZE = "freeze"
    WINDOW = "window"
    PERSON = "person"


@dataclass(frozen=True)
class Conflict:
    """One conflict. `denies`: no waiting heals it; `other_id` is the change on the other side, which not everybody may see.

    `among`: the hosts that were counted; `tell` says it with the number of those that a reader may see.
    """

    kind: ConflictKind
    sentence: str
    denies: bool = False
    where: str = ""
    other_id: int | None = None
    other: str = ""
    """The number of the change on the other side."""
    hosts: int = 0
    duplicate: bool = False
    """Whether the change on the other side carries an update that this one carries, too."""
    among: frozenset[int] = field(default=frozenset(), compare=False, repr=False)
    tell: Callable[[int], str] | None = field(default=None, compare=False, repr=False)

    @property
    def blocker(self) -> Blocker:
        return Blocker(f"conflict.{self.kind}", self.sentence, self.where, "bad" if self.denies else "wait")


Span = tuple[datetime, datetime | None]


def freezes_over(kind: str, since: datetime, until: datetime) -> list[FreezeWindow]:
    """The freezes, not lifted, that this kind does not pass and that touch [since, until)."""
    rows = FreezeWindow.objects.filter(lifted_at__isnull=True, starts_at__lt=until, ends_at__gt=since)
    return [freeze for freeze in rows.order_by("starts_at") if kind not in freeze.passes]


def find_conflicts(rfc: RFC, *, at: datetime, fit: Fit | None = None) -> list[Conflict]:
    """Every conflict of the change as it stands at `at`: those that deny, then changes with the same update. A fixed number of queries."""
    if rfc.state in TERMINAL:
        return []
    slots = list(ChangeSlot.objects.live().filter(rfc=rfc, ends_at__gt=at))
    targets = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True)
    hosts = list(targets.values_list("host_id", flat=True))
    fit = fit if fit is not None else fit_of(rfc, at=at)
    same = _on_hosts(rfc, slots, hosts, ConflictKind.SAME_CI, at=at)
    nearer = {conflict.other_id for conflict in same if conflict.other_id}
    found = [
        *_windows(rfc, fit),
        *_freezes(rfc, slots, fit, at=at),
        *same,
        *_on_hosts(rfc, slots, related_hosts(hosts) if hosts else set(), ConflictKind.RELATED_CI, at=at, but=nearer),
        *_persons(rfc, slots),
    ]
    return sorted(found, key=lambda conflict: (not conflict.denies, not conflict.duplicate))


def denying(rfc: RFC, *, at: datetime) -> list[Blocker]:
    """The conflicts that deny, as reasons."""
    return [conflict.blocker for conflict in find_conflicts(rfc, at=at) if conflict.denies]


def seen_by(actor: User, found: Sequence[Conflict], *, whole: bool = False) -> tuple[list[Conflict], int]:
    """The conflicts that the actor may read, and with how many other changes there are some that they may not. Their figures
    are of the hosts that the actor may see, unless `whole` asks for all."""
    others = {c.other_id for c in found if c.other_id}
    seen = set(RFC.objects.visible_to(actor).filter(pk__in=others).values_list("pk", flat=True))
    shown = [c for c in found if c.other_id is None or c.other_id in seen]
    if not whole and actor.scopes_for("host.view") is not None:
        shown = [_in_sight(c, actor) for c in shown]
    return shown, len(others - seen)


def _in_sight(conflict: Conflict, actor: User) -> Conflict:
    """The conflict with the figures of the hosts that the actor may see."""
    if conflict.tell is None:
        return conflict
    mine = Host.objects.visible_to(actor).filter(pk__among=conflict.among)
    if conflict.other_id:
        met = RFCTarget.objects.filter(
            rfc=conflict.other_id, host__in=mine, removed_at__isnull=True, left_at__isnull=True
        )
        count = met.count()
    else:
        count = mine.count()
    return replace(conflict, sentence=conflict.tell(count), hosts=count)


# --- window ---------------------------------------------------------------------------------------------------------------
def _windows(rfc: RFC, fit: Fit) -> list[Conflict]:
    """Targets that fit no opening: they will be refused at their turn. If none fits what the change permits, it denies;
    windows that are missing altogether can still be made, and only warn."""
    if not fit.unfit:
        return []
    where = f"{reverse('changes:rfc-targets', args=[rfc.pk])}?fits=no"
    count, total = len(fit.unfit), len(fit.unfit) + len(fit.fits)
    reason = next(iter(sorted(set(fit.unfit.values()))))
    what = (
        english("%(n)s of %(total)s targets will not fit their windows", n=count, total=total)
        if fit.fits
        else english("No target fits a window")
    )

    def tell(seen: int) -> str:
        said = (
            english("%(seen)s of the targets in your scope will not fit their windows", seen=seen) if fit.fits else what
        )
        return f"{said}. {reason}"

    return [
        Conflict(
            ConflictKind.WINDOW, f"{what}. {reason}", fit.contradicts, where, hosts=count, among=frozenset(fit.unfit),
            tell=tell,
        )
    ]  # fmt: skip


# --- freeze ---------------------------------------------------------------------------------------------------------------
def _freezes(rfc: RFC, slots: list[ChangeSlot], fit: Fit, *, at: datetime) -> list[Conflict]:
    """Freezes over its slots, or over its permitted dates while it has none; they delay. That nothing is left is said by
    the windows."""
    spans: list[Span] = [(s.starts_at, s.ends_at) for s in slots] or [(max(at, rfc.not_before or at), rfc.not_after)]
    found = []
    for freeze in FreezeWindow.objects.ahead(at).order_by("starts_at"):
        if rfc.kind in freeze.passes:
            continue
        hit = [span for span in spans if overlap(span, (freeze.starts_at, freeze.ends_at))]
        if not hit:
            continue
        when = english(
            "%(first)s to %(last)s UTC",
            first=f"{freeze.starts_at:%d %b %H:%M}",
            last=f"{freeze.ends_at:%d %b %Y %H:%M}",
        )
        what = english("stands over a slot of it") if slots else english("delays it")
        if not slots and _is_late(freeze, fit):
            what = english("delays only what is left to do by then")
        sentence = english(
            "Freeze “%(name)s”, %(when)s, lets no %(kind)s change start and %(what)s.",
            name=freeze.name,
            when=when,
            kind=rfc.kind,
            what=what,
        )
        found.append(Conflict(ConflictKind.FREEZE, sentence, where=freeze.get_absolute_url()))
    return found


def _is_late(freeze: FreezeWindow, fit: Fit) -> bool:
    """Whether the freeze begins when each host of the change has had a window."""
    return bool(fit.fits) and not fit.unfit and max(fit.fits.values()) < freeze.starts_at


# --- the same and related items ----------------------------------------------------------------------------------------
def _on_hosts(
    rfc: RFC,
    slots: list[ChangeSlot],
    hosts: Collection[int],
    kind: ConflictKind,
    *,
    at: datetime,
    but: Collection[int] = (),
) -> list[Conflict]:
    """Other changes under way on these hosts, at times that can meet; those with the same update first, then the most hosts.
    What is in review is at work no longer, unless it holds a slot. `but`: changes that conflict more
    nearly, so that each is named once. If there are more than are compared, the last one says so, and whether one of them
    has the same update; none denies, since time heals it."""
    if not hosts:
        return []
    carried = RFCUpdate.objects.filter(rfc=rfc, removed_at__isnull=True).values("update")
    twice = RFCUpdate.objects.filter(rfc=OuterRef("pk"), removed_at__isnull=True, update__in=carried)
    held = ChangeSlot.objects.live().filter(rfc=OuterRef("pk"), ends_at__gt=at)
    theirs = Q(targets__host_id__in=hosts, targets__removed_at__isnull=True, targets__left_at__isnull=True)
    rows = (
        RFC.objects.open()
        .exclude(pk__in=[rfc.pk, *but])
        .exclude(state=RFCState.DRAFT)
        .exclude(~Exists(held), state=RFCState.IN_REVIEW)
        .filter(theirs)
        .annotate(met=Count("targets", filter=theirs), duplicate=Exists(twice))
        .order_by("-duplicate", "-met", "pk")
        .prefetch_related("slots")
    )
    others = list(rows[: COMPARED + 1])
    found = [met for other in others[:COMPARED] if (met := _meeting(rfc, slots, other, kind, hosts, at=at))]
    if len(others) > COMPARED:
        # those with the same update come first: if the first left out has none, none of them has
        alike = kind == ConflictKind.SAME_CI and bool(others[COMPARED].duplicate)
        found.append(Conflict(kind, _left_out(kind, twice=alike), duplicate=alike))
    return found


def _left_out(kind: ConflictKind, *, twice: bool) -> str:
    """What is said of the changes that were not compared. `twice`: one of them at least has the same update."""
    if kind == ConflictKind.RELATED_CI:
        return english(
            "Still more changes are under way on related hosts: %(compared)s were compared. None of the others stops this one.",
            compared=COMPARED,
        )
    if twice:
        return english(
            "Still more changes with the same update are under way on the same hosts: %(compared)s were compared."
            " None of the others stops this one.",
            compared=COMPARED,
        )
    return english(
        "Still more changes are under way on the same hosts: %(compared)s with most hosts in common were compared."
        " None of the others has the same update, and none stops this one.",
        compared=COMPARED,
    )


def _meeting(
    rfc: RFC, slots: list[ChangeSlot], other: RFC, kind: ConflictKind, hosts: Collection[int], *, at: datetime
) -> Conflict | None:
    """The conflict with `other`; None if the two can never be at work at the same time."""
    theirs = [s for s in other.slots.all() if s.released_at is None and s.ends_at > at]
    mine_at, theirs_at = _spans(rfc, slots, at=at), _spans(other, theirs, at=at)
    shared = [(a, b) for a in mine_at for b in theirs_at if overlap(a, b)]
    if not shared:
        return None
    when = ""
    if slots and theirs:
        first = min(max(a[0], b[0]) for a, b in shared)
        when = english(", at the same time from %(when)s UTC", when=f"{first:%d %b %Y %H:%M}")

    twice = kind == ConflictKind.SAME_CI and other.duplicate  # type: ignore[attr-defined]

    def tell(count: int) -> str:
        if twice:
            return english(
                "%(rfc)s · %(title)s: the same update, on %(n)s of the same hosts%(when)s.",
                n=count, rfc=other.number, title=other.title, when=when,
            )  # fmt: skip
        if kind == ConflictKind.SAME_CI:
            return english(
                "%(rfc)s · %(title)s: %(n)s of the same hosts%(when)s.",
                n=count, rfc=other.number, title=other.title, when=when,
            )  # fmt: skip
        return english_n(
            "%(rfc)s · %(title)s: %(n)s related host%(when)s.", "%(rfc)s · %(title)s: %(n)s related hosts%(when)s.",
            count, rfc=other.number, title=other.title, when=when,
        )  # fmt: skip

    count: int = other.met  # type: ignore[attr-defined]
    return Conflict(
        kind,
        tell(count),
        where=other.get_absolute_url(),
        other_id=other.pk,
        other=other.number,
        hosts=count,
        duplicate=twice,
        among=frozenset(hosts),
        tell=tell,
    )


def _spans(rfc: RFC, slots: list[ChangeSlot], *, at: datetime) -> list[Span]:
    """When it can be at work: its slots; before it has any, between its permitted dates."""
    return [(s.starts_at, s.ends_at) for s in slots] or [(max(at, rfc.not_before or at), rfc.not_after)]


def overlap(one: Span, other: Span) -> bool:
    """Whether two half-open spans share a moment; an end of None never comes."""
    return (other[1] is None or one[0] < other[1]) and (one[1] is None or other[0] < one[1])


# --- person ----------------------------------------------------------------------------------------------------------------
def _persons(rfc: RFC, slots: list[ChangeSlot]) -> list[Conflict]:
    """Who answers for a slot of it answers for another change at the same time."""
    if not slots:
        return []
    people = {slot.responsible_id for slot in slots}
    since, until = min(s.starts_at for s in slots), max(s.ends_at for s in slots)
    others = ChangeSlot.objects.live().touching(since, until).filter(responsible_id__in=people)
    others = others.exclude(rfc=rfc).exclude(holder__in={slot.holder for slot in slots})
    found: dict[tuple[int, int], Conflict] = {}
    for other in others.select_related("rfc", "responsible"):
        if any(
            slot.responsible_id == other.responsible_id
            and overlap((slot.starts_at, slot.ends_at), (other.starts_at, other.ends_at))
            for slot in slots
        ):
            sentence = english(
                "%(responsible)s answers for %(number)s at the same time, from %(starts_at)s UTC.",
                responsible=other.responsible,
                number=other.rfc.number,
                starts_at=f"{other.starts_at:%d %b %Y %H:%M}",
            )
            place = (other.responsible_id, other.rfc_id)
            found.setdefault(
                place,
                Conflict(
                    ConflictKind.PERSON, sentence, where=other.rfc.get_absolute_url(), other_id=other.rfc_id,
                    other=other.rfc.number,
                ),
            )  # fmt: skip
    return list(found.values())
