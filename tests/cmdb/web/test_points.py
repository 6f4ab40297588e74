"""Distribution points as pages, over REST and at the admin site: one course from the first form to the retirement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from cmdb.domain import items, points
from cmdb.models import DistributionPoint
from cmdb.queries.points import members_of_sites
from patchflow.kernel.models import RoleGrant, User
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
FORM = {"name": "dp-berlin", "address": "http://192.0.2.9:3142", "when_silent": "wait", "throttle_kib": "200"}
"""An address that this server is never allowed to ask."""


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def test_a_point_from_its_form_to_its_retirement(cast: Cast, now: datetime) -> None:
    cora, group = client(cast.cora), make_group("Berlin")
    hosts = [make_host(f"web-{n:02d}", groups=[group]) for n in range(26)]
    lone = make_host("lone")
    wrong = cora.post(reverse("cmdb:point-add"), {**FORM, "address": "http://192.0.2.9", "group_id": group.pk})
    assert (wrong.status_code, "This address cannot be used: write it as http://name:port" in wrong.text) == (400, True)
    assert 'value="dp-berlin"' in wrong.text, "what was typed is kept"
    nobody = cora.post(reverse("cmdb:point-add"), FORM)
    assert "It serves the hosts of one site or of one group" in nobody.text
    added = cora.post(reverse("cmdb:point-add"), {**FORM, "group_id": group.pk})
    point = DistributionPoint.objects.get()
    assert added["Location"] == point.get_absolute_url()
    page = cora.get(point.get_absolute_url()).text
    assert "Nobody knows yet whether it answers: check it." in page
    assert "and 2 more" in page
    checked = client(cast.otto).post(reverse("cmdb:point-check", args=[point.pk]), follow=True).text
    assert "not on the public internet" in checked
    assert "PATCHFLOW_OUTBOUND_ALLOW" in checked
    points.check(point_id=point.pk, actor=cast.otto, at=timezone.now(), ask=lambda _a: (True, "It answered."))
    listed = cora.get(reverse("cmdb:point-list")).text
    for said in ("dp-berlin", "group Berlin", "200 KiB/s", "answering"):
        assert said in listed, said
    shown = cora.get(reverse("cmdb:host-detail", args=[hosts[0].pk])).text
    assert f'<a href="{point.get_absolute_url()}">dp-berlin</a>' in shown
    assert "nothing: directly from its own repositories" in cora.get(reverse("cmdb:host-detail", args=[lone.pk])).text
    cora.post(reverse("cmdb:point-revise", args=[point.pk]), {**FORM, "when_silent": "direct", "group_id": group.pk})
    serves = f"The distribution point {point.name} serves it: retire that, or give it another place."
    ending = reverse("cmdb:group-retire", args=[group.pk])
    assert serves in cora.get(ending).text
    assert serves in cora.get(reverse("cmdb:group-detail", args=[group.pk])).text
    cora.post(ending, {"reason": "Merged."})
    group.refresh_from_db()
    assert group.retired_at is None
    asked = cora.get(reverse("cmdb:point-retire", args=[point.pk])).text
    assert "hosts lose it" in asked
    assert "web-00, web-01" in asked
    cora.post(reverse("cmdb:point-retire", args=[point.pk]), {"reason": "Moved."})
    point.refresh_from_db()
    assert (point.state, point.when_silent) == ("retired", "direct")
    assert "It is retired" in cora.get(reverse("cmdb:point-revise", args=[point.pk])).text
    assert "nothing: directly" in cora.get(reverse("cmdb:host-detail", args=[hosts[0].pk])).text


def test_sites_and_groups_are_offered_with_the_number_of_their_hosts(cast: Cast, now: datetime) -> None:
    """A point at a place without hosts serves nobody. Hosts out of sight are not counted."""
    said: dict[str, Any] = {"actor": cast.cora, "at": now}
    building, room, empty = (
        items.add(kind="site", name=name, owner_id=cast.cora.pk, **said) for name in ("Building", "Room", "Empty")
    )
    racks, none, nearby = make_group("Racks"), make_group("None"), make_group("Nearby")
    hosts = [make_host(f"web-{n}", groups=[racks, *([] if n else [nearby])]) for n in range(3)]
    items.link(item_id=room.pk, how="member_of", names=["Building"], **said)
    for host in hosts[:2]:
        items.link(item_id=host.ci_id, how="member_of", names=["Room"], **said)
    items.link(item_id=hosts[2].ci_id, how="member_of", names=["Building", "Room"], **said)
    fields = client(cast.cora).get(reverse("cmdb:point-add")).context["form"].fields
    sites = dict(fields["site_id"].choices)
    assert [sites[one.pk] for one in (building, room, empty)] == [
        "Building, 3 hosts",
        "Room, 3 hosts",
        "Empty, 0 hosts",
    ]
    groups = dict(fields["group_id"].choices)
    assert (groups[racks.pk], groups[none.pk]) == ("Racks, 3 hosts", "None, 0 hosts")
    near = make_user("near")
    RoleGrant.objects.create(user=near, role="configuration_manager", scope=nearby.scope_key)
    assert members_of_sites(near) == {building.pk: 1, room.pk: 1}


def test_who_sees_some_hosts_sees_the_points_of_their_groups(cast: Cast, now: datetime) -> None:
    mine, other = make_group("Mine"), make_group("Other")
    host = make_host("web-1", groups=[mine, other])
    said: dict[str, Any] = {"address": "http://192.0.2.9:80", "actor": cast.cora, "at": now}
    seen = points.add(name="dp-mine", group_id=mine.pk, **said)
    hidden = points.add(name="dp-other", group_id=other.pk, **said)
    near = make_user("near")
    RoleGrant.objects.create(user=near, role="reader", scope=mine.scope_key)
    viewer = client(near)
    assert viewer.get(seen.get_absolute_url()).status_code == 200
    assert viewer.get(hidden.get_absolute_url()).status_code == 404
    assert "dp-other" not in viewer.get(reverse("cmdb:point-list")).text
    shown = viewer.get(reverse("cmdb:host-detail", args=[host.pk])).text
    assert "serve it with the same right: nothing is deployed here" in shown


def test_the_same_over_rest_and_at_the_admin_site(cast: Cast, now: datetime) -> None:
    site = items.add(kind="site", name="Berlin", actor=cast.cora, at=now)
    host = make_host("web-1")
    items.link(item_id=site.pk, how="members", names=["web-1"], actor=cast.cora, at=now)
    cora = APIClient()
    cora.force_authenticate(cast.cora)
    given = {"name": "dp", "address": "http://192.0.2.9:3142", "site_id": site.pk}
    made = cora.post("/api/v1/distribution-points/", given, "json")
    assert (made.status_code, made.data["answer"], made.data["host_ids"]) == (201, "unknown", [host.pk])
    place = f"/api/v1/distribution-points/{made.data['id']}"
    refused = cora.post(f"{place}/revise/", {"address": "http://u:p@dp:80"}, "json")
    assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (400, "invalid.address")
    assert cora.post(f"{place}/revise/", {"when_silent": "try"}, "json").data["when_silent"] == "try"
    assert "not on the public internet" in cora.post(f"{place}/check/").data["check_reason"]
    otto = APIClient()
    otto.force_authenticate(cast.otto)
    assert otto.post(f"{place}/check/").status_code == 200
    assert otto.post(f"{place}/retire/", {"reason": "x"}, "json").status_code == 403

    barred = cora.post(f"/api/v1/items/{site.pk}/retire/", {"reason": "x"}, "json")
    assert [b["code"] for b in barred.json()["blockers"]] == ["point.serves_it"]
    assert barred.json()["blockers"][0]["where"] == DistributionPoint.objects.get().get_absolute_url()
    listing = reverse("admin:cmdb_distributionpoint_changelist")
    chosen = {"action": "revise", "_selected_action": [made.data["id"]]}
    window = client(cast.cora)
    assert b"http://192.0.2.9:3142" in window.post(listing, chosen).content
    sent = {"name": "dp-2", "address": "http://192.0.2.10:80", "site_id": site.pk, "when_silent": "wait"}
    window.post(listing, {**chosen, **sent, "confirmed": "1"})
    point = DistributionPoint.objects.get()
    assert (point.name, point.address, point.when_silent) == ("dp-2", "http://192.0.2.10:80", "wait")
    window.post(listing, {"action": "retire", "_selected_action": [point.pk], "confirmed": "1", "reason": "Moved."})
    point.refresh_from_db()
    assert point.state == "retired"
    assert cora.post(f"{place}/check/").status_code == 409
