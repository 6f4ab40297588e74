"""The order of package versions, as text keys that a database compares bytewise.

    introduced_key <= key < fix_key        the version is in the affected range

Keys of different ecosystems must never meet: every comparison also asks for the same ecosystem. To add one: a module
with `key(text) -> str`, a line in `_KEYS`, a test against the comparator of its own package manager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cmdb.versions import deb, rpm
from cmdb.versions.encoding import KEY_MAX_LENGTH, TEXT_MAX_LENGTH
from cmdb.versions.errors import InvalidVersion

__all__ = [
    "KEY_MAX_LENGTH",
    "KEY_VERSION",
    "NOT_AFFECTED",
    "NO_FIX",
    "TEXT_MAX_LENGTH",
    "InvalidVersion",
    "key",
]

KEY_VERSION = 1
"""Number of the encoding. A changed rule takes the next number, and stored keys of older numbers are made again."""

NO_FIX = "~"
"""Fix key of "no fixed version exists": above every key, so every installed version is below it."""

NOT_AFFECTED = ""
"""Fix key of "not affected": below every key, so no installed version is below it."""

_KEYS: Mapping[str, Callable[[str], str]] = {"deb": deb.key, "rpm": rpm.key}


def key(ecosystem: str, text: str) -> str:
    """Return the sortable key of a version of `ecosystem`, "deb" or "rpm".

    Raises InvalidVersion where the text is no version there, LookupError where the ecosystem has no order.
    """
    try:
        make = _KEYS[ecosystem]
    except KeyError:
        raise LookupError(f"no version order for ecosystem {ecosystem!r}") from None
    return make(text)
