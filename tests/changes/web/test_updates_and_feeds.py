"""Pages of Identify: what they say, what they keep, whom they refuse."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from changes.enums_identify import AppliesVerdict, FeedRunState, Response, UpdateClass
from changes.models import RFC, Advisory, Feed, FeedRun, RFCUpdate, SoftwareUpdate
from changes.queries.coverage import coverage
from changes.queries.updates import undecided
from cmdb.models import Host
from patchflow.web import states
from tests.factories import changes as made
from tests.factories import identify as make
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> datetime:
    return timezone.now() - timedelta(minutes=5)


def page(user: Any) -> Client:
    found = Client()
    found.force_login(user)
    return found


@pytest.fixture
def feed(cast: Cast, at: datetime) -> Feed:
    return make.make_feed(cast.sam, at=at)


@pytest.fixture
def update(feed: Feed, cast: Cast, at: datetime) -> SoftwareUpdate:
    host = make.make_host("web-1", at=at)
    done = make.make_host("web-2", at=at)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=at)
    make.install(done, make.make_version(make.make_platform(), "foo", "1.0-2"), at=at)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")], cves=["CVE-2026-1000"])], actor=cast.sam, at=at)
    return SoftwareUpdate.objects.get()


def test_every_state_has_a_look() -> None:
    assert states.missing("changes.verdict", AppliesVerdict.values) == []
    assert states.missing("changes.updateclass", UpdateClass.values) == []
    assert states.missing("changes.response", Response.values) == []
    assert states.missing("changes.feedrun", FeedRunState.values) == []


def test_update_list_without_anything_says_what_to_do(cast: Cast) -> None:
    text = page(cast.ann).get("/updates/").content.decode()

    assert "No update is known to apply here" in text
    assert "Add a host and a feed first" in text


def test_update_list_shows_what_applies_and_offers_an_rfc(update: SoftwareUpdate, cast: Cast) -> None:
    text = page(cast.ann).get("/updates/").content.decode()

    assert f'name="update" value="{update.pk}"' in text
    assert f"/updates/{update.pk}/" in text
    assert "1 advisories, 2 hosts" in text


def test_update_list_without_right_to_raise_has_no_boxes(update: SoftwareUpdate, cast: Cast) -> None:
    assert 'name="update"' not in page(cast.mia).get("/updates/").content.decode()
    assert f"/updates/{update.pk}/" not in page(cast.eve).get("/updates/").content.decode()


@pytest.mark.parametrize("sort", ["name", "-severity", "class", "-missing", "notified"])
@pytest.mark.parametrize(
    "query",
    ["", "&class=medium", "&cve=CVE-2026-1000", "&exploited=yes", "&missing=yes", "&shown=all", "&platform=debian:12"],
)
def test_update_list_sorts_and_filters(update: SoftwareUpdate, cast: Cast, sort: str, query: str) -> None:
    answer = page(cast.ann).get(f"/updates/?sort={sort}{query}")

    assert answer.status_code == 200
    assert (f"/updates/{update.pk}/" in answer.content.decode()) is (query != "&exploited=yes")


def test_update_list_as_csv(update: SoftwareUpdate, cast: Cast) -> None:
    text = b"".join(page(cast.ann).get("/updates/?format=csv")).decode()  # type: ignore[arg-type]

    assert "foo 1.0-2" in text


def test_update_detail_names_hosts_with_versions_compared(update: SoftwareUpdate, cast: Cast) -> None:
    text = page(cast.ann).get(f"/updates/{update.pk}/").content.decode()

    assert "web-1" in text
    assert '1.0-1</span> <span class="ver"><span class="lt">&lt;</span> 1.0-2' in text
    assert '1.0-2</span> <span class="ver"><span class="ge">≥</span> 1.0-2' in text
    assert "CVE-2026-1000" in text
    assert "Raise an RFC" in text


def test_what_is_known_is_not_called_good_while_a_feed_is_held(
    update: SoftwareUpdate, feed: Feed, cast: Cast, at: datetime
) -> None:
    said = "is held until a person decides"
    for where in (f"/updates/{update.pk}/", "/feeds/"):
        assert said not in page(cast.ann).get(where).content.decode()
    FeedRun.objects.create(feed=feed, state="held", requested_by=cast.sam, requested_at=at)
    for where in (f"/updates/{update.pk}/", "/feeds/"):
        shown = page(cast.ann).get(where)
        assert said in shown.content.decode()
        assert [one.css for one in shown.context["coverage"]] == ["st-warn"]
    host = page(cast.ann).get(reverse("cmdb:host-detail", args=[Host.objects.get(name="web-2").pk])).content.decode()
    panel = host[host.index('id="h-host-updates"') :].partition("</section>")[0]
    assert said in panel
    assert "st-warn" in panel
    assert "st-good" not in panel


def test_a_held_feed_is_named_although_another_is_fresh(
    update: SoftwareUpdate, feed: Feed, cast: Cast, at: datetime
) -> None:
    feed.refresh_from_db()
    make.make_feed(cast.sam, at=at, name="Mirror")
    Feed.objects.filter(name="Mirror").update(covers=feed.covers, last_good_at=at)
    Feed.objects.filter(pk=feed.pk).update(last_good_at=at - timedelta(days=90))
    FeedRun.objects.create(feed=feed, state="held", requested_by=cast.sam, requested_at=at)
    (line,) = [one for one in coverage(at=at) if one.feeds]
    assert (line.fresh, line.feeds, line.held) == (True, ("Mirror",), (feed.name,))


def test_of_many_notices_all_are_counted(update: SoftwareUpdate, cast: Cast) -> None:
    first = update.advisories.get()
    for n in range(11):
        more = Advisory.objects.get(pk=first.pk)
        more.pk, more.advisory_id = None, f"DSA-9-{n}"
        more.save(force_insert=True)
        update.announced_by.create(advisory=more)
    assert "11 more notices name it" in page(cast.ann).get(f"/updates/{update.pk}/").content.decode()


def test_what_an_update_is_about_stands_before_its_hosts_in_short(update: SoftwareUpdate, cast: Cast) -> None:
    long = " ".join(f"word{n}" for n in range(80))
    first = update.advisories.get()
    Advisory.objects.filter(pk=first.pk).update(text=long)
    text = page(cast.ann).get(f"/updates/{update.pk}/").content.decode()
    assert text.index(f'id="h-adv-{first.pk}"') < text.index('id="h-hosts"')
    short, whole = text.split("The whole notice, its source and references")
    assert "word49 …" in short
    assert "word79" not in short
    assert "word79" in whole
    assert "more notice" not in text


def test_update_detail_filter_shows_the_rows_that_the_figure_counts(update: SoftwareUpdate, cast: Cast) -> None:
    text = page(cast.ann).get(f"/updates/{update.pk}/?verdict=fixed").content.decode()

    assert "web-2" in text
    assert "web-1" not in text


def test_update_detail_for_somebody_without_role_is_not_there(update: SoftwareUpdate, cast: Cast) -> None:
    assert page(cast.eve).get(f"/updates/{update.pk}/").status_code == 404
    assert page(cast.eve).get(f"/updates/{update.pk}/hosts.csv").status_code == 404


def test_update_respond_keeps_what_was_typed(update: SoftwareUpdate, cast: Cast) -> None:
    sent = {"response": "decline", "reason": "The host is <gone> soon."}

    answer = page(cast.che).post(f"/updates/{update.pk}/respond/", sent)

    text = answer.content.decode()
    assert answer.status_code == 400
    assert "Name the day on which this is looked at again." in text
    assert "The host is &lt;gone&gt; soon." in text
    assert SoftwareUpdate.objects.get().response == "undecided"


def test_update_respond_decides(update: SoftwareUpdate, cast: Cast) -> None:
    answer = page(cast.che).post(
        f"/updates/{update.pk}/respond/", {"response": "deploy", "reason": "Exposed."}, follow=True
    )

    assert "“Exposed.”" in answer.content.decode()
    assert SoftwareUpdate.objects.get().response == "deploy"


def test_update_respond_without_right_is_refused_with_reason(update: SoftwareUpdate, cast: Cast) -> None:
    answer = page(cast.ann).post(f"/updates/{update.pk}/respond/", {"response": "deploy", "reason": "Exposed."})

    assert answer.status_code == 400
    assert "This needs the role" in answer.content.decode()


def test_update_classify_by_form(update: SoftwareUpdate, cast: Cast, at: datetime) -> None:
    page(cast.sam).post(f"/updates/{update.pk}/classify/", {"update_class": "high", "reason": "Exposed."})

    assert SoftwareUpdate.objects.get().start_by == at + timedelta(days=7)


def test_update_hosts_as_file(update: SoftwareUpdate, cast: Cast) -> None:
    text = b"".join(page(cast.ann).get(f"/updates/{update.pk}/hosts.csv")).decode()  # type: ignore[arg-type]

    assert "web-1,missing,foo,1.0-1,1.0-2" in text
    assert "web-2,fixed,foo,1.0-2,1.0-2" in text


def test_feed_pages_from_nothing_to_a_poll(cast: Cast) -> None:
    sam = page(cast.sam)
    assert "No feed yet" in sam.get("/feeds/").content.decode()
    wrong = sam.post(
        "/feeds/add/",
        {
            "name": "alma",
            "kind": "osv",
            "location_kind": "url",
            "location": "/srv",
            "every_minutes": 60,
            "stale_after_minutes": 60,
        },
    )
    assert wrong.status_code == 400
    assert "A web address begins with" in wrong.content.decode()

    sam.post(
        "/feeds/add/",
        {
            "name": "alma",
            "kind": "osv",
            "location_kind": "folder",
            "location": "/srv",
            "every_minutes": 60,
            "stale_after_minutes": 60,
        },
    )
    feed = Feed.objects.get()
    answer = sam.post(f"/feeds/{feed.pk}/poll/", follow=True)

    assert "A poll is under way." in answer.content.decode()
    assert feed.runs.get().state == FeedRunState.QUEUED
    assert "alma" in sam.get("/feeds/").content.decode()


def test_feed_page_held_offers_the_decision(feed: Feed, cast: Cast, at: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(4)]
    make.poll(feed, several, actor=cast.sam, at=at)
    run = make.poll(feed, several[:1], actor=cast.sam, at=at)
    for n in range(20):  # polls that were asked for before it, and written down later
        FeedRun.objects.create(
            feed=feed, state="completed", requested_by=cast.sam, requested_at=at - timedelta(hours=n + 1)
        )
    sam = page(cast.sam)

    assert "A person must decide" in sam.get(f"/feeds/{feed.pk}/").content.decode()
    assert (
        "advisories that the source no longer lists" in sam.get(f"/feeds/runs/{run.pk}/accept-loss/").content.decode()
    )
    sam.post(f"/feeds/runs/{run.pk}/accept-loss/", {"reason": "They moved."})

    assert feed.runs.get(pk=run.pk).state == FeedRunState.COMPLETED


def test_a_held_feed_says_which_advisories_it_would_lose(feed: Feed, cast: Cast, at: datetime) -> None:
    """The first by name with their updates where the decision is asked, all of them in the list; decided, none."""
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(9)]
    make.poll(feed, several, actor=cast.sam, at=at)
    run = make.poll(feed, several[:1], actor=cast.sam, at=at)
    sam, place = page(cast.sam), f"/feeds/runs/{run.pk}/lost/"

    shown = sam.get(f"/feeds/{feed.pk}/").content.decode()
    assert "What it would lose" in shown
    assert f'<a href="{place}">See all 8 advisories that its source no longer lists</a>' in shown
    assert [f"package{n} 2" in shown for n in range(9)] == [False, *[True] * 5, *[False] * 3]
    for verb in ("accept", "refuse"):
        asked = sam.get(f"/feeds/runs/{run.pk}/{verb}-loss/").content.decode()
        assert "No longer listed: DSA-1-1 (package1 2); DSA-2-1 (package2 2);" in asked
        assert f'; and 3 more. <a href="{place}">See all</a>' in asked
    whole = sam.get(place).content.decode()
    assert [f"package{n} 2" in whole for n in range(9)] == [False, *[True] * 8]
    assert page(cast.eve).get(place).status_code == 404
    sam.post(f"/feeds/runs/{run.pk}/refuse-loss/", {"reason": "The mirror is broken."})
    assert "Nothing is waiting for a decision here" in sam.get(place).content.decode()
    assert "What it would lose" not in sam.get(f"/feeds/{feed.pk}/").content.decode()


def test_the_list_of_lost_advisories_asks_as_often_for_many(feed: Feed, cast: Cast, at: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(30)]
    make.poll(feed, several, actor=cast.sam, at=at)
    run = make.poll(feed, several[:1], actor=cast.sam, at=at)
    sam, counts = page(cast.sam), []
    for asked in ("", "?advisory=DSA-2-1"):
        with CaptureQueriesContext(connection) as seen:
            assert sam.get(f"/feeds/runs/{run.pk}/lost/{asked}").status_code == 200
        counts.append(len(seen))
    assert counts[0] <= counts[1] + 2, counts  # what is asked once a session


def test_feed_pages_for_somebody_without_role(feed: Feed, cast: Cast) -> None:
    eve = page(cast.eve)

    assert eve.get(f"/feeds/{feed.pk}/").status_code == 404
    assert eve.post(f"/feeds/{feed.pk}/poll/").status_code == 404
    assert page(cast.ann).post(f"/feeds/{feed.pk}/poll/").status_code == 403


def test_host_page_shows_what_is_missing(update: SoftwareUpdate, cast: Cast) -> None:
    host = make.Host.objects.get(name="web-1")

    text = page(cast.ann).get(f"/estate/{host.pk}/", follow=True).content.decode()

    assert f"/updates/{update.pk}/" in text


def test_a_list_marks_a_target_that_was_missed_and_none_that_was_met_or_declined(
    update: SoftwareUpdate, cast: Cast, at: datetime
) -> None:
    def told() -> bool:
        return "missed: " in page(cast.ann).get("/updates/?shown=all").content.decode()

    assert not told()
    SoftwareUpdate.objects.update(start_by=timezone.now() - timedelta(hours=1))
    assert told()
    rfc = made.submitted(made.make_world(cast, at))
    name = {"distribution": "debian", "release": "12", "name": "foo", "fixed_version": "1.0-2"}
    RFCUpdate.objects.create(rfc=rfc, update=update, added_at=at, **name)
    RFC.objects.filter(pk=rfc.pk).update(clock_stopped_at=timezone.now() - timedelta(hours=2))
    assert not told(), "production began in time"
    RFC.objects.filter(pk=rfc.pk).update(clock_stopped_at=None)
    assert told()
    SoftwareUpdate.objects.update(response="decline")
    assert not told()


def test_an_update_that_a_change_has_carried_out_and_hosts_still_miss_can_be_raised_again(
    cast: Cast, at: datetime
) -> None:
    world = made.make_world(cast, at)
    under_way = made.implementing(world)
    where = f"/updates/{world.update.pk}/"
    barred = page(cast.ann).get(where).text
    assert f"{under_way.number} already carries this update." in barred
    RFC.objects.filter(pk=under_way.pk).update(state="in_review", outcome="stopped")
    stopped = page(cast.ann).get(where).text
    assert "has carried it out" not in stopped, "it was stopped before any host"
    assert "already carries this update" not in stopped
    assert "nobody has decided yet" in stopped
    RFC.objects.filter(pk=under_way.pk).update(outcome="partial")

    text = page(cast.ann).get(where).text

    assert f"{under_way.number} has carried it out, and it is still missing on 3 hosts." in text
    assert "already carries this update" not in text
    assert f"?update={world.update.pk}" in text
    assert f"Open {under_way.number}" in text
    RFCUpdate.objects.update(removed_at=at)
    assert under_way.number not in page(cast.ann).get(where).text, "it was taken out of that change"


def test_an_update_of_a_change_in_review_is_undecided_by_every_door(cast: Cast, at: datetime) -> None:
    world = made.make_world(cast, at)
    made.implementing(world)
    SoftwareUpdate.objects.update(notified_at=at, reach=3)
    listed = f'href="/updates/{world.update.pk}/"'
    assert listed not in page(cast.ann).get("/updates/?response=undecided").text
    assert not undecided(cast.ann)
    RFC.objects.update(state="in_review", outcome="full")
    assert listed in page(cast.ann).get("/updates/?response=undecided").text
    assert listed not in page(cast.ann).get("/updates/?response=carried").text
    assert list(undecided(cast.ann)) == [world.update]
