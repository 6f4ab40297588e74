"""Pages, REST and admin of steps on hosts: the same verbs, the same refusals."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from patchflow.kernel.models import User
from releases.models import HostStep, InstallProfile
from tests.factories.people import Cast
from tests.factories.rollouts import make_deployment
from tests.factories.steps import made_step, service_steps

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def as_person(client: Client, person: User) -> Client:
    client.force_login(person, backend=BACKEND)
    return client


def post(person: User, path: str, **body: Any) -> Any:
    client = APIClient()
    client.force_authenticate(person)
    return client.post(f"/api/v1/{path}", body, format="json")


def test_a_step_is_written_reviewed_and_named_by_a_profile_on_the_pages(
    client: Client, cast: Cast, now: datetime
) -> None:
    form = {"name": "Space", "moment": "before", "kind": "space", "target": "/var", "amount": 500, "limit_seconds": 10,
            "on_failure": "stop", "runs": "success"}  # fmt: skip
    assert as_person(client, cast.otto).post("/releases/steps/write/", {**form, "target": "var"}).status_code == 400
    assert client.post("/releases/steps/write/", form).status_code == 302
    step = HostStep.objects.get()

    own = client.get(step.get_absolute_url()).content.decode()
    assert "another person approves it" in own
    assert client.post(f"/releases/steps/{step.pk}/approve/", {"comment": ""}).status_code == 400
    assert as_person(client, cast.sam).post(f"/releases/steps/{step.pk}/approve/", {"comment": ""}).status_code == 302

    defined = {"name": "Web", "restart": "never", "max_minutes_each": 30, "max_minutes_total": 60, "countdown_seconds": 0,
               "min_alive": 1, "min_alive_percent": 0, "notice_hours": 0, "steps": "Space"}  # fmt: skip
    as_person(client, cast.rex)
    assert "Space | 1" in client.get("/releases/profiles/define/").content.decode()
    assert client.post("/releases/profiles/define/", {**defined, "steps": "None such"}).status_code == 400
    assert client.post("/releases/profiles/define/", defined).status_code == 302
    assert InstallProfile.objects.get().steps == [{"name": "Space", "revision": 1}]
    assert "Web (revision 1)" in client.get(step.get_absolute_url()).content.decode()

    retire = client.get(f"/releases/steps/{step.pk}/retire/").content.decode()
    assert "install profile that names it" in retire
    assert client.post(f"/releases/steps/{step.pk}/retire/", {"comment": "Not used"}).status_code == 302
    assert HostStep.objects.get().state == "retired"


def test_a_step_is_written_and_reviewed_over_rest_with_the_same_refusals(cast: Cast) -> None:
    body = {"name": "Space", "moment": "before", "kind": "space", "target": "/var", "amount": 500}
    assert post(cast.ann, "steps/", **body).status_code == 403
    assert (
        post(cast.otto, "steps/", **{**body, "kind": "command", "target": "var"}).json()["blockers"][0]["code"]
        == "step.target"
    )
    made = post(cast.otto, "steps/", **body)
    assert (made.status_code, made.json()["state"], made.json()["revision"]) == (201, "proposed", 1)
    pk = made.json()["id"]
    refused = post(cast.otto, f"steps/{pk}/approve/")
    assert refused.status_code == 403
    assert "step.writer" not in [b["code"] for b in post(cast.sam, f"steps/{pk}/approve/").json().get("blockers", [])]
    given = post(cast.rex, "install-profiles/", name="Web", steps=[{"name": "Space", "revision": 1}])
    assert given.json()["steps"] == [{"name": "Space", "revision": 1}]
    assert post(cast.che, f"steps/{pk}/retire/", comment="No more").json()["state"] == "retired"
    again = post(cast.rex, "install-profiles/", name="Web", steps=[{"name": "Space", "revision": 1}])
    assert again.json()["blockers"][0]["code"] == "profile.steps"


def test_the_admin_site_decides_by_the_same_verbs(client: Client, cast: Cast, now: datetime) -> None:
    step = made_step(cast.otto, now)
    url, chosen = "/admin/releases/hoststep/", {"_selected_action": [step.pk], "confirmed": "1"}
    as_person(client, cast.otto)
    assert b"Space" in client.get(url).content
    client.post(url, {"action": "approve", **chosen})
    assert HostStep.objects.get().state == "proposed"
    client.post(url, {"action": "retire", "reason": "Not needed", **chosen})
    assert (HostStep.objects.get().state, HostStep.objects.get().comment) == ("retired", "Not needed")


def test_the_page_of_a_manifest_shows_its_steps(client: Client, cast: Cast, now: datetime, tmp_path: Path) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1, steps=service_steps(cast, now))
    page = as_person(client, cast.rex).get(f"/releases/{deployment.release.pk}/manifests/1/").content.decode()
    assert "Steps before and after" in page
    assert "web.service" in page
