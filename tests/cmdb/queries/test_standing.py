"""Groups and classes against the baselines in force: five results that share the hosts out, and the reason of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmdb.domain import baselines, discrepancies, exemptions, inventory
from cmdb.enums import BaselineResult
from cmdb.models import Baseline, Host, HostGroup
from cmdb.queries import standing
from cmdb.queries.baselines import compliance
from patchflow.kernel import signoffs
from patchflow.kernel.errors import Conflict, NotAllowed
from tests.factories.cmdb import make_group, make_host, make_package, make_platform, make_report
from tests.factories.people import Cast

WANTED = "3.0.17-1"
ITEMS = [("openssl", "amd64", WANTED), ("bash", "amd64", "5.2-2")]
OPENSSL = make_package("openssl", WANTED)


def in_force(cast: Cast, at: datetime, name: str = "web", **fields: Any) -> Baseline:
    said = {"name": name, "platform_id": make_platform().pk, "items": ITEMS, "actor": cast.cora, "at": at}
    made = baselines.propose(**{**said, **fields})
    round_ = signoffs.open_round_of(made)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=cast.sam, at=at)
    made.refresh_from_db()
    return made


def scanned(host: Host, cast: Cast, at: datetime, *packages: Any, **fields: Any) -> Host:
    report = make_report(host, packages=packages or (OPENSSL,), collected_at=at, **fields)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=at)
    host.refresh_from_db()
    return host


def estate(cast: Cast, now: datetime, group: HostGroup) -> dict[str, Host]:
    """One host of each kind, named by its result and why."""
    hosts = {
        name: make_host(name, groups=[group])
        for name in ("at", "below", "above", "exempt", "unknown-odd", "unknown-stale")
    }
    scanned(hosts["at"], cast, now)
    scanned(hosts["below"], cast, now, replace(OPENSSL, version="3.0.9-1"))
    scanned(hosts["above"], cast, now, replace(OPENSSL, version="3.0.18-1"))
    scanned(hosts["exempt"], cast, now, replace(OPENSSL, version="3.0.9-1"))
    scanned(hosts["unknown-odd"], cast, now, replace(OPENSSL, version="3.0 beta"))
    scanned(hosts["unknown-stale"], cast, now - timedelta(days=4))
    hosts["unknown-never"] = make_host("unknown-never", groups=[group])
    asked = exemptions.request(
        kind="baseline", subject="web", host_id=hosts["exempt"].pk, reason="Pinned.", compensating_control="Behind a wall.",
        expires_at=now + timedelta(days=1), actor=cast.cora, at=now,
    )  # fmt: skip
    exemptions.grant(exemption_id=asked.pk, actor=cast.sam, at=now)
    return hosts


def test_of_group_gives_every_member_one_result_and_its_reason(cast: Cast, now: datetime) -> None:
    group = make_group("shop")
    in_force(cast, now)
    hosts = estate(cast, now, group)
    make_host("elsewhere", platform=make_platform())
    found = standing.of_group(group, at=now)
    assert {row.host_name: str(row.result) for row in found.hosts} == {name: name.split("-")[0] for name in hosts}
    assert found.counts() == {"below": 1, "at": 1, "above": 1, "exempt": 1, "unknown": 3}
    assert sum(found.counts().values()) == found.total == len(hosts)
    assert found.ids("below") == [hosts["below"].pk]
    assert (found.interval.good, found.interval.unknown, found.interval.bad) == (2, 3, 1)
    assert found.oldest_at == now - timedelta(days=4)


def test_of_group_without_a_baseline_is_unknown(cast: Cast, now: datetime) -> None:
    group = make_group("shop")
    scanned(make_host("web-1", groups=[group]), cast, now)
    (row,) = standing.of_group(group, at=now).hosts
    assert (row.result, row.baseline) == (BaselineResult.UNKNOWN, None)


def test_a_group_is_judged_by_its_own_baseline_before_that_of_the_platform(cast: Cast, now: datetime) -> None:
    group, other = make_group("pinned"), make_group("plain")
    in_force(cast, now)
    in_force(cast, now, "pinned", group_id=group.pk, items=[("openssl", "amd64", "3.0.9-1")])
    host = scanned(make_host("web-1", groups=[group, other]), cast, now, replace(OPENSSL, version="3.0.9-1"))
    assert [str(r.result) for r in standing.of_group(group, at=now).hosts] == ["at"]
    assert [str(r.result) for r in standing.of_group(other, at=now).hosts] == ["below"]
    assert standing.of_groups(at=now, actor=cast.cora)[other.pk].ids("below") == [host.pk]


def test_all_pages_count_the_same(cast: Cast, now: datetime) -> None:
    group = make_group("shop")
    plain, own = in_force(cast, now), in_force(cast, now, "own", group_id=group.pk)
    estate(cast, now, group)
    scanned(make_host("outside"), cast, now)
    assert standing.of_groups(at=now, actor=cast.cora)[group.pk] == standing.of_group(group, at=now)
    by_class = {b.pk: s.counts() for b, s in standing.of_classes(at=now, actor=cast.cora)}
    assert by_class == {b.pk: standing.of_baseline(b, at=now).counts() for b in (plain, own)}
    for baseline in (plain, own):
        assert [r.found for r in standing.of_baseline(baseline, at=now).hosts] == sorted(
            compliance(baseline, at=now).hosts, key=lambda r: (standing.ORDER.index(r.result), r.host_name)
        )


def test_who_sees_no_host_sees_no_figure(cast: Cast, now: datetime) -> None:
    group = make_group("shop")
    in_force(cast, now)
    estate(cast, now, group)
    assert standing.of_group(group, at=now, actor=cast.eve).total == 0
    assert standing.of_groups(at=now, actor=cast.eve) == {}


def test_of_groups_and_classes_ask_a_fixed_number_of_queries(cast: Cast, now: datetime) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            standing.of_groups(at=now, actor=cast.cora)
            standing.of_classes(at=now, actor=cast.cora)
        return len(queries)

    numbers = []
    for n in (1, 2, 3):
        group = make_group(f"group {n}")
        in_force(cast, now, f"class {n}", group_id=group.pk)
        scanned(make_host(f"web-{n}", groups=[group]), cast, now)
        numbers.append(asked())
    assert numbers[1] == numbers[2] <= 20


VERSIONS = st.sampled_from(["3.0.9-1", WANTED, "3.0.18-1", "3.0 beta", ""])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.tuples(VERSIONS, VERSIONS, st.sampled_from([0, 3]), st.booleans()), max_size=6))
def test_five_results_partition_the_hosts(cast: Cast, now: datetime, data: list[Any]) -> None:
    """Whatever hosts report: each has exactly one result, and the figures are the lengths of the lists behind them."""
    group = make_group("")
    Baseline.objects.filter(state="approved").update(state="retired")
    baseline = in_force(cast, now, f"drawn {group.pk}")
    for n, (first, second, age, member) in enumerate(data):
        host = make_host(f"drawn-{group.pk}-{n}", groups=[group] if member else [])
        packages = [make_package(p, v) for p, v in (("openssl", first), ("bash", second)) if v]
        scanned(host, cast, now - timedelta(days=age), *(packages or [make_package("htop", "1-1")]))
    for found in (standing.of_group(group, at=now), standing.of_baseline(baseline, at=now)):
        lists = [found.ids(name) for name in BaselineResult.values]
        assert sorted(pk for each in lists for pk in each) == sorted(row.host_id for row in found.hosts)
        assert [len(each) for each in lists] == [found.counts()[name] for name in BaselineResult.values]
        assert found.interval.total == found.total
    assert standing.of_group(group, at=now).total == sum(member for *_rest, member in data)


# --- reasons ------------------------------------------------------------------------------------------------------------
def test_reasons_name_each_package_beside_the_wanted_version(cast: Cast, now: datetime) -> None:
    baseline = in_force(cast, now, items=[*ITEMS, ("zlib", "amd64", "1-1"), ("curl", "amd64", "8-1")])
    packages = [
        replace(OPENSSL, version="3.0.9-1"),
        make_package("bash", "5.3-1"),
        make_package("zlib", "1 b"),
        make_package("htop", "1-1"),
    ]
    host = scanned(make_host("web-1"), cast, now, *packages)
    assert [(r.package, r.installed, r.wanted, str(r.verdict)) for r in standing.reasons(host, baseline)] == [
        ("openssl", "3.0.9-1", WANTED, "below"),
        ("zlib", "1 b", "1-1", "unknown"),
        ("bash", "5.3-1", "5.2-2", "above"),
    ]
    assert standing.absent(host, baseline) == [("curl", "8-1")]


def test_of_an_rpm_package_beside_an_older_one_the_newest_counts(cast: Cast, now: datetime) -> None:
    platform = make_platform("almalinux", "9", "x86_64", ecosystem="rpm")
    kernel = make_package("kernel-core", "5.14.0-570.el9", arch="x86_64", source_name="kernel")
    baseline = in_force(cast, now, platform_id=platform.pk, items=[("kernel-core", "x86_64", "5.14.0-611.el9")])
    host = scanned(
        make_host("alma-1"), cast, now, kernel, replace(kernel, version="5.14.0-611.el9"), distribution="almalinux",
        release="9", codename="", package_manager="rpm",
    )  # fmt: skip
    assert host.platform == platform
    assert [(r.installed, str(r.verdict)) for r in standing.reasons(host, baseline)] == [("5.14.0-611.el9", "at")]
    assert [str(r.result) for r in standing.of_baseline(baseline, at=now).hosts] == ["at"]


# --- above: who changed this? ---------------------------------------------------------------------------------------------
def test_above_is_explained_until_something_newer_appears(cast: Cast, now: datetime) -> None:
    baseline = in_force(cast, now)
    host = scanned(make_host("web-1"), cast, now, replace(OPENSSL, version="3.0.18-1"))
    later = now + timedelta(hours=1)
    said = {"host_id": host.pk, "baseline_id": baseline.pk, "how": "explain", "reason": "Otto tested it by hand."}
    for person in (cast.eve, cast.otto, cast.root):
        with pytest.raises(NotAllowed):
            discrepancies.explain_above(**said, actor=person, at=later)
    found = discrepancies.explain_above(**said, actor=cast.cora, at=later)
    assert (found.kind, found.state, found.detail["packages"]) == (
        "above_baseline", "explained", {"openssl:amd64": ["3.0.18-1", WANTED]},
    )  # fmt: skip
    assert [row.explained for row in standing.of_baseline(baseline, at=later).hosts] == [True]
    scanned(host, cast, later + timedelta(hours=1), replace(OPENSSL, version="3.0.19-1"))
    assert [row.explained for row in standing.of_baseline(baseline, at=later + timedelta(hours=1)).hosts] == [False]


def test_explain_is_refused_where_nothing_is_above(cast: Cast, now: datetime) -> None:
    baseline = in_force(cast, now)
    host = scanned(make_host("web-1"), cast, now)
    with pytest.raises(Conflict):
        discrepancies.explain_above(
            host_id=host.pk, baseline_id=baseline.pk, how="explain", reason="x", actor=cast.cora, at=now
        )
