"""A change whose tasks hold it up at each step, over REST, from raising to the end of its cycle."""

from __future__ import annotations

from datetime import timedelta

import pytest

from changes.models import RFC
from tests.factories.releases import Yard
from tests.walks.conftest import Walk

pytestmark = pytest.mark.django_db
OPEN = {"task.open"}


def test_required_tasks_hold_it_up_and_let_it_go(walk: Walk, yard: Yard) -> None:
    cast = walk.cast
    pk = walk.raised(yard.world, not_after=(walk.at + timedelta(days=20)).isoformat())

    def add(title: str, stage: str, **given: object) -> int:
        body = {"rfc_id": pk, "title": title, "stage": stage, "assignee_id": cast.tia.pk, **given}
        return int(walk.say(cast.ann, "change-tasks", **body)["id"])

    def do(task: int) -> None:
        assert walk.say(cast.tia, f"change-tasks/{task}/begin")["state"] == "in_progress"
        done = walk.say(cast.tia, f"change-tasks/{task}/finish", outcome="As it was asked.")
        assert (done["state"], done["ended_by"], done["outcome"]) == ("done", "tia", "As it was asked.")

    ask, tell = add("Ask the vendor", "planning"), add("Tell the help desk", "preparation")
    check, spare = add("Place a test order", "testing"), add("Write it down", "review", required=False)
    walk.say(cast.che, f"rfcs/{pk}/evaluate")
    assert walk.refused(cast.che, f"rfcs/{pk}/request_approval") == OPEN
    walk.say(cast.che, f"rfcs/{pk}/hold", reason="The vendor is silent.")
    assert walk.refused(cast.tia, f"change-tasks/{ask}/begin") == {"hold.open"}
    assert walk.look(cast.tia, f"change-tasks/{ask}")["held"] is True
    walk.say(cast.che, f"rfcs/{pk}/resume", reason="It has answered.")
    do(ask)
    walk.say(cast.che, f"rfcs/{pk}/request_approval")
    assert walk.refused(cast.tia, f"change-tasks/{tell}/begin") == {"task.early"}
    assert walk.signed(pk) == "authorized"
    release = walk.ready(yard, pk)
    assert walk.refused(cast.rex, f"releases/{release.pk}/deploy") == OPEN
    assert walk.refused(cast.ann, f"change-tasks/{tell}/dismiss", reason="No time.") == {"task.required"}
    do(tell)
    release = walk.deployed(yard, release)
    assert walk.reviewed(release) == "completed"
    assert walk.refused(cast.che, f"rfcs/{pk}/close", code="successful") == OPEN
    (reason,) = [
        b["sentence"]
        for v in walk.look(cast.che, f"rfcs/{pk}/available")
        if v["name"] == "close"
        for b in v["blockers"]
    ]
    assert reason == f"Its task {RFC.objects.get(pk=pk).number}-T3, “Place a test order”, is open."
    do(check)
    assert walk.closed(pk, "successful") == ("closed", "completed")
    assert walk.look(cast.che, f"change-tasks/{spare}")["state"] == "cancelled"
