"""Admin of the ground: people, rounds, deliveries, the trail. The kernel is below the web toolkit, so its windows are here."""

from importlib import import_module
from pkgutil import iter_modules

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
