"""Service windows: when hosts of a group may be worked on. A host without a window is refused with that reason."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from cmdb.enums import Recurrence
from cmdb.models.group import HostGroup
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class Weekday(models.IntegerChoices):
    MONDAY = 0, _("Monday")
    TUESDAY = 1, _("Tuesday")
    WEDNESDAY = 2, _("Wednesday")
    THURSDAY = 3, _("Thursday")
    FRIDAY = 4, _("Friday")
    SATURDAY = 5, _("Saturday")
    SUNDAY = 6, _("Sunday")


class Nth(models.IntegerChoices):
    FIRST = 1, _("first")
    SECOND = 2, _("second")
    THIRD = 3, _("third")
    FOURTH = 4, _("fourth")
    LAST = -1, _("last")


class WindowQuerySet(models.QuerySet["ServiceWindow"]):
    def visible_to(self, actor: User) -> WindowQuerySet:
        if actor.scopes_for("host.view") is None:
            return self
        return self.filter(groups__in=HostGroup.objects.visible_to(actor)).distinct()

    def live(self) -> WindowQuerySet:
        return self.filter(retired_at__isnull=True)


class ServiceWindow(Audited):
    """A recurring opening: weekly on a weekday, or on the nth weekday of the month plus an offset in days (the Saturday
    after the second Tuesday: second, Tuesday, offset 4). `starts_local` is wall-clock time in the IANA `zone`.

    `length_minutes` is elapsed time; in the last `cutoff_minutes` nothing starts. `revision` rises with each edit.
    """

    name = models.CharField(_("name"), max_length=80)
    recurrence = models.CharField(_("recurs"), max_length=8, choices=Recurrence, default=Recurrence.MONTHLY)
    nth = models.SmallIntegerField(_("which"), choices=Nth, default=Nth.SECOND)
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=Weekday, default=Weekday.TUESDAY)
    offset_days = models.PositiveSmallIntegerField(_("days later"), default=0)
    starts_local = models.TimeField(_("starts at"))
    zone = models.CharField(_("time zone"), max_length=64, default="UTC")
    length_minutes = models.PositiveIntegerField(_("length in minutes"))
    cutoff_minutes = models.PositiveIntegerField(_("cut-off in minutes"), default=0)
    from_on = models.DateField(_("first day"))
    until_on = models.DateField(_("last day"), null=True, blank=True)
    revision = models.PositiveIntegerField(_("revision"), default=1)
    groups = models.ManyToManyField(HostGroup, related_name="windows", verbose_name=_("groups"), blank=True)
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = WindowQuerySet.as_manager()

    class Meta:
        verbose_name = _("service window")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(retired_at__isnull=True), name="cmdb_window_name"),
            models.CheckConstraint(
                condition=Q(length_minutes__gt=0, length_minutes__lte=7 * 24 * 60), name="cmdb_window_length"
            ),
            models.CheckConstraint(
                condition=Q(cutoff_minutes__lt=models.F("length_minutes")), name="cmdb_window_cutoff"
            ),
            models.CheckConstraint(condition=Q(offset_days__lte=20), name="cmdb_window_offset"),
            models.CheckConstraint(condition=Q(nth__in=Nth.values, weekday__in=Weekday.values), name="cmdb_window_nth"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def scope_keys(self) -> list[frozenset[str]]:
        """One set per group that it opens: who edits a window moves the work of all of them."""
        return [frozenset([group.scope_key]) for group in self.groups.all()] or [frozenset()]
