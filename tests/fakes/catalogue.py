"""A small catalogue of messages beside the house's own: what a translator will have said."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

HEAD = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"


def write_catalogue(folder: Path, messages: Mapping[str | tuple[str, str], str | tuple[str, str]]) -> str:
    """Writes German for `messages` (English, or its two forms → German, or its two forms) as a compiled catalogue under `folder`,
    for LOCALE_PATHS. The format is that of GNU gettext."""
    texts = {"": HEAD} | {_joined(key): _joined(said) for key, said in messages.items()}
    pairs = sorted((key.encode(), said.encode()) for key, said in texts.items())
    at = 28 + 16 * len(pairs)
    tables, data = [], b""
    for side in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[side]), at + len(data)))
            data += pair[side] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    place = folder / "de" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "django.mo").write_bytes(head + b"".join(tables) + data)
    return str(folder)


def _joined(text: str | tuple[str, str]) -> str:
    return text if isinstance(text, str) else "\0".join(text)
