"""The digest of what is planned now, told again and again by pages: worked out anew only if a row that it is made of was written.

Making a plan's document costs half a millisecond for each host. Its *stamp* (the rows beneath it, read as they are or counted
by the database) costs a hundredth of that. Equal stamps are equal documents; who seals or rehearses never asks here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.core.cache import cache
from django.db.models import Count, F, Max, QuerySet, Sum

from changes.models import RFC, SoftwareUpdate
from changes.queries.authorization import content_sum
from cmdb.models import GroupMember, Host, Installation, PendingUpdate
from cmdb.queries.machines import machine_classes
from releases.domain import sketches
from releases.models import InstallProfile, Release
from releases.queries.builds import updates_of
from releases.queries.manifests import SCHEMA, built, current
from releases.queries.rehearsals import SEALED, planned_document
from releases.queries.steps import steps_of

KEPT_SECONDS = 24 * 3600
KEY = "patchflow.plan"
FORM = 2
"""Counts up when a document says more, or other things, of the same rows."""


def digest_of_release(release: Release, *, at: datetime) -> str:
    """As `planned_document` says it: of the sealed manifest, or of what one sealed now would say."""
    manifest = current(release.pk, with_document=False) if release.state in SEALED else None
    if manifest is not None:
        return str(manifest.digest)
    return _known(lambda: stamp_of_release(release), lambda: planned_document(release, at=at)[0])


def digest_of_rfc(rfc: RFC, profile: InstallProfile, *, executor: str, at: datetime) -> str:
    """As `sketches.sketch` says it."""
    return _known(
        lambda: stamp_of_rfc(rfc, profile, executor=executor),
        lambda: sketches.sketch(rfc, profile, executor=executor, at=at).digest,
    )


def _known(stamp: Callable[[], str], work_out: Callable[[], str]) -> str:
    """What was worked out for these rows. Kept only if nobody wrote while it was."""
    before = stamp()
    if found := cache.get(f"{KEY}:{before}"):
        return str(found)
    digest = work_out()
    if stamp() == before:
        cache.set(f"{KEY}:{before}", digest, KEPT_SECONDS)
    return digest


# --- what a document is made of --------------------------------------------------------------------------------------------
def stamp_of_release(release: Release) -> str:
    """Of all rows that the document of a release is made of. A fixed number of queries, and one for each of its RFCs."""
    rings = release.planned_rings.order_by("number").values_list()
    placed = list(release.planned_hosts.order_by("host_id").values_list("host_id", "ring_id"))
    build = built(release)
    binaries = {p["name"] for one in build.classes.all() for p in one.packages} if build else set()
    columns = [getattr(release, f.attname) for f in release._meta.concrete_fields if f.attname not in ENDS_OF_CHAIN]
    return _hashed(
        columns,
        build and build.pk,
        release.manifests.count(),
        list(rings),
        placed,
        list(release.planned_windows.order_by("window_id").values_list("window_id", "revision", "name")),
        [content_sum(rfc_id) for rfc_id in release.rfc_ids()],
        _profile(release.profile),
        *_beneath([host_id for host_id, _ring in placed], updates_of(release), binaries),
    )


def stamp_of_rfc(rfc: RFC, profile: InstallProfile, *, executor: str) -> str:
    """The same of an RFC that no release carries."""
    ids = rfc.updates.filter(removed_at__isnull=True).values("update_id")
    targets = rfc.targets.filter(removed_at__isnull=True, left_at__isnull=True)
    hosts = list(targets.order_by("host_id").values_list("host_id", flat=True))
    return _hashed(
        content_sum(rfc.pk),
        executor,
        _profile(profile),
        [(window.pk, window.revision, window.name) for window in sketches.windows_for(rfc, hosts)],
        *_beneath(hosts, list(SoftwareUpdate.objects.filter(pk__in=ids).order_by("pk")), set()),
    )


ENDS_OF_CHAIN = ("audit_length", "audit_head")
OF_HOST = (
    "pk", "name", "machine_id", "ssh_host_key", "is_local", "retired_at", "platform_id", "ci__criticality", "ci__environment",
)  # fmt: skip


def _profile(profile: InstallProfile | None) -> Any:
    """A profile's revision, and the steps that it names with their content and the groups that they are for."""
    steps = steps_of(profile)
    groups = {step.group_id for step in steps if step.group_id}
    members = GroupMember.objects.filter(group_id__in=groups).order_by("group_id", "host_id") if groups else None
    return (
        profile and profile.pk,
        [(step.pk, step.digest) for step in steps],
        list(members.values_list("group_id", "host_id")) if members is not None else [],
    )


def _beneath(hosts: list[int], updates: Iterable[SoftwareUpdate], binaries: set[str]) -> list[Any]:
    """What of the hosts, of their classes of machine, and of what they have and could get of these updates, is in a plan."""
    rows = list(updates)
    wanted = [(u.pk, u.distribution, u.release, u.name, u.fixed_version, u.fixed_key) for u in rows]
    packages = Installation.objects.open().filter(host_id__among=hosts)
    of_source = packages.filter(package_version__source_name__in={u.name for u in rows}).order_by()
    names = binaries | set(of_source.values_list("package_version__name", flat=True).distinct())
    present = packages.filter(package_version__name__in=names)
    pending = PendingUpdate.objects.filter(host_id__among=hosts, name__in=names, gone_seen_at__isnull=True)
    return [
        sorted(wanted),
        list(Host.objects.filter(pk__among=hosts).order_by("pk").values_list(*OF_HOST)),
        sorted((host_id, one.label, one.known) for host_id, one in machine_classes(hosts).items()),
        _spans(
            present.annotate(
                of=F("package_version_id"), one=F("package_version__key"), two=F("package_version__source_key")
            )
        ),
        _spans(pending.annotate(of=F("name"), one=F("arch"), two=F("candidate_version"))),
    ]


def _spans(open_rows: QuerySet[Any]) -> list[Any]:
    """Open spans, counted. A span that ends never opens again and a new one has a higher number, so that the same count and
    the same highest number are the same rows."""
    counted = open_rows.order_by().values("of", "one", "two").annotate(n=Count("pk"), last=Max("pk"), sum=Sum("pk"))
    return sorted(repr(sorted(row.items())) for row in counted)


def _hashed(*parts: Any) -> str:
    return hashlib.sha256(repr((FORM, SCHEMA, parts)).encode()).hexdigest()
