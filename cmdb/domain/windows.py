"""Service windows: made, revised, retired. Each edit raises the revision, which manifests name: what was signed for one
revision is not run by another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from datetime import date, datetime, time
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction

from cmdb.domain import window_work
from cmdb.domain.permission import demand, said
from cmdb.domain.window_work import Edit, Queued
from cmdb.enums import QueuedRule, Recurrence
from cmdb.models import HostGroup, Nth, ServiceWindow, Weekday
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability

FIELDS = (
    "name",
    "recurrence",
    "nth",
    "weekday",
    "offset_days",
    "starts_local",
    "zone",
    "length_minutes",
    "cutoff_minutes",
    "from_on",
    "until_on",
)


@workflow.verb("cmdb.window.added")
def add(
    *,
    name: str,
    starts_local: time,
    length_minutes: int,
    from_on: date,
    actor: User,
    at: datetime,
    recurrence: str = Recurrence.MONTHLY,
    nth: int = Nth.SECOND,
    weekday: int = Weekday.TUESDAY,
    offset_days: int = 0,
    zone: str = "UTC",
    cutoff_minutes: int = 0,
    until_on: date | None = None,
    group_ids: Iterable[int] = (),
) -> ServiceWindow:
    """Makes a window, revision 1, for these groups. Needs window.edit for each of them (everywhere, if none).

    Raises Invalid: a zone that is no IANA name, a cut-off as long as the window, a length over seven days.
    """
    given = dict(locals())
    window = ServiceWindow(**{field: given[field] for field in FIELDS}, made_at=at)
    groups = _groups(group_ids)
    _demand_for(groups, actor)
    _check(window)
    window.save()
    window.groups.set(groups)
    audit.record(window, "cmdb.window.added", actor=actor, at=at, detail=describe(window))
    return window


def proposed(*, actor: User, **fields: Any) -> ServiceWindow:
    """The window that `add` would make of these fields, checked but not saved: for a look at its openings beforehand.
    Takes no name. Needs window.edit somewhere. Raises NotAllowed, Invalid."""
    if not actor.holds_somewhere("window.edit"):
        raise NotAllowed(capability("window.edit").refusal())
    window = ServiceWindow(**{field: fields[field] for field in FIELDS if field in fields})
    if wrong := _find_wrong_times(window):
        raise Invalid(wrong)
    return window


def _demand_for(groups: list[HostGroup], actor: User) -> None:
    if not groups:
        demand("window.edit", None, actor)
    for group in groups:
        demand("window.edit", group, actor)


def _groups(group_ids: Iterable[int]) -> list[HostGroup]:
    wanted = set(group_ids)
    found = list(HostGroup.objects.live().filter(pk__in=wanted))
    if len(found) != len(wanted):
        raise Invalid("Some of these groups do not exist.", code="invalid.groups")
    return found


def _check(window: ServiceWindow) -> None:
    window.name = said("name", window.name, what="A name", limit=80)
    wrong = _find_wrong_times(window)
    if ServiceWindow.objects.live().filter(name=window.name).exclude(pk=window.pk).exists():
        wrong.append(Blocker("invalid.name", english("There is a window named %(name)s already.", name=window.name)))
    if wrong:
        raise Invalid(wrong)


def _find_wrong_times(window: ServiceWindow) -> list[Blocker]:
    """What cannot be in when it opens; what a weekly window does not use takes its first value."""
    if window.recurrence == Recurrence.WEEKLY:
        window.nth, window.offset_days = Nth.FIRST, 0
    return [
        Blocker(f"invalid.{field}", sentence)
        for field, good, sentence in (
            ("recurrence", window.recurrence in Recurrence.values, english("A window recurs weekly or monthly.")),
            ("nth", window.nth in Nth.values, english("Which weekday of the month: 1 to 4, or -1 for the last.")),
            ("weekday", window.weekday in Weekday.values, english("A weekday is 0 (Monday) to 6 (Sunday).")),
            ("offset_days", 0 <= window.offset_days <= 20, english("The offset is 0 to 20 days.")),
            (
                "zone",
                window.zone in available_timezones(),
                english("%(zone)s is no time zone (Europe/Berlin is one).", zone=ascii(window.zone[:60])),
            ),
            (
                "length_minutes",
                0 < window.length_minutes <= 7 * 24 * 60,
                english("A window is at least a minute, at most seven days long."),
            ),
            (
                "cutoff_minutes",
                0 <= window.cutoff_minutes < window.length_minutes,
                english("The cut-off is shorter than the window."),
            ),
            (
                "until_on",
                window.until_on is None or window.until_on >= window.from_on,
                english("The last day is not before the first."),
            ),
        )
        if not good
    ]


def describe(window: ServiceWindow) -> dict[str, Any]:
    """The window's columns and groups, as the trail keeps them."""
    shown = {field: getattr(window, field) for field in FIELDS}
    shown["starts_local"] = window.starts_local.isoformat("minutes")
    return {**shown, "revision": window.revision, "groups": sorted(window.groups.values_list("pk", flat=True))}


@workflow.verb("cmdb.window.revised", ServiceWindow, "window_id")
def revise(
    *,
    window_id: int,
    actor: User,
    at: datetime,
    group_ids: Iterable[int] | None = None,
    queued: str = QueuedRule.HALT,
    **fields: Any,
) -> ServiceWindow:
    """Changes a window and raises its revision, if anything differs. Needs window.edit for the groups before and after.

    `queued` says what becomes of work that waits for it (`QueuedRule`): it never runs where it was not signed, and never
    where the window no longer is.
    """
    return _revise(window_id, actor, at, group_ids, queued, fields)[0]


def _revise(
    window_id: int, actor: User, at: datetime, group_ids: Iterable[int] | None, rule: str, fields: Mapping[str, Any]
) -> tuple[ServiceWindow, list[Queued]]:
    window = _locked(window_id, actor)
    if unknown := set(fields) - set(FIELDS):
        raise Invalid(
            [
                Blocker(f"invalid.{field}", english("%(field)s cannot be changed here.", field=field))
                for field in sorted(unknown)
            ]
        )
    _check_rule(rule)
    before, was, waiting = describe(window), copy(window), window_work.planned(window, at=at)
    for field, value in fields.items():
        setattr(window, field, value)
    _check(window)
    if group_ids is not None:
        groups = _groups(group_ids)
        _demand_for(groups, actor)
        window.groups.set(groups)
    after = describe(window)
    if before == after:
        return window, []
    window.revision += 1
    window.save()
    touched = window_work.settle(waiting, Edit(was, window, rule, actor, at))
    detail = {"before": before, "after": {**after, "revision": window.revision}, **_told(rule, touched)}
    audit.record(window, "cmdb.window.revised", actor=actor, at=at, detail=detail)
    window.save()
    return window, touched


def _check_rule(rule: str) -> None:
    if rule not in QueuedRule.values:
        raise Invalid("Queued work stands still, is moved, or is cancelled.", code="invalid.queued")


def _told(rule: str, touched: list[Queued]) -> dict[str, Any]:
    return {"queued": {"rule": str(rule), **window_work.counted(touched)}} if touched else {}


def look_ahead(
    *,
    window_id: int,
    actor: User,
    at: datetime,
    queued: str = QueuedRule.HALT,
    ends: bool = False,
    group_ids: Iterable[int] | None = None,
    **fields: Any,
) -> list[Queued]:
    """What the edit (or, with `ends`, the end) of a window would do to the work that is queued in it: done, told, and taken
    back. Nothing is kept. Refused with what the edit itself would be refused with."""
    with transaction.atomic():
        if ends:
            touched = _retire(window_id, english("A look ahead."), actor, at, queued)[1]
        else:
            touched = _revise(window_id, actor, at, group_ids, queued, fields)[1]
        transaction.set_rollback(True)
    return touched


def _locked(window_id: int, actor: User) -> ServiceWindow:
    window = workflow.lock(ServiceWindow, window_id)
    demand("window.edit", window, actor)
    if window.retired_at is not None:
        raise Blocked([Blocker("window.retired", english("%(window)s is retired.", window=window))])
    return window


@workflow.verb("cmdb.window.retired", ServiceWindow, "window_id")
def retire(*, window_id: int, reason: str, actor: User, at: datetime, queued: str = QueuedRule.HALT) -> ServiceWindow:
    """Ends a window: it opens no more. Hosts that have no other are refused with that reason. Needs window.edit.

    `queued` as for `revise`.
    """
    return _retire(window_id, reason, actor, at, queued)[0]


def _retire(window_id: int, reason: str, actor: User, at: datetime, rule: str) -> tuple[ServiceWindow, list[Queued]]:
    window = _locked(window_id, actor)
    reason = said("reason", reason, what="A reason", limit=2000)
    _check_rule(rule)
    was, waiting = copy(window), window_work.planned(window, at=at)
    window.retired_at = at
    window.save()
    touched = window_work.settle(waiting, Edit(was, window, rule, actor, at))
    audit.record(window, "cmdb.window.retired", actor=actor, at=at, detail={"reason": reason, **_told(rule, touched)})
    window.save()
    return window, touched
