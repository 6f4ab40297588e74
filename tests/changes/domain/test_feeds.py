"""One advisory from a feed to the host that misses it; repeats, losses, quarantine."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import applicability, feeds, polls
from changes.enums_identify import AdvisoryStatus, FeedRunState
from changes.feeds.base import FeedError
from changes.models import (
    Advisory,
    EvaluationOrder,
    Feed,
    FeedRun,
    Fix,
    QuarantinedDocument,
    Revision,
    SoftwareUpdate,
    VersionFix,
)
from changes.queries.applicability import hosts_concerned, hosts_missing, updates_missing_on
from changes.queries.feeds import losing
from patchflow.kernel.audit import history
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import User
from tests.factories import identify as make
from tests.factories.people import Cast
from tests.fakes.feeds import FakeFeed

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed(cast: Cast, now: datetime) -> Feed:
    return make.make_feed(cast.sam, at=now)


def test_poll_one_advisory_names_the_host_that_misses_it_and_why(feed: Feed, cast: Cast, now: datetime) -> None:
    old, new = make.make_host("web-1", at=now), make.make_host("web-2", at=now)
    platform = make.make_platform()
    libssl = make.make_version(platform, "libssl3", "3.0.11-1", source=("openssl", "3.0.11-1"))
    fixed = make.make_version(platform, "libssl3", "3.0.13-1", source=("openssl", "3.0.13-1"))
    make.install(old, libssl, at=now)
    make.install(new, fixed, at=now)

    run = make.poll(feed, [make.record("DSA-1-1", [("openssl", "3.0.12-1")])], actor=cast.sam, at=now)

    assert (run.state, run.new, run.documents) == (FeedRunState.COMPLETED, 1, 1)
    update = SoftwareUpdate.objects.get()
    assert (update.distribution, update.release, update.name) == ("debian", "12", "openssl")
    [host] = hosts_missing(update.pk)
    assert (host.host_name, host.package, host.installed_version, host.fixed_version) == (
        "web-1",
        "libssl3",
        "3.0.11-1",
        "3.0.12-1",
    )
    assert (host.verdict, host.basis) == ("applicable", "below")
    assert [row.update for row in updates_missing_on(old.pk)] == [update]
    assert updates_missing_on(new.pk) == []


def test_poll_relevant_update_is_notified_once_and_its_clock_starts(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "bash", "5.2-1"), at=now)
    documents = [
        make.record("DSA-1-1", [("bash", "5.2-2")], summary="Important: bash security update"),
        make.record("DSA-2-1", [("zsh", "5.9-5")]),
    ]

    make.poll(feed, documents, actor=cast.sam, at=now)
    make.poll(feed, documents, actor=cast.sam, at=now + timedelta(hours=1))

    relevant, irrelevant = SoftwareUpdate.objects.order_by("name")
    assert (relevant.update_class, relevant.notified_at) == ("high", now)
    assert relevant.start_by == now + timedelta(days=7)
    assert irrelevant.notified_at is None
    assert [entry.verb for entry in history(relevant)] == ["change.update.notified"]
    assert relevant.reach == 1


def test_poll_again_unchanged_changes_nothing(feed: Feed, cast: Cast, now: datetime) -> None:
    documents = [make.record("DSA-1-1", [("bash", "5.2-2")], cves=["CVE-2026-1000"])]
    make.poll(feed, documents, actor=cast.sam, at=now)
    before = [list(model.objects.values()) for model in (Fix, Revision, SoftwareUpdate, VersionFix)]

    run = make.poll(feed, documents, actor=cast.sam, at=now + timedelta(hours=1))

    assert (run.new, run.changed, run.unchanged) == (0, 0, 1)
    assert [list(model.objects.values()) for model in (Fix, Revision, SoftwareUpdate, VersionFix)] == before


def test_poll_changed_fixed_version_is_a_new_revision_and_reopens(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "bash", "5.2-2"), at=now)
    make.poll(feed, [make.record("DSA-1-1", [("bash", "5.2-2")])], actor=cast.sam, at=now)
    assert updates_missing_on(host.pk) == []

    run = make.poll(
        feed, [make.record("DSA-1-1", [("bash", "5.2-3")], modified="2026-11-12T00:00:00Z")], actor=cast.sam, at=now
    )

    assert (run.new, run.changed) == (0, 1)
    assert [row.number for row in Revision.objects.all()] == [1, 2]
    first, second = Fix.objects.order_by("pk")
    assert (first.withdrawn_at, second.withdrawn_at) == (now, None)
    [missing] = updates_missing_on(host.pk)
    assert missing.update is not None
    assert missing.update.fixed_version == "5.2-3"
    gone = SoftwareUpdate.objects.get(fixed_version="5.2-2")
    assert gone.withdrawn_at == now


def test_poll_withdrawn_by_vendor_ends_its_findings(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "bash", "5.2-1"), at=now)
    make.poll(feed, [make.record("DSA-1-1", [("bash", "5.2-2")])], actor=cast.sam, at=now)

    run = make.poll(
        feed, [make.record("DSA-1-1", [("bash", "5.2-2")], withdrawn="2026-11-12T00:00:00Z")], actor=cast.sam, at=now
    )

    assert (run.changed, run.withdrawn) == (1, 1)
    assert Advisory.objects.get().status == AdvisoryStatus.WITHDRAWN
    assert updates_missing_on(host.pk) == []


def test_poll_vanished_record_is_unknown_never_fixed(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "bash", "5.2-1"), at=now)
    several = [make.record(f"DSA-{n}-1", [(f"other{n}", "2")]) for n in range(2, 8)]
    make.poll(feed, [make.record("DSA-1-1", [("bash", "5.2-2")]), *several], actor=cast.sam, at=now)

    run = make.poll(feed, several, actor=cast.sam, at=now + timedelta(hours=1))

    assert (run.state, run.vanished) == (FeedRunState.COMPLETED, 1)
    [row] = updates_missing_on(host.pk)
    assert (row.verdict, row.on_host.basis) == ("unknown", "vanished")

    make.poll(
        feed, [make.record("DSA-1-1", [("bash", "5.2-2")]), *several], actor=cast.sam, at=now + timedelta(hours=2)
    )
    [row] = updates_missing_on(host.pk)
    assert row.verdict == "applicable"


def test_poll_that_loses_too_much_is_held_for_a_person(feed: Feed, cast: Cast, now: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(10)]
    make.poll(feed, several, actor=cast.sam, at=now)

    run = make.poll(feed, several[:7], actor=cast.sam, at=now + timedelta(hours=1))

    assert (run.state, run.vanished, run.known_before, run.loss_percent) == (FeedRunState.HELD, 3, 10, 30)
    assert set(Advisory.objects.values_list("status", flat=True)) == {AdvisoryStatus.CURRENT}
    assert Feed.objects.get().last_good_at == now
    with pytest.raises(Blocked):
        feeds.poll(feed_id=feed.pk, actor=cast.sam, at=now)
    with pytest.raises(NotAllowed):
        polls.accept_loss(run_id=run.pk, reason="I say so.", actor=cast.ann, at=now)

    polls.accept_loss(run_id=run.pk, reason="They moved to the next release.", actor=cast.sam, at=now)

    assert Advisory.objects.filter(status=AdvisoryStatus.VANISHED).count() == 3
    assert FeedRun.objects.get(pk=run.pk).state == FeedRunState.COMPLETED


def test_an_accepted_loss_spares_an_advisory_that_was_only_unread(feed: Feed, cast: Cast, now: datetime) -> None:
    """What is lost is what was said to be lost: a document that was put aside is unread, and its advisory stays in force."""
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(10)]
    make.poll(feed, several, actor=cast.sam, at=now)
    aside = make.quarantined("broken.json", advisory_id="DSA-9-1")
    run = make.poll(feed, [*several[:6], aside], actor=cast.sam, at=now + timedelta(hours=1))
    told = sorted(losing(run, cast.sam).values_list("advisory_id", flat=True))
    assert (run.state, run.vanished, told) == (FeedRunState.HELD, 3, ["DSA-6-1", "DSA-7-1", "DSA-8-1"])

    polls.accept_loss(run_id=run.pk, reason="They moved to the next release.", actor=cast.sam, at=now)

    vanished = Advisory.objects.filter(status=AdvisoryStatus.VANISHED).values_list("advisory_id", flat=True)
    assert sorted(vanished) == told
    assert not losing(FeedRun.objects.get(pk=run.pk), cast.sam).exists()


def test_refuse_loss_keeps_everything_in_force(feed: Feed, cast: Cast, now: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(4)]
    make.poll(feed, several, actor=cast.sam, at=now)
    run = make.poll(feed, [], actor=cast.sam, at=now)

    polls.refuse_loss(run_id=run.pk, reason="The mirror is empty.", actor=cast.sam, at=now)

    assert Advisory.objects.filter(status=AdvisoryStatus.CURRENT).count() == 4
    assert make.poll(feed, several, actor=cast.sam, at=now).state == FeedRunState.COMPLETED


def test_poll_source_that_breaks_off_loses_nothing(feed: Feed, cast: Cast, now: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(10)]
    make.poll(feed, several, actor=cast.sam, at=now)

    run = make.poll(feed, several[:9], actor=cast.sam, at=now + timedelta(hours=1), complete=False)

    assert run.state == FeedRunState.FAILED
    assert Advisory.objects.filter(status=AdvisoryStatus.CURRENT).count() == 10
    assert Feed.objects.get().last_good_at == now


def test_poll_unreadable_document_is_kept_and_what_it_said_stays(feed: Feed, cast: Cast, now: datetime) -> None:
    several = [make.record(f"DSA-{n}-1", [(f"package{n}", "2")]) for n in range(10)]
    make.poll(feed, several, actor=cast.sam, at=now)
    broken = make.quarantined("DSA-0.json", advisory_id="DSA-0-1")

    run = make.poll(feed, [broken, *several[1:]], actor=cast.sam, at=now + timedelta(hours=1))

    assert (run.state, run.quarantined, run.vanished) == (FeedRunState.COMPLETED, 1, 0)
    assert QuarantinedDocument.objects.get().error == "It breaks off."
    assert Advisory.objects.get(advisory_id="DSA-0-1").status == AdvisoryStatus.CURRENT
    make.poll(feed, several, actor=cast.sam, at=now + timedelta(hours=2))
    assert QuarantinedDocument.objects.get().settled_at == now + timedelta(hours=2)


def test_run_source_that_cannot_be_reached_fails_with_its_sentence(feed: Feed, cast: Cast, now: datetime) -> None:
    run = feeds.poll(feed_id=feed.pk, actor=cast.sam, at=now)
    away = FakeFeed(error=FeedError("There is no such host.", retryable=True))

    polls.run(run_id=run.pk, now=now, make=lambda *_a, **_k: away)

    assert FeedRun.objects.get().problem == "There is no such host."
    assert Feed.objects.get().problem == "There is no such host."


def test_run_twice_second_finds_nothing_to_do(feed: Feed, cast: Cast, now: datetime) -> None:
    make.poll(feed, [], actor=cast.sam, at=now)

    assert polls.run(run_id=FeedRun.objects.get().pk, now=now, make=lambda *_a, **_k: FakeFeed()) is None


def test_poll_while_one_is_under_way_is_refused(feed: Feed, cast: Cast, now: datetime) -> None:
    feeds.poll(feed_id=feed.pk, actor=cast.sam, at=now)

    with pytest.raises(Conflict):
        feeds.poll(feed_id=feed.pk, actor=cast.sam, at=now)


def test_sweep_polls_what_is_due(feed: Feed, cast: Cast, now: datetime) -> None:
    disabled = make.make_feed(cast.sam, at=now)
    feeds.disable(feed_id=disabled.pk, actor=cast.sam, at=now)

    feeds.sweep_feeds(now=now)
    feeds.sweep_feeds(now=now + timedelta(seconds=5))

    [run] = FeedRun.objects.all()
    assert (run.feed, run.requested_by) == (feed, User.bot())


def test_add_by_somebody_without_the_role_is_refused(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        make.make_feed(cast.ann, at=now)


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"kind": "oval"}, "feed.kind"),
        ({"location_kind": "url", "location": "ftp://example.org/"}, "feed.location"),
        ({"location": "relative/path"}, "feed.location"),
        ({"every_minutes": 1}, "feed.every_minutes"),
        ({"name": "with space"}, "feed.name"),
    ],
)
def test_add_wrong_field_says_which(cast: Cast, now: datetime, columns: dict[str, object], code: str) -> None:
    given = {"name": "alma", "kind": "osv", "location_kind": "folder", "location": "/srv/osv", **columns}

    with pytest.raises(Invalid) as refused:
        feeds.add(**given, actor=cast.sam, at=now)  # type: ignore[arg-type]

    assert [blocker.code for blocker in refused.value.blockers] == [code]


def test_order_evaluates_versions_that_a_host_brought_later(feed: Feed, cast: Cast, now: datetime) -> None:
    make.poll(feed, [make.record("DSA-1-1", [("bash", "5.2-2")])], actor=cast.sam, at=now)
    host = make.make_host(at=now)
    version = make.make_version(make.make_platform(), "bash", "5.2-1")
    make.install(host, version, at=now)
    order = applicability.order(host_id=host.pk, version_ids=[version.pk], at=now)

    done = applicability.carry_out(order_id=order.pk, now=now + timedelta(hours=1))

    assert done
    update = SoftwareUpdate.objects.get()
    assert update.notified_at == now + timedelta(hours=1)
    assert [row.host_id for row in hosts_concerned(update.pk)] == [host.pk]
    assert not applicability.carry_out(order_id=order.pk, now=now)


def test_one_message_carries_out_what_else_waits_and_a_sweep_rings_once(cast: Cast, now: datetime) -> None:
    hosts = [make.make_host(f"h{n}", at=now) for n in range(3)]
    orders = [applicability.order(host_id=host.pk, version_ids=[], at=now) for host in hosts]
    assert applicability.sweep_orders(now=now) == 1

    assert applicability.carry_out_due(order_id=orders[1].pk, now=lambda: now) == 3

    assert applicability.sweep_orders(now=now) == 0


def test_who_carries_out_orders_gives_way_after_some_seconds(cast: Cast, now: datetime) -> None:
    orders = [applicability.order(host_id=make.make_host(f"h{n}", at=now).pk, version_ids=[], at=now) for n in range(3)]
    moments = iter(now + timedelta(seconds=2 * n) for n in range(100))

    done = applicability.carry_out_due(order_id=orders[0].pk, now=lambda: next(moments))

    assert (done, EvaluationOrder.objects.count()) == (2, 1)
