"""Approval routes: who is asked besides, when a change is of this risk or class, or reaches these items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from changes.enums import RiskLevel
from cmdb.enums import Criticality
from cmdb.models import ConfigurationItem, HostGroup
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class ApprovalRouteQuerySet(models.QuerySet["ApprovalRoute"]):
    def visible_to(self, actor: User) -> ApprovalRouteQuerySet:
        """All, to everybody who may see changes anywhere: what decides about changes is no secret among them."""
        return self if actor.holds_somewhere("rfc.view") else self.none()

    def in_force(self) -> ApprovalRouteQuerySet:
        return self.filter(retired_at__isnull=True)


class ApprovalRoute(Audited):
    """A level that is asked besides those of the kind or model, of every change that meets all conditions that are set.

    `kinds` of changes; `min_risk`; `classes` of urgency; and of one and the same target: `max_criticality` (1 is the
    highest), `environments`, membership in one of `groups`, one of `services` resting on it. `level` is a level as a
    change model holds them (`changes.domain.policy.checked`); `asked_last` puts it behind the usual ones.
    """

    name = models.CharField(_("name"), max_length=80)
    kinds = models.JSONField(_("kinds of change"), default=list)
    min_risk = models.CharField(_("risk from"), max_length=8, choices=RiskLevel, blank=True, default="")
    classes = models.JSONField(_("classes"), default=list, blank=True)
    max_criticality = models.PositiveSmallIntegerField(
        _("criticality from"), choices=Criticality, null=True, blank=True
    )
    environments = models.JSONField(_("environments"), default=list, blank=True)
    groups = models.ManyToManyField(HostGroup, blank=True, related_name="+", verbose_name=_("host groups"))
    services = models.ManyToManyField(ConfigurationItem, blank=True, related_name="+", verbose_name=_("services"))
    level = models.JSONField(_("level"))
    asked_last = models.BooleanField(_("asked after the usual levels"), default=False)
    reason = models.TextField(_("reason"))
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    written_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = ApprovalRouteQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        verbose_name = _("approval route")
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(retired_at__isnull=True), name="changes_route_name"),
            models.CheckConstraint(condition=~Q(reason=""), name="changes_route_has_reason"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("changes:route-detail", args=[self.pk])

    def content(self) -> dict[str, Any]:
        """What it says, for the trail."""
        return {
            "name": self.name,
            "kinds": self.kinds,
            "min_risk": self.min_risk,
            "classes": self.classes,
            "max_criticality": self.max_criticality,
            "environments": self.environments,
            "groups": [g.name for g in self.groups.order_by("name")],
            "services": [s.name for s in self.services.order_by("name")],
            "level": self.level,
            "asked_last": self.asked_last,
            "reason": self.reason,
        }
