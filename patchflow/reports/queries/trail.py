"""What the audit pages ask of the trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from patchflow.kernel.models import AuditEntry, AuditSeal, User
from patchflow.kernel.registry import VERBS


def entries(actor: User) -> QuerySet[AuditEntry]:
    """The entries that `actor` may read: all with the right to audit, else none."""
    found = AuditEntry.objects.select_related("leaf__seal")
    return found if actor.scopes_for("audit.view") is None else found.none()


@dataclass(frozen=True, slots=True)
class TrailState:
    """How far the trail is sealed, and since when."""

    seals: int
    last_sealed_at: datetime | None
    head: str
    waiting: bool


def state() -> TrailState:
    """Two queries."""
    last = AuditSeal.objects.order_by("-number").first()
    floor = last.floor if last else 0
    waiting = AuditEntry.objects.filter(pk__gt=floor, leaf__isnull=True).exists()
    return TrailState(last.number if last else 0, last.sealed_at if last else None, last.hash if last else "", waiting)


def groups_of_verbs() -> list[tuple[str, str]]:
    """The objects that verbs speak of: `change.rfc` → "change rfc"."""
    found = sorted({name.rpartition(".")[0] for name in VERBS if not name.startswith("toy.")})
    return [(name, name.replace(".", " · ").replace("_", " ")) for name in found]
