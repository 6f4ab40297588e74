"""The change calendar: slots that releases have reserved for changes, and the keys of iCalendar feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from changes.enums import TERMINAL
from changes.models.rfc import RFC
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from datetime import datetime

    from patchflow.kernel.models import User


class SlotQuerySet(models.QuerySet["ChangeSlot"]):
    def visible_to(self, actor: User) -> SlotQuerySet:
        """Those of changes that the actor may see."""
        return self.filter(rfc__in=RFC.objects.visible_to(actor))

    def live(self) -> SlotQuerySet:
        """Reserved, not given back, and of a change that still goes on."""
        return self.filter(released_at__isnull=True).exclude(rfc__state__in=TERMINAL)

    def touching(self, since: datetime, until: datetime) -> SlotQuerySet:
        return self.filter(starts_at__lt=until, ends_at__gt=since)


class ChangeSlot(models.Model):
    """A part of a window's opening that `holder` (a release) has reserved for a change. Released, never deleted.

    Two changes may hold the same time: what that means says `queries.conflicts`. A freeze that its kind does not pass
    refuses a slot when it is reserved.
    """

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="slots")
    holder = models.CharField(_("held by"), max_length=40)
    window = models.ForeignKey("cmdb.ServiceWindow", models.PROTECT, related_name="+", null=True, blank=True)
    name = models.CharField(_("window"), max_length=120, blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    hosts = models.PositiveIntegerField(_("hosts"), default=0)
    simulated = models.BooleanField(default=False, help_text="What runs in it touches no host.")
    responsible = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reserved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    reserved_at = models.DateTimeField()
    released_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    release_reason = models.CharField(max_length=300, blank=True, default="")

    objects = SlotQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "id"]
        verbose_name = _("change slot")
        indexes = [models.Index(fields=["starts_at", "ends_at"]), models.Index(fields=["holder"])]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="changes_changeslot_span"),
            models.UniqueConstraint(
                fields=["rfc", "holder", "window", "starts_at"],
                condition=Q(released_at__isnull=True),
                name="changes_changeslot_once",
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_by__isnull=True)
                | (Q(released_at__isnull=False, released_by__isnull=False) & ~Q(release_reason="")),
                name="changes_changeslot_released_by",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rfc.number}, {self.name or self.holder}"

    @property
    def held_by(self) -> str:
        """Who holds it, and that it touches no host."""
        return gettext("%(holder)s (simulated)") % {"holder": self.holder} if self.simulated else self.holder


class CalendarKey(Audited):
    """The secret address of a person's iCalendar feed. Only its SHA-256 is kept; who has the address sees what the person
    may see, until it is revoked or the person loses their rights."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="calendar_keys")
    digest = models.CharField(max_length=64, unique=True)
    made_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("calendar key")
        constraints = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(revoked_at__isnull=True), name="changes_calendarkey_one_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}"
