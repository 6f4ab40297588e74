"""The one box: every kind of thing by number or name, nearest first, only what one may see."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from changes.domain import change_models, freezes, meetings, routing
from changes.models import RFC, Cycle, Meeting, Vulnerability
from cmdb.domain import baselines, items, windows
from patchflow.kernel.models import RoleGrant, User
from patchflow.reports.queries.find import find, straight
from tests.factories import changes as made
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db


@pytest.fixture
def estate(cast: Cast, now: datetime, tmp_path: Path) -> Deployment:
    """One of each kind of thing, each with "treasury" in its name where it has one."""
    deployment = make_deployment(cast, now, tmp_path, hosts=2)
    deployment.start()
    rfc = deployment.rfc
    RFC.objects.filter(pk=rfc.pk).update(title="Patch the treasury")
    made.make_host("treasury-1", at=now, group="Treasury hosts")
    windows.add(
        name="Treasury night", starts_local=time(2), length_minutes=60, from_on=date(2026, 1, 1), actor=cast.cora, at=now,
        group_ids=[made.make_group("Treasury hosts", at=now).pk],
    )  # fmt: skip
    baselines.propose(
        name="Treasury baseline", platform_id=made.make_platform().pk, items=[("bash", "amd64", "5.2-1")], actor=cast.cora,
        at=now, group_id=made.make_group("Treasury hosts", at=now).pk,
    )  # fmt: skip
    freezes.declare(
        name="Treasury closes its books", reason="Books.", starts_at=now, ends_at=now + timedelta(days=1), actor=cast.che, at=now
    )  # fmt: skip
    change_models.draft(kind="standard", name="Treasury model", actor=cast.che, at=now)
    level = {"name": "Chair", "roles": ["cab_chair"], "hours": 2}
    routing.write(name="Treasury chair", reason="Agreed.", kinds=["emergency"], level=level, actor=cast.che, at=now)
    items.add(kind="service", name="Treasury accounts", actor=cast.cora, at=now)
    meetings.plan(kind="cab", starts_at=now + timedelta(days=1), actor=cast.che, at=now, member_ids=[cast.mia.pk])
    Cycle.objects.create(name="Treasury cycle", kind="out_of_band", state="identify", state_at=now, opened_at=now)
    Vulnerability.objects.create(cve="CVE-2026-4711", first_seen_at=now)
    make_user("treasurer", first_name="Tara", last_name="Treasury")
    return deployment


def kinds(text: str, actor: User) -> set[str]:
    return {hit.kind for hit in find(text, actor)}


def test_every_kind_is_found_by_its_name(estate: Deployment, cast: Cast) -> None:
    assert kinds("treasury", cast.che) == {
        "Change", "Host", "Service", "Baseline", "Window", "Group", "Freeze", "Change model", "Approval route", "Cycle", "Person",
    }  # fmt: skip


def test_a_number_goes_straight_to_its_page(estate: Deployment, cast: Cast, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    release, rollout = estate.release, estate.rollout
    meeting = Meeting.objects.get()
    for thing in (estate.rfc, release, rollout, meeting):
        for text in (thing.number, thing.number.lower(), f"  {thing.number} "):
            assert client.get("/find/", {"q": text}).url == thing.get_absolute_url()


def test_a_short_number_is_found_in_its_series(estate: Deployment, cast: Cast) -> None:
    number = estate.rfc.number
    last = str(int(number.rpartition("-")[2]))
    for text in (last, f"#{last}", f"rfc {last}", f"RFC-{last}"):
        assert number in [hit.title.partition(" · ")[0] for hit in find(text, cast.che)], text
    assert estate.release.number not in [hit.title.partition(" · ")[0] for hit in find(f"rfc {last}", cast.che)]


def test_what_is_nearest_comes_first(cast: Cast, now: datetime) -> None:
    for name in ("old-web", "web", "web-2"):
        made.make_host(name, at=now)
    found = [hit for hit in find("web", cast.che) if hit.kind == "Host"]
    assert [(hit.title.partition(" · ")[0], hit.exact) for hit in found] == [
        ("web", True),
        ("web-2", False),
        ("old-web", False),
    ]


def test_two_things_of_one_name_are_shown_and_not_guessed(cast: Cast, now: datetime, client: Client) -> None:
    made.make_host("mia", at=now)
    assert straight(find("mia", cast.che)) is None
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/find/", {"q": "mia"}).status_code == 200


def test_a_cve_leads_to_the_updates_that_mend_it(estate: Deployment, cast: Cast, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get("/find/", {"q": "cve-2026-4711"}).url == "/updates/?cve=CVE-2026-4711&shown=all"
    assert client.get("/updates/?cve=CVE-2026-4711&shown=all").status_code == 200


def test_a_person_leads_to_what_they_asked_for(estate: Deployment, cast: Cast, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/find/", {"q": estate.rfc.requested_by.username})
    assert answer.url == f"/changes/?by={estate.rfc.requested_by.username}"
    assert estate.rfc.number in client.get(answer.url).content.decode()


def test_nothing_is_found_that_one_may_not_see(estate: Deployment, cast: Cast) -> None:
    scoped = make_user("scoped")
    RoleGrant.objects.create(user=scoped, role="reader", scope="group:987654")
    texts = (
        "treasury",
        estate.rfc.number,
        estate.release.number,
        estate.rollout.number,
        "1",
        "cab",
        "mia",
        "cve-2026-4711",
    )
    for text in texts:
        assert find(text, cast.eve) == [], text
    seen = {hit.kind for text in texts for hit in find(text, User.objects.get(pk=scoped.pk))}
    assert seen <= {
        "Freeze",
        "Change model",
        "Approval route",
        "Cycle",
        "Person",
        "Vulnerability",
    }  # the process, which every reader sees


def test_the_box_costs_the_same_for_one_hit_and_many(estate: Deployment, cast: Cast, now: datetime) -> None:
    counts = []
    for more in (1, 12):
        for n in range(more):
            made.make_host(f"treasury-{more}-{n}", at=now)
            RFC.objects.filter(pk=made.draft(made.make_world(cast, now, source=f"package-{more}-{n}")).pk).update(
                title=f"treasury {n}"
            )
        with CaptureQueriesContext(connection) as seen:
            find("treasury", User.objects.get(pk=cast.che.pk))
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 20


def test_find_says_nothing_was_found_only_where_something_was_sought(cast: Cast, client: Client) -> None:
    client.force_login(cast.che, backend="django.contrib.auth.backends.ModelBackend")
    assert "Nothing found" not in client.get("/find/").content.decode()
    assert "Nothing found for “&lt;b&gt;”" in client.get("/find/?q=<b>").content.decode()
