"""Build (ITIL release build): what exactly would be installed, asked of one real host per host class. pending → built | failed.

A failed build stays failed, with its reason: a new one is another row.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.fsm import state_field, transition
from patchflow.kernel.models import Audited, DueWork, User
from releases.enums import ArtifactUse, BuildState
from releases.models.release import Release
from releases.rules import system


class OfReleaseQuerySet(models.QuerySet[Any]):
    """Rows that belong to a release are seen with it."""

    path = "release__in"

    def visible_to(self, actor: User) -> OfReleaseQuerySet:
        return self.filter(**{self.path: Release.objects.visible_to(actor)})


class Build(Audited, DueWork):
    """One attempt to build a release; due work while pending."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="builds")
    number = models.PositiveIntegerField()
    state = state_field(BuildState)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, default="")

    objects = OfReleaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("build")
        constraints = [
            models.UniqueConstraint(fields=["release", "number"], name="releases_build_number"),
            models.UniqueConstraint(
                fields=["release"], condition=Q(state="pending"), name="releases_build_one_pending"
            ),
            models.CheckConstraint(condition=Q(state__in=BuildState.values), name="releases_build_state"),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(reason=""), name="releases_build_failed_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.release} build {self.number}"

    def scope_keys(self) -> list[frozenset[str]]:
        return self.release.scope_keys()

    @transition(field=state, source=BuildState.PENDING, target=BuildState.BUILT, verb="release.build.built",
                allowed=[system], by_system=True)  # fmt: skip
    def built(self, *, actor: Any, at: datetime, **facts: Any) -> None:
        self.finished_at, self.lease_until, self.lease_owner = at, None, ""

    @transition(field=state, source=BuildState.PENDING, target=BuildState.FAILED, verb="release.build.failed",
                allowed=[system], by_system=True)  # fmt: skip
    def fail(self, *, actor: Any, at: datetime, reason: str, **facts: Any) -> None:
        self.finished_at, self.reason, self.lease_until, self.lease_owner = at, reason, None, ""


class BuildClass(models.Model):
    """Hosts alike: same platform, same packages wanted. Resolved on one of them, the representative.

    `hosts`: ids of those in the class. `requested`: what the updates want, [{name, arch, to, source, source_version}].
    `packages`: the whole set with dependencies, [{name, arch, to, source, source_version, dependency}].
    """

    build = models.ForeignKey(Build, models.PROTECT, related_name="classes")
    label = models.CharField(max_length=80)
    platform = models.ForeignKey("cmdb.Platform", models.PROTECT, related_name="+")
    distribution = models.CharField(max_length=40)
    distribution_release = models.CharField(max_length=40)
    representative = models.ForeignKey("cmdb.Host", models.PROTECT, related_name="+")
    hosts = models.JSONField()
    requested = models.JSONField()
    packages = models.JSONField()

    class Meta:
        ordering = ["build", "label"]
        constraints = [models.UniqueConstraint(fields=["build", "label"], name="releases_buildclass_label")]
        verbose_name_plural = "build classes"

    def __str__(self) -> str:
        return self.label


class BuildArtifact(models.Model):
    """A file that this build, or its way back, installs. Verified elsewhere; unverified ones block the seal."""

    build = models.ForeignKey(Build, models.PROTECT, related_name="artifacts")
    artifact = models.ForeignKey("changes.Artifact", models.PROTECT, related_name="+")
    use = models.CharField(max_length=8, choices=ArtifactUse, default=ArtifactUse.FORWARD)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["build", "artifact", "use"], name="releases_buildartifact_once")]

    def __str__(self) -> str:
        return f"{self.artifact} ({self.use})"
