"""The digest of a plan that pages ask for again and again: always that of the plan made anew, and seldom made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from changes.models import RFC
from cmdb.models import (
    ConfigurationItem,
    Fact,
    Host,
    Installation,
    PackageVersion,
    PendingUpdate,
    Relation,
    ServiceWindow,
)
from releases.domain import plan_digests
from releases.domain.sketches import sketch
from releases.models import PlannedRing, Release
from releases.queries.builds import class_plans
from releases.queries.rehearsals import planned_document
from tests.factories import changes as made
from tests.factories import releases as stages
from tests.factories.cmdb import make_service
from tests.factories.releases import Yard

pytestmark = pytest.mark.django_db
Ask = Callable[[], str]


def asked(ask: Ask) -> tuple[str, int]:
    with CaptureQueriesContext(connection) as queries:
        return ask(), len(queries)


def rebuilt(yard: Yard, host: Host, number: int) -> None:
    """The host has another binary of the source, numbered apart from it, and a candidate for it."""
    source = PackageVersion.objects.get(name=yard.world.update.name, version=yard.old)
    package = PackageVersion.objects.create(
        platform=source.platform, name=f"lib{number}", version=f"{yard.old}+b1", arch="amd64", key=source.key,
        source_name=source.source_name, source_version=source.source_version, source_key=source.source_key,
    )  # fmt: skip
    Installation.objects.create(host=host, package_version=package, installed_seen_at=yard.at)
    PendingUpdate.objects.create(
        host=host, name=package.name, arch="amd64", installed_version=package.version, seen_at=yard.at,
        candidate_version=f"{yard.world.update.fixed_version}+b1",
    )  # fmt: skip


def written(yard: Yard) -> list[Callable[[], Any]]:
    """Rows written past the verbs, each of which makes another plan."""
    first, second, third = yard.world.hosts
    open_ = Installation.objects.open()
    hosts, known = (first, second, third), {"machine_kind": "server", "virtualization": "kvm"}
    facts, said = Fact.objects.filter(host__in=hosts), {"source": "ssh", "seen_at": yard.at}
    bare = [Fact(host=host, key=key, value=value, **said) for host in hosts for key, value in known.items()]
    services = [make_service(f"on {host.name}", [host], yard.at) for host in hosts]
    items = ConfigurationItem.objects.filter(pk__in=[one.pk for one in services])
    return [
        lambda: Fact.objects.bulk_create(bare),
        lambda: items.update(state="retired"),
        lambda: items.update(kind="database", state="in_service"),
        lambda: Relation.objects.filter(source__in=services).delete(),
        lambda: facts.filter(key="machine_kind").update(value="workstation"),
        lambda: facts.filter(key="virtualization").update(value="vmware"),
        lambda: Host.objects.filter(pk=first.pk).update(machine_id="f" * 32),
        lambda: open_.filter(host=second, package_version__name=yard.world.update.name).update(gone_seen_at=yard.at),
        lambda: rebuilt(yard, third, 1),
        lambda: PendingUpdate.objects.filter(host=third).update(candidate_version="9"),
        lambda: Host.objects.filter(pk=third.pk).update(name="renamed"),
    ]


def assert_right(ask: Ask, anew: Ask, writes: list[Callable[[], Any]]) -> None:
    told, most = asked(ask)
    assert told == anew()
    again, fewer = asked(ask)
    assert (again, fewer < most / 2) == (told, True), (fewer, most)
    for number, write in enumerate(writes):
        write()
        now = ask()
        assert now == anew() != told, number
        told = now


def test_the_plan_of_a_release_is_made_anew_only_when_a_row_of_it_was_written(yard: Yard) -> None:
    release = stages.planned(yard)
    fresh: Callable[[], Release] = lambda: Release.objects.get(pk=release.pk)  # noqa: E731
    assert_right(
        lambda: plan_digests.digest_of_release(fresh(), at=yard.at),
        lambda: planned_document(fresh(), at=yard.at)[0],
        [
            *written(yard),
            lambda: PlannedRing.objects.filter(release=release).update(soak_seconds=7),
            lambda: release.planned_windows.update(revision=9),
        ],
    )


def test_the_plan_of_a_built_release_too(yard: Yard) -> None:
    release = stages.in_testing(yard)
    first = yard.world.hosts[0]
    assert_right(
        lambda: plan_digests.digest_of_release(release, at=yard.at),
        lambda: planned_document(release, at=yard.at)[0],
        [lambda: Host.objects.filter(pk=first.pk).update(machine_id="e" * 32), lambda: release.planned_hosts.get(host=first).delete()],
    )  # fmt: skip


def test_the_sketch_of_a_change_too(yard: Yard) -> None:
    rfc = made.awaiting(yard.world, host_ids=[host.pk for host in yard.world.hosts])
    given = {"executor": "fake", "at": yard.at}
    assert_right(
        lambda: plan_digests.digest_of_rfc(RFC.objects.get(pk=rfc.pk), yard.profile, **given),
        lambda: sketch(RFC.objects.get(pk=rfc.pk), yard.profile, **given).digest,
        [*written(yard), lambda: ServiceWindow.objects.update(revision=9)],
    )


def test_many_classes_of_machine_leave_no_ring_of_a_sketch_empty(yard: Yard) -> None:
    hosts = [made.make_host(at=yard.at) for _n in range(27)]
    made.miss(yard.world.update, hosts, at=yard.at)
    every = [*yard.world.hosts, *hosts]
    for number, host in enumerate(every):
        Fact.objects.create(host=host, key="product", value=f"model {number % 28}", source="ssh", seen_at=yard.at)
    rfc = made.awaiting(yard.world, host_ids=[host.pk for host in every])
    document = sketch(rfc, yard.profile, executor="fake", at=yard.at).document
    places = [one["ring"] for one in document["hosts"]]
    assert [ring["name"] for ring in document["rings"]] == ["Pilot", "Early", "All others"]
    assert [places.count(ring) for ring in range(3)] == [1, 3, 26]


def test_binaries_numbered_apart_cost_one_query_however_many(yard: Yard) -> None:
    release = stages.composed(yard)
    counted = []
    for number in range(1, 7):
        rebuilt(yard, yard.world.hosts[number % 2], number)
        with CaptureQueriesContext(connection) as queries:
            plans = class_plans(release)
        counted.append(len(queries) - 2 * len(plans))  # two for each class: whom to ask
    fixed = yard.world.update.fixed_version
    versions = {(one.name, one.version) for plan in plans for one in plan.wanted}
    assert versions == {("openssl", fixed), *((f"lib{n}", f"{fixed}+b1") for n in range(1, 7))}
    assert len(set(counted[1:])) == 1, counted
