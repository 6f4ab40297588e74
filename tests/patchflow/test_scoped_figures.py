"""Who may see 2 hosts of 137 reads of 2, on every page and at every REST address that the product has: no figure counts the
other hosts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from changes.models import RFC, ChangeSlot, SoftwareUpdate
from changes.queries.board import rounds_visible_to
from changes.queries.updates import counted, undecided
from cmdb.domain import scans
from cmdb.models import GroupMember, Host, ScanResult, ScanRun
from patchflow.kernel.models import User
from patchflow.reports.queries.home import clocks, late, phases
from tests.factories.changes import World, awaiting, draft, make_group, make_host, make_update, round_of
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db

SEEN, UNSEEN = 2, 135
TOLD = re.compile(rf"(?<![\d#./-])({SEEN + UNSEEN}|{UNSEEN})(?![\d./-])")
OTHERS = re.compile(rf"{TOLD.pattern}|\btheirs-\d+")
BACKEND = "django.contrib.auth.backends.ModelBackend"
ROLES = ("service_owner", "change_manager", "security_officer", "operator", "configuration_manager", "release_manager")


@dataclass
class Place:
    """137 hosts that miss two updates, late by now, with a change of all of them, a scan that ended in part; and una, who may
    see two of them."""

    una: User
    world: World
    mine: list[Host]
    theirs: SoftwareUpdate
    rfc: RFC
    run: ScanRun

    @property
    def objects(self) -> dict[str, Any]:
        """Noun of an address → the object of that kind."""
        host = self.mine[0]
        group = host.memberships.get(group__name="mine").group
        return {
            "update": self.world.update, "rfc": self.rfc, "scan": self.run, "scan-run": self.run, "host": host, "group": group,
            "cycle": self.rfc.cycle,
        }  # fmt: skip


@pytest.fixture
def place(cast: Cast, now: datetime) -> Place:
    hosts = [make_host(f"mine-{n}", at=now, group="mine") for n in range(SEEN)]
    mine, hosts = hosts, hosts + [make_host(f"theirs-{n:03d}", at=now, group="theirs") for n in range(UNSEEN)]
    everything = make_group("everything", at=now)
    GroupMember.objects.bulk_create([GroupMember(group=everything, host=h, since_at=now) for h in hosts])
    update = make_update(at=now - timedelta(hours=3), hosts=hosts)
    late_one = make_update("zlib", at=now - timedelta(days=9), hosts=hosts)
    theirs = make_update("bash", at=now - timedelta(days=9), hosts=hosts[SEEN:])
    SoftwareUpdate.objects.update(start_by=now - timedelta(days=1))
    for one, count in ((update, SEEN + UNSEEN), (late_one, SEEN + UNSEEN), (theirs, UNSEEN)):
        SoftwareUpdate.objects.filter(pk=one.pk).update(reach=count)
    world = World(cast, hosts, update, now)
    rfc = awaiting(world)
    draft(world, update_ids=[late_one.pk])
    ChangeSlot.objects.create(
        rfc=rfc, holder="REL-1", name="night", starts_at=now + timedelta(days=1), ends_at=now + timedelta(days=1, hours=2),
        hosts=SEEN + UNSEEN, responsible=cast.rex, reserved_by=cast.rex, reserved_at=now,
    )  # fmt: skip
    una = make_user("una", *ROLES, scope=f"group:{make_group('mine', at=now).pk}")
    return Place(una, world, mine, theirs, rfc, _scanned(hosts, cast, now))


def _scanned(hosts: list[Host], cast: Cast, now: datetime) -> ScanRun:
    """A scan of them all, which one of una's hosts and all others answered."""
    run = scans.request(host_ids=[h.pk for h in hosts], actor=cast.otto, at=now)
    results = ScanResult.objects.filter(scan_run=run)
    results.update(state="scanned")
    results.filter(host=hosts[0]).update(state="failed")
    ScanRun.objects.filter(pk=run.pk).update(state="running")
    scans.finish(scan_run_id=run.pk, actor=cast.bot, at=now)
    run.refresh_from_db()
    assert run.reason == "136 of 137 hosts were scanned, 0 of them in part."
    return run


def names(patterns: list[Any], spaces: tuple[str, ...] = (), prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every named address of the product outside the admin, with its parts that vary."""
    for one in patterns:
        where = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            if not where.startswith(("admin/", "account/", "api/schema", "api/docs")):
                yield from names(one.url_patterns, (*spaces, one.namespace) if one.namespace else spaces, where)
        elif isinstance(one, URLPattern) and one.name:
            yield ":".join((*spaces, one.name)), list(one.pattern.regex.groupindex)


def addresses(place: Place) -> list[str]:
    """Of all addresses those that need nothing, and those about an object that there is."""
    found = []
    for name, varying in names(get_resolver().url_patterns):
        noun = name.partition(":")[2] or name
        about = next((o for n, o in place.objects.items() if noun.startswith(f"{n}-")), None)
        if "format" in varying or name in ("metrics", "healthz", "readyz"):
            continue
        if not varying:
            found.append(reverse(name))
        elif varying == ["pk"] and about is not None:
            found.append(reverse(name, args=[about.pk]))
    return found


def visible_text(page: str) -> str:
    """What a person reads of a page: without its head, scripts, tags and their attributes."""
    page = re.sub(r"<(head|script|style|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_no_page_and_no_rest_address_counts_hosts_out_of_sight(place: Place, client: Client) -> None:
    client.force_login(place.una, backend=BACKEND)
    looked, told = 0, []
    for address in addresses(place):
        answer = client.get(address)
        if answer.status_code != 200 or answer.streaming:
            continue
        kind = answer.headers.get("Content-Type", "")
        said = answer.content.decode() if "json" in kind else visible_text(answer.content.decode())
        if "json" in kind:
            said = re.sub(r'"(id|[a-z_]*_id|host|group|round|subject_id|count_of_all)":\s*\d+', "", said)
        looked += 1
        told += [f"{address}: …{said[max(m.start() - 60, 0) : m.end() + 40]}…" for m in TOLD.finditer(said)]
    assert not told, "\n".join(told)
    assert looked > 60, looked


def test_no_page_of_the_admin_site_tells_of_hosts_out_of_sight(place: Place, client: Client) -> None:
    client.force_login(place.una, backend=BACKEND)
    looked, told = 0, []
    for model in admin.site._registry:
        stem = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        rows = client.get(reverse(f"{stem}_changelist"))
        if rows.status_code != 200:
            continue
        found = rows.context["cl"].result_list[:5]
        for address in (reverse(f"{stem}_changelist"), *(reverse(f"{stem}_change", args=[row.pk]) for row in found)):
            said = visible_text(client.get(address).content.decode())
            looked += 1
            told += [f"{address}: …{said[max(m.start() - 60, 0) : m.end() + 40]}…" for m in OTHERS.finditer(said)]
    assert not told, "\n".join(told)
    assert looked > 50, looked


def test_who_sees_every_host_reads_of_all(place: Place, client: Client) -> None:
    client.force_login(place.world.cast.aud, backend=BACKEND)
    for address in ("/", reverse("changes:rfc-list"), reverse("cmdb:scan-list"), "/api/v1/updates/"):
        assert TOLD.search(visible_text(client.get(address).content.decode())), address


def test_updates_are_counted_by_sight(place: Place, now: datetime, client: Client) -> None:
    rows = {u.name: u.missed for u in counted(SoftwareUpdate.objects.all(), place.una)}
    assert rows == {"openssl": SEEN, "zlib": SEEN, "bash": 0}
    assert {risk.detail for risk in clocks(place.una, at=now)} == {"2 hosts miss it"}
    assert late(phases(place.una, at=now)) == 2
    assert late(phases(place.world.cast.aud, at=now)) == 3
    assert not undecided(place.una).filter(name="bash").exists()
    client.force_login(place.una, backend=BACKEND)
    over_rest = {row["name"]: row["reach"] for row in client.get("/api/v1/updates/").json()["results"]}
    assert over_rest == rows
    rows_of_host = client.get(f"/api/v1/updates/missing/?host={place.mine[0].pk}").json()
    of_host = next(r for r in rows_of_host if r["update"]["name"] == "zlib")
    assert of_host["update"]["reach"] == SEEN
    shown = client.get(reverse("changes:update-list") + "?missing=yes&shown=all").content.decode()
    assert "zlib" in shown
    assert "bash" not in shown


def test_a_change_is_counted_by_sight(place: Place, client: Client) -> None:
    client.force_login(place.una, backend=BACKEND)
    page = client.get(place.rfc.get_absolute_url())
    assert (page.context["target_count"], page.context["cost"].hosts) == (SEEN, SEEN)
    assert "What counts hosts outside your scope is left out." in page.content.decode()
    factors = client.get(f"/api/v1/rfcs/{place.rfc.pk}/").json()["risk"]["factors"]
    assert {f["key"] for f in factors} == {"restart", "way_back", "tests"}
    (slot,) = client.get("/api/v1/slots/").json()["results"]
    assert slot["hosts"] is None


def test_who_is_asked_decides_about_every_host(place: Place, now: datetime, client: Client) -> None:
    round_ = round_of(place.rfc)
    address = reverse("changes:board-item", args=[round_.pk])
    client.force_login(place.una, backend=BACKEND)
    assert round_ in rounds_visible_to(place.una, at=now)
    assert client.get(address).context["target_count"] == SEEN
    round_.levels.get(position=1).voters.create(user=place.una, via="asked")
    assert client.get(address).context["target_count"] == SEEN + UNSEEN


def test_a_scan_is_told_by_sight(place: Place, client: Client) -> None:
    client.force_login(place.una, backend=BACKEND)
    said = "1 of 2 hosts were scanned, 0 of them in part."
    assert client.get(f"/api/v1/scan-runs/{place.run.pk}/").json()["reason"] == said
    assert said in client.get(reverse("cmdb:scan-list")).content.decode()
    assert said in client.get(reverse("cmdb:scan-detail", args=[place.run.pk])).content.decode()
