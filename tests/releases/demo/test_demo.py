"""The demo: each stage ends in the states that it claims, no page of its world shows an error, and it is made once.

One seeding for all, of a small fleet; the tests only read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils import timezone

from changes.enums import RFCState
from changes.models import RFC, ChangeModel, Cycle, FreezeWindow, Meeting, SoftwareUpdate
from cmdb.models import Exemption, Host, Relation, ScanRun
from cmdb.queries.connections import endpoint_of
from patchflow.kernel import registry
from patchflow.kernel.models import User
from releases.demo import months
from releases.demo.story import Story, begun
from releases.models import Job, Release, Ring, Staging

pytestmark = pytest.mark.xdist_group("demo")
SMALL = 40
ENOUGH = 2
"""Objects of a kind that are looked at."""


def _states(rows: Any) -> dict[str, int]:
    return dict(Counter(rows.values_list("state", flat=True)))


def _seen() -> dict[str, Any]:
    """What stands where, at this moment of the story."""
    return {
        "cycles": list(Cycle.objects.order_by("pk").values_list("kind", "state")),
        "rfcs": _states(RFC.objects.all()),
        "releases": _states(Release.objects.all()),
        "rings": list(Ring.objects.order_by("pk").values_list("state", flat=True)),
        "updates": SoftwareUpdate.objects.filter(reach__gt=0).count(),
        "meetings": _states(Meeting.objects.all()),
    }


@pytest.fixture(scope="module")
def stages(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """Stage → what stood where when it was reached; the last one is still there."""
    folder, found, now = tmp_path_factory.mktemp("demo"), dict[str, Any](), timezone.now()
    with django_db_blocker.unblock(), transaction.atomic():
        call_command("people", stdout=StringIO())
        start = now - timedelta(days=months.LENGTH["half_way"])
        with begun(
            now=now, at=start, ledger=folder / "journal", folder=folder, say=lambda _words: None, size=SMALL
        ) as story:

            def reached(stage: str) -> None:
                found[stage] = _seen()

            story.reached = reached
            months.tell(story, "half_way")
            assert_simulated(story)
        yield found
        transaction.set_rollback(True)


def assert_simulated(story: Story) -> None:
    """Every host of the story can be reached in the simulator only."""
    assert all(endpoint_of(host.pk).is_simulated for host in story.hosts.values())


def test_assess_ends_with_an_estate_that_was_read(stages: dict[str, Any]) -> None:
    seen = stages["assess"]
    assert seen["cycles"] == [("monthly", "assess")]
    assert (seen["rfcs"], seen["releases"], seen["updates"]) == ({}, {}, 0)


def test_identify_ends_with_updates_that_matter(stages: dict[str, Any]) -> None:
    seen = stages["identify"]
    assert seen["cycles"] == [("monthly", "identify")]
    assert seen["updates"] > 4
    assert seen["rfcs"] == {}


def test_evaluate_ends_with_a_meeting_before_it(stages: dict[str, Any]) -> None:
    seen = stages["evaluate"]
    assert seen["cycles"] == [("monthly", "evaluate_and_plan")]
    assert seen["rfcs"] == {"awaiting_approval": 2, "rejected": 1}
    assert seen["meetings"] == {"agenda_published": 1}


def test_deploy_ends_with_a_ring_passed_and_one_at_work(stages: dict[str, Any]) -> None:
    seen = stages["deploy"]
    assert seen["cycles"] == [("monthly", "deploy")]
    assert seen["releases"] == {"deploying": 1}
    assert seen["rings"][:2] == ["passed", "running"]


def test_completed_ends_with_the_next_month_in_assess(stages: dict[str, Any]) -> None:
    seen = stages["completed"]
    assert seen["cycles"] == [("monthly", "completed"), ("monthly", "assess")]
    assert seen["rfcs"] == {"closed": 2, "rejected": 1}
    assert seen["releases"] == {"completed": 1}


def test_half_way_has_a_change_in_every_state_that_lasts(stages: dict[str, Any]) -> None:
    seen = stages["half_way"]
    assert set(seen["rfcs"]) == set(RFCState.values) - {"suspended"}
    assert set(seen["releases"]) == {"planning", "ready", "deploying", "completed"}
    assert seen["cycles"] == [("monthly", "completed"), ("monthly", "deploy"), ("emergency", "evaluate_and_plan")]
    assert set(seen["meetings"]) == {"agenda_published", "minuted"}
    assert RFC.objects.filter(kind="emergency", state="authorized").exists()
    assert RFC.objects.get(kind="standard").change_model == ChangeModel.objects.get(state="approved")
    assert FreezeWindow.objects.filter(starts_at__gt=timezone.now()).exists()
    assert set(Exemption.objects.values_list("state", flat=True)) == {"granted", "requested"}
    assert Relation.objects.exists()
    assert ScanRun.objects.filter(state="partial").exists(), "some hosts answer nobody"


def test_half_way_shows_a_rollout_at_work(stages: dict[str, Any]) -> None:
    rollout = Release.objects.get(state="deploying").rollouts.get()
    rings = list(rollout.rings.order_by("position"))
    assert [ring.state for ring in rings] == ["passed", "running", "pending", "pending"]
    now = _states(Job.objects.filter(ring=rings[1]))
    assert now.get("failed"), now
    assert now.get("succeeded"), now
    assert sum(now.values()) > now["failed"] + now["succeeded"], "some are at work or wait"


def test_half_way_shows_files_laid_ready_before_their_window(stages: dict[str, Any]) -> None:
    rollout = Release.objects.get(state="deploying").rollouts.get()
    found = _states(Staging.objects.filter(rollout=rollout))
    assert found.get("staged"), found
    assert Staging.objects.filter(state="staged", job__state="pending", window_at__gt=timezone.now()).exists()


def test_every_simulated_host_says_so(stages: dict[str, Any]) -> None:
    assert all(
        name.startswith("sim-") and fqdn.endswith(".simulated.invalid")
        for name, fqdn in Host.objects.values_list("name", "fqdn")
    )


@pytest.mark.parametrize("name", ["che", "rex", "cora", "sam", "ida"])
def test_no_page_of_its_world_shows_an_error(stages: dict[str, Any], name: str) -> None:
    """From Home along the links, some objects of each kind."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    seen, waiting, count = {"/"}, ["/"], Counter[str]()
    while waiting:
        path = waiting.pop(0)
        answer = client.get(path, follow=True)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        if not answer.get("Content-Type", "").startswith("text/html"):
            continue
        for link in re.findall(r'href="(/[^"#?]*)', answer.content.decode()):
            kind = _kind(link)
            if link not in seen and kind and count[kind] < ENOUGH:
                seen.add(link)
                count[kind] += 1
                waiting.append(link)
    assert len(count) > 8, count


def _kind(path: str) -> str:
    """The name of the address; empty for what is no page of the web UI."""
    try:
        found = resolve(path)
    except Resolver404:
        return ""
    return found.view_name if found.namespace in ("changes", "cmdb", "releases", "reports") else ""


def test_a_second_seeding_says_that_it_is_there(db: None, tmp_path: Path) -> None:
    said = StringIO()
    call_command("seed_demo", stage="assess", hosts=24, ledger=tmp_path / "journal", stdout=said)
    assert "simulated hosts are assess through their month" in said.getvalue()
    hosts, again = Host.objects.count(), StringIO()
    call_command("seed_demo", stdout=again)
    assert again.getvalue() == "demo: it is there already (stage assess).\n"
    assert Host.objects.count() == hosts


def test_it_refuses_where_something_else_is_known(cast: Any) -> None:
    from tests.factories.cmdb import make_host

    make_host("real-01")
    with pytest.raises(CommandError, match="1 hosts here already"):
        call_command("seed_demo")


def test_it_refuses_in_production(db: None, settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="Never in production"):
        call_command("seed_demo")


def test_the_simulator_of_the_process_is_as_before(stages: dict[str, Any]) -> None:
    simulator = registry.executors["simulator"]
    assert abs(simulator.clock() - timezone.now()) < timedelta(minutes=1)
