"""Configuration items (ITIL: what must be managed to deliver a service), and how they hang together.

An item: planned → in service → retired.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from cmdb.enums import Criticality, Environment, ItemKind, ItemState, Management, RelationKind
from cmdb.rules import may_enter_service
from patchflow.kernel import fsm
from patchflow.kernel.models import Audited
from patchflow.kernel.rules import capability

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class ItemQuerySet(models.QuerySet["ConfigurationItem"]):
    def visible_to(self, actor: User) -> ItemQuerySet:
        """Items without a host are seen by everyone who sees all hosts; a host's item by those who see the host."""
        from cmdb.models.host import Host

        if actor.scopes_for("host.view") is None:
            return self
        return self.filter(host__in=Host.objects.visible_to(actor))


class ConfigurationItem(Audited):
    """What is managed. Management other than *managed* has its reason; criticality 1 is the highest.

    `min_alive` and `min_alive_percent`: of the hosts on which a service or cluster rests so many stay up while others are
    changed, whatever a profile says that asks for less; empty: the profile alone decides.
    """

    state = fsm.state_field(ItemState)
    kind = models.CharField(_("kind"), max_length=20, choices=ItemKind)
    name = models.CharField(_("name"), max_length=120)
    environment = models.CharField(_("environment"), max_length=12, choices=Environment, default=Environment.PRODUCTION)
    criticality = models.PositiveSmallIntegerField(_("criticality"), choices=Criticality, default=Criticality.MEDIUM)
    management = models.CharField(_("management"), max_length=12, choices=Management, default=Management.MANAGED)
    management_reason = models.CharField(_("reason"), max_length=300, blank=True, default="")
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="owned_items",
        verbose_name=_("owner"),
    )
    support_group = models.CharField(_("support group"), max_length=80, blank=True, default="")
    min_alive = models.PositiveIntegerField(_("hosts that stay up"), null=True, blank=True)
    min_alive_percent = models.PositiveSmallIntegerField(_("share of hosts that stay up"), null=True, blank=True)
    in_service_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = ItemQuerySet.as_manager()

    class Meta:
        verbose_name = _("configuration item")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=ItemState.values), name="cmdb_item_state"),
            models.CheckConstraint(condition=Q(criticality__in=Criticality.values), name="cmdb_item_criticality"),
            models.CheckConstraint(
                condition=Q(management=Management.MANAGED) | ~Q(management_reason=""),
                name="cmdb_item_unmanaged_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(min_alive_percent__isnull=True) | Q(min_alive_percent__lte=99), name="cmdb_item_min_alive"
            ),
            models.UniqueConstraint(
                fields=["kind", "name"],
                condition=~Q(state=ItemState.RETIRED) & ~Q(kind=ItemKind.HOST),
                name="cmdb_item_name",
            ),
        ]
        indexes = [models.Index(fields=["kind", "state"]), models.Index(fields=["name"])]

    def __str__(self) -> str:
        return self.name

    def scope_keys(self) -> list[frozenset[str]]:
        """Those of the item's host; an item without one belongs to no group (one empty set: only held everywhere)."""
        host = getattr(self, "host", None)
        return host.scope_keys() if host else [frozenset()]

    def get_absolute_url(self) -> str:
        """Its page; a host's item has the host's."""
        host = getattr(self, "host", None)
        return reverse("cmdb:host-detail", args=[host.pk]) if host else reverse("cmdb:item-detail", args=[self.pk])

    def must_stay(self, hosts: int) -> int:
        """How many of so many hosts its own rule keeps; 0 where it has none."""
        return max(self.min_alive or 0, -(-hosts * (self.min_alive_percent or 0) // 100))

    @fsm.transition(
        field=state,
        source=ItemState.PLANNED,
        target=ItemState.IN_SERVICE,
        verb="cmdb.item.entered_service",
        allowed=[may_enter_service],
        by_system=True,
        label="Enter service",
    )
    def enter_service(self, *, actor: User, at: datetime) -> None:
        self.in_service_at = at

    @fsm.transition(
        field=state,
        source=[ItemState.PLANNED, ItemState.IN_SERVICE],
        target=ItemState.RETIRED,
        verb="cmdb.item.retired",
        allowed=[capability("host.retire")],
        gated=True,
        dangerous=True,
        label="Retire",
    )
    def retire(self, *, actor: User, at: datetime, reason: str) -> None:
        self.retired_at = at


class Relation(models.Model):
    """One item needs, runs on, belongs to or talks to another: `source` depends_on `target`."""

    source = models.ForeignKey(ConfigurationItem, models.PROTECT, related_name="relations_out")
    target = models.ForeignKey(ConfigurationItem, models.PROTECT, related_name="relations_in")
    kind = models.CharField(max_length=12, choices=RelationKind)
    origin = models.CharField(_("source"), max_length=40, default="person")
    since_at = models.DateTimeField()

    class Meta:
        verbose_name = _("relation")
        constraints = [
            models.UniqueConstraint(fields=["source", "target", "kind"], name="cmdb_relation_once"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="cmdb_relation_of_two"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.get_kind_display()} {self.target}"
