"""The pages of approval routes, the same over REST, and who will be asked on the page of a change."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from changes.domain import approvals, routing
from changes.models import ApprovalRoute
from cmdb.domain import items, support
from cmdb.models import ConfigurationItem, GroupMember
from patchflow.kernel.errors import Blocked
from patchflow.kernel.models import AuditEntry, RoleGrant, User
from tests.changes.web.test_change_models import as_
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
FORM = {
    "name": "Chair of production", "kinds": ["normal"], "min_risk": "low", "environments": ["production"], "reason": "Agreed.",
    "level_name": "Chair first", "level_roles": ["cab_chair"], "level_quorum": "first", "level_within": "2", "level_unit": "hours",
    "level_veto": "on",
}  # fmt: skip


def rest(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_a_route_is_written_revised_and_retired_by_forms(world: World) -> None:
    che = as_(world.cast.che)
    assert "No route yet" in che.get(reverse("changes:route-list")).text
    che.post(reverse("changes:route-write"), FORM)
    route = ApprovalRoute.objects.get()
    assert (route.level["veto"], route.environments) == (True, ["production"])
    page = che.get(reverse("changes:route-revise", args=[route.pk])).text
    assert 'value="Chair first"' in page
    again = {**FORM, "group_ids": [made.make_group("all", at=world.at).pk], "reason": "Only these."}
    che.post(reverse("changes:route-revise", args=[route.pk]), again)
    shown = che.get(route.get_absolute_url()).text
    assert "the first to sign, within 2 hours; the first refusal ends the round" in shown
    assert "Only these." in shown
    che.post(reverse("changes:route-retire", args=[route.pk]), {"reason": "No more."})
    route.refresh_from_db()
    assert route.retired_at
    assert "It is retired" in che.get(reverse("changes:route-revise", args=[route.pk])).text


def test_a_refused_form_keeps_what_was_typed(world: World) -> None:
    response = as_(world.cast.che).post(reverse("changes:route-write"), {**FORM, "level_roles": []})
    assert (response.status_code, 'value="Chair of production"' in response.text) == (400, True)
    assert "a role, owners or a support group to ask" in response.text
    assert not ApprovalRoute.objects.exists()


def test_the_page_of_a_route_names_the_changes_that_meet_it_and_that_one_sees(world: World) -> None:
    asked = made.awaiting(world)
    as_(world.cast.che).post(reverse("changes:route-write"), FORM)
    route, rfc = ApprovalRoute.objects.get(), made.evaluating(world)
    page = as_(world.cast.che).get(route.get_absolute_url()).text
    assert rfc.number in page
    assert asked.number not in page
    far = make_user("far")
    RoleGrant.objects.create(user=far, role="reader", scope=made.make_group("elsewhere", at=world.at).scope_key)
    assert rfc.number not in as_(far).get(route.get_absolute_url()).text


def test_groups_out_of_sight_are_counted_not_named(world: World) -> None:
    near, secret = (made.make_group(name, at=world.at) for name in ("near", "secret-project"))
    che = rest(world.cast.che)
    given = {"level": {"name": "Chair", "roles": ["cab_chair"], "hours": 2}, "kinds": ["normal"], "reason": "Agreed."}
    made_ = che.post("/api/v1/approval-routes/", {**given, "name": "x", "group_ids": [near.pk, secret.pk]}, "json")
    assert (made_.status_code, made_.data["group_ids"]) == (201, [near.pk, secret.pk])
    reader = make_user("reader1")
    RoleGrant.objects.create(user=reader, role="reader", scope=near.scope_key)
    for text in (
        as_(reader).get(ApprovalRoute.objects.get().get_absolute_url()).text,
        as_(reader).get(reverse("changes:route-list")).text,
    ):
        assert "near, 1 outside your scope" in text
        assert "secret-project" not in text
    assert rest(reader).get(f"/api/v1/approval-routes/{made_.data['id']}/").data["group_ids"] == [near.pk]


def test_the_page_of_a_change_says_who_will_be_asked_and_why_and_what_stands_against_it(world: World) -> None:
    level = {"name": "Owners first", "owners": "targets", "quorum": "first", "hours": 2}
    routing.write(name="Owners", reason="Agreed.", kinds=["normal"], level=level, actor=world.cast.che, at=world.at)
    rfc = made.evaluating(world)
    page = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert "Who will be asked" in page
    assert "route “Owners”" in page
    assert "nobody who may decide answers" in page
    levels = rest(world.cast.che).get(f"/api/v1/rfcs/{rfc.pk}/levels/").data
    assert [one["name"] for one in levels] == ["Owners first", "Service and security", "CAB"]
    assert levels[0]["reason"] == "route “Owners”"
    assert {one["user"] for one in levels[2]["voters"]} == {"cal", "mia"}


def test_who_is_asked_as_owner_is_shown_as_such(world: World) -> None:
    owner = make_user("olga", "service_owner")
    ConfigurationItem.objects.update(owner=owner)
    level = {"name": "Owners first", "owners": "targets", "quorum": "first", "hours": 2}
    routing.write(name="Owners", reason="Agreed.", kinds=["normal"], level=level, actor=world.cast.che, at=world.at)
    rfc = made.awaiting(world)
    page = as_(world.cast.che).get(rfc.get_absolute_url()).text
    assert "olga · owner of what it reaches" in page
    assert "Asked by route “Owners”" in page
    found = rest(owner).get(f"/api/v1/rounds/{made.round_of(rfc).pk}/").data["levels"][0]
    assert (found["reason"], found["voters"]) == (
        "route “Owners”",
        [{"user": "olga", "via": "targets", "basis": "owner"}],
    )


@pytest.mark.parametrize("kind", ["group", "service"])
def test_a_route_that_names_only_what_is_retired_says_everywhere_that_it_asks_nobody(world: World, kind: str) -> None:
    che, cora, at = as_(world.cast.che), world.cast.cora, world.at
    if kind == "group":
        one: Any = made.make_group("databases", at=at)
        GroupMember.objects.create(group=one, host=world.hosts[0], since_at=at)
        place, gone = reverse("cmdb:group-retire", args=[one.pk]), "Every host group that it names is retired"
    else:
        one = items.add(kind="service", name="Payments", actor=cora, at=at)
        items.relate(source_id=one.pk, target_id=world.hosts[0].ci_id, kind="depends_on", actor=cora, at=at)
        items.enter_service(item_id=one.pk, actor=cora, at=at)
        place, gone = reverse("cmdb:item-retire", args=[one.pk]), "Every service that it names is retired"
    level = {"name": "Chair", "roles": ["cab_chair"], "quorum": "first", "hours": 2}
    given = {"kinds": ["normal"], "reason": "Agreed.", "level": level, f"{kind}_ids": [one.pk]}
    route = routing.write(name="Chair of these", **given, actor=world.cast.che, at=at)
    routing.write(name="Of another risk", **{**given, "min_risk": "high"}, actor=world.cast.che, at=at)
    rfc = made.evaluating(world)
    assert "is not asked" not in che.get(rfc.get_absolute_url()).text
    before = as_(cora).get(place).text
    assert (
        f'ask nobody any more until they are revised: <a href="{route.get_absolute_url()}">Chair of these</a>' in before
    )
    as_(cora).post(place, {"reason": "Gone."})
    for page in (reverse("changes:route-list"), route.get_absolute_url()):
        assert gone in che.get(page).text
    (told,) = [r for r in rest(world.cast.che).get("/api/v1/approval-routes/").data["results"] if r["id"] == route.pk]
    assert gone in told["idle"][0]
    shown = che.get(rfc.get_absolute_url()).text
    assert "Route “Chair of these” is not asked" in shown
    assert "Route “Of another risk” is not asked" not in shown
    approvals.request_approval(rfc_id=rfc.pk, actor=world.cast.che, at=at)
    assert AuditEntry.objects.get(verb="change.rfc.routes_not_asked").detail == {"routes": ["Chair of these"]}


def test_a_route_whose_level_nobody_can_answer_says_so_and_its_round_does_not_open(world: World) -> None:
    support.define(name="Night crew", members=["eve"], actor=world.cast.cora, at=world.at)
    level = {"name": "Crew", "roles": [], "group": "Night crew", "quorum": "first", "hours": 2}
    route = routing.write(
        name="Crew", kinds=["normal"], reason="Agreed.", level=level, actor=world.cast.che, at=world.at
    )
    said = "Of those whom its level asks 0 may decide, and it needs 1: a round that asks it does not open."
    che = as_(world.cast.che)
    assert said in che.get(route.get_absolute_url()).text
    assert said in che.get(reverse("changes:route-list")).text
    with pytest.raises(Blocked, match="in which nobody may decide"):
        approvals.request_approval(rfc_id=made.evaluating(world).pk, actor=world.cast.che, at=world.at)
    RoleGrant.objects.create(user=world.cast.eve, role="service_owner")
    assert said not in che.get(route.get_absolute_url()).text
