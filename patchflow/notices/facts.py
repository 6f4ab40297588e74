"""The facts of a notice as JSON: taken once when it is written, given back to every wording of it, in any language and zone.

A moment is kept as {"@": ISO 8601}, a thing with a name of its own as {"_": its name, …}.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import models

from patchflow.kernel.models import User

LONG = 500
"""Characters beyond which a text is no fact of a notice; the page has it."""


class Said(dict[str, Any]):
    """A thing of which facts are kept; as text its name."""

    def __str__(self) -> str:
        return str(self.get("_", ""))


def take(declared: Mapping[str, type], context: Mapping[str, Any]) -> dict[str, Any]:
    """The declared facts ("rfc.number" → str) from the objects of a verb. Raises LookupError or TypeError: a defect of the caller."""
    found: dict[str, Any] = {}
    for path, kind in declared.items():
        *heads, last = path.split(".")
        at = found
        for head in heads:
            at = at.setdefault(head, {})
        at[last] = _typed(path, _look(path, context), kind)
    return found


def everything(context: Mapping[str, Any]) -> dict[str, Any]:
    """For a kind that declares no facts: the short columns of each object, and what is plain already."""
    return {name: _plain(value) for name, value in context.items()}


def holds(facts: Mapping[str, Any], path: str) -> bool:
    """Whether the fact at this path is there and true; a notice of earlier days may lack it."""
    value: Any = facts if path else None
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value is True


def give(value: Any) -> Any:
    """What `take` made, as a template wants it: moments as moments, things as things."""
    if isinstance(value, dict):
        if "@" in value:
            return datetime.fromisoformat(value["@"])
        return Said({name: give(one) for name, one in value.items()})
    if isinstance(value, list):
        return [give(one) for one in value]
    return value


def _look(path: str, context: Mapping[str, Any]) -> Any:
    value: Any = context
    for name in path.split("."):
        if isinstance(value, Mapping):
            if name not in value:
                raise LookupError(f"the fact {path!r} is missing")
            value = value[name]
        else:
            value = getattr(value, name)
        if value is None:
            return None
    return value


def _typed(path: str, value: Any, kind: type) -> Any:
    if value is None:
        return None
    if kind is str:
        return str(value)
    if kind is list:
        return [str(one) if isinstance(one, models.Model) else _plain(one) for one in value]
    if not isinstance(value, kind):
        raise TypeError(f"the fact {path!r} is {type(value).__name__}, not {kind.__name__}")
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return {"@": value.isoformat()}
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, User):
        return {"_": str(value)}  # of a person nothing but the name
    if isinstance(value, models.Model):
        columns = {f.attname: getattr(value, f.attname) for f in value._meta.concrete_fields}
        short = {k: v for k, v in columns.items() if isinstance(v, bool | int | datetime | str) and len(str(v)) <= LONG}
        return {"_": str(value), **{name: _plain(one) for name, one in short.items()}}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset | models.QuerySet):
        return [_plain(one) for one in value]
    return str(value)
