"""Debian-style repositories (wiki.debian.org/DebianRepository/Format): signed Release, indexes by hash, packages."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from changes.remote.compressed import BoundedReader, Unreadable
from changes.sources import deb822
from changes.sources.apt_release import Release, RepositorySpec, fetch_release
from changes.sources.base import (
    Fetcher,
    FetchError,
    IndexDigest,
    NotFound,
    PackageRecord,
    Refused,
    RejectedRecord,
    TooMuchData,
    VerificationResult,
    verify_file,
)
from changes.sources.trail import Refusal, Trail, check_index
from cmdb import versions
from patchflow.kernel.blockers import english

__all__ = ["Release", "Repository", "RepositorySpec", "fetch_release", "fetch_repository", "verify_file"]

MAX_INDEX_BYTES = 256 * 1024 * 1024
MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024
MAX_PACKAGE_BYTES = 16 * 1024 * 1024 * 1024

_COMPRESSIONS = (("xz", ".xz"), ("gz", ".gz"), ("", ""))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_FILENAME = re.compile(r"[A-Za-z0-9][^\s\\]{0,1000}")
_SOURCE = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)(?:\s*\(([^()\s]+)\))?")
_CHUNK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class _Index:
    component: str
    kind: str
    digest: IndexDigest
    unpacked_bytes: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A suite with its indexes, as far as they were verified. `result` tells whether it may be used."""

    spec: RepositorySpec
    result: VerificationResult
    indexes: tuple[_Index, ...] = field(default=(), repr=False)

    def packages(self) -> Iterator[PackageRecord | RejectedRecord]:
        """Yield every package of the indexes, in their order. Raises Refused unless the verification passed.

        An entry that cannot be used is a RejectedRecord; so is one whose name, version and architecture stood before
        with another hash, for then nobody could say which is meant.
        """
        if not self.result.ok:
            raise Refused(self.result)
        seen: dict[tuple[str, str, str], str] = {}
        for index in self.indexes:
            for found in self._read(index):
                if isinstance(found, PackageRecord):
                    identity = (found.name, found.version, found.arch)
                    if seen.setdefault(identity, found.sha256) != found.sha256:
                        error = f"{found.name} {found.version} {found.arch} stands twice, with different hashes."
                        found = _rejected(index, -1, found.name, b"", error)
                yield found

    def _read(self, index: _Index) -> Iterator[PackageRecord | RejectedRecord]:
        # What is unpacked was signed: its size is the bound, and an index that repeats itself is no bomb.
        packed = io.BytesIO(index.data)
        reader = BoundedReader(packed, kind=index.kind, max_bytes=index.unpacked_bytes, max_ratio=MAX_UNPACKED_BYTES)
        lines = deb822.lines_of(iter(lambda: reader.read(_CHUNK), b""))
        try:
            for position, stanza in enumerate(deb822.stanzas(lines)):
                yield _record(stanza, position, index, self.spec)
        except (Unreadable, deb822.BadStanza) as error:
            trail = Trail(checks=list(self.result.checks), indexes=list(self.result.indexes))
            trail.refuse(
                "index.read",
                english("%(path)s is as signed, but cannot be read: %(error)s.", path=index.digest.path, error=error),
            )
            raise Refused(trail.result()) from None


def fetch_repository(
    spec: RepositorySpec, *, fetcher: Fetcher, now: datetime, last_seen: datetime | None = None
) -> Repository:
    """Get and verify the suite's Release and the Packages index of each component and architecture.

    One index that fails refuses the whole: half a repository would look like packages that do not exist. Never raises
    for what the other side does; see `Repository.result`.
    """
    release = fetch_release(spec, fetcher=fetcher, now=now, last_seen=last_seen)
    if not release.result.ok:
        return Repository(spec=spec, result=release.result)
    seen = release.result
    trail = Trail(
        checks=list(seen.checks),
        release_sha256=seen.release_sha256,
        signer=seen.signer,
        signer_name=seen.signer_name,
        date=seen.date,
        valid_until=seen.valid_until,
    )
    indexes = []
    try:
        for component in spec.components:
            for architecture in spec.architectures:
                indexes.append(_fetch_index(release, trail, component, architecture, fetcher=fetcher))
    except Refusal:
        return Repository(spec=spec, result=trail.result())
    return Repository(spec=spec, result=trail.result(), indexes=tuple(indexes))


def _fetch_index(release: Release, trail: Trail, component: str, architecture: str, *, fetcher: Fetcher) -> _Index:
    base = f"{component}/binary-{architecture}/Packages"
    listed = [(kind, release.entries[base + end]) for kind, end in _COMPRESSIONS if base + end in release.entries]
    if not listed:
        raise trail.refuse(
            "index.listed",
            english("The Release file vouches for no %(base)s. Check component and architecture.", base=base),
        )
    for kind, digest in listed:
        data = _fetch_data(release, trail, digest, fetcher=fetcher)
        if data is None:
            continue
        check_index(trail, digest, data)
        unpacked = release.entries[base].size if base in release.entries else MAX_UNPACKED_BYTES
        unpacked_bytes = min(unpacked, MAX_UNPACKED_BYTES)
        return _Index(component=component, kind=kind, digest=digest, unpacked_bytes=unpacked_bytes, data=data)
    raise trail.refuse(
        "index.fetched",
        english("%(base)s is vouched for, but the server has it in no form. Try again later.", base=base),
    )


def _fetch_data(release: Release, trail: Trail, digest: IndexDigest, *, fetcher: Fetcher) -> bytes | None:
    if digest.size > MAX_INDEX_BYTES:
        raise trail.refuse(
            "index.size",
            english(
                "%(path)s has %(size)s bytes, allowed are %(limit)s.",
                path=digest.path,
                size=digest.size,
                limit=MAX_INDEX_BYTES,
            ),
        )
    folder = digest.path.rpartition("/")[0]
    paths = [f"{folder}/by-hash/SHA256/{digest.sha256}"] if release.by_hash else []
    for path in [*paths, digest.path]:
        try:
            return fetcher.fetch(f"{release.spec.suite_uri}/{path}", max_bytes=digest.size)
        except NotFound:
            continue
        except TooMuchData:
            raise trail.refuse(
                "index.size",
                english(
                    "%(path)s is larger than the signed %(size)s bytes: changed, or without end.",
                    path=digest.path,
                    size=digest.size,
                ),
            ) from None
        except FetchError as error:
            raise trail.refuse(
                "index.fetched", english("%(path)s could not be read: %(error)s", path=digest.path, error=error)
            ) from None
    return None


def _record(stanza: list[bytes], position: int, index: _Index, spec: RepositorySpec) -> PackageRecord | RejectedRecord:
    raw = b"\n".join(stanza)
    name = ""
    try:
        found = deb822.fields(stanza)
        name = found.get("package", "")
        return _package(found, index.component, spec)
    except (deb822.BadStanza, versions.InvalidVersion) as error:
        return _rejected(index, position, name, raw, f"{error}.")


def _rejected(index: _Index, position: int, name: str, raw: bytes, error: str) -> RejectedRecord:
    return RejectedRecord(
        index_path=index.digest.path, position=position, name=name[:200], prefix=raw[:2_000], error=error
    )


def _package(found: Mapping[str, str], component: str, spec: RepositorySpec) -> PackageRecord:
    name, version, arch = (_needed(found, key) for key in ("package", "version", "architecture"))
    if not _NAME.fullmatch(name):
        raise deb822.BadStanza(f"{name[:60]!r} is no name of a package")
    if arch != "all" and arch not in spec.architectures:
        raise deb822.BadStanza(f"it is for {arch[:40]!r}, which was not asked for")
    versions.key("deb", version)
    filename, sha256, size = _needed(found, "filename"), _needed(found, "sha256").lower(), _needed(found, "size")
    if not _FILENAME.fullmatch(filename) or not filename.isprintable() or _leads_out(filename):
        raise deb822.BadStanza(f"its file name {filename[:100]!r} could lead out of the repository")
    if not _HASH.fullmatch(sha256):
        raise deb822.BadStanza("its SHA256 is no SHA-256")
    if not re.fullmatch(r"[1-9]\d{0,11}", size) or int(size) > MAX_PACKAGE_BYTES:
        raise deb822.BadStanza(f"its size {size[:40]!r} is none that a package can have")
    source = _SOURCE.fullmatch(found.get("source", "") or name)
    if source is None:
        raise deb822.BadStanza(f"its source {found['source'][:60]!r} cannot be read")
    source_version = source.group(2) or version
    versions.key("deb", source_version)
    installed = found.get("installed-size", "")
    return PackageRecord(
        name=name,
        version=version,
        arch=arch,
        source_name=source.group(1),
        source_version=source_version,
        filename=filename,
        size=int(size),
        sha256=sha256,
        component=component,
        depends=_joined(found, "depends"),
        pre_depends=_joined(found, "pre-depends"),
        provides=_joined(found, "provides"),
        conflicts=_joined(found, "conflicts"),
        breaks=_joined(found, "breaks"),
        replaces=_joined(found, "replaces"),
        section=found.get("section", ""),
        priority=found.get("priority", ""),
        essential=found.get("essential", "").lower() == "yes",
        multi_arch=found.get("multi-arch", ""),
        installed_size=int(installed) if re.fullmatch(r"\d{1,12}", installed) else None,
        description=found.get("description", ""),
    )


def _needed(found: Mapping[str, str], key: str) -> str:
    value = found.get(key, "")
    if not value:
        hint = "; older hashes prove nothing" if key == "sha256" and "md5sum" in found else ""
        raise deb822.BadStanza(f"it has no {key}{hint}")
    return value


def _joined(found: Mapping[str, str], key: str) -> str:
    return " ".join(found.get(key, "").split())


def _leads_out(filename: str) -> bool:
    return any(part in ("", ".", "..") for part in filename.split("/"))
