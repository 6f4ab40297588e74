"""Change models over REST: written, signed by the board, used, lost."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from changes.models import ChangeModel
from patchflow.kernel import signoffs
from patchflow.kernel.models import User
from tests.factories import changes as made
from tests.factories.changes import World

pytestmark = pytest.mark.django_db
ROOT = "/api/v1/change-models/"
BODY = {"name": "Routine", "kind": "standard", "max_score": 25, "packages": ["openssl"], **made.PLANS}


def as_(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def board_signs(world: World, model_id: int) -> None:
    round_ = signoffs.open_round_of(ChangeModel.objects.get(pk=model_id))
    assert round_ is not None
    for person in (world.cast.sam, world.cast.cal, world.cast.mia):
        vote = {"verdict": "approve", "digest_seen": round_.digest}
        assert as_(person).post(f"/api/v1/rounds/{round_.pk}/decide/", vote, format="json").status_code == 200


def test_a_model_is_written_signed_and_gives_its_licence(world: World) -> None:
    che, ann = as_(world.cast.che), as_(world.cast.ann)
    made_ = che.post(ROOT, BODY, format="json")
    assert (made_.status_code, made_.json()["state"]) == (201, "draft")
    url = f"{ROOT}{made_.json()['id']}/"
    revised = che.post(f"{url}revise/", {"max_hosts": 10}, format="json").json()
    assert (revised["max_hosts"], revised["packages"]) == (10, ["openssl"])
    assert che.post(f"{url}propose/").json()["state"] == "proposed"
    board_signs(world, made_.json()["id"])
    assert ann.get(url).json()["state"] == "approved"
    asked = {"update_ids": [world.update.pk], "kind": "standard", "change_model_id": made_.json()["id"]}
    rfc = ann.post("/api/v1/rfcs/", asked, format="json").json()
    assert rfc["implementation_plan"] == made.PLANS["implementation_plan"]
    assert ann.post(f"/api/v1/rfcs/{rfc['id']}/submit/").json()["state"] == "authorized"


def test_who_wrote_a_model_does_not_sign_it_and_others_do_not_write(world: World) -> None:
    assert as_(world.cast.ann).post(ROOT, BODY, format="json").status_code == 403
    found = as_(world.cast.che).post(ROOT, BODY, format="json").json()
    url = f"{ROOT}{found['id']}/"
    assert as_(world.cast.mia).post(f"{url}propose/").status_code == 403
    assert as_(world.cast.eve).get(url).status_code == 404
    as_(world.cast.che).post(f"{url}propose/")
    round_ = signoffs.open_round_of(ChangeModel.objects.get(pk=found["id"]))
    assert round_ is not None
    assert world.cast.che.pk not in {v.user_id for level in round_.levels.all() for v in level.voters.all()}


def test_a_proposal_is_taken_back_and_an_approval_withdrawn(world: World) -> None:
    che = as_(world.cast.che)
    found = che.post(ROOT, BODY, format="json").json()
    url = f"{ROOT}{found['id']}/"
    che.post(f"{url}propose/")
    (round_,) = che.get("/api/v1/rounds/?state=open").json()["results"]
    taken = che.post(f"/api/v1/rounds/{round_['id']}/withdraw/", {"reason": "a word is missing"}, format="json")
    assert (taken.json()["state"], che.get(url).json()["state"]) == ("withdrawn", "draft")
    che.post(f"{url}propose/")
    board_signs(world, found["id"])
    assert as_(world.cast.ann).post(f"{url}withdraw/", {"reason": "x"}, format="json").status_code == 403
    assert che.post(f"{url}withdraw/", {"reason": "too wide"}, format="json").json()["state"] == "draft"
    assert che.post(f"{url}retire/", {"reason": "not used"}, format="json").json()["state"] == "retired"


def test_a_level_that_nobody_could_pass_is_refused(world: World) -> None:
    wrong = [{"name": "CAB", "roles": ["tester"], "working_days": 3}]
    response = as_(world.cast.che).post(ROOT, {**BODY, "levels": wrong}, format="json")
    assert (response.status_code, response.json()["blockers"][0]["code"]) == (400, "model.levels")
