"""Releases at every stage, through the verbs: a signed repository on loopback, machines in memory, people with roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from changes.domain import cycles
from changes.models import RFC
from cmdb import versions
from cmdb.domain import windows
from cmdb.models import Fact, Host, Installation, PackageVersion, ServiceWindow
from patchflow.kernel import registry, signoffs
from releases.domain import acceptance, acceptance_work, builds, manifests, plans, readiness, releases
from releases.models import AcceptanceRun, Build, InstallProfile, Manifest, Release
from tests.factories.changes import World, authorized, make_group, make_host, make_platform, make_world
from tests.factories.cmdb import host_key, make_connection
from tests.factories.people import Cast
from tests.fakes.executor import FakeExecutor, Machine
from tests.fakes.repository import SUITE, Package, Repository

OLD, NEW = "1.0-1", "3.0.15-1~deb12u2"


@dataclass
class Yard:
    """A world whose hosts can be reached: `test_host` has the packages and is no production host."""

    world: World
    repository: Repository
    executor: FakeExecutor
    test_host: Host
    window: ServiceWindow
    profile: InstallProfile
    old: str = OLD
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def cast(self) -> Cast:
        return self.world.cast

    @property
    def at(self) -> datetime:
        return self.world.at

    def machine(self, host: Host) -> Machine:
        return self.executor.machines[f"{host.name}.test"]


def make_yard(
    cast: Cast, at: datetime, repository: Repository, keyrings: Path, *, hosts: int = 3, names: Sequence[str] = (),
    source: str = "openssl",
) -> Yard:  # fmt: skip
    """Hosts with fingerprints, connections, sources and a window; the repository has the old and the new version."""
    world = make_world(cast, at, hosts=hosts, names=names, source=source)
    world.update.fixed_key = versions.key("deb", world.update.fixed_version)
    world.update.save()
    cycles.notified(update_ids=[world.update.pk], actor=cast.bot, at=at)
    test_host = make_host(name="bench", at=at, environment="test")
    repository.packages += [Package(source, OLD), Package(source, NEW)]
    keyrings.mkdir(exist_ok=True)
    (keyrings / "archive.pgp").write_bytes(repository.public_key())
    executor = registry.executors.get("fake")
    if executor is None:
        executor = registry.executors.add("fake", FakeExecutor(repository))
    executor.__init__(repository)  # the registry keeps its executors for the whole run; each test starts afresh
    for host in [*world.hosts, test_host]:
        furnish(host, world, executor, repository)
    group = make_group("all", at=at)
    window = windows.add(
        name="Nights", starts_local=time(22), length_minutes=240, from_on=date(2026, 11, 1), recurrence="weekly", weekday=2,
        group_ids=[group.pk], actor=cast.cora, at=at,
    )  # fmt: skip
    profile = plans.define_profile(name="Servers", actor=cast.rex, at=at)
    return Yard(world, repository, executor, test_host, window, profile)


def furnish(host: Host, world: World, executor: FakeExecutor, repository: Repository) -> None:
    """Gives a host its fingerprint, connection, sources, installed package and a machine behind it."""
    host.machine_id, host.ssh_host_key = f"{host.pk:032x}", host_key(host.name)
    host.save()
    make_connection(host, accepted_by=world.cast.cora, address=f"{host.name}.test")
    source = {
        "uris": [repository.uri],
        "suites": [SUITE],
        "components": ["main"],
        "signed_by": "/etc/apt/archive.pgp",
        "enabled": True,
    }
    Fact.objects.create(host=host, key="sources", value=[source], source="ssh", seen_at=world.at)
    install(host, world.update.name, OLD, at=world.at)
    executor.machines[f"{host.name}.test"] = Machine(packages={world.update.name: OLD})


def install(host: Host, name: str, version: str, *, at: datetime, source: str = "") -> None:
    """Records that the host has it, as a scan would."""
    key = versions.key("deb", version)
    package = PackageVersion.objects.get_or_create(
        platform=make_platform(), name=name, version=version, arch="amd64", source_name=source or name, source_version=version,
        origin_class="distribution", defaults={"key": key, "source_key": key},
    )[0]  # fmt: skip
    Installation.objects.get_or_create(host=host, package_version=package, defaults={"installed_seen_at": at})


# --- through the stages -----------------------------------------------------------------------------------------------
def rfc_of(yard: Yard, **changes: Any) -> RFC:
    """An authorized RFC for the hosts of the world (not the test host)."""
    given = {"host_ids": [h.pk for h in yard.world.hosts], "not_after": yard.at + timedelta(days=20), **changes}
    return authorized(yard.world, **given)


def composed(yard: Yard, *rfcs: RFC, executor: str = "fake", **given: Any) -> Release:
    chosen = rfcs or (rfc_of(yard),)
    return releases.compose(rfc_ids=[r.pk for r in chosen], actor=yard.cast.rex, at=yard.at, executor=executor, **given)


def planned(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    """Rings, windows, profile and tests are planned; still in planning."""
    release = composed(yard, *rfcs, **given)
    rex = yard.cast.rex
    plans.plan_rings(release_id=release.pk, rings=plans.usual_rings(release), actor=rex, at=yard.at)
    plans.plan_windows(
        release_id=release.pk, window_ids=[yard.window.pk], earliest_at=yard.at, latest_at=yard.at + timedelta(days=14),
        actor=rex, at=yard.at,
    )  # fmt: skip
    plans.choose_profile(release_id=release.pk, profile_id=yard.profile.pk, actor=rex, at=yard.at)
    for update in acceptance.uncovered(release):
        acceptance.plan(
            release_id=release.pk, update_id=update.pk, host_id=yard.test_host.pk, actor=yard.cast.tia, at=yard.at
        )
    return Release.objects.get(pk=release.pk)


def building(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    release = planned(yard, *rfcs, **given)
    builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    return Release.objects.get(pk=release.pk)


def work(yard: Yard, release: Release) -> Build:
    """Does the pending build."""
    build = release.builds.get(state="pending")
    builds.run(build_id=build.pk, owner="test", now=yard.at)
    return Build.objects.get(pk=build.pk)


def in_testing(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    release = building(yard, *rfcs, **given)
    build = work(yard, release)
    assert build.state == "built", build.reason
    return Release.objects.get(pk=release.pk)


def run_tests(yard: Yard, release: Release, *, rounds: int = 20) -> list[AcceptanceRun]:
    """Requests the runs and takes them as far as they go."""
    runs = acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    for _ in range(rounds):
        for run in runs:
            AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
            acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at)
    return [AcceptanceRun.objects.get(pk=run.pk) for run in runs]


def scheduling(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    release = in_testing(yard, *rfcs, **given)
    yard.machine(yard.test_host).packages[yard.world.update.name] = yard.old  # set back after an earlier test
    runs = run_tests(yard, release)
    assert {run.state for run in runs} == {"passed"}, [run.reason for run in runs]
    return Release.objects.get(pk=release.pk)


def sealed(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    release = scheduling(yard, *rfcs, **given)
    manifests.seal(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    return Release.objects.get(pk=release.pk)


def sign(yard: Yard, release: Release, *people: Any, verdict: str = "approve", comment: str = "") -> Release:
    round_ = signoffs.open_round_of(release)
    assert round_ is not None
    for person in people or (yard.cast.gus,):
        readiness.decide(round_id=round_.pk, verdict=verdict, comment=comment, actor=person, at=yard.at)
    return Release.objects.get(pk=release.pk)


def ready(yard: Yard, *rfcs: RFC, **given: Any) -> Release:
    return sign(yard, sealed(yard, *rfcs, **given))


def manifest_of(release: Release) -> Manifest:
    found = release.manifests.order_by("-revision").first()
    assert found is not None
    return found


AT_STATE = {
    "planning": planned,
    "building": building,
    "testing": in_testing,
    "scheduling": scheduling,
    "awaiting_readiness": sealed,
    "ready": ready,
}
"""State → how a release gets there."""
