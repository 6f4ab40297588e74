"""Updates from advisories and from what hosts report; how they are named, merged, replaced."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from changes.domain import applicability, reported
from changes.domain.statements import MAX_LISTED_VERSIONS, class_of, statements_of, updates_of
from changes.models import Feed, Fix, SoftwareUpdate, Supersedence
from changes.queries.applicability import hosts_missing
from cmdb.models import Host
from patchflow.kernel.audit import history
from tests.factories import identify as make
from tests.factories.people import Cast


@pytest.fixture
def feed(cast: Cast, now: datetime) -> Feed:
    return make.make_feed(cast.sam, at=now)


# --- pure -------------------------------------------------------------------------------------------------------------
def names_of(document: dict[str, object]) -> set[tuple[str, str]]:
    found = make.draft(document)
    return {(key.name, key.fixed_version) for key in updates_of(found, statements_of(found))}


def test_updates_of_binaries_of_one_version_are_one_update() -> None:
    document = make.record(
        "ALSA-1",
        [("libtiff", "4.4.0-2.el9"), ("libtiff-devel", "4.4.0-2.el9"), ("libtiff-tools", "4.4.0-2.el9")],
        ecosystem="AlmaLinux:9",
        summary="Moderate: libtiff security update",
    )

    assert names_of(document) == {("libtiff", "4.4.0-2.el9")}


def test_updates_of_binaries_are_called_by_the_title_else_by_what_begins_the_others() -> None:
    packages = [("bpftool", "5.14-1"), ("kernel", "5.14-1"), ("kernel-core", "5.14-1"), ("perf", "5.14-1")]
    titled = make.record("ALSA-1", packages, ecosystem="AlmaLinux:9", summary="Important: kernel security update")
    untitled = make.record("ALSA-2", packages, ecosystem="AlmaLinux:9", summary="Important: several fixes")

    assert names_of(titled) == names_of(untitled) == {("kernel", "5.14-1")}


def test_updates_of_a_module_are_one_update_whatever_its_packages_versions() -> None:
    document = make.record(
        "ALSA-1",
        [("nodejs", "1:18.2-1.module_el9"), ("nodejs-nodemon", "3.0-1.module_el9")],
        ecosystem="AlmaLinux:9",
        summary="Important: nodejs:18 security update",
    )

    assert names_of(document) == {("nodejs:18", "1:18.2-1.module_el9")}


def test_statements_of_a_stream_left_open_are_unsure_for_each() -> None:
    document = make.record(
        "ALSA-1",
        [("php", "8.0-1.module_el8")],
        ecosystem="AlmaLinux:8",
        summary="Moderate: php:7.4 and php:8.0 security update",
    )

    found = statements_of(make.draft(document))

    assert {(each.module, each.module_sure) for each in found} == {("php:7.4", False), ("php:8.0", False)}


def test_statements_of_a_list_too_long_are_unknown_never_shortened() -> None:
    document = make.record("DSA-1", [("foo", "")])
    document["affected"][0] = {
        "package": document["affected"][0]["package"],
        "versions": [f"1.{n}-1" for n in range(MAX_LISTED_VERSIONS + 1)],
    }

    [only] = statements_of(make.draft(document))

    assert (only.state, only.fixed_key) == ("unparsable", None)


@pytest.mark.parametrize(
    ("rank", "exploited", "kind", "expected"),
    [
        (5, False, "security_patch", "critical"),
        (2, True, "security_patch", "critical"),
        (4, False, "security_patch", "high"),
        (3, False, "security_patch", "medium"),
        (0, False, "security_patch", "medium"),
        (0, False, "update", "low"),
        (2, False, "security_patch", "low"),
    ],
)
def test_class_of_severity_that_nobody_stated_is_not_low(rank: int, exploited: bool, kind: str, expected: str) -> None:
    assert class_of(rank=rank, exploited=exploited, kind=kind)[0] == expected


# --- with the database ------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_supersedence_runs_by_version_order_within_one_name(feed: Feed, cast: Cast, now: datetime) -> None:
    documents = [
        make.record("DSA-1-1", [("foo", "1.9-1")]),
        make.record("DSA-2-1", [("foo", "1.10-1")]),
        make.record("DSA-3-1", [("foo", "1.2-1")]),
        make.record("DSA-4-1", [("bar", "9-1")]),
        make.record("DLA-5-1", [("foo", "0.1-1")], ecosystem="Debian:11"),
    ]

    make.poll(feed, documents, actor=cast.sam, at=now)

    edges = Supersedence.objects.values_list("older__fixed_version", "newer__fixed_version")
    assert set(edges) == {("1.2-1", "1.9-1"), ("1.9-1", "1.10-1")}
    heads = SoftwareUpdate.objects.filter(name="foo", release="12").values_list(
        "fixed_version", "superseded_by__fixed_version"
    )
    assert dict(heads) == {"1.2-1": "1.10-1", "1.9-1": "1.10-1", "1.10-1": None}


@pytest.mark.django_db
def test_same_update_from_two_advisories_is_one_row(feed: Feed, cast: Cast, now: datetime) -> None:
    make.poll(
        feed,
        [make.record("DSA-1-1", [("foo", "1.2-1")]), make.record("DEBIAN-CVE-2026-1000", [("foo", "1.2-1")])],
        actor=cast.sam,
        at=now,
    )

    update = SoftwareUpdate.objects.get()
    assert sorted(update.advisories.values_list("advisory_id", flat=True)) == ["DEBIAN-CVE-2026-1000", "DSA-1-1"]
    assert Fix.objects.filter(update=update).count() == 2


def report(host: Host, now: datetime) -> None:
    order = applicability.order(
        host_id=host.pk, version_ids=list(host.installations.values_list("package_version", flat=True)), at=now
    )
    applicability.carry_out(order_id=order.pk, now=now)


@pytest.mark.django_db
def test_reported_update_concerns_only_hosts_that_are_offered_it(cast: Cast, now: datetime) -> None:
    version = make.make_version(make.make_platform(), "vim-tiny", "9.0-1", source=("vim", "9.0-1"))
    offered, other = make.make_host("offered", at=now), make.make_host("other", at=now)
    for host in (offered, other):
        make.install(host, version, at=now)
    make.pend(offered, "vim-tiny", "9.0-1", "9.0-2", at=now, source_name="vim", is_security=True)

    report(offered, now)

    update = SoftwareUpdate.objects.get()
    assert (update.name, update.fixed_version, update.origin, update.kind) == (
        "vim",
        "9.0-2",
        "reported",
        "security_patch",
    )
    assert [(row.host_name, row.basis, row.installable) for row in hosts_missing(update.pk)] == [
        ("offered", "reported", True)
    ]
    assert update.notified_at == now


@pytest.mark.django_db
def test_reported_twice_is_one_update(cast: Cast, now: datetime) -> None:
    version = make.make_version(make.make_platform(), "foo", "1-1")
    for name in ("one", "two"):
        host = make.make_host(name, at=now)
        make.install(host, version, at=now)
        make.pend(host, "foo", "1-1", "1-2", at=now, source_name="foo")
        report(host, now)

    assert SoftwareUpdate.objects.count() == 1
    assert Fix.objects.count() == 1
    assert len(hosts_missing(SoftwareUpdate.objects.get().pk)) == 2


@pytest.mark.django_db
def test_reported_update_that_an_advisory_names_is_merged_and_logged(feed: Feed, cast: Cast, now: datetime) -> None:
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1-1"), at=now)
    make.pend(host, "foo", "1-1", "1-2", at=now, source_name="foo")
    report(host, now)
    before = SoftwareUpdate.objects.get()
    later = now + timedelta(hours=2)

    make.poll(feed, [make.record("DSA-1-1", [("foo", "1-2")], summary="Critical: foo")], actor=cast.sam, at=later)

    update = SoftwareUpdate.objects.get()
    assert (update.pk, update.origin, update.update_class) == (before.pk, "advisory", "critical")
    assert (update.notified_at, update.start_by) == (now, now + timedelta(hours=24))
    assert [entry.verb for entry in history(update)] == ["change.update.merged", "change.update.notified"]
    [row] = hosts_missing(update.pk)
    assert row.installable is True


@pytest.mark.django_db
def test_reported_after_the_advisory_adds_no_second_update(feed: Feed, cast: Cast, now: datetime) -> None:
    make.poll(feed, [make.record("DSA-1-1", [("foo", "1-2")])], actor=cast.sam, at=now)
    host = make.make_host(at=now)
    make.install(host, make.make_version(make.make_platform(), "foo", "1-1"), at=now)
    make.pend(host, "foo", "1-1", "1-2", at=now, source_name="foo")

    derived = reported.derive(host_id=host.pk, at=now)

    assert (derived.fixes, derived.updates) == (set(), set())
    assert SoftwareUpdate.objects.count() == 1
