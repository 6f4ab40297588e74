"""Two people who say from both ends that items hang together do not wait for one another without end (PostgreSQL)."""

from __future__ import annotations

from datetime import datetime

import pytest

from cmdb.domain import items
from cmdb.models import Relation
from patchflow.kernel.models import User
from tests.crowd import CROWD, together
from tests.factories.people import make_cast

pytestmark = [CROWD, pytest.mark.pg, pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def test_links_and_their_ends_from_both_sides_at_once(transactional_db: None, now: datetime) -> None:
    cora = make_cast().cora
    one, two = (items.add(kind="service", name=name, actor=cora, at=now) for name in ("shop", "portal"))

    def as_cora() -> User:
        return User.objects.get(pk=cora.pk)

    def linked(item: int, name: str) -> object:
        return items.link(item_id=item, how="needed_by", names=[name], actor=as_cora(), at=now)

    for _turn in range(12):  # each source is the other item: whoever locks their own first waits for the other
        found = together([lambda: linked(one.pk, "portal"), lambda: linked(two.pk, "shop")])
        assert [type(told) for told in found] == [list, list]
        rows = {row.source_id: row.pk for row in Relation.objects.filter(kind="depends_on")}
        assert set(rows) == {one.pk, two.pk}

        def ended(item: int, relation: int) -> object:
            return items.unlink(item_id=item, relation_id=relation, actor=as_cora(), at=now)

        assert together([
            lambda rows=rows: ended(one.pk, rows[two.pk]), lambda rows=rows: ended(two.pk, rows[one.pk])
        ]) == [None, None]  # fmt: skip
        assert not Relation.objects.exists()
