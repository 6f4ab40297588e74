"""RFCs, rounds and cycles over REST: the same verbs, the same refusals, nothing that the caller may not see."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from changes.models import RFC, Cycle
from patchflow.kernel.models import AuditEntry, User
from tests.factories import changes as made
from tests.factories.changes import World
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/rfcs/"


def as_(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def test_normal_change_from_raising_to_authorization(world: World) -> None:
    cast = world.cast
    raised = as_(cast.ann).post(ROOT, {"update_ids": [world.update.pk], **made.PLANS}, format="json")
    assert raised.status_code == 201
    url = f"{ROOT}{raised.json()['id']}/"
    steps = [(cast.ann, "submit"), (cast.che, "evaluate"), (cast.che, "request_approval")]
    states = [as_(who).post(f"{url}{verb}/").json()["state"] for who, verb in steps]
    assert states == ["submitted", "evaluating", "awaiting_approval"]
    (round_,) = as_(cast.mia).get("/api/v1/rounds/?state=open").json()["results"]
    for who in (cast.sam, cast.cal, cast.mia):
        vote = {"verdict": "approve", "digest_seen": round_["digest"]}
        response = as_(who).post(f"/api/v1/rounds/{round_['id']}/decide/", vote, format="json")
        assert response.status_code == 200
    found = as_(cast.rex).get(f"{url}authorization/").json()
    assert (found["valid"], found["digest"]) == (True, round_["digest"])


def test_refusals_are_problems_with_their_reasons(world: World) -> None:
    rfc = made.evaluating(world, test_plan="")
    response = as_(world.cast.che).post(f"{ROOT}{rfc.pk}/request_approval/")
    assert (response.status_code, response.headers["Content-Type"]) == (409, "application/problem+json")
    assert [b["code"] for b in response.json()["blockers"]] == ["rfc.plan_missing"]
    assert AuditEntry.objects.filter(verb="change.rfc.approval_requested", outcome="refused").count() == 1
    assert as_(world.cast.mia).post(f"{ROOT}{rfc.pk}/cancel/", {"reason": "x"}, format="json").status_code == 403
    assert as_(world.cast.che).post(f"{ROOT}{rfc.pk}/cancel/", {}, format="json").status_code == 400


def test_what_may_not_be_seen_does_not_exist(world: World) -> None:
    rfc = made.draft(world)
    far = make_user("far", "change_manager", scope=made.make_group("others", at=world.at).scope_key)
    for person in (far, world.cast.eve, world.cast.root):
        client = as_(person)
        assert client.get(f"{ROOT}{rfc.pk}/").status_code == 404
        assert client.post(f"{ROOT}{rfc.pk}/cancel/", {"reason": "x"}, format="json").status_code == 404
        assert client.get(ROOT).json()["results"] == []
    assert APIClient().get(ROOT).status_code in (401, 403)


def test_nobody_chooses_the_time_or_the_state(world: World) -> None:
    body = {"update_ids": [world.update.pk], "state": "authorized", "at": "2020-01-01T00:00:00Z", "number": "RFC-1"}
    refused = as_(world.cast.ann).post(ROOT, body, format="json")
    assert (refused.status_code, set(refused.json()["errors"])) == (400, {"state", "at", "number"})
    assert not RFC.objects.exists()
    rfc = made.draft(world)
    assert as_(world.cast.che).patch(f"{ROOT}{rfc.pk}/", {"state": "closed"}).status_code == 405
    assert as_(world.cast.che).delete(f"{ROOT}{rfc.pk}/").status_code == 405


def test_available_says_why_not(world: World) -> None:
    rfc = made.awaiting(world)
    offered = {v["name"]: v for v in as_(world.cast.che).get(f"{ROOT}{rfc.pk}/available/").json()}
    assert set(offered) == {"break_glass", "reject", "cancel"}
    assert offered["reject"]["allowed"]
    assert not offered["break_glass"]["allowed"]
    (vote,) = as_(world.cast.ann).get(f"/api/v1/rounds/{made.round_of(rfc).pk}/available/").json()
    assert "signoff.four_eyes" in {b["code"] for b in vote["blockers"]}


def test_revise_shows_the_difference(world: World) -> None:
    rfc = made.authorized(world)
    url = f"{ROOT}{rfc.pk}/"
    revised = as_(world.cast.ann).post(f"{url}revise/", {"test_plan": "New."}, format="json")
    assert revised.json()["state"] == "evaluating"
    (row,) = as_(world.cast.ann).get(f"{url}difference/").json()
    assert (row["field"], row["added"]) == ("plans.test", ["New."])


def test_a_title_that_is_read_while_people_vote_is_not_exchanged(world: World) -> None:
    """Each voter reads the title under which all others signed: another one is another question."""
    rfc = made.awaiting(world)
    old, first = rfc.title, made.round_of(rfc)
    for who in (world.cast.sam, world.cast.cal):
        made.approve(rfc, who, at=world.at)
    url = f"{ROOT}{rfc.pk}/"
    revised = as_(world.cast.ann).post(f"{url}revise/", {"title": "Replace the mail server"}, format="json")
    assert (revised.status_code, revised.json()["state"]) == (200, "evaluating")
    vote = {"verdict": "approve", "digest_seen": first.digest}
    late = as_(world.cast.mia).post(f"/api/v1/rounds/{first.pk}/decide/", vote, format="json")
    assert late.status_code == 409
    row = {"field": "title", "removed": [old], "added": ["Replace the mail server"]}
    assert as_(world.cast.ann).get(f"{url}difference/").json() == [row]
    assert as_(world.cast.che).post(f"{url}request_approval/").status_code == 200
    assert as_(world.cast.ann).get(f"{url}difference/").json() == []


def test_targets_are_those_of_the_scope(world: World) -> None:
    outside = made.make_host(at=world.at, group="others")
    rfc = made.draft(world, host_ids=[h.pk for h in (*world.hosts, outside)], other_reason="all")
    near = make_user("near", "reader", scope=made.make_group("all", at=world.at).scope_key)
    rows = as_(near).get(f"{ROOT}{rfc.pk}/targets/").json()["results"]
    assert {r["host"] for r in rows} == {h.pk for h in world.hosts}


def test_evidence_holds_and_class(world: World) -> None:
    rfc = made.evaluating(world)
    url = f"{ROOT}{rfc.pk}/"
    stated = {"kind": "acceptance", "summary": "8 of 8", "passed": True}
    assert as_(world.cast.tia).post(f"{url}evidence/", stated, format="json").status_code == 201
    assert as_(world.cast.ann).post(f"{url}evidence/", stated, format="json").status_code == 403
    assert as_(world.cast.ann).get(f"{url}evidence/").json()[0]["by"] == "tia"
    che = as_(world.cast.che)
    assert (
        che.post(f"{url}classify/", {"update_class": "critical", "reason": "exploited"}, format="json").status_code
        == 200
    )
    held = che.post(f"{url}hold/", {"reason": "wait"}, format="json")
    assert (held.status_code, held.json()["hold"]["placed_by"], held.json()["hold"]["reason"]) == (200, "che", "wait")
    assert che.get(ROOT).json()["results"][0]["hold"] == held.json()["hold"]
    assert che.post(f"{url}request_approval/").status_code == 409
    assert che.post(f"{url}resume/", {"reason": "on"}, format="json").status_code == 200


def test_cycles_are_read_and_their_steps_settled(world: World) -> None:
    che = as_(world.cast.che)
    opened = che.post("/api/v1/cycles/", {"kind": "monthly"}, format="json")
    assert (opened.status_code, opened.json()["state"]) == (201, "assess")
    url = f"/api/v1/cycles/{opened.json()['id']}/"
    waived = che.post(f"{url}waive_step/", {"key": "threats", "reason": "x"}, format="json").json()
    assert next(s for s in waived["steps"] if s["key"] == "threats")["state"] == "waived"
    assert as_(world.cast.ann).post("/api/v1/cycles/", {"kind": "emergency"}, format="json").status_code == 403
    assert Cycle.objects.count() == 1


def test_what_has_ended_is_not_resumed(world: World) -> None:
    rfc = made.evaluating(world)
    che, url = as_(world.cast.che), f"{ROOT}{rfc.pk}/"
    assert che.post(f"{url}hold/", {"reason": "wait"}, format="json").status_code == 200
    rejected = che.post(f"{url}reject/", {"reason": "not wanted"}, format="json")
    assert (rejected.status_code, rejected.json()["hold"]) == (200, None)
    assert che.post(f"{url}resume/", {"reason": "on"}, format="json").status_code == 409
