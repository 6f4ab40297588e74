"""What the audit pages ask of the trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import QuerySet

from patchflow.kernel.models import AuditEntry, AuditSeal, User
from patchflow.kernel.registry import VERBS


def entries(actor: User) -> QuerySet[AuditEntry]:
    """The entries that `actor` may read: all with the right to audit, else none."""
    found = AuditEntry.objects.select_related("leaf__seal")
    return found if actor.scopes_for("audit.view") is None else found.none()


def entries_of(object_type: str, object_id: str, actor: User) -> QuerySet[AuditEntry]:
    """The history of one object, for whoever may see that object; nothing else is found by its number."""
    model = apps.get_model(object_type)
    rows = model._default_manager.all()
    visible_to = getattr(rows, "visible_to", None)
    seen = visible_to(actor) if visible_to else rows.none()
    if actor.scopes_for("audit.view") is not None and not seen.filter(pk=object_id).exists():
        return AuditEntry.objects.none()
    return AuditEntry.objects.filter(object_type=object_type, object_id=object_id).select_related("leaf__seal")


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
