"""Editing a window that hosts wait for: seen before it is saved, listed afterwards, over REST as on the page."""

from __future__ import annotations

import re
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from cmdb.domain import windows
from cmdb.models import GroupMember
from patchflow.kernel.models import User
from releases.models import WindowChange
from tests.factories.cmdb import make_group
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(cast: Cast, now: datetime, tmp_path: Path) -> Deployment:
    """Two hosts that wait for a window that opens in an hour."""
    found = make_deployment(cast, now, tmp_path, hosts=2, window={"starts_local": time(now.hour + 1)})
    found.start()
    found.tick()
    return found


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def filled(deployment: Deployment, **fields: Any) -> dict[str, Any]:
    window = deployment.window
    given = {name: getattr(window, name) for name in windows.FIELDS if getattr(window, name) is not None}
    return {**given, "group_ids": [group.pk for group in window.groups.all()], **fields}


def seen_in(text: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', text)
    assert found
    return found[1]


def test_an_edit_is_saved_by_who_has_seen_the_list(waiting: Deployment, now: datetime) -> None:
    client, address = browser(waiting.cast.cora), f"/windows/{waiting.window.pk}/edit/"
    form = filled(waiting, starts_local=f"{now.hour + 3}:00", queued="move")
    first = client.post(address, form)
    text = first.content.decode()
    assert (first.status_code, WindowChange.objects.count()) == (200, 0)
    assert "2 hosts wait for this window: 2 moved." in text
    assert all(host.name in text for host in waiting.hosts)
    other = client.post(address, {**form, "queued": "cancel", "seen": seen_in(text)})
    assert "2 hosts wait for this window: 2 cancelled." in other.content.decode()
    assert client.post(address, {**form, "seen": seen_in(text)}).status_code == 302
    assert WindowChange.objects.get().counts == {"moved": 2}


def test_hosts_out_of_sight_are_not_counted(waiting: Deployment) -> None:
    """Who looks after one of the groups of a window reads of the hosts of that group."""
    mine, [group] = make_group("mine"), waiting.window.groups.all()
    waiting.window.groups.add(mine)
    GroupMember.objects.filter(host=waiting.hosts[1]).update(group=mine)
    address = f"/windows/{waiting.window.pk}/retire/"
    una = make_user("una", "configuration_manager", scope=mine.scope_key)
    for person, count in ((una, 1), (waiting.cast.cora, 2)):
        assert [reach.count for reach in browser(person).get(address).context["reach"]] == [2, count]
    assert group.memberships.exists()


def test_the_preview_lists_them_and_saves_nothing(waiting: Deployment, now: datetime) -> None:
    client, address = browser(waiting.cast.cora), f"/windows/{waiting.window.pk}/edit/"
    form = filled(waiting, starts_local=f"{now.hour + 3}:00", preview="1")
    text = client.post(address, form, headers={"HX-Request": "true"}).content.decode()
    assert "2 hosts wait for this window: 2 stand still." in text
    assert WindowChange.objects.count() == 0


def test_the_end_of_a_window_shows_them_first(waiting: Deployment) -> None:
    client, address = browser(waiting.cast.cora), f"/windows/{waiting.window.pk}/retire/"
    text = client.get(address).content.decode()
    assert "2 hosts wait for this window: 2 stand still." in text
    form = {"reason": "Moved house.", "queued": "cancel"}
    asked = client.post(address, {**form, "seen": seen_in(text)})
    assert (asked.status_code, "The list has changed" in asked.content.decode()) == (200, True)
    assert client.post(address, {**form, "seen": seen_in(asked.content.decode())}).status_code == 302
    assert waiting.states() == ["cancelled"] * 2


def test_afterwards_it_is_listed(waiting: Deployment, now: datetime) -> None:
    windows.revise(
        window_id=waiting.window.pk, queued="move", starts_local=time(now.hour + 3), actor=waiting.cast.cora, at=now
    )
    client = browser(waiting.cast.rex)
    page = client.get(waiting.rollout.get_windows_url()).content.decode()
    assert all(host.name in page for host in waiting.hosts)
    assert "It was signed, and is open still." in page
    assert waiting.rollout.get_windows_url() in client.get(waiting.rollout.get_absolute_url()).content.decode()
    assert waiting.rollout.get_windows_url() in client.get(f"/windows/{waiting.window.pk}/").content.decode()


def test_over_rest(waiting: Deployment, now: datetime) -> None:
    client = APIClient()
    client.force_authenticate(waiting.cast.cora)
    given = {"starts_local": f"{now.hour + 3}:00", "queued": "move"}
    address = f"/api/v1/service-windows/{waiting.window.pk}/"
    found = client.post(f"{address}look-ahead/", given, format="json")
    assert [(row["host"], row["word"]) for row in found.json()] == [(h.name, "moved") for h in waiting.hosts]
    assert WindowChange.objects.count() == 0
    assert client.post(f"{address}revise/", given, format="json").status_code == 200
    client.force_authenticate(waiting.cast.rex)
    rows = client.get(f"/api/v1/rollouts/{waiting.rollout.pk}/window-changes/").json()
    assert [(row["rule"], row["counts"], len(row["hosts"])) for row in rows] == [("move", {"moved": 2}, 2)]
