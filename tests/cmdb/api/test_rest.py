"""Hosts and what belongs to them over REST: the same verbs, the same refusals, nothing to see without a role."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from cmdb.domain import connections, inventory, scans
from cmdb.models import Host
from cmdb.remote.connection import HostKey
from patchflow.kernel.models import User
from tests.factories.cmdb import (
    host_key,
    make_connection,
    make_group,
    make_host,
    make_packages,
    make_pending,
    make_platform,
    make_report,
)
from tests.factories.people import Cast, make_user
from tests.fakes.hosts import FakeHost

URL = "/api/v1"


def client(user: User) -> APIClient:
    made = APIClient()
    made.force_authenticate(user)
    return made


def names(response: Any) -> list[str]:
    return [row["name"] for row in response.data["results"]]


def test_hosts_add_show_and_accept_key(cast: Cast, now: datetime) -> None:
    cora = client(cast.cora)
    made = cora.post(f"{URL}/hosts/", {"name": "web-01", "address": "192.0.2.7", "become": True}, format="json")
    assert (made.status_code, made.data["state"], made.data["stale"]) == (201, "planned", True)
    place = f"{URL}/hosts/{made.data['id']}"
    early = cora.post(f"{place}/accept-key/", {"fingerprint": "SHA256:x"}, format="json")
    assert (early.status_code, early.data["blockers"][0]["code"]) == (409, "connection.no_key_shown")
    fake = FakeHost(host_key("web-01"))
    connections.show_key(host_id=made.data["id"], actor=cast.cora, at=now, fetch=fake.fetch)
    shown = cora.get(f"{place}/connection/").data
    assert (shown["accepted_fingerprint"], shown["shown_fingerprint"]) == ("", HostKey.from_line(fake.line).fingerprint)
    said = {"fingerprint": shown["shown_fingerprint"]}
    assert client(cast.otto).post(f"{place}/accept-key/", said, format="json").status_code == 403
    accepted = cora.post(f"{place}/accept-key/", said, format="json")
    assert accepted.data["accepted_fingerprint"] == shown["shown_fingerprint"]
    queued = client(cast.otto).post(f"{place}/scan/", {}, format="json")
    assert (queued.status_code, queued.data["state"], queued.data["counts"]) == (202, "queued", {"pending": 1})
    again = client(cast.otto).post(f"{place}/scan/", {}, format="json")
    assert (again.status_code, again.data["blockers"][0]["code"]) == (409, "scan.under_way")


def test_hosts_wrong_shape_and_wrong_content(cast: Cast) -> None:
    cora = client(cast.cora)
    shape = cora.post(f"{URL}/hosts/", {"port": "ssh"}, format="json")
    assert (shape.status_code, set(shape.data["errors"])) == (400, {"name", "port"})
    content = cora.post(f"{URL}/hosts/", {"name": "x", "address": "-oProxyCommand=y"}, format="json")
    assert (content.status_code, content.data["blockers"][0]["code"]) == (400, "invalid.address")
    assert not Host.objects.exists()


def test_hosts_nothing_to_see_without_a_role(cast: Cast) -> None:
    mine = make_group("mine")
    seen, hidden = make_host("seen", groups=[mine]), make_host("hidden")
    mona = make_user("mona", "configuration_manager", scope=mine.scope_key)
    assert names(client(mona).get(f"{URL}/hosts/")) == ["seen"]
    assert names(client(cast.eve).get(f"{URL}/hosts/")) == []
    assert names(client(cast.root).get(f"{URL}/hosts/")) == []
    for verb in ("retire", "scan", "revise", "set-fact", "accept-key", "show-key", "test-connection"):
        reply = client(mona).post(
            f"{URL}/hosts/{hidden.pk}/{verb}/", {"reason": "x", "fingerprint": "x"}, format="json"
        )
        assert reply.status_code in {400, 404}, verb
    for part in ("", "facts/", "packages/", "pending/", "windows/", "connection/", "available/"):
        assert client(mona).get(f"{URL}/hosts/{hidden.pk}/{part}").status_code == 404
        assert client(mona).get(f"{URL}/hosts/{seen.pk}/{part}").status_code == 200
    assert APIClient().get(f"{URL}/hosts/").status_code == 401
    hidden.refresh_from_db()
    assert hidden.retired_at is None


def test_hosts_filters_and_retired_ones(cast: Cast, now: datetime) -> None:
    make_host("web-01", environment="test", criticality=1, platform=make_platform())
    make_host("db-01")
    cora = client(cast.cora)
    gone = make_host("gone-01")
    reply = cora.post(f"{URL}/hosts/{gone.pk}/retire/", {"reason": "Replaced."}, format="json")
    assert (reply.status_code, reply.data["state"]) == (200, "retired")
    for query, wanted in {
        "": {"web-01", "db-01"},
        "q=web": {"web-01"},
        "environment=test": {"web-01"},
        "criticality=1": {"web-01"},
        "state=retired": {"gone-01"},
        "stale=true": {"web-01", "db-01"},
        "stale=false": set(),
    }.items():
        assert set(names(cora.get(f"{URL}/hosts/?{query}"))) == wanted, query


@pytest.mark.parametrize("number", [1, 3])
def test_hosts_list_asks_a_fixed_number_of_queries(cast: Cast, number: int) -> None:
    group = make_group()
    for _ in range(number):
        make_host(groups=[group], platform=make_platform(), owner=cast.ann)
    ann = client(cast.ann)
    with CaptureQueriesContext(connection) as queries:
        assert len(ann.get(f"{URL}/hosts/").data["results"]) == number
    assert len(queries) == 3


def test_host_facts_packages_pending(cast: Cast, now: datetime) -> None:
    host = make_host("web-01")
    pending = (make_pending("package-0001", "1.0-1", "1.1-1"),)
    report = make_report(host, packages=make_packages(60), pending=pending)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=now)
    cora = client(cast.cora)
    cora.post(f"{URL}/hosts/{host.pk}/set-fact/", {"key": "cpus", "value": 16}, format="json")
    facts = {row["key"]: row for row in cora.get(f"{URL}/hosts/{host.pk}/facts/").data}
    assert facts["cpus"]["value"] == 16
    assert facts["cpus"]["others"] == [{"source": "ssh", "value": 8}]
    first = cora.get(f"{URL}/hosts/{host.pk}/packages/").data
    rest = cora.get(first["next"]).data
    assert len({row["name"] for row in first["results"] + rest["results"]}) == 60
    assert cora.get(f"{URL}/hosts/{host.pk}/packages/?as_of=2026-11-01T00:00:00Z").data["results"] == []
    assert cora.get(f"{URL}/hosts/{host.pk}/packages/?as_of=yesterday").status_code == 400
    row = cora.get(f"{URL}/hosts/{host.pk}/pending/").data["results"][0]
    assert (row["candidate_version"], row["is_security"]) == ("1.1-1", True)
    assert (
        client(cast.otto).post(f"{URL}/hosts/{host.pk}/release-fact/", {"key": "cpus"}, format="json").status_code
        == 403
    )


def test_groups_windows_and_openings(cast: Cast) -> None:
    cora = client(cast.cora)
    host = make_host("web-01", environment="staging")
    rule = {"rule_environment": "staging"}
    assert cora.post(f"{URL}/host-groups/preview/", rule, format="json").data == {"count": 1, "hosts": ["web-01"]}
    assert client(cast.eve).post(f"{URL}/host-groups/preview/", rule, format="json").data["count"] == 0
    group = cora.post(f"{URL}/host-groups/", {"name": "staging", "kind": "rule", **rule}, format="json").data
    assert group["hosts"] == 1
    said = {
        "name": "nights",
        "recurrence": "weekly",
        "weekday": 6,
        "starts_local": "02:00",
        "zone": "Europe/Berlin",
        "length_minutes": 120,
        "cutoff_minutes": 30,
        "from_on": "2026-01-01",
        "group_ids": [group["id"]],
    }
    window = cora.post(f"{URL}/service-windows/", said, format="json")
    assert (window.status_code, window.data["revision"], window.data["groups"]) == (201, 1, [group["id"]])
    openings = cora.get(f"{URL}/hosts/{host.pk}/windows/").data
    assert (len(openings), openings[0]["window_id"]) == (20, window.data["id"])
    assert cora.get(f"{URL}/service-windows/{window.data['id']}/openings/").data == openings
    times = {key: value for key, value in said.items() if key not in ("name", "group_ids")}
    ahead = cora.post(f"{URL}/service-windows/preview/", times, format="json")
    assert [o["starts_at"] for o in ahead.data] == [o["starts_at"] for o in openings]
    assert client(cast.otto).post(f"{URL}/service-windows/preview/", times, format="json").status_code == 403
    changed = cora.post(f"{URL}/service-windows/{window.data['id']}/revise/", {"length_minutes": 60}, format="json")
    assert changed.data["revision"] == 2
    for person in (cast.otto, cast.eve):
        assert client(person).post(f"{URL}/service-windows/", {**said, "name": "x"}, format="json").status_code == 403
    assert cora.post(f"{URL}/host-groups/{group['id']}/retire/", {"reason": "x"}, format="json").data["hosts"] == 0


def test_scan_runs_show_only_seen_hosts(cast: Cast, now: datetime) -> None:
    mine = make_group("mine")
    seen, hidden = make_host("seen", groups=[mine]), make_host("hidden")
    for host in (seen, hidden):
        make_connection(host, accepted_by=cast.cora)
    run = scans.request(host_ids=[seen.pk, hidden.pk], actor=cast.otto, at=now)
    mona = make_user("mona", "operator", scope=mine.scope_key)
    shown = client(mona).get(f"{URL}/scan-runs/{run.pk}/").data
    assert shown["counts"] == {"pending": 1}
    rows = client(mona).get(f"{URL}/scan-runs/{run.pk}/results/").data["results"]
    assert [row["host_name"] for row in rows] == ["seen"]
    assert client(mona).post(f"{URL}/scan-runs/{run.pk}/cancel/", {}, format="json").status_code == 403
    assert client(cast.eve).get(f"{URL}/scan-runs/{run.pk}/").status_code == 404
    offered = client(cast.otto).get(f"{URL}/scan-runs/{run.pk}/available/").data
    assert [(o["name"], o["allowed"]) for o in offered] == [("cancel", True)]
    assert client(cast.otto).post(f"{URL}/scan-runs/{run.pk}/cancel/", {}, format="json").data["state"] == "cancelled"


def test_baseline_is_proposed_and_measured(cast: Cast) -> None:
    host, long_ago = make_host("web-01"), timezone.now() - timedelta(days=3)
    report = make_report(host, collected_at=long_ago)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=long_ago)
    host.refresh_from_db()
    said = {
        "name": "web",
        "platform_id": host.platform_id,
        "items": [{"name": "bash", "arch": "amd64", "version": "5.3-1"}],
    }
    assert client(cast.otto).post(f"{URL}/baselines/", said, format="json").status_code == 403
    made = client(cast.cora).post(f"{URL}/baselines/", said, format="json")
    assert (made.status_code, made.data["state"]) == (201, "proposed")
    shown = client(cast.cora).get(f"{URL}/baselines/{made.data['id']}/compliance/").data
    # The report is three days old, so nobody knows.
    assert [(row["host_name"], row["result"]) for row in shown["hosts"]] == [("web-01", "unknown")]
    assert (shown["interval"]["low"], shown["interval"]["high"]) == (0.0, 100.0)
    adopt = client(cast.cora).post(f"{URL}/baselines/{made.data['id']}/adopt/", {}, format="json")
    assert adopt.status_code == 409
    items = client(cast.cora).get(f"{URL}/baselines/{made.data['id']}/items/").data["results"]
    assert items == said["items"]
