"""What the kernel tells the layers above. Each signal has one receiver, which only writes a row."""

from django.dispatch import Signal

substitute_named = Signal()
"""A substitute was named: `substitution_id`, `at`."""
person_deactivated = Signal()
"""Somebody may no longer log in: `user`, `actor`, `at`. Sent in the transaction of the verb."""
