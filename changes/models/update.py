"""The catalogue: updates as units of change, the statements that make them, and what replaces what.

An update is not a CVE: one upload may close a thousand of them, or none.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import (
    FixState,
    NameKind,
    Response,
    SeverityStep,
    UpdateClass,
    UpdateKind,
    UpdateOrigin,
)
from changes.models.advisory import Advisory
from cmdb.models.fields import VersionKeyField
from cmdb.versions import KEY_MAX_LENGTH
from patchflow.kernel.models import Audited
from patchflow.kernel.spans import ordered


class UpdateQuerySet(models.QuerySet["SoftwareUpdate"]):
    """The words in which the catalogue is asked."""

    def visible_to(self, actor: object) -> UpdateQuerySet:
        """The catalogue is for all who hold update.view anywhere; the hosts behind it are not."""
        scopes = actor.scopes_for("update.view")  # type: ignore[attr-defined]
        return self if scopes is None or scopes else self.none()

    def notified(self) -> UpdateQuerySet:
        """Updates that were found to apply to at least one host."""
        return self.filter(notified_at__isnull=False)


class SoftwareUpdate(Audited):
    """One update of one source package (or module stream) in one release of one distribution.

    `notified_at`: when it was first found to apply to a host here; `start_by` counts from there and survives a
    change of class. `superseded_by` is the newest update of the same name; the steps between are `Supersedence` rows.
    """

    ecosystem = models.CharField(max_length=8)
    distribution = models.CharField(_("distribution"), max_length=60)
    release = models.CharField(_("release"), max_length=40)
    name = models.CharField(_("name"), max_length=255)
    module = models.CharField(max_length=160, blank=True, default="")
    flavour = models.CharField(max_length=20, default="plain")
    fixed_version = models.CharField(_("fixed version"), max_length=300)
    fixed_key = VersionKeyField(null=True, blank=True)
    title = models.CharField(_("title"), max_length=500, blank=True, default="")
    origin = models.CharField(max_length=10, choices=UpdateOrigin)
    kind = models.CharField(max_length=24, choices=UpdateKind, default=UpdateKind.UPDATE)
    severity = models.CharField(_("vendor's severity"), max_length=40, blank=True, default="")
    severity_rank = models.PositiveSmallIntegerField(choices=SeverityStep, default=SeverityStep.UNKNOWN)
    exploited = models.BooleanField(_("known exploited"), default=False)
    known_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True)
    update_class = models.CharField(_("class"), max_length=10, choices=UpdateClass, default=UpdateClass.LOW)
    class_reason = models.CharField(max_length=400, blank=True, default="")
    class_by_person = models.BooleanField(default=False, help_text=_("Set by a person: the rule leaves it alone."))
    start_by = models.DateTimeField(_("start by"), null=True, blank=True)
    response = models.CharField(max_length=16, choices=Response, default=Response.UNDECIDED)
    reach = models.PositiveIntegerField(default=0, help_text=_("Hosts that missed it when last counted: orders lists."))
    superseded_by = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="supersedes", editable=False
    )
    advisories: models.ManyToManyField[Advisory, UpdateAdvisory] = models.ManyToManyField(
        Advisory, through="UpdateAdvisory", related_name="updates"
    )

    objects = UpdateQuerySet.as_manager()

    class Meta:
        verbose_name = _("update")
        constraints = [
            models.UniqueConstraint(
                fields=["distribution", "release", "name", "fixed_version", "flavour"], name="changes_update_once"
            ),
        ]
        indexes = [
            models.Index(fields=["-notified_at", "-id"], name="changes_update_notified"),
            models.Index(fields=["distribution", "release", "name"], name="changes_update_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.fixed_version} ({self.distribution} {self.release})"

    @property
    def platform_label(self) -> str:
        return f"{self.distribution} {self.release}"

    def is_late(self, at: datetime) -> bool:
        """Whether it should have been started by now."""
        return self.start_by is not None and at >= self.start_by


class UpdateAdvisory(models.Model):
    """An advisory announces an update; either may have several of the other."""

    update = models.ForeignKey(SoftwareUpdate, models.PROTECT, related_name="announced_by")
    advisory = models.ForeignKey(Advisory, models.PROTECT, related_name="announces")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["update", "advisory"], name="changes_updateadvisory_once"),
        ]

    def __str__(self) -> str:
        return f"{self.update_id}/{self.advisory_id}"


class Fix(models.Model):
    """A statement: of this package in this release, versions from `introduced_key` up to `fixed_key` are affected.

    `fixed_key` is the key of the first version that is not affected any more; the sentinel `~` where no version is,
    the empty text where none is affected, NULL where the text cannot be ordered (unknown, never not affected). The
    span [known_at, withdrawn_at) is when the statement is in force; rows are never changed but for its end.
    """

    advisory = models.ForeignKey(Advisory, models.PROTECT, related_name="fixes", null=True, blank=True)
    update = models.ForeignKey(SoftwareUpdate, models.PROTECT, related_name="fixes", null=True, blank=True)
    ecosystem = models.CharField(max_length=8)
    distribution = models.CharField(max_length=60)
    release = models.CharField(max_length=40)
    channel = models.CharField(max_length=40, blank=True, default="")
    name = models.CharField(max_length=255)
    name_kind = models.CharField(max_length=6, choices=NameKind)
    arch = models.CharField(max_length=20, default="any")
    modular = models.BooleanField(default=False)
    module = models.CharField(max_length=160, blank=True, default="")
    module_sure = models.BooleanField(default=True)
    flavour = models.CharField(max_length=20, default="plain")
    is_kernel = models.BooleanField(default=False)
    state = models.CharField(max_length=20, choices=FixState)
    introduced = models.CharField(max_length=300, default="0")
    introduced_key = VersionKeyField(default="", blank=True)
    fixed_version = models.CharField(max_length=300, blank=True, default="")
    fixed_key = VersionKeyField(max_length=KEY_MAX_LENGTH + 1, null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, default="")
    severity_vendor = models.CharField(max_length=200, blank=True, default="")
    known_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    vanished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("fix")
        verbose_name_plural = _("fixes")
        constraints = [ordered(start="known_at", end="withdrawn_at", name="changes_fix_span")]
        indexes = [
            models.Index(
                fields=["name", "distribution", "release"],
                condition=Q(withdrawn_at__isnull=True),
                name="changes_fix_in_force",
            ),
            models.Index(fields=["id"], condition=Q(is_kernel=True), name="changes_fix_kernels"),
        ]

    def __str__(self) -> str:
        return f"{self.name} < {self.fixed_version or self.state}"


class Supersedence(models.Model):
    """A newer update replaces the next older one of the same name. `origin` lets a wrong edge be cut."""

    newer = models.ForeignKey(SoftwareUpdate, models.CASCADE, related_name="replaces_edges")
    older = models.ForeignKey(SoftwareUpdate, models.CASCADE, related_name="replaced_edges")
    origin = models.CharField(max_length=20, default="version_order")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["newer", "older"], name="changes_supersedence_once"),
            models.CheckConstraint(condition=~Q(newer=models.F("older")), name="changes_supersedence_not_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.newer_id} replaces {self.older_id}"


class UpdateResponse(models.Model):
    """What was decided about an update, by whom and why; a new decision is a new row. Insert-only."""

    update = models.ForeignKey(SoftwareUpdate, models.PROTECT, related_name="responses")
    response = models.CharField(max_length=16, choices=Response)
    reason = models.TextField()
    revisit_on = models.DateField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("response")

    def __str__(self) -> str:
        return f"{self.update_id}: {self.response}"
