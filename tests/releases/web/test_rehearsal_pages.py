"""The page of a rehearsed plan, and the same over REST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from patchflow.kernel.models import User
from releases.domain import change_rehearsals, plan_rehearsals
from releases.domain.plan_rehearsals import Wanted
from releases.models import PlanRehearsal
from tests.factories import changes as made
from tests.factories import releases as stages
from tests.factories.people import make_user
from tests.factories.releases import Yard

FORM = {
    "starts_at": "", "fail_percent": "0", "lie_percent": "0", "away_percent": "0", "minutes_least": "0",
    "minutes_most": "0", "seed": "7",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _real_urls(yard: Yard, settings: Any) -> Iterator[None]:
    settings.ROOT_URLCONF = "patchflow.urls"
    with time_machine.travel(yard.at, tick=False):
        yield


def browser(user: User) -> Client:
    made = Client()
    made.force_login(user)
    return made


def test_the_plan_is_rehearsed_on_its_page_and_the_release_tells_what_it_came_to(yard: Yard) -> None:
    release = stages.scheduling(yard)
    rex, url = browser(yard.cast.rex), reverse("releases:release-rehearse", args=[release.pk])
    before = rex.get(release.get_absolute_url()).content.decode()
    assert "Not rehearsed yet" in before
    assert url in before
    assert rex.post(url, FORM).status_code == 302
    shown = rex.get(url).content.decode()
    for said in (
        "On paper: the last ring would end", "on paper: full", "3 of 3 hosts would be done; none was touched.",
        "Ring by ring", "<svg", "seed 7",
    ):  # fmt: skip
        assert said in shown, said
    told = rex.get(release.get_absolute_url()).content.decode()
    assert "3 of 3 hosts would be done; none was touched." in told
    assert "on paper: full" in told
    assert "has changed since it was rehearsed" not in told


def test_a_rehearsal_of_another_plan_says_so(yard: Yard) -> None:
    release = stages.scheduling(yard)
    plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    stages.plans.drop_host(
        release_id=release.pk, host_id=yard.world.hosts[0].pk, reason="Later.", actor=yard.cast.rex, at=yard.at
    )
    rex = browser(yard.cast.rex)
    for url in (release.get_absolute_url(), reverse("releases:release-rehearse", args=[release.pk])):
        assert "has changed since it was rehearsed" in rex.get(url).content.decode()


def test_what_does_not_fit_is_counted_and_named_with_its_reason(yard: Yard) -> None:
    release = stages.scheduling(yard)
    yard.world.hosts[1].memberships.all().delete()
    plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at, wanted=Wanted(fail_percent=100))
    shown = browser(yard.cast.rex).get(reverse("releases:release-rehearse", args=[release.pk])).content.decode()
    assert "1 of 3 hosts will not fit" in shown
    assert "it has none of the windows that were signed" in shown
    assert "On paper: it would halt" in shown


def test_what_was_typed_is_kept_with_the_reason_when_it_is_refused(yard: Yard) -> None:
    release = stages.scheduling(yard)
    url = reverse("releases:release-rehearse", args=[release.pk])
    answer = browser(yard.cast.rex).post(url, {**FORM, "fail_percent": "70", "lie_percent": "60"})
    assert answer.status_code == 400
    assert "100 together at most" in answer.content.decode()
    assert 'value="70"' in answer.content.decode()
    assert not PlanRehearsal.objects.exists()


def test_others_read_and_do_not_rehearse_and_nobody_sees_hosts_outside_their_scope(yard: Yard) -> None:
    release = stages.scheduling(yard)
    plan_rehearsals.rehearse(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    url = reverse("releases:release-rehearse", args=[release.pk])
    shown = browser(yard.cast.aud).get(url).content.decode()
    assert "3 of 3 hosts would be done; none was touched." in shown
    assert "A release manager rehearses the plan." in shown
    refused = browser(yard.cast.aud).post(url, FORM)
    assert refused.status_code in (400, 403)
    assert browser(yard.cast.eve).get(url).status_code == 404
    group = yard.world.hosts[0].memberships.first()
    if group is not None:
        some = browser(make_user("some", "reader", scope=f"group:{group.group_id}")).get(url).content.decode()
        assert yard.world.hosts[2].name not in some
    assert PlanRehearsal.objects.count() == 1


def test_the_same_over_rest(yard: Yard) -> None:
    release = stages.scheduling(yard)
    api = APIClient()
    api.force_authenticate(yard.cast.rex)
    made = api.post(f"/api/v1/releases/{release.pk}/rehearse/", {"seed": 7}, format="json")
    assert made.status_code == 201
    assert (made.data["end"], made.data["seed"], made.data["result"]["good"]) == ("full", 7, 3)
    (kept,) = api.get(f"/api/v1/releases/{release.pk}/rehearsals/").data
    assert kept == made.data
    late = api.post(f"/api/v1/releases/{release.pk}/rehearse/", {"starts_at": "2020-01-01T00:00:00Z"}, format="json")
    assert late.status_code == 400
    assert "rehearsal.starts_at" in str(late.data)
    api.force_authenticate(yard.cast.aud)
    assert api.post(f"/api/v1/releases/{release.pk}/rehearse/", {}, format="json").status_code == 403


# --- evidence of its changes, and a change alone ----------------------------------------------------------------------------
def awaiting(yard: Yard) -> Any:
    return made.awaiting(yard.world, host_ids=[host.pk for host in yard.world.hosts])


def test_the_change_and_the_board_show_the_rehearsal_and_say_when_it_is_old(yard: Yard) -> None:
    rfc = awaiting(yard)
    made.approve(rfc, yard.cast.sam, at=yard.at)
    board = reverse("changes:board-item", args=[made.round_of(rfc).pk])
    assert "Rehearsal of the plan, on paper only:" not in browser(yard.cast.mia).get(board).content.decode()
    change_rehearsals.rehearse(
        rfc_id=rfc.pk, profile_id=yard.profile.pk, executor="fake", actor=yard.cast.rex, at=yard.at
    )
    for url, person in ((board, yard.cast.mia), (rfc.get_absolute_url(), yard.cast.ann)):
        shown = browser(person).get(url).content.decode()
        assert "Rehearsal of the plan, on paper only: before any release: starts" in shown
        assert "3 of 3 hosts done, 0 failed, 0 will not fit." in shown
        assert "The plan has changed since" not in shown
    listed = browser(yard.cast.ann).get(reverse("changes:rfc-evidence", args=[rfc.pk])).content.decode()
    assert "passed, on paper" in listed
    yard.world.hosts[0].machine_id = "f" * 32
    yard.world.hosts[0].save()
    for url, person in ((board, yard.cast.mia), (rfc.get_absolute_url(), yard.cast.ann)):
        assert "The plan has changed since: rehearse it again." in browser(person).get(url).content.decode()


def test_a_change_is_rehearsed_on_its_page(yard: Yard) -> None:
    rfc = awaiting(yard)
    rex, url = browser(yard.cast.rex), reverse("releases:rfc-rehearse", args=[rfc.pk])
    assert url in rex.get(rfc.get_absolute_url()).content.decode()
    assert "Not rehearsed yet" in rex.get(url).content.decode()
    assert rex.post(url, {**FORM, "profile_id": "0"}).status_code == 400
    assert rex.post(url, {**FORM, "profile_id": str(yard.profile.pk)}).status_code == 302
    shown = rex.get(url).content.decode()
    for said in ("Ring by ring", "seed 7", "before a build", "those that are usually proposed"):
        assert said in shown, said
    refused = browser(yard.cast.ann)
    assert "A release manager rehearses the plan" in refused.get(url).content.decode()
    assert refused.post(url, {**FORM, "profile_id": str(yard.profile.pk)}).status_code in (400, 403)
    assert browser(yard.cast.eve).get(url).status_code == 404
    part = make_user("part", "reader", scope=made.make_group("all", at=yard.at).scope_key)
    yard.world.hosts[2].memberships.all().delete()
    assert yard.world.hosts[2].name not in browser(part).get(url).content.decode()


def test_a_change_alone_over_rest(yard: Yard) -> None:
    rfc = awaiting(yard)
    api = APIClient()
    api.force_authenticate(yard.cast.rex)
    given = {"rfc_id": rfc.pk, "profile_id": yard.profile.pk, "executor": "fake", "seed": 7}
    row = api.post("/api/v1/rehearsals/", given, format="json")
    assert row.status_code == 201, row.data
    assert (row.data["rfc"], row.data["release"], row.data["end"]) == (rfc.pk, None, "full")
    (kept,) = api.get(f"/api/v1/rehearsals/?rfc={rfc.pk}").data["results"]
    assert kept["digest"] == row.data["digest"]
    (said,) = api.get(f"/api/v1/rfcs/{rfc.pk}/evidence/").data
    assert (said["kind"], said["passed"], said["outdated"]) == ("plan_rehearsal", True, "")
    yard.world.hosts[0].machine_id = "f" * 32
    yard.world.hosts[0].save()
    (said,) = api.get(f"/api/v1/rfcs/{rfc.pk}/evidence/").data
    assert said["outdated"] == "The plan has changed since: rehearse it again."
    part = make_user("part", "release_manager", scope=made.make_group("others", at=yard.at).scope_key)
    api.force_authenticate(part)
    assert api.get("/api/v1/rehearsals/").data["results"] == []
    assert api.post("/api/v1/rehearsals/", given, format="json").status_code == 404
    api.force_authenticate(yard.cast.ann)
    assert api.post("/api/v1/rehearsals/", given, format="json").status_code == 403
