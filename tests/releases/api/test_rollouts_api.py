"""Rollouts over REST: the same verbs, the same refusals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from patchflow.kernel.models import User
from releases.models import Rollout
from tests.factories.people import Cast
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]


@pytest.fixture
def make(cast: Cast, now: datetime, tmp_path: Path) -> Make:
    def run(**given: Any) -> Deployment:
        return make_deployment(cast, now, tmp_path, **given)

    return run


def api(person: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(person)
    return client


def test_a_rollout_is_read_and_moved(make: Make) -> None:
    deployment = make(hosts=2, rings=[{"hosts": 2, "concurrency": 1}])
    deployment.habit(0, "fail")
    deployment.start()
    deployment.work()
    client, address = api(deployment.cast.otto), f"/api/v1/rollouts/{deployment.rollout.pk}/"
    body = client.get(address).json()
    assert (body["state"], body["release"], [r["state"] for r in body["rings"]]) == (
        "halted",
        deployment.release.number,
        ["failed"],
    )
    assert [(r["class_hosts"], r["classes_asked"]) for r in body["rings"]] == [(0, [])]
    assert client.get(f"{address}counts/").json() == [
        {"ring": deployment.ring().pk, "counts": {"failed": 1, "pending": 1}}
    ]
    job = client.get(f"/api/v1/jobs/?rollout={deployment.rollout.pk}&state=failed").json()["results"][0]
    assert [s["verdict"] for s in client.get(f"/api/v1/jobs/{job['id']}/slips/").json()] == ["run"]
    assert client.get(f"/api/v1/jobs/{job['id']}/events/").json()[-1]["stage"] == "failed"
    deployment.habit(0, None)
    answer = client.post(f"{address}retry_ring/", {"ring": deployment.ring().pk}, format="json")
    assert (answer.status_code, answer.json()["state"]) == (200, "running")


def test_a_refusal_is_a_problem_with_its_reasons(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    address = f"/api/v1/rollouts/{deployment.rollout.pk}/"
    answer = api(deployment.cast.aud).post(f"{address}stop/", {"reason": "no"}, format="json")
    assert answer.status_code == 403
    assert answer.json()["blockers"][0]["code"] == "role.rollout.stop"
    assert api(deployment.cast.rex).post(f"{address}stop/", {}, format="json").status_code == 400
    assert api(deployment.cast.eve).get(address).status_code == 404
    assert Rollout.objects.get().state == "running"


def test_the_time_of_an_act_is_never_taken_from_the_caller(make: Make) -> None:
    deployment = make(hosts=1)
    deployment.start()
    address = f"/api/v1/rollouts/{deployment.rollout.pk}/pause/"
    answer = api(deployment.cast.rex).post(address, {"reason": "x", "at": "2020-01-01T00:00:00Z"}, format="json")
    assert (answer.status_code, set(answer.json()["errors"])) == (400, {"at"})
    assert Rollout.objects.get().state == "running"


def test_the_kill_switch(cast: Cast) -> None:
    answer = api(cast.otto).post("/api/v1/kill-switch/set/", {"on": True, "reason": "fire"}, format="json")
    assert (answer.status_code, answer.json()["is_on"]) == (200, True)
    assert (
        api(cast.ann).post("/api/v1/kill-switch/set/", {"on": False, "reason": "x"}, format="json").status_code == 403
    )
