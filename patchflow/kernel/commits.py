"""Transactions that need not wait for the disk."""

from __future__ import annotations

from django.db import connection
from django.db.transaction import TransactionManagementError


def need_not_wait() -> None:
    """The transaction under way answers its commit before the disk has it (PostgreSQL's `synchronous_commit`).

    For what is found out again where it was lost: what a host's own journal says, which hosts are let through. A crash of the
    whole server loses the last half second of it, as if it had not yet been done; in order, so that nothing remains that
    followed from it, and the next transaction that does wait makes all before it last too. Never for what a person was
    told is done, a lease, or anything that is acted on outside before another commit has waited.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("There is no transaction under way.")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
