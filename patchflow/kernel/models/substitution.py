"""Substitution: who signs for whom, from when until when. Named by the person who is away, ended at its date or before."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models.audit import Audited
from patchflow.kernel.models.user import User


class SubstitutionQuerySet(models.QuerySet["Substitution"]):
    def in_force(self, at: datetime) -> SubstitutionQuerySet:
        """Those that hold at this moment."""
        return self.filter(starts_at__lte=at, ends_at__gt=at).filter(Q(ended_at__isnull=True) | Q(ended_at__gt=at))

    def visible_to(self, actor: User) -> SubstitutionQuerySet:
        """One's own, those for others whom one stands in for, and all for who keeps people or audits."""
        if actor.holds("grant.edit") or actor.holds("audit.view"):
            return self
        return self.filter(Q(user=actor) | Q(substitute=actor))


class Substitution(Audited):
    """`substitute` signs for `user` in [starts_at, ends_at), with a role of their own; the record says for whom."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="absences")
    substitute = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="stands_in")
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=200, blank=True, default="")
    named_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    named_at = models.DateTimeField()
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = SubstitutionQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="kernel_substitution_span"),
            models.CheckConstraint(condition=~Q(user=F("substitute")), name="kernel_substitution_other"),
        ]

    def __str__(self) -> str:
        return gettext("%(substitute)s for %(user)s") % {"substitute": self.substitute, "user": self.user}
