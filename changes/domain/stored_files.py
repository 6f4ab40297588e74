"""Files that people attach: on disk under their SHA-256, outside what any web server serves, readable by Patchflow alone.

Their type is read from their first bytes (a list of what people attach to changes; everything else is refused). They are
never opened, unpacked or run here.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict, Invalid

_PIECE = 64 * 1024
_HEAD = 1024
MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
)
"""First bytes → type. Office documents are ZIP files and are kept as such."""
PROGRAMS = (b"\x7fELF", b"MZ", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")


@dataclass(frozen=True)
class Kept:
    """A file as it is kept."""

    sha256: str
    size: int
    media_type: str


def folder() -> Path:
    found: Path = settings.PATCHFLOW["ATTACHMENTS"]
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def plain_name(name: str) -> str:
    """The last part of a file name, without anything that a file system or a header could take for more."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if c.isprintable() and c not in '"<>|:*?').strip(" .")
    if not kept:
        raise Invalid("The file has no name.", code="attachment.file")
    stem, dot, suffix = kept.rpartition(".")
    return f"{stem[: 149 - len(suffix)]}{dot}{suffix}" if dot and len(suffix) < 20 else kept[:150]


def sniff(head: bytes) -> str:
    """The type that the first bytes show; Invalid for programs and for what is nothing of the list."""
    if head.startswith(PROGRAMS):
        raise Invalid("Programs are not attached.", code="attachment.file")
    for start, media_type in MAGIC:
        if head.startswith(start):
            return media_type
    if _is_text(head):
        return "text/plain"
    raise Invalid("Attach text, PDF, PNG, JPEG, office documents, ZIP or gzip.", code="attachment.file")


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) == _HEAD  # a character cut in two by the piece that was read
    return True


def keep(content: BinaryIO) -> Kept:
    """Writes the file under its digest, whole or not at all; the same content is kept once. Raises Invalid."""
    limit: int = settings.PATCHFLOW["ATTACHMENT_BYTES"]
    sums, size, head = hashlib.sha256(), 0, b""
    place = folder()
    handle, name = tempfile.mkstemp(dir=place, prefix="incoming-")
    try:
        with os.fdopen(handle, "wb") as out:
            for piece in _pieces(content):
                head = (head + piece)[:_HEAD] if len(head) < _HEAD else head
                size += len(piece)
                if size > limit:
                    raise Invalid(
                        english("A file may have %(size)s MB at most.", size=limit // 2**20), code="attachment.file"
                    )
                sums.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        if not size:
            raise Invalid("The file is empty.", code="attachment.file")
        kept = Kept(sums.hexdigest(), size, sniff(head))
        os.replace(name, place / kept.sha256)
        return kept
    finally:
        Path(name).unlink(missing_ok=True)


def _pieces(content: BinaryIO) -> Iterator[bytes]:
    while piece := content.read(_PIECE):
        yield piece


def read(sha256: str) -> BinaryIO:
    """The file of this digest, from its start; Conflict if it is gone, or no longer what was attached."""
    try:
        found = (folder() / sha256).open("rb")
    except FileNotFoundError:
        raise Conflict("The file is gone from the disk; its record remains.", code="attachment.gone") from None
    sums = hashlib.sha256()
    for piece in _pieces(found):
        sums.update(piece)
    if sums.hexdigest() != sha256:
        found.close()
        raise Conflict("The file on the disk is not the one that was attached.", code="attachment.changed")
    found.seek(0)
    return found
