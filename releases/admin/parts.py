"""What the windows on releases have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Model

from patchflow.kernel.models import User
from patchflow.web.admin import ReadOnlyInline


def inline(of: type[Model], *shown: str) -> type[ReadOnlyInline]:
    """Rows of this model below another, to be seen."""
    return type(f"{of.__name__}Inline", (ReadOnlyInline,), {"model": of, "fields": shown})


def call_of(verb: Callable[..., Any], key: str, *, reason: str = "") -> Callable[[Any, User, Any, str], Any]:
    """A call of an admin verb: one domain verb on one row; `reason` names the argument that takes what was said."""

    def call(obj: Any, actor: User, at: Any, said: str) -> None:
        verb(**{key: obj.pk}, actor=actor, at=at, **({reason: said} if reason else {}))

    return call
