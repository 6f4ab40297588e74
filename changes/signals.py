"""What travels up from changes: one receiver each, which only writes a due row."""

from django.dispatch import Signal

authorization_lost = Signal()
"""Sent with rfc_id, reason, at: what runs under this RFC must not go on (lapse, hold, revision, cancellation)."""
