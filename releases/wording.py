"""Small words of sentences that are kept as they were written (evidence, journals)."""

from __future__ import annotations


def many(count: int, noun: str) -> str:
    """“1 file”, “3 files”."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
