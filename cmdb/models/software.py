"""What is installed where. What is true of a package version is stored once, not once per host: estates repeat themselves.

An installation has a half-open span [installed_seen_at, gone_seen_at): "as of" is a filter.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from cmdb.enums import Ecosystem, OriginClass
from cmdb.models.fields import VersionKeyField
from cmdb.models.host import Host
from patchflow.kernel import spans

if TYPE_CHECKING:
    from patchflow.kernel.models import User


class Platform(models.Model):
    """A distribution's release on an architecture (debian 12 amd64): within it versions can be compared."""

    ecosystem = models.CharField(_("package manager"), max_length=6, choices=Ecosystem)
    distribution = models.CharField(_("distribution"), max_length=40)
    release = models.CharField(_("release"), max_length=40, blank=True, default="")
    codename = models.CharField(_("code name"), max_length=40, blank=True, default="")
    arch = models.CharField(_("architecture"), max_length=20)
    supported_until = models.DateField(_("supported until"), null=True, blank=True)

    class Meta:
        verbose_name = _("platform")
        constraints = [
            models.UniqueConstraint(
                fields=["ecosystem", "distribution", "release", "codename", "arch"], name="cmdb_platform_once"
            ),
            models.CheckConstraint(condition=Q(ecosystem__in=Ecosystem.values), name="cmdb_platform_ecosystem"),
        ]

    def __str__(self) -> str:
        release = self.release or self.codename
        return f"{self.distribution}-{release}-{self.arch}" if release else f"{self.distribution}-{self.arch}"

    @property
    def label(self) -> str:
        """For people: Debian 12, amd64."""
        return f"{self.distribution.capitalize()} {self.release or self.codename}, {self.arch}".replace(" ,", ",")


class PackageVersion(models.Model):
    """One version of one package on one platform, as the package manager writes it.

    `key` and `source_key` sort as the package manager sorts; NULL: the version could not be read, so every finding
    about it is unknown. `key_version`: by which encoding the keys were made.
    """

    platform = models.ForeignKey(Platform, models.PROTECT, related_name="package_versions")
    name = models.CharField(_("package"), max_length=200)
    version = models.CharField(_("version"), max_length=300)
    arch = models.CharField(_("architecture"), max_length=20)
    source_name = models.CharField(_("source package"), max_length=200)
    source_version = models.CharField(_("source version"), max_length=300)
    module = models.CharField(_("module"), max_length=100, blank=True, default="")
    origin_class = models.CharField(_("origin"), max_length=14, choices=OriginClass, default=OriginClass.UNKNOWN)
    key = VersionKeyField(null=True, blank=True)
    source_key = VersionKeyField(null=True, blank=True)
    key_version = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name = _("package version")
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "platform",
                    "name",
                    "version",
                    "arch",
                    "source_name",
                    "source_version",
                    "module",
                    "origin_class",
                ],
                name="cmdb_packageversion_once",
            ),
            models.CheckConstraint(condition=Q(origin_class__in=OriginClass.values), name="cmdb_packageversion_origin"),
        ]
        indexes = [
            models.Index(fields=["platform", "source_name", "source_key"], name="cmdb_pv_source"),
            models.Index(fields=["platform", "name", "arch", "key"], name="cmdb_pv_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class InstallationQuerySet(models.QuerySet["Installation"]):
    def open(self) -> InstallationQuerySet:
        """What is installed as far as is known."""
        return self.filter(gone_seen_at__isnull=True)

    def as_of(self, at: datetime) -> InstallationQuerySet:
        """What was installed at that moment, as far as was seen."""
        return self.filter(spans.within(at, start="installed_seen_at", end="gone_seen_at"))

    def visible_to(self, actor: User) -> InstallationQuerySet:
        return self.filter(host__in=Host.objects.visible_to(actor))


class Installation(models.Model):
    """A package version on a host, from the scan that first saw it until the one that no longer did."""

    host = models.ForeignKey(Host, models.PROTECT, related_name="installations")
    package_version = models.ForeignKey(PackageVersion, models.PROTECT, related_name="installations")
    status = models.CharField(_("status"), max_length=40, default="installed")
    held = models.BooleanField(_("held"), default=False)
    installed_seen_at = models.DateTimeField(_("first seen"))
    gone_seen_at = models.DateTimeField(_("gone"), null=True, blank=True)

    objects = InstallationQuerySet.as_manager()

    class Meta:
        verbose_name = _("installation")
        constraints = [
            models.UniqueConstraint(
                fields=["host", "package_version"],
                condition=Q(gone_seen_at__isnull=True),
                name="cmdb_installation_open",
            ),
            spans.ordered(start="installed_seen_at", end="gone_seen_at", name="cmdb_installation_span"),
        ]
        indexes = [models.Index(fields=["package_version", "gone_seen_at", "host"], name="cmdb_installation_pv")]

    def __str__(self) -> str:
        return f"{self.package_version} on {self.host}"


class PendingUpdate(models.Model):
    """What the host's own package manager would bring in: span [seen_at, gone_seen_at). `is_security` NULL: nobody says."""

    host = models.ForeignKey(Host, models.PROTECT, related_name="pending_updates")
    name = models.CharField(_("package"), max_length=200)
    arch = models.CharField(_("architecture"), max_length=20)
    installed_version = models.CharField(_("installed"), max_length=300, blank=True, default="")
    candidate_version = models.CharField(_("candidate"), max_length=300)
    source_name = models.CharField(_("source package"), max_length=200, blank=True, default="")
    origin = models.CharField(_("origin"), max_length=120, blank=True, default="")
    suite = models.CharField(_("suite"), max_length=120, blank=True, default="")
    is_security = models.BooleanField(_("security"), null=True, blank=True)
    kept_back = models.BooleanField(_("kept back"), default=False)
    seen_at = models.DateTimeField()
    gone_seen_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("pending update")
        constraints = [
            models.UniqueConstraint(
                fields=["host", "name", "arch", "installed_version", "candidate_version"],
                condition=Q(gone_seen_at__isnull=True),
                name="cmdb_pending_open",
            ),
            spans.ordered(start="seen_at", end="gone_seen_at", name="cmdb_pending_span"),
        ]
        indexes = [models.Index(fields=["host", "gone_seen_at"]), models.Index(fields=["name", "candidate_version"])]

    def __str__(self) -> str:
        return f"{self.name} {self.candidate_version}"
