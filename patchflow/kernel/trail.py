"""Sealing, publishing and proving the audit trail.

The sealer folds every entry that has no leaf yet into a Merkle root (RFC 9162 form), chained to the last seal; readers
of the log (webhooks, notices) follow (seal, position), never ids, which would skip late committers. Heads are published
outside the database; what a superuser changed since the last published head cannot be proven, and `verify` says so.
"""

from __future__ import annotations

import hashlib
import json
import syslog
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet

from patchflow.kernel.audit import named
from patchflow.kernel.integrity import EMPTY, chain_hash, merkle_root
from patchflow.kernel.models import Audited, AuditEntry, AuditLeaf, AuditSeal, User

BATCH = 5000
SETTLED = timedelta(hours=1)
"""No transaction stays open longer than this; older gaps in the ids are rolled-back writes."""


def entries_of(object_type: str, object_id: str, actor: User) -> QuerySet[AuditEntry]:
    """The history of one object, for whoever may see that object; nothing else is found by its number."""
    model = apps.get_model(object_type)
    rows = model._default_manager.all()
    visible_to = getattr(rows, "visible_to", None)
    seen = visible_to(actor) if visible_to else rows.none()
    if actor.scopes_for("audit.view") is not None and not seen.filter(pk=object_id).exists():
        return AuditEntry.objects.none()
    return AuditEntry.objects.filter(object_type=object_type, object_id=object_id).select_related("leaf__seal")


def leaf_hash(entry: AuditEntry) -> str:
    """What a seal keeps of an entry: its hash and when the database took it."""
    return hashlib.sha256(f"{entry.hash}\n{entry.recorded_at.isoformat()}".encode()).hexdigest()


def seal_document(seal: AuditSeal) -> dict[str, object]:
    return {"number": seal.number, "count": seal.count, "root": seal.root, "sealed_at": seal.sealed_at}


@transaction.atomic
def seal(*, at: datetime) -> AuditSeal | None:
    """Folds up to 5,000 unsealed entries into one seal; None if there are none. Two sealers take turns."""
    named("seals")
    last = AuditSeal.objects.order_by("-number").first()
    floor = last.floor if last else 0
    entries = list(AuditEntry.objects.filter(pk__gt=floor, leaf__isnull=True).order_by("pk")[:BATCH])
    if not entries:
        return None
    leaves = [leaf_hash(e) for e in entries]
    sealed = AuditSeal(
        number=last.number + 1 if last else 1,
        count=len(entries),
        root=merkle_root(leaves),
        previous=last.hash if last else EMPTY,
        sealed_at=at.replace(microsecond=0),
        floor=_new_floor(floor, entries, at),
    )
    sealed.hash = chain_hash(sealed.previous, seal_document(sealed))
    sealed.save(force_insert=True)
    AuditLeaf.objects.bulk_create(
        [
            AuditLeaf(entry=e, seal=sealed, position=i, hash=h)
            for i, (e, h) in enumerate(zip(entries, leaves, strict=True))
        ]
    )
    return sealed


def _new_floor(floor: int, entries: list[AuditEntry], at: datetime) -> int:
    if len(entries) == BATCH:
        return floor
    settled = AuditEntry.objects.filter(pk__gt=floor, recorded_at__lt=at - SETTLED).aggregate(Max("pk"))["pk__max"]
    return max(floor, settled or 0)


def publish(*, at: datetime) -> str | None:
    """Appends the newest seal's head to the published file (and syslog, if set); None if nothing is new."""
    last = AuditSeal.objects.order_by("-number").first()
    path = Path(settings.PATCHFLOW["AUDIT_HEADS_FILE"])
    published = read_heads(path)
    if last is None or (published and published[-1]["number"] >= last.number):
        return None
    line = json.dumps({"number": last.number, "hash": last.hash, "published_at": at.isoformat(timespec="seconds")})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(line + "\n")
    if settings.PATCHFLOW["AUDIT_HEADS_SYSLOG"]:
        syslog.syslog(syslog.LOG_NOTICE | syslog.LOG_AUTH, f"patchflow audit head {line}")
    return line


def read_heads(path: Path) -> list[dict[str, Any]]:
    """Published heads, oldest first; a line that cannot be read counts as a head that matches nothing."""
    if not path.exists():
        return []
    heads: list[dict[str, Any]] = []
    for text in path.read_text().splitlines():
        try:
            heads.append(dict(json.loads(text)))
        except ValueError:
            heads.append({"number": -1, "hash": text})
    return heads


@dataclass
class Verification:
    """What was proven: counts, every fault with the row's name, and what cannot be proven."""

    entries: int = 0
    chains: int = 0
    seals: int = 0
    faults: list[str] = field(default_factory=list)
    unsealed: int = 0
    unpublished: int = 0

    @property
    def whole(self) -> bool:
        return not self.faults


def verify() -> Verification:
    """Recomputes every chain, every seal and every published head against the rows; the first bad row of each is named.

    Reads one snapshot, so that what is written meanwhile is no fault.
    """
    found = Verification()
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        heads = _verify_chains(found)
        _verify_chain_ends(found, heads)
        _verify_seals(found)
    return found


def _verify_chains(found: Verification) -> dict[str, tuple[int, str]]:
    heads: dict[str, tuple[int, str]] = {}
    broken: set[str] = set()
    rows: Iterator[AuditEntry] = AuditEntry.objects.order_by("chain", "seq").iterator(chunk_size=2000)
    for entry in rows:
        found.entries += 1
        length, head = heads.get(entry.chain, (0, EMPTY))
        fault = ""
        if entry.seq != length + 1:
            fault = f"entry {length + 1} is missing" if entry.seq > length + 1 else f"entry {entry.seq} stands twice"
        elif entry.previous != head:
            fault = f"entry {entry.seq} does not follow the one before it"
        elif entry.hash != chain_hash(entry.previous, entry.document()):
            fault = f"entry {entry.seq} ({entry.verb}, row {entry.pk}) was changed"
        if fault and entry.chain not in broken:
            broken.add(entry.chain)
            found.faults.append(f"{entry.chain}: {fault}")
        heads[entry.chain] = (entry.seq, entry.hash)
    found.chains = len(heads)
    return heads


def _verify_chain_ends(found: Verification, heads: dict[str, tuple[int, str]]) -> None:
    """Each object carries its chain's length and head: a chain cut at its end shows here."""
    for model in apps.get_models():
        if not issubclass(model, Audited):
            continue
        for obj in model._base_manager.filter(audit_length__gt=0).iterator(chunk_size=2000):
            length, head = heads.get(obj.audit_chain, (0, EMPTY))
            if length < obj.audit_length:
                found.faults.append(f"{obj.audit_chain}: entries {length + 1} to {obj.audit_length} are missing")
            elif (length, head) != (obj.audit_length, obj.audit_head):
                found.faults.append(f"{obj.audit_chain}: the object's own head was changed (entry {length})")


def _verify_seals(found: Verification) -> None:
    head, number = EMPTY, 0
    published = {h["number"]: h for h in read_heads(Path(settings.PATCHFLOW["AUDIT_HEADS_FILE"]))}
    for one in AuditSeal.objects.order_by("number").iterator():
        found.seals += 1
        number += 1
        if one.number != number or one.previous != head or one.hash != chain_hash(one.previous, seal_document(one)):
            found.faults.append(f"seal {one.number}: it was changed, or one before it is missing")
            number = one.number
        leaves = list(AuditLeaf.objects.filter(seal=one).select_related("entry").order_by("position"))
        for leaf in leaves:
            if leaf.hash != leaf_hash(leaf.entry):
                found.faults.append(
                    f"seal {one.number}, place {leaf.position}: entry {leaf.entry} was changed after it was sealed"
                )
                break
        if len(leaves) != one.count or merkle_root([leaf.hash for leaf in leaves]) != one.root:
            found.faults.append(
                f"seal {one.number}: its leaves do not make its root ({len(leaves)} of {one.count} found)"
            )
        head = one.hash
        if (said := published.pop(one.number, None)) and said["hash"] != one.hash:
            found.faults.append(f"seal {one.number}: not the head that was published at {said.get('published_at')}")
        if said:
            found.unpublished = 0
        else:
            found.unpublished += 1
    found.faults += [f"published head {n}: its seal is missing" for n in sorted(published, key=str)]
    found.unsealed = AuditEntry.objects.filter(leaf__isnull=True).count()
