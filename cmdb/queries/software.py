"""What is installed where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, F, QuerySet

from cmdb.models import Installation, PackageVersion, PendingUpdate


def installed(
    host_ids: Iterable[int], names: Iterable[str], *, as_of: datetime | None = None
) -> dict[tuple[int, str, str], str]:
    """(host id, package, architecture) → version now, or at `as_of`. One query.

    Where several versions stand side by side (kernels), the highest; one that cannot be read counts as the lowest.
    """
    rows = Installation.objects.open() if as_of is None else Installation.objects.as_of(as_of)
    found: dict[tuple[int, str, str], tuple[str, str]] = {}
    chosen = rows.filter(host_id__in=list(host_ids), package_version__name__in=list(names)).values_list(
        "host_id", "package_version__name", "package_version__arch", "package_version__key", "package_version__version"
    )
    for host_id, name, arch, key, version in chosen:
        place = (host_id, name, arch)
        if place not in found or (key or "") > found[place][0]:
            found[place] = (key or "", version)
    return {place: version for place, (_key, version) in found.items()}


def package_counts(host_ids: Iterable[int]) -> dict[int, int]:
    """Host id → number of packages installed now; hosts without any are missing. One query."""
    rows = Installation.objects.open().filter(host_id__in=list(host_ids)).values("host_id").annotate(count=Count("pk"))
    return {row["host_id"]: row["count"] for row in rows}


def pending_of(host_id: int) -> QuerySet[PendingUpdate]:
    """What the host's own package manager offers now: security first, then by name."""
    rows = PendingUpdate.objects.filter(host_id=host_id, gone_seen_at__isnull=True)
    return rows.order_by(F("is_security").desc(nulls_last=True), "name", "arch")


def pending_counts(host_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Host id → (updates offered, of them security); hosts without any are missing. One query."""
    from django.db.models import Q

    rows = PendingUpdate.objects.filter(host_id__in=list(host_ids), gone_seen_at__isnull=True).values("host_id")
    counted = rows.annotate(count=Count("pk"), security=Count("pk", filter=Q(is_security=True)))
    return {row["host_id"]: (row["count"], row["security"]) for row in counted}


def packages_of(host_id: int, *, as_of: datetime | None = None) -> QuerySet[Installation]:
    """The host's packages now, or at `as_of`, by name."""
    rows = Installation.objects.open() if as_of is None else Installation.objects.as_of(as_of)
    return rows.filter(host_id=host_id).select_related("package_version").order_by("package_version__name", "pk")


def unreadable_versions() -> QuerySet[PackageVersion]:
    """Installed versions without a key: every finding about them is unknown."""
    return PackageVersion.objects.filter(key__isnull=True, installations__gone_seen_at__isnull=True).distinct()


@dataclass(frozen=True, slots=True)
class InstalledCount:
    """A package version and on how many hosts it stands."""

    package_version_id: int
    hosts: int


def hosts_per_version(package_version_ids: Iterable[int]) -> list[InstalledCount]:
    """On how many live hosts each version is installed. One query."""
    rows = Installation.objects.open().filter(
        package_version_id__in=list(package_version_ids), host__retired_at__isnull=True
    )
    counted = rows.values("package_version_id").annotate(hosts=Count("host_id", distinct=True))
    return [InstalledCount(row["package_version_id"], row["hosts"]) for row in counted]
