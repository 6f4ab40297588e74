"""Where the verdict meets the host: kernels, what is offered, what is old, who may see; counts agree with lists."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import applicability
from changes.models import Feed, SoftwareUpdate, VersionFix
from changes.queries import findings
from changes.queries.applicability import hosts_concerned, hosts_missing, updates_missing_on, verdict_counts
from changes.queries.coverage import coverage
from cmdb.models import GroupMember, Host, HostGroup, Installation
from patchflow.kernel.models import RoleGrant
from patchflow.reports.queries.compliance import interval
from tests.factories import identify as make
from tests.factories.people import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed(cast: Cast, now: datetime) -> Feed:
    return make.make_feed(cast.sam, at=now)


def kernel(abi: str, version: str) -> object:
    return make.make_version(
        make.make_platform(),
        f"linux-image-{abi}",
        version,
        source=("linux-signed-amd64", version.replace("-", "+")),
    )


@pytest.mark.parametrize(
    ("running", "installed", "verdict", "basis"),
    [
        ("6.1.0-18-amd64", [("6.1.0-18-amd64", "6.1.76-1")], "applicable", "below"),
        (
            "6.1.0-18-amd64",
            [("6.1.0-18-amd64", "6.1.76-1"), ("6.1.0-20-amd64", "6.1.85-1")],
            "fixed_pending_restart",
            "not_running",
        ),
        ("6.1.0-20-amd64", [("6.1.0-18-amd64", "6.1.76-1"), ("6.1.0-20-amd64", "6.1.85-1")], "", ""),
        ("5.15.0-custom", [("6.1.0-18-amd64", "6.1.76-1")], "unknown", "running_unknown"),
        ("", [("6.1.0-18-amd64", "6.1.76-1")], "unknown", "running_unknown"),
    ],
)
def test_hosts_concerned_by_a_kernel_update(
    running: str,
    installed: list[tuple[str, str]],
    verdict: str,
    basis: str,
    feed: Feed,
    cast: Cast,
    now: datetime,
) -> None:
    host = make.make_host(at=now, kernel_running=running)
    make.install(host, *[kernel(*each) for each in installed], at=now)  # type: ignore[arg-type]

    make.poll(feed, [make.record("DSA-1-1", [("linux", "6.1.85-1")])], actor=cast.sam, at=now)

    found = [(row.verdict, row.basis) for row in hosts_concerned(SoftwareUpdate.objects.get().pk)]
    assert found == ([(verdict, basis)] if verdict else [])


def test_hosts_concerned_by_an_rpm_kernel(feed: Feed, cast: Cast, now: datetime) -> None:
    platform = make.make_platform("almalinux", "9.4", ecosystem="rpm", arch="x86_64")
    old = make.make_version(platform, "kernel-core", "5.14.0-427.el9", source=("kernel", "5.14.0-427.el9"))
    new = make.make_version(platform, "kernel-core", "5.14.0-503.el9", source=("kernel", "5.14.0-503.el9"))
    waiting = make.make_host("waits", at=now, platform=platform, kernel_running="5.14.0-427.el9.x86_64")
    done = make.make_host("done", at=now, platform=platform, kernel_running="5.14.0-503.el9.x86_64")
    for host in (waiting, done):
        make.install(host, old, new, at=now)
    document = make.record(
        "ALSA-1", [("kernel-core", "5.14.0-503.el9")], ecosystem="AlmaLinux:9", summary="Important: kernel"
    )

    make.poll(feed, [document], actor=cast.sam, at=now)

    [row] = hosts_concerned(SoftwareUpdate.objects.get().pk)
    assert (row.host_name, row.verdict) == ("waits", "fixed_pending_restart")


OLD, NEW = "5.14.0-427.el9", "5.14.0-503.el9"
BESIDE = ("kernel-core", "kernel-devel", "kernel-debug-modules-core")
"""Packages that an RPM system keeps beside older ones of themselves: what runs, headers for building, modules."""


@pytest.mark.parametrize("package", BESIDE)
@pytest.mark.parametrize(
    ("running", "installed"),
    [(OLD, (OLD,)), (OLD, (OLD, NEW)), (NEW, (OLD, NEW)), (NEW, (NEW,)), (NEW, (OLD,))],
)
def test_an_old_version_beside_the_new_one_is_missing_nothing(
    package: str, running: str, installed: tuple[str, ...], feed: Feed, cast: Cast, now: datetime
) -> None:
    """Against the plain rule: a kernel is fixed if the newest installed is and runs, else it waits for the restart; of other
    packages the newest installed decides. List, counts, reach, the host's page and the share of Home say the same."""
    platform = make.make_platform("almalinux", "9.4", ecosystem="rpm", arch="x86_64")
    host = make.make_host("one", at=now, platform=platform, kernel_running=f"{running}.x86_64")
    Host.objects.filter(pk=host.pk).update(audited_at=now)
    make.install(
        host, *[make.make_version(platform, package, each, source=("kernel", each)) for each in installed], at=now
    )
    document = make.record("ALSA-1", [(package, NEW)], ecosystem="AlmaLinux:9", summary="Important: kernel")
    make.poll(feed, [document], actor=cast.sam, at=now)

    if package == "kernel-core" and running not in installed:
        expected = "unknown"
    elif package == "kernel-core" and running == OLD:
        expected = "fixed_pending_restart" if NEW in installed else "applicable"
    else:
        expected = "" if NEW in installed else "applicable"
    update = SoftwareUpdate.objects.get()
    assert [row.verdict for row in hosts_concerned(update.pk)] == [expected] * bool(expected)
    assert verdict_counts([update.pk]) == ({update.pk: {expected: 1}} if expected else {})
    assert [row.verdict for row in updates_missing_on(host.pk)] == [expected] * bool(expected)
    assert findings.reach([update.pk]) == ({update.pk: 1} if expected == "applicable" else {})
    share = interval(cast.ann, at=now)
    assert (share.good, share.unknown, share.bad) == {
        "": (1, 0, 0), "unknown": (0, 1, 0), "applicable": (0, 0, 1), "fixed_pending_restart": (0, 0, 1),
    }[expected]  # fmt: skip
    kept = sorted(VersionFix.objects.values_list("package_version", "fix", "verdict"))
    applicability.evaluate_all()
    assert sorted(VersionFix.objects.values_list("package_version", "fix", "verdict")) == kept, "one text, full or not"


@pytest.mark.parametrize(
    ("left", "expected"), [((NEW,), "fixed_pending_restart"), ((), "applicable"), (("5.14.0-400.el9",), "applicable")]
)
def test_a_kernel_runs_on_after_its_package_is_removed(
    left: tuple[str, ...], expected: str, feed: Feed, cast: Cast, now: datetime
) -> None:
    platform = make.make_platform("almalinux", "9.4", ecosystem="rpm", arch="x86_64")
    host = make.make_host("one", at=now, platform=platform, kernel_running=f"{OLD}.x86_64")
    versions = {v: make.make_version(platform, "kernel-core", v, source=("kernel", v)) for v in (OLD, *left)}
    make.install(host, *versions.values(), at=now - timedelta(days=3))
    Installation.objects.filter(host=host, package_version=versions[OLD]).update(gone_seen_at=now)
    document = make.record("ALSA-1", [("kernel-core", NEW)], ecosystem="AlmaLinux:9", summary="Important: kernel")

    make.poll(feed, [document], actor=cast.sam, at=now)

    [row] = hosts_concerned(SoftwareUpdate.objects.get().pk)
    assert row.verdict == expected


@pytest.mark.parametrize(
    ("candidate", "installable"), [("1.0-2", True), ("1.0-3", True), ("1.0-1+b1", False), ("", False)]
)
def test_hosts_missing_says_whether_it_can_be_had(
    candidate: str, installable: bool, feed: Feed, cast: Cast, now: datetime
) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)
    if candidate:
        make.pend(host, "foo", "1.0-1", candidate, at=now)

    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)

    [row] = hosts_missing(SoftwareUpdate.objects.get(origin="advisory").pk)
    assert (row.verdict, row.installable) == ("applicable", installable)


def test_hosts_missing_unrelated_numbering_cannot_say_whether_it_can_be_had(
    feed: Feed, cast: Cast, now: datetime
) -> None:
    host = make.make_host(at=now)
    cpp = make.make_version(make.make_platform(), "cpp", "4:12.2.0-3", source=("gcc-defaults", "1.203"))
    make.install(host, cpp, at=now)
    make.pend(host, "cpp", "4:12.2.0-3", "4:12.2.0-4", at=now)

    make.poll(feed, [make.record("DSA-1-1", [("gcc-defaults", "1.204")])], actor=cast.sam, at=now)

    [row] = hosts_missing(SoftwareUpdate.objects.get(origin="advisory").pk)
    assert row.installable is None


def test_hosts_concerned_facts_too_old_are_unknown(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now - timedelta(days=9))
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)
    update = SoftwareUpdate.objects.get()

    [row] = hosts_concerned(update.pk, at=now)

    assert (row.verdict, row.basis) == ("unknown", "stale")
    assert hosts_missing(update.pk, at=now) == []
    assert len(hosts_missing(update.pk)) == 1


def test_hosts_missing_shows_only_hosts_in_scope(feed: Feed, cast: Cast, now: datetime) -> None:
    platform = make.make_platform()
    mine, other = make.make_host("mine", at=now), make.make_host("other", at=now)
    for host in (mine, other):
        make.install(host, make.make_version(platform, "foo%s", "1.0-1", source=("foo", "1.0-1")), at=now)
    group = HostGroup.objects.create(name="web", kind="static", **_times(HostGroup, now))
    GroupMember.objects.create(group=group, host=mine, **_times(GroupMember, now))
    RoleGrant.objects.create(user=cast.eve, role="reader", scope=f"group:{group.pk}")
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)
    update = SoftwareUpdate.objects.get()

    cast.eve.refresh_from_db()
    assert [row.host_name for row in hosts_missing(update.pk, actor=cast.eve)] == ["mine"]
    assert verdict_counts([update.pk], actor=cast.eve) == {update.pk: {"applicable": 1}}
    assert verdict_counts([update.pk]) == {update.pk: {"applicable": 2}}


def _times(model: type, at: datetime) -> dict[str, datetime]:
    names = {field.name for field in model._meta.concrete_fields}  # type: ignore[attr-defined]
    return {name: at for name in ("made_at", "added_at", "since_at", "joined_at") if name in names}


def test_verdict_counts_agree_with_the_list(feed: Feed, cast: Cast, now: datetime) -> None:
    platform = make.make_platform()
    versions = {
        "old": make.make_version(platform, "foo", "1.0-1"),
        "new": make.make_version(platform, "foo", "1.0-2"),
        "odd": make.make_version(platform, "foo", "no version"),
        "foreign": make.make_version(platform, "foo", "9.0-1", origin_class="third_party"),
    }
    twin = make.make_version(platform, "libfoo", "1.0-1", source=("foo", "1.0-1"))
    for name, version in versions.items():
        host = make.make_host(name, at=now)
        make.install(host, version, *([twin] if name == "old" else []), at=now)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)
    update = SoftwareUpdate.objects.get()

    listed = {row.host_name: row.verdict for row in hosts_concerned(update.pk)}

    assert listed == {"old": "applicable", "odd": "unknown", "foreign": "unknown"}
    assert verdict_counts([update.pk]) == {update.pk: {"applicable": 1, "unknown": 2}}
    assert update.reach == 1


def test_updates_missing_on_newest_covers_the_older(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)

    documents = [make.record("DSA-1-1", [("foo", "1.0-2")]), make.record("DSA-2-1", [("foo", "1.0-3")])]
    make.poll(feed, documents, actor=cast.sam, at=now)

    newest, older = updates_missing_on(host.pk)
    assert newest.update is not None
    assert older.update is not None
    assert (newest.update.fixed_version, newest.covered_by) == ("1.0-3", None)
    assert (older.update.fixed_version, older.covered_by) == ("1.0-2", newest.update.pk)
    assert (newest.update.notified_at, older.update.notified_at) == (now, None)


def test_updates_missing_on_without_fix_is_shown_last(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)

    make.poll(
        feed,
        [make.record("DEBIAN-CVE-2026-1000", [("foo", "")]), make.record("DSA-2-1", [("foo", "1.0-3")])],
        actor=cast.sam,
        at=now,
    )

    first, last = updates_missing_on(host.pk)
    assert (first.verdict, last.verdict) == ("applicable", "no_fix")
    assert last.update is None
    assert last.advisory_id is not None


def test_coverage_names_platforms_that_no_feed_speaks_of(feed: Feed, cast: Cast, now: datetime) -> None:
    make.make_host(at=now)
    make.make_host(at=now, platform=make.make_platform("almalinux", "9.4", ecosystem="rpm", arch="x86_64"))
    Host.objects.filter(pk=make.make_host(at=now).pk).update(platform=None)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)

    lines = {line.label: (line.fresh, line.hosts, line.advisories) for line in coverage(at=now)}

    assert lines == {"almalinux 9": (False, 1, 0), "unknown platform": (False, 1, 0), "debian 12": (True, 1, 1)}
    later = {line.label: line.fresh for line in coverage(at=now + timedelta(days=3))}
    assert later["debian 12"] is False


def test_count_reach_follows_installations(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1.0-1"), at=now)
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1.0-2")])], actor=cast.sam, at=now)
    assert SoftwareUpdate.objects.get().reach == 1

    host.installations.update(gone_seen_at=now)
    applicability.count_reach()

    assert SoftwareUpdate.objects.get().reach == 0
