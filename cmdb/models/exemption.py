"""Exemptions: a finding that somebody has decided not to mend for now. requested → granted → expired | revoked; refused.

Renewal is a new row; when it ends the finding counts again.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.enums import ExemptionKind, ExemptionState
from cmdb.models.group import HostGroup
from cmdb.models.host import Host
from cmdb.rules import not_asker
from patchflow.kernel import fsm
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class ExemptionQuerySet(models.QuerySet["Exemption"]):
    def visible_to(self, actor: User) -> ExemptionQuerySet:
        if actor.scopes_for("host.view") is None:
            return self
        hosts, groups = Host.objects.visible_to(actor), HostGroup.objects.visible_to(actor)
        return self.filter(Q(host__in=hosts) | Q(group__in=groups))

    def in_force(self, at: datetime) -> ExemptionQuerySet:
        return self.filter(state=ExemptionState.GRANTED, expires_at__gt=at)


class Exemption(Audited):
    """Subject (package, vulnerability or baseline, as text with platform) for one host or one group, with reason,
    compensating control and end."""

    state = fsm.state_field(ExemptionState)
    kind = models.CharField(_("kind"), max_length=10, choices=ExemptionKind)
    subject = models.CharField(_("subject"), max_length=200)
    platform = models.CharField(_("platform"), max_length=100, blank=True, default="")
    host = models.ForeignKey(Host, models.PROTECT, null=True, blank=True, related_name="exemptions")
    group = models.ForeignKey(HostGroup, models.PROTECT, null=True, blank=True, related_name="exemptions")
    reason = models.TextField(_("reason"))
    compensating_control = models.TextField(_("compensating control"))
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(_("ends"))

    objects = ExemptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("exemption")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ExemptionState.values), name="cmdb_exemption_state"),
            models.CheckConstraint(
                condition=Q(host__isnull=False, group__isnull=True) | Q(host__isnull=True, group__isnull=False),
                name="cmdb_exemption_host_or_group",
            ),
            models.CheckConstraint(condition=Q(expires_at__gt=F("requested_at")), name="cmdb_exemption_ends"),
        ]
        indexes = [models.Index(fields=["state", "expires_at"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.subject}"

    def get_absolute_url(self) -> str:
        return reverse("cmdb:exemption-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        concerned = self.host or self.group
        return concerned.scope_keys() if concerned else [frozenset()]

    @fsm.transition(
        field=state,
        source=ExemptionState.REQUESTED,
        target=ExemptionState.GRANTED,
        verb="cmdb.exemption.granted",
        allowed=[capability("exemption.grant"), not_asker],
        gated=True,
        label="Grant",
    )
    def grant(self, *, actor: User, at: datetime) -> None:
        self.decided_by, self.decided_at = actor, at

    @fsm.transition(
        field=state,
        source=ExemptionState.REQUESTED,
        target=ExemptionState.REFUSED,
        verb="cmdb.exemption.refused",
        allowed=[capability("exemption.grant")],
        label="Refuse",
    )
    def refuse(self, *, actor: User, at: datetime, reason: str) -> None:
        self.decided_by, self.decided_at = actor, at

    @fsm.transition(
        field=state,
        source=ExemptionState.GRANTED,
        target=ExemptionState.REVOKED,
        verb="cmdb.exemption.revoked",
        allowed=[capability("exemption.grant")],
        label="Revoke",
    )
    def revoke(self, *, actor: User, at: datetime, reason: str) -> None:
        self.decided_at = at

    @fsm.transition(
        field=state,
        source=ExemptionState.GRANTED,
        target=ExemptionState.EXPIRED,
        verb="cmdb.exemption.expired",
        allowed=[capability("exemption.expire")],
        by_system=True,
    )
    def expire(self, *, actor: User, at: datetime) -> None:
        self.decided_at = at
