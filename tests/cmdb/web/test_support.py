"""Support groups: defined on a page, their items, and the items that have nobody: figures and lists agree."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from cmdb.domain import support
from cmdb.models import ConfigurationItem, SupportGroup
from patchflow.kernel.models import User
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def named(answer: Any) -> set[str]:
    return set(
        re.findall(r"(?:item|host)-\w+", "".join(re.findall(r"<tbody.*?</tbody>", answer.content.decode(), re.DOTALL)))
    )


def estate(cast: Cast, now: datetime) -> None:
    support.define(name="Web", lead="otto", members=["tia"], actor=cast.cora, at=now)
    support.define(name="Empty", actor=cast.cora, at=now)
    for name, owner, group in (
        ("item-both", cast.mia, "Web"),
        ("item-owner", cast.mia, ""),
        ("item-web", None, "Web"),
        ("item-empty", None, "Empty"),
        ("item-unknown", cast.mia, "Nobody defined it"),
        ("item-none", None, ""),
    ):
        ConfigurationItem.objects.create(kind="service", name=name, owner=owner, support_group=group)
    ConfigurationItem.objects.create(kind="service", name="item-retired", state="retired")


EXPECTED = {
    "owner": {"item-web", "item-empty", "item-none"},
    "group": {"item-owner", "item-none"},
    "both": {"item-none"},
    "unpeopled": {"item-empty", "item-unknown"},
}


def test_each_figure_opens_the_items_that_it_counts(cast: Cast, now: datetime) -> None:
    estate(cast, now)
    cora = client(cast.cora)
    shown = cora.get(reverse("cmdb:support-list")).content.decode()
    for name, items in EXPECTED.items():
        place = f"{reverse('cmdb:support-items')}?missing={name}"
        assert f'{place}">{len(items)}</a>' in shown
        assert named(cora.get(place)) == items
    assert f'{reverse("cmdb:support-items")}?group=Web">2</a>' in shown
    assert named(cora.get(reverse("cmdb:support-items"), {"group": "Web"})) == {"item-both", "item-web"}


def test_a_group_is_defined_and_revised_by_who_edits_groups(cast: Cast) -> None:
    said = {"name": "Databases", "lead": cast.otto.pk, "members": [cast.otto.pk, cast.tia.pk]}
    for person in (cast.otto, cast.ann, cast.eve, cast.root):
        assert client(person).post(reverse("cmdb:support-add"), said).status_code == 404
    cora = client(cast.cora)
    place = cora.post(reverse("cmdb:support-add"), said)["Location"]
    group = SupportGroup.objects.get()
    assert (group.name, group.lead, set(group.members.all())) == ("Databases", cast.otto, {cast.otto, cast.tia})
    cora.post(reverse("cmdb:support-revise", args=[group.pk]), {"lead": "", "members": [cast.tia.pk]})
    group.refresh_from_db()
    assert (group.name, group.lead, list(group.members.all())) == ("Databases", None, [cast.tia])
    assert "tia" in cora.get(place).content.decode()
    assert client(cast.eve).get(place).status_code == 404


def test_items_out_of_sight_are_neither_shown_nor_counted(cast: Cast, now: datetime) -> None:
    estate(cast, now)
    mine, other = make_group("mine"), make_group("other")
    make_host("host-mine", groups=[mine])
    make_host("host-other", groups=[other])
    ConfigurationItem.objects.filter(kind="host").update(support_group="Web")
    scoped = make_user("stan", "configuration_manager", scope=mine.scope_key)
    assert named(client(scoped).get(reverse("cmdb:support-items"))) == {"host-mine"}
    web = SupportGroup.objects.get(name="Web")
    rest = APIClient()
    rest.force_authenticate(scoped)
    assert [row["name"] for row in rest.get(f"/api/v1/support-groups/{web.pk}/items/").data["results"]] == ["host-mine"]
    assert rest.get("/api/v1/support-groups/nobody/").data["results"] == []
    rest.force_authenticate(cast.cora)
    assert [row["name"] for row in rest.get("/api/v1/support-groups/nobody/").data["results"]] == ["item-none"]
