"""Hosts of a change chosen by group and by name, where boxes would be too many."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from changes.domain import scope
from changes.models import RFC
from changes.web import rfc_writing
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import User
from tests.factories import changes as made
from tests.factories.changes import World, make_group, make_host
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def names(rfc: RFC) -> list[str]:
    return sorted(rfc.targets.filter(removed_at__isnull=True).values_list("host_name", flat=True))


def test_raised_for_a_group_and_names_after_a_look(world: World) -> None:
    for name in ("web-01", "web-02", "db-01"):
        make_host(name, at=world.at, group="tier")
    given: dict[str, Any] = {
        "update_ids": [world.update.pk], "kind": "normal", "way_back": "none", "host_mode": "only", "host_names": "web-*\ndb-01",
    }  # fmt: skip
    ann, place = as_(world.cast.ann), reverse("changes:rfc-raise")
    look = ann.post(place, {**given, "preview": "1"})
    assert (look.status_code, "3 hosts would be in scope" in look.text, RFC.objects.exists()) == (200, True, False)
    ann.post(place, given)
    assert names(RFC.objects.get()) == ["db-01", "web-01", "web-02"]
    ann.post(place, {**given, "host_names": "", "host_mode": "add", "group_ids": [make_group("tier", at=world.at).pk]})
    assert len(names(RFC.objects.latest("pk"))) == len(world.hosts) + 3


def test_revised_by_name_where_there_are_too_many_for_boxes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfc_writing, "SHOWN_HOSTS", 2)
    rfc = made.draft(world)
    ann, place = as_(world.cast.ann), reverse("changes:rfc-revise", args=[rfc.pk])
    page = ann.get(place).text
    assert ('name="host_ids"' in page, 'name="host_names"' in page) == (False, True)
    given = {"update_ids": [world.update.pk], "kind": "normal", "way_back": "none", "digest_seen": rfc.change_digest}
    gone = world.hosts[0].name
    ann.post(place, {**given, "host_mode": "drop", "host_names": gone})
    assert gone not in names(rfc)
    assert len(names(rfc)) == len(world.hosts) - 1


def test_names_of_another_scope_are_not_told_from_wrong_ones(world: World) -> None:
    make_host("far-01", at=world.at, group="others")
    near = make_user("near", "requester", scope=make_group("all", at=world.at).scope_key)
    for name in ("far-01", "far-*", "nothing"):
        with pytest.raises(Invalid, match="No host of your scope"):
            scope.named_hosts(names=[name], group_ids=[], actor=near)
    others = make_group("others", at=world.at).pk
    assert scope.named_hosts(names=[], group_ids=[others], actor=near) == set()
