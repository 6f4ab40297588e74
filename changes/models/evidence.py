"""Evidence: what testing, rehearsal, build, readiness, deployment and review said about an RFC. Insert-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from changes.enums import EvidenceKind
from changes.models.rfc import RFC


class Evidence(models.Model):
    """A statement about an RFC. `digest` names the document it rests on (a manifest, a report); `passed` is None where
    the statement is no verdict. The newest row of a kind counts; earlier ones stay."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="evidence")
    kind = models.CharField(max_length=20, choices=EvidenceKind)
    name = models.CharField(
        max_length=40, blank=True, default="", help_text="Which document, where the kind is document."
    )
    digest = models.CharField(max_length=64, blank=True, default="")
    summary = models.TextField()
    passed = models.BooleanField(null=True, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["rfc", "kind", "-id"])]
        verbose_name_plural = _("evidence")

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.summary[:80]}"
