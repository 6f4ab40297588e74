"""What an edit of a window did to the queued hosts of a rollout: by which rule, host by host. Never edited."""

from __future__ import annotations

from datetime import time
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from cmdb.enums import QueuedRule
from cmdb.models import ServiceWindow
from releases.models.manifest import InsertOnly

TERMS = (
    "name", "recurrence", "nth", "weekday", "offset_days", "starts_local", "zone", "length_minutes", "cutoff_minutes",
    "from_on", "until_on", "revision",
)  # fmt: skip


def terms_of(window: ServiceWindow) -> dict[str, Any]:
    """When a window opens, as JSON keeps it."""
    found = {field: getattr(window, field) for field in TERMS}
    days = {field: found[field] and found[field].isoformat() for field in ("from_on", "until_on")}
    return {**found, **days, "starts_local": window.starts_local.isoformat()}


class WindowChange(InsertOnly):
    """`terms`: the window before the edit, by which its signed openings are known; `revision`: of the window after it, none
    where it was ended; `hosts`: [{job, host, name, opens, becomes, word, why}]."""

    rollout = models.ForeignKey("releases.Rollout", models.PROTECT, related_name="window_changes")
    window = models.ForeignKey(ServiceWindow, models.PROTECT, related_name="+")
    before = models.PositiveIntegerField(help_text="The window's revision before the edit.")
    revision = models.PositiveIntegerField(null=True, blank=True)
    terms = models.JSONField()
    rule = models.CharField(max_length=8, choices=QueuedRule)
    hosts = models.JSONField(default=list)
    counts = models.JSONField(default=dict)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("edit of a window")
        constraints = [
            models.CheckConstraint(condition=Q(rule__in=QueuedRule.values), name="releases_windowchange_rule")
        ]

    def __str__(self) -> str:
        return f"{self.rollout} · {self.window}"

    @property
    def was(self) -> ServiceWindow:
        """The window as it was before the edit; not to be saved."""
        given = dict(self.terms)
        days = {field: parse_date(given[field]) if given[field] else None for field in ("from_on", "until_on")}
        return ServiceWindow(
            pk=self.window_id, **{**given, **days, "starts_local": time.fromisoformat(given["starts_local"])}
        )
