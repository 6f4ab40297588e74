"""What the keys of all ecosystems share: how a number is written, limits, the epoch.

Keys hold printable ASCII only and are compared byte by byte (PostgreSQL collation "C", SQLite BINARY, Python `<`).
"""

from __future__ import annotations

import re

from cmdb.versions.errors import InvalidVersion

TEXT_MAX_LENGTH = 255
"""Characters of the longest version accepted; no archive holds one a third as long."""

KEY_MAX_LENGTH = 2 * TEXT_MAX_LENGTH + 1
"""Characters of the longest key: at most two for each character of the text, two ends and an epoch for one hyphen."""

END = "#"
"""Closes each part of a version, so that no part's code begins another's and parts can be concatenated."""

_EPOCH = re.compile(r"[0-9]+")
_LENGTHS = tuple("@" * (count // 16) + chr(0x30 + count % 16) for count in range(TEXT_MAX_LENGTH + 1))


def number(digits: str) -> str:
    """Write a run of decimal digits so that codes sort as the numbers do.

    Leading zeros are dropped; the count of digits left goes first (`@` for each full 16, then one of `0` to `?`),
    so a longer number sorts after a shorter one. Zero and the empty run are `0`.
    """
    significant = digits.lstrip("0")
    return _LENGTHS[len(significant)] + significant


def split_epoch(text: str, *, limit: int) -> tuple[str, str]:
    """Return (epoch's code, rest) of `[epoch:]rest`; an absent epoch is 0.

    Raises InvalidVersion where the text is empty or longer than TEXT_MAX_LENGTH, or the epoch is no number in 0..limit.
    """
    if not text:
        raise InvalidVersion(text, "is empty")
    if len(text) > TEXT_MAX_LENGTH:
        raise InvalidVersion(text, f"is longer than {TEXT_MAX_LENGTH} characters")
    head, colon, rest = text.partition(":")
    if not colon:
        return number("0"), text
    if not _EPOCH.fullmatch(head) or int(head) > limit:
        raise InvalidVersion(text, f"has an epoch that is no whole number from 0 to {limit}")
    return number(head), rest
