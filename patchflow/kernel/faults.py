"""Named places at which a test may kill the process: `PATCHFLOW_FAULT=after_claim[:3]` dies at the third pass.

Does nothing without that variable, and nothing at all in production.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

from django.conf import settings

_passed: Counter[str] = Counter()


def fault(name: str) -> None:
    """Kills this process with SIGKILL if the environment asks for it here."""
    asked = os.environ.get("PATCHFLOW_FAULT", "")
    if not asked or settings.PRODUCTION:
        return
    wanted, _colon, count = asked.partition(":")
    if wanted != name:
        return
    _passed[name] += 1
    if _passed[name] >= int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
