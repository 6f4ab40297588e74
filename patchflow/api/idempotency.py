"""`Idempotency-Key`: whoever saw no answer to a POST repeats it with the same key, and it is not done twice.

Key, caller and digest of the request are written in the transaction of the effect: both are there, or neither. Only what
was done is remembered; a refusal changes nothing, and is asked anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from patchflow.api.models import Repeatable
from patchflow.kernel import registry
from patchflow.kernel.errors import Conflict, Invalid

HEADER = "Idempotency-Key"
KEPT = timedelta(days=2)
"""A key is remembered for so long; a client that still repeats then has to look."""
TOLD_ONCE = ("password", "secret", "token")


def key_of(request: Request) -> str:
    """The key of a POST, or nothing. Raises Invalid for one that cannot be kept."""
    key = request.headers.get(HEADER, "") if request.method == "POST" else ""
    if key and not (len(key) <= 255 and key.isascii() and key.isprintable()):
        raise Invalid("A key has 1 to 255 printable ASCII characters.", code="idempotency.key")
    if key and request.content_type.startswith("multipart/"):
        raise Invalid("Files are sent without a key.", code="idempotency.key")
    if key:
        _ = request._request.body  # kept for the digest, whoever reads it first
    return key


def once(key: str, request: Request, act: Callable[[], Response]) -> Response:
    """`act`, once for this caller and key; afterwards the stored answer. `act` returns refusals as responses.

    A repeat that arrives while the first is at work waits for it. Raises Conflict for a key that was another request's.
    """
    with transaction.atomic():
        digest, actor_id = _digest(request), request.user.pk
        given = {"digest": digest, "at": timezone.now()}
        kept, new = Repeatable.objects.get_or_create(actor_id=actor_id, key=key, defaults=given)
        if not new:
            return _again(kept, digest)
        response = act()
        if 200 <= response.status_code < 300:
            kept.status = response.status_code
            kept.body = _without_secrets(
                None if response.data is None else json.loads(JSONRenderer().render(response.data))
            )
            kept.save(update_fields=["status", "body"])
        else:
            kept.delete()
    return response


def _without_secrets(body: Any) -> Any:
    """The answer as it may be kept: what is told once is told by the first answer alone."""
    return {k: None if k in TOLD_ONCE else v for k, v in body.items()} if isinstance(body, dict) else body


def _again(kept: Repeatable, digest: str) -> Response:
    if kept.digest != digest:
        raise Conflict("This key belongs to another request.", code="idempotency.other")
    return Response(kept.body, status=kept.status, headers={"Idempotency-Replayed": "true"})


def _digest(request: Request) -> str:
    told = f"{request.method} {request.get_full_path()}\n".encode() + request._request.body
    return salted_hmac(__name__, told, algorithm="sha256").hexdigest()  # a body may hold a password


@registry.sweep("api.repeatable")
def forget(*, now: datetime) -> int:
    """Forgets keys that are older than they are kept; reads first."""
    old = list(Repeatable.objects.filter(at__lt=now - KEPT).values_list("pk", flat=True)[:1000])
    if old:
        Repeatable.objects.filter(pk__in=old).delete()
    return len(old)
