"""What a change says of its updates that were replaced: the trail names each, the hold the first few."""

from __future__ import annotations

import pytest

from changes.domain import supersedence
from changes.models import RFC, RFCUpdate, SoftwareUpdate
from changes.queries.holds import open_hold_of
from patchflow.kernel.models import AuditEntry
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db


def carry(rfc: RFC, world: World, n: int) -> None:
    """So many more updates of the change, each replaced by a newer one."""
    for name in (f"package{i}" for i in range(n)):
        old, new = (made.make_update(name, f"{v}.0-1", at=world.at, hosts=world.hosts) for v in (1, 2))
        SoftwareUpdate.objects.filter(pk=old.pk).update(superseded_by=new)
        RFCUpdate.objects.create(
            rfc=rfc, update=old, name=name, fixed_version=old.fixed_version, distribution="debian", release="12",
            added_at=world.at,
        )  # fmt: skip


@pytest.mark.parametrize("n", [4, 6])
def test_of_many_replaced_updates_the_hold_names_a_few_and_the_trail_each(world: World, n: int) -> None:
    rfc = made.evaluating(world)
    carry(rfc, world, n)
    assert supersedence.due_notes(now=world.at) == 1
    each = [f"package{i} 1.0-1 was replaced by 2.0-1." for i in range(n)]
    hold = open_hold_of(rfc)
    assert hold is not None
    short = [*each[:3], "3 more of its updates were replaced or withdrawn."] if n == 6 else each
    assert hold.reason == " ".join(short)
    assert AuditEntry.objects.get(verb="change.rfc.superseded").detail["reason"] == " ".join(each)
