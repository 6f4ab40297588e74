"""Loading what registers itself: every module of an app's `domain`, and its slices, so that no gate is ever forgotten."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.util import find_spec

FLOORS = ("domain", "receivers", "web.panels", "web.nav")


def load_domain(app: str) -> None:
    """Imports `<app>.domain.*` and the app's other registering modules, where they exist."""
    for floor in FLOORS:
        name = f"{app}.{floor}"
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            continue
        if spec is None:
            continue
        module = import_module(name)
        for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
            import_module(f"{name}.{found.name}")
