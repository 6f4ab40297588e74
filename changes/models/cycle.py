"""Cycle: one turn of the update management process.

assess → identify → evaluate and plan → deploy → completed, moved by four events and by nothing else. The first event of a
kind moves the cycle (high-water mark); later ones are recorded.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.enums import CycleEventKind, CycleKind, CycleState, StepKey, StepState
from changes.rules import event_is_recorded
from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

S = CycleState
E = CycleEventKind
LEAVES = {
    S.ASSESS: E.NOTIFIED,
    S.IDENTIFY: E.RFC_SUBMITTED,
    S.EVALUATE_AND_PLAN: E.DEPLOYMENT_APPROVED,
    S.DEPLOY: E.RELEASE_COMPLETED,
}
"""The event on which each phase is left."""


class CycleQuerySet(models.QuerySet["Cycle"]):
    def visible_to(self, actor: User) -> CycleQuerySet:
        """The process is seen by everybody who may see it anywhere; what is in it is filtered by its own rights."""
        scopes = actor.scopes_for("cycle.view")
        return self if scopes is None or scopes else self.none()

    def open(self) -> CycleQuerySet:
        return self.exclude(state=S.COMPLETED)


class Cycle(Audited):
    """One turn; at most one open monthly, others run beside it and begin in identify."""

    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=12, choices=CycleKind)
    state = state_field(CycleState)
    state_at = models.DateTimeField()
    month_on = models.DateField(null=True, blank=True, help_text="The first day of a monthly cycle's month.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    close_reason = models.TextField(blank=True, default="")
    decision_on = models.DateField(
        null=True, blank=True, help_text="Updates notified after it join the next monthly cycle."
    )

    objects = CycleQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind"], condition=Q(kind="monthly") & ~Q(state="completed"), name="changes_cycle_one_monthly"
            ),
            models.CheckConstraint(condition=Q(state__in=CycleState.values), name="changes_cycle_state_known"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("changes:cycle-detail", args=[self.pk])

    def next_event(self) -> str | None:
        """The event that leaves the present phase."""
        return LEAVES.get(CycleState(self.state))

    def has_next_event(self) -> bool:
        kind = self.next_event()
        return kind is not None and self.events.filter(kind=kind).exists()

    @transition(field=state, source=S.ASSESS, target=S.IDENTIFY, verb="change.cycle.notified",
                allowed=[event_is_recorded], by_system=True)  # fmt: skip
    def notified(self, *, actor: User, at: datetime, cause: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=S.IDENTIFY, target=S.EVALUATE_AND_PLAN, verb="change.cycle.rfc_submitted",
                allowed=[event_is_recorded], by_system=True)  # fmt: skip
    def rfc_submitted(self, *, actor: User, at: datetime, cause: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=S.EVALUATE_AND_PLAN, target=S.DEPLOY, verb="change.cycle.deployment_approved",
                allowed=[event_is_recorded], by_system=True)  # fmt: skip
    def deployment_approved(self, *, actor: User, at: datetime, cause: str = "") -> None:
        self.state_at = at

    @transition(field=state, source=S.DEPLOY, target=S.COMPLETED, verb="change.cycle.release_completed",
                allowed=[event_is_recorded], gated=True, by_system=True)  # fmt: skip
    def release_completed(self, *, actor: User, at: datetime, cause: str = "") -> None:
        self.state_at = self.closed_at = at

    @transition(field=state, source=[S.IDENTIFY, S.EVALUATE_AND_PLAN, S.DEPLOY], target=S.COMPLETED,
                verb="change.cycle.closed_unneeded", allowed=[capability("cycle.manage")], gated=True,
                dangerous=True, label="Close as not needed")  # fmt: skip
    def close_unneeded(self, *, actor: User, at: datetime, reason: str) -> None:
        self.state_at = self.closed_at = at
        self.close_reason = reason


class CycleEvent(models.Model):
    """An event of the process. `moved`: it was the first of its kind and moved the cycle."""

    cycle = models.ForeignKey(Cycle, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=20, choices=CycleEventKind)
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    cause = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["cycle", "kind"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.cause}"


class CycleUpdate(models.Model):
    """An update that a cycle was notified of; without a cycle it waits for the next monthly one (after decision day)."""

    cycle = models.ForeignKey(Cycle, models.PROTECT, related_name="updates", null=True, blank=True)
    update = models.ForeignKey("changes.SoftwareUpdate", models.PROTECT, related_name="cycle_rows")
    notified_at = models.DateTimeField()
    joined_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["cycle", "update"], name="changes_cycleupdate_once"),
            models.UniqueConstraint(
                fields=["update"], condition=Q(cycle__isnull=True), name="changes_cycleupdate_waits"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.update_id} in {self.cycle_id}"


class PhaseStep(models.Model):
    """A step of a phase: open, done, or waived with a reason; its owner and its output."""

    cycle = models.ForeignKey(Cycle, models.PROTECT, related_name="steps")
    phase = models.CharField(max_length=20, choices=CycleState)
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=16, choices=StepKey)
    state = models.CharField(max_length=8, choices=StepState, default=StepState.OPEN)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    output = models.TextField(blank=True, default="")
    reason = models.TextField(blank=True, default="")
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)

    class Meta:
        ordering = ["cycle", "position"]
        constraints = [
            models.UniqueConstraint(fields=["cycle", "key"], name="changes_phasestep_once"),
            models.CheckConstraint(condition=~Q(state="waived") | ~Q(reason=""), name="changes_phasestep_waived_why"),
        ]
        verbose_name = _("step")

    def __str__(self) -> str:
        return f"{self.get_key_display()}"

    @property
    def is_open(self) -> bool:
        return self.state == StepState.OPEN
