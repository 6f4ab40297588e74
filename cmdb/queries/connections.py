"""Where a host is reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from cmdb.enums import KeyReference
from cmdb.models import Connection
from cmdb.remote.connection import THIS_COMPUTER, Endpoint
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked

UNREAD = (
    "host_key_accepted_by",
    "host_key_accepted_at",
    "shown_key",
    "shown_at",
    "last_tested_at",
    "last_test_ok",
    "last_test_reasons",
)
"""Columns of a connection that say nothing about how to reach the host."""


def endpoint_of(host_id: int) -> Endpoint:
    """The endpoint of a host, for scanners and executors; this computer itself for the local host.

    Raises Blocked: no connection, no host key accepted by a person (also on a jump host), or our key's variable unset.
    """
    return endpoints_of([host_id])(host_id)


def endpoints_of(host_ids: Iterable[int]) -> Callable[[int], Endpoint]:
    """`endpoint_of` for many hosts: their connections are read by one query, now, and those with a jump host by another."""
    rows = Connection.objects.order_by().defer(*UNREAD)
    known = {connection.host_id: connection for connection in rows.filter(host_id__among=list(host_ids))}
    if jumping := [connection.pk for connection in known.values() if connection.jump_id]:
        far = rows.filter(pk__among=jumping).select_related("jump__jump")
        known |= {connection.host_id: connection for connection in far}
    made: dict[int, Endpoint] = {}

    def one(host_id: int) -> Endpoint:
        if host_id in made:
            return made[host_id]
        if host_id not in known:
            raise Blocked([Blocker("connection.none", "This host has no connection: nobody has said how to reach it.")])
        return made.setdefault(host_id, endpoint(known[host_id]))

    return one


def endpoint(connection: Connection, *, unpinned: bool = False) -> Endpoint:
    """As `endpoint_of`, of a connection at hand; `unpinned` allows a host key that nobody has accepted (to be shown)."""
    if connection.is_local:
        return THIS_COMPUTER
    if not connection.host_key and not unpinned:
        sentence = english("The host key of %(connection)s has not been accepted by a person.", connection=connection)
        raise Blocked([Blocker("connection.key_not_accepted", sentence, tone="wait")])
    try:
        return Endpoint(
            address=connection.address,
            port=connection.port,
            user=connection.user,
            become=connection.become,
            jump=endpoint(connection.jump) if connection.jump else None,
            host_key=connection.host_key,
            key_path=_key_path(connection),
        )
    except ValueError as error:
        raise Blocked([Blocker("connection.address", english("%(error)s.", error=error))]) from error


def _key_path(connection: Connection) -> str:
    match connection.key_kind:
        case KeyReference.FILE:
            return connection.key_reference
        case KeyReference.ENVIRONMENT:
            path = os.environ.get(connection.key_reference, "")
            if not path:
                sentence = english(
                    "The variable %(key_reference)s, which names the file of our key, is not set.",
                    key_reference=connection.key_reference,
                )
                raise Blocked([Blocker("connection.key_variable", sentence)])
            return path
    return ""
