"""Saved filters: the question of a list under a name, as its address has it; never what the list answered."""

from __future__ import annotations

from typing import cast

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models.audit import Audited
from patchflow.kernel.models.user import User


class SavedFilterQuerySet(models.QuerySet["SavedFilter"]):
    def visible_to(self, actor: User) -> SavedFilterQuerySet:
        """One's own, and what is shared with a role that one holds."""
        roles = [role for role, _scope in actor._grants]
        return self.filter(removed_at__isnull=True).filter(
            Q(owner=actor) | Q(shared_with__in=roles, shared_with__gt="")
        )

    def with_default(self, actor: User) -> SavedFilterQuerySet:
        """Each with `is_default`: whether `actor` begins its list with it."""
        chosen = DefaultFilter.objects.filter(saved=OuterRef("pk"), user=actor)
        return cast("SavedFilterQuerySet", self.annotate(is_default=Exists(chosen)))


class SavedFilter(Audited):
    """Filter, order and left-out columns of a list (`list_name`: "cmdb:host-list") as a query string.

    It is asked again each time with the rights of whoever opens it. `shared_with` is a role, or empty: the owner's own.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="saved_filters")
    list_name = models.CharField(_("list"), max_length=100)
    name = models.CharField(_("name"), max_length=80)
    query = models.CharField(_("query"), max_length=2000, blank=True)
    shared_with = models.CharField(_("shared with"), max_length=40, blank=True, default="")
    made_at = models.DateTimeField(_("made"))
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = SavedFilterQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        indexes = [models.Index(fields=["list_name", "owner"], name="kernel_savedfilter_list")]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "list_name", "name"],
                condition=Q(removed_at__isnull=True),
                name="kernel_savedfilter_name",
            )
        ]

    def __str__(self) -> str:
        return self.name


class DefaultFilter(models.Model):
    """With which saved filter a person begins a list; none: with the whole of it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    list_name = models.CharField(max_length=100)
    saved = models.ForeignKey(SavedFilter, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "list_name"], name="kernel_defaultfilter_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.saved}"
