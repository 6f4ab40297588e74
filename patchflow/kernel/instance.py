"""The key of this installation: the prefix of every name that it leaves where another Patchflow may leave its own."""

from __future__ import annotations

import base64
import secrets

from patchflow.kernel.models import Instance


def instance_key() -> str:
    """Eight lower-case letters and digits, drawn by chance at first use (40 bits) and the same ever after."""
    drawn = base64.b32encode(secrets.token_bytes(5)).decode().lower()
    return Instance.objects.get_or_create(pk=1, defaults={"key": drawn})[0].key
