"""Trial mode: spans of time in which the whole process is walked and nothing is executed on hosts."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models.audit import Audited


class TrialPeriod(Audited):
    """One trial [started_at, ended_at); open while `ended_at` is NULL. Entering and leaving are decisions with a reason."""

    started_at = models.DateTimeField()
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reason = models.TextField(_("reason"))
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    end_reason = models.TextField(_("reason for leaving"), blank=True, default="")

    class Meta:
        ordering = ["-id"]
        verbose_name = _("trial period")
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=Q(ended_at__isnull=True), name="kernel_trialperiod_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")), name="kernel_trialperiod_span"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | (~Q(end_reason="") & Q(ended_by__isnull=False)),
                name="kernel_trialperiod_end_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"trial since {self.started_at:%d %b %Y}"
