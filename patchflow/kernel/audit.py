"""Writing the audit trail. Entry and change share a transaction; a refused attempt is written after the rollback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from django.db import models

from patchflow.kernel import rows
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict
from patchflow.kernel.integrity import chain_hash, plain
from patchflow.kernel.models.audit import Audited, AuditEntry, NamedChain
from patchflow.kernel.registry import VERBS

if TYPE_CHECKING:
    from patchflow.kernel.models import User

SECRET = ("password", "secret", "token", "private_key", "passphrase")


def correlation_id() -> str:
    """The id that the log lines of this request or task carry."""
    context = structlog.contextvars.get_contextvars()
    return str(context.get("request_id") or context.get("task_id") or context.get("correlation_id") or "")[:64]


def _clean(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Plain JSON without NUL characters (PostgreSQL refuses them) and without the value of anything named like a secret."""

    def scrub(value: Any, key: str = "") -> Any:
        if any(word in key.lower() for word in SECRET):
            return "***"
        match value:
            case str():
                return value.replace("\x00", "�")
            case dict():
                return {k: scrub(v, k) for k, v in value.items()}
            case list():
                return [scrub(v) for v in value]
        return value

    return dict(scrub(plain(dict(detail or {}))))


def entry_for(
    chain: Audited,
    verb: str,
    obj: models.Model | None = None,
    *,
    actor: User,
    at: datetime,
    before: str = "",
    after: str = "",
    detail: Mapping[str, Any] | None = None,
    outcome: str = Outcome.DONE,
) -> AuditEntry:
    """An unsaved entry at the end of `chain`; moves the chain's length and head on the instance (unsaved too)."""
    if verb not in VERBS:
        raise KeyError(f"audit verb {verb!r} is not registered")
    subject = chain if obj is None else obj
    entry = AuditEntry(
        chain=chain.audit_chain,
        seq=chain.audit_length + 1,
        object_type=subject._meta.label_lower,
        object_id=str(subject.pk or ""),
        object_label=str(subject)[:200],
        verb=verb,
        outcome=outcome,
        actor=actor,
        actor_name=actor.get_username(),
        correlation_id=correlation_id(),
        before_state=before,
        after_state=after,
        detail=_clean(detail),
        effective_at=at,
        previous=chain.audit_head,
    )
    entry.hash = chain_hash(entry.previous, entry.document())
    chain.audit_length, chain.audit_head = entry.seq, entry.hash
    return entry


def move(chain: Audited, old_length: int) -> None:
    """Writes the chain's new length and head, if nobody else did meanwhile; raises Conflict otherwise."""
    moved = (
        type(chain)
        ._base_manager.filter(pk=chain.pk, audit_length=old_length)
        .update(audit_length=chain.audit_length, audit_head=chain.audit_head)
    )
    if not moved:
        raise Conflict(
            "It was changed by somebody else at the same moment. Look again, then repeat.", code="conflict.moved"
        )


def record(
    chain: Audited,
    verb: str,
    obj: models.Model | None = None,
    *,
    actor: User,
    at: datetime,
    before: str = "",
    after: str = "",
    detail: Mapping[str, Any] | None = None,
    outcome: str = Outcome.DONE,
) -> AuditEntry:
    """Writes one entry into the chain of `chain` about `obj` (default: the chain's own object). Inside the change's transaction."""
    old = chain.audit_length
    entry = entry_for(chain, verb, obj, actor=actor, at=at, before=before, after=after, detail=detail, outcome=outcome)
    move(chain, old)
    entry.save(force_insert=True)
    return entry


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state to be recorded: the audited verb, the row, its states, and the facts."""

    verb: str
    obj: models.Model
    before: str
    after: str
    detail: Mapping[str, Any] | None = None


def record_many(chain: Audited, moves: Sequence[Move], *, actor: User, at: datetime) -> None:
    """One entry for each move, in order, in the chain of `chain`, by one INSERT."""
    if not moves:
        return
    old = chain.audit_length
    entries = [
        entry_for(chain, m.verb, m.obj, actor=actor, at=at, before=m.before, after=m.after, detail=m.detail)
        for m in moves
    ]
    move(chain, old)
    rows.insert(AuditEntry, entries)


def named(name: str) -> NamedChain:
    """The chain `name` for what has no object, locked until the transaction ends."""
    NamedChain.objects.get_or_create(name=name)
    return NamedChain.objects.select_for_update().get(name=name)


def history(obj: models.Model) -> models.QuerySet[AuditEntry]:
    """The entries about `obj`, newest first."""
    return AuditEntry.objects.filter(object_type=obj._meta.label_lower, object_id=str(obj.pk)).order_by("-id")
