"""Writing the audit trail. Entry and change share a transaction; a refused attempt is written after the rollback."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from django.db import models

from patchflow.kernel import rows
from patchflow.kernel.enums import Outcome
from patchflow.kernel.errors import Conflict
from patchflow.kernel.integrity import bytes_of, chain_hash, chain_hash_of, plain, written
from patchflow.kernel.json_text import needs_a_look, read
from patchflow.kernel.models.audit import Audited, AuditEntry, NamedChain
from patchflow.kernel.registry import VERBS
from patchflow.kernel.values import value

if TYPE_CHECKING:
    from patchflow.kernel.models import User

SECRET = ("password", "secret", "token", "private_key", "passphrase")


def correlation_id() -> str:
    """The id that the log lines of this request or task carry."""
    context = structlog.contextvars.get_contextvars()
    return str(context.get("request_id") or context.get("task_id") or context.get("correlation_id") or "")[:64]


def _clean(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Plain JSON without NUL characters (PostgreSQL refuses them) and without the value of anything named like a secret."""
    return {_text(str(k)): _scrubbed(v, str(k)) for k, v in (detail or {}).items()}


@functools.lru_cache(maxsize=4096)
def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET)


def _text(value: str) -> str:
    return value.replace("\x00", "\ufffd") if "\x00" in value else value


def _scrubbed(value: Any, key: str = "") -> Any:
    if _is_secret(key):
        return "***"
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is dict:
        return {_text(str(k)): _scrubbed(v, str(k)) for k, v in value.items()}
    if kind is list or kind is tuple:
        return [_scrubbed(v) for v in value]
    if value is None or kind is bool:
        return value
    found = plain(value)
    if isinstance(found, str):  # a subclass of it too, as markup that is safe
        return _text(str.__str__(found))
    return _scrubbed(found) if type(found) in (dict, list) else found


_AS_IT_IS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
)


def _settled(detail: Mapping[str, Any] | None) -> str:
    """`_clean(detail)` in its canonical form. A detail that is plain JSON already, with nothing in it to be taken away or refused,
    is written as it is: going through all that thousands of hosts have reported takes longer than hashing it. (A float that is
    no number becomes null, which `_clean` refuses.)"""
    if not detail:
        return "{}"
    try:
        encoded = orjson.dumps(detail, option=_AS_IT_IS)
    except TypeError:
        return written(_clean(detail))
    text = encoded.decode()
    lowered = text.lower()
    if needs_a_look(encoded) or any(word in lowered for word in SECRET):
        return written(_clean(detail))
    return text


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


@value()
class Move:
    """One change of state to be recorded: the audited verb, the row, its states, and the facts."""

    verb: str
    obj: models.Model
    before: str
    after: str
    detail: Mapping[str, Any] | None = None


def record_many(chain: Audited, moves: Sequence[Move], *, actor: User, at: datetime) -> None:
    """One entry for each move, in order, in the chain of `chain`, all at once. Equal to `record` one by one, as a test shows."""
    if not moves:
        return
    old = chain.audit_length
    common = {
        "chain": chain.audit_chain,
        "outcome": str(Outcome.DONE),
        "actor_id": actor.pk,
        "actor_name": actor.get_username(),
        "correlation_id": correlation_id(),
        "effective_at": at,
    }
    told = list(_told(chain, moves, common))
    move(chain, old)
    rows.insert(AuditEntry, told, same=common)


def _told(chain: Audited, moves: Sequence[Move], common: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The columns of each entry beside those in `common`; moves the chain's length and head on the instance. What all have in
    common is written once: the canonical form is put together of texts, in the order of its keys."""
    begins = (
        f'{{"actor":{written([common["actor_id"], common["actor_name"]])},"chain":{written(common["chain"])},'
        f'"correlation_id":{written(common["correlation_id"])},"detail":'
    )
    middle = f',"effective_at":{written(plain(common["effective_at"]))},"object":['
    objects: dict[int, tuple[str, str, str, str]] = {}
    details: dict[int, tuple[orjson.Fragment, str]] = {}
    ends: dict[tuple[str, str, str], str] = {}
    for m in moves:
        if m.verb not in VERBS:
            raise KeyError(f"audit verb {m.verb!r} is not registered")
        if id(m.obj) not in objects:
            names = (m.obj._meta.label_lower, str(m.obj.pk or ""), str(m.obj)[:200])
            objects[id(m.obj)] = (*names, written(list(names))[1:-1])
        if id(m.detail) not in details:
            text = _settled(m.detail)
            details[id(m.detail)] = (orjson.Fragment(text), text)
        kind, key, label, named_so = objects[id(m.obj)]
        detail, detailed = details[id(m.detail)]
        way = (m.before, m.after, m.verb)
        if way not in ends:
            ends[way] = f',"states":{written([m.before, m.after])},"verb":{written(m.verb)}}}'
        seq, previous = chain.audit_length + 1, chain.audit_head
        text = f'{begins}{detailed}{middle}{named_so}],"outcome":"{common["outcome"]}","seq":{seq}{ends[way]}'
        columns: dict[str, Any] = {
            "seq": seq, "object_type": kind, "object_id": key, "object_label": label, "verb": m.verb,
            "before_state": m.before, "after_state": m.after, "detail": detail, "previous": previous,
        }  # fmt: skip
        encoded = bytes_of(text)
        columns["hash"] = (
            chain_hash_of(previous, encoded)
            if encoded
            else chain_hash(previous, AuditEntry(**common, **columns | {"detail": read(detailed)}).document())
        )
        chain.audit_length, chain.audit_head = seq, columns["hash"]
        yield columns


def named(name: str) -> NamedChain:
    """The chain `name` for what has no object, locked until the transaction ends."""
    NamedChain.objects.get_or_create(name=name)
    return NamedChain.objects.select_for_update().get(name=name)


def history(obj: models.Model) -> models.QuerySet[AuditEntry]:
    """The entries about `obj`, newest first."""
    return AuditEntry.objects.filter(object_type=obj._meta.label_lower, object_id=str(obj.pk)).order_by("-id")
