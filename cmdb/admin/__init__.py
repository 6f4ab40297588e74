"""The operators' window on what we have: every row in sight, changed by verbs only; one module per aggregate."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
