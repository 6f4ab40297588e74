"""Where a host was last seen against a baseline in force: what tells that it has left it, or stays below."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from cmdb.enums import BaselineResult
from cmdb.models.baseline import Baseline
from cmdb.models.host import Host

LOOKED_AT = (BaselineResult.BELOW, BaselineResult.EXEMPT, BaselineResult.UNKNOWN)
"""Results that may have become *below* without a change of packages: exemptions end, facts come back."""


class BaselineStanding(models.Model):
    """`since`: the first look that gave this result; `left_at`: when it was seen to leave what it matched, `told_at`: when that
    was told, or needed no telling; `owed_at`: when it was noted that it stays below."""

    host = models.ForeignKey(Host, models.PROTECT, related_name="standings", db_index=False)
    baseline = models.ForeignKey(Baseline, models.PROTECT, related_name="standings")
    result = models.CharField(max_length=8, choices=BaselineResult)
    since = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True)
    owed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("standing")
        constraints = [
            models.UniqueConstraint(fields=["host", "baseline"], name="cmdb_standing_once"),
            models.CheckConstraint(condition=Q(result__in=BaselineResult.values), name="cmdb_standing_result"),
        ]
        indexes = [
            models.Index(
                fields=["left_at"], condition=Q(left_at__isnull=False, told_at__isnull=True), name="cmdb_standing_left"
            ),
            models.Index(
                fields=["since"], condition=Q(result__in=LOOKED_AT, owed_at__isnull=True), name="cmdb_standing_owed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.host_id} {self.result} {self.baseline_id}"
