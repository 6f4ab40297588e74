"""Baselines (MOF: the documented configuration of a class of hosts at a point in time).

A baseline: draft → proposed → approved → superseded | retired; proposed ─refuse▶ draft.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from cmdb.enums import BaselineState
from cmdb.models.fields import VersionKeyField
from cmdb.models.group import HostGroup, group_ids
from cmdb.models.software import Platform
from cmdb.rules import may_put_in_force, not_proposer
from patchflow.kernel import fsm
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class BaselineQuerySet(models.QuerySet["Baseline"]):
    def visible_to(self, actor: User) -> BaselineQuerySet:
        scopes = actor.scopes_for("host.view")
        return self if scopes is None else self.filter(group_id__in=group_ids(scopes))

    def approved(self) -> BaselineQuerySet:
        return self.filter(state=BaselineState.APPROVED)


class Baseline(Audited):
    """The versions that hosts of one platform (and group, if any) should have. Versioned by name; never edited once
    proposed. `source_digest`: the manifest it was taken from, if it was."""

    state = fsm.state_field(BaselineState)
    name = models.CharField(_("name"), max_length=80)
    version = models.PositiveIntegerField(_("version"))
    platform = models.ForeignKey(Platform, models.PROTECT, related_name="baselines")
    group = models.ForeignKey(HostGroup, models.PROTECT, null=True, blank=True, related_name="baselines")
    source_digest = models.CharField(max_length=64, blank=True, default="")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = BaselineQuerySet.as_manager()

    class Meta:
        verbose_name = _("baseline")
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="cmdb_baseline_version"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(state=BaselineState.APPROVED), name="cmdb_baseline_one_approved"
            ),
            models.CheckConstraint(condition=Q(state__in=BaselineState.values), name="cmdb_baseline_state"),
        ]

    def __str__(self) -> str:
        return gettext("%(name)s, version %(n)s") % {"name": self.name, "n": self.version}

    def get_absolute_url(self) -> str:
        return reverse("cmdb:baseline-detail", args=[self.pk])

    def scope_keys(self) -> list[frozenset[str]]:
        return [frozenset([self.group.scope_key] if self.group else [])]

    def document(self) -> dict[str, Any]:
        """What an approval signs."""
        items = self.items.order_by("name", "arch").values_list("name", "arch", "version")
        return {
            "schema": 1,
            "baseline": self.name,
            "version": self.version,
            "platform": str(self.platform),
            "group": self.group_id,
            "items": [{"name": name, "arch": arch, "version": version} for name, arch, version in items],
        }

    @fsm.transition(
        field=state,
        source=BaselineState.DRAFT,
        target=BaselineState.PROPOSED,
        verb="cmdb.baseline.proposed",
        allowed=[capability("baseline.propose")],
        gated=True,
        label="Propose",
    )
    def propose(self, *, actor: User, at: datetime) -> None:
        self.proposed_by = actor

    @fsm.transition(
        field=state,
        source=BaselineState.PROPOSED,
        target=BaselineState.APPROVED,
        verb="cmdb.baseline.approved",
        allowed=[capability("baseline.approve"), not_proposer],
        gated=True,
        by_system=True,
    )
    def approve(self, *, actor: User, at: datetime) -> None:
        self.approved_at = at

    @fsm.transition(
        field=state,
        source=BaselineState.PROPOSED,
        target=BaselineState.APPROVED,
        verb="cmdb.baseline.adopted",
        allowed=[capability("baseline.adopt")],
        gated=True,
        label="Adopt without a further round",
    )
    def adopt(self, *, actor: User, at: datetime) -> None:
        self.approved_at = at

    @fsm.transition(
        field=state,
        source=BaselineState.PROPOSED,
        target=BaselineState.DRAFT,
        verb="cmdb.baseline.refused",
        allowed=[capability("baseline.approve")],
        by_system=True,
    )
    def refuse(self, *, actor: User, at: datetime, reason: str = "") -> None:
        self.approved_at = None

    @fsm.transition(
        field=state,
        source=BaselineState.APPROVED,
        target=BaselineState.SUPERSEDED,
        verb="cmdb.baseline.superseded",
        allowed=[may_put_in_force],
        by_system=True,
    )
    def supersede(self, *, actor: User, at: datetime) -> None:
        self.ended_at = at

    @fsm.transition(
        field=state,
        source=BaselineState.APPROVED,
        target=BaselineState.RETIRED,
        verb="cmdb.baseline.retired",
        allowed=[capability("baseline.adopt")],
        dangerous=True,
        label="Retire",
    )
    def retire(self, *, actor: User, at: datetime, reason: str) -> None:
        self.ended_at = at


class BaselineItem(models.Model):
    """One package of a baseline at its version; `key` NULL: the version cannot be read, so the result is unknown."""

    baseline = models.ForeignKey(Baseline, models.PROTECT, related_name="items")
    name = models.CharField(max_length=200)
    arch = models.CharField(max_length=20)
    version = models.CharField(max_length=300)
    key = VersionKeyField(null=True, blank=True)

    class Meta:
        verbose_name = _("baseline item")
        constraints = [models.UniqueConstraint(fields=["baseline", "name", "arch"], name="cmdb_baselineitem_once")]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
