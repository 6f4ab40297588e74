"""Reading compressed data that may be a bomb."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

_CHUNK = 64 * 1024
_XZ_MEMORY = 128 * 1024 * 1024
_RATIO_FROM = 16 * 1024 * 1024

_MAGIC = {b"\x1f\x8b": "gz", b"\xfd7zXZ\x00": "xz", b"BZh": "bz2"}


class Unreadable(Exception):
    """Compressed data that is damaged, cut off, or larger than allowed. Its text says which."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the manners of lzma's and bz2's: it keeps its own unread input."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_KINDS: dict[str, Callable[[], _Decompressor]] = {
    "gz": _Gzip,
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "bz2": bz2.BZ2Decompressor,
}


def compression_of(head: bytes) -> str:
    """Name the compression (gz, xz, bz2, or nothing) that the first bytes of a file announce."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


class BoundedReader(io.RawIOBase):
    """A forward-only reader of `source`, decompressed, that stops at `max_bytes` or at an absurd ratio.

    `kind` is "" (as it is), "gz", "xz" or "bz2". Raises Unreadable from `read`. `allow(n)` sets how many more bytes
    may be read before the next `allow`, so that a container's own headers cannot fill the memory.
    """

    def __init__(self, source: BinaryIO, *, kind: str, max_bytes: int, max_ratio: int = 300) -> None:
        self._source = source
        self._make = _KINDS[kind or "gz"]
        self._inflater = self._make() if kind else None
        self._max_bytes, self._max_ratio = max_bytes, max_ratio
        self._taken = self.given = 0
        self._allowance: int | None = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def allow(self, size: int) -> None:
        """Let `size` further bytes be read."""
        self._allowance = size

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end; never more than the bounds let pass."""
        if size is None or size < 0:
            size = self._max_bytes + 1
        parts, missing = [], size
        while missing > 0:
            piece = self._piece(min(missing, _CHUNK))
            if not piece:
                break
            parts.append(piece)
            missing -= len(piece)
        return b"".join(parts)

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._inflate(self._inflater, size) if self._inflater else self._source.read(size)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise Unreadable(f"the compressed data is damaged ({error})") from None
        self.given += len(piece)
        if self.given > self._max_bytes:
            raise Unreadable(f"it unpacks to more than the allowed {self._max_bytes} bytes")
        if self._inflater and self.given > _RATIO_FROM and self.given > self._taken * self._max_ratio:
            raise Unreadable(f"it unpacks to more than {self._max_ratio} times its size")
        if self._allowance is not None:
            self._allowance -= len(piece)
            if self._allowance < 0:
                raise Unreadable("the headers of its members are larger than allowed")
        return piece

    def _inflate(self, inflater: _Decompressor, size: int) -> bytes:
        while True:
            if inflater.eof:
                following = self._next_stream(inflater.unused_data)
                if following is None:
                    return b""
                self._inflater = inflater = following
            data = self._take() if inflater.needs_input else b""
            piece = inflater.decompress(data, size)
            if piece:
                return piece
            if not data and inflater.needs_input and not inflater.eof:
                raise Unreadable("the compressed data ends in the middle")

    def _next_stream(self, rest: bytes) -> _Decompressor | None:
        # Several streams may stand one after the other, with zeros between them (xz's padding, tar's blocks).
        rest = rest.lstrip(b"\0")
        while not rest:
            chunk = self._take()
            if not chunk:
                return None
            rest = chunk.lstrip(b"\0")
        self._rest = rest
        return self._make()

    def _take(self) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        data = self._source.read(_CHUNK)
        self._taken += len(data)
        return data
