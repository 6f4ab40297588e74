"""The access log of gunicorn, without the secrets that stand in addresses: `--logger-class patchflow.access_log.Logger`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from gunicorn import glogging

from patchflow.settings.logging import without_secret


class Logger(glogging.Logger):
    """Gunicorn's own; whoever reads a log reads no calendar with it, and resets no password."""

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> dict[str, Any]:
        """What a line is made of: the request, its path and query, where it came from, its headers."""
        found: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        return {name: without_secret(value) for name, value in found.items()}

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """A request that broke is named by its address."""
        super().exception(msg, *map(without_secret, args), **kwargs)
