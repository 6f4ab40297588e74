"""What evidence says to whom: figures of hosts to who sees them all, what cannot be checked as unknown, and who may state what."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from changes.domain import evidence
from changes.models import RFC, Evidence
from changes.queries import evidence as questions
from cmdb.models import GroupMember
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import RoleGrant
from tests.changes.web.test_change_models import as_
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
SAID = "REL-2026-00001: 130 of 137 hosts done."


def stated(world: World, kind: str = "plan_rehearsal") -> RFC:
    rfc = made.awaiting(world)
    evidence.record(
        rfc_id=rfc.pk, kind=kind, digest="a" * 64, summary=SAID, passed=True, actor=world.cast.bot, at=world.at
    )
    return rfc


@pytest.mark.parametrize("kind", ["plan_rehearsal", "manifest", "deployment", "review"])
def test_who_sees_a_part_of_the_hosts_reads_no_figure_of_the_others(world: World, kind: str) -> None:
    rfc = stated(world, kind)
    mine = made.make_group("mine", at=world.at)
    GroupMember.objects.create(group=mine, host=world.hosts[0], since_at=world.at)
    una = make_user("una")
    RoleGrant.objects.create(user=una, role="reader", scope=mine.scope_key)
    for person, seen in ((world.cast.che, True), (una, False)):
        rest = APIClient()
        rest.force_authenticate(person)
        told = [
            as_(person).get(rfc.get_absolute_url()).text,
            as_(person).get(reverse("changes:rfc-evidence", args=[rfc.pk])).text,
            str(rest.get(f"/api/v1/rfcs/{rfc.pk}/evidence/").data),
        ]
        assert ["137 hosts" in text for text in told] == [seen] * 3
        assert ["outside your scope" in text for text in told[1:]] == [not seen] * 2


def test_no_person_states_what_the_system_simulated(world: World) -> None:
    rfc = made.awaiting(world)
    with pytest.raises(Invalid):
        evidence.record(
            rfc_id=rfc.pk, kind="plan_rehearsal", digest="a" * 64, summary="Fine.", passed=True, actor=world.cast.rex,
            at=world.at,
        )  # fmt: skip
    assert not Evidence.objects.exists()
    assert 'value="plan_rehearsal"' not in as_(world.cast.rex).get(reverse("changes:rfc-evidence", args=[rfc.pk])).text


def test_what_cannot_be_checked_is_not_good_and_keeps_nobody_from_the_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> str:
        raise RuntimeError("no such ring")

    monkeypatch.setitem(questions.standings._items, "plan_rehearsal", fails)
    page = as_(world.cast.che).get(stated(world).get_absolute_url())
    assert page.status_code == 200
    assert "Whether it still holds could not be checked (RuntimeError)." in page.text
