"""What REST remembers: answers to requests that came with a key, so that a repeated one is answered and not done again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _


class Repeatable(models.Model):
    """A request that was carried out under a key of its caller, written in the transaction of its effect."""

    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64, help_text="Keyed hash of method, address and body.")
    status = models.PositiveSmallIntegerField(default=0)
    body = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "key"], name="api_repeatable_once")]
        indexes = [models.Index(fields=["at"], name="api_repeatable_at")]
        verbose_name = _("repeatable request")
        verbose_name_plural = _("repeatable requests")

    def __str__(self) -> str:
        return self.key
