"""The cockpit of a cycle: the month on one page, the same over REST, and nothing that the reader may not see."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from changes.domain import cycles, responses
from changes.models import RFC, Advisory, Cycle, Feed, FeedRun, SoftwareUpdate
from changes.queries.findings import over_time
from changes.queries.notice import ClockState, notice_of
from cmdb.models import Host, Installation, ScanResult, ScanRun
from cmdb.queries.scans import coverage_at
from patchflow.kernel.models import User
from patchflow.reports.queries.cockpit import POINTS, Cockpit, cockpit_of, moments_of
from patchflow.reports.web.cockpit import TURNS
from releases.domain import rollbacks
from releases.models import Job, PostImplementationReview, Release, ReleaseRFC
from tests.factories import changes as made
from tests.factories.people import Cast, make_user
from tests.factories.rollouts import Deployment, make_deployment

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _real_urls(settings: Any, now: datetime) -> Iterator[None]:
    settings.ROOT_URLCONF = "patchflow.urls"
    with time_machine.travel(now, tick=False):
        yield


def page(cycle: Cycle, user: User) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get(cycle.get_absolute_url())
    assert answer.status_code == 200
    return answer.content.decode()


def told(cast: Cast, at: datetime, *updates: SoftwareUpdate) -> Cycle:
    """A cycle that was opened a week ago and is told of these updates."""
    cycle = cycles.open_cycle(kind="monthly", actor=cast.che, at=at - 7 * DAY)
    cycles.notified(update_ids=[update.pk for update in updates], actor=cast.bot, at=at)
    return cycle


def scanned(host: Host, at: datetime, state: str = "scanned") -> None:
    run = ScanRun.objects.create(
        state="completed", scanner="ssh", requested_by=User.bot(), requested_at=at, started_at=at, ended_at=at
    )
    ScanResult.objects.create(scan_run=run, host=host, state=state, ended_at=at)


def cockpit(cycle: Cycle, user: User, at: datetime) -> Cockpit:
    return cockpit_of(Cycle.objects.get(pk=cycle.pk), user, at=at)


# --- curves ---------------------------------------------------------------------------------------------------------------
def test_a_curve_has_a_point_a_day_in_a_month_and_never_too_many(now: datetime) -> None:
    hour = timedelta(hours=1)
    assert moments_of(now, now) == [now]
    assert moments_of(now, now + hour / 2) == [now, now + hour / 2]
    assert moments_of(now, now + 2 * hour) == [now, now + hour, now + 2 * hour]
    for days, step in (
        (1, hour),
        (2, 3 * hour),
        (7, 6 * hour),
        (20, DAY),
        (30, DAY),
        (31, DAY),
        (32, 2 * DAY),
        (400, 13 * DAY),
    ):
        found = moments_of(now, now + days * DAY)
        assert (found[0], found[-1]) == (now, now + days * DAY)
        assert found[1] - found[0] == step
        assert len(found) <= POINTS
        assert found == sorted(set(found))


def test_coverage_counts_hosts_of_that_day_with_a_scan_that_was_current_then(cast: Cast, now: datetime) -> None:
    old, late, part, gone = (made.make_host(name, at=now - 9 * DAY) for name in ("old", "late", "part", "gone"))
    Host.objects.filter(pk=late.pk).update(added_at=now - DAY)
    Host.objects.filter(pk=gone.pk).update(retired_at=now - 3 * DAY)
    for days in (8, 7, 3, 2):
        scanned(old, now - days * DAY)
    scanned(gone, now - 8 * DAY)
    scanned(part, now - DAY, "partial")
    scanned(late, now - timedelta(hours=1), "failed")
    moments = [now - 7 * DAY, now - 5 * DAY, now - 2 * DAY, now]
    found = coverage_at(moments, cast.che, current=2 * DAY)
    assert [(one.hosts, one.whole, one.partly) for one in found] == [(3, 2, 0), (3, 0, 0), (2, 1, 0), (3, 0, 1)]
    near = make_user("near", "reader", scope=made.make_group("elsewhere", at=now).scope_key)
    assert [(one.hosts, one.whole) for one in coverage_at(moments, near, current=2 * DAY)] == [(0, 0)] * 4
    assert coverage_at([], cast.che, current=2 * DAY) == []


def test_the_updates_of_the_cycle_reach_the_hosts_over_time(cast: Cast, now: datetime) -> None:
    hosts = [made.make_host(at=now - 9 * DAY) for _ in range(3)]
    update = made.make_update(at=now - 6 * DAY, hosts=hosts)
    rows = Installation.objects.filter(package_version__name=update.name).order_by("host_id")
    first, second, _third = rows
    Installation.objects.filter(pk=first.pk).update(gone_seen_at=now - 4 * DAY)
    Installation.objects.filter(pk=second.pk).update(gone_seen_at=now - 1 * DAY)
    moments = [now - n * DAY for n in (7, 5, 3, 0)]
    found = over_time([update.pk], moments, actor=cast.che)
    assert [(one.pairs, one.fixed) for one in found] == [(0, 0), (3, 0), (3, 1), (3, 2)]
    update.fixes.update(is_kernel=True)  # what runs decides, and that is not kept
    assert [one.pairs for one in over_time([update.pk], moments, actor=cast.che)] == [0, 0, 0, 0]
    update.fixes.update(is_kernel=False)
    near = make_user("near", "reader", scope=made.make_group("elsewhere", at=now).scope_key)
    assert [one.pairs for one in over_time([update.pk], moments, actor=near)] == [0, 0, 0, 0]
    made.make_host("mine", at=now, group="elsewhere")
    made.miss(update, [Host.objects.get(name="mine")], at=now)
    assert [one.pairs for one in over_time([update.pk], moments, actor=near)] == [0, 0, 0, 1]
    assert [one.pairs for one in over_time([], moments)] == [0, 0, 0, 0]


# --- clocks ---------------------------------------------------------------------------------------------------------------
def clock(update: SoftwareUpdate, cycle: Cycle, cast: Cast, at: datetime) -> ClockState:
    (found,) = [one for one in notice_of(cycle, cast.che, at=at).updates if one.update.pk == update.pk]
    return found.clock


def test_a_clock_runs_comes_near_is_missed_and_is_met_when_production_starts(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    update = world.update
    cycle = told(cast, now, update)
    SoftwareUpdate.objects.filter(pk=update.pk).update(start_by=now + 8 * DAY, reach=3)
    assert clock(update, cycle, cast, now + 5 * DAY) == "running"
    assert clock(update, cycle, cast, now + 7 * DAY) == "near"
    assert clock(update, cycle, cast, now + 8 * DAY) == "missed"
    rfc = made.implementing(world)
    rfc.clock_stopped_at = now + 2 * DAY
    rfc.save()
    assert clock(update, cycle, cast, now + 9 * DAY) == "met"
    rfc.clock_stopped_at = now + 9 * DAY
    rfc.save()
    assert clock(update, cycle, cast, now + 9 * DAY) == "late"
    SoftwareUpdate.objects.filter(pk=update.pk).update(start_by=None)
    assert clock(update, cycle, cast, now) == "none"


def test_what_is_declined_misses_no_date(cast: Cast, now: datetime) -> None:
    update = made.make_update(at=now, hosts=[made.make_host(at=now)])
    cycle = told(cast, now, update)
    SoftwareUpdate.objects.filter(pk=update.pk).update(start_by=now - DAY)
    assert clock(update, cycle, cast, now) == "missed"
    responses.respond(
        update_id=update.pk, response="decline", reason="It is not used.", revisit_on=(now + 30 * DAY).date(),
        actor=cast.sam, at=now,
    )  # fmt: skip
    assert clock(update, cycle, cast, now) == "declined"


def test_what_a_change_carries_is_not_called_undecided(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    cycle = told(cast, now, world.update)
    assert notice_of(cycle, cast.che, at=now).responses == {"undecided": 1}
    rfc = made.submitted(world)
    assert notice_of(cycle, cast.che, at=now).responses == {"carried": 1}
    RFC.objects.filter(pk=rfc.pk).update(state="cancelled")
    assert notice_of(cycle, cast.che, at=now).responses == {"undecided": 1}


def test_the_head_of_a_cycle_counts_the_start_by_dates_that_were_missed(cast: Cast, now: datetime) -> None:
    world = made.make_world(cast, now)
    cycle = told(cast, now, world.update)
    SoftwareUpdate.objects.update(start_by=now - DAY, reach=3)
    with time_machine.travel(now, tick=False):
        assert "1 start-by date missed" in page(cycle, cast.che)
        SoftwareUpdate.objects.update(reach=0)
        assert "start-by date missed" not in page(cycle, cast.che), "no host misses it any more"
        SoftwareUpdate.objects.update(reach=3, response="decline")
        assert "start-by date missed" not in page(cycle, cast.che)
        SoftwareUpdate.objects.update(response="undecided")
        rfc = made.submitted(world)
        RFC.objects.filter(pk=rfc.pk).update(clock_stopped_at=now)
        assert "start-by date missed" not in page(cycle, cast.che), "it was begun"
        RFC.objects.filter(pk=rfc.pk).update(clock_stopped_at=None)
        assert "1 start-by date missed" in page(cycle, cast.che)
        SoftwareUpdate.objects.update(start_by=now + DAY)
        assert "start-by date missed" not in page(cycle, cast.che)


def test_the_clock_since_the_release_of_the_vendor(cast: Cast, now: datetime) -> None:
    host = made.make_host(at=now)
    early, late, undated = (made.make_update(name, at=now, hosts=[host]) for name in ("aa", "bb", "cc"))
    for update, hours in ((early, 30), (late, 4)):
        advisory = Advisory.objects.get(fixes__update=update)
        advisory.published_at = now - timedelta(hours=hours)
        advisory.save()
        update.announced_by.create(advisory=advisory)
    notice = notice_of(told(cast, now, early, late, undated), cast.che, at=now)
    assert notice.released_at == now - timedelta(hours=30)
    assert notice.took == timedelta(hours=4)
    assert {one.update.name: one.took for one in notice.updates}["cc"] is None


# --- the whole ------------------------------------------------------------------------------------------------------------
def test_an_empty_cycle_says_what_will_stand_there(cast: Cast, now: datetime) -> None:
    cycle = cycles.open_cycle(kind="monthly", actor=cast.che, at=now)
    shown = page(cycle, cast.che)
    for said in (
        "Nothing was notified in this cycle", "No feed is in use", "No host of yours", "Nothing is missed",
        "No change of this cycle has been put to the vote", "No release yet",
    ):  # fmt: skip
        assert said in shown, said


@pytest.fixture
def month(cast: Cast, now: datetime, tmp_path: Path) -> Deployment:
    """A cycle with a feed, scans, a decided change and a rollout of two rings, its first ring done."""
    d = make_deployment(cast, now, tmp_path, hosts=3, rings=[{"hosts": 1}, {"hosts": 2}])
    feed = Feed.objects.get(name="made")
    for hours, state in ((30, "completed"), (20, "failed"), (1, "completed")):
        FeedRun.objects.create(
            feed=feed, state=state, requested_by=cast.bot, requested_at=d.clock.at - timedelta(hours=hours)
        )
    Feed.objects.filter(pk=feed.pk).update(last_good_at=d.clock.at - timedelta(hours=1))
    Cycle.objects.filter(pk=d.rfc.cycle_id).update(opened_at=d.clock.at - 3 * DAY)
    for host in d.hosts:
        scanned(host, d.clock.at - DAY)
    d.start()
    return d


def test_a_month_under_way_stands_on_one_page(month: Deployment) -> None:
    d, cycle = month, month.rfc.cycle
    with time_machine.travel(d.clock.at, tick=False):
        found = cockpit(cycle, d.cast.che, d.clock.at)
        shown = page(cycle, d.cast.che)
    assert found.feeds is not None
    assert found.coverage is not None
    assert found.turns is not None
    assert found.decisions is not None
    assert [(one.standing, one.runs) for one in found.feeds] == [("fresh", {"completed": 2, "failed": 1})]
    assert (found.coverage[-1].hosts, found.coverage[-1].whole) == (Host.objects.live().count(), 3)
    assert [(ring.hosts, ring.waiting) for ring in found.turns[0].rings] == [(1, 1), (2, 2)]
    for said in (
        d.release.number, d.rollout.number, "Scan coverage", "As a table", "polls in this cycle: 2 completed, 1 failed",
        *(ring.name for ring in d.rollout.rings.all()),
    ):  # fmt: skip
        assert said in shown, said
    assert "<svg" in shown


def test_the_same_over_rest(month: Deployment) -> None:
    d, api = month, APIClient()
    api.force_authenticate(d.cast.che)
    with time_machine.travel(d.clock.at, tick=False):
        answer = api.get(f"/api/v1/cycles/{d.rfc.cycle_id}/cockpit/")
    assert answer.status_code == 200
    found = answer.json()
    assert [feed["runs"] for feed in found["feeds"]] == [{"completed": 2, "failed": 1}]
    assert found["coverage"][-1]["whole"] == 3
    (turn,) = found["releases"]
    assert (turn["release"], turn["rollout"], turn["review_owed"]) == (d.release.number, d.rollout.number, False)
    assert [ring["hosts"] for ring in turn["rings"]] == [1, 2]
    assert found["decisions"]["changes"] == {d.rfc.state: 1}
    api.force_authenticate(d.cast.eve)
    assert api.get(f"/api/v1/cycles/{d.rfc.cycle_id}/cockpit/").status_code == 404


def test_what_was_taken_back_is_not_done(month: Deployment) -> None:
    d, cycle, cal = month, month.rfc.cycle, month.cast.che
    for job in Job.objects.filter(rollout=d.rollout):
        Job.objects.filter(pk=job.pk).update(state="succeeded")
    back = rollbacks.roll_back(release_id=d.release.pk, reason="Slow.", actor=d.cast.rex, at=d.clock.at)

    def standing() -> list[tuple[int, int, int, int]]:
        (turn,) = cockpit(cycle, cal, d.clock.at).turns or ()
        return [(ring.good, ring.bad, ring.taken_back, ring.waiting) for ring in turn.rings]

    assert standing() == [(0, 0, 0, 1), (0, 0, 0, 2)]
    first, second, third = (
        Job.objects.filter(rollout=back).order_by("ring__position", "pk").values_list("pk", flat=True)
    )
    for pk, state in ((first, "succeeded"), (second, "failed"), (third, "cancelled")):
        Job.objects.filter(pk=pk).update(state=state)
    assert standing() == [(0, 0, 1, 0), (1, 1, 0, 0)]
    assert "taken back 1" in page(cycle, cal)


def test_a_month_of_many_releases_shows_the_newest_and_leads_to_all(month: Deployment) -> None:
    d = month
    same = {
        "kind": "normal",
        "executor": "simulator",
        "composed_by": d.cast.rex,
        "composed_at": d.clock.at,
        "state_at": d.clock.at,
    }
    for n in range(TURNS + 1):
        release = Release.objects.create(number=f"REL-2026-9{n:04d}", title=f"More {n}", **same)
        ReleaseRFC.objects.create(release=release, rfc=d.rfc, digest="", joined_at=d.clock.at, left_at=d.clock.at)
    shown = page(d.rfc.cycle, d.cast.che).partition('id="h-rings"')[2].partition("</section>")[0]
    link = f"{reverse('releases:release-list')}?cycle={d.rfc.cycle_id}"
    assert f'<a href="{link}">all {TURNS + 2} releases</a>' in shown
    assert (d.release.number in shown, shown.count("More ")) == (False, TURNS)
    client = Client()
    client.force_login(d.cast.che)
    assert client.get(link).context["listing"].queryset.count() == TURNS + 2
    newer = {"kind": "emergency", "state": "completed", "state_at": d.clock.at, "opened_at": d.clock.at}
    Cycle.objects.bulk_create([Cycle(name=f"Newer {n}", **newer) for n in range(60)])
    for name in ("releases:release-list", "changes:rfc-list", "changes:update-list"):
        listing = client.get(f"{reverse(name)}?cycle={d.rfc.cycle_id}").context["listing"]
        assert listing.problems == [], "an old cycle is offered where it is asked for"
        assert client.get(f"{reverse(name)}?cycle=9{'0' * 30}").context["listing"].problems != []
    Release.objects.get(number="REL-2026-90000").links.all().delete()
    assert d.release.number in page(d.rfc.cycle, d.cast.che), "never one more behind a link"
    assert client.get(link).context["listing"].queryset.count() == TURNS + 1


def test_a_review_is_owed_until_it_is_completed(month: Deployment) -> None:
    d = month
    Release.objects.filter(pk=d.release.pk).update(state="deployed", outcome="full")
    assert [turn.release.pk for turn in cockpit(d.rfc.cycle, d.cast.che, d.clock.at).owed] == [d.release.pk]
    assert "its review is owed" in page(d.rfc.cycle, d.cast.che)
    review = PostImplementationReview.objects.create(
        release=d.release, name="Review", state="open", opened_at=d.clock.at
    )
    assert f"Review of {d.release.number}: owed" in page(d.rfc.cycle, d.cast.che)
    Release.objects.filter(pk=d.release.pk).update(state="completed")
    PostImplementationReview.objects.filter(pk=review.pk).update(state="completed", completed_at=d.clock.at)
    assert cockpit(d.rfc.cycle, d.cast.che, d.clock.at).owed == []
    assert f"Review of {d.release.number}: completed" in page(d.rfc.cycle, d.cast.che)


def test_what_the_reader_may_not_see_is_not_counted(month: Deployment) -> None:
    d = month
    update = d.world.update
    cycles.notified(update_ids=[update.pk], actor=d.cast.bot, at=d.clock.at)
    group = made.make_group("mine", at=d.clock.at)
    mine = d.hosts[2]
    for host in d.hosts:
        d.release.planned_hosts.create(host=host)
    mine.memberships.create(group=group, since_at=d.clock.at)
    part = make_user("part", "reader", scope=group.scope_key)
    other = make_user("other", "reader", scope=made.make_group("nobody", at=d.clock.at).scope_key)
    found = cockpit(d.rfc.cycle, part, d.clock.at)
    assert found.coverage is not None
    assert found.turns is not None
    assert (found.coverage[-1].hosts, found.coverage[-1].whole) == (1, 1)
    assert [ring.hosts for ring in found.turns[0].rings] == [0, 1]
    nothing = cockpit(d.rfc.cycle, other, d.clock.at)
    assert nothing.notice is not None
    assert nothing.decisions is not None
    assert nothing.coverage is not None
    assert (nothing.turns, nothing.decisions.changes, list(nothing.notice.updates)) == ([], {}, [])
    assert {one.hosts for one in nothing.coverage} == {0}
    shown = page(d.rfc.cycle, other)
    shown = shown.partition('id="cockpit"')[2].partition('id="h-events"')[0]
    assert "Scan coverage" in shown
    assert d.release.number not in shown
    assert d.rfc.number not in shown
    assert update.fixed_version not in shown


def test_a_month_with_much_asks_no_more_than_one_with_little(cast: Cast, now: datetime, tmp_path: Path) -> None:
    def asked(cycle: Cycle, user: User) -> int:
        page(cycle, user)
        with CaptureQueriesContext(connection) as queries:
            page(cycle, user)
        return len(queries)

    d = make_deployment(cast, now, tmp_path, hosts=2, rings=[{"hosts": 1}, {"hosts": 1}])
    cycle = d.rfc.cycle
    cycles.notified(update_ids=[d.world.update.pk], actor=cast.bot, at=now)
    part = make_user("part", "reader", scope=made.make_group("all", at=now).scope_key)

    def grow(n: int) -> None:
        world = made.make_world(cast, now, source=f"source{n}")
        cycles.notified(update_ids=[world.update.pk], actor=cast.bot, at=now)
        rfc = made.awaiting(world)
        rfc.cycle = cycle
        rfc.save()
        Feed.objects.create(name=f"more-{n}", kind="osv", location_kind="file", location="x", created_at=now)
        for host in world.hosts:
            scanned(host, now)
        release = Release.objects.create(
            number=f"REL-2026-9{n:04d}", title="More", kind="normal", state="planning", executor="simulator", composed_by=cast.rex,
            composed_at=now, state_at=now,
        )  # fmt: skip
        release.links.create(rfc=rfc, digest="0" * 64, joined_at=now)
        release.planned_hosts.create(host=world.hosts[0], ring=release.planned_rings.create(number=0, name="All"))

    grow(0)
    few = {user: asked(cycle, user) for user in (cast.che, part)}
    for n in range(1, 4):
        grow(n)
    assert {user: asked(cycle, user) for user in (cast.che, part)} == few


def test_the_list_of_updates_opens_what_the_cycle_was_told(cast: Cast, now: datetime) -> None:
    host = made.make_host(at=now)
    mine, other = made.make_update("aaa", at=now, hosts=[host]), made.make_update("bbb", at=now, hosts=[host])
    cycle = told(cast, now, mine)
    client = Client()
    client.force_login(cast.che)
    shown = client.get(f"/updates/?cycle={cycle.pk}&shown=all").content.decode()
    assert mine.name in shown
    assert f">{other.name}<" not in shown
