"""A build says exactly which versions and files come, and fails, for good, where anything cannot be proven."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changes.models import Verification
from cmdb.domain import groups, points
from cmdb.models import DistributionPoint, Fact
from patchflow.kernel import queue
from releases.domain import builds
from releases.executors.base import Way
from releases.models import Build, BuildArtifact, Release
from releases.queries.builds import class_plans
from tests.factories.changes import make_update
from tests.factories.releases import NEW, OLD, Yard, building, in_testing, install, rfc_of, work
from tests.fakes.repository import Package


def test_build_resolves_versions_dependencies_and_verified_files(yard: Yard) -> None:
    yard.repository.packages.append(Package("libextra", "2.0-1", source="extra"))
    yard.executor.needs["openssl"] = {"libextra": "2.0-1"}
    release = in_testing(yard)
    build = release.builds.get()
    (one,) = build.classes.all()
    assert one.label == "debian-12-amd64"
    assert sorted(one.hosts) == sorted(h.pk for h in yard.world.hosts)
    assert one.packages == [
        {"name": "libextra", "arch": "amd64", "to": "2.0-1", "source": "extra", "source_version": "2.0-1", "dependency": True},
        {"name": "openssl", "arch": "amd64", "to": NEW, "source": "openssl", "source_version": NEW, "dependency": False},
    ]  # fmt: skip
    files = {row.artifact.package: row.artifact for row in build.artifacts.all()}
    assert files["openssl"].sha256 == Package("openssl", NEW).sha256
    assert Verification.objects.filter(outcome="passed").exists()


@pytest.mark.parametrize("how", ["index tampered", "stranger's key", "hash swapped"])
def test_a_tampered_repository_fails_the_build_and_it_stays_so(yard: Yard, how: str) -> None:
    release = building(yard)
    if how == "index tampered":
        yard.repository.tampered = True
    elif how == "stranger's key":
        yard.repository.signer = "stranger"
    else:
        real = yard.executor.dry_run

        class Lying(type(yard.executor)):  # the host was offered another file than the signed index lists
            def dry_run(self, *args: object, **kwargs: object) -> object:
                from dataclasses import replace

                found = real(*args, **kwargs)
                return replace(found, artifacts=tuple(replace(a, sha256="f" * 64) for a in found.artifacts))

        yard.executor.__class__ = Lying
    try:
        build = work(yard, release)
    finally:
        yard.executor.__class__ = builds_executor_class()
    assert build.state == "failed"
    assert build.reason
    release = Release.objects.get(pk=release.pk)
    assert (release.state, release.reason) == ("planning", build.reason)
    assert not BuildArtifact.objects.exists()
    yard.repository.tampered, yard.repository.signer = False, "archive"
    assert builds.run(build_id=build.pk, owner="again", now=yard.at) is False
    assert Build.objects.get(pk=build.pk).state == "failed"


def builds_executor_class() -> type:
    from tests.fakes.executor import FakeExecutor

    return FakeExecutor


def test_a_source_without_a_key_here_fails_the_build(yard: Yard, tmp_path: object) -> None:
    release = building(yard)
    for path in (tmp_path / "keyrings").iterdir():  # type: ignore[operator]
        path.unlink()
    build = work(yard, release)
    assert build.state == "failed"
    assert "No public key" in build.reason


def test_a_private_repository_is_asked_only_where_the_settings_allow(yard: Yard, settings: object) -> None:
    settings.PATCHFLOW = {**settings.PATCHFLOW, "OUTBOUND_ALLOW": []}  # type: ignore[attr-defined]
    build = work(yard, building(yard))
    assert build.state == "failed"
    assert "127.0.0.1" in build.reason


def test_a_host_that_told_no_source_fails_the_build(yard: Yard) -> None:
    release = building(yard)
    Fact.objects.filter(key="sources").delete()
    assert "no package source" in work(yard, release).reason


def test_a_repository_that_moved_on_fails_the_build(yard: Yard) -> None:
    """What was approved is no longer offered: no newer version is taken instead."""
    release = building(yard)
    yard.repository.packages = [Package("openssl", OLD), Package("openssl", "3.0.99-1")]
    build = work(yard, release)
    assert build.state == "failed"
    assert NEW in build.reason


def test_a_binary_of_another_source_version_fails_the_build(yard: Yard) -> None:
    """Same version text, other source: it is not what the RFC names."""
    release = building(yard)
    yard.repository.packages = [
        Package("openssl", OLD),
        Package("openssl", NEW, source="openssl-fork", source_version=NEW),
    ]
    build = work(yard, release)
    assert build.state == "failed"
    assert "openssl-fork" in build.reason


def test_a_removal_fails_the_build(yard: Yard) -> None:
    yard.executor.removes["openssl"] = ["acme-app"]
    build = work(yard, building(yard))
    assert (build.state, "acme-app" in build.reason) == ("failed", True)


def test_another_representative_is_asked_when_the_first_is_away(yard: Yard) -> None:
    release = building(yard)
    yard.machine(yard.world.hosts[0]).away = True
    build = work(yard, release)
    assert build.state == "built"
    assert build.classes.get().representative == yard.world.hosts[1]


def test_no_host_in_reach_fails_the_build(yard: Yard) -> None:
    release = building(yard)
    for host in yard.world.hosts:
        yard.machine(host).away = True
    assert "no host could be asked" in work(yard, release).reason


def test_hosts_with_other_packages_are_another_class(yard: Yard) -> None:
    extra = yard.world.hosts[2]
    install(extra, "libssl3", OLD, at=yard.at, source="openssl")
    yard.executor.machines[f"{extra.name}.test"].packages["libssl3"] = OLD
    yard.repository.packages += [Package("libssl3", OLD, source="openssl"), Package("libssl3", NEW, source="openssl")]
    release = in_testing(yard)
    classes = {c.label: c for c in release.builds.get().classes.all()}
    assert set(classes) == {"debian-12-amd64", "debian-12-amd64-2"}
    assert classes["debian-12-amd64-2"].hosts == [extra.pk]
    assert [p["name"] for p in classes["debian-12-amd64-2"].packages] == ["libssl3", "openssl"]


def test_hosts_that_have_it_already_are_in_no_class(yard: Yard) -> None:
    from cmdb.models import Installation

    done = yard.world.hosts[0]
    Installation.objects.filter(host=done).update(gone_seen_at=yard.at)
    install(done, "openssl", NEW, at=yard.at)
    release = in_testing(yard)
    assert done.pk not in release.builds.get().classes.get().hosts


def test_nothing_to_do_fails_the_build(yard: Yard) -> None:
    from cmdb.models import Installation

    rfc = rfc_of(yard)
    Installation.objects.update(gone_seen_at=yard.at)
    assert "nothing to build" in work(yard, building(yard, rfc)).reason


def test_a_version_that_cannot_be_ordered_fails_the_build(yard: Yard) -> None:
    release = building(yard)
    yard.world.update.fixed_key = None
    yard.world.update.save()
    assert "cannot be ordered" in work(yard, release).reason


def test_two_updates_of_one_rfc_are_built_together(yard: Yard) -> None:
    from cmdb import versions

    curl = make_update("curl", "8.0-2", at=yard.at, hosts=yard.world.hosts)
    curl.fixed_key = versions.key("deb", "8.0-2")
    curl.save()
    for host in yard.world.hosts:
        yard.machine(host).packages["curl"] = OLD
    yard.repository.packages += [Package("curl", OLD), Package("curl", "8.0-2")]
    install(yard.test_host, "curl", OLD, at=yard.at)
    yard.machine(yard.test_host).packages["curl"] = OLD
    release = in_testing(yard, rfc_of(yard, update_ids=[yard.world.update.pk, curl.pk]))
    assert [p["name"] for p in release.builds.get().classes.get().packages] == ["curl", "openssl"]


def test_a_build_is_worked_once(yard: Yard) -> None:
    """A claim held by another, and a late holder, change nothing."""
    release = building(yard)
    build = release.builds.get()
    held = queue.claim(Build.objects.filter(pk=build.pk), owner="first", lease=timedelta(minutes=5))
    assert builds.run(build_id=build.pk, owner="second", now=yard.at) is False
    assert (
        builds.record(build_id=build.pk, fence=held[0].fence - 1, resolved=[], actor=yard.cast.bot, at=yard.at) is False
    )
    assert Build.objects.get(pk=build.pk).state == "pending"


def test_the_sweep_finds_a_build_that_no_message_named(yard: Yard) -> None:
    building(yard)
    assert builds.find_due(now=yard.at) == 1


def behind_a_point(yard: Yard, *hosts: Any, **fields: Any) -> DistributionPoint:
    said: dict[str, Any] = {"actor": yard.cast.cora, "at": yard.at}
    group = groups.add(name="Far away", host_ids=[host.pk for host in hosts], **said)
    return points.add(name="dp-far", address="http://dp.example.org:3142", group_id=group.pk, **said, **fields)


def test_a_dry_run_goes_the_way_of_its_host_and_never_directly_in_silence(yard: Yard) -> None:
    point = behind_a_point(yard, *yard.world.hosts)
    release = building(yard)
    build = work(yard, release)
    assert build.state == "failed"
    assert "cannot download: nobody knows whether dp-far answers (it was never checked): mend it" in build.reason
    assert yard.executor.rehearsed == [], "nobody was asked"

    points.check(point_id=point.pk, actor=yard.cast.otto, at=yard.at, ask=lambda _address: (True, "It answered."))
    builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    build = work(yard, Release.objects.get(pk=release.pk))
    assert build.state == "built", build.reason
    assert yard.executor.rehearsed == [Way(point="dp-far", address="http://dp.example.org:3142")]


def test_a_build_asks_another_host_of_the_class_where_one_has_no_way(yard: Yard) -> None:
    release = building(yard)
    first = class_plans(release)[0].representatives[0]
    behind_a_point(yard, *(host for host in yard.world.hosts if host.pk == first))
    build = work(yard, release)
    assert build.state == "built", build.reason
    assert yard.executor.rehearsed == [None]
    assert build.classes.get().representative_id != first


def test_a_point_whose_rule_says_so_lets_its_hosts_ask_directly(yard: Yard) -> None:
    behind_a_point(yard, *yard.world.hosts, when_silent="direct")
    assert work(yard, building(yard)).state == "built"
    assert yard.executor.rehearsed == [None]
