"""What people add to an RFC without changing what is signed: discussion, files, references to other systems.

A comment is never edited. A file is withdrawn with a reason, never replaced; a reference is taken off by a date.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from changes.enums import ReferenceKind
from changes.models.rfc import RFC


class Comment(models.Model):
    """One contribution to the discussion. Insert-only; `mentioned` are the people whom it told."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="comments")
    text = models.TextField()
    mentioned = models.JSONField(default=list, blank=True, help_text="User names.")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["rfc", "-id"])]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="changes_comment_has_text")]

    def __str__(self) -> str:
        return self.text[:80]


class Attachment(models.Model):
    """A file, kept under its SHA-256 outside what the web server serves. `media_type` is what its first bytes show."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="attachments")
    name = models.CharField(max_length=150)
    media_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    withdrawn_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(size__gt=0), name="changes_attachment_not_empty"),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True) | ~Q(withdrawn_reason=""),
                name="changes_attachment_withdrawn_why",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Reference(models.Model):
    """An incident, problem or request in another system: its name there, and where to read it."""

    rfc = models.ForeignKey(RFC, models.PROTECT, related_name="references")
    kind = models.CharField(max_length=10, choices=ReferenceKind)
    system = models.CharField(max_length=60)
    name = models.CharField(max_length=120, help_text="Its number in that system.")
    url = models.URLField(max_length=500, blank=True, default="")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rfc", "system", "name"], condition=Q(removed_at__isnull=True), name="changes_reference_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.system} {self.name}"
