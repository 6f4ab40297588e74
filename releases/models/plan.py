"""The plan of a release: rings of hosts, windows, install profile. Drafts until a manifest seals them.

Rings go one after another: the first few hosts prove the release for the next.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Audited
from releases.enums import RestartMode


class InstallProfile(Audited):
    """How an installation behaves on a host. A change is a new revision; releases keep the one they were planned with."""

    name = models.CharField(max_length=60)
    revision = models.PositiveIntegerField(default=1)
    restart = models.CharField(max_length=10, choices=RestartMode, default=RestartMode.IF_NEEDED)
    restart_kinds = models.JSONField(
        default=list,
        help_text="Kinds of machine that may be restarted: server, workstation. One of which nobody knows is not.",
    )
    countdown_seconds = models.PositiveIntegerField(
        default=0, help_text="Notice before a restart, in seconds; whoever is logged in is told."
    )
    max_minutes_each = models.PositiveIntegerField(default=30, help_text="Run time per update.")
    max_minutes_total = models.PositiveIntegerField(default=120, help_text="Run time in all; the rest is deferred.")
    notify = models.BooleanField(default=True, help_text="Tell the owners of the hosts before their ring starts.")
    postponements = models.PositiveSmallIntegerField(default=0, help_text="How often a user may postpone.")
    deadline_hours = models.PositiveIntegerField(default=0, help_text="After this no postponement; 0: none is allowed.")
    close_programs = models.JSONField(default=list)
    inventory_after = models.BooleanField(
        default=True, help_text="Read the packages of a host after success; after a failure they are always read."
    )
    checks = models.JSONField(default=list, help_text="Health checks after the change: name, kind, target, expect.")
    defined_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    defined_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "-revision"]
        verbose_name = _("install profile")
        constraints = [
            models.UniqueConstraint(fields=["name", "revision"], name="releases_profile_revision"),
            models.CheckConstraint(
                condition=Q(max_minutes_total__gte=models.F("max_minutes_each")), name="releases_profile_minutes"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} (revision {self.revision})"


class PlannedRing(models.Model):
    """One ring: how many hosts at once, how many may fail, what share must succeed, and how long it is watched."""

    release = models.ForeignKey("releases.Release", models.CASCADE, related_name="planned_rings")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    concurrency = models.PositiveIntegerField(default=1)
    failure_limit = models.PositiveIntegerField(
        default=1, help_text="Failures that halt the rollout: this many, not one more."
    )
    success_percent = models.PositiveSmallIntegerField(default=95)
    soak_seconds = models.PositiveIntegerField(default=86400)

    class Meta:
        ordering = ["release", "number"]
        constraints = [
            models.UniqueConstraint(fields=["release", "number"], name="releases_plannedring_number"),
            models.CheckConstraint(
                condition=Q(concurrency__gte=1)
                & Q(failure_limit__gte=1)
                & Q(success_percent__lte=100)
                & Q(success_percent__gte=1),
                name="releases_plannedring_bounds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.name}"


class PlannedHost(models.Model):
    """A host of the release and the ring it is planned for (empty until rings are planned)."""

    release = models.ForeignKey("releases.Release", models.CASCADE, related_name="planned_hosts")
    host = models.ForeignKey("cmdb.Host", models.PROTECT, related_name="planned_in")
    ring = models.ForeignKey(PlannedRing, models.SET_NULL, null=True, blank=True, related_name="hosts")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "host"], name="releases_plannedhost_once")]

    def __str__(self) -> str:
        return f"{self.release}: {self.host}"


class PlannedWindow(models.Model):
    """A service window the release may use, at the revision that was looked at."""

    release = models.ForeignKey("releases.Release", models.CASCADE, related_name="planned_windows")
    window = models.ForeignKey("cmdb.ServiceWindow", models.PROTECT, related_name="+")
    revision = models.PositiveIntegerField()
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["release", "window"], name="releases_plannedwindow_once")]

    def __str__(self) -> str:
        return self.name
