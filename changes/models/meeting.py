"""Meeting of a board (CAB, ECAB): planned → agenda published → in session → minuted, or postponed, or cancelled.

Its agenda items, each about one sign-off round or a plain topic: open → decided | carried over | withdrawn. A meeting votes
for nobody: an item is decided when the members' own signatures have ended its round.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from changes.enums_meeting import AgendaItemState, MeetingKind, MeetingState, Presence
from changes.rules import may_leave_agenda, votes_have_decided
from patchflow.kernel.fsm import Stateful, state_field, transition
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

M = MeetingState
A = AgendaItemState
manage = capability("meeting.manage")


class MeetingQuerySet(models.QuerySet["Meeting"]):
    def visible_to(self, actor: User) -> MeetingQuerySet:
        """Members see their meetings; who sees every change sees every meeting."""
        if actor.scopes_for("rfc.view") is None or actor.holds("meeting.manage"):
            return self
        return self.filter(pk__in=Attendee.objects.filter(user=actor).values("meeting"))

    def to_come(self) -> MeetingQuerySet:
        return self.filter(state__in=[M.PLANNED, M.AGENDA_PUBLISHED])


class Meeting(Audited):
    """One sitting: when, where, who presides. `current` is the item before the board now."""

    number = models.CharField(max_length=20, unique=True)
    kind = models.CharField(_("board"), max_length=8, choices=MeetingKind)
    state = state_field(MeetingState)
    state_at = models.DateTimeField()
    starts_at = models.DateTimeField(_("begins"))
    minutes = models.PositiveSmallIntegerField(_("minutes"), default=60)
    place = models.CharField(_("place"), max_length=200, blank=True, default="")
    chair = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    follows = models.ForeignKey("self", models.PROTECT, related_name="followed_by", null=True, blank=True)
    current = models.ForeignKey("AgendaItem", models.PROTECT, related_name="+", null=True, blank=True)
    planned_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    planned_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    objects = MeetingQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=MeetingState.values), name="changes_meeting_state"),
            models.CheckConstraint(condition=Q(minutes__gte=5) & Q(minutes__lte=600), name="changes_meeting_minutes"),
        ]
        verbose_name = _("meeting")

    def __str__(self) -> str:
        return f"{self.number} · {self.get_kind_display()}"

    def get_absolute_url(self) -> str:
        return reverse("changes:meeting-detail", args=[self.pk])

    @property
    def ends_at(self) -> datetime:
        return self.starts_at + timedelta(minutes=self.minutes)

    @transition(field=state, source=M.PLANNED, target=M.AGENDA_PUBLISHED, verb="change.meeting.agenda_published",
                allowed=[manage], gated=True, label="Publish the agenda")  # fmt: skip
    def publish(self, *, actor: Any, at: datetime) -> None:
        self.state_at = at

    @transition(field=state, source=M.AGENDA_PUBLISHED, target=M.IN_SESSION, verb="change.meeting.opened", allowed=[manage],
                label="Open the session")  # fmt: skip
    def open(self, *, actor: Any, at: datetime) -> None:
        self.state_at = self.opened_at = at

    @transition(field=state, source=M.IN_SESSION, target=M.MINUTED, verb="change.meeting.minuted", allowed=[manage],
                gated=True, label="Close and seal the minutes")  # fmt: skip
    def minute(self, *, actor: Any, at: datetime, digest: str = "") -> None:
        self.state_at = self.closed_at = at
        self.current = None

    @transition(field=state, source=[M.PLANNED, M.AGENDA_PUBLISHED], target=M.POSTPONED, verb="change.meeting.postponed",
                allowed=[manage])  # fmt: skip
    def postpone(self, *, actor: Any, at: datetime, reason: str, to: datetime | None = None) -> None:
        self.state_at, self.reason = at, reason

    @transition(field=state, source=[M.PLANNED, M.AGENDA_PUBLISHED], target=M.CANCELLED, verb="change.meeting.cancelled",
                allowed=[manage], dangerous=True, label="Cancel the meeting")  # fmt: skip
    def cancel(self, *, actor: Any, at: datetime, reason: str) -> None:
        self.state_at, self.reason = at, reason


class Attendee(models.Model):
    """A member of the board at one meeting, and whether they were there."""

    meeting = models.ForeignKey(Meeting, models.PROTECT, related_name="attendees")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    presence = models.CharField(max_length=8, choices=Presence, default=Presence.INVITED)

    class Meta:
        ordering = ["meeting", "user__username"]
        constraints = [models.UniqueConstraint(fields=["meeting", "user"], name="changes_attendee_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_presence_display()}"


class AgendaItem(Stateful):
    """One point of the agenda. `consent`: it stands in the block that needs no talk, until a member pulls it out."""

    meeting = models.ForeignKey(Meeting, models.PROTECT, related_name="items")
    round = models.ForeignKey("kernel.SignOffRound", models.PROTECT, related_name="agenda_items", null=True, blank=True)
    title = models.CharField(_("title"), max_length=200)
    text = models.TextField(_("text"), blank=True, default="")
    position = models.PositiveSmallIntegerField()
    minutes = models.PositiveSmallIntegerField(_("minutes"), default=10)
    consent = models.BooleanField(_("consent"), default=False)
    pulled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    pulled_reason = models.TextField(blank=True, default="")
    state = state_field(AgendaItemState)
    begun_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    outcome = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["meeting", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["round"], condition=Q(state="open"), name="changes_agenda_round_once"),
            models.CheckConstraint(condition=Q(state__in=AgendaItemState.values), name="changes_agenda_state"),
            models.CheckConstraint(condition=Q(consent=False) | Q(round__isnull=False), name="changes_agenda_consent"),
        ]
        verbose_name = _("agenda item")

    def __str__(self) -> str:
        return self.title

    @property
    def audit_parent(self) -> Meeting:
        """The chain of its meeting takes its entries."""
        return self.meeting

    @property
    def is_open(self) -> bool:
        return self.state == A.OPEN

    @transition(field=state, source=A.OPEN, target=A.DECIDED, verb="change.meeting.item_decided",
                allowed=[votes_have_decided], by_system=True)  # fmt: skip
    def decide(self, *, actor: Any, at: datetime, outcome: str) -> None:
        self.settled_at, self.outcome = at, outcome

    @transition(field=state, source=A.OPEN, target=A.CARRIED_OVER, verb="change.meeting.item_carried_over", allowed=[manage],
                by_system=True)  # fmt: skip
    def carry_over(self, *, actor: Any, at: datetime, reason: str, to: str = "") -> None:
        self.settled_at, self.outcome = at, reason

    @transition(field=state, source=A.OPEN, target=A.WITHDRAWN, verb="change.meeting.item_withdrawn",
                allowed=[may_leave_agenda], by_system=True)  # fmt: skip
    def withdraw(self, *, actor: Any, at: datetime, reason: str) -> None:
        self.settled_at, self.outcome = at, reason


class Minutes(models.Model):
    """The minutes of a meeting: its rows and the chair's notes as one document, sealed by its digest. Only grows."""

    meeting = models.OneToOneField(Meeting, models.PROTECT, related_name="sealed_minutes")
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    notes = models.TextField(blank=True, default="")
    sealed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    sealed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = pgettext_lazy("record", "minutes")

    def __str__(self) -> str:
        return gettext("Minutes of %(meeting)s") % {"meeting": self.meeting.number}
