"""Discrepancies: what does not agree with itself, and waits for a person. open → explained | corrected | handed to
problem management. Nothing is merged or settled silently."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cmdb.enums import BelowCause, DiscrepancyKind, DiscrepancyState
from cmdb.models.host import Host
from patchflow.kernel import fsm
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User

settles = [capability("discrepancy.settle")]


class DiscrepancyQuerySet(models.QuerySet["Discrepancy"]):
    def visible_to(self, actor: User) -> DiscrepancyQuerySet:
        if actor.scopes_for("host.view") is None:
            return self
        return self.filter(host__in=Host.objects.visible_to(actor))

    def open(self) -> DiscrepancyQuerySet:
        return self.filter(state=DiscrepancyState.OPEN)


class Discrepancy(Audited):
    """One disagreement about `host` (and `other`). `key` keeps the same one from being opened twice."""

    state = fsm.state_field(DiscrepancyState, max_length=32)
    kind = models.CharField(_("kind"), max_length=24, choices=DiscrepancyKind)
    key = models.CharField(max_length=120)
    host = models.ForeignKey(Host, models.PROTECT, related_name="discrepancies")
    other = models.ForeignKey(Host, models.PROTECT, null=True, blank=True, related_name="+")
    sentence = models.CharField(_("what does not agree"), max_length=500)
    detail = models.JSONField(default=dict)
    source = models.CharField(_("found by"), max_length=40)
    opened_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    settled_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+")
    settlement = models.TextField(_("how it was settled"), blank=True, default="")
    cause = models.CharField(_("why it stays below"), max_length=16, choices=BelowCause, blank=True, default="")

    objects = DiscrepancyQuerySet.as_manager()

    class Meta:
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        constraints = [
            models.UniqueConstraint(
                fields=["host", "kind", "key"], condition=Q(state=DiscrepancyState.OPEN), name="cmdb_discrepancy_open"
            ),
            models.CheckConstraint(condition=Q(state__in=DiscrepancyState.values), name="cmdb_discrepancy_state"),
        ]

    def __str__(self) -> str:
        return gettext("Discrepancy %(n)s") % {"n": self.pk}

    def scope_keys(self) -> list[frozenset[str]]:
        return self.host.scope_keys() + (self.other.scope_keys() if self.other else [])

    @fsm.transition(
        field=state,
        source=DiscrepancyState.OPEN,
        target=DiscrepancyState.EXPLAINED,
        verb="cmdb.discrepancy.explained",
        allowed=settles,
        label="Explain",
    )
    def explain(self, *, actor: User, at: datetime, reason: str) -> None:
        self._settle(actor, at, reason)

    @fsm.transition(
        field=state,
        source=DiscrepancyState.OPEN,
        target=DiscrepancyState.CORRECTED,
        verb="cmdb.discrepancy.corrected",
        allowed=settles,
        label="Corrected",
    )
    def correct(self, *, actor: User, at: datetime, reason: str) -> None:
        self._settle(actor, at, reason)

    @fsm.transition(
        field=state,
        source=DiscrepancyState.OPEN,
        target=DiscrepancyState.HANDED_OVER,
        verb="cmdb.discrepancy.handed_over",
        allowed=settles,
        label="Hand to problem management",
    )
    def hand_over(self, *, actor: User, at: datetime, reason: str, cause: str = "") -> None:
        self._settle(actor, at, reason)
        self.cause = cause

    def _settle(self, actor: User, at: datetime, reason: str) -> None:
        self.settled_by, self.settled_at, self.settlement = actor, at, reason
