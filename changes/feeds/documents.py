"""Documents one by one out of a file, a folder or an archive that may be hostile. Nothing is unpacked to disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from changes.feeds import archives
from changes.feeds.base import PREFIX_BYTES, Quarantined
from changes.remote.compressed import BoundedReader, Unreadable, compression_of

_NAME_SHOWN = 300
_TAR_MAGIC = slice(257, 262)
_HEAD = 512


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of a source is read: bytes of one document, bytes in all, members, and how far data may unpack."""

    max_document_bytes: int = 16 * 1024 * 1024
    max_total_bytes: int = 8 * 1024 * 1024 * 1024
    max_documents: int = 1_000_000
    max_ratio: int = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class RawDocument:
    """One document as it was published."""

    name: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A file that is not of the wanted kind."""

    name: str


class Incomplete(Exception):
    """The source broke off: documents may be missing. Carries what to report."""

    def __init__(self, report: Quarantined) -> None:
        super().__init__(report.error)
        self.report = report


Found = RawDocument | Quarantined | Ignored


def read_documents(path: Path, *, limits: Limits, suffix: str = ".json") -> Iterator[Found]:
    """Yield the documents of a folder, an archive (zip, tar, also compressed by gz, xz, bz2) or a single file.

    In folders and archives those whose name ends in `suffix`; folders in order of their names, links not followed. A
    member that cannot be read is Quarantined and the rest goes on. Raises Incomplete where the source itself breaks
    off or is a bomb, OSError where it cannot be opened.
    """
    if path.is_dir():
        yield from _folder(path, limits=limits, suffix=suffix)
        return
    with path.open("rb") as file:
        yield from _file(file, name=path.name, limits=limits, suffix=suffix)


def shown(name: str) -> str:
    """A document's name, fit to be shown and logged: printable, bounded."""
    printable = "".join(char if char.isprintable() else "?" for char in name)
    return printable if len(printable) <= _NAME_SHOWN else printable[:_NAME_SHOWN] + "..."


def quarantined(name: str, data: bytes, error: str, *, advisory_id: str = "") -> Quarantined:
    """Put a document aside with its reason."""
    return Quarantined(
        document_name=shown(name),
        document_sha256=hashlib.sha256(data).hexdigest(),
        prefix=data[:PREFIX_BYTES],
        error=error,
        advisory_id=advisory_id,
    )


def _folder(root: Path, *, limits: Limits, suffix: str) -> Iterator[Found]:
    count = total = 0
    for folder, names, files in os.walk(root):
        names.sort()
        for file in sorted(files):
            path = Path(folder, file)
            name = str(path.relative_to(root))
            if not file.endswith(suffix):
                yield Ignored(name=shown(name))
                continue
            count += 1
            found = _plain(path, name=name, limits=limits)
            total += len(found.data) if isinstance(found, RawDocument) else 0
            _within(root.name, count, total, limits)
            yield found


def _plain(path: Path, *, name: str, limits: Limits) -> RawDocument | Quarantined:
    if path.is_symlink() or not path.is_file():
        return quarantined(name, b"", "It is a link or no regular file. Put the file itself into the folder.")
    try:
        with path.open("rb") as file:
            data = file.read(limits.max_document_bytes + 1)
    except OSError as error:
        return quarantined(name, b"", f"It could not be read ({error.strerror}). Correct its permissions.")
    return _sized(name, data, limits)


def _file(file: BinaryIO, *, name: str, limits: Limits, suffix: str) -> Iterator[Found]:
    head = file.read(_HEAD)
    file.seek(0)
    try:
        if archives.is_zip(head):
            yield from _members(archives.zip_members(file, limits=_caps(limits)), name, limits, suffix)
            return
        kind = compression_of(head)
        if kind:
            head = _reader(file, kind, limits).read(_HEAD)
            file.seek(0)
        reader = _reader(file, kind, limits)
        if head[_TAR_MAGIC] == b"ustar":
            yield from _members(archives.tar_members(reader, limits=_caps(limits)), name, limits, suffix)
        else:
            yield _sized(name, reader.read(limits.max_document_bytes + 1), limits)
    except Unreadable as error:
        raise Incomplete(
            quarantined(name, head, f"The file breaks off: {error}. Get it again; what was read before stays.")
        ) from None


def _members(members: Iterator[archives.Member], archive: str, limits: Limits, suffix: str) -> Iterator[Found]:
    count = total = 0
    for member in members:
        if not member.is_file or not member.name.endswith(suffix):
            yield Ignored(name=shown(member.name))
            continue
        count += 1
        try:
            data = member.read(limits.max_document_bytes + 1)
        except archives.BadMember as error:
            yield quarantined(member.name, b"", f"The archive's member is damaged ({error}). Get the archive again.")
            continue
        total += len(data)
        _within(archive, count, total, limits)
        yield _sized(member.name, data, limits)


def _sized(name: str, data: bytes, limits: Limits) -> RawDocument | Quarantined:
    if len(data) > limits.max_document_bytes:
        return quarantined(
            name,
            data,
            f"It is larger than the allowed {limits.max_document_bytes} bytes, so only its beginning was read. "
            "If that size is right, raise the limit.",
        )
    return RawDocument(name=shown(name), data=data)


def _within(name: str, count: int, total: int, limits: Limits) -> None:
    if count > limits.max_documents:
        raise Incomplete(quarantined(name, b"", f"It holds more than the allowed {limits.max_documents} documents."))
    if total > limits.max_total_bytes:
        raise Incomplete(quarantined(name, b"", f"It holds more than the allowed {limits.max_total_bytes} bytes."))


def _reader(file: BinaryIO, kind: str, limits: Limits) -> BoundedReader:
    return BoundedReader(file, kind=kind, max_bytes=limits.max_total_bytes, max_ratio=limits.max_ratio)


def _caps(limits: Limits) -> archives.Caps:
    return archives.Caps(max_members=limits.max_documents * 2, max_ratio=limits.max_ratio)
