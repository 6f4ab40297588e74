"""Strict reading of JSON by the shape that the OSV schema demands, with errors that name the place."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

MAX_DEPTH = 40
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class BadRecord(Exception):
    """A document that is not what it should be. Its text says where and why; `advisory_id` is set where known."""

    def __init__(self, sentence: str, *, advisory_id: str = "") -> None:
        super().__init__(sentence)
        self.advisory_id = advisory_id


def parse_json(data: bytes) -> Any:
    """Read JSON, refusing what later stages could not store or would read in two ways.

    Refused: no UTF-8, NaN and Infinity, a key twice in one object, NUL characters, lone surrogates, nesting deeper
    than 40, absurdly long numbers.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRecord(f"It is not UTF-8 text (byte {error.start}).") from None
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise BadRecord(f"It is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise BadRecord(f"It is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise BadRecord(f"It is not JSON that can be stored: {error}.") from None
    _check_tree(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRecord("An object in it has the same key twice, so it could be read in two ways.")
    return found


def _no_constant(name: str) -> Any:
    raise BadRecord(f"It holds the number {name}, which JSON does not have.")


def _check_tree(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadRecord(f"It is nested deeper than {MAX_DEPTH} levels.")
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise BadRecord("A text in it holds a NUL character.")
    if not text.isascii() and _SURROGATE.search(text):
        raise BadRecord("A text in it holds half a character (a lone surrogate).")


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true/false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def record(value: Any, at: str) -> dict[str, Any]:
    """The value as an object, or BadRecord."""
    if not isinstance(value, dict):
        raise BadRecord(f"{at} is {_kind(value)}; an object is needed.")
    return value


def section(owner: dict[str, Any], key: str, at: str) -> dict[str, Any]:
    """The object under `key`; empty where absent or null."""
    value = owner.get(key)
    return {} if value is None else record(value, f"{at}{key}")


def items(owner: dict[str, Any], key: str, at: str, *, limit: int) -> list[Any]:
    """The list under `key`; empty where absent or null. More than `limit` entries are refused."""
    value = owner.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRecord(f"{at}{key} is {_kind(value)}; a list is needed.")
    if len(value) > limit:
        raise BadRecord(f"{at}{key} has {len(value)} entries; at most {limit} are taken.")
    return value


def text(owner: dict[str, Any], key: str, at: str, *, default: str | None = None) -> str:
    """The text under `key`. Without `default` it must be there."""
    value = owner.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        missing = "is missing" if key not in owner else f"is {_kind(value)}; text is needed"
        raise BadRecord(f"{at}{key} {missing}.")
    return value


def texts(owner: dict[str, Any], key: str, at: str, *, limit: int) -> list[str]:
    """The list of texts under `key`; empty where absent or null."""
    values = items(owner, key, at, limit=limit)
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise BadRecord(f"{at}{key}[{position}] is {_kind(value)}; text is needed.")
    return values


def moment(owner: dict[str, Any], key: str) -> datetime | None:
    """The RFC 3339 time under `key` as aware UTC; None where absent or null."""
    written = text(owner, key, "", default="")
    if not written:
        return None
    if not _TIMESTAMP.fullmatch(written):
        raise BadRecord(f"{key} is {written[:60]!r}; a time like 2026-11-20T00:12:41Z is needed.")
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRecord(f"{key} is {written[:60]!r}; there is no such time.") from None
