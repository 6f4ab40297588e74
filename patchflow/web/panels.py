"""Panels: a page of a lower app shows fragments that apps above it registered, without knowing them.

panels.register("cmdb.host", rfcs_of_host, order=20)      # in ready() of the upper app
{% panels "cmdb.host" host %}                             # in the template of the lower one
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

Panel = Callable[[HttpRequest, Any], SafeString | None]

_panels: dict[str, list[tuple[int, Panel]]] = {}


def register(slot: str, panel: Panel, order: int = 50) -> None:
    """Adds `panel` to `slot`; lower `order` stands higher. It gives finished markup, or None to stay out."""
    known = _panels.setdefault(slot, [])
    if all(other is not panel for _, other in known):
        known.append((order, panel))
        known.sort(key=lambda entry: entry[0])


def known(slot: str) -> bool:
    """Whether an app has something for `slot`."""
    return bool(_panels.get(slot))


def render(slot: str, request: HttpRequest, obj: Any) -> list[SafeString]:
    """What the panels of `slot` say about `obj`; plain text is escaped."""
    shown = (panel(request, obj) for _, panel in _panels.get(slot, []))
    return [conditional_escape(markup) for markup in shown if markup is not None]
