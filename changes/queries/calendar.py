"""What changes has in the calendar: slots, freezes, the dates of changes, meetings, and by when the reader is asked to vote."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Q, Value
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from changes.enums_meeting import MeetingState
from changes.models import RFC, ChangeSlot, FreezeWindow, Meeting
from changes.queries.board import waiting_for
from changes.queries.rfcs import unseen_targets
from patchflow.kernel import calendars
from patchflow.kernel.calendars import Entry
from patchflow.kernel.models import User


def slots_seen(actor: User) -> Any:
    """The slots of the changes in sight. `whole`: the actor sees every host of the change, so also how many a slot takes."""
    rows = ChangeSlot.objects.visible_to(actor)
    if actor.scopes_for("host.view") is None:
        return rows.annotate(whole=Value(True))
    return rows.annotate(whole=~unseen_targets(actor, OuterRef("rfc")))


@calendars.source("slot")
def slot_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """Reserved slots of the changes in sight, with their hosts for who sees them all. One query."""
    rows = slots_seen(actor).live().touching(since, until).select_related("rfc", "responsible")
    for slot in rows:
        hosts = [ngettext("%(n)d host", "%(n)d hosts", slot.hosts) % {"n": slot.hosts}] if slot.whole else []
        yield Entry(
            kind="slot",
            key=f"slot-{slot.pk}",
            title=f"{slot.rfc.title} · {slot.rfc.number}",
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            url=slot.rfc.get_absolute_url(),
            detail=", ".join([slot.held_by, slot.name, *hosts, str(slot.responsible)]),
        )


@calendars.source("freeze")
def freeze_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """Freezes; a lifted one ends when it was lifted. One query."""
    rows = FreezeWindow.objects.visible_to(actor).filter(starts_at__lt=until, ends_at__gt=since)
    for freeze in rows.filter(Q(lifted_at__isnull=True) | Q(lifted_at__gt=since)):
        ends_at = min(freeze.ends_at, freeze.lifted_at) if freeze.lifted_at else freeze.ends_at
        if ends_at > freeze.starts_at:
            passes = ", ".join(freeze.kinds_that_pass()) or _("nothing")
            yield Entry(
                kind="freeze",
                key=f"freeze-{freeze.pk}",
                title=freeze.name,
                starts_at=freeze.starts_at,
                ends_at=ends_at,
                url=freeze.get_absolute_url(),
                detail=_("passes: %(kinds)s") % {"kinds": passes},
            )


@calendars.source("start_by")
def clock_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """By when changes must have started; of those whose clock runs on, one that is over is missed. One query."""
    rows = RFC.objects.visible_to(actor).open().filter(clock_stopped_at__isnull=True)
    for rfc in rows.filter(start_by__gte=since, start_by__lt=until):
        if rfc.start_by is not None:
            yield Entry(
                kind="start_by",
                key=f"start-by-{rfc.pk}",
                title=f"{rfc.title} · {rfc.number}",
                starts_at=rfc.start_by,
                ends_at=rfc.start_by,
                url=rfc.get_absolute_url(),
                detail=_("missed: production has not begun")
                if rfc.start_by < at
                else _("by then it must have started"),
                missed=rfc.start_by < at,
            )


@calendars.source("last_date")
def date_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """The last permitted dates of changes. One query."""
    for rfc in RFC.objects.visible_to(actor).open().filter(not_after__gte=since, not_after__lt=until):
        if rfc.not_after is not None:
            yield Entry(
                kind="last_date",
                key=f"last-date-{rfc.pk}",
                title=f"{rfc.title} · {rfc.number}",
                starts_at=rfc.not_after,
                ends_at=rfc.not_after,
                url=rfc.get_absolute_url(),
                detail=_("after it nothing of this change starts"),
            )


LONGEST = timedelta(minutes=600)
"""No meeting is planned for more."""


@calendars.source("meeting")
def meeting_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """Meetings in sight for as long as they are planned; one that was postponed or cancelled does not take place. One query."""
    rows = Meeting.objects.visible_to(actor).filter(starts_at__gt=since - LONGEST, starts_at__lt=until)
    for meeting in rows.exclude(state__in=[MeetingState.POSTPONED, MeetingState.CANCELLED]).select_related("chair"):
        chair = _("chair %(who)s") % {"who": meeting.chair}
        yield Entry(
            kind="meeting",
            key=f"meeting-{meeting.pk}",
            title=f"{meeting.get_kind_display()} · {meeting.number}",
            starts_at=meeting.starts_at,
            ends_at=meeting.ends_at,
            url=meeting.get_absolute_url(),
            detail=", ".join(filter(None, [meeting.place, chair])),
        )


@calendars.source("vote_by")
def vote_entries(*, actor: User, since: datetime, until: datetime, at: datetime) -> Iterator[Entry]:
    """The deadlines of open rounds that ask the reader, or whom they stand in for now. Two queries."""
    rows = waiting_for(actor, at=at).filter(not_before__gte=since, not_before__lt=until)
    for round_ in rows:
        number, _dot, title = round_.subject_label.partition(" · ")
        if round_.not_before is not None:
            yield Entry(
                kind="vote_by",
                key=f"vote-{round_.pk}-{round_.position}",
                title=f"{title} · {number}" if title else number,
                starts_at=round_.not_before,
                ends_at=round_.not_before,
                url=reverse("changes:board-item", args=[round_.pk]),
                detail=_("your decision is asked for until then"),
            )
