"""Structured logs: one event a line, with the correlation id that also stands in the audit entry. Secrets are masked."""

from __future__ import annotations

import re
from typing import Any

import structlog

from patchflow.settings.base import PRODUCTION
from patchflow.settings.env import read

SECRET_WORDS = ("password", "secret", "token", "private_key", "authorization", "cookie", "passphrase")


SECRET_ADDRESS = re.compile(r"(/calendar/feed/|/password/reset/key/)[^/?#\s\"'.]+")
"""Addresses that are a secret: the feed of a calendar, also where it was mistyped, and what a mail about a password leads to."""


def without_secret(value: Any) -> Any:
    """The text without the secret of an address in it; anything else as it is."""
    return SECRET_ADDRESS.sub(r"\1***", value) if isinstance(value, str) else value


def mask_addresses(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replaces the secret in addresses that are one: whoever reads a log reads no calendar with it."""
    return {k: without_secret(v) for k, v in event.items()}


def mask_secrets(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Replaces the value of every key that names a secret."""
    return {k: "***" if any(w in k.lower() for w in SECRET_WORDS) else v for k, v in event.items()}


SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    mask_secrets,
    mask_addresses,
]
RENDER: Any = (
    structlog.processors.JSONRenderer()
    if PRODUCTION or read("bool", "PATCHFLOW_LOG_JSON", False)
    else structlog.dev.ConsoleRenderer(colors=False)
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": SHARED,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                RENDER,
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["console"], "level": read("str", "PATCHFLOW_LOG_LEVEL", "INFO")},
    "loggers": {"django.utils.autoreload": {"level": "WARNING"}, "django_structlog": {"level": "WARNING"}},
}

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *SHARED,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
