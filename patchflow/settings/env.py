"""Reading the environment: one place, so that a wrong value is reported by name instead of failing at import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ

env = environ.Env()
PROBLEMS: list[tuple[str, str]] = []
"""(variable, what is wrong with it); `patchflow.kernel.checks` turns each into a system check."""


def read(kind: str, name: str, default: Any) -> Any:
    """The variable `name` as `kind` (str, int, bool, list, db_url, cache_url); the default, and a problem noted, if it cannot be read."""
    if name not in env.ENVIRON:
        return getattr(env, kind)(name, default=default)
    try:
        value = getattr(env, kind)(name)
        if kind == "db_url" and "ENGINE" not in value:
            raise ValueError("it names no database engine; write postgres://user@host/name or sqlite:///path")
        return value
    except Exception as error:  # every parser of django-environ raises its own kind
        PROBLEMS.append((name, f"cannot be read as {kind}: {error}"))
        return default if not kind.endswith("_url") else getattr(env, kind)("PATCHFLOW_NOT_SET", default=default)


def secret(name: str, default: str) -> str:
    """The secret `name`, or the content of the file named by `name`_FILE."""
    path = env.str(f"{name}_FILE", default="")
    if path:
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            PROBLEMS.append((f"{name}_FILE", f"cannot be read: {error.strerror} ({path})"))
            return default
    return env.str(name, default=default)
