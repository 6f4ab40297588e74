"""Canonical form, digests and Merkle roots: what is signed and what is chained.

Canonical JSON is RFC 8785; a document has no floats (a decimal is text), times are UTC seconds, and lists whose order
means nothing are sorted by the caller. Digests are SHA-256 in hex.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
import rfc8785

EMPTY = "0" * 64
"""The head of a chain that has no entry."""


def plain(value: Any) -> Any:
    """`value` in JSON's own types. Aware times become UTC seconds (`2026-11-22T09:00:00Z`); a float or naive time is refused."""
    kind = type(value)
    if kind is str or kind is bool or value is None:  # most of a document; the order of the rest is of no matter
        return value
    if kind is dict:
        return {str(k): plain(v) for k, v in value.items()}
    if kind is list:
        return [plain(v) for v in value]
    match value:
        case bool() | str():
            return str(value) if isinstance(value, Enum) else value
        case int():
            return value if abs(value) < 2**53 else str(value)
        case float():
            raise TypeError("no floats in a signed document: use an integer or Decimal")
        case Decimal():
            return format(value, "f")
        case datetime():
            if value.tzinfo is None:
                raise TypeError("naive time in a signed document")
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case date():
            return value.isoformat()
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(v) for v in value]
        case set() | frozenset():
            return sorted((plain(v) for v in value), key=lambda v: canonical(v))
    return str(value)


_write = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode
_beyond = re.compile("[\U00010000-\U0010ffff]").search


def canonical(document: Any) -> bytes:
    """The RFC 8785 bytes of `document`.

    Of plain values the quick encoder writes the same bytes, much faster, as a test shows, where no character lies
    beyond the basic plane (whose keys the standard puts in another order) and none is a lone surrogate; the rest is left to
    the library.
    """
    value = plain(document)
    return bytes_of(written(value)) or rfc8785.dumps(value)


def written(value: Any) -> str:
    """Plain values as JSON with their keys in order: canonical, where `bytes_of` says so."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # a lone surrogate
        return _write(value)


def bytes_of(text: str) -> bytes | None:
    """The bytes of what was `written`, if they are the canonical ones; None if that must be left to the library."""
    if text.isascii():
        return text.encode()
    if _beyond(text):
        return None
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None


def digest(document: Any) -> str:
    """SHA-256 over the canonical form, in hex."""
    return hashlib.sha256(canonical(document)).hexdigest()


def digest_as_read(document: Any) -> str:
    """`digest` of a document that is in JSON's own types already: `plain`, or read from a column of JSON. (One that had a float
    put into it there has another digest than any that was signed, or is refused as `plain` refuses it.)"""
    return hashlib.sha256(bytes_of(written(document)) or canonical(document)).hexdigest()


def chain_hash(previous: str, document: Any) -> str:
    """The hash of an entry that follows the one hashed `previous`."""
    return chain_hash_of(previous, canonical(document))


def chain_hash_of(previous: str, canonical_text: bytes) -> str:
    """`chain_hash` of a document that is at hand in its canonical form."""
    return hashlib.sha256(previous.encode() + b"\n" + canonical_text).hexdigest()


def merkle_root(leaves: Sequence[str]) -> str:
    """Merkle tree hash of hex leaves as in RFC 9162 section 2.1.1 (leaf and node prefixes 0x00 and 0x01)."""
    if not leaves:
        return hashlib.sha256(b"").hexdigest()
    level = [hashlib.sha256(b"\x00" + bytes.fromhex(leaf)).digest() for leaf in leaves]
    return _fold(level).hex()


def _fold(nodes: list[bytes]) -> bytes:
    if len(nodes) == 1:
        return nodes[0]
    split = 1 << (len(nodes) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + _fold(nodes[:split]) + _fold(nodes[split:])).digest()


def difference(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """What changed between two documents, as rows `{field, removed, added}`; lists of plain values are compared as sets."""
    before, after = plain(before), plain(after)
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        rows: list[dict[str, Any]] = []
        for key in sorted({*before, *after}):
            rows += difference(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        return rows
    if isinstance(before, list) and isinstance(after, list):
        return [
            {
                "field": path,
                "removed": [v for v in before if v not in after],
                "added": [v for v in after if v not in before],
            }
        ]
    return [{"field": path, "removed": [] if before is None else [before], "added": [] if after is None else [after]}]
