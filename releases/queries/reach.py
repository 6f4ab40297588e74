"""Where the hosts of a rollout are, for the executor that acts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cmdb.models import Host
from cmdb.queries.connections import endpoints_of
from cmdb.remote.connection import Endpoint
from patchflow.kernel import registry
from patchflow.kernel.errors import Blocked


def endpoints_for(executor: str, host_ids: Iterable[int]) -> Callable[[int], Endpoint]:
    """As `endpoints_of`; for an executor that needs no connection a host without a usable one is known by its name alone,
    which nothing connects to."""
    wanted = list(host_ids)
    known, found = endpoints_of(wanted), registry.executors.get(executor)
    if found is None or found.needs_connection:
        return known
    names = dict(Host.objects.filter(pk__in=wanted).values_list("pk", "name"))

    def one(host_id: int) -> Endpoint:
        try:
            return known(host_id)
        except Blocked:
            return Endpoint(address=names[host_id])

    return one
