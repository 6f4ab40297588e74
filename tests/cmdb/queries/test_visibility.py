"""Eve sees nothing; a scoped grant sees its group; everything else is nobody's."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.domain import baselines, discrepancies, exemptions, inventory, scans, windows
from cmdb.enums import DiscrepancyKind
from cmdb.models import (
    Baseline,
    ConfigurationItem,
    Discrepancy,
    Exemption,
    Host,
    HostGroup,
    Installation,
    ScanRun,
    ServiceWindow,
)
from cmdb.queries.hosts import target_facts
from cmdb.queries.software import installed, package_counts, packages_of, pending_counts, pending_of
from tests.factories.cmdb import (
    make_connection,
    make_group,
    make_host,
    make_package,
    make_pending,
    make_platform,
    make_report,
)
from tests.factories.people import Cast, make_user

MODELS = [ConfigurationItem, Host, HostGroup, Installation, ScanRun, ServiceWindow, Baseline, Exemption, Discrepancy]


@pytest.fixture
def two_groups(cast: Cast, now: datetime) -> tuple[HostGroup, HostGroup]:
    """The same of everything in two groups."""
    groups = make_group("mine"), make_group("other")
    for group in groups:
        host = make_host(f"{group}-host", groups=[group])
        make_connection(host, accepted_by=cast.cora)
        inventory.record(host_id=host.pk, report=make_report(host), source="ssh", actor=cast.bot, at=now)
        scans.request(host_ids=[host.pk], actor=cast.otto, at=now)
        windows.add(
            name=f"{group}",
            starts_local=time(2),
            length_minutes=60,
            from_on=date(2026, 1, 1),
            group_ids=[group.pk],
            actor=cast.cora,
            at=now,
        )
        baselines.propose(
            name=f"{group}",
            platform_id=make_platform().pk,
            group_id=group.pk,
            items=[("bash", "amd64", "5.2.15-2")],
            actor=cast.cora,
            at=now,
        )
        exemptions.request(
            kind="package",
            subject="bash",
            group_id=group.pk,
            reason="x",
            compensating_control="y",
            expires_at=now + timedelta(days=1),
            actor=cast.cora,
            at=now,
        )
        discrepancies.note(
            host=host, kind=DiscrepancyKind.CLONE, key="k", sentence="s", source="x", actor=cast.bot, at=now
        )
    return groups


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_visible_to(model: type, two_groups: tuple[HostGroup, HostGroup], cast: Cast) -> None:
    mine, _other = two_groups
    rows = model.objects  # type: ignore[attr-defined]
    everything = rows.count()
    scoped = make_user("mona", "reader", scope=mine.scope_key)
    nowhere = make_user("nils", "reader", scope="group:999999")
    assert everything >= 2
    assert rows.all().visible_to(cast.ann).count() == everything
    assert rows.all().visible_to(scoped).count() == everything / 2
    for person in (cast.eve, cast.root, nowhere, make_user("ian", "requester", is_active=False)):
        assert rows.all().visible_to(person).count() == 0


def test_visible_to_says_which(two_groups: tuple[HostGroup, HostGroup], cast: Cast) -> None:
    mona = make_user("mona", "reader", scope=two_groups[0].scope_key)
    assert [h.name for h in Host.objects.visible_to(mona)] == ["mine-host"]
    assert [w.name for w in ServiceWindow.objects.all().visible_to(mona)] == ["mine"]
    assert [h.name for h in Host.objects.all().within(mona, "host.edit")] == []


@pytest.mark.parametrize("number", [1, 3])
def test_target_facts_asks_four_queries(cast: Cast, now: datetime, number: int) -> None:
    group = make_group()
    hosts = [make_host(groups=[group], platform=make_platform()) for _ in range(number)]
    with CaptureQueriesContext(connection) as queries:
        facts = target_facts([h.pk for h in hosts], at=now)
    assert len(queries) == 4
    assert {f.platform_label for f in facts.values()} == {"debian-12-amd64"}
    assert {f.fingerprint for f in facts.values()} == {h.fingerprint for h in hosts}


def test_software_questions(cast: Cast, now: datetime) -> None:
    host = make_host("web-01")
    packages = (make_package("kernel", "6.1.9-1"), make_package("kernel", "6.1.10-1"), make_package("bash", "5.2.15-2"))
    pending = (
        make_pending("bash", "5.2.15-2", "5.2.16-1", security=None),
        make_pending("kernel", "6.1.10-1", "6.1.11-1", security=False),
        make_pending("zlib", "1-1", "2-1"),
    )
    report = make_report(host, packages=packages, pending=pending)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=now)
    assert installed([host.pk], ["kernel"]) == {(host.pk, "kernel", "amd64"): "6.1.10-1"}
    assert package_counts([host.pk, 0]) == {host.pk: 3}
    assert pending_counts([host.pk]) == {host.pk: (3, 1)}
    assert [p.name for p in pending_of(host.pk)] == ["zlib", "kernel", "bash"]
    assert [i.package_version.name for i in packages_of(host.pk)] == ["bash", "kernel", "kernel"]
