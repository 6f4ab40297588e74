"""What the tests of the face share: rendering a snippet as a page would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory

NOW = datetime(2026, 11, 18, 9, 42, tzinfo=UTC)
Render = Callable[..., str]


@pytest.fixture
def rendered() -> Render:
    """`rendered("{% ago moment %}", moment=...)` seen from Wed 18 Nov 2026 09:42 UTC, whitespace folded."""

    def render(source: str, **values: Any) -> str:
        context = Context({"now": NOW, "request": RequestFactory().get("/"), "csrf_token": "token", **values})
        return " ".join(Template("{% load patchflow %}" + source).render(context).split())

    return render
