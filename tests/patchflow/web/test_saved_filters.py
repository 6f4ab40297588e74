"""Saved filters on the lists' pages and over REST."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from patchflow.kernel import saved_filters
from patchflow.kernel.models import RoleGrant, SavedFilter, User
from tests.factories.changes import make_group, make_host
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
LIST = "/estate/"


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def hosts(now: datetime) -> None:
    make_host("web-1", at=now, environment="production")
    make_host("web-2", at=now, environment="test")


def test_a_list_is_saved_shared_begun_with_and_removed(cast: Cast, hosts: None, now: datetime) -> None:
    client = client_of(cast.cora)
    asked = f"{LIST}?q=&environment=test&sort=-name&without=age"
    html = client.get(asked).content.decode()
    where = "/filters/save/?of=%2Festate%2F%3Fenvironment%3Dtest%26sort%3D-name%26without%3Dage"
    assert where in html
    assert "environment: test" in client.get(where).content.decode()
    answer = client.post(where, {"name": "Test, backwards", "shared_with": "operator"})
    made = SavedFilter.objects.get()
    assert answer.url == f"{LIST}?environment=test&sort=-name&without=age&saved={made.pk}"
    html = client.get(answer.url).content.decode()
    assert '<summary class="btn">Test, backwards' in html
    assert "Save what is shown now" not in html
    assert ("web-2" in html, "web-1" in html) == (True, False)

    otto = client_of(cast.otto)
    assert f"?environment=test&amp;sort=-name&amp;without=age&amp;saved={made.pk}" in otto.get(LIST).content.decode()
    assert otto.post(reverse("web:filter-begin", args=[made.pk]), {"begin": "1"}).status_code == 302
    assert otto.get(LIST).url == f"{LIST}?environment=test&sort=-name&without=age&saved={made.pk}"
    assert "web-1" in otto.get(f"{LIST}?saved=0").content.decode()
    assert client.get(LIST).status_code == 200  # it is otto's beginning, not everybody's
    assert 'href="?sort=-name&amp;without=age&amp;saved=0"' in otto.get(otto.get(LIST).url).content.decode()

    assert (
        client.post(reverse("web:filter-edit", args=[made.pk]), {"name": "Test", "shared_with": ""}).status_code == 302
    )
    assert otto.get(LIST).status_code == 200
    assert otto.get(reverse("web:filter-edit", args=[made.pk])).status_code == 404
    assert client.post(reverse("web:filter-remove", args=[made.pk])).status_code == 302
    assert client.get(reverse("web:filter-edit", args=[made.pk])).status_code == 404
    assert client.get(LIST).status_code == 200


def test_whoever_it_is_shared_with_opens_it_with_their_own_rights(cast: Cast, now: datetime) -> None:
    """A shared filter that names a group and a host says nothing of either to who may not see them."""
    group = make_group("Treasury", at=now)
    make_host("vault-1", at=now, group="Treasury")
    made = saved_filters.save(
        name="Vault", address=f"{LIST}?group={group.pk}&q=vault", shared_with="reader", actor=cast.cora, at=now
    )
    scoped = make_user("scoped")
    RoleGrant.objects.create(user=scoped, role="reader", scope="group:987654")
    html = client_of(scoped).get(f"{LIST}?{made.query}&saved={made.pk}").content.decode()
    assert "Treasury" not in html
    assert "vault-1" not in html
    assert "no longer applies as a whole" in html
    assert "Group:" in html
    assert "vault-1" in client_of(cast.cora).get(f"{LIST}?{made.query}&saved={made.pk}").content.decode()


def test_an_outdated_filter_says_which_part_no_longer_applies(cast: Cast, hosts: None, now: datetime) -> None:
    made = saved_filters.save(name="Old", address=f"{LIST}?environment=test", actor=cast.cora, at=now)
    SavedFilter.objects.update(query="environment=test&rack=7&sort=height&without=weight")
    html = (
        client_of(cast.cora)
        .get(f"{LIST}?environment=test&rack=7&sort=height&without=weight&saved={made.pk}")
        .content.decode()
    )
    for words in ("“Old” no longer applies", "“rack” is no filter", "sorted by “height”", "no column “weight”"):
        assert words in html
    assert ("web-2" in html, "web-1" in html) == (True, False)  # what does apply, applies


def test_what_is_no_list_is_refused_with_a_page(cast: Cast) -> None:
    answer = client_of(cast.cora).get("/filters/save/?of=/admin/")
    assert answer.status_code == 400
    assert "no list" in answer.content.decode()


def test_without_the_right_to_share_the_form_offers_none(cast: Cast, hosts: None) -> None:
    client, where = client_of(cast.ann), f"/filters/save/?of={LIST}%3Fsort%3Dage"
    assert "shared_with" not in client.get(where).content.decode()
    client.post(where, {"name": "A", "shared_with": "reader"})
    assert SavedFilter.objects.get().shared_with == ""


def test_rest_has_the_same_verbs_and_refusals(cast: Cast, hosts: None, now: datetime) -> None:
    def headers(person: User) -> dict[str, str]:
        return {"Authorization": f"Token {AuthToken.objects.create(person)[1]}"}

    client, cora, otto = Client(), headers(cast.cora), headers(cast.otto)
    body = {"name": "Aged", "address": f"{LIST}?sort=age", "shared_with": "operator"}
    answer = client.post("/api/v1/filters/", body, "application/json", headers=cora)
    assert answer.status_code == 201
    assert answer.json() | {"id": 0, "made_at": ""} == {
        "id": 0, "name": "Aged", "list_name": "cmdb:host-list", "query": "sort=age", "owner": "cora", "shared_with": "operator",
        "is_default": False, "made_at": "",
    }  # fmt: skip
    where = f"/api/v1/filters/{answer.json()['id']}/"
    assert client.post(f"{where}begin/", {}, "application/json", headers=otto).json()["is_default"] is True
    assert client.get(where, headers=cora).json()["is_default"] is False
    refused = client.post(f"{where}rename/", {"name": "X", "shared_with": ""}, "application/json", headers=otto)
    assert (refused.status_code, refused.json()["blockers"][0]["code"]) == (403, "filter.other")
    wrong = client.post("/api/v1/filters/", {**body, "address": f"{LIST}?rack=7"}, "application/json", headers=cora)
    assert (wrong.status_code, wrong.json()["blockers"][0]["sentence"]) == (400, "“rack” is no filter of this list.")
    assert client.get(where, headers=headers(cast.mia)).status_code == 404
    assert (
        client.post(f"{where}rename/", {"name": "Y", "shared_with": ""}, "application/json", headers=cora).status_code
        == 200
    )
    assert client.get(where, headers=otto).status_code == 404
    assert client.post(f"{where}remove/", headers=cora).status_code == 204
    assert client.get("/api/v1/filters/", headers=cora).json()["results"] == []
