"""Members of zip and tar archives, one after the other, without unpacking to disk.

Names are only labels here: no path is ever made from one.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from changes.remote.compressed import BoundedReader, Unreadable

_HEADER_ALLOWANCE = 256 * 1024
_BLOCK = 64 * 1024
_END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
_END_OF_DIRECTORY_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_MAX_DIRECTORY_BYTES = 32 * 1024 * 1024
_MAX_COMMENT = 65_535
_RATIO_FROM = 16 * 1024 * 1024


class BadMember(Exception):
    """One member cannot be read; the others may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    max_members: int
    max_ratio: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A member of an archive. `read(n)` gives up to n bytes, once, before the next member is taken."""

    name: str
    is_file: bool
    read: Callable[[int], bytes] = field(repr=False)


def is_zip(head: bytes) -> bool:
    """Tell whether a file that starts so is a zip archive (an empty one too)."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def tar_members(reader: BoundedReader, *, limits: Caps) -> Iterator[Member]:
    """Yield the members of a tar archive in its order. Raises Unreadable where it breaks off or lies."""
    skipped = seen = 0
    remembered = _Remembered(reader)
    try:
        reader.allow(_HEADER_ALLOWANCE)
        with tarfile.open(fileobj=cast(BinaryIO, remembered), mode="r|", bufsize=_BLOCK, errorlevel=2) as tar:
            while True:
                # tarfile holds extended headers in memory: they get an allowance, a skipped member its own size.
                reader.allow(_HEADER_ALLOWANCE + skipped)
                info = tar.next()
                if info is None:
                    remembered.check_end(tar.offset)
                    return
                seen += 1
                if seen > limits.max_members:
                    raise Unreadable(f"it has more than {limits.max_members} members")
                tar.members.clear()  # type: ignore[attr-defined]  # else every header stays in memory
                skipped = max(info.size, 0) + tarfile.RECORDSIZE
                reader.allow(skipped + _BLOCK)
                yield Member(name=info.name, is_file=info.isreg() and not info.issparse(), read=_tar_reader(tar, info))
    except (tarfile.TarError, EOFError, OSError, ValueError, RecursionError, OverflowError) as error:
        raise Unreadable(f"the tar archive is damaged ({error})") from None


class _Remembered:
    """Keeps the last two blocks read: tarfile takes a damaged header for the end, and does not say so."""

    def __init__(self, reader: BoundedReader) -> None:
        self._reader = reader
        self._before, self._last, self._given = b"", b"", 0

    def read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if data:
            self._before, self._last = self._last, data
            self._given += len(data)
        return data

    def check_end(self, at: int) -> None:
        """Raise Unreadable unless the block at `at` is the empty one that ends a tar archive."""
        kept = self._before + self._last
        start = at - (self._given - len(kept))
        if start < 0 or kept[start : start + tarfile.BLOCKSIZE] != bytes(tarfile.BLOCKSIZE):
            raise Unreadable("it ends in the middle, or one of its headers is damaged")


def _tar_reader(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        try:
            file = tar.extractfile(info)
            data = file.read(min(size, info.size)) if file else b""
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise Unreadable(f"the tar archive is damaged ({error})") from None
        if len(data) < min(size, info.size):
            raise Unreadable("it ends in the middle of a member")
        return data

    return read


def zip_members(file: BinaryIO, *, limits: Caps) -> Iterator[Member]:
    """Yield the members of a zip archive in order of its directory. Raises Unreadable where that is damaged."""
    size = _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            if len(infos) > limits.max_members:
                raise Unreadable(f"it has more than {limits.max_members} members")
            budget = _Budget(left=max(size * limits.max_ratio, _RATIO_FROM))
            for info in infos:
                read = _zip_reader(archive, info, budget)
                yield Member(name=info.filename, is_file=not info.is_dir(), read=read)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, OverflowError) as error:
        raise Unreadable(f"the zip archive is damaged ({error})") from None


@dataclass(kw_only=True, slots=True)
class _Budget:
    """Bytes that the whole archive may still unpack to: members may overlap, each small and all together huge."""

    left: int


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: _Budget) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        if info.flag_bits & 0x1:
            raise BadMember("it is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadMember("it is compressed by a method other than deflate")
        try:
            with archive.open(info) as member:
                data = member.read(size)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise BadMember(str(error) or type(error).__name__) from None
        budget.left -= len(data)
        if budget.left < 0:
            raise Unreadable("it unpacks to more than the allowed multiple of its size")
        return data

    return read


def _check_directory(file: BinaryIO) -> int:
    """Refuse a central directory so large that holding it would fill the memory; return the archive's size."""
    size = file.seek(0, 2)
    tail_at = max(0, size - _END_OF_DIRECTORY.size - _MAX_COMMENT)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_OF_DIRECTORY.size:
        raise Unreadable("the zip archive has no directory: it is cut off or no zip archive")
    directory_bytes = _END_OF_DIRECTORY.unpack_from(tail, at)[5]
    locator_at = tail_at + at - _LOCATOR_64.size
    if locator_at >= 0:
        file.seek(locator_at)
        signature, _, position, _ = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
        if signature == b"PK\x06\x07":
            file.seek(min(position, size))
            record = file.read(_END_OF_DIRECTORY_64.size)
            if len(record) < _END_OF_DIRECTORY_64.size:
                raise Unreadable("the zip archive's directory is cut off")
            directory_bytes = _END_OF_DIRECTORY_64.unpack(record)[8]
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        raise Unreadable(f"the zip archive's directory is larger than {_MAX_DIRECTORY_BYTES} bytes")
    file.seek(0)
    return size
