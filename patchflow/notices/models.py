"""A notice is written once per key; each delivery is due work of its own."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import DueWork


class Channel(models.TextChoices):
    MAIL = "mail", _("mail")
    CONSOLE = "console", _("console")


class DeliveryState(models.TextChoices):
    QUEUED = "queued", _("queued")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")


class Notice(models.Model):
    """What is said. `key` keeps the same thing from being said twice."""

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=160, unique=True)
    title = models.CharField(max_length=200)
    body = models.TextField()
    url = models.CharField(max_length=300, blank=True, default="")
    written_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "-written_at"])]

    def __str__(self) -> str:
        return self.title


class Delivery(DueWork):
    """One notice to one person by one channel."""

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel)
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.QUEUED)
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["notice", "user", "channel"], name="notices_delivery_once")]
        indexes = [models.Index(fields=["user", "read_at", "-id"])]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.notice} → {self.user} ({self.channel})"
