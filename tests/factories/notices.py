"""Notices as rows, where their words do not matter."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

from patchflow.kernel.models import User
from patchflow.notices.models import Delivery, Notice

_numbers = count(1)


def make_delivery(person: User, *, at: datetime, title: str = "RFC-2026-00001: authorized", **fields: Any) -> Delivery:
    """A notice to one person; on its way by mail unless `fields` say otherwise."""
    number = next(_numbers)
    notice = Notice.objects.create(
        kind="approval_ended", key=f"made:{number}", title=title, url="/changes/rfcs/", written_at=at
    )
    given = {"channel": "mail", "title": title, "body": "OpenSSL on the web tier.", **fields}
    return Delivery.objects.create(notice=notice, user=person, **given)
