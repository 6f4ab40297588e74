"""A window is edited while hosts wait for it: they stand still, move to what was signed, or are cancelled, and it is listed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.domain import windows
from cmdb.models import ServiceWindow
from patchflow.kernel.errors import Invalid
from patchflow.kernel.models import AuditEntry
from patchflow.notices.models import Delivery, Notice
from releases.models import WindowChange
from tests.factories.rollouts import Deployment, open_window

pytestmark = pytest.mark.django_db
Make = Callable[..., Deployment]


@pytest.fixture
def waiting(make: Make, now: datetime) -> Deployment:
    """Two hosts that wait for a window of eight hours, which opens an hour from now each week."""
    found = make(hosts=2, window={"starts_local": time(now.hour + 1, now.minute)})
    found.start()
    found.tick()
    assert [(job.state, job.code) for job in found.rollout.jobs.all()] == [("pending", "window")] * 2
    return found


def edit(deployment: Deployment, rule: str, **fields: Any) -> ServiceWindow:
    return windows.revise(
        window_id=deployment.window.pk, queued=rule, actor=deployment.cast.cora, at=deployment.clock.at, **fields
    )


def ahead(deployment: Deployment, rule: str, **fields: Any) -> list[tuple[str, str]]:
    found = windows.look_ahead(
        window_id=deployment.window.pk, queued=rule, actor=deployment.cast.cora, at=deployment.clock.at, **fields
    )
    return [(row.host, row.word) for row in found]


def hosts(deployment: Deployment, word: str) -> list[tuple[str, str]]:
    return [(host.name, word) for host in deployment.hosts]


def test_it_stands_still_unless_something_else_was_chosen(waiting: Deployment, now: datetime) -> None:
    windows.revise(
        window_id=waiting.window.pk, starts_local=time(now.hour + 2), actor=waiting.cast.cora, at=waiting.clock.at
    )
    waiting.tick()
    assert (waiting.rollout.state, "is not what was signed" in waiting.rollout.reason) == ("halted", True)
    assert WindowChange.objects.get().counts == {"halted": 2}


def test_a_moved_host_runs_only_while_the_window_is_open_both_ways(waiting: Deployment, now: datetime) -> None:
    later = (now + timedelta(hours=3)).replace(minute=0, second=0, microsecond=0)
    edit(waiting, "move", starts_local=time(later.hour))
    assert [(job.state, job.not_before) for job in waiting.rollout.jobs.all()] == [("pending", later)] * 2
    assert "was edited by" in waiting.job().statement
    waiting.pass_time(hours=1, minutes=30)  # open as it was signed, not as it is now
    waiting.tick()
    assert (waiting.states(), waiting.rollout.state) == (["pending"] * 2, "running")
    waiting.clock.at = later + timedelta(minutes=1)
    waiting.work()
    assert waiting.states() == ["succeeded"] * 2


def test_a_host_is_never_moved_to_where_nobody_signed(waiting: Deployment) -> None:
    other = (waiting.window.weekday + 3) % 7
    assert ahead(waiting, "move", weekday=other) == hosts(waiting, "cancelled")
    edit(waiting, "move", weekday=other)
    assert waiting.states() == ["cancelled"] * 2
    assert "Nothing that was signed is open" in waiting.job().reason


def test_another_window_that_was_signed_takes_them(make: Make, now: datetime) -> None:
    from releases.models import Manifest
    from tests.factories.rollouts import seal

    found = make(hosts=1, window={"starts_local": time(now.hour + 1)})
    second = open_window(now, weekday=(now.weekday() + 2) % 7)
    document = Manifest.objects.get(pk=found.manifest.pk).document
    document["windows"].append({"window": second.pk, "revision": 1, "name": second.name})
    document["revision"] = 2
    seal(found.release, document, found.cast, now)
    found.start()
    found.tick()
    edit(found, "move", weekday=(now.weekday() + 4) % 7)
    row = WindowChange.objects.get().hosts[0]
    opens = (now + timedelta(days=2) - timedelta(hours=1)).strftime("%Y-%m-%dT%H")
    assert (row["word"], row["becomes"][:13]) == ("moved", opens)


def test_cancel_takes_those_that_no_longer_begin_when_they_did(waiting: Deployment, now: datetime) -> None:
    assert ahead(waiting, "cancel", length_minutes=400) == hosts(waiting, "stays")
    edit(waiting, "cancel", length_minutes=400)
    assert waiting.states() == ["pending"] * 2
    edit(waiting, "cancel", starts_local=time(now.hour + 3))
    assert waiting.states() == ["cancelled"] * 2
    assert [row.counts for row in WindowChange.objects.order_by("pk")] == [{"stays": 2}, {"cancelled": 2}]


def test_a_second_edit_is_measured_by_what_was_signed(waiting: Deployment, now: datetime) -> None:
    """Widening it again gives back what was signed, and not a minute more."""
    edit(waiting, "move", starts_local=time(now.hour + 3))
    edit(waiting, "move", starts_local=time(now.hour), length_minutes=900)
    begin = datetime.combine(now.date(), waiting.window.starts_local, tzinfo=now.tzinfo)
    assert waiting.job().not_before == begin


def test_after_standing_still_a_later_edit_may_let_it_go_on(waiting: Deployment, now: datetime) -> None:
    edit(waiting, "halt", starts_local=time(now.hour + 2))
    waiting.tick()
    assert waiting.rollout.state == "halted"
    edit(waiting, "move", cutoff_minutes=10)
    from releases.domain import rollouts

    rollouts.resume(rollout_id=waiting.rollout.pk, actor=waiting.cast.rex, at=waiting.clock.at)
    waiting.tick()
    assert waiting.rollout.state == "running"


def test_an_ended_window_leaves_nothing(waiting: Deployment) -> None:
    assert ahead(waiting, "move", ends=True) == hosts(waiting, "cancelled")
    windows.retire(
        window_id=waiting.window.pk, reason="Moved house.", queued="move", actor=waiting.cast.cora, at=waiting.clock.at
    )
    assert waiting.states() == ["cancelled"] * 2
    waiting.tick()
    assert "is not what was signed" not in waiting.rollout.reason


def test_a_look_ahead_keeps_nothing(waiting: Deployment) -> None:
    trail = AuditEntry.objects.count()
    assert ahead(waiting, "cancel", weekday=(waiting.window.weekday + 3) % 7) == hosts(waiting, "cancelled")
    waiting.window.refresh_from_db()
    assert (waiting.window.revision, waiting.states()) == (1, ["pending"] * 2)
    assert (WindowChange.objects.count(), AuditEntry.objects.count()) == (0, trail)


def test_the_owner_of_the_deployment_is_told_once(waiting: Deployment, now: datetime) -> None:
    edit(waiting, "move", starts_local=time(now.hour + 3))
    notice = Notice.objects.get(kind="window_edited")
    people = set(Delivery.objects.filter(notice=notice).values_list("user__username", flat=True))
    assert "rex" in people
    assert (notice.facts["moved"], notice.facts["cancelled"]) == (2, 0)
    detail = AuditEntry.objects.get(verb="release.rollout.window_edited").detail
    assert (detail["rule"], detail["hosts"]) == ("move", {"moved": 2})
    assert AuditEntry.objects.get(verb="cmdb.window.revised").detail["queued"] == {"rule": "move", "moved": 2}


def test_hosts_at_work_are_not_touched(make: Make) -> None:
    found = make(hosts=1)
    found.start()
    found.tick()
    assert found.states() == ["claimed"]
    edit(found, "cancel", weekday=(found.window.weekday + 3) % 7)
    assert (found.states(), WindowChange.objects.get().counts) == (["claimed"], {})


def test_an_unknown_rule_is_refused(waiting: Deployment) -> None:
    with pytest.raises(Invalid):
        edit(waiting, "perhaps", length_minutes=400)


def test_an_edit_asks_as_often_for_forty_hosts_as_for_four(make: Make, now: datetime) -> None:
    asked = []
    for number in (4, 40):
        found = make(hosts=number, window={"starts_local": time(now.hour + 1, now.minute)})
        found.start()
        found.tick()
        with CaptureQueriesContext(connection) as queries:
            assert len(ahead(found, "move", starts_local=time(now.hour + 2))) == number
            edit(found, "move", starts_local=time(now.hour + 2))
        asked.append(len(queries))
    assert asked[1] <= asked[0] + 4, asked
