"""A freeze: a span in which nothing of most kinds starts. What is at work runs on."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.enums import RFCKind
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from patchflow.kernel.models import User


def emergency_only() -> list[str]:
    return [RFCKind.EMERGENCY.value]


class FreezeQuerySet(models.QuerySet["FreezeWindow"]):
    def visible_to(self, actor: User) -> FreezeQuerySet:
        """All, to everybody who may see changes anywhere."""
        return self if actor.holds_somewhere("rfc.view") else self.none()

    def ahead(self, at: datetime) -> FreezeQuerySet:
        """In force or still to come."""
        return self.filter(lifted_at__isnull=True, ends_at__gt=at)

    def in_force(self, at: datetime) -> FreezeQuerySet:
        return self.filter(lifted_at__isnull=True, starts_at__lte=at, ends_at__gt=at)


class FreezeWindow(Audited):
    """From `starts_at` to `ends_at` (UTC) only the kinds of change in `passes` start; until it ends, or somebody lifts it."""

    name = models.CharField(max_length=80)
    reason = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    passes = models.JSONField(default=emergency_only, help_text=_("Kinds of change that pass."))
    declared_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()
    lifted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lift_reason = models.TextField(blank=True, default="")

    objects = FreezeQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        verbose_name = _("freeze")
        verbose_name_plural = _("freezes")
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="changes_freezewindow_span"),
            models.CheckConstraint(condition=~Q(reason=""), name="changes_freezewindow_has_reason"),
            models.CheckConstraint(
                condition=Q(lifted_at__isnull=True, lifted_by__isnull=True)
                | (Q(lifted_by__isnull=False) & ~Q(lift_reason="")),
                name="changes_freezewindow_lifted_by",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("changes:freeze-detail", args=[self.pk])

    def kinds_that_pass(self) -> list[str]:
        """The words of the kinds in `passes`."""
        return [str(label) for value, label in RFCKind.choices if value in self.passes]

    def standing(self, at: datetime) -> str:
        """How it stands at `at`: coming, in_force, over or lifted."""
        if self.lifted_at is not None:
            return "lifted"
        if self.ends_at <= at:
            return "over"
        return "in_force" if self.starts_at <= at else "coming"
