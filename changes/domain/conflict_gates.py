"""Conflicts as gates: what no waiting heals is refused before anybody is asked, and before the change begins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from changes.models import RFC
from changes.queries.conflicts import denying
from patchflow.kernel.blockers import Blocker
from patchflow.kernel.models import User
from patchflow.kernel.registry import gate


@gate("changes.rfc", "request_approval", "begin")
def without_denying_conflict(rfc: RFC, *, actor: User, at: datetime, facts: Mapping[str, Any]) -> list[Blocker]:
    """No conflict that denies: what it permits (windows, dates, its kind in freezes) leaves at least one target a time."""
    return denying(rfc, at=at)
