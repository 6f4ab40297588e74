"""Distribution points: proxies near the hosts through which these download what a deployment installs.

A point: in service → retired.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.enums import PointAnswer, PointState, WhenSilent
from cmdb.models.group import HostGroup
from cmdb.models.item import ConfigurationItem
from patchflow.kernel import fsm
from patchflow.kernel.models import Audited
from patchflow.kernel.models.due import DueWork
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

KNOWN_FOR = timedelta(minutes=20)
"""So long what a check found says something about now (law 3)."""


class PointQuerySet(models.QuerySet["DistributionPoint"]):
    def visible_to(self, actor: User) -> PointQuerySet:
        """All for who sees all hosts; else those of the granted groups."""
        if actor.scopes_for("host.view") is None:
            return self
        return self.filter(group__in=HostGroup.objects.visible_to(actor))

    def in_service(self) -> PointQuerySet:
        return self.filter(state=PointState.IN_SERVICE)


class DistributionPoint(Audited, DueWork):
    """An HTTP proxy that serves the hosts of one site or of one group.

    `answered` as of `checked_at`: whether something answered there; empty with a reason: it could not be asked.
    `throttle_kib`: KiB in a second that each host takes at most.
    """

    state = fsm.state_field(PointState)
    name = models.CharField(_("name"), max_length=80)
    address = models.CharField(_("address"), max_length=200)
    site = models.ForeignKey(
        ConfigurationItem, models.PROTECT, null=True, blank=True, related_name="points", verbose_name=_("site")
    )
    group = models.ForeignKey(
        HostGroup, models.PROTECT, null=True, blank=True, related_name="points", verbose_name=_("host group")
    )
    throttle_kib = models.PositiveIntegerField(_("KiB in a second for each host at most"), null=True, blank=True)
    when_silent = models.CharField(
        _("while it does not answer"), max_length=8, choices=WhenSilent, default=WhenSilent.WAIT
    )
    answered = models.BooleanField(_("answered"), null=True, blank=True)
    checked_at = models.DateTimeField(_("checked"), null=True, blank=True)
    check_reason = models.CharField(_("what the check found"), max_length=300, blank=True, default="")
    added_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = PointQuerySet.as_manager()

    class Meta:
        verbose_name = _("distribution point")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=PointState.values), name="cmdb_point_state"),
            models.CheckConstraint(condition=Q(when_silent__in=WhenSilent.values), name="cmdb_point_when_silent"),
            models.CheckConstraint(
                condition=Q(site__isnull=True, group__isnull=False) | Q(site__isnull=False, group__isnull=True),
                name="cmdb_point_serves_one",
            ),
            models.CheckConstraint(
                condition=Q(throttle_kib__isnull=True) | Q(throttle_kib__gt=0), name="cmdb_point_throttle"
            ),
            models.UniqueConstraint(fields=["name"], condition=Q(state="in_service"), name="cmdb_point_name"),
            models.UniqueConstraint(fields=["site"], condition=Q(state="in_service"), name="cmdb_point_of_site"),
            models.UniqueConstraint(fields=["group"], condition=Q(state="in_service"), name="cmdb_point_of_group"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("cmdb:point-detail", args=[self.pk])

    def answer_at(self, at: datetime) -> PointAnswer:
        """Whether it answers, as far as that is known then."""
        if self.answered is None or self.checked_at is None or at - self.checked_at > KNOWN_FOR:
            return PointAnswer.UNKNOWN
        return PointAnswer.ANSWERING if self.answered else PointAnswer.SILENT

    @fsm.transition(
        field=state,
        source=PointState.IN_SERVICE,
        target=PointState.RETIRED,
        verb="cmdb.point.retired",
        allowed=[capability("point.edit")],
        dangerous=True,
        label="Retire",
    )
    def retire(self, *, actor: User, at: datetime, reason: str) -> None:
        self.retired_at = at
