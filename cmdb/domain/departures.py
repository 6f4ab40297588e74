"""Hosts that leave their baseline, and hosts that stay below it: seen when their packages change, told once.

A baseline that comes into force lets nobody leave: who is below it then is owed, and after some days of grace handed to a
person. What a signed deployment did is vouched for by the app above (`vouchers`) and is not told: its baseline follows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from cmdb.domain import discrepancies
from cmdb.enums import BaselineResult, BaselineState, DiscrepancyKind
from cmdb.models import Baseline, BaselineStanding, Host
from cmdb.models.standing import LOOKED_AT
from cmdb.queries.baselines import HostResult, compliance, of_host
from patchflow.kernel import audit, registry
from patchflow.kernel.blockers import english_n
from patchflow.kernel.models import User
from patchflow.kernel.registry import Registry
from patchflow.notices.delivery import tell
from patchflow.notices.enums import Audience
from patchflow.notices.kinds import kind

Voucher = Callable[[set[int], datetime], set[int]]
vouchers: Registry[Voucher] = Registry("voucher of changes")
"""Given hosts and since when: those that a signed change was carried out on."""
GATHER = timedelta(minutes=10)
"""So long departures are gathered, so that one act on many hosts is one notice."""
AT_ONCE = 500
NAMED = 20
FACTS = {"baseline": str, "count": int, "names": list, "more": int}
BY_ROLE = {Audience.TEAM: ("configuration_manager",)}
kind(
    "baseline_left", _("Hosts have left their baseline"), facts=FACTS | {"below": int, "above": int}, about="baseline",
    view="host.view", by_role=BY_ROLE, open_to_all=True,
)  # fmt: skip
kind(
    "baseline_owed", _("Hosts stay below their baseline"), facts=FACTS | {"days": int}, about="baseline", view="host.view",
    by_role=BY_ROLE, open_to_all=True,
)  # fmt: skip


# --- seeing -------------------------------------------------------------------------------------------------------------
def begin(baseline: Baseline, *, at: datetime) -> None:
    """A baseline is in force: where each of its hosts stands from the start. Nobody has left anything."""
    rows = [
        BaselineStanding(host_id=row.host_id, baseline=baseline, result=row.result, since=at)
        for row in compliance(baseline, at=at).hosts
        if row.result != BaselineResult.UNKNOWN
    ]
    BaselineStanding.objects.bulk_create(rows, batch_size=AT_ONCE, ignore_conflicts=True)


def look(host: Host, *, at: datetime) -> None:
    """The packages of a host have changed: where it stands now, and whether it has left what it matched. Unknown is no
    departure (law 3), and what was known stays."""
    known = {row.baseline_id: row for row in BaselineStanding.objects.filter(host=host)}
    for baseline, found in judging(host, at):
        if found.result == BaselineResult.UNKNOWN:
            continue
        row = known.get(baseline.pk)
        if row is None:
            BaselineStanding.objects.create(host=host, baseline=baseline, result=found.result, since=at)
        elif row.result != found.result:
            _moved(row, found, at)


def judging(host: Host, at: datetime) -> list[tuple[Baseline, HostResult]]:
    """The baselines that judge a host: those of its groups where there are any, else those of its platform."""
    found = of_host(host, at=at)
    return [pair for pair in found if pair[0].group_id is not None] or found


def _moved(row: BaselineStanding, found: HostResult, at: datetime) -> None:
    left = found.result == BaselineResult.BELOW or (
        found.result == BaselineResult.ABOVE and row.result == BaselineResult.AT
    )
    left = left and row.result in (BaselineResult.AT, BaselineResult.ABOVE)
    row.result, row.since, row.owed_at = found.result, at, None
    row.left_at, row.told_at = (at if left else None), None
    row.save()


# --- telling who has left -------------------------------------------------------------------------------------------------
@registry.sweep("baseline_left")
def tell_left(*, now: datetime) -> int:
    """Tells of the hosts that left a baseline, one notice for each baseline; returns how many hosts. Each departure once."""
    with transaction.atomic():
        rows = BaselineStanding.objects.select_for_update(of=("self",), skip_locked=True).filter(
            left_at__lte=now - GATHER, told_at__isnull=True, baseline__state=BaselineState.APPROVED
        )
        found = list(
            rows.select_related("host__ci__owner", "baseline__group", "baseline__platform").order_by("pk")[:AT_ONCE]
        )
        if not found:
            return 0
        BaselineStanding.objects.filter(pk__in=[row.pk for row in found]).update(told_at=now)
        since = min(row.left_at for row in found if row.left_at)
        vouched = {pk for name in vouchers for pk in vouchers[name]({row.host_id for row in found}, since)}
        loose = [row for row in found if row.host_id not in vouched]
        for row in loose:
            detail = {"baseline": str(row.baseline), "result": row.result, "left_at": row.left_at}
            audit.record(row.host, "cmdb.host.left_baseline", actor=User.bot(), at=now, detail=detail)
        for baseline, of_it in _by_baseline(loose):
            _tell("baseline_left", baseline, of_it, now, below=_count(of_it, "below"), above=_count(of_it, "above"))
        return len(loose)


# --- handing over who stays below -----------------------------------------------------------------------------------------
@registry.sweep("baseline_owed")
def note_owed(*, now: datetime) -> int:
    """Opens a discrepancy for each host that has stayed below its baseline for the days of grace, for a person to find the
    cause of and to hand over; one notice for each baseline. Returns how many. Each once, until it was at it in between."""
    grace: timedelta = settings.PATCHFLOW["BASELINE_GRACE"]
    with transaction.atomic():
        rows = BaselineStanding.objects.select_for_update(of=("self",), skip_locked=True).filter(
            result__in=LOOKED_AT, since__lte=now - grace, owed_at__isnull=True, baseline__state=BaselineState.APPROVED,
            host__retired_at__isnull=True,
        )  # fmt: skip
        due = list(
            rows.select_related("host__ci__owner", "baseline__group", "baseline__platform").order_by("pk")[:AT_ONCE]
        )
        owed = [row for row in due if _still_below(row, now)]
        for row in owed:
            _note(row, now)
        for baseline, of_it in _by_baseline(owed):
            _tell("baseline_owed", baseline, of_it, now, days=grace.days)
        return len(owed)


def _still_below(row: BaselineStanding, now: datetime) -> bool:
    """Asked again, since exemptions come and facts grow old without a change of packages."""
    found = {baseline.pk: result for baseline, result in judging(row.host, now)}.get(row.baseline_id)
    if found is not None and found.result == BaselineResult.BELOW:
        return True
    result = found.result if found is not None else BaselineResult.UNKNOWN
    BaselineStanding.objects.filter(pk=row.pk).update(result=result, since=now)
    return False


def _note(row: BaselineStanding, now: datetime) -> None:
    days = (now - row.since).days
    sentence = english_n(
        "It has been below %(baseline)s for %(n)s day.", "It has been below %(baseline)s for %(n)s days.", days,
        baseline=str(row.baseline),
    )  # fmt: skip
    discrepancies.note(
        host=row.host, kind=DiscrepancyKind.BELOW_BASELINE, key=str(row.baseline_id), sentence=sentence, source="baseline",
        actor=User.bot(), at=now, detail={"baseline": str(row.baseline), "since": f"{row.since:%Y-%m-%d %H:%M} UTC"},
    )  # fmt: skip
    BaselineStanding.objects.filter(pk=row.pk).update(owed_at=now)


def _by_baseline(rows: Iterable[BaselineStanding]) -> list[tuple[Baseline, list[BaselineStanding]]]:
    found: dict[int, list[BaselineStanding]] = defaultdict(list)
    for row in rows:
        found[row.baseline_id].append(row)
    return [(of_it[0].baseline, of_it) for of_it in found.values()]


def _count(rows: Iterable[BaselineStanding], result: str) -> int:
    return sum(1 for row in rows if row.result == result)


def _tell(kind_name: str, baseline: Baseline, rows: list[BaselineStanding], now: datetime, **figures: Any) -> None:
    """Tells the owners of the hosts, and by role. The key names these very departures: a row is told once."""
    names = sorted(row.host.name for row in rows)
    owners = {row.host.ci.owner_id: row.host.ci.owner for row in rows if row.host.ci.owner is not None}
    tell(
        kind=kind_name,
        people=[owner for owner in owners.values() if owner.is_active],
        key=f"{kind_name}:{baseline.pk}:{rows[0].pk}:{now:%Y%m%dT%H%M%S%f}",
        at=now,
        url=baseline.get_absolute_url(),
        baseline=baseline,
        count=len(names),
        names=names[:NAMED],
        more=max(len(names) - NAMED, 0),
        **figures,
    )
