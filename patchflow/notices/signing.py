"""The signature of a webhook, in the form of Standard Webhooks: HMAC-SHA256 over id, moment and body.

A secret is never stored: it is derived from the key of this installation and a salt, so that neither a copy of the database
nor the audit trail shows it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.conf import settings

PREFIX = "whsec_"
WITHIN = timedelta(minutes=5)
"""A message whose moment is further away than this is a replay, whatever its signature."""


def secret_of(salt: str) -> str:
    """The secret that belongs to a salt, as it is shown once: "whsec_…"."""
    key = hmac.new(settings.SECRET_KEY.encode(), f"patchflow.webhook:{salt}".encode(), hashlib.sha256).digest()
    return PREFIX + base64.b64encode(key).decode()


def signature(secret: str, message_id: str, moment: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.new(key, f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def headers(secrets: Iterable[str], message_id: str, body: bytes, *, now: datetime) -> dict[str, str]:
    """The headers of one try; while a secret is being changed it is signed with the old one too."""
    moment = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(signature(secret, message_id, moment, body) for secret in secrets),
    }


def verify(secret: str, sent: Mapping[str, str], body: bytes, *, now: datetime) -> bool:
    """What a receiver does: the signature is ours, and the moment is now. It then remembers the id, and takes each once."""
    try:
        moment = int(sent["webhook-timestamp"])
    except (KeyError, ValueError):
        return False
    if abs(now.timestamp() - moment) > WITHIN.total_seconds():
        return False
    expected = signature(secret, sent.get("webhook-id", ""), moment, body)
    return any(hmac.compare_digest(expected, one) for one in sent.get("webhook-signature", "").split(" "))
