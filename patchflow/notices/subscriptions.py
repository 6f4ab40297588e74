"""Who wants which notices how, and the list of one's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Blocked, Invalid
from patchflow.kernel.models import User
from patchflow.notices.kinds import Kind, kinds
from patchflow.notices.models import Delivery, Reach, Subscription, Wanted


@dataclass(frozen=True)
class Choice:
    """A kind of notice and how one person wants it. `open`: they may ask for all that they may see."""

    kind: Kind
    wanted: str
    reach: str
    open: bool


def choices_of(user: User) -> list[Choice]:
    """Every kind, as `user` wants it. One query."""
    rows = {s.kind: s for s in Subscription.objects.filter(user=user)}
    found = []
    for name in kinds:
        kind, row = kinds[name], rows.get(name)
        may = kind.open_to_all and user.holds_somewhere(kind.view)
        found.append(Choice(kind, row.wanted if row else str(Wanted.MAIL), row.reach if row else str(Reach.MINE), may))
    return found


@workflow.verb("notices.subscription_set")
def subscribe(*, kind: str, wanted: str, reach: str = Reach.MINE, actor: User, at: datetime) -> Subscription:
    """Says how `actor` wants notices of this kind; for oneself only.

    Raises Invalid (no such kind, word or reach), Blocked (a question to a person cannot be switched off).
    """
    known = kinds.get(kind)
    if known is None:
        raise Invalid(english("There is no kind of notice %(kind)s.", kind=repr(kind)), code="subscription.kind")
    if wanted not in Wanted.values:
        raise Invalid("Say by mail, here only, or not at all.", code="subscription.wanted")
    if reach not in Reach.values:
        raise Invalid("Say what concerns you, or everything that you may see.", code="subscription.reach")
    if wanted == Wanted.OFF and known.duty:
        raise Blocked(
            english("“%(label)s” asks or warns you in person: it cannot be switched off.", label=known.label),
            code="subscription.duty",
        )
    if reach == Reach.SCOPE and (not known.open_to_all or not actor.holds_somewhere(known.view)):
        raise Blocked(
            english("“%(label)s” goes only to those whom it concerns.", label=known.label), code="subscription.reach"
        )
    user = workflow.lock(User, actor.pk)
    row, made = Subscription.objects.get_or_create(user=user, kind=kind, defaults={"wanted": wanted, "reach": reach})
    if made or (row.wanted, row.reach) != (wanted, reach):
        row.wanted, row.reach = wanted, reach
        row.save(update_fields=["wanted", "reach"])
        detail = {"kind": kind, "wanted": wanted, "reach": reach}
        audit.record(user, "notices.subscription_set", actor=actor, at=at, detail=detail)
    return row


def mark_read(*, actor: User, at: datetime, delivery_id: int | None = None, keys: Collection[str] | None = None) -> int:
    """Notes that `actor` has read one of their notices, those with these keys, or all; the moment of the first reading stays.
    How many it were."""
    rows = Delivery.objects.visible_to(actor).unread()
    if delivery_id is not None:
        rows = rows.filter(pk=delivery_id)
    if keys is not None:
        rows = rows.filter(notice__key__in=keys)
    return rows.update(read_at=at)


def unread(actor: User) -> int:
    """How many notices `actor` has not read, counted up to a hundred."""
    return Delivery.objects.visible_to(actor).unread().order_by()[:100].count()
