"""What an RFC is made of: updates, targets, windows, revisions, break-glass. Updates and targets leave by a date, never by deletion."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changes.enums import TargetOutcome
from changes.models.rfc import RFC


class RFCUpdate(models.Model):
    """An update of the RFC. The text is frozen as it was chosen: a catalogue that moves on does not move the change."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="updates")
    update = models.ForeignKey("changes.SoftwareUpdate", models.PROTECT, related_name="rfc_rows")
    distribution = models.CharField(max_length=60)
    release = models.CharField(max_length=60)
    name = models.CharField(max_length=255)
    fixed_version = models.CharField(max_length=300)
    added_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)
    told_successor = models.ForeignKey(
        "changes.SoftwareUpdate", models.PROTECT, related_name="+", null=True, blank=True,
        help_text="The newer update of which the change was told.",
    )  # fmt: skip
    told_withdrawn = models.BooleanField(default=False, help_text="Whether it was told that the vendor withdrew it.")

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rfc", "update"], condition=Q(removed_at__isnull=True), name="changes_rfcupdate_once"
            )
        ]
        verbose_name = _("update of an RFC")
        verbose_name_plural = _("updates of an RFC")

    def __str__(self) -> str:
        return f"{self.name} {self.fixed_version} ({self.distribution} {self.release})"


class RFCTarget(models.Model):
    """A host that the change shall reach. `left_at`: it left by itself (retired, exempt), which voids nothing;
    `removed_at`: an edit took it out, which voids."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="targets")
    host = models.ForeignKey("cmdb.Host", models.PROTECT, related_name="rfc_targets")
    host_name = models.CharField(max_length=253)
    criticality = models.PositiveSmallIntegerField(null=True, blank=True)
    environment = models.CharField(max_length=20, blank=True, default="")
    outcome = models.CharField(max_length=12, choices=TargetOutcome, default=TargetOutcome.PLANNED)
    added_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)
    left_reason = models.CharField(max_length=200, blank=True, default="")
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["host_name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rfc", "host"], condition=Q(removed_at__isnull=True), name="changes_rfctarget_once"
            )
        ]
        verbose_name = _("target of an RFC")
        verbose_name_plural = _("targets of an RFC")

    def __str__(self) -> str:
        return self.host_name


class RFCWindow(models.Model):
    """A service window in which the change may run."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="windows")
    window = models.ForeignKey("cmdb.ServiceWindow", models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["rfc", "window"], name="changes_rfcwindow_once")]

    def __str__(self) -> str:
        return self.name


class RFCRevision(models.Model):
    """One edit: by whom, when, and its difference field by field. `voided`: it ended a round or an authorization."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    reason = models.TextField(blank=True, default="")
    difference = models.JSONField(default=list)
    digest_before = models.CharField(max_length=64)
    digest_after = models.CharField(max_length=64)
    voided = models.CharField(max_length=16, blank=True, default="")
    authored = models.BooleanField(
        default=True, help_text="Whether `by` wrote it; an assessment of risk writes nothing."
    )

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["rfc", "number"], name="changes_rfcrevision_number")]

    def __str__(self) -> str:
        return f"revision {self.number}"


class BreakGlass(models.Model):
    """An emergency authorized by two people instead of a round: one asks, another breaks it, a third reviews it later."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="glass")
    digest = models.CharField(max_length=64)
    reason = models.TextField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    broken_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    broken_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    review_due_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)
    justified = models.BooleanField(null=True, blank=True)
    finding = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rfc"],
                condition=Q(broken_at__isnull=True, withdrawn_at__isnull=True),
                name="changes_breakglass_one_open",
            ),
            models.CheckConstraint(
                condition=Q(broken_by__isnull=True) | ~Q(broken_by=models.F("asked_by")),
                name="changes_breakglass_two_people",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="changes_breakglass_has_reason"),
        ]
        verbose_name = _("broken glass")
        verbose_name_plural = _("broken glasses")

    def __str__(self) -> str:
        return f"{self.rfc.number}: {self.reason[:60]}"

    @classmethod
    def breakers_of(cls, rfcs: models.QuerySet[RFC]) -> set[int]:
        """Ids of all who broke the glass for one of these."""
        broken = cls.objects.filter(rfc__in=rfcs.order_by(), broken_by__isnull=False).order_by()
        return set(broken.values_list("broken_by_id", flat=True))
