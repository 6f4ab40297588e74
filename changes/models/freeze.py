"""A freeze: a span in which nothing of most kinds starts. What is at work runs on."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from changes.enums import RFCKind
from patchflow.kernel.models import Audited


def emergency_only() -> list[str]:
    return [RFCKind.EMERGENCY.value]


class FreezeQuerySet(models.QuerySet["FreezeWindow"]):
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
