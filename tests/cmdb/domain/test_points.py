"""Distribution points: what is said of them, whom each serves, and whether it answers."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.domain import groups, items, points
from cmdb.models import ConfigurationItem, DistributionPoint, GroupMember, Host, HostGroup
from cmdb.queries.points import choice_for, choices_for, hosts_of, served_by
from cmdb.remote.proxies import proxy_address
from patchflow.kernel import audit
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import AuditEntry, RoleGrant
from tests.factories.cmdb import make_group, make_host
from tests.factories.people import Cast, make_user

pytestmark = pytest.mark.django_db
PLACE = "http://dp.example.org:3142"


def answers(_address: str) -> tuple[bool | None, str]:
    return True, "It answered within 3 ms."


def is_silent(_address: str) -> tuple[bool | None, str]:
    return False, "dp.example.org did not answer."


def point_of(group: HostGroup, cast: Cast, now: datetime, name: str = "dp", **fields: Any) -> DistributionPoint:
    return points.add(name=name, address=PLACE, group_id=group.pk, actor=cast.cora, at=now, **fields)


# --- the address: it reaches root on hosts --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" HTTP://DP-Berlin.Example.org:3142/ ", "http://dp-berlin.example.org:3142"),
        ("http://10.1.2.3:80", "http://10.1.2.3:80"),
        ("http://[2001:db8::7]:3128", "http://[2001:db8::7]:3128"),
    ],
)
def test_an_address_is_kept_in_one_way_of_writing_it(typed: str, kept: str) -> None:
    assert proxy_address(typed) == kept
    assert proxy_address(kept) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "", "dp", "http://dp", "https://dp:3142", "http://dp:0", "http://dp:65536", "http://dp:3142/path", "http://dp:3142?q",
        "http://u:p@dp:3142", 'http://dp"; Dir::Bin::dpkg "/tmp/x:3142', "http://dp:3142\nproxy=x", "http://dp:3142;", "http://-o:80",
        "http://dp-:80", "http://a..b:80", "http://dp_x:80", "http://127.0.0.1:80", "http://localhost:80", "http://a.localhost:80",
        "http://0.0.0.0:80", "http://[::1]:80", "http://224.0.0.1:80", "http://1.2.3:80", "http://[1.2.3.4]x:80",
        "http://[::ffff:127.0.0.1]:80", "http://[::ffff:169.254.169.254]:80", "http://[::ffff:0.0.0.0]:80", "http://0x7f000001:80",
        "http://127.0.0.0x1:80", "http://dp.1:80", "http://2130706433:80", "http://localhost.localdomain:3142",
        "http://169.254.169.254:80", f"http://{'a' * 64}.org:80", "http://dp:３142", "http://$(id):80", "http://dp :80",
    ],
)  # fmt: skip
def test_what_is_no_plain_address_of_one_machine_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        proxy_address(typed)


# --- what is said ---------------------------------------------------------------------------------------------------------
def test_from_its_addition_to_its_retirement_every_word_is_in_the_trail(cast: Cast, now: datetime) -> None:
    group = make_group("Berlin")
    point = point_of(group, cast, now, throttle_kib=200)
    assert (point.state, point.answer_at(now)) == ("in_service", "unknown")
    points.check(point_id=point.pk, actor=cast.otto, at=now, ask=answers)
    points.revise(point_id=point.pk, throttle_kib=None, when_silent="direct", actor=cast.cora, at=now)
    points.revise(point_id=point.pk, throttle_kib=None, actor=cast.cora, at=now)
    point.refresh_from_db()
    assert (point.throttle_kib, point.when_silent, point.answer_at(now)) == (None, "direct", "answering")
    points.revise(point_id=point.pk, address="http://other.example.org:3142", actor=cast.cora, at=now)
    point.refresh_from_db()
    assert (point.answered, point.answer_at(now)) == (None, "unknown"), "what was found elsewhere says nothing"
    points.retire(point_id=point.pk, reason="The branch moved.", actor=cast.cora, at=now)
    for act in (points.retire, points.check, points.revise):
        more = {"reason": "x"} if act is points.retire else {}
        with pytest.raises(Conflict):
            act(point_id=point.pk, actor=cast.cora, at=now, **more)
    told = [entry.verb.rpartition(".")[2] for entry in reversed(audit.history(point)) if entry.outcome == "done"]
    assert told == ["added", "checked", "revised", "revised", "retired"]
    assert AuditEntry.objects.filter(verb="cmdb.point.revised").order_by("pk")[0].detail == {
        "throttle_kib": {"before": 200, "after": None},
        "when_silent": {"before": "wait", "after": "direct"},
    }
    assert point_of(group, cast, now).name == "dp", "name and group are free again"


def test_what_is_wrong_is_named_and_nothing_is_kept(cast: Cast, now: datetime) -> None:
    group, other = make_group("Berlin"), make_group("Bonn")
    site = items.add(kind="site", name="Berlin", actor=cast.cora, at=now)
    shop = items.add(kind="service", name="shop", actor=cast.cora, at=now)
    point_of(group, cast, now)
    good = {"name": "dp-2", "address": PLACE, "group_id": other.pk}
    for wrong, field in (
        ({"name": " "}, "name"), ({"name": "dp"}, "name"), ({"address": "http://dp"}, "address"), ({"when_silent": "guess"}, "when_silent"),
        ({"throttle_kib": 7}, "throttle_kib"), ({"throttle_kib": 0}, "throttle_kib"), ({"group_id": None}, "site_id"),
        ({"site_id": site.pk}, "site_id"), ({"group_id": group.pk}, "group_id"), ({"group_id": 987654}, "group_id"),
        ({"group_id": None, "site_id": shop.pk}, "site_id"), ({"state": "retired"}, "state"),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            points.add(actor=cast.cora, at=now, **{**good, **wrong})
        assert [b.code for b in refused.value.blockers] == [f"invalid.{field}"], wrong
    assert DistributionPoint.objects.count() == 1


def test_it_is_for_who_holds_the_right_everywhere(cast: Cast, now: datetime) -> None:
    group = make_group("Berlin")
    point = point_of(group, cast, now)
    near = make_user("near")
    RoleGrant.objects.create(user=near, role="configuration_manager", scope=group.scope_key)
    for person in (cast.otto, cast.rex, cast.eve, cast.bot, near):
        with pytest.raises(NotAllowed):
            points.add(name="x", address=PLACE, group_id=group.pk, actor=person, at=now)
        with pytest.raises(NotAllowed):
            points.revise(point_id=point.pk, name="x", actor=person, at=now)
        with pytest.raises(NotAllowed):
            points.retire(point_id=point.pk, reason="x", actor=person, at=now)
    with pytest.raises(NotAllowed):
        points.check(point_id=point.pk, actor=cast.eve, at=now, ask=answers)
    assert list(DistributionPoint.objects.all().visible_to(near)) == [point]
    assert not DistributionPoint.objects.all().visible_to(cast.eve)


# --- whom it serves -------------------------------------------------------------------------------------------------------
def test_a_group_goes_before_a_site_and_the_nearer_site_before_the_farther(cast: Cast, now: datetime) -> None:
    said: dict[str, Any] = {"actor": cast.cora, "at": now}
    group, second = make_group("Berlin servers"), make_group("Kiosks")
    hosts = {name: make_host(name) for name in ("grouped", "rack", "city", "nowhere", "both", "gone")}
    country, city, rack, twin = (
        items.add(kind="site", name=n, **said) for n in ("Germany", "Berlin", "Rack 7", "Rack 8")
    )
    items.link(item_id=rack.pk, how="member_of", names=["Berlin"], **said)
    items.link(item_id=twin.pk, how="member_of", names=["Berlin"], **said)
    items.link(item_id=city.pk, how="member_of", names=["Germany"], **said)
    items.link(item_id=rack.pk, how="members", names=["grouped", "rack", "gone"], **said)
    items.link(item_id=city.pk, how="members", names=["city"], **said)
    for host in (hosts["grouped"], hosts["both"]):
        GroupMember.objects.create(group=group, host=host, since_at=now)
    GroupMember.objects.create(group=second, host=hosts["both"], since_at=now)

    def served() -> dict[str, str]:
        found = choices_for([host.pk for host in hosts.values()])
        return {
            name: found[host.pk].point.name if found[host.pk].point else "/".join(found[host.pk].rivals)
            for name, host in hosts.items()
            if host.pk in found
        }

    with CaptureQueriesContext(connection) as asked:
        assert served() == {}
    assert len(asked) == 1
    land = points.add(name="land", address=PLACE, site_id=country.pk, **said)
    assert served() == dict.fromkeys(("grouped", "rack", "city", "gone"), "land")
    near = points.add(name="near", address=PLACE, site_id=rack.pk, **said)
    by_group = point_of(group, cast, now, "own")
    expected = {"grouped": "own", "both": "own", "rack": "near", "gone": "near", "city": "land"}
    assert served() == expected
    point_of(second, cast, now, "kiosk")
    assert served()["both"] == "kiosk/own", "two with the same right: none is taken"
    with CaptureQueriesContext(connection) as asked:
        served()
    assert len(asked) == 4
    items.link(item_id=twin.pk, how="members", names=["rack"], **said)
    points.add(name="twin", address=PLACE, site_id=twin.pk, **said)
    assert served()["rack"] == "near/twin"

    Host.objects.filter(pk=hosts["gone"].pk).update(retired_at=now)
    assert hosts_of([near.pk, by_group.pk, land.pk]) == {
        near.pk: set(), by_group.pk: {hosts["grouped"].pk}, land.pk: {hosts["city"].pk},
    }  # fmt: skip
    assert list(served_by(by_group, cast.cora)) == [hosts["grouped"]]
    points.retire(point_id=near.pk, reason="x", **said)
    served_by_it = "The distribution point land serves it: retire that, or give it another place."
    with pytest.raises(Blocked) as refused:
        items.retire(item_id=country.pk, reason="x", **said)
    assert [(b.sentence, b.where) for b in refused.value.blockers] == [(served_by_it, land.get_absolute_url())]
    with pytest.raises(Blocked, match="The distribution point own serves it"):
        groups.retire(group_id=group.pk, reason="x", **said)
    assert served()["grouped"] == "own", "its members stay"
    ConfigurationItem.objects.filter(pk=country.pk).update(state="retired")
    assert served() == {"grouped": "own", "both": "kiosk/own", "rack": "twin"}, "a retired site serves nobody"
    assert choice_for(hosts["nowhere"].pk).point is None


# --- whether it answers ---------------------------------------------------------------------------------------------------
def test_what_was_found_grows_old_and_a_check_by_schedule_tells_only_what_is_new(cast: Cast, now: datetime) -> None:
    point = point_of(make_group(), cast, now)
    assert points.find_due(now=now) == 1
    assert points.check_due(point_id=point.pk, now=now, ask=answers)
    point.refresh_from_db()
    assert (point.answer_at(now), point.answer_at(now + timedelta(minutes=21))) == ("answering", "unknown")
    later = now + timedelta(minutes=6)
    assert points.find_due(now=now) == 0, "it was asked a moment ago"
    assert points.find_due(now=later) == 1
    DistributionPoint.objects.update(not_before=None)
    assert points.check_due(point_id=point.pk, now=later, ask=answers)
    DistributionPoint.objects.update(not_before=None)
    assert points.check_due(point_id=point.pk, now=later, ask=is_silent)
    point.refresh_from_db()
    assert (point.answer_at(later), point.check_reason) == ("silent", "dp.example.org did not answer.")
    told = list(AuditEntry.objects.filter(verb="cmdb.point.checked").order_by("pk").values_list("detail", flat=True))
    assert [one["answered"] for one in told] == [True, False]
    points.retire(point_id=point.pk, reason="x", actor=cast.cora, at=later)
    assert points.find_due(now=later + timedelta(days=1)) == 0
    assert not points.check_due(point_id=point.pk, now=later, ask=answers)


def test_it_is_asked_outside_any_transaction_and_not_believed_of_another_address(
    cast: Cast, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    point = point_of(make_group(), cast, now)
    depth = len(connection.savepoint_ids)

    def moves(_address: str) -> tuple[bool | None, str]:
        assert len(connection.savepoint_ids) == depth
        points.revise(point_id=point.pk, address="http://other.example.org:80", actor=cast.cora, at=now)
        return True, "It answered."

    with pytest.raises(Conflict, match="changed meanwhile"):
        points.check(point_id=point.pk, actor=cast.otto, at=now, ask=moves)
    point.refresh_from_db()
    assert point.answered is None


def test_a_slow_check_does_not_overwrite_a_newer_one(cast: Cast, now: datetime) -> None:
    point = point_of(make_group(), cast, now)
    later = now + timedelta(seconds=7)

    def is_slow(_address: str) -> tuple[bool | None, str]:
        points.check(point_id=point.pk, actor=cast.otto, at=later, ask=is_silent)
        return True, "It answered within 9000 ms."

    points.check(point_id=point.pk, actor=cast.otto, at=now, ask=is_slow)
    point.refresh_from_db()
    assert (point.answered, point.checked_at, point.check_reason) == (False, later, "dp.example.org did not answer.")
    assert AuditEntry.objects.filter(verb="cmdb.point.checked", outcome="done").count() == 1


def test_the_network_is_asked_as_the_house_does(settings: Any) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(400, "this is a proxy")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    answered, said = points.knock(address)
    assert answered is None
    assert "not on the public internet" in said
    assert "PATCHFLOW_OUTBOUND_ALLOW" in said
    settings.PATCHFLOW = {**settings.PATCHFLOW, "OUTBOUND_ALLOW": ["127.0.0.1"]}
    answered, said = points.knock(address)
    assert answered
    assert said.startswith("It answered within")
    server.shutdown()
    server.server_close()
    assert points.knock(address) == (False, "127.0.0.1 did not answer (ConnectError).")
