"""Hosts: added, described, retired. What a person says about one outranks what is discovered, until released."""

from __future__ import annotations

import platform as this
from datetime import datetime
from typing import Any

from cmdb.domain import connections, groups
from cmdb.domain.permission import demand, said
from cmdb.enums import ConnectionKind, Criticality, Environment, ItemKind, KeyReference, Management, ResultState
from cmdb.models import ConfigurationItem, Connection, Fact, Host, HostGroup, ScanResult
from patchflow.kernel import audit, registry, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from patchflow.kernel.people import persons

PERSON = "person"


@workflow.verb("cmdb.host.added")
def add(
    *,
    name: str,
    actor: User,
    at: datetime,
    address: str = "",
    fqdn: str = "",
    port: int = 22,
    user: str = "root",
    become: bool = False,
    jump_host_id: int | None = None,
    key_kind: str = KeyReference.ACCOUNT,
    key_reference: str = "",
    environment: str = Environment.PRODUCTION,
    criticality: int = Criticality.MEDIUM,
    owner_id: int | None = None,
    group_id: int | None = None,
) -> Host:
    """Makes item (planned), host and SSH connection (address: else the full name, else the name). Nothing is reached yet:
    the host key is shown and accepted next, then the connection is tested and the host scanned, which puts it in service.

    Needs host.add everywhere, or over the group given. Raises Invalid (codes end in the field's name).
    """
    group = HostGroup.objects.live().filter(pk=group_id).first() if group_id else None
    if group_id and group is None:
        raise Invalid("This group does not exist.", code="invalid.group")
    demand("host.add", group, actor)
    host = create(
        name=said("name", name, what="A name", limit=120),
        fqdn=fqdn.strip(),
        environment=environment,
        criticality=criticality,
        owner_id=owner_id,
        actor=actor,
        at=at,
    )
    connections.make(
        host,
        address=address or fqdn or name,
        port=port,
        user=user,
        become=become,
        jump_host_id=jump_host_id,
        key_kind=key_kind,
        key_reference=key_reference,
        actor=actor,
    )
    if group is not None:
        groups.join(group, [host.pk], actor=actor, at=at)
    return host


def create(*, name: str, actor: User, at: datetime, fqdn: str = "", owner_id: int | None = None, **item: Any) -> Host:
    """Item and host rows, in the rule groups that name them. Inside an adding verb, which has looked at permission."""
    _check_choices(item)
    if len(fqdn) > 255:
        raise Invalid("A full name has at most 255 characters.", code="invalid.fqdn")
    if Host.objects.live().filter(name=name).exists():
        raise Invalid([Blocker("invalid.name", english("There is a host named %(name)s already.", name=name))])
    if owner_id is not None and not persons().filter(pk=owner_id).exists():
        raise Invalid("This owner does not exist.", code="invalid.owner")
    ci = ConfigurationItem(kind=ItemKind.HOST, name=name, owner_id=owner_id, **item)
    ci.save()
    audit.record(ci, "cmdb.item.planned", actor=actor, at=at, after=str(ci.state))
    host = Host.objects.create(ci=ci, name=name, fqdn=fqdn, added_at=at)
    audit.record(host, "cmdb.host.added", actor=actor, at=at, detail={"name": name, "fqdn": fqdn, **item})
    groups.refresh_for_host(host, actor=actor, at=at)
    return host


def _check_choices(item: dict[str, Any]) -> None:
    known: dict[str, list[Any]] = {
        "environment": Environment.values,
        "criticality": Criticality.values,
        "management": Management.values,
    }
    wrong = [
        Blocker(f"invalid.{f}", english("%(item)s is no %(f)s here.", item=repr(item[f]), f=f))
        for f in known
        if f in item and item[f] not in known[f]
    ]
    if wrong:
        raise Invalid(wrong)


def free_name(name: str) -> str:
    """`name`, or `name (2)` and so on if a live host has it."""
    taken = set(Host.objects.live().filter(name__startswith=name[:110]).values_list("name", flat=True))
    tries = [name[:120], *(f"{name[:110]} ({number})" for number in range(2, len(taken) + 3))]
    return next(one for one in tries if one not in taken)


@workflow.verb("cmdb.host.revised", Host, "host_id")
def revise(*, host_id: int, actor: User, at: datetime, **fields: Any) -> Host:
    """Changes what people say of a host: name, fqdn, environment, criticality, management with management_reason, owner_id,
    support_group. Rule groups follow. Needs host.edit. A change of environment or criticality moves scopes and windows
    with it, so the entry lists before and after."""
    host = workflow.lock(Host, host_id)
    demand("host.edit", host, actor)
    ci = workflow.lock(ConfigurationItem, host.ci_id)
    own, item = (
        ("name", "fqdn"),
        ("environment", "criticality", "management", "management_reason", "owner_id", "support_group"),
    )
    unknown = set(fields) - {*own, *item}
    if unknown:
        raise Invalid(
            [
                Blocker(f"invalid.{field}", english("%(field)s cannot be changed here.", field=field))
                for field in sorted(unknown)
            ]
        )
    _check_choices(fields)
    if "name" in fields:
        fields["name"] = said("name", fields["name"], what="A name", limit=120)
        if Host.objects.live().filter(name=fields["name"]).exclude(pk=host.pk).exists():
            raise Invalid(
                [Blocker("invalid.name", english("There is a host named %(name)s already.", name=fields["name"]))]
            )
    if fields.get("management", ci.management) != Management.MANAGED and not fields.get(
        "management_reason", ci.management_reason
    ):
        raise Invalid("Say why it is not managed here.", code="invalid.management_reason")
    before = {f: getattr(host if f in own else ci, f) for f in fields}
    changed = {f: {"before": before[f], "after": v} for f, v in fields.items() if before[f] != v}
    if not changed:
        return host
    for field in changed:
        setattr(host if field in own else ci, field, fields[field])
    ci.name = host.name
    ci.save()
    audit.record(host, "cmdb.host.revised", actor=actor, at=at, detail=changed)
    host.save()
    groups.refresh_for_host(host, actor=actor, at=at)
    return host


@workflow.verb("cmdb.host.retired", Host, "host_id")
def retire(*, host_id: int, reason: str, actor: User, at: datetime) -> Host:
    """Ends a host: its item is retired, it leaves its groups, and nothing is scanned or deployed there any more; its rows
    stay. Needs host.retire; gates: no scan under way (apps above add theirs). Raises Blocked, NotAllowed, Invalid."""
    host = workflow.lock(Host, host_id)
    reason = said("reason", reason, what="A reason", limit=2000)
    workflow.fire(ConfigurationItem, host.ci_id, "retire", actor=actor, at=at, reason=reason)
    host.retired_at = at
    audit.record(host, "cmdb.host.retired", actor=actor, at=at, detail={"reason": reason})
    host.save()
    groups.leave_all(host, actor=actor, at=at)
    return host


@registry.gate("cmdb.configurationitem", "retire")
def find_retire_blockers(item: ConfigurationItem, *, actor: User, at: datetime, facts: Any) -> list[Blocker]:
    """A host whose scan is under way is retired after it."""
    host = getattr(item, "host", None)
    if host and ScanResult.objects.filter(host=host, state=ResultState.PENDING).exists():
        return [
            Blocker("host.scan_under_way", "A scan of this host is under way; it ends within minutes.", tone="wait")
        ]
    return []


def ensure_local(*, actor: User, at: datetime, name: str = "") -> Host:
    """ "This computer" as a host with a local connection, made if it is not there; its name is the computer's own.
    Needs host.add (the system has it)."""
    known = Host.objects.live().filter(is_local=True).first()
    return known or _add_local(name=name or this.node() or "this computer", actor=actor, at=at)


@workflow.verb("cmdb.host.added")
def _add_local(*, name: str, actor: User, at: datetime) -> Host:
    demand("host.add", None, actor)
    host = create(name=free_name(name), environment=Environment.LAB, criticality=Criticality.LOW, actor=actor, at=at)
    host.is_local = True
    host.save()
    Connection.objects.create(host=host, kind=ConnectionKind.LOCAL, address="localhost")
    return host


@workflow.verb("cmdb.fact.set", Host, "host_id")
def set_fact(*, host_id: int, key: str, value: Any, actor: User, at: datetime) -> Fact:
    """A person's word on a fact: it outranks discovery until released; what discovery says stays beside it. Needs host.edit."""
    host = workflow.lock(Host, host_id)
    demand("host.edit", host, actor)
    key = said("key", key, what="The fact's name", limit=80)
    before = Fact.objects.filter(host=host, key=key, source=PERSON).values_list("value", flat=True).first()
    fact, _made = Fact.objects.update_or_create(
        host=host, key=key, source=PERSON, defaults={"value": value, "seen_at": at, "locked_by": actor}
    )
    audit.record(host, "cmdb.fact.set", actor=actor, at=at, detail={"key": key, "before": before, "after": value})
    return fact


@workflow.verb("cmdb.fact.released", Host, "host_id")
def release_fact(*, host_id: int, key: str, actor: User, at: datetime) -> None:
    """Takes a person's word back: discovery counts again. The trail keeps what was said. Needs host.edit."""
    host = workflow.lock(Host, host_id)
    demand("host.edit", host, actor)
    fact = Fact.objects.filter(host=host, key=key, source=PERSON).first()
    if fact is None:
        raise Invalid(english("Nobody has set %(key)s.", key=key), code="invalid.key")
    audit.record(host, "cmdb.fact.released", actor=actor, at=at, detail={"key": key, "value": fact.value})
    fact.delete()
