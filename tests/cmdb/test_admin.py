"""The admin of cmdb: every page opens, nothing can be typed in, actions are verbs that show their reach first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from cmdb.domain import inventory
from cmdb.models import ConfigurationItem, Host, HostGroup, Relation, ScanRun, ServiceWindow, SupportGroup
from patchflow.kernel.models import User
from patchflow.web.admin import VerbAdmin
from tests.factories.cmdb import make_connection, make_group, make_host, make_report
from tests.factories.people import Cast, make_user
from tests.walks.desk import Desk

MODELS = [model for model in apps.get_app_config("cmdb").get_models() if admin.site.is_registered(model)]


def client(user: User) -> Client:
    made = Client()
    made.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return made


@pytest.fixture
def host(cast: Cast, now: datetime) -> Host:
    host = make_host("web-01")
    make_connection(host, accepted_by=cast.cora)
    inventory.record(host_id=host.pk, report=make_report(host), source="ssh", actor=cast.bot, at=now)
    return host


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_page_opens_and_takes_nothing(model: Any, host: Host, cast: Cast) -> None:
    window = admin.site.get_model_admin(model)
    assert isinstance(window, VerbAdmin)
    stem = f"admin:cmdb_{model._meta.model_name}"
    cora = client(cast.cora)
    assert cora.get(reverse(f"{stem}_changelist")).status_code == 200
    made_by_a_verb = window.maker is not None  # its page asks for what that verb needs, and writes nothing by itself
    assert cora.get(reverse(f"{stem}_add")).status_code == (200 if made_by_a_verb else 403)
    before = model.objects.count()
    cora.post(reverse(f"{stem}_add"), {"name": "typed"})
    assert model.objects.count() == before
    row = model.objects.first()
    if row is not None:
        place = reverse(f"{stem}_change", args=[row.pk])
        assert cora.get(place).status_code == 200
        assert cora.post(place, {"name": "typed"}).status_code == 403
        assert cora.post(reverse(f"{stem}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    for person in (cast.eve, cast.root):
        assert client(person).get(reverse(f"{stem}_changelist")).status_code == 403


def test_action_shows_its_reach_then_runs_the_verb(host: Host, cast: Cast) -> None:
    place = reverse("admin:cmdb_host_changelist")
    chosen = {"action": "scan", "_selected_action": [host.pk]}
    otto = client(cast.otto)
    assert b"web-01" in otto.post(place, chosen).content
    assert not ScanRun.objects.exists()
    otto.post(place, {**chosen, "confirmed": "1"})
    run = ScanRun.objects.get()
    assert (run.requested_by, run.results.get().host) == (cast.otto, host)
    refused = otto.post(place, {**chosen, "confirmed": "1"}, follow=True)
    assert b"under way already" in refused.content


def test_action_that_is_refused_changes_nothing(host: Host, cast: Cast) -> None:
    place = reverse("admin:cmdb_host_changelist")
    chosen = {"action": "retire", "_selected_action": [host.pk], "confirmed": "1", "reason": "x"}
    for person in (cast.otto, cast.aud):
        assert b"needs the role" in client(person).post(place, chosen, follow=True).content
    host.refresh_from_db()
    assert host.retired_at is None
    client(cast.cora).post(place, chosen)
    host.refresh_from_db()
    assert host.retired_at is not None


def test_scoped_operator_sees_the_own_hosts_only(host: Host, cast: Cast) -> None:
    mine = make_group("mine")
    make_host("mine-01", groups=[mine])
    omar = make_user("omar", "operator", scope=mine.scope_key)
    page = client(omar).get(reverse("admin:cmdb_host_changelist")).content
    assert b"mine-01" in page
    assert b"web-01" not in page
    assert b"web-01" not in client(omar).get(reverse("admin:cmdb_connection_changelist")).content


def test_a_service_says_on_what_it_rests_and_how_much_stays_up(cast: Cast) -> None:
    desk = Desk(cast)
    hosts = [make_host(f"web-{n}") for n in range(3)]
    shop = desk.make(cast.cora, ConfigurationItem, name="Shop", kind="service")
    desk.press(cast.cora, "link", shop, names="web-*")
    shop = desk.press(cast.cora, "revise", shop, min_alive="2")
    assert (shop.must_stay(len(hosts)), shop.state) == (2, "planned")
    assert "No item in sight is called" in desk.refused(cast.cora, "link", shop, names="nowhere")
    assert "needs the role" in desk.refused(cast.otto, "revise", shop, min_alive="0")
    desk.press(cast.cora, "enter_service", shop)
    relation = Relation.objects.get(source=shop, target=hosts[0].ci)
    place, kept = "/admin/cmdb/relation/", {"action": "unlink", "_selected_action": [relation.pk]}
    asked = client(cast.cora).post(place, kept)
    client(cast.cora).post(place, {"action": "unlink", "chosen": asked.context_data["sealed"], "confirmed": "1"})
    assert set(Relation.objects.filter(source=shop).values_list("target", flat=True)) == {h.ci_id for h in hosts[1:]}
    assert desk.press(cast.cora, "retire", shop, reason="The shop is closed.").state == "retired"


def test_groups_windows_and_support_groups_are_made_and_revised(cast: Cast) -> None:
    desk, host = Desk(cast), make_host("web-01")
    group = desk.make(cast.cora, HostGroup, name="Shop", host_ids=[host.pk])
    assert group.memberships.get().host == host
    assert desk.press(cast.cora, "revise", group, name="The shop").name == "The shop"
    window = desk.make(cast.cora, ServiceWindow, name="Nights", from_on="2026-11-01", group_ids=[group.pk])
    assert (window.groups.get(), window.revision) == (group, 1)
    assert desk.press(cast.cora, "revise", window, length_minutes="90").revision == 2
    assert "needs the role" in desk.refused(cast.otto, "revise", window, length_minutes="60")
    people = desk.make(cast.cora, SupportGroup, name="Shop people", lead=cast.otto.pk, members=[cast.rex.pk])
    assert set(people.members.all()) == {cast.otto, cast.rex}
    desk.press(cast.cora, "revise", people, name="Others", members=[cast.ann.pk])
    people.refresh_from_db()
    assert (people.name, set(people.members.all())) == ("Shop people", {cast.otto, cast.ann})
