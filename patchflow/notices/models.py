"""A notice is written once per key; each delivery is due work of its own, and keeps what it said."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import DueWork, User
from patchflow.notices.enums import Audience, Channel, DeliveryState, Reach, Wanted

__all__ = ["Audience", "Channel", "Delivery", "DeliveryState", "Notice", "Reach", "Subscription", "Wanted"]


class Notice(models.Model):
    """What is known and was told: the facts, once. `key` keeps the same thing from being said twice; `title` is its
    title for the team in the language of the installation."""

    kind = models.CharField(max_length=60)
    key = models.CharField(max_length=160, unique=True)
    title = models.CharField(max_length=200)
    facts = models.JSONField(default=dict)
    url = models.CharField(max_length=300, blank=True, default="")
    written_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["kind", "-written_at"])]

    def __str__(self) -> str:
        return self.title


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, actor: User) -> DeliveryQuerySet:
        """One's own."""
        return self.filter(user=actor)

    def unread(self) -> DeliveryQuerySet:
        return self.filter(read_at__isnull=True)

    def undelivered(self, actor: User) -> DeliveryQuerySet:
        """Mail that did not arrive, for who looks after that."""
        return self.filter(state=DeliveryState.FAILED) if actor.holds("notice.oversee") else self.none()


class Delivery(DueWork):
    """One notice to one person, in that person's language and zone as they were when it was written. It stands in the
    person's list at once; mail is sent by a worker."""

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel)
    audience = models.CharField(max_length=12, choices=Audience, default=Audience.TEAM)
    language = models.CharField(max_length=8, default="en")
    title = models.CharField(max_length=200, default="")
    body = models.TextField(default="")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.QUEUED)
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["notice", "user", "channel"], name="notices_delivery_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="notices_delivery_state"),
            models.CheckConstraint(condition=Q(channel__in=Channel.values), name="notices_delivery_channel"),
        ]
        indexes = [models.Index(fields=["user", "read_at", "-id"])]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.title} → {self.user} ({self.channel})"


class Subscription(models.Model):
    """How one person wants one kind of notice. No row: by mail and here, what concerns them."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="subscriptions")
    kind = models.CharField(_("kind"), max_length=60)
    wanted = models.CharField(_("how"), max_length=8, choices=Wanted, default=Wanted.MAIL)
    reach = models.CharField(_("about"), max_length=8, choices=Reach, default=Reach.MINE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "kind"], name="notices_subscription_once"),
            models.CheckConstraint(condition=Q(wanted__in=Wanted.values), name="notices_subscription_wanted"),
            models.CheckConstraint(condition=Q(reach__in=Reach.values), name="notices_subscription_reach"),
        ]
        indexes = [models.Index(fields=["kind", "reach"])]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}, {self.wanted}"
