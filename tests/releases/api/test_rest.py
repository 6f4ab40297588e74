"""One verb, many doors: over REST the same verbs, the same refusals, the same reasons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient
from time_machine import TimeMachineFixture

from patchflow.kernel import fsm
from patchflow.kernel.models import User
from releases.domain import standing
from releases.models import Release
from tests.factories.people import make_user
from tests.factories.releases import (
    OLD,
    Yard,
    composed,
    in_testing,
    manifest_of,
    ready,
    rfc_of,
    run_tests,
    sealed,
    work,
)


def client(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def post(user: User, path: str, **body: Any) -> Any:
    return client(user).post(f"/api/v1/{path}", body, format="json")


@pytest.fixture(autouse=True)
def _real_urls(yard: Yard, settings: Any) -> None:
    settings.ROOT_URLCONF = "patchflow.urls"


def test_a_release_goes_all_the_way_to_ready_over_rest(
    yard: Yard, now: datetime, time_machine: TimeMachineFixture
) -> None:
    time_machine.move_to(now)  # REST knows no other time than the present
    rex, tia, gus = yard.cast.rex, yard.cast.tia, yard.cast.gus
    made = post(rex, "releases/", rfc_ids=[rfc_of(yard).pk])
    assert made.status_code == 201
    pk = made.data["id"]
    at = f"releases/{pk}/"
    pilot = {"name": "Pilot", "percent": 1, "class_hosts": 1}
    refused = post(rex, at + "rings/", rings=[pilot, {"name": "All", "percent": 100}])
    assert (refused.status_code, "release.rings.class_unknown" in str(refused.data)) == (400, True)
    assert post(rex, at + "rings/", rings=[{"name": "All", "percent": 100}]).status_code == 200
    assert post(rex, at + "windows/", window_ids=[yard.window.pk], latest_at="2026-11-30T00:00:00Z").status_code == 200
    assert post(rex, at + "profile/", profile_id=yard.profile.pk).status_code == 200
    plan = post(tia, at + "plan_test/", update_id=yard.world.update.pk, host_id=yard.test_host.pk)
    assert plan.status_code == 200
    built = post(rex, at + "build/")
    assert built.status_code == 200, built.data
    assert built.data["state"] == "building"
    release = Release.objects.get(pk=pk)
    work(yard, release)
    run_tests(yard, release)
    sealed_ = post(rex, at + "seal/")
    assert (sealed_.status_code, sealed_.data.get("state")) == (200, "awaiting_readiness"), sealed_.data
    (manifest,) = client(gus).get(f"/api/v1/{at}manifests/").data
    signed = post(gus, at + "sign/", verdict="approve", digest_seen=manifest["digest"])
    assert (signed.status_code, signed.data["state"]) == (200, "ready")


def test_refusals_are_problems_with_the_reasons_of_the_page(yard: Yard) -> None:
    release = in_testing(yard)
    answer = post(yard.cast.rex, f"releases/{release.pk}/seal/")
    assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")
    assert answer.json()["blockers"][0]["code"] == "conflict.state"
    run_tests(yard, release)
    release.planned_windows.all().delete()
    answer = post(yard.cast.rex, f"releases/{release.pk}/seal/")
    listed = client(yard.cast.rex).get(f"/api/v1/releases/{release.pk}/checklist/").data
    reasons = {b["code"] for item in listed for b in item["blockers"]}
    assert {b["code"] for b in answer.json()["blockers"]} == reasons == {"readiness.windows", "manifest.empty"}


def test_who_signed_is_refused_over_rest_too(yard: Yard) -> None:
    release = ready(yard)
    from tests.releases.domain.test_four_eyes import everywhere

    answer = post(everywhere(yard.cast.gus), f"releases/{release.pk}/deploy/")
    assert answer.status_code == 403
    assert "release.four_eyes" in {b["code"] for b in answer.json()["blockers"]}


def test_another_manifest_than_the_one_read_is_not_signed(yard: Yard) -> None:
    release = sealed(yard)
    answer = post(yard.cast.gus, f"releases/{release.pk}/sign/", verdict="approve", digest_seen="0" * 64)
    assert (answer.status_code, answer.json()["blockers"][0]["code"]) == (409, "signoff.changed")
    assert post(yard.cast.gus, f"releases/{release.pk}/sign/", verdict="approve").status_code == 400


def test_no_route_takes_a_time_of_the_act(yard: Yard) -> None:
    release = sealed(yard)
    digest = manifest_of(release).digest
    post(
        yard.cast.gus, f"releases/{release.pk}/sign/", verdict="approve", digest_seen=digest, at="2001-01-01T00:00:00Z"
    )
    review = release.readiness_reviews.get()
    assert review.closed_at is None or review.closed_at.year > 2001


def test_who_sees_no_host_sees_no_release(yard: Yard) -> None:
    release = sealed(yard)
    assert client(yard.cast.eve).get(f"/api/v1/releases/{release.pk}/").status_code == 404
    assert client(yard.cast.eve).get("/api/v1/releases/").data["results"] == []
    assert post(yard.cast.eve, f"releases/{release.pk}/build/").status_code == 404


def test_a_scoped_reader_sees_the_release_but_not_its_documents(yard: Yard) -> None:
    from cmdb.models import GroupMember
    from tests.factories.changes import make_group

    inside = make_group("corner", at=yard.at)
    GroupMember.objects.create(group=inside, host=yard.world.hosts[0], since_at=yard.at)
    reader = make_user("ria", "reader", scope=f"group:{inside.pk}")
    release = sealed(yard)
    assert client(reader).get(f"/api/v1/releases/{release.pk}/").status_code == 200
    for path in ("manifests", "checklist", "draft", "builds", "tests"):
        answer = client(reader).get(f"/api/v1/releases/{release.pk}/{path}/")
        assert answer.status_code == 403, path
        assert yard.world.hosts[1].name not in answer.content.decode(), path


def test_a_run_of_another_release_is_not_judged_here(yard: Yard) -> None:
    first = in_testing(yard)
    from releases.domain import acceptance

    (run,) = acceptance.request_runs(release_id=first.pk, actor=yard.cast.tia, at=yard.at)
    second = in_testing(yard, rfc_of(yard))
    answer = post(yard.cast.tia, f"releases/{second.pk}/judge/", run_id=run.pk, verdict="failed", reason="x")
    assert answer.status_code == 409
    yard.machine(yard.test_host).packages["openssl"] = OLD
    answer = post(yard.cast.tia, f"releases/{first.pk}/judge/", run_id=run.pk, verdict="failed", reason="white page")
    assert (answer.status_code, answer.data["state"]) == (200, "planning")


def test_every_person_facing_transition_has_a_route(yard: Yard) -> None:
    from releases.api.releases import ReleaseViewSet

    names = {a.url_path for a in ReleaseViewSet.get_extra_actions()}
    buttons = {t.name for t in fsm.MACHINES["releases.release"] if not t.by_system}
    assert buttons - names == {"roll_back"}, "rolling back is the rollout's verb"


def test_lists_cost_the_same_for_one_and_three_releases(yard: Yard) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            client(User.objects.get(pk=yard.cast.rex.pk)).get("/api/v1/releases/")
        return len(seen)

    held = [composed(yard)]
    standing.place(release_id=held[0].pk, reason="wait", actor=yard.cast.che, at=yard.at)
    first = queries()
    held += [composed(yard, rfc_of(yard)), composed(yard, rfc_of(yard))]
    standing.place(release_id=held[1].pk, reason="wait", actor=yard.cast.che, at=yard.at)
    assert queries() == first
    shown = client(yard.cast.rex).get("/api/v1/releases/").json()["results"]
    assert [bool(one["hold"]) for one in shown] == [False, True, True]


def test_a_release_is_put_on_hold_and_resumed_over_rest(yard: Yard, time_machine: TimeMachineFixture) -> None:
    time_machine.move_to(yard.at, tick=False)
    release = composed(yard)
    path = f"releases/{release.pk}"
    assert post(yard.cast.rex, f"{path}/hold/", reason="wait").status_code == 403
    assert post(yard.cast.che, f"{path}/hold/", reason="").status_code == 400
    placed = post(yard.cast.che, f"{path}/hold/", reason="wait for vendor")
    assert placed.json()["hold"] == {
        "placed_by": "che", "placed_at": f"{yard.at:%Y-%m-%dT%H:%M:%SZ}", "cause": "person", "reason": "wait for vendor",
    }  # fmt: skip
    assert post(yard.cast.che, f"{path}/hold/", reason="again").status_code == 409
    built = post(yard.cast.rex, f"{path}/build/")
    assert [b["sentence"] for b in built.json()["blockers"]] == ["On hold by che: wait for vendor. Resume it first."]
    assert post(yard.cast.che, f"{path}/resume/", reason="it came").json()["hold"] is None
    assert post(yard.cast.che, f"{path}/resume/", reason="").status_code in (400, 409)
    assert post(yard.cast.rex, f"{path}/build/").status_code == 200
