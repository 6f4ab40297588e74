"""What changes hears from cmdb. A receiver only writes a due row; the verb runs in a transaction of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.dispatch import receiver

from changes.domain import applicability
from cmdb.signals import inventory_recorded


@receiver(inventory_recorded, dispatch_uid="changes.evaluate")
def order_evaluation(sender: Any, *, host_id: int, package_version_ids_new: list[int], at: datetime, **_: Any) -> None:
    """A host's packages changed: what is new there is evaluated."""
    applicability.order(host_id=host_id, version_ids=package_version_ids_new, at=at)
