"""What vendors say: advisories with their revisions, and the vulnerabilities that they name."""

from __future__ import annotations

import zlib

from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums_identify import AdvisoryKind, AdvisoryStatus, SeverityStep
from changes.models.feed import Feed


class Vulnerability(models.Model):
    """A vulnerability by its CVE id, with what is known of its gravity and of its use by attackers."""

    cve = models.CharField(max_length=40, unique=True)
    aliases = models.JSONField(default=list, blank=True)
    cvss = models.JSONField(default=list, blank=True, help_text=_("Pairs of type and vector."))
    severity_vendor = models.CharField(max_length=40, blank=True, default="")
    epss = models.DecimalField(max_digits=6, decimal_places=5, null=True, blank=True)
    epss_percentile = models.DecimalField(max_digits=6, decimal_places=5, null=True, blank=True)
    epss_model = models.CharField(max_length=40, blank=True, default="")
    epss_on = models.DateField(null=True, blank=True)
    exploited_since_on = models.DateField(_("known exploited since"), null=True, blank=True, db_index=True)
    exploited_due_on = models.DateField(null=True, blank=True)
    ransomware = models.BooleanField(default=False)
    rejected = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["cve"]
        verbose_name = _("vulnerability")
        verbose_name_plural = _("vulnerabilities")

    def __str__(self) -> str:
        return self.cve


class Advisory(models.Model):
    """One notice of a vendor. Unique by (feed, id, scope): some vendors use an id again for another release.

    `scope` are the releases named when it was first seen ("almalinux:8"); `document_sha256` is that of the revision in
    force. It stays when the vendor withdraws it or no longer lists it.
    """

    feed = models.ForeignKey(Feed, models.PROTECT, related_name="advisories")
    advisory_id = models.CharField(max_length=130)
    scope = models.CharField(max_length=400)
    vendor = models.CharField(max_length=60)
    title = models.CharField(max_length=500)
    text = models.TextField(blank=True, default="")
    kind = models.CharField(max_length=12, choices=AdvisoryKind, default=AdvisoryKind.SECURITY)
    severity_vendor = models.CharField(max_length=40, blank=True, default="")
    severity_rank = models.PositiveSmallIntegerField(choices=SeverityStep, default=SeverityStep.UNKNOWN)
    status = models.CharField(max_length=10, choices=AdvisoryStatus, default=AdvisoryStatus.CURRENT)
    references = models.JSONField(default=list, blank=True)
    cvss = models.JSONField(default=list, blank=True)
    notes = models.JSONField(default=list, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    modified_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    vanished_at = models.DateTimeField(null=True, blank=True)
    document_name = models.CharField(max_length=320, blank=True, default="")
    document_sha256 = models.CharField(max_length=64)
    revision = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_run = models.BigIntegerField(default=0, db_index=True)
    vulnerabilities: models.ManyToManyField[Vulnerability, AdvisoryVulnerability] = models.ManyToManyField(
        Vulnerability, through="AdvisoryVulnerability", related_name="advisories"
    )

    class Meta:
        verbose_name = _("advisory")
        verbose_name_plural = _("advisories")
        constraints = [
            models.UniqueConstraint(fields=["feed", "advisory_id", "scope"], name="changes_advisory_once"),
        ]
        indexes = [models.Index(fields=["advisory_id"], name="changes_advisory_by_id")]

    def __str__(self) -> str:
        return self.advisory_id


class AdvisoryVulnerability(models.Model):
    """An advisory names a vulnerability: it fixes it, or only mentions it (then it makes no finding)."""

    advisory = models.ForeignKey(Advisory, models.CASCADE, related_name="names")
    vulnerability = models.ForeignKey(Vulnerability, models.PROTECT, related_name="named_by")
    fixes = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["advisory", "vulnerability"], name="changes_advisoryvulnerability_once"),
        ]

    def __str__(self) -> str:
        return f"{self.advisory_id}/{self.vulnerability_id}"


class Revision(models.Model):
    """A document as it was published, and when it was first read here. Insert-only: the database refuses changes."""

    advisory = models.ForeignKey(Advisory, models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    document_sha256 = models.CharField(max_length=64)
    packed = models.BinaryField(help_text=_("The document, compressed by zlib."))
    severity_vendor = models.CharField(max_length=40, blank=True, default="")
    modified_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    run = models.ForeignKey("changes.FeedRun", models.PROTECT, related_name="+")

    class Meta:
        ordering = ["advisory", "number"]
        verbose_name = _("revision")
        constraints = [
            models.UniqueConstraint(fields=["advisory", "number"], name="changes_revision_number"),
        ]

    def __str__(self) -> str:
        return f"{self.advisory_id} r{self.number}"

    @property
    def document(self) -> bytes:
        """The bytes whose SHA-256 is `document_sha256`."""
        return zlib.decompress(bytes(self.packed))
