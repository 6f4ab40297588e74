"""How hosts are reached: the host key is shown, a person accepts it, the connection is tested. The network is never asked
inside a transaction: look first, then one short verb writes down what was seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePosixPath

from cmdb.domain.permission import demand, said
from cmdb.enums import KeyReference
from cmdb.models import Connection, Host
from cmdb.queries.connections import endpoint
from cmdb.remote import transport
from cmdb.remote.connection import Endpoint, HostKey, ProbeResult
from cmdb.remote.errors import RemoteError
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Blocked, Conflict, Invalid
from patchflow.kernel.models import User

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MAX_JUMPS = 3

FetchKey = Callable[[Endpoint], HostKey]
Probe = Callable[[Endpoint], ProbeResult]


def make(
    host: Host,
    *,
    address: str,
    port: int,
    user: str,
    become: bool,
    jump_host_id: int | None,
    key_kind: str,
    key_reference: str,
    actor: User,
) -> Connection:
    """The connection row of a new host, checked for shape. Inside the adding verb."""
    connection = Connection(host=host)
    _set(
        connection,
        address=address.strip(),
        port=port,
        user=user.strip(),
        become=become,
        jump=_jump(jump_host_id, actor, host),
        key_kind=key_kind,
        key_reference=key_reference.strip(),
    )
    connection.save()
    return connection


def _set(connection: Connection, **fields: object) -> None:
    for field, value in fields.items():
        setattr(connection, field, value)
    wrong: list[Blocker] = []
    if not 0 < connection.port < 65536:
        wrong.append(Blocker("invalid.port", "A port is a number from 1 to 65535."))
    if connection.key_kind not in KeyReference.values:
        wrong.append(Blocker("invalid.key_kind", "Say where our key is: account, file or environment."))
    reference = connection.key_reference
    if connection.key_kind == KeyReference.FILE and not PurePosixPath(reference).is_absolute():
        wrong.append(Blocker("invalid.key_reference", "Name the key's file by its full path on the server."))
    if connection.key_kind == KeyReference.ENVIRONMENT and not VARIABLE.fullmatch(reference):
        wrong.append(Blocker("invalid.key_reference", "Name the variable that holds the path of the key's file."))
    if not wrong:
        try:
            Endpoint(address=connection.address, port=connection.port, user=connection.user)
        except ValueError as error:
            field = "user" if str(error).startswith("user") else "address"
            wrong.append(Blocker(f"invalid.{field}", english("%(error)s.", error=error)))
    if wrong:
        raise Invalid(wrong)


def _jump(host_id: int | None, actor: User, behind: Host) -> Connection | None:
    if host_id is None:
        return None
    found = Connection.objects.filter(host__in=Host.objects.live().visible_to(actor), host_id=host_id).first()
    if found is None or found.is_local:
        raise Invalid("The host to go through has no connection over SSH.", code="invalid.jump")
    step: Connection | None = found
    for _ in range(MAX_JUMPS):
        if step is None:
            return found
        if step.host_id == behind.pk:
            raise Invalid("A host cannot be reached through itself.", code="invalid.jump")
        step = step.jump
    raise Invalid(english("More than %(MAX_JUMPS)s hosts to go through.", MAX_JUMPS=MAX_JUMPS), code="invalid.jump")


@workflow.verb("cmdb.connection.revised", Host, "host_id")
def revise(*, host_id: int, actor: User, at: datetime, **fields: object) -> Connection:
    """Changes address, port, user, become, jump_host_id, key_kind, key_reference. A new address, port or way through
    voids the accepted host key: another machine may answer there. Needs connection.edit."""
    host, connection = _locked(host_id, "connection.edit", actor)
    if connection.is_local:
        raise Invalid("This computer is reached without a connection.", code="invalid.kind")
    names = {"address", "port", "user", "become", "jump_host_id", "key_kind", "key_reference"}
    if unknown := set(fields) - names:
        raise Invalid(
            [
                Blocker(f"invalid.{field}", english("%(field)s cannot be changed here.", field=field))
                for field in sorted(unknown)
            ]
        )
    before = {f: getattr(connection, "jump_id" if f == "jump_host_id" else f) for f in fields}
    place = (connection.address, connection.port, connection.jump_id)
    if "jump_host_id" in fields:
        chosen = fields.pop("jump_host_id")
        fields["jump"] = _jump(int(str(chosen)) if chosen is not None else None, actor, host)
    _set(connection, **fields)
    if place != (connection.address, connection.port, connection.jump_id):
        connection.host_key, connection.host_key_accepted_by, connection.host_key_accepted_at = "", None, None
        connection.shown_key, connection.shown_at = "", None
    connection.last_tested_at, connection.last_test_ok, connection.last_test_reasons = None, None, []
    connection.save()
    after = {f: str(v) for f, v in fields.items()}
    detail = {"before": {f: str(v) for f, v in before.items()}, "after": after, "key_kept": bool(connection.host_key)}
    audit.record(host, "cmdb.connection.revised", actor=actor, at=at, detail=detail)
    return connection


def _locked(host_id: int, capability: str, actor: User) -> tuple[Host, Connection]:
    host = workflow.lock(Host, host_id)
    demand(capability, host, actor)
    if host.retired_at is not None:
        raise Blocked([Blocker("host.retired", english("%(host)s is retired.", host=host))])
    connection = Connection.objects.select_related("jump__jump").filter(host=host).first()
    if connection is None:
        raise Blocked([Blocker("connection.none", "This host has no connection.")])
    return host, connection


@workflow.verb("cmdb.connection.key_shown", Host, "host_id")
def _place_to_ask(*, host_id: int, actor: User, at: datetime) -> Endpoint:
    _host, connection = _locked(host_id, "connection.test", actor)
    if connection.is_local:
        raise Invalid("This computer is not asked for a key: nothing lies in between.", code="invalid.kind")
    return endpoint(connection, unpinned=True)


def show_key(*, host_id: int, actor: User, at: datetime, fetch: FetchKey = transport.fetch_host_key) -> Connection:
    """Asks the address for its host key and keeps it as *shown*: nothing is trusted by it. Needs connection.test.

    Raises Blocked (unreachable, jump host without accepted key), NotAllowed.
    """
    place = _place_to_ask(host_id=host_id, actor=actor, at=at)
    try:
        key = fetch(place)
    except RemoteError as error:
        raise Blocked([Blocker(f"connection.{error.code}", english("%(reason)s.", reason=error.reason))]) from error
    return _keep_shown(host_id=host_id, place=place, line=key.line, fingerprint=key.fingerprint, actor=actor, at=at)


@workflow.verb("cmdb.connection.key_shown", Host, "host_id")
def _keep_shown(*, host_id: int, place: Endpoint, line: str, fingerprint: str, actor: User, at: datetime) -> Connection:
    host, connection = _locked(host_id, "connection.test", actor)
    if (connection.address, connection.port) != (place.address, place.port):
        raise Conflict("The connection was changed meanwhile. Ask for the key again.")
    connection.shown_key, connection.shown_at = line, at
    connection.save(update_fields=["shown_key", "shown_at"])
    audit.record(host, "cmdb.connection.key_shown", actor=actor, at=at, detail={"fingerprint": fingerprint})
    return connection


@workflow.verb("cmdb.connection.key_accepted", Host, "host_id")
def accept_key(*, host_id: int, fingerprint: str, actor: User, at: datetime) -> Connection:
    """A person's word that the shown key is the host's: it is pinned from now on. `fingerprint` (SHA256:…) is what the
    person read; raises Conflict if another key has been shown since. Needs connection.accept_key; the system cannot."""
    host, connection = _locked(host_id, "connection.accept_key", actor)
    said("fingerprint", fingerprint, what="The fingerprint that you compared", limit=100)
    if not connection.shown_key:
        raise Blocked([Blocker("connection.no_key_shown", "No key has been shown yet: fetch it first.")])
    if connection.shown_fingerprint != fingerprint.strip():
        raise Conflict(
            english(
                "The host now shows %(shown_fingerprint)s; compare that one, then accept it.",
                shown_fingerprint=connection.shown_fingerprint,
            )
        )
    detail = {"fingerprint": fingerprint.strip(), "before": connection.accepted_fingerprint}
    connection.host_key, connection.host_key_accepted_by, connection.host_key_accepted_at = (
        connection.shown_key,
        actor,
        at,
    )
    connection.last_tested_at, connection.last_test_ok, connection.last_test_reasons = None, None, []
    connection.save()
    audit.record(host, "cmdb.connection.key_accepted", actor=actor, at=at, detail=detail)
    return connection


@workflow.verb("cmdb.connection.tested", Host, "host_id")
def _place_to_test(*, host_id: int, actor: User, at: datetime) -> Endpoint:
    _host, connection = _locked(host_id, "connection.test", actor)
    return endpoint(connection)


def test(*, host_id: int, actor: User, at: datetime, probe: Probe = transport.probe) -> ProbeResult:  # noqa: PT028
    """Tries the connection step by step (reachable, pinned key, log-in, root, python3), keeps and returns what was found,
    in words. Changes nothing on the host. Needs connection.test; raises Blocked where there is no accepted key."""
    place = _place_to_test(host_id=host_id, actor=actor, at=at)
    found = probe(place)
    _keep_test(host_id=host_id, found=found, actor=actor, at=at)
    return found


@workflow.verb("cmdb.connection.tested", Host, "host_id")
def _keep_test(*, host_id: int, found: ProbeResult, actor: User, at: datetime) -> None:
    host, connection = _locked(host_id, "connection.test", actor)
    connection.last_tested_at, connection.last_test_ok = at, found.usable
    connection.last_test_reasons = list(found.reasons)
    if found.shown_key is not None:
        connection.shown_key, connection.shown_at = found.shown_key.line, at
    connection.save()
    if found.reachable:
        host.last_seen_at = max(host.last_seen_at or at, at)
    audit.record(
        host, "cmdb.connection.tested", actor=actor, at=at, detail={"ok": found.usable, "reasons": found.reasons}
    )
    host.save()
