"""Debian's order of versions as a sortable key.

The order is that of deb-version(7) and Debian Policy 5.6.12, as `dpkg --compare-versions` decides it: runs of
non-digits and numbers alternate; in a run `~` sorts before its end, its end before letters, letters before the rest.
"""

from __future__ import annotations

import re

from cmdb.versions.encoding import END, number, split_epoch
from cmdb.versions.errors import InvalidVersion

EPOCH_MAX = 2**31 - 1
"""dpkg reads the epoch into a C int."""

_UPSTREAM = re.compile(r"[A-Za-z0-9.+~:-]+")
_REVISION = re.compile(r"[A-Za-z0-9.+~]+")
_PAIR = re.compile(r"([^0-9]*)([0-9]*)")
_REBUILD = re.compile(r"\+b[0-9]+\Z")

# `!` is below END, END below a number's first character (0x30..0x40), that below the letters, and these below `{|}~`:
# so a number's first character is also the "end of run", and punctuation keeps its ASCII order.
_RUN_ORDER = str.maketrans({"~": "!", "+": "{", "-": "|", ".": "}", ":": "~"})


def key(text: str) -> str:
    """Return the key of a Debian version: keys sort as dpkg sorts versions, and equal keys mean equal versions.

    Raises InvalidVersion for what dpkg refuses, and for what it only warns of because no archive can hold it:
    characters outside the policy's alphabet. A version that starts with a letter is accepted, as by dpkg.
    """
    epoch, rest = split_epoch(text, limit=EPOCH_MAX)
    upstream, hyphen, revision = rest.rpartition("-")
    if not hyphen:
        upstream, revision = rest, "0"
    if not upstream:
        raise InvalidVersion(text, "has no upstream version")
    if not revision:
        raise InvalidVersion(text, "ends in a hyphen without a revision")
    if not _UPSTREAM.fullmatch(upstream) or not _REVISION.fullmatch(revision):
        raise InvalidVersion(text, "holds a character that Debian versions cannot have")
    return epoch + _part(upstream) + _part(revision)


def source_version(text: str) -> str:
    """Return the version of the source a binary was built from: the text without a rebuild suffix (`+b1`).

    Right only where the package names no other source version (wiki.debian.org/binNMU).
    """
    return _REBUILD.sub("", text)


def _part(text: str) -> str:
    # The last pair found is the empty one at the end of the text. A run without digits counts as followed by 0, as in
    # dpkg: "1." equals "1.0".
    pairs = _PAIR.findall(text.translate(_RUN_ORDER))[:-1]
    return "".join([run + number(digits) for run, digits in pairs]) + END
