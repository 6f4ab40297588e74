"""What a build has to resolve: which host misses which package at which version, grouped into host classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from changes.models import RFC, RFCUpdate, SoftwareUpdate
from cmdb.enums import Environment
from cmdb.models import Host, Installation, PendingUpdate, Platform
from releases.models import BuildClass, Release


@dataclass(frozen=True, order=True)
class Wanted:
    """One package that an update brings to an exact version. `update_id`: the update it belongs to."""

    name: str
    arch: str
    version: str
    source: str
    source_version: str
    update_id: int


@dataclass(frozen=True)
class ClassPlan:
    """Hosts alike: one platform, the same packages wanted. `representatives`: whom to ask, best first."""

    label: str
    platform: Platform
    host_ids: tuple[int, ...]
    representatives: tuple[int, ...]
    wanted: tuple[Wanted, ...]


def updates_of(release: Release) -> list[SoftwareUpdate]:
    """The updates of all RFCs of the release."""
    ids = RFCUpdate.objects.filter(rfc__release_links__release=release, removed_at__isnull=True).values("update_id")
    return list(SoftwareUpdate.objects.filter(pk__in=ids).order_by("distribution", "release", "name", "fixed_version"))


def host_updates(release: Release, among: Collection[int] | None = None) -> dict[int, set[int]]:
    """Host → the updates that an RFC of the release has for it, of the planned hosts or of those `among`. Hosts that left
    an RFC are not in it."""
    found: dict[int, set[int]] = defaultdict(set)
    planned = set(release.planned_hosts.values_list("host_id", flat=True)) if among is None else set(among)
    for link in release.links.select_related("rfc"):
        updates = set(link.rfc.updates.filter(removed_at__isnull=True).values_list("update_id", flat=True))
        targets = link.rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True)
        for host_id in targets.values_list("host_id", flat=True):
            if host_id in planned:
                found[host_id] |= updates
    return dict(found)


def class_plans(release: Release) -> list[ClassPlan]:
    """The host classes of the release; a host that misses nothing is in none."""
    return _alike(wanted_by_host(release))


def class_plans_of(rfc: RFC) -> list[ClassPlan]:
    """The host classes of an RFC that no release carries yet."""
    ids = rfc.updates.filter(removed_at__isnull=True).values("update_id")
    updates = {update.pk: update for update in SoftwareUpdate.objects.filter(pk__in=ids)}
    hosts = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True).values_list("host_id", flat=True)
    return _alike(_wanted(updates, {host_id: set(updates) for host_id in hosts}))


def unbuilt(plan: ClassPlan) -> BuildClass:
    """A class before any build: what its updates bring to an exact version, without the packages that come along. Not saved."""
    packages = [
        {
            "name": one.name, "arch": one.arch, "to": one.version, "source": one.source,
            "source_version": one.source_version, "dependency": False,
        }
        for one in plan.wanted
    ]  # fmt: skip
    return BuildClass(
        label=plan.label, platform=plan.platform, distribution=plan.platform.distribution,
        distribution_release=plan.platform.release, hosts=list(plan.host_ids), packages=packages,
    )  # fmt: skip


def _alike(per_host: Mapping[int, tuple[Wanted, ...]]) -> list[ClassPlan]:
    hosts = Host.objects.in_bulk(per_host)
    alike: dict[tuple[int, tuple[Wanted, ...]], list[int]] = defaultdict(list)
    for host_id, wanted in per_host.items():
        alike[(hosts[host_id].platform_id or 0, wanted)].append(host_id)
    platforms = Platform.objects.in_bulk({platform_id for platform_id, _ in alike})
    plans: list[ClassPlan] = []
    used: dict[str, int] = defaultdict(int)
    for (platform_id, wanted), host_ids in sorted(
        alike.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1])
    ):
        platform = platforms[platform_id]
        used[str(platform)] += 1
        label = str(platform) if used[str(platform)] == 1 else f"{platform}-{used[str(platform)]}"
        plans.append(ClassPlan(label, platform, tuple(sorted(host_ids)), _representatives(host_ids), wanted))
    return plans


def _representatives(host_ids: list[int]) -> tuple[int, ...]:
    """Whom to ask: hosts that are not in production first, then those seen most recently."""
    hosts = Host.objects.filter(pk__in=host_ids).select_related("ci")

    def rank(host: Host) -> tuple[bool, float, int]:
        seen = host.audited_at or host.last_seen_at
        return (host.ci.environment == Environment.PRODUCTION, -seen.timestamp() if seen else 0.0, host.pk)

    return tuple(host.pk for host in sorted(hosts, key=rank))


def wanted_by_host(release: Release, among: Collection[int] | None = None) -> dict[int, tuple[Wanted, ...]]:
    """Host → the packages it has below an update's fixed version, each with the exact version wanted."""
    return _wanted({u.pk: u for u in updates_of(release)}, host_updates(release, among))


def _wanted(
    updates: Mapping[int, SoftwareUpdate], allowed: Mapping[int, Collection[int]]
) -> dict[int, tuple[Wanted, ...]]:
    """The same of these updates; `allowed`: host → those that are meant for it. One query for each update, and one more."""
    missing = [
        (update, row)
        for update in updates.values()
        for row in _missing(update, [host_id for host_id, ids in allowed.items() if update.pk in ids])
    ]
    candidates = _candidates([row for _update, row in missing])
    found: dict[int, set[Wanted]] = defaultdict(set)
    for update, row in missing:
        installed = row.package_version
        version = str(update.fixed_version)
        if installed.version != installed.source_version:
            version = candidates.get((row.host_id, installed.name, installed.arch), version)
        found[row.host_id].add(
            Wanted(installed.name, installed.arch, version, update.name, update.fixed_version, update.pk)
        )
    return {host_id: tuple(sorted(wanted)) for host_id, wanted in sorted(found.items())}


def _missing(update: SoftwareUpdate, host_ids: list[int]) -> list[Installation]:
    if update.fixed_key is None:
        return []  # the build refuses such an update by name
    rows = Installation.objects.open().filter(
        host_id__among=host_ids,
        host__platform__distribution=update.distribution,
        host__platform__release=update.release,
        package_version__source_name=update.name,
        package_version__source_key__lt=update.fixed_key,
    )
    return list(rows.select_related("package_version"))


def _candidates(rows: Collection[Installation]) -> dict[tuple[int, str, str], str]:
    """(host, package, architecture) → the version wanted of a binary that is numbered apart from its source (a rebuild, `+b1`;
    another epoch): the host's own candidate. Of any other it is the text of the fixed source version.

    The build proves afterwards that its source version is the approved one. One query, none where no binary is such.
    """
    apart = {
        (row.host_id, row.package_version.name, row.package_version.arch)
        for row in rows
        if row.package_version.version != row.package_version.source_version
    }
    if not apart:
        return {}
    pending = PendingUpdate.objects.filter(
        host_id__among=sorted({host_id for host_id, _name, _arch in apart}),
        name__in=sorted({name for _host_id, name, _arch in apart}),
        gone_seen_at__isnull=True,
    ).order_by("pk")
    found: dict[tuple[int, str, str], str] = {}
    for host_id, name, arch, version in pending.values_list("host_id", "name", "arch", "candidate_version"):
        if (host_id, name, arch) in apart:
            found.setdefault((host_id, name, arch), version)
    return found
