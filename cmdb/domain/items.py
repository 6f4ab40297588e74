"""Items that are no hosts (services, clusters, sites …), and relations: what stays up while its hosts are changed, whom a
change reaches, who answers for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from cmdb.domain.permission import demand, said
from cmdb.enums import Criticality, Environment, ItemKind, ItemState, Link, RelationKind
from cmdb.models import ConfigurationItem, Relation
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Conflict, Invalid
from patchflow.kernel.models import User
from patchflow.kernel.people import persons
from patchflow.kernel.rules import capability, failing

SAID = ("name", "environment", "criticality", "owner_id", "support_group", "min_alive", "min_alive_percent")
"""What people say of an item that is no host."""
RULED = (ItemKind.SERVICE, ItemKind.CLUSTER)
"""Kinds of which hosts are kept up while others are changed."""
BACKWARDS = {
    Link.MEMBERS: RelationKind.MEMBER_OF,
    Link.CARRIES: RelationKind.RUNS_ON,
    Link.NEEDED_BY: RelationKind.DEPENDS_ON,
}
"""Links whose relation goes from the other item to this one."""


@workflow.verb("cmdb.item.planned")
def add(*, kind: str, name: str, actor: User, at: datetime, **fields: Any) -> ConfigurationItem:
    """Makes an item that is no host, planned. Needs host.edit everywhere.

    Fields as of `revise`. Raises NotAllowed, Invalid (an unknown kind or field, a name that is taken).
    """
    demand("host.edit", None, actor)
    if kind not in ItemKind.values or kind == ItemKind.HOST:
        raise Invalid("Hosts are added as hosts; say which other kind of item it is.", code="invalid.kind")
    item = ConfigurationItem(kind=kind)
    _say(item, {"name": name, **fields})
    _saved(item)
    audit.record(item, "cmdb.item.planned", actor=actor, at=at, after=str(item.state), detail=_content(item))
    return item


@workflow.verb("cmdb.item.revised", ConfigurationItem, "item_id")
def revise(*, item_id: int, actor: User, at: datetime, **fields: Any) -> ConfigurationItem:
    """Changes what people say of an item that is no host: name, environment, criticality, owner_id, support_group,
    min_alive, min_alive_percent. Needs host.edit everywhere. A rule for its hosts counts at the next tick of every rollout."""
    item = _of_people(item_id, actor)
    before = _content(item)
    _say(item, fields)
    changed = {
        name: {"before": before[name], "after": now} for name, now in _content(item).items() if before[name] != now
    }
    if changed:
        _saved(item)
        audit.record(item, "cmdb.item.revised", actor=actor, at=at, detail=changed)
    return item


@workflow.verb("cmdb.item.entered_service", ConfigurationItem, "item_id")
def enter_service(*, item_id: int, actor: User, at: datetime) -> ConfigurationItem:
    """Says that a planned item is in use. Needs host.edit everywhere. Raises NotAllowed, Conflict."""
    _of_people(item_id, actor)
    return workflow.fire(ConfigurationItem, item_id, "enter_service", actor=actor, at=at)


@workflow.verb("cmdb.item.retired", ConfigurationItem, "item_id")
def retire(*, item_id: int, reason: str, actor: User, at: datetime) -> ConfigurationItem:
    """Takes an item that is no host out of use: nothing rests on its hosts for its sake any more. Needs host.retire
    everywhere and a reason. Raises NotAllowed, Invalid, Conflict."""
    _of_people(item_id, actor)
    if not reason.strip():
        raise Invalid("Say why.", code="invalid.reason")
    return workflow.fire(ConfigurationItem, item_id, "retire", actor=actor, at=at, reason=reason.strip())


def why_not_say(item: ConfigurationItem, actor: User) -> list[Blocker]:
    """Why this person says nothing of the item now: no right to; it is a host's, of which more is said than that; retired."""
    if refused := failing([capability("host.edit")], item, actor):
        return refused
    if item.kind == ItemKind.HOST:
        return [Blocker("invalid.kind", "It is the item of a host: use what is said of the host.")]
    return (
        [Blocker("conflict.retired", "It is retired: nothing is said of it any more.")]
        if item.state == ItemState.RETIRED
        else []
    )


def _of_people(item_id: int, actor: User) -> ConfigurationItem:
    """The item, locked, if people say what it is."""
    item = workflow.lock(ConfigurationItem, item_id)
    demand("host.edit", item, actor)
    if against := why_not_say(item, actor):
        raise Conflict(against)
    return item


def _saved(item: ConfigurationItem) -> None:
    try:
        with transaction.atomic():
            item.save()
    except IntegrityError:  # somebody was faster with that name
        raise Invalid("There is an item of this kind and name already.", code="invalid.name") from None


def _content(item: ConfigurationItem) -> dict[str, Any]:
    return {name: getattr(item, name) for name in SAID}


def _say(item: ConfigurationItem, fields: Mapping[str, Any]) -> None:
    """Puts the fields on the item after every one was looked at."""
    wrong = [
        Blocker(f"invalid.{name}", english("%(field)s cannot be changed here.", field=name))
        for name in sorted(set(fields) - set(SAID))
    ]
    given = dict(fields)
    if "name" in given:
        given["name"] = said("name", given["name"], what="A name", limit=120)
        live = ConfigurationItem.objects.exclude(state=ItemState.RETIRED).exclude(pk=item.pk)
        if live.filter(kind=item.kind, name=given["name"]).exists():
            taken = english("There is a %(kind)s named %(name)s already.", kind=item.kind, name=given["name"])
            wrong.append(Blocker("invalid.name", taken))
    if given.get("environment", Environment.PRODUCTION) not in Environment.values:
        wrong.append(Blocker("invalid.environment", "This environment is not known."))
    if given.get("criticality", Criticality.MEDIUM) not in Criticality.values:
        wrong.append(Blocker("invalid.criticality", "Criticality is a number from 1, the highest, to 4."))
    owner = given.get("owner_id")
    if owner is not None and owner != item.owner_id and not persons().filter(pk=owner).exists():
        wrong.append(Blocker("invalid.owner_id", "This owner does not exist."))
    ruled = given.get("min_alive") is not None or given.get("min_alive_percent") is not None
    if ruled and item.kind not in RULED:
        wrong.append(Blocker("invalid.min_alive", "Only for services and clusters are hosts kept up."))
    elif (given.get("min_alive") or 0) < 0 or not 0 <= (given.get("min_alive_percent") or 0) <= 99:
        wrong.append(Blocker("invalid.min_alive", "So many hosts stay: a number, or a share below 100 percent."))
    if wrong:
        raise Invalid(wrong)
    for name, value in given.items():
        setattr(item, name, value)


# --- relations ------------------------------------------------------------------------------------------------------------------------
def _locked(ids: Iterable[int]) -> None:
    """Locks items in one order: who says that two hang together from one side never waits for who says it from the other."""
    rows = ConfigurationItem._base_manager.select_for_update(of=("self",), no_key=True).order_by("pk")
    list(rows.filter(pk__among=sorted(set(ids))).values_list("pk"))


def _in_use(item_id: int, actor: User) -> ConfigurationItem:
    """The item, locked, a host's too, if it is not retired."""
    item = workflow.lock(ConfigurationItem, item_id)
    demand("host.edit", item, actor)
    if item.state == ItemState.RETIRED:
        raise Conflict("It is retired: nothing is said of it any more.", code="conflict.retired")
    return item


@workflow.verb("cmdb.item.linked", ConfigurationItem, "item_id")
def link(*, item_id: int, how: str, names: Collection[str], actor: User, at: datetime) -> list[Relation]:
    """Says how an item hangs together with others (`Link`), named one by one; `web-*` is every host that begins so.

    Needs host.edit for all of them. Raises NotAllowed, Invalid (an unknown link or name: then none is written).
    """
    demand("host.edit", ConfigurationItem.objects.filter(pk=item_id).first(), actor)
    others = _named(names, actor)
    _locked([item_id, *(other.pk for other in others)])
    item = _in_use(item_id, actor)
    if how not in Link.values:
        raise Invalid("Say how they hang together.", code="invalid.how")
    if not others:
        raise Invalid("Name at least one other item.", code="invalid.names")
    way = BACKWARDS.get(Link(how))
    found = []
    for other in others:
        turned = how == Link.CONNECTS_TO and Relation.objects.filter(source=other, target=item, kind=how).exists()
        source, target = (other, item) if way or turned else (item, other)
        found.append(relate(source_id=source.pk, target_id=target.pk, kind=way or how, actor=actor, at=at))
    return found


@workflow.verb("cmdb.item.unlinked", ConfigurationItem, "item_id")
def unlink(*, item_id: int, relation_id: int, actor: User, at: datetime) -> None:
    """Takes one relation of an item back; the trail keeps it. Needs host.edit for both. Raises Conflict if it is none
    of its."""
    ends = Relation.objects.filter(Q(source=item_id) | Q(target=item_id), pk=relation_id)
    _locked([item_id, *(pk for both in ends.values_list("source_id", "target_id") for pk in both)])
    _in_use(item_id, actor)
    row = ends.first()
    if row is None:
        raise Conflict("This relation is gone already.", code="conflict.gone")
    unrelate(source_id=row.source_id, target_id=row.target_id, kind=row.kind, actor=actor, at=at)


def _named(names: Collection[str], actor: User) -> list[ConfigurationItem]:
    rows = ConfigurationItem.objects.all().visible_to(actor).exclude(state=ItemState.RETIRED)
    found: dict[int, ConfigurationItem] = {}
    unknown = []
    for name in dict.fromkeys(one.strip() for one in names if one.strip()):
        if name == "*":
            raise Invalid("Say how the names begin, as in web-*: all at once are never meant.", code="invalid.names")
        same = (
            rows.filter(kind=ItemKind.HOST, name__startswith=name[:-1])
            if name.endswith("*")
            else rows.filter(name=name)
        )
        some = list(same.order_by("name", "pk"))
        found |= {one.pk: one for one in some}
        unknown += [] if some else [name]
    if unknown:
        said = english("No item in sight is called %(names)s.", names=", ".join(unknown[:10]))
        raise Invalid(said, code="invalid.names")
    return list(found.values())


@workflow.verb("cmdb.item.related", ConfigurationItem, "source_id")
def relate(*, source_id: int, target_id: int, kind: str, actor: User, at: datetime, origin: str = "person") -> Relation:
    """Says that `source` depends on, runs on, is member of or connects to `target`; once is enough. Needs host.edit
    for both."""
    source = workflow.lock(ConfigurationItem, source_id)
    target = ConfigurationItem.objects.filter(pk=target_id).first()
    if target is None or target.pk == source.pk or kind not in RelationKind.values:
        raise Invalid("A relation has two items and a known kind.", code="invalid.target")
    demand("host.edit", source, actor)
    demand("host.edit", target, actor)
    relation, made = Relation.objects.get_or_create(
        source=source, target=target, kind=kind, defaults={"origin": origin, "since_at": at}
    )
    if made:
        detail = {"kind": kind, "target": target.pk, "name": target.name}
        audit.record(source, "cmdb.item.related", actor=actor, at=at, detail=detail)
    return relation


@workflow.verb("cmdb.item.unrelated", ConfigurationItem, "source_id")
def unrelate(*, source_id: int, target_id: int, kind: str, actor: User, at: datetime) -> None:
    """Takes a relation back; the trail keeps it. Needs host.edit for both items, as saying it does."""
    source = workflow.lock(ConfigurationItem, source_id)
    demand("host.edit", source, actor)
    demand("host.edit", ConfigurationItem.objects.filter(pk=target_id).first(), actor)
    gone, _ = Relation.objects.filter(source=source, target_id=target_id, kind=kind).delete()
    if gone:
        audit.record(source, "cmdb.item.unrelated", actor=actor, at=at, detail={"kind": kind, "target": target_id})
