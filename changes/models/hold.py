"""A hold stops an RFC or a release where it stands: a row, not a state. Clocks run on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from changes.enums import HoldCause


class Hold(models.Model):
    """Open until somebody resumes; one open per subject (`subject_type` is the model's label in lower case)."""

    subject_type = models.CharField(max_length=60)
    subject_id = models.BigIntegerField()
    cause = models.CharField(max_length=16, choices=HoldCause, default=HoldCause.PERSON)
    reason = models.TextField()
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    placed_at = models.DateTimeField()
    resumed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    resumed_at = models.DateTimeField(null=True, blank=True)
    resume_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["subject_type", "subject_id"],
                condition=Q(resumed_at__isnull=True),
                name="changes_hold_one_open",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="changes_hold_has_reason"),
            models.CheckConstraint(
                condition=Q(resumed_at__isnull=True) | Q(resumed_at__gte=models.F("placed_at")),
                name="changes_hold_span",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_cause_display()}: {self.reason[:80]}"
