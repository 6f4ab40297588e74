"""System checks of releases: what is set wrong, with an id and what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

from patchflow.kernel import registry


@register(Tags.compatibility)
def check_executor(**_: Any) -> list[CheckMessage]:
    """The executor that releases get unless they say otherwise is one of those there are."""
    name, known = settings.PATCHFLOW["EXECUTOR"], sorted(registry.executors)
    if name in known:
        return []
    hint = f"Set PATCHFLOW_EXECUTOR to one of: {', '.join(known)}."
    return [Error(f"There is no executor named {name}.", hint=hint, id="patchflow.E008")]
