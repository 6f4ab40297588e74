"""Pages and REST of baselines by group, class and host: each figure opens exactly what it counts; from below to an RFC."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from cmdb.enums import BaselineResult
from cmdb.models import Baseline, Discrepancy, Host, HostGroup
from cmdb.queries import standing
from patchflow.kernel.models import User
from tests.cmdb.queries.test_standing import OPENSSL, estate, in_force, scanned
from tests.factories.cmdb import make_group, make_host, make_package
from tests.factories.people import Cast

ROWS = re.compile(r"<tbody.*?</tbody>", re.DOTALL)


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def listed(answer: Any) -> set[str]:
    """The hosts in the list of a page."""
    rows = "".join(ROWS.findall(answer.content.decode()))
    return set(re.findall(r'/estate/\d+/baseline/">([^<]+)</a>', rows))


@pytest.fixture
def shop(cast: Cast) -> tuple[HostGroup, Baseline, dict[str, Host]]:
    group, now = make_group("shop"), timezone.now()
    baseline = in_force(cast, now)
    return group, baseline, estate(cast, now, group)


def test_each_figure_opens_the_list_that_it_counts(shop: Any, cast: Cast) -> None:
    group, baseline, _hosts = shop
    now, cora = timezone.now(), client(cast.cora)
    for place, found in (
        (reverse("cmdb:group-baseline", args=[group.pk]), standing.of_group(group, at=now, actor=cast.cora)),
        (reverse("cmdb:baseline-detail", args=[baseline.pk]), standing.of_baseline(baseline, at=now, actor=cast.cora)),
    ):
        shown = cora.get(place).content.decode()
        for name in BaselineResult.values:
            assert f'?result={name}">{found.counts()[name]}</a>' in shown
            wanted = {row.host_name for row in found.hosts if row.result == name}
            assert listed(cora.get(place, {"result": name})) == wanted
        good = {row.host_name for row in found.hosts if row.result in ("at", "above")}
        assert listed(cora.get(place, {"result": "good"})) == good
        assert cora.get(place, {"format": "csv"}).getvalue().count(b"\r\n") == found.total + 1


def test_overview_shows_groups_and_classes(shop: Any, cast: Cast) -> None:
    group, baseline, _hosts = shop
    shown = client(cast.cora).get(reverse("cmdb:baseline-standing")).content.decode()
    for place in (reverse("cmdb:group-baseline", args=[group.pk]), reverse("cmdb:baseline-detail", args=[baseline.pk])):
        assert f'{place}?result=below">1</a>' in shown
    assert "33.3 to 83.3" in shown, "two good, three unknown, one below"
    assert "shop" not in client(cast.eve).get(reverse("cmdb:baseline-standing")).content.decode()


def test_host_page_says_which_package_and_both_versions(shop: Any, cast: Cast) -> None:
    _group, _baseline, hosts = shop
    shown = client(cast.cora).get(reverse("cmdb:host-baseline", args=[hosts["below"].pk])).content.decode()
    assert "3.0.9-1" in shown
    assert "3.0.17-1" in shown
    assert client(cast.eve).get(reverse("cmdb:host-baseline", args=[hosts["below"].pk])).status_code == 404


def test_below_leads_to_an_rfc_for_exactly_these_hosts(shop: Any, cast: Cast) -> None:
    group, _baseline, hosts = shop
    place = reverse("cmdb:group-baseline", args=[group.pk])
    way = f"{reverse('changes:rfc-raise')}?below=group:{group.pk}"
    assert way in client(cast.ann).get(place).content.decode()
    assert way not in client(cast.aud).get(place).content.decode(), "who may raise no change is not sent there"
    form = client(cast.ann).get(way).context["form"]
    assert form.initial["host_ids"] == [hosts["below"].pk]
    assert client(cast.ann).get(f"{reverse('changes:rfc-raise')}?below=host:{hosts['above'].pk}").context[
        "form"
    ].initial["host_ids"] == [hosts["above"].pk]


def test_above_is_explained_by_who_settles_discrepancies(shop: Any, cast: Cast) -> None:
    _group, baseline, hosts = shop
    above = hosts["above"]
    place = reverse("cmdb:host-explain", args=[above.pk, baseline.pk])
    assert place in client(cast.cora).get(reverse("cmdb:host-baseline", args=[above.pk])).content.decode()
    said = {"how": "explain", "reason": "Otto tried the next version."}
    assert client(cast.otto).post(place, said).status_code == 400
    assert client(cast.cora).post(place, said).status_code == 302
    found = Discrepancy.objects.get(kind="above_baseline")
    assert (found.host, found.state, found.settled_by) == (above, "explained", cast.cora)
    unexplained = {"result": "unexplained"}
    assert listed(client(cast.cora).get(reverse("cmdb:baseline-detail", args=[baseline.pk]), unexplained)) == set()


# --- REST -----------------------------------------------------------------------------------------------------------------
def rest(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def test_rest_says_the_same_as_the_pages(shop: Any, cast: Cast) -> None:
    group, baseline, hosts = shop
    told = rest(cast.cora).get(f"/api/v1/host-groups/{group.pk}/baseline/").data
    assert told["counts"] == {"below": 1, "at": 1, "above": 1, "exempt": 1, "unknown": 3}
    assert {row["host_name"]: row["result"] for row in told["hosts"]} == {name: name.split("-")[0] for name in hosts}
    (why,) = rest(cast.cora).get(f"/api/v1/hosts/{hosts['below'].pk}/baseline/").data
    assert (why["baseline"], why["result"]) == (baseline.pk, "below")
    assert [(p["package"], p["installed"], p["wanted"]) for p in why["packages"]] == [
        ("openssl", "3.0.9-1", "3.0.17-1")
    ]
    said = {"baseline_id": baseline.pk, "how": "explain", "reason": "By hand."}
    url = f"/api/v1/hosts/{hosts['above'].pk}/explain-above/"
    assert rest(cast.otto).post(url, said, format="json").status_code == 403
    assert rest(cast.cora).post(url, said, format="json").data["state"] == "explained"
    refused = rest(cast.cora).post(f"/api/v1/hosts/{hosts['at'].pk}/explain-above/", said, format="json")
    assert refused.status_code == 409


def test_pages_ask_no_more_for_more_hosts(cast: Cast, now: datetime) -> None:
    group, at = make_group("shop"), timezone.now()
    in_force(cast, at)
    places = [reverse("cmdb:group-baseline", args=[group.pk]), reverse("cmdb:baseline-standing")]
    for place in places:
        client(cast.cora).get(place)
    numbers = []
    for n in (1, 3):
        for each in range(n):
            host = make_host(f"host-{n}-{each}", groups=[group])
            scanned(host, cast, at - timedelta(minutes=n), replace(OPENSSL, version="3.0.9-1"))
        with CaptureQueriesContext(connection) as queries:
            for place in places:
                client(cast.cora).get(place)
        numbers.append(len(queries))
    assert numbers[0] == numbers[1]


def test_hosts_that_have_nothing_a_baseline_names_are_told_apart(shop: Any, cast: Cast) -> None:
    group, baseline, _hosts = shop
    places = (
        reverse("cmdb:baseline-detail", args=[baseline.pk]), reverse("cmdb:group-baseline", args=[group.pk]),
        reverse("cmdb:group-detail", args=[group.pk]),
    )  # fmt: skip
    assert all("nothing installed that" not in client(cast.cora).get(place).text for place in places)
    now = timezone.now()
    for n in range(2):
        scanned(make_host(f"bare-{n}", groups=[group]), cast, now, make_package("htop", "1-1"))
    for place, others in zip(
        places, ("5 others at or above it: 40.0 to 80.0", *["6 others at or above it: 33.3 to 83.3"] * 2), strict=True
    ):
        shown = client(cast.cora).get(place).text
        assert "2 of them have nothing installed that their baseline names, and so nothing below it." in shown
        assert f"Of the {others}" in shown, "who never reported has no platform: of a group, yet of no class"
