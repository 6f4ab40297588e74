"""Risk of a change, as it was assessed: insert-only, the inputs kept with the result."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums import RiskLevel
from changes.models.rfc import RFC


class RiskAssessment(models.Model):
    """One scoring. `factors`: [{key, value, points, of, sentence}], integers and text only, since approval signs them."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="assessments")
    score = models.PositiveSmallIntegerField()
    maximum = models.PositiveSmallIntegerField()
    level = models.CharField(max_length=8, choices=RiskLevel)
    factors = models.JSONField()
    content_digest = models.CharField(
        max_length=64, help_text="What was assessed: the change document without its risk."
    )
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("risk assessment")

    def __str__(self) -> str:
        return f"{self.get_level_display()} · {self.score} of {self.maximum}"
