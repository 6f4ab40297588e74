"""The port of every source of packages, and what it hands over.

A source proves a chain: signature → index → package. It judges nothing else and keeps nothing; the caller stores each
VerificationResult, passed or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from patchflow.kernel.blockers import english


class FetchError(Exception):
    """A file that could not be had. Its text says why and what to do. `retryable`: later it may be."""

    def __init__(self, sentence: str, *, retryable: bool = False) -> None:
        super().__init__(sentence)
        self.retryable = retryable


class NotFound(FetchError):
    """There is no such file."""


class TooMuchData(FetchError):
    """The file is larger than allowed, or has no end."""


class Fetcher(Protocol):
    """Gets files. `max_bytes` bounds what is read, whatever the other side sends."""

    def fetch(self, uri: str, *, max_bytes: int) -> bytes:
        """Return the bytes of `uri`. Raises NotFound, TooMuchData, FetchError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One step of a verification. `detail` is a sentence: what was seen, and if not ok what to do."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexDigest:
    """An index that was verified: its path below the suite, size in bytes, SHA-256 in hex (all as signed)."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VerificationResult:
    """What was checked, in order, up to the first refusal. Times are aware UTC; hashes and fingerprints lower hex."""

    ok: bool
    checks: tuple[Check, ...]
    release_sha256: str = ""
    indexes: tuple[IndexDigest, ...] = ()
    signer: str = ""
    signer_name: str = ""
    date: datetime | None = None
    valid_until: datetime | None = None

    @property
    def reason(self) -> str:
        """The sentence of the check that failed; empty where all passed."""
        return next((check.detail for check in self.checks if not check.ok), "")

    @property
    def failed(self) -> str:
        """The name of the check that failed; empty where all passed."""
        return next((check.name for check in self.checks if not check.ok), "")

    @property
    def index_sha256(self) -> str:
        """The SHA-256 of the index; of several, that of their sorted lines "sha256  path"; empty where none."""
        if len(self.indexes) == 1:
            return self.indexes[0].sha256
        lines = sorted(f"{index.sha256}  {index.path}\n" for index in self.indexes)
        return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


class Refused(Exception):
    """A verification that did not pass. `result` says at which check and why."""

    def __init__(self, result: VerificationResult) -> None:
        super().__init__(result.reason)
        self.result = result


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageRecord:
    """One package as a signed index lists it. `filename` is relative to the repository's address."""

    name: str
    version: str
    arch: str
    source_name: str
    source_version: str
    filename: str
    size: int
    sha256: str
    component: str = ""
    depends: str = ""
    pre_depends: str = ""
    provides: str = ""
    conflicts: str = ""
    breaks: str = ""
    replaces: str = ""
    section: str = ""
    priority: str = ""
    essential: bool = False
    multi_arch: str = ""
    installed_size: int | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedRecord:
    """An entry of an index that cannot be used, with the reason. The others can."""

    index_path: str
    position: int
    name: str
    prefix: bytes = field(repr=False)
    error: str


class PackageSource(Protocol):
    """A repository: opened only if its signature holds, then its packages one by one."""

    def packages(self) -> Iterator[PackageRecord | RejectedRecord]:
        """Yield what the verified indexes list."""
        ...


def verify_file(source: Path | bytes, record: PackageRecord) -> VerificationResult:
    """Compare a file with the index's entry: size first, then SHA-256. Never reads more than the size plus one byte."""
    name = record.filename.rpartition("/")[2]
    try:
        size, sha256 = _measure(source, limit=record.size)
    except OSError as error:
        return VerificationResult(
            ok=False,
            checks=(
                Check(
                    name="file.read",
                    ok=False,
                    detail=english("%(name)s cannot be read (%(strerror)s).", name=name, strerror=error.strerror),
                ),
            ),
        )
    shown = f"more than {record.size}" if size > record.size else str(size)
    checks = [
        Check(
            name="file.size",
            ok=size == record.size,
            detail=english("%(name)s has %(shown)s bytes, signed %(size)s.", name=name, shown=shown, size=record.size),
        )
    ]
    if checks[0].ok:
        same = sha256 == record.sha256
        detail = english("%(name)s has the signed SHA-256 %(sha256)s.", name=name, sha256=sha256)
        if not same:
            detail = english(
                "%(name)s has SHA-256 %(sha256)s, signed %(signed)s. It was changed or swapped: do not use it.",
                name=name,
                sha256=sha256,
                signed=record.sha256,
            )
        checks.append(Check(name="file.sha256", ok=same, detail=detail))
    return VerificationResult(ok=all(check.ok for check in checks), checks=tuple(checks))


def _measure(source: Path | bytes, *, limit: int) -> tuple[int, str]:
    if isinstance(source, bytes):
        return len(source), hashlib.sha256(source).hexdigest()
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as file:
        while size <= limit and (chunk := file.read(min(1 << 20, limit + 1 - size))):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
