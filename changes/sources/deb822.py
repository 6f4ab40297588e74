"""Debian's control syntax (deb822(5)), read as a stream: an index of 60,000 packages in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_STANZA_BYTES = 1024 * 1024


class BadStanza(ValueError):
    """A stanza that breaks the syntax. Its text says where."""


def stanzas(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Split lines into stanzas at empty lines. Raises BadStanza where one grows beyond 1 MiB."""
    stanza: list[bytes] = []
    size = 0
    for line in lines:
        if line.strip():
            stanza.append(line)
            size += len(line)
            if size > MAX_STANZA_BYTES:
                raise BadStanza(f"an entry is larger than {MAX_STANZA_BYTES} bytes")
        elif stanza:
            yield stanza
            stanza, size = [], 0
    if stanza:
        yield stanza


def fields(stanza: list[bytes]) -> dict[str, str]:
    """Read one stanza: lower-case names, continuation lines joined by newlines. Raises BadStanza.

    A field named twice is refused: two readers could take different ones.
    """
    found: dict[str, str] = {}
    name = ""
    for raw in stanza:
        try:
            line = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise BadStanza("a line is not UTF-8 text") from None
        if line[:1] in (" ", "\t"):
            if not name:
                raise BadStanza("it begins with a continuation line")
            found[name] += "\n" + line[1:].rstrip()
            continue
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or not name.isascii():
            raise BadStanza(f"{line[:60]!r} is no field")
        if name in found:
            raise BadStanza(f"the field {name!r} stands twice")
        found[name] = value.strip()
    return found


def lines_of(chunks: Iterable[bytes], *, max_line: int = MAX_STANZA_BYTES) -> Iterator[bytes]:
    """Cut chunks into lines. Raises BadStanza where a line grows beyond `max_line` bytes."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        if len(rest) > max_line:
            raise BadStanza(f"a line is longer than {max_line} bytes")
    if rest:
        yield rest
