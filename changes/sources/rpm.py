"""RPM repositories (createrepo): repomd.xml signed by the file beside it, the list of packages by its hash, files by theirs."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from changes.remote.compressed import BoundedReader, Unreadable
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
)
from changes.sources.openpgp import check_detached, read_keyring
from changes.sources.rpm_xml import BadXml, Row, data_of, packages_of
from changes.sources.trail import Refusal, Trail, check_date, check_index, check_signature, check_validity
from cmdb import versions
from patchflow.kernel.blockers import english

MAX_REPOMD_BYTES = 4 * 1024 * 1024
MAX_SIGNATURE_BYTES = 256 * 1024
MAX_INDEX_BYTES = 512 * 1024 * 1024
MAX_UNPACKED_BYTES = 4 * 1024 * 1024 * 1024
MAX_PACKAGE_BYTES = 16 * 1024 * 1024 * 1024

_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_ARCH = re.compile(r"[a-z0-9_]{1,20}")
_HASH = re.compile(r"[0-9a-f]{64}")
_HREF = re.compile(r"[A-Za-z0-9][^\s\\]{0,1000}")
_SOURCE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")
_KINDS = {".gz": "gz", ".xz": "xz", ".bz2": "bz2", ".xml": ""}
_CHUNK = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class RpmRepositorySpec:
    """An RPM repository, by the address that holds its `repodata`, and the public keys that it must be signed by.

    `suite` is the name that the host gives it; repomd.xml itself names no repository. `max_age` bounds the age of its lists:
    they carry no end of their own. Raises ValueError where the address is none.
    """

    uri: str
    suite: str
    architectures: tuple[str, ...]
    keyring: bytes = field(repr=False)
    max_age: timedelta | None = None

    def __post_init__(self) -> None:
        if not _URI.fullmatch(self.uri) or "$" in self.uri:
            raise ValueError(f"{self.uri!r} is no address of a repository")


@dataclass(frozen=True, kw_only=True)
class RpmRepository:
    """A repository with its list of packages, as far as it was verified. `result` tells whether it may be used."""

    spec: RpmRepositorySpec
    result: VerificationResult
    kind: str = ""
    unpacked_bytes: int = 0
    data: bytes = field(default=b"", repr=False)

    def packages(self) -> Iterator[PackageRecord | RejectedRecord]:
        """Yield every binary package of the list. Raises Refused unless the verification passed.

        One that cannot be used is a RejectedRecord; so is one whose name, version and architecture stood before with
        another hash, for then nobody could say which is meant.
        """
        if not self.result.ok:
            raise Refused(self.result)
        (index,) = self.result.indexes
        seen: dict[tuple[str, str, str], str] = {}
        reader = BoundedReader(
            io.BytesIO(self.data), kind=self.kind, max_bytes=self.unpacked_bytes, max_ratio=MAX_UNPACKED_BYTES
        )
        try:
            for position, row in enumerate(packages_of(iter(lambda: reader.read(_CHUNK), b""))):
                if row.get("arch") in ("src", "nosrc"):
                    continue
                found = _record(row, position, index)
                if isinstance(found, PackageRecord):
                    identity = (found.name, found.version, found.arch)
                    if seen.setdefault(identity, found.sha256) != found.sha256:
                        error = f"{found.name} {found.version} {found.arch} stands twice, with different hashes."
                        found = _rejected(row, position, index, error)
                yield found
        except (Unreadable, BadXml) as error:
            trail = Trail(checks=list(self.result.checks), indexes=list(self.result.indexes))
            trail.refuse(
                "index.read",
                english("%(path)s is as signed, but cannot be read: %(error)s.", path=index.path, error=error),
            )
            raise Refused(trail.result()) from None


def fetch_rpm_repository(
    spec: RpmRepositorySpec, *, fetcher: Fetcher, now: datetime, last_seen: datetime | None = None
) -> RpmRepository:
    """Get and verify repomd.xml and the list of packages that it vouches for.

    `last_seen` is the date of the list accepted before: an older one is a replay. Never raises for what the other side
    does; see `RpmRepository.result`.
    """
    trail = Trail()
    try:
        rows = _repomd(spec, trail, fetcher=fetcher, now=now, last_seen=last_seen)
        kind, unpacked, data = _primary(spec, trail, rows, fetcher=fetcher)
    except Refusal:
        return RpmRepository(spec=spec, result=trail.result())
    return RpmRepository(spec=spec, result=trail.result(), kind=kind, unpacked_bytes=unpacked, data=data)


def _repomd(
    spec: RpmRepositorySpec, trail: Trail, *, fetcher: Fetcher, now: datetime, last_seen: datetime | None
) -> list[Row]:
    uri = f"{spec.uri.rstrip('/')}/repodata/repomd.xml"
    data = _fetched(trail, uri, MAX_REPOMD_BYTES, fetcher, missing="there is no RPM repository at this address.")
    trail.release_sha256 = hashlib.sha256(data).hexdigest()
    trail.passed("release.fetched", english("%(uri)s, %(data)s bytes.", uri=uri, data=len(data)))
    unsigned = "the repository's lists are unsigned. Use one that signs them (repo_gpgcheck), or a mirror of your own that does."
    signature = _fetched(trail, f"{uri}.asc", MAX_SIGNATURE_BYTES, fetcher, missing=unsigned)
    check_signature(
        trail, "list (repomd.xml)", lambda: check_detached(data, signature, keys=read_keyring(spec.keyring)), now=now
    )
    try:
        rows = data_of(data)
    except BadXml as error:
        raise trail.refuse("release.syntax", english("repomd.xml cannot be read: %(error)s.", error=error)) from None
    stamps = [int(row["timestamp"]) for row in rows if re.fullmatch(r"\d{1,11}", row.get("timestamp", ""))]
    date = datetime.fromtimestamp(max(stamps), UTC) if stamps else None
    check_date(trail, "list (repomd.xml)", date, now=now, last_seen=last_seen)
    check_validity(trail, now=now, max_age=spec.max_age)
    return rows


def _fetched(trail: Trail, uri: str, limit: int, fetcher: Fetcher, *, missing: str) -> bytes:
    try:
        return fetcher.fetch(uri, max_bytes=limit)
    except NotFound:
        raise trail.refuse(
            "release.fetched", english("%(uri)s does not exist: %(missing)s", uri=uri, missing=missing)
        ) from None
    except TooMuchData:
        raise trail.refuse(
            "release.fetched", english("%(uri)s has no end, or more than %(limit)s bytes.", uri=uri, limit=limit)
        ) from None
    except FetchError as error:
        raise trail.refuse(
            "release.fetched", english("%(uri)s could not be read: %(error)s", uri=uri, error=error)
        ) from None


def _primary(spec: RpmRepositorySpec, trail: Trail, rows: list[Row], *, fetcher: Fetcher) -> tuple[str, int, bytes]:
    listed = [row for row in rows if row["attributes"].get("type") == "primary"]
    if len(listed) != 1:
        raise trail.refuse(
            "index.listed", english("repomd.xml names %(listed)s lists of packages instead of one.", listed=len(listed))
        )
    row = listed[0]
    path, sha256, size = row.get("href", ""), row.get("checksum", "").lower(), row.get("size", "")
    if row.get("base") or not _HREF.fullmatch(path) or _leads_out(path):
        raise trail.refuse(
            "index.listed",
            english("The list of packages lies at %(path)s, outside of the repository.", path=repr(path[:100])),
        )
    if row.get("checksum-type") != "sha256" or not _HASH.fullmatch(sha256):
        kind = row.get("checksum-type") or "none"
        raise trail.refuse(
            "release.hashes",
            english(
                "It lists no SHA-256 of %(path)s (found: %(kind)s). Older hashes prove nothing.",
                path=path,
                kind=kind[:20],
            ),
        )
    if not re.fullmatch(r"[1-9]\d{0,11}", size) or int(size) > MAX_INDEX_BYTES:
        raise trail.refuse(
            "index.size",
            english(
                "%(path)s has %(size)s bytes, allowed are 1 to %(limit)s.",
                path=path,
                size=size[:20] or "no",
                limit=MAX_INDEX_BYTES,
            ),
        )
    ending = next((end for end in _KINDS if path.endswith(end)), None)
    if ending is None:
        raise trail.refuse(
            "index.listed",
            english("%(path)s is packed in a way that cannot be read here; gz, xz and bz2 can.", path=path),
        )
    digest = IndexDigest(path=path, size=int(size), sha256=sha256)
    trail.passed("release.hashes", english("It vouches for %(path)s by SHA-256.", path=path))
    data = _index(spec, trail, digest, fetcher=fetcher)
    unpacked = row.get("open-size", "")
    bound = int(unpacked) if re.fullmatch(r"\d{1,12}", unpacked) else MAX_UNPACKED_BYTES
    return _KINDS[ending], min(bound, MAX_UNPACKED_BYTES), data


def _index(spec: RpmRepositorySpec, trail: Trail, digest: IndexDigest, *, fetcher: Fetcher) -> bytes:
    try:
        data = fetcher.fetch(f"{spec.uri.rstrip('/')}/{digest.path}", max_bytes=digest.size)
    except NotFound:
        raise trail.refuse(
            "index.fetched",
            english("%(path)s is vouched for, but the server does not have it. Try again later.", path=digest.path),
        ) from None
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
    check_index(trail, digest, data)
    return data


class _BadRow(Exception):
    """Why a package cannot be used."""


def _record(row: Row, position: int, index: IndexDigest) -> PackageRecord | RejectedRecord:
    try:
        return _package(row)
    except (_BadRow, versions.InvalidVersion) as error:
        return _rejected(row, position, index, f"{error}.")


def _rejected(row: Row, position: int, index: IndexDigest, error: str) -> RejectedRecord:
    prefix = repr({key: row[key] for key in ("name", "evr", "arch", "href") if key in row}).encode()[:2_000]
    return RejectedRecord(
        index_path=index.path, position=position, name=str(row.get("name", ""))[:200], prefix=prefix, error=error
    )


def _package(row: Row) -> PackageRecord:
    name, arch, href, sha256 = (
        row.get("name", ""),
        row.get("arch", ""),
        row.get("href", ""),
        row.get("checksum", "").lower(),
    )
    size, installed = row.get("size", ""), row.get("installed", "")
    epoch, number, release = row.get("evr", ("", "", ""))
    version = f"{number}-{release}" if epoch in ("", "0") else f"{epoch}:{number}-{release}"
    if not _NAME.fullmatch(name):
        raise _BadRow(f"{name[:60]!r} is no name of a package")
    if not _ARCH.fullmatch(arch):
        raise _BadRow(f"{arch[:40]!r} is no architecture")
    versions.key("rpm", version)
    if row.get("base") or not _HREF.fullmatch(href) or not href.isprintable() or _leads_out(href):
        raise _BadRow(f"its file name {href[:100]!r} could lead out of the repository")
    if row.get("checksum-type") != "sha256" or not _HASH.fullmatch(sha256):
        raise _BadRow("it has no SHA-256; older hashes prove nothing")
    if not re.fullmatch(r"[1-9]\d{0,11}", size) or int(size) > MAX_PACKAGE_BYTES:
        raise _BadRow(f"its size {size[:40]!r} is none that a package can have")
    source = _SOURCE.fullmatch(row.get("sourcerpm", ""))
    prefix = (
        "" if epoch in ("", "0") else f"{epoch}:"
    )  # a source package has the epoch of its binaries, unsaid in its name
    source_version = prefix + source.group(2) if source else version
    versions.key("rpm", source_version)
    return PackageRecord(
        name=name,
        version=version,
        arch=arch,
        source_name=source.group(1) if source else name,
        source_version=source_version,
        filename=href,
        size=int(size),
        sha256=sha256,
        depends=", ".join(row["requires"]),
        provides=", ".join(row["provides"]),
        installed_size=int(installed) if re.fullmatch(r"\d{1,12}", installed) else None,
        description=row.get("summary", ""),
    )


def _leads_out(path: str) -> bool:
    return any(part in ("", ".", "..") for part in path.split("/"))
