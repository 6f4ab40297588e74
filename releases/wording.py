"""Small words of sentences that are kept as they were written (evidence, journals)."""

from __future__ import annotations

from functools import lru_cache

from patchflow.kernel.blockers import English, english_n


@lru_cache(maxsize=1000)
def many(count: int, noun: str) -> English:
    """“1 file”, “3 files”."""
    match noun:
        case "host":
            return english_n("%(n)s host", "%(n)s hosts", count)
        case "file":
            return english_n("%(n)s file", "%(n)s files", count)
        case "package":
            return english_n("%(n)s package", "%(n)s packages", count)
    raise KeyError(noun)
