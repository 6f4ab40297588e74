"""Choice sets and audited verbs of notices."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.registry import verbs

verbs(
    notices={
        "subscription_set": "Notices chosen",
        "sent_again": "Notice sent again",
        "webhook_added": "Webhook added",
        "webhook_revised": "Webhook changed",
        "webhook_rotated": "Secret of the webhook changed",
        "webhook_switched": "Webhook switched on or off",
        "webhook_tested": "Webhook tested",
        "webhook_sent_again": "Message sent again",
    },
)


class Audience(models.TextChoices):
    """Whom a wording is for: the same facts, other words."""

    TEAM = "team", _("team")
    MANAGEMENT = "management", _("management")
    END_USER = "end_user", _("end users")


class Channel(models.TextChoices):
    """How a notice reaches a person. It stands under Notices in any case; mail is a copy."""

    MAIL = "mail", _("mail")
    INBOX = "inbox", _("here only")


class DeliveryState(models.TextChoices):
    QUEUED = "queued", _("queued")
    SENT = "sent", _("sent")
    FAILED = "failed", _("failed")


class Wanted(models.TextChoices):
    """How a person wants a kind of notice."""

    MAIL = "mail", _("by mail and here")
    INBOX = "inbox", _("here only")
    OFF = "off", _("not at all")


class Reach(models.TextChoices):
    """About what a person wants a kind of notice."""

    MINE = "mine", _("what concerns me")
    SCOPE = "scope", _("everything that I may see")
