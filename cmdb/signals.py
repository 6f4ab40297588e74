"""What cmdb tells the app above it; each signal has exactly one receiver, which only writes a due row."""

from django.dispatch import Signal

inventory_recorded = Signal()
"""Sent inside the transaction that recorded a host's changed packages: `host_id: int`, `package_version_ids_new:
list[int]` (package versions that this host did not have before), `at: datetime`."""
