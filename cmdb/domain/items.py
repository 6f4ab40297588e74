"""Items that are no hosts (services, clusters, sites …), and relations."""

from __future__ import annotations

from datetime import datetime

from cmdb.domain.permission import demand, said
from cmdb.enums import Criticality, Environment, ItemKind, ItemState, RelationKind
from cmdb.models import ConfigurationItem, Relation
from patchflow.kernel import audit, workflow
from patchflow.kernel.blockers import Blocker, english
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User


@workflow.verb("cmdb.item.planned")
def add(
    *,
    kind: str,
    name: str,
    actor: User,
    at: datetime,
    environment: str = Environment.PRODUCTION,
    criticality: int = Criticality.MEDIUM,
    owner_id: int | None = None,
) -> ConfigurationItem:
    """Makes an item that is no host, planned. Needs host.edit everywhere."""
    demand("host.edit", None, actor)
    name = said("name", name, what="A name", limit=120)
    if kind not in ItemKind.values or kind == ItemKind.HOST:
        raise Invalid("Hosts are added as hosts; say which other kind of item it is.", code="invalid.kind")
    if environment not in Environment.values or criticality not in Criticality.values:
        raise Invalid("Environment or criticality is not known.", code="invalid.environment")
    live = ConfigurationItem.objects.exclude(state=ItemState.RETIRED)
    if live.filter(kind=kind, name=name).exists():
        raise Invalid(
            [Blocker("invalid.name", english("There is a %(kind)s named %(name)s already.", kind=kind, name=name))]
        )
    item = ConfigurationItem.objects.create(
        kind=kind, name=name, environment=environment, criticality=criticality, owner_id=owner_id
    )
    audit.record(item, "cmdb.item.planned", actor=actor, at=at, after=str(item.state))
    return item


@workflow.verb("cmdb.item.related", ConfigurationItem, "source_id")
def relate(*, source_id: int, target_id: int, kind: str, actor: User, at: datetime, origin: str = "person") -> Relation:
    """Says that `source` depends on, runs on, is member of or connects to `target`; once is enough. Needs host.edit."""
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
    """Takes a relation back; the trail keeps it. Needs host.edit."""
    source = workflow.lock(ConfigurationItem, source_id)
    demand("host.edit", source, actor)
    gone, _ = Relation.objects.filter(source=source, target_id=target_id, kind=kind).delete()
    if gone:
        audit.record(source, "cmdb.item.unrelated", actor=actor, at=at, detail={"kind": kind, "target": target_id})
