"""System checks: what is set wrong, with an id and what to do. Production refuses to start on an error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection

from patchflow.kernel import fsm, queue, registry


@register(Tags.security)
def check_environment(**_: Any) -> list[CheckMessage]:
    """Variables that could not be read."""
    return [
        Error(
            f"{name} {problem}",
            hint="Correct the variable; docs/reference/settings.md lists them.",
            id="patchflow.E001",
        )
        for name, problem in settings.SETTINGS_PROBLEMS
    ]


@register(Tags.security)
def check_production(**_: Any) -> list[CheckMessage]:
    """Production needs its own secrets and real servers."""
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if settings.SECRET_KEY == settings.DEVELOPMENT_SECRET or len(settings.SECRET_KEY) < 50:
        found.append(
            Error(
                "The secret key is the development key, or too short.",
                hint="Set PATCHFLOW_SECRET_KEY or PATCHFLOW_SECRET_KEY_FILE to 50 random characters or more.",
                id="patchflow.E002",
            )
        )
    needs = {
        "PATCHFLOW_DATABASE_URL": not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"),
        "PATCHFLOW_BROKER_URL": not settings.CELERY_BROKER_URL.startswith("memory"),
        "PATCHFLOW_CACHE_URL": "locmem" not in settings.CACHES["default"]["BACKEND"].lower(),
        "PATCHFLOW_ALLOWED_HOSTS": bool(settings.ALLOWED_HOSTS),
    }
    for name, good in needs.items():
        if not good:
            found.append(
                Error(
                    f"{name} is not set for production.",
                    hint=f"Set {name}; docs/how-to/production.md shows the whole set.",
                    id="patchflow.E003",
                )
            )
    return found


@register(Tags.database)
def check_services(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Database, broker and cache answer to the addresses and passwords given (`check --database default`, `migrate`)."""
    if not databases:
        return []
    asked = {
        "PATCHFLOW_DATABASE_URL": connection.ensure_connection,
        "PATCHFLOW_BROKER_URL": queue.reach_broker,
        "PATCHFLOW_CACHE_URL": getattr(cache, "reach", lambda: cache.get("patchflow.check")),
    }
    found: list[CheckMessage] = []
    for name, ask in asked.items():
        try:
            ask()
        except Exception as error:  # each service's client raises its own kinds
            found.append(
                Error(
                    f"{name}: {' '.join(str(error).split())[:300] or type(error).__name__}",
                    hint=f"Is the service running, and are host, user, password and name in {name} right?",
                    id="patchflow.E007",
                )
            )
    return found


@register(Tags.compatibility)
def check_state_machine_library(**_: Any) -> list[CheckMessage]:
    """`django-fsm` and `django-fsm-2` share a folder: removing one deletes the other's files."""
    try:
        distribution("django-fsm")
    except PackageNotFoundError:
        return []
    return [
        Error(
            "The distribution django-fsm is installed beside django-fsm-2.",
            hint="Uninstall both, then install django-fsm-2.",
            id="patchflow.E004",
        )
    ]


@register(Tags.models)
def check_machines(**_: Any) -> list[CheckMessage]:
    """Transitions declared gated have a gate; gates name transitions that exist."""
    found: list[CheckMessage] = []
    for label, machine in fsm.MACHINES.items():
        found += [
            Error(
                f"{label}.{t.name} is declared gated, but no gate is registered.",
                hint="Decorate a function in a domain module with @gate.",
                id="patchflow.E005",
            )
            for t in machine
            if t.gated and not registry.gates_of(label, t.name)
        ]
    for name in registry.gated_transitions():
        label, _dot, transition = name.rpartition(".")
        if transition not in {t.name for t in fsm.MACHINES.get(label, [])}:
            found.append(
                Error(
                    f"A gate is registered for {name}, which does not exist.",
                    hint="Correct the names in @gate.",
                    id="patchflow.E006",
                )
            )
    return found
