"""RPM's order of versions as a sortable key.

The order is that of `rpmvercmp` in rpm 4.15 and newer (the first with `^`): numbers and words are compared one by one,
everything between them only separates, `~` sorts before the end and `^` just after it.
"""

from __future__ import annotations

import re

from cmdb.versions.encoding import END, number, split_epoch
from cmdb.versions.errors import InvalidVersion

EPOCH_MAX = 2**32 - 1
"""The header's epoch is an unsigned 32-bit number."""

_ALLOWED = re.compile(r"[A-Za-z0-9._+~^%{}]+")
_TOKEN = re.compile(r"([0-9]+)|([A-Za-z]+)|([~^])")

# `!` < END < `$` < `%` < a number's first character (0x30..0x40): tilde, end, caret, word, number. A word needs no end:
# whatever follows it sorts below its letters.
_MARKS = {"~": "!", "^": "$"}
_WORD = "%"


def key(text: str) -> str:
    """Return the key of `[epoch:]version-release`: keys sort as rpm sorts, and equal keys mean equal versions.

    An absent epoch is 0, as in rpm. Raises InvalidVersion where version or release is missing (a release is never
    guessed) or holds a character that rpmbuild refuses.
    """
    epoch, rest = split_epoch(text, limit=EPOCH_MAX)
    version, hyphen, release = rest.rpartition("-")
    if not hyphen or not release:
        raise InvalidVersion(text, "has no release")
    if not version:
        raise InvalidVersion(text, "has nothing before its release")
    if not _ALLOWED.fullmatch(version) or not _ALLOWED.fullmatch(release):
        raise InvalidVersion(text, "holds a character that RPM versions cannot have")
    return epoch + _part(version) + _part(release)


def _part(text: str) -> str:
    code = [
        number(digits) if digits else _WORD + word if word else _MARKS[mark]
        for digits, word, mark in _TOKEN.findall(text)
    ]
    return "".join(code) + END
