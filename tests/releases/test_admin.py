"""The admin site over releases: rows that stay those that were shown, hosts moved by hand, and what is said before it is done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from cmdb.models import ConfigurationItem, GroupMember, Host
from patchflow.kernel.models import User
from releases.domain import reviews
from releases.models import PlannedHost, PlannedRing, PostImplementationReview, Release, WindowChange
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, insert, make_deployment
from tests.walks.desk import Desk

pytestmark = pytest.mark.django_db
MANY = 1_100
"""More rows than a form may have fields."""
PLACE = "/admin/releases/plannedhost/"


@pytest.fixture
def planned(cast: Cast, now: datetime) -> Release:
    """A release in planning with two rings; all its hosts are in the first."""
    like = make_host("web-0000")
    release = Release.objects.create(
        number="REL-2026-00001", title="Many", kind="normal", executor="simulator", composed_by=cast.rex,
        composed_at=now, state_at=now,
    )  # fmt: skip
    rings = [
        PlannedRing.objects.create(
            release=release, number=n, name=name, concurrency=1, failure_limit=1, success_percent=95, soak_seconds=0
        )
        for n, name in enumerate(("Pilot", "All others"))
    ]
    names = [f"web-{n:04d}" for n in range(1, MANY)]
    insert(ConfigurationItem, [{"name": name} for name in names], ConfigurationItem(kind="host", in_service_at=now))
    items = dict(ConfigurationItem.objects.filter(name__in=names).values_list("name", "pk"))
    rows = [{"ci_id": items[name], "name": name} for name in names]
    insert(Host, rows, Host(platform=like.platform, added_at=now, audited_at=now, last_seen_at=now))
    PlannedHost.objects.bulk_create([PlannedHost(release=release, host=h, ring=rings[0]) for h in Host.objects.all()])
    return release


def in_rings(release: Release) -> list[int]:
    return [ring.hosts.count() for ring in release.planned_rings.order_by("number")]


def test_all_that_were_shown_are_moved_and_no_others(planned: Release, cast: Cast, now: datetime) -> None:
    rex, first = Desk(cast).client(cast.rex), PlannedHost.objects.first()
    assert first is not None
    everything = {"action": "move", "select_across": "1", "_selected_action": [str(first.pk)]}
    asked = rex.post(PLACE, everything)
    assert f"This will touch {MANY} rows" in asked.text
    late = PlannedHost.objects.create(release=planned, host=make_host("late"), ring=planned.planned_rings.get(number=0))
    again = rex.post(PLACE, {**everything, "confirmed": "1", "into": "1"})
    assert f"This will touch {MANY + 1} rows" in again.text, "nobody has seen these: it asks"
    assert in_rings(planned) == [MANY + 1, 0]
    kept = {"action": "move", "chosen": asked.context_data["sealed"], "confirmed": "1", "into": "1"}
    assert rex.post(PLACE, kept).status_code == 302
    assert in_rings(planned) == [1, MANY]
    late.refresh_from_db()
    assert late.ring.number == 0


def test_what_is_gone_meanwhile_is_said_and_nothing_is_done(planned: Release, cast: Cast) -> None:
    rex, rows = Desk(cast).client(cast.rex), list(PlannedHost.objects.order_by("pk")[:3])
    asked = rex.post(PLACE, {"action": "move", "_selected_action": [row.pk for row in rows]})
    sealed = asked.context_data["sealed"]
    rows[1].delete()
    kept = {"action": "move", "chosen": sealed, "confirmed": "1", "into": "1"}
    refused = rex.post(PLACE, kept)
    assert "1 of the rows that you were shown is not there for you any more" in refused.text
    assert in_rings(planned) == [MANY - 1, 0]
    assert rex.post(PLACE, {**kept, "chosen": refused.context_data["sealed"]}).status_code == 302
    assert in_rings(planned) == [MANY - 3, 2]
    for altered in (sealed[:-1], "", "1,2,3"):
        answer = rex.post(PLACE, {**kept, "chosen": altered, "into": "0"}, follow=True)
        assert "does not say which rows were meant" in answer.text
    assert in_rings(planned) == [MANY - 3, 2]


def test_hosts_move_within_one_release_by_who_may_plan(planned: Release, cast: Cast, now: datetime) -> None:
    desk, [one, *_others] = Desk(cast), PlannedHost.objects.order_by("pk")
    desk.press(cast.rex, "move", one, into="1")
    assert in_rings(planned) == [MANY - 1, 1]
    assert "needs the role" in desk.refused(cast.otto, "move", one, into="0")
    assert "is not one of the available choices" in desk.refused(cast.rex, "move", one, into="1")
    other = Release.objects.create(
        number="REL-2026-00002", title="Other", kind="normal", executor="simulator", composed_by=cast.rex,
        composed_at=now, state_at=now,
    )  # fmt: skip
    stray = PlannedHost.objects.create(release=other, host=make_host("stray"))
    asked = desk.client(cast.rex).post(PLACE, {"action": "move", "_selected_action": [one.pk, stray.pk]})
    assert "Choose hosts of one release" in asked.text


# --- what is said before ------------------------------------------------------------------------------------------------
def test_queued_hosts_are_seen_before_a_window_ends(cast: Cast, now: datetime, tmp_path: Path) -> None:
    waiting = make_deployment(cast, now, tmp_path, hosts=2, window={"starts_local": time(now.hour + 1)})
    waiting.start()
    waiting.tick()
    cora = Desk(cast).client(cast.cora)
    place, chosen = "/admin/cmdb/servicewindow/", {"action": "retire", "_selected_action": [waiting.window.pk]}
    asked = cora.post(place, chosen)
    assert "2 hosts wait for this window: 2 stand still." in asked.text
    assert all(host.name in asked.text for host in waiting.hosts)
    typed = {
        "action": "retire", "chosen": asked.context_data["sealed"], "confirmed": "1", "reason": "Moved house.",
        "queued": "cancel", "seen": asked.context_data["ahead"].token,
    }  # fmt: skip
    again = cora.post(place, typed)
    assert "The list has changed. Look at it, and confirm again." in again.text
    assert "2 hosts wait for this window: 2 cancelled." in again.text
    assert (WindowChange.objects.count(), waiting.states()) == (0, ["pending"] * 2)
    assert cora.post(place, {**typed, "seen": again.context_data["ahead"].token}).status_code == 302
    assert waiting.states() == ["cancelled"] * 2


def test_the_way_back_is_of_the_rollout_that_is_chosen(cast: Cast, now: datetime, tmp_path: Path) -> None:
    deployment = make_deployment(cast, now, tmp_path, hosts=1)
    deployment.start()
    deployment.work()
    forward, desk = deployment.rollout, Desk(cast)
    desk.press(cast.rex, "roll_back", deployment.release, reason="log-in is broken")
    back = deployment.rollout
    assert (back.reverses, back.state) == (forward, "running")
    said = f"What is taken back is what {forward.number} did"
    assert said in desk.refused(cast.rex, "roll_back", back, reason="once more")
    client = APIClient()
    client.force_authenticate(cast.rex)
    refused = client.post(f"/api/v1/rollouts/{back.pk}/roll_back/", {"reason": "once more"}, format="json")
    assert (refused.status_code, [b["code"] for b in refused.json()["blockers"]]) == (409, ["rollback.another"])


# --- figures ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def reviewed(cast: Cast, now: datetime, tmp_path: Path) -> Callable[..., Any]:
    """A deployment of three hosts that failed; una, who may see one of them."""

    def make() -> tuple[Deployment, User, PostImplementationReview]:
        deployment = make_deployment(cast, now, tmp_path, hosts=3)
        mine = make_group("mine")
        GroupMember.objects.filter(host=deployment.hosts[0]).update(group=mine)
        Release.objects.filter(pk=deployment.release.pk).update(state="deployed", outcome="failed")
        PlannedHost.objects.bulk_create([PlannedHost(release=deployment.release, host=h) for h in deployment.hosts])
        release = Release.objects.get(pk=deployment.release.pk)
        reviews.open_review(release_id=release.pk, actor=cast.bot, at=now)
        una = make_user("una", "operator", scope=mine.scope_key)
        return deployment, una, PostImplementationReview.objects.get(release=release)

    return make


def test_missed_hosts_are_named_to_who_sees_them(reviewed: Callable[..., Any], cast: Cast) -> None:
    deployment, una, review = reviewed()
    mine, *others = sorted(host.name for host in deployment.hosts)
    assert sorted(review.figures["owed"]) == [mine, *others]

    def shown(person: User) -> tuple[str, dict[str, Any]]:
        api, site = APIClient(), Client()
        api.force_authenticate(person)
        site.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        listed = api.get("/api/v1/reviews/").json()["results"][0]["figures"]
        assert api.get(f"/api/v1/reviews/{review.pk}/").json()["figures"] == listed
        return site.get(f"/admin/releases/postimplementationreview/{review.pk}/change/").text, listed

    page, figures = shown(una)
    assert (figures["owed"], figures["owed_hidden"]) == ([mine], 2)
    assert mine in page
    assert not [name for name in others if name in page]
    page, figures = shown(cast.aud)
    assert (sorted(figures["owed"]), "owed_hidden" in figures) == ([mine, *others], False)
    assert all(name in page for name in others)
