"""The plan of a release: rings of hosts, windows, install profile. Drafts until a manifest seals them.

Rings go one after another: the first few hosts prove the release for the next.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.models import Audited
from releases.confidence import LEAST_CONFIDENCE, MOST_CONFIDENCE, USUAL_CONFIDENCE
from releases.diversity import Rule
from releases.enums import OfflineRule, RestartMode


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
    max_minutes_each = models.PositiveIntegerField(default=30, help_text="Run time expected per update.")
    max_minutes_total = models.PositiveIntegerField(
        default=120,
        help_text="Run time in all at most. What is at work for longer, and as long as a restart may take, counts as bad and is looked at.",
    )
    notify = models.BooleanField(default=True, help_text="Tell the owners of the hosts before their ring starts.")
    notice_hours = models.PositiveSmallIntegerField(
        default=0, help_text="Hours between telling the people of a ring and its start; 0: it starts at its turn."
    )
    acknowledge = models.BooleanField(
        default=False, help_text="A ring does not start before everybody who was told has acknowledged."
    )
    postponements = models.PositiveSmallIntegerField(default=0, help_text="How often a user may postpone.")
    deadline_hours = models.PositiveIntegerField(default=0, help_text="After this no postponement; 0: none is allowed.")
    close_programs = models.JSONField(default=list)
    inventory_after = models.BooleanField(
        default=True, help_text="Read the packages of a host after success; after a failure they are always read."
    )
    checks = models.JSONField(default=list, help_text="Health checks after the change: name, kind, target, expect.")
    steps = models.JSONField(default=list, help_text="Steps before and after it, in their order: name, revision.")
    min_alive = models.PositiveIntegerField(
        default=1, help_text="Of the hosts of every service so many stay, while others are away."
    )
    min_alive_percent = models.PositiveSmallIntegerField(
        default=0, help_text="And at least this share of them, rounded up; 0: not asked."
    )
    offline = models.CharField(
        max_length=12,
        choices=OfflineRule,
        default=OfflineRule.CATCH_UP,
        help_text="What becomes of a host that does not answer when its turn comes.",
    )
    catch_up_minutes = models.PositiveIntegerField(
        default=0, help_text="So long it is tried again, then put off to its next window; 0: while its window is open."
    )
    stage_hours = models.PositiveSmallIntegerField(
        default=0,
        help_text="So many hours before its window opens the files of a host are laid ready there; 0: they are fetched in the window.",
    )
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
            models.CheckConstraint(
                condition=Q(min_alive__gte=1, min_alive_percent__lt=100), name="releases_profile_min_alive"
            ),
            models.CheckConstraint(condition=Q(offline__in=OfflineRule.values), name="releases_profile_offline"),
        ]

    def __str__(self) -> str:
        return f"{self.name} (revision {self.revision})"


class PlannedRing(models.Model):
    """One ring: how many hosts at once, how many may fail, what share must succeed, and how long it is watched.

    Where a share was given (`concurrency_percent`, `failure_percent`) the number is worked out of the ring's hosts, again
    when the manifest is sealed. `bound_percent`: what the lower bound of the share of success must reach, with
    `confidence_percent`; 0: not asked. `class_hosts`: good hosts of each class of machine that later rings have, before the
    next one starts; 0: not asked. `rule`: how its hosts were chosen, as it was asked.
    """

    release = models.ForeignKey("releases.Release", models.CASCADE, related_name="planned_rings")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    concurrency = models.PositiveIntegerField(default=1)
    concurrency_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    failure_limit = models.PositiveIntegerField(
        default=1, help_text="Failures that halt the rollout: this many, not one more."
    )
    failure_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    success_percent = models.PositiveSmallIntegerField(default=95)
    confidence_percent = models.PositiveSmallIntegerField(default=USUAL_CONFIDENCE)
    bound_percent = models.PositiveSmallIntegerField(default=0)
    class_hosts = models.PositiveSmallIntegerField(default=0)
    soak_seconds = models.PositiveIntegerField(default=86400)
    rule = models.JSONField(default=dict, help_text="How its hosts were chosen: groups, environments, share, by hand.")

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
            models.CheckConstraint(
                condition=Q(
                    confidence_percent__gte=LEAST_CONFIDENCE,
                    confidence_percent__lte=MOST_CONFIDENCE,
                    bound_percent__lt=100,
                ),
                name="releases_plannedring_confidence",
            ),
            models.CheckConstraint(
                condition=(
                    Q(concurrency_percent__isnull=True) | Q(concurrency_percent__gte=1, concurrency_percent__lte=100)
                )
                & (Q(failure_percent__isnull=True) | Q(failure_percent__gte=1, failure_percent__lte=100)),
                name="releases_plannedring_shares",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.name}"

    def at_once(self, hosts: int) -> int:
        """How many of so many hosts are at work at once."""
        return share(self.concurrency_percent, hosts) if self.concurrency_percent else self.concurrency

    def halts_at(self, hosts: int) -> int:
        """The failures at which it halts, of so many hosts."""
        return share(self.failure_percent, hosts) if self.failure_percent else self.failure_limit

    @property
    def asks(self) -> Rule:
        """What it asks of classes of machine: a must where somebody said the number, else the usual."""
        return Rule(self.class_hosts, must=bool(self.class_hosts) and self.rule.get("class_hosts") is not None)


def share(percent: int, hosts: int) -> int:
    """So many percent of the hosts, rounded down, and one at least."""
    return max(1, hosts * percent // 100)


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
