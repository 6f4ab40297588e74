"""Django's cache on Redis, which a request never waits for: where Redis is away, this process remembers for itself.

What is kept here may be forgotten (attempts counted, a sweep under way), so that a log-in or a decision need not fail for it.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from django.conf import settings
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)
PATIENCE = 0.25
"""Seconds until Redis counts as away; then it is not asked for one period of the sweep."""


class PatientCache(RedisCache):
    """Redis where it answers at once, else the memory of this process. Limits then hold for each process by itself."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        patience = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": Retry(NoBackoff(), 0)}
        super().__init__(server, {**params, "OPTIONS": {**patience, **params.get("OPTIONS", {})}})
        self._near = LocMemCache("away", params)
        self._away_until = 0.0

    @property
    def away(self) -> bool:
        """Whether Redis did not answer lately."""
        return time.monotonic() < self._away_until

    def reach(self) -> None:
        """Raises the client's own error if Redis does not answer."""
        super().get("patchflow.reach")

    def _ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if not self.away:
            try:
                return getattr(super(), name)(*args, **kwargs)
            except RedisError as error:
                self._away_until = time.monotonic() + settings.PATCHFLOW["SWEEP_SECONDS"]
                log.warning("cache.away", error=type(error).__name__)
        return getattr(self._near, name)(*args, **kwargs)

    def add(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("add", *args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get", *args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set", *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("touch", *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete", *args, **kwargs)

    def get_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("get_many", *args, **kwargs)

    def has_key(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("has_key", *args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("incr", *args, **kwargs)

    def set_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("set_many", *args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("delete_many", *args, **kwargs)

    def clear(self) -> Any:
        return self._ask("clear")
