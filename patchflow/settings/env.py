"""Reading the environment: one place, so that a wrong value is reported by name instead of failing at import."""

from __future__ import annotations

from typing import Any

import environ
from environ.fileaware_mapping import FileAwareMapping


class _Variables(FileAwareMapping):
    """The environment, where `NAME_FILE` names a file that holds the value of NAME; the line's end is none of it."""

    def __getitem__(self, key: str) -> str:
        value: str = super().__getitem__(key)
        return value.strip()


env = environ.Env()
env.ENVIRON = _Variables(cache=False)
PROBLEMS: list[tuple[str, str]] = []
"""(variable, what is wrong with it); `patchflow.kernel.checks` turns each into a system check."""


def read(kind: str, name: str, default: Any) -> Any:
    """The variable `name` as `kind` (str, int, bool, list, db_url, cache_url), or the content of the file that `name`_FILE
    names; the default, and a problem noted, if it cannot be read."""
    try:
        if name not in env.ENVIRON:
            return getattr(env, kind)(name, default=default)
        value = getattr(env, kind)(name)
        if kind == "db_url" and "ENGINE" not in value:
            raise ValueError("it names no database engine; write postgres://user@host/name or sqlite:///path")
        return value
    except OSError as error:
        PROBLEMS.append((f"{name}_FILE", f"cannot be read: {error.strerror} ({error.filename})"))
    except Exception as error:  # every parser of django-environ raises its own kind
        PROBLEMS.append((name, f"cannot be read as {kind}: {error}"))
    return default if not kind.endswith("_url") else getattr(env, kind)("PATCHFLOW_NOT_SET", default=default)
