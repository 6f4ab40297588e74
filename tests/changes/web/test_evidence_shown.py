"""What evidence says to whom: figures of hosts to who sees them all, what cannot be checked as unknown, and who may state what."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from changes.domain import evidence, rfcs
from changes.models import RFC, Evidence
from changes.queries import evidence as questions
from cmdb.models import GroupMember
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import RoleGrant, User
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


def refused_everywhere(person: User, rfc: RFC, kind: str, said: str) -> None:
    """The page, REST and the admin site say the same."""
    RoleGrant.objects.get_or_create(user=person, role="operator", scope="")  # whoever enters the admin site
    person = User.objects.get(pk=person.pk)
    rest, given = APIClient(), {"kind": kind, "summary": "All well.", "digest": "a" * 64}
    rest.force_authenticate(person)
    answer = rest.post(f"/api/v1/rfcs/{rfc.pk}/evidence/", {**given, "passed": True}, format="json")
    assert (answer.status_code, [b["code"] for b in answer.data["blockers"]]) == (403, ["evidence.four_eyes"])
    page = as_(person).post(reverse("changes:rfc-evidence", args=[rfc.pk]), {**given, "passed": "yes"})
    chosen = {"action": "evidence", "_selected_action": [str(rfc.pk)], "confirmed": "1"}
    admin = as_(person).post("/admin/changes/rfc/", {**chosen, **given, "passed": "yes"}, follow=True)
    for text in (str(answer.data), page.text, admin.text):
        assert said in text
    assert not Evidence.objects.filter(kind=kind).exists()


def test_who_carried_it_out_or_stopped_it_does_not_review_it(world: World) -> None:
    rfc = made.implementing(world)  # rex began it
    rfcs.stop(rfc_id=rfc.pk, reason="It failed.", actor=world.cast.che, at=world.at)
    for person in (world.cast.rex, world.cast.che):
        refused_everywhere(person, rfc, "review", "You carried this change out, or stopped it")
    given = {"rfc_id": rfc.pk, "digest": "", "summary": "Half of it.", "passed": False, "at": world.at}
    evidence.record(kind="deployment", actor=world.cast.rex, **given)  # no judgment of their own work
    evidence.record(kind="review", actor=world.cast.gus, **given)


def test_who_wrote_it_does_not_say_that_it_is_ready(world: World) -> None:
    rfc = made.authorized(world)
    RoleGrant.objects.create(user=world.cast.ann, role="tester")
    refused_everywhere(world.cast.ann, rfc, "readiness", "You requested or wrote this change")
    given = {"rfc_id": rfc.pk, "digest": "", "summary": "8 of 8", "passed": True, "at": world.at}
    evidence.record(kind="acceptance", actor=User.objects.get(username="ann"), **given)
