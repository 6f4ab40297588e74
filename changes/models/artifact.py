"""Source files of updates: what a signed index lists, and the proof that it was signed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import VerificationOutcome
from patchflow.kernel.models import Audited


class RepositoryIndex(Audited):
    """A package index of a repository as its signature covers it: the path of trust begins here."""

    uri = models.CharField(_("address"), max_length=500)
    suite = models.CharField(max_length=120)
    codename = models.CharField(max_length=80, blank=True, default="")
    signer = models.CharField(max_length=80, help_text=_("Fingerprint of the key that signed."))
    signer_name = models.CharField(max_length=200, blank=True, default="")
    release_sha256 = models.CharField(max_length=64)
    index_sha256 = models.CharField(max_length=64)
    dated_at = models.DateTimeField(null=True, blank=True)
    valid_until = models.DateTimeField(null=True, blank=True)
    registered_at = models.DateTimeField()

    class Meta:
        verbose_name = _("repository index")
        verbose_name_plural = _("repository indexes")
        constraints = [
            models.UniqueConstraint(
                fields=["uri", "suite", "release_sha256", "index_sha256"], name="changes_repositoryindex_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.uri} {self.suite}"


class Artifact(models.Model):
    """One file that may be deployed: exact version, size and SHA-256 as a signed index names them."""

    package = models.CharField(max_length=255)
    version = models.CharField(max_length=300)
    arch = models.CharField(max_length=20)
    source_name = models.CharField(max_length=255, blank=True, default="")
    source_version = models.CharField(max_length=300, blank=True, default="")
    filename = models.CharField(max_length=500)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    origin = models.CharField(max_length=640, help_text=_("Repository and suite."))
    index = models.ForeignKey(RepositoryIndex, models.PROTECT, related_name="artifacts")

    class Meta:
        verbose_name = _("artifact")
        constraints = [
            models.UniqueConstraint(
                fields=["package", "version", "arch", "sha256", "origin"], name="changes_artifact_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.package} {self.version} {self.arch}"


class Verification(models.Model):
    """What was checked of an index or of a file, and with which result. Insert-only: the latest row counts."""

    index = models.ForeignKey(RepositoryIndex, models.PROTECT, related_name="verifications", null=True, blank=True)
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="verifications", null=True, blank=True)
    outcome = models.CharField(max_length=8, choices=VerificationOutcome)
    checks = models.JSONField(default=list)
    reason = models.TextField(blank=True, default="")
    subject = models.CharField(max_length=640, blank=True, default="")
    verified_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    verified_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("verification")

    def __str__(self) -> str:
        return f"{self.subject}: {self.outcome}"
