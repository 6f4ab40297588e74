"""Services and clusters: said, linked and retired by people, and what that means for the hosts under them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from cmdb.domain import items
from cmdb.models import ConfigurationItem, Relation
from cmdb.queries.hosts import supported_services
from cmdb.queries.items import hosts_under, links_of
from patchflow.kernel.errors import Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, RoleGrant
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db


def service(cast: Cast, now: datetime, name: str = "shop", **fields: Any) -> ConfigurationItem:
    return items.add(kind="service", name=name, actor=cast.cora, at=now, **fields)


def test_what_is_said_of_an_item_is_kept_and_the_trail_has_before_and_after(cast: Cast, now: datetime) -> None:
    shop = service(cast, now, criticality=1, owner_id=cast.mia.pk, min_alive=2)
    items.revise(item_id=shop.pk, min_alive=3, support_group="Web", actor=cast.cora, at=now)
    shop.refresh_from_db()
    assert (shop.criticality, shop.owner, shop.min_alive, shop.support_group) == (1, cast.mia, 3, "Web")
    entry = AuditEntry.objects.get(verb="cmdb.item.revised")
    assert entry.detail == {
        "min_alive": {"before": 2, "after": 3},
        "support_group": {"before": "", "after": "Web"},
    }
    items.revise(item_id=shop.pk, min_alive=3, actor=cast.cora, at=now)
    assert AuditEntry.objects.filter(verb="cmdb.item.revised").count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "portal"}, "name"),
        ({"environment": "moon"}, "environment"),
        ({"criticality": 9}, "criticality"),
        ({"owner_id": 987654}, "owner_id"),
        ({"min_alive": -1}, "min_alive"),
        ({"min_alive_percent": 100}, "min_alive"),
        ({"state": "retired"}, "state"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    cast: Cast, now: datetime, wrong: dict[str, Any], field: str
) -> None:
    shop = service(cast, now)
    service(cast, now, "portal")
    with pytest.raises(Invalid) as refused:
        items.revise(item_id=shop.pk, actor=cast.cora, at=now, **wrong)
    assert [b.code for b in refused.value.blockers] == [f"invalid.{field}"]
    assert ConfigurationItem.objects.get(pk=shop.pk).name == "shop"


def test_a_hosts_item_and_a_retired_one_are_left_alone(cast: Cast, now: datetime) -> None:
    shop, host = service(cast, now), make_host()
    with pytest.raises(Conflict, match="item of a host"):
        items.revise(item_id=host.ci_id, criticality=1, actor=cast.cora, at=now)
    with pytest.raises(Conflict, match="item of a host"):
        items.retire(item_id=host.ci_id, reason="x", actor=cast.cora, at=now)
    items.retire(item_id=shop.pk, reason="Closed.", actor=cast.cora, at=now)
    for again in (items.revise, items.enter_service):
        with pytest.raises(Conflict, match="retired"):
            again(item_id=shop.pk, actor=cast.cora, at=now)
    assert service(cast, now).pk != shop.pk, "its name is free again"


@pytest.mark.parametrize(
    ("how", "kind", "backwards"),
    [
        ("depends_on", "depends_on", False),
        ("needed_by", "depends_on", True),
        ("runs_on", "runs_on", False),
        ("carries", "runs_on", True),
        ("member_of", "member_of", False),
        ("members", "member_of", True),
        ("connects_to", "connects_to", False),
    ],
)
def test_a_link_is_one_relation_said_from_either_side(
    cast: Cast, now: datetime, how: str, kind: str, backwards: bool
) -> None:
    shop, other = service(cast, now), service(cast, now, "portal")
    (row,) = items.link(item_id=shop.pk, how=how, names=["portal"], actor=cast.cora, at=now)
    ends = (other.pk, shop.pk) if backwards else (shop.pk, other.pk)
    assert (row.source_id, row.target_id, row.kind) == (*ends, kind)
    assert [(one.how, one.other) for one in links_of(shop, cast.cora)] == [(how, other)]
    (there,) = links_of(other, cast.cora)
    items.link(item_id=other.pk, how=there.how, names=["shop"], actor=cast.cora, at=now)
    assert Relation.objects.count() == 1


def test_hosts_are_named_one_by_one_or_by_how_they_begin(cast: Cast, now: datetime) -> None:
    shop = service(cast, now)
    hosts = [make_host(name) for name in ("web-01", "web-02", "db-01")]
    items.link(item_id=shop.pk, how="runs_on", names=[" web-* ", ""], actor=cast.cora, at=now)
    assert hosts_under([shop.pk]) == {shop.pk: {hosts[0].pk, hosts[1].pk}}
    with pytest.raises(Invalid, match="db-02, mail-"):
        items.link(item_id=shop.pk, how="runs_on", names=["db-01", "db-02", "mail-*"], actor=cast.cora, at=now)
    assert Relation.objects.count() == 2, "one unknown name, and none is written"


def test_a_retired_service_rests_on_nothing(cast: Cast, now: datetime) -> None:
    shop, host = service(cast, now), make_host()
    items.link(item_id=shop.pk, how="runs_on", names=[host.name], actor=cast.cora, at=now)
    assert supported_services([host.ci_id]) == {host.ci_id: (shop.pk,)}
    items.retire(item_id=shop.pk, reason="Closed.", actor=cast.cora, at=now)
    assert supported_services([host.ci_id]) == {host.ci_id: ()}


def test_a_relation_is_taken_back_by_either_of_its_items_and_by_no_other(cast: Cast, now: datetime) -> None:
    shop, portal, other = (service(cast, now, name) for name in ("shop", "portal", "other"))
    (row,) = items.link(item_id=shop.pk, how="depends_on", names=["portal"], actor=cast.cora, at=now)
    with pytest.raises(Conflict):
        items.unlink(item_id=other.pk, relation_id=row.pk, actor=cast.cora, at=now)
    items.unlink(item_id=portal.pk, relation_id=row.pk, actor=cast.cora, at=now)
    assert not Relation.objects.exists()
    assert AuditEntry.objects.filter(verb="cmdb.item.unrelated").count() == 1


def test_only_who_may_edit_every_host_says_something_of_a_service(cast: Cast, now: datetime) -> None:
    shop, group = service(cast, now), make_group()
    scoped = make_user("scoped")
    RoleGrant.objects.create(user=scoped, role="configuration_manager", scope=group.scope_key)
    for person in (scoped, cast.otto, cast.root):
        with pytest.raises(NotAllowed):
            items.revise(item_id=shop.pk, criticality=1, actor=person, at=now)
        with pytest.raises(NotAllowed):
            items.add(kind="service", name="x", actor=person, at=now)
        with pytest.raises(NotAllowed):
            items.link(item_id=shop.pk, how="runs_on", names=["x"], actor=person, at=now)


def test_hosts_are_kept_up_for_services_and_clusters_alone(cast: Cast, now: datetime) -> None:
    """No gate asks for a database, so none may promise it."""
    with pytest.raises(Invalid, match="Only for services and clusters"):
        items.add(kind="database", name="orders", min_alive=2, actor=cast.cora, at=now)
    orders = items.add(kind="database", name="orders", actor=cast.cora, at=now)
    with pytest.raises(Invalid):
        items.revise(item_id=orders.pk, min_alive_percent=50, actor=cast.cora, at=now)


def test_a_retired_item_is_not_linked_and_all_hosts_at_once_are_never_meant(cast: Cast, now: datetime) -> None:
    shop, host = service(cast, now), make_host()
    with pytest.raises(Invalid, match="how the names begin"):
        items.link(item_id=shop.pk, how="runs_on", names=["*"], actor=cast.cora, at=now)
    (row,) = items.link(item_id=shop.pk, how="runs_on", names=[host.name], actor=cast.cora, at=now)
    items.retire(item_id=shop.pk, reason="Closed.", actor=cast.cora, at=now)
    with pytest.raises(Conflict):
        items.link(item_id=shop.pk, how="runs_on", names=[host.name], actor=cast.cora, at=now)
    with pytest.raises(Conflict):
        items.unlink(item_id=shop.pk, relation_id=row.pk, actor=cast.cora, at=now)


def test_an_owner_who_has_left_stays_until_somebody_names_another(cast: Cast, now: datetime) -> None:
    shop = service(cast, now, owner_id=cast.mia.pk)
    cast.mia.is_active = False
    cast.mia.save()
    items.revise(item_id=shop.pk, owner_id=cast.mia.pk, criticality=1, actor=cast.cora, at=now)
    shop.refresh_from_db()
    assert (shop.owner_id, shop.criticality) == (cast.mia.pk, 1)
