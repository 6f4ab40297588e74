"""The manifest: the one document that says what runs where. Sealed once, never edited; a change is a new revision."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from patchflow.kernel.errors import Conflict
from patchflow.kernel.models import User


class InsertOnlyQuerySet(models.QuerySet[Any]):
    """Rows that are written once (the database refuses more, see the migration)."""

    def update(self, **_kwargs: Any) -> int:
        raise Conflict("This row is history: it is never edited.", code="conflict.insert_only")

    def delete(self) -> tuple[int, dict[str, int]]:
        raise Conflict("This row is history: it is never deleted.", code="conflict.insert_only")

    def bulk_update(self, *_args: Any, **_kwargs: Any) -> int:
        raise Conflict("This row is history: it is never edited.", code="conflict.insert_only")


class InsertOnly(models.Model):
    """A row that supersedes, and is never changed."""

    objects = InsertOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Conflict("This row is history: it is never edited.", code="conflict.insert_only")
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        raise Conflict("This row is history: it is never deleted.", code="conflict.insert_only")


class ManifestQuerySet(InsertOnlyQuerySet):
    def visible_to(self, actor: User) -> ManifestQuerySet:
        """For who sees every host only: a manifest names them all."""
        return self if actor.scopes_for("release.view") is None else self.none()


class Manifest(InsertOnly):
    """Canonical document (RFC 8785, schema 1), its SHA-256, and who sealed it. The highest revision is the current one."""

    release = models.ForeignKey("releases.Release", models.PROTECT, related_name="manifests")
    build = models.ForeignKey("releases.Build", models.PROTECT, related_name="manifests")
    revision = models.PositiveIntegerField()
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()
    sealed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")

    objects = ManifestQuerySet.as_manager()  # type: ignore[misc]

    class Meta:
        ordering = ["release", "-revision"]
        verbose_name = _("manifest")
        constraints = [models.UniqueConstraint(fields=["release", "revision"], name="releases_manifest_revision")]

    def __str__(self) -> str:
        return f"{self.release} manifest {self.revision}"
