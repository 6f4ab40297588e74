"""The kill switch: one row; while it is on, nothing starts anywhere. What is at work runs on."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Audited


class KillSwitch(Audited):
    """On or off, with who, when and why."""

    name = models.CharField(max_length=20, unique=True, default="all")
    is_on = models.BooleanField(default=False)
    reason = models.TextField(blank=True, default="")
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    set_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("kill switch")
        verbose_name_plural = _("kill switches")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_on=False) | ~models.Q(reason=""), name="releases_killswitch_has_reason"
            ),
            models.CheckConstraint(condition=models.Q(name="all"), name="releases_killswitch_one"),
        ]

    def __str__(self) -> str:
        return "kill switch"
