"""Services as pages and over REST: added, linked, revised, taken back and retired by forms."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from cmdb.models import ConfigurationItem, Relation
from patchflow.kernel.models import RoleGrant, User
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
FORM = {"name": "Web shop", "kind": "service", "environment": "production", "criticality": "1", "min_alive": "2"}


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def test_a_service_from_its_first_form_to_its_retirement(cast: Cast, now: datetime) -> None:
    cora, hosts = client(cast.cora), [make_host(f"web-{n}") for n in range(3)]
    added = cora.post(reverse("cmdb:item-add"), {**FORM, "owner_id": cast.mia.pk})
    shop = ConfigurationItem.objects.get(kind="service")
    assert added["Location"] == reverse("cmdb:item-link", args=[shop.pk])
    assert "Somebody must say on which hosts it rests" in cora.get(shop.get_absolute_url()).text
    wrong = cora.post(reverse("cmdb:item-link", args=[shop.pk]), {"how": "runs_on", "names": "web-*\nweb-9"})
    assert (wrong.status_code, "web-9" in wrong.text, "No item in sight is called web-9" in wrong.text) == (
        400,
        True,
        True,
    )
    cora.post(reverse("cmdb:item-link", args=[shop.pk]), {"how": "runs_on", "names": "web-*"})
    page = cora.get(shop.get_absolute_url()).text
    assert "It rests on 3 hosts." in page
    assert "2 stay up: at most 1 of them are changed at once." in page
    assert "carries <a" in cora.get(reverse("cmdb:host-detail", args=[hosts[0].pk])).text
    cora.post(reverse("cmdb:item-revise", args=[shop.pk]), {**FORM, "min_alive": "3"})
    assert "Its rule keeps all of them" in cora.get(shop.get_absolute_url()).text
    listed = cora.get(reverse("cmdb:item-list")).text
    assert "3 hosts" in listed
    cora.post(reverse("cmdb:item-unlink", args=[shop.pk, Relation.objects.latest("pk").pk]))
    assert Relation.objects.count() == 2
    cora.post(reverse("cmdb:item-enter", args=[shop.pk]))
    cora.post(reverse("cmdb:item-retire", args=[shop.pk]), {"reason": "Closed."})
    shop.refresh_from_db()
    assert shop.state == "retired"
    assert "It is retired" in cora.get(reverse("cmdb:item-revise", args=[shop.pk])).text


def test_who_sees_only_some_hosts_sees_no_services(cast: Cast, now: datetime) -> None:
    client(cast.cora).post(reverse("cmdb:item-add"), FORM)
    shop = ConfigurationItem.objects.get(kind="service")
    far = make_user("far")
    RoleGrant.objects.create(user=far, role="configuration_manager", scope=make_group().scope_key)
    assert client(far).get(shop.get_absolute_url()).status_code == 404
    assert "Web shop" not in client(far).get(reverse("cmdb:item-list")).text
    assert "carries" not in client(far).get(reverse("cmdb:item-list")).text


def test_the_same_over_rest(cast: Cast, now: datetime) -> None:
    host = make_host("web-1")
    cora = APIClient()
    cora.force_authenticate(cast.cora)
    shop = cora.post("/api/v1/items/", {"kind": "service", "name": "Web shop", "min_alive_percent": 50}, "json")
    assert (shop.status_code, shop.data["state"], shop.data["min_alive_percent"]) == (201, "planned", 50)
    place = f"/api/v1/items/{shop.data['id']}"
    linked = cora.post(f"{place}/link/", {"relation": "runs_on", "names": ["web-1"]}, "json").data
    assert (linked["host_ids"], linked["links"][0]["name"]) == ([host.pk], "web-1")
    assert cora.post(f"{place}/enter-service/").data["state"] == "in_service"
    gone = cora.post(f"{place}/unlink/", {"relation_id": linked["links"][0]["id"]}, "json").data
    assert (gone["links"], gone["host_ids"]) == ([], [])
    refused = cora.post(f"{place}/revise/", {"owner_id": 987654}, "json")
    assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (400, "invalid.owner_id")
    assert cora.post(f"{place}/retire/", {"reason": "Closed."}, "json").data["state"] == "retired"
