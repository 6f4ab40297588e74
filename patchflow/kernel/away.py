"""Whether an error says that the database is away for the moment, and not that something is wrong with us."""

from __future__ import annotations

from django.db import InterfaceError, OperationalError, connection

RETRY_AFTER = 5
"""Seconds until trying again is worth it: PostgreSQL is back from a crash in about that time."""
AWAY = "The database does not answer at the moment. If this was an act, it may have been done: look, or repeat it with the same key."
BUSY = ("locked", "busy", "unable to open", "disk i/o", "disk is full")


def is_away(error: BaseException | None) -> bool:
    """Cut off, starting up, shutting down, full, or busy for too long. On SQLite many mistakes have the same class: its words decide."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    return connection.vendor != "sqlite" or any(word in str(error).lower() for word in BUSY)
