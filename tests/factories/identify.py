"""Rows for tests of Identify: small advisories of our own writing, hosts with packages."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from changes.domain import feeds, polls
from changes.feeds.base import AdvisoryDraft, Quarantined
from changes.feeds.documents import RawDocument
from changes.feeds.osv_records import read_record
from changes.models import Feed, FeedRun
from cmdb import versions
from cmdb.enums import ItemKind, ItemState
from cmdb.models import ConfigurationItem, Host, Installation, PackageVersion, PendingUpdate, Platform
from patchflow.kernel.models import User
from tests.fakes.feeds import FakeFeed

_numbers = itertools.count(1)


def record(
    advisory_id: str,
    packages: Iterable[tuple[str, str]],
    *,
    ecosystem: str = "Debian:12",
    summary: str = "",
    modified: str = "2026-11-10T08:00:00Z",
    cves: Iterable[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """An OSV record: packages are (name, fixed version); an empty version is "no fix"."""
    affected = [
        {
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]},
            ],
        }
        for name, fixed in packages
    ]
    return {
        "schema_version": "1.7.0",
        "id": advisory_id,
        "summary": summary or f"{advisory_id} {next(iter([name for name, _ in packages]), '')} security update",
        "details": "A flaw was found and mended.",
        "published": "2026-11-09T08:00:00Z",
        "modified": modified,
        "related": list(cves),
        "affected": affected,
        **more,
    }


def draft(document: dict[str, Any], *, source: str = "test") -> AdvisoryDraft:
    """The record, read by the feed's own reader."""
    data = json.dumps(document, sort_keys=True).encode()
    name = f"{document['id']}-{hashlib.sha256(str(document['affected']).encode()).hexdigest()[:6]}.json"
    return read_record(document, source=source, document=RawDocument(name=name, data=data))


def quarantined(name: str, *, advisory_id: str = "") -> Quarantined:
    """A document that could not be read."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Quarantined(
        document_name=name, document_sha256=digest, prefix=b"{", error="It breaks off.", advisory_id=advisory_id
    )


def make_feed(actor: User, *, at: datetime, name: str = "") -> Feed:
    """A feed, added through its verb."""
    return feeds.add(
        name=name or f"feed-{next(_numbers)}",
        kind="osv",
        location_kind="folder",
        location="/nowhere",
        actor=actor,
        at=at,
    )


def poll(
    feed: Feed, documents: Iterable[dict[str, Any] | Quarantined], *, actor: User, at: datetime, complete: bool = True
) -> FeedRun:
    """A poll of this feed whose source holds exactly these documents; returns the run as it ended."""
    source = FakeFeed(
        name=feed.name,
        found=[each if isinstance(each, Quarantined) else draft(each, source=feed.name) for each in documents],
        complete=complete,
    )
    asked = feeds.poll(feed_id=feed.pk, actor=actor, at=at)
    done = polls.run(run_id=asked.pk, now=at, make=lambda *_args, **_more: source)
    assert done is not None
    return FeedRun.objects.get(pk=done.pk)


def make_platform(
    distribution: str = "debian", release: str = "12", *, ecosystem: str = "deb", arch: str = "amd64"
) -> Platform:
    """The platform, made once."""
    platform, _ = Platform.objects.get_or_create(
        ecosystem=ecosystem, distribution=distribution, release=release, codename="", arch=arch
    )
    return platform


def make_host(name: str = "", *, at: datetime, platform: Platform | None = None, **columns: Any) -> Host:
    """A host in service whose packages were read at `at`."""
    name = name or f"host-{next(_numbers):03d}"
    item = ConfigurationItem.objects.create(kind=ItemKind.HOST, name=name, state=ItemState.IN_SERVICE, in_service_at=at)
    return Host.objects.create(
        ci=item, name=name, platform=platform or make_platform(), audited_at=at, last_seen_at=at, added_at=at, **columns
    )


def key_of(ecosystem: str, text: str) -> str | None:
    """The key, or None where the text is no version."""
    try:
        return versions.key(ecosystem, text)
    except versions.InvalidVersion:
        return None


def make_version(
    platform: Platform, name: str, version: str, *, source: tuple[str, str] | None = None, **columns: Any
) -> PackageVersion:
    """A package version with its keys; `source` is (name, version) where it differs from the package."""
    source_name, source_version = source or (name, version)
    columns.setdefault("arch", platform.arch)
    columns.setdefault("origin_class", "distribution")
    found, _ = PackageVersion.objects.get_or_create(
        platform=platform,
        name=name,
        version=version,
        source_name=source_name,
        source_version=source_version,
        defaults={
            "key": key_of(platform.ecosystem, version),
            "source_key": key_of(platform.ecosystem, source_version),
            "key_version": versions.KEY_VERSION,
        },
        **columns,
    )
    return found


def install(host: Host, *packages: PackageVersion, at: datetime) -> None:
    """Installs package versions on a host, as if a scan had seen them."""
    Installation.objects.bulk_create(
        [Installation(host=host, package_version=each, installed_seen_at=at) for each in packages]
    )


def pend(host: Host, name: str, installed: str, candidate: str, *, at: datetime, **columns: Any) -> PendingUpdate:
    """The host's package manager offers `candidate`."""
    columns.setdefault("arch", "amd64")
    return PendingUpdate.objects.create(
        host=host, name=name, installed_version=installed, candidate_version=candidate, seen_at=at, **columns
    )
