"""The admin of platforms, package versions and where they are installed: to be seen."""

from __future__ import annotations

from django.contrib import admin

from cmdb.models import Installation, PackageVersion, Platform
from patchflow.web.admin import VerbAdmin


@admin.register(Platform)
class PlatformAdmin(VerbAdmin):
    list_display = ("__str__", "ecosystem", "distribution", "release", "codename", "arch", "supported_until")
    list_filter = ("distribution",)


@admin.register(PackageVersion)
class PackageVersionAdmin(VerbAdmin):
    list_display = ("name", "version", "arch", "platform", "source_name", "origin_class", "key_version")
    list_filter = ("platform", "origin_class")
    search_fields = ("name", "source_name")
    list_select_related = ("platform",)


@admin.register(Installation)
class InstallationAdmin(VerbAdmin):
    list_display = ("host", "package_version", "status", "held", "installed_seen_at", "gone_seen_at")
    list_filter = ("status", "held")
    search_fields = ("host__name", "package_version__name")
    list_select_related = ("host", "package_version")
