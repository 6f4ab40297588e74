"""Will the targets of a change fit their windows? Asked before approval, when nothing is built yet, and again before start."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changes.models import RFC, FreezeWindow, RFCTarget
from cmdb.models import ServiceWindow
from cmdb.queries.windows import Opening, each_opening, windows_of
from patchflow.kernel.blockers import english

EXPECTED = timedelta(minutes=30)
"""How much of an opening a host needs, as long as no release has chosen its install profile: one update's run time."""
HORIZON = timedelta(days=400)
"""A window that opens once a year is seen; one that opens later than that is none."""
Freezes = list[tuple[datetime, datetime, str]]


@dataclass(frozen=True)
class Fit:
    """Host → when it can first be worked on; host → why it cannot; and which of these have no window at all."""

    fits: dict[int, datetime] = field(default_factory=dict)
    unfit: dict[int, str] = field(default_factory=dict)
    windowless: set[int] = field(default_factory=set)

    @property
    def contradicts(self) -> bool:
        """Whether no target fits although some have windows: what the change permits contradicts them."""
        return not self.fits and len(self.unfit) > len(self.windowless)


def freezes_against(kind: str, *, after: datetime) -> Freezes:
    """The freezes that this kind of change does not pass and that end after `after`: (starts, ends, name). One query."""
    rows = FreezeWindow.objects.ahead(after).order_by("starts_at")
    return [(f.starts_at, f.ends_at, f.name) for f in rows if kind not in f.passes]


def free_parts(opening: Opening, freezes: Freezes, *, after: datetime) -> list[tuple[datetime, datetime]]:
    """What freezes leave of an opening after `after`, in order."""
    parts, begin = [], max(opening.starts_at, after)
    for starts_at, ends_at, _name in freezes:
        if starts_at < opening.ends_at and ends_at > begin:
            if starts_at > begin:
                parts.append((begin, starts_at))
            begin = max(begin, ends_at)
    if begin < opening.ends_at:
        parts.append((begin, opening.ends_at))
    return [(starts, ends) for starts, ends in parts if starts <= opening.last_start_at]


def fit_of(rfc: RFC, *, at: datetime, need: timedelta = EXPECTED) -> Fit:
    """When each live target can first be worked on, in the windows and between the dates that the change permits, outside
    freezes. A fixed number of queries; hosts with the same windows are reckoned once."""
    names = dict(
        RFCTarget.objects.filter(rfc=rfc, removed_at__isnull=True, left_at__isnull=True).values_list(
            "host_id", "host_name"
        )
    )
    permitted = set(rfc.windows.values_list("window_id", flat=True))
    freezes = freezes_against(rfc.kind, after=at)
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    known: dict[int, ServiceWindow] = {}
    of_host = windows_of(names)
    for host_id in names:
        windows = of_host.get(host_id, [])
        known |= {w.pk: w for w in windows}
        alike[tuple(sorted(w.pk for w in windows))].append(host_id)
    fit = Fit()
    for pks, hosts in alike.items():
        mine = [known[pk] for pk in pks if not permitted or pk in permitted]
        found = _first_start(rfc, mine, freezes, at=at, need=need)
        for host_id in hosts:
            if isinstance(found, datetime):
                fit.fits[host_id] = found
            else:
                fit.unfit[host_id] = found if pks else english("It is in no service window.")
        if not pks:
            fit.windowless.update(hosts)
    return fit


def _first_start(
    rfc: RFC, windows: list[ServiceWindow], freezes: Freezes, *, at: datetime, need: timedelta
) -> datetime | str:
    """The first moment in these windows, or the reason why there is none."""
    if not windows:
        return english("None of its windows is one of this change.")
    begin, end = max(at, rfc.not_before or at), rfc.not_after or at + HORIZON
    short = frozen = False
    starts: list[datetime] = []
    for window in windows:
        for opening in each_opening(window, after=begin):
            if opening.starts_at >= end:
                break
            if opening.ends_at - max(begin, opening.starts_at) < need:
                short = True
                continue
            free = [s for s, e in free_parts(opening, freezes, after=begin) if e - s >= need and s < end]
            if free:
                starts.append(free[0])
                break
            frozen = True
    if starts:
        return min(starts)
    until = english(" before %(when)s UTC", when=f"{end:%d %b %Y %H:%M}") if rfc.not_after else ""
    if frozen:
        return english("Each of its openings%(until)s lies in a freeze.", until=until)
    if short:
        return english(
            "None of its openings%(until)s is %(minutes)s minutes long.",
            until=until,
            minutes=int(need.total_seconds() // 60),
        )
    return english("None of its windows opens%(until)s.", until=until)
