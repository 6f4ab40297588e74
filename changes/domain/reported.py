"""Updates that hosts report themselves: what their own package manager would bring in, before or without an advisory."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from changes.domain.catalogue import Derived
from changes.domain.statements import class_of, key_of
from changes.enums_identify import FixState, NameKind, UpdateKind, UpdateOrigin
from changes.models import Fix, SoftwareUpdate
from cmdb.models import Host, PendingUpdate, Platform


def derive(*, host_id: int, at: datetime) -> Derived:
    """Makes updates of origin *reported* of the open pending updates of a host, by source package and candidate.

    Where an update of that name and version is known already (of either origin) the report adds nothing but the
    binary packages, so that what is installable is judged by the same comparison.
    """
    derived = Derived()
    host = Host.objects.select_related("platform").get(pk=host_id)
    if host.platform is None:
        return derived
    groups: dict[tuple[str, str], list[PendingUpdate]] = defaultdict(list)
    for row in PendingUpdate.objects.filter(host=host, gone_seen_at__isnull=True).exclude(installed_version=""):
        groups[row.source_name or row.name, row.candidate_version].append(row)
    if not groups:
        return derived
    release = _release(host.platform)
    known = _known(host.platform, release, groups)
    stated = _stated(host.platform, release, groups)
    for (name, candidate), rows in groups.items():
        update = known.get((name, candidate))
        missing = [row for row in rows if (row.name, row.arch, candidate) not in stated]
        if update is not None and update.origin == UpdateOrigin.ADVISORY:
            continue
        if update is None:
            update = _new(host.platform, release, name, candidate, rows, at)
            derived.updates.add(update.pk)
        fixes = Fix.objects.bulk_create([_fix(update, row, at) for row in missing])
        derived.fixes |= {fix.pk for fix in fixes}
    return derived


def _release(platform: Platform) -> str:
    """The release as advisories name it: the major one for RPM distributions."""
    return platform.release.partition(".")[0] if platform.ecosystem == "rpm" else platform.release


def _known(
    platform: Platform, release: str, groups: dict[tuple[str, str], list[PendingUpdate]]
) -> dict[tuple[str, str], SoftwareUpdate]:
    rows = SoftwareUpdate.objects.filter(
        distribution=platform.distribution, release=release, name__in={name for name, _ in groups}
    )
    found = {(row.name, row.fixed_version): row for row in rows}
    by_order = {(row.name, row.fixed_key): row for row in rows if row.fixed_key is not None}
    for name, candidate in groups:
        key = key_of(platform.ecosystem, candidate)
        if (name, candidate) not in found and key is not None and (name, key) in by_order:
            found[name, candidate] = by_order[name, key]
    return found


def _stated(
    platform: Platform, release: str, groups: dict[tuple[str, str], list[PendingUpdate]]
) -> set[tuple[str, str, str]]:
    names = {row.name for rows in groups.values() for row in rows}
    fixes = Fix.objects.filter(
        advisory__isnull=True,
        distribution=platform.distribution,
        release=release,
        name__in=names,
        withdrawn_at__isnull=True,
    )
    return set(fixes.values_list("name", "arch", "fixed_version"))


def _new(
    platform: Platform, release: str, name: str, candidate: str, rows: list[PendingUpdate], at: datetime
) -> SoftwareUpdate:
    kind = UpdateKind.SECURITY_PATCH if any(row.is_security for row in rows) else UpdateKind.UPDATE
    update_class, reason = class_of(rank=0, exploited=False, kind=kind)
    origin = next((f"{row.origin} {row.suite}".strip() for row in rows if row.origin or row.suite), "")
    update, _made = SoftwareUpdate.objects.get_or_create(
        distribution=platform.distribution,
        release=release,
        name=name,
        fixed_version=candidate,
        flavour="plain",
        defaults={
            "ecosystem": platform.ecosystem,
            "fixed_key": key_of(platform.ecosystem, candidate),
            "title": f"{name} {candidate}" + (f", offered by {origin}" if origin else ""),
            "origin": UpdateOrigin.REPORTED,
            "kind": kind,
            "update_class": update_class,
            "class_reason": reason,
            "known_at": at,
        },
    )
    return update


def _fix(update: SoftwareUpdate, row: PendingUpdate, at: datetime) -> Fix:
    return Fix(
        update=update,
        ecosystem=update.ecosystem,
        distribution=update.distribution,
        release=update.release,
        name=row.name,
        name_kind=NameKind.BINARY,
        arch=row.arch,
        state=FixState.FIXED,
        fixed_version=row.candidate_version,
        fixed_key=key_of(update.ecosystem, row.candidate_version),
        known_at=at,
    )
