"""Which icons there are: the symbols of the sprite."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SPRITE = Path(__file__).with_name("templates") / "web" / "sprite.html"


@cache
def names() -> frozenset[str]:
    """The names that `{% icon "…" %}` knows."""
    return frozenset(re.findall(r'<symbol id="i-([\w-]+)"', SPRITE.read_text(encoding="utf-8")))
