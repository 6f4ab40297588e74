"""How the API describes itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Repeat a request that saw no answer with the same key: it is not done twice, and is answered as the first.",
)


class VerbSchema(AutoSchema):
    """Every verb may be repeated under a key."""

    def get_override_parameters(self) -> list[Any]:
        return [KEY] if self.method == "POST" and hasattr(self.view, "act") else []
