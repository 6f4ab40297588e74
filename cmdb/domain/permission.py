"""The one sentence that every verb here starts with."""

from __future__ import annotations

from typing import Any

from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid, NotAllowed
from patchflow.kernel.models import User
from patchflow.kernel.rules import capability, failing


def demand(name: str, obj: Any, actor: User) -> None:
    """Raises NotAllowed unless `actor` holds the capability for all hosts that `obj` concerns (None: everywhere)."""
    if refused := failing([capability(name)], obj, actor):
        raise NotAllowed(refused)


def said(field: str, text: str, *, what: str, limit: int) -> str:
    """`text` without surrounding space; raises Invalid (code ends in the field's name) if nothing is left or too much."""
    text = text.strip()
    if not text or len(text) > limit or "\x00" in text:
        problem = (
            english("%(what)s has more than %(limit)s characters or cannot be read.", what=what, limit=limit)
            if text
            else english("%(what)s must be said.", what=what)
        )
        raise Invalid([Blocker(f"invalid.{field}", problem)])
    return text
