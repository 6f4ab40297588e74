"""Host groups: chosen hosts, or those that a simple rule names. A group is also the scope of a grant (`group:<id>`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from cmdb.enums import Criticality, Environment, GroupKind
from cmdb.models.host import GROUP_SCOPE, Host, group_ids
from patchflow.kernel.models import Audited

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class GroupQuerySet(models.QuerySet["HostGroup"]):
    def visible_to(self, actor: User) -> GroupQuerySet:
        """All for who sees all hosts; else the granted groups."""
        scopes = actor.scopes_for("host.view")
        return self if scopes is None else self.filter(pk__in=group_ids(scopes))

    def live(self) -> GroupQuerySet:
        return self.filter(retired_at__isnull=True)


class HostGroup(Audited):
    """A named set of hosts. By rule: every non-empty `rule_…` must be equal; members are kept as rows either way, so
    that scopes, windows and targets are plain joins, and every change of membership is in the trail."""

    name = models.CharField(_("name"), max_length=80)
    kind = models.CharField(_("kind"), max_length=8, choices=GroupKind, default=GroupKind.STATIC)
    description = models.CharField(_("description"), max_length=300, blank=True, default="")
    rule_environment = models.CharField(_("environment"), max_length=12, choices=Environment, blank=True, default="")
    rule_distribution = models.CharField(_("distribution"), max_length=40, blank=True, default="")
    rule_release = models.CharField(_("release"), max_length=40, blank=True, default="")
    rule_criticality = models.PositiveSmallIntegerField(_("criticality"), choices=Criticality, null=True, blank=True)
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    objects = GroupQuerySet.as_manager()

    class Meta:
        verbose_name = _("host group")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(retired_at__isnull=True), name="cmdb_group_name"),
            models.CheckConstraint(
                condition=Q(kind=GroupKind.STATIC)
                | ~Q(rule_environment="", rule_distribution="", rule_release="", rule_criticality__isnull=True),
                name="cmdb_group_rule_says_something",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope_key(self) -> str:
        return f"{GROUP_SCOPE}{self.pk}"

    def scope_keys(self) -> list[frozenset[str]]:
        """A group is in its own scope."""
        return [frozenset([self.scope_key])]


class GroupMember(models.Model):
    """A host in a group."""

    group = models.ForeignKey(HostGroup, models.PROTECT, related_name="memberships")
    host = models.ForeignKey(Host, models.PROTECT, related_name="memberships")
    since_at = models.DateTimeField()

    class Meta:
        verbose_name = _("membership")
        constraints = [models.UniqueConstraint(fields=["group", "host"], name="cmdb_member_once")]

    def __str__(self) -> str:
        return f"{self.host} in {self.group}"


def members_of(group_id: int) -> Exists:
    """A filter for hosts: those in the group."""
    return Exists(GroupMember.objects.filter(group_id=group_id, host=OuterRef("pk")))
