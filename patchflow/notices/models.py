"""A notice is written once per key; each delivery is due work of its own, and keeps what it said."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Audited, DueWork, User
from patchflow.notices.enums import Audience, Channel, DeliveryState, Reach, Wanted

__all__ = [
    "Audience",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Notice",
    "Reach",
    "Subscription",
    "Wanted",
    "Webhook",
    "WebhookDelivery",
]


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


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def visible_to(self, actor: User) -> WebhookQuerySet:
        """All for who keeps them: what is sent passes by the scopes of people."""
        return self if actor.holds("webhook.manage") else self.none()

    def live(self) -> WebhookQuerySet:
        return self.filter(disabled_at__isnull=True)


class Webhook(Audited):
    """Somebody else's server that is told notices: of which kinds, and of those told to which roles (none named: all).

    Its secret is derived from the salt and the key of this installation (`signing`); it is in no table.
    """

    name = models.CharField(_("name"), max_length=80)
    url = models.CharField(_("address"), max_length=500)
    kinds = models.JSONField(_("kinds"), default=list, blank=True)
    roles = models.JSONField(_("roles"), default=list, blank=True)
    salt = models.CharField(max_length=64, editable=False)
    salt_before = models.CharField(max_length=64, blank=True, default="", editable=False)
    rotated_at = models.DateTimeField(null=True, blank=True)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_why = models.CharField(max_length=200, blank=True, default="")

    objects = WebhookQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(DueWork):
    """One message to one webhook: its body as it is sent, the same at every try, and how each try ended."""

    webhook = models.ForeignKey(Webhook, models.PROTECT, related_name="deliveries")
    notice = models.ForeignKey(Notice, models.CASCADE, null=True, blank=True, related_name="+")
    message_id = models.CharField(max_length=40, unique=True)
    event = models.CharField(_("event"), max_length=80)
    body = models.TextField()
    made_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.QUEUED)
    answer = models.PositiveSmallIntegerField(_("answer"), null=True, blank=True)
    error = models.CharField(max_length=300, blank=True, default="")
    tries = models.JSONField(default=list)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["webhook", "notice"], name="notices_webhookdelivery_once"),
            models.CheckConstraint(condition=Q(state__in=DeliveryState.values), name="notices_webhookdelivery_state"),
        ]
        indexes = [models.Index(fields=["webhook", "-id"])]
        verbose_name_plural = "webhook deliveries"

    def __str__(self) -> str:
        return f"{self.event} → {self.webhook}"
