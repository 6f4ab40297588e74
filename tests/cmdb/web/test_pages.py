"""The pages of cmdb: who sees what, the three steps of adding a host, refusals that keep what was typed."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cmdb.domain import baselines, connections, discrepancies, groups, inventory, scans, windows
from cmdb.enums import BaselineState, DiscrepancyKind
from cmdb.models import Baseline, Exemption, Host, HostGroup, ScanRun, ServiceWindow
from cmdb.queries.windows import openings_of_host
from cmdb.remote.connection import HostKey
from cmdb.web import host_page
from patchflow.kernel import fsm, signoffs
from patchflow.kernel.models import User
from patchflow.web import states
from tests.factories.cmdb import (
    host_key,
    make_connection,
    make_group,
    make_host,
    make_pending,
    make_platform,
    make_report,
)
from tests.factories.people import Cast, make_user
from tests.fakes.hosts import FakeHost


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


@pytest.fixture
def estate(cast: Cast) -> Host:
    """One host with everything: facts, updates, a window, a baseline, a scan, a discrepancy."""
    now = timezone.now() - timedelta(hours=1)
    group = make_group("web tier")
    host = make_host("web-01", groups=[group])
    make_connection(host, accepted_by=cast.cora)
    pending = (make_pending("openssl", "3.0.17-1~deb12u3", "3.0.17-1~deb12u4"),)
    report = make_report(host, pending=pending, collected_at=now)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=now)
    windows.add(
        name="nights",
        recurrence="weekly",
        starts_local=time(2),
        length_minutes=60,
        from_on=date(2026, 1, 1),
        group_ids=[group.pk],
        actor=cast.cora,
        at=now,
    )
    baselines.propose(
        name="web", platform_id=make_platform().pk, items=[("bash", "amd64", "5.2.15-2")], actor=cast.cora, at=now
    )
    discrepancies.note(
        host=host, kind=DiscrepancyKind.CLONE, key="k", sentence="One of two.", source="x", actor=cast.bot, at=now
    )
    scans.request(host_ids=[host.pk], actor=cast.otto, at=now)
    host.refresh_from_db()
    return host


def addresses(host: Host) -> list[str]:
    names = ["detail", "baseline", "packages", "pending", "connect", "reach", "revise", "exempt", "retire"]
    found = [reverse(f"cmdb:host-{name}", args=[host.pk]) for name in names]
    for model, noun, views in (
        (HostGroup, "group", ["detail", "baseline", "revise", "retire"]),
        (ServiceWindow, "window", ["detail", "revise", "retire"]),
        (Baseline, "baseline", ["detail", "retire"]),
        (ScanRun, "scan", ["detail"]),
        (host.discrepancies.model, "discrepancy", ["detail"]),
    ):
        found += [reverse(f"cmdb:{noun}-{view}", args=[model.objects.order_by("pk")[0].pk]) for view in views]
    return found


LISTS = ["host-list", "group-list", "window-list", "baseline-list", "scan-list", "discrepancy-list"]
FORMS = ["baseline-standing", "host-add", "group-add", "window-add", "baseline-propose"]


def test_every_page_opens_for_who_sees_the_host_and_for_nobody_else(estate: Host, cast: Cast) -> None:
    other = make_group("other")
    stranger = make_user("stan", "configuration_manager", scope=other.scope_key)
    cora = client(cast.cora)
    for name in LISTS + FORMS:
        assert cora.get(reverse(f"cmdb:{name}")).status_code == 200, name
    for name in LISTS:
        assert cora.get(reverse(f"cmdb:{name}"), {"format": "csv"}).status_code == 200, name
    for address in addresses(estate):
        assert cora.get(address).status_code == 200, address
        for person in (stranger, cast.eve, cast.root):
            assert client(person).get(address).status_code == 404, (address, person)
        assert Client().get(address).status_code == 302, address
    for name in LISTS:
        for person in (stranger, cast.eve):
            page = text(client(person).get(reverse(f"cmdb:{name}")))
            assert "web-01" not in page, name
            assert "nights" not in page, name


def test_every_state_has_a_look() -> None:
    for label, machine in fsm.MACHINES.items():
        if label.startswith("cmdb."):
            assert states.missing(label, {t.target for t in machine} | {s for t in machine for s in t.sources}) == []


def test_host_says_what_happens_next_and_why_not(estate: Host, cast: Cast) -> None:
    place = reverse("cmdb:host-detail", args=[estate.pk])
    page = text(client(cast.cora).get(place))
    assert "A scan is under way." in page
    assert "A scan of this host is under way already." in page
    assert "3.0.17-1~deb12u4" in page
    assert "nights" in page
    reader = text(client(cast.ann).get(place))
    assert "This needs the role Configuration manager" in reader
    scans.cancel(scan_run_id=ScanRun.objects.get().pk, actor=cast.otto, at=timezone.now())
    assert "window" in text(client(cast.cora).get(place))


@pytest.mark.parametrize(("minutes", "said"), [(-1, "Its next window opens"), (1, "Its window is open until")])
def test_host_says_whether_its_window_is_open(estate: Host, minutes: int, said: str) -> None:
    starts_at = openings_of_host(estate.pk, after=timezone.now(), count=2)[-1].starts_at
    now = starts_at + timedelta(minutes=minutes)
    Host.objects.filter(pk=estate.pk).update(audited_at=now)
    estate.refresh_from_db()
    opening = openings_of_host(estate.pk, after=now, count=1)[0]
    step = host_page.next_step(estate, at=now, scanning=None, last=None, opening=opening, waiting=(0, 0))
    assert said in step.sentence


def queries_of(page: Client, place: str) -> int:
    """How many queries the page asks, the second time it is asked for (caches of the first are warm)."""
    assert page.get(place).status_code == 200
    with CaptureQueriesContext(connection) as queries:
        page.get(place)
    return len(queries)


def test_estate_asks_no_more_for_more_hosts(cast: Cast) -> None:
    ann, place = client(cast.ann), reverse("cmdb:host-list")
    make_host(platform=make_platform())
    one = queries_of(ann, place)
    for _ in range(2):
        make_host(platform=make_platform(), owner=cast.ann)
    assert queries_of(ann, place) == one


def test_host_page_asks_no_more_for_more_updates(cast: Cast) -> None:
    now, counts = timezone.now(), []
    for number in (1, 40):
        host = make_host(f"web-{number}")
        pending = tuple(make_pending(f"p{i}", "1-1", "2-1") for i in range(number))
        report = make_report(host, pending=pending)
        inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=now)
        counts.append(queries_of(client(cast.ann), reverse("cmdb:host-detail", args=[host.pk])))
    assert counts[0] == counts[1]


def test_add_in_three_steps(cast: Cast) -> None:
    cora, now = client(cast.cora), timezone.now()
    said = {"name": "db-01", "address": "192.0.2.9", "user": "admin", "port": "22", "key_kind": "account"}
    said |= {"environment": "staging", "criticality": "2"}
    reply = cora.post(reverse("cmdb:host-add"), said)
    host = Host.objects.get()
    assert reply.url == reverse("cmdb:host-connect", args=[host.pk])
    assert "Show its key" in text(cora.get(reply.url))
    fake = FakeHost(host_key("db-01"))
    connections.show_key(host_id=host.pk, actor=cast.cora, at=now, fetch=fake.fetch)
    fingerprint = HostKey.from_line(fake.line).fingerprint
    assert fingerprint in text(cora.get(reply.url))
    accept = reverse("cmdb:host-accept-key", args=[host.pk])
    assert cora.post(accept, {"fingerprint": fingerprint}).status_code == 400
    assert Host.objects.get().connection.host_key == ""
    assert cora.post(accept, {"fingerprint": "SHA256:other", "compared": "on"}).status_code == 409
    assert cora.post(accept, {"fingerprint": fingerprint, "compared": "on"}).status_code == 302
    assert "Test the connection" in text(cora.get(reply.url))
    assert cora.post(reverse("cmdb:host-scan", args=[host.pk])).status_code == 302
    assert ScanRun.objects.get().results.get().host == host


def test_add_keeps_what_was_typed(cast: Cast) -> None:
    make_host("taken")
    said = {"name": "taken", "address": "192.0.2.9", "user": "admin", "port": "22", "key_kind": "account"}
    said |= {"environment": "staging", "criticality": "2"}
    reply = client(cast.cora).post(reverse("cmdb:host-add"), said)
    assert reply.status_code == 400
    assert reply.context["form"].errors["name"] == ["There is a host named taken already."]
    assert 'value="192.0.2.9"' in text(reply)
    refused = client(cast.ann).post(reverse("cmdb:host-add"), {**said, "name": "new"})
    assert "This needs the role Configuration manager" in text(refused)
    assert Host.objects.count() == 1


def test_group_by_rule_is_previewed_then_saved(cast: Cast) -> None:
    make_host("a", environment="staging")
    make_host("b", environment="test")
    cora = client(cast.cora)
    said = {"name": "staging", "kind": "rule", "rule_environment": "staging"}
    shown = cora.post(reverse("cmdb:group-add"), {**said, "preview": "1"})
    assert shown.context["preview"] == {"count": 1, "names": ["a"]}
    assert not HostGroup.objects.exists()
    cora.post(reverse("cmdb:group-add"), said)
    assert list(HostGroup.objects.get().memberships.values_list("host__name", flat=True)) == ["a"]
    nothing = cora.post(reverse("cmdb:group-add"), {"name": "x", "kind": "rule"})
    assert "A rule names at least one thing" in text(nothing)


def test_window_is_made_and_revised(cast: Cast) -> None:
    cora = client(cast.cora)
    said = {"name": "nights", "recurrence": "monthly", "nth": "2", "weekday": "1", "offset_days": "4"}
    said |= {"starts_local": "02:00", "zone": "Europe/Berlin", "length_minutes": "120", "cutoff_minutes": "30"}
    said |= {"from_on": "2026-01-01"}
    cora.post(reverse("cmdb:window-add"), said)
    window = ServiceWindow.objects.get()
    page = text(cora.get(reverse("cmdb:window-detail", args=[window.pk])))
    assert "4 days after the second Tuesday of the month, at 02:00 Europe/Berlin" in page
    wrong = cora.post(reverse("cmdb:window-revise", args=[window.pk]), {**said, "cutoff_minutes": "120"})
    assert wrong.context["form"].errors["cutoff_minutes"] == ["The cut-off is shorter than the window."]
    cora.post(reverse("cmdb:window-revise", args=[window.pk]), {**said, "cutoff_minutes": "15"})
    window.refresh_from_db()
    assert (window.revision, window.cutoff_minutes) == (2, 15)


def test_window_shows_its_openings_before_it_is_saved(cast: Cast) -> None:
    cora, place = client(cast.cora), reverse("cmdb:window-add")
    spring = date(timezone.now().year + 1, 3, 31)
    night = spring - timedelta(days=spring.isoweekday() % 7)  # the clocks change on the last Sunday of March
    said = {"recurrence": "monthly", "nth": "-1", "weekday": "6", "offset_days": "0", "starts_local": "02:30"}
    said |= {
        "zone": "Europe/Berlin",
        "length_minutes": "120",
        "cutoff_minutes": "30",
        "from_on": f"{night.year}-03-01",
        "preview": "1",
    }
    page = text(cora.post(place, said))
    assert f"Sun {night.day} Mar {night.year} 03:30 CEST" in page
    assert "its hour is left out that night: it starts after the gap" in page
    part = text(cora.post(place, said, HTTP_HX_REQUEST="true"))
    assert part.count("<tr") == 21
    assert "<html" not in part
    wrong = text(cora.post(place, {**said, "cutoff_minutes": "120"}, HTTP_HX_REQUEST="true"))
    assert "The cut-off is shorter than the window." in wrong
    assert not ServiceWindow.objects.exists()


def test_baseline_from_a_host_is_approved_by_another(estate: Host, cast: Cast) -> None:
    cora = client(cast.cora)
    cora.post(reverse("cmdb:baseline-propose"), {"host_id": estate.pk, "name": "fleet"})
    made = Baseline.objects.get(name="fleet")
    assert made.items.count() == 3
    place, decide = (reverse(f"cmdb:baseline-{name}", args=[made.pk]) for name in ("detail", "decide"))
    assert "You proposed this baseline: another person approves it." in text(cora.get(place))
    said = {"verdict": "approve", "digest": signoffs.open_round_of(made).digest}  # type: ignore[union-attr]
    assert cora.post(decide, said).status_code == 403
    sam = client(cast.sam)
    assert "100.0 %" in text(sam.get(place))
    assert sam.post(decide, said).status_code == 302
    made.refresh_from_db()
    assert made.state == BaselineState.APPROVED
    assert "at baseline" in text(cora.get(reverse("cmdb:host-detail", args=[estate.pk])))


def test_retire_asks_first_with_its_reach(cast: Cast, now: datetime) -> None:
    host = make_host("web-01", groups=[make_group()])
    cora, place = client(cast.cora), reverse("cmdb:host-retire", args=[host.pk])
    assert "group membership" in text(cora.get(place))
    assert cora.post(place, {}).status_code == 400
    assert client(cast.ann).post(place, {"reason": "x"}).status_code == 403
    assert Host.objects.live().exists()
    cora.post(place, {"reason": "Replaced."})
    assert not Host.objects.live().exists()


def test_exemption_and_settlement(estate: Host, cast: Cast) -> None:
    cora = client(cast.cora)
    said = {"kind": "package", "subject": "openssl", "reason": "x", "compensating_control": "y", "days": "30"}
    cora.post(reverse("cmdb:host-exempt", args=[estate.pk]), said)
    assert Exemption.objects.get().host == estate
    found = estate.discrepancies.get()
    place = reverse("cmdb:discrepancy-detail", args=[found.pk])
    assert "needs the role" in text(client(cast.ann).get(place))
    cora.post(place, {"how": "explain", "reason": "A clone, wanted."})
    found.refresh_from_db()
    assert (found.state, found.settlement) == ("explained", "A clone, wanted.")


def test_scan_page_counts_only_hosts_in_sight(estate: Host, cast: Cast) -> None:
    mine = groups.add(name="mine", host_ids=[estate.pk], actor=cast.cora, at=timezone.now())
    mona = make_user("mona", "operator", scope=mine.scope_key)
    run = ScanRun.objects.get()
    page = client(mona).get(reverse("cmdb:scan-detail", args=[run.pk]))
    assert (page.context["total"], page.context["done"]) == (1, 0)
    assert client(cast.ann).post(reverse("cmdb:scan-cancel", args=[run.pk])).status_code == 403
    assert client(mona).post(reverse("cmdb:scan-cancel", args=[run.pk])).status_code == 302


def test_a_discrepancy_about_which_machine_it_is_shows_the_fingerprints(estate: Host, cast: Cast) -> None:
    Host.objects.filter(pk=estate.pk).update(machine_id="ab12" * 8, ssh_host_key="", is_local=True)
    found = estate.discrepancies.get()
    shown = client(cast.cora).get(reverse("cmdb:discrepancy-detail", args=[found.pk])).text
    assert f"{'ab12' * 8}/local" in shown
    estate.discrepancies.update(kind=DiscrepancyKind.SOURCES_DIFFER)
    assert "/local" not in client(cast.cora).get(reverse("cmdb:discrepancy-detail", args=[found.pk])).text
