"""Baselines: signed by another person, superseded by the next, adopted only what was signed elsewhere; honest results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cmdb.domain import baselines, exemptions, inventory
from cmdb.enums import BaselineResult, BaselineState
from cmdb.models import Baseline, Host
from cmdb.queries.baselines import compliance, interval, of_host
from patchflow.kernel import audit, fsm, registry, signoffs, workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from patchflow.kernel.models import RoleGrant
from tests.factories.cmdb import make_group, make_host, make_package, make_platform, make_report
from tests.factories.people import Cast

ITEMS = [("openssl", "amd64", "3.0.17-1~deb12u3"), ("bash", "amd64", "5.2.15-2")]


def propose(cast: Cast, now: datetime, **fields: Any) -> Baseline:
    said = {"name": "web", "platform_id": make_platform().pk, "items": ITEMS, "actor": cast.cora, "at": now}
    return baselines.propose(**{**said, **fields})


def sign(baseline: Baseline, cast: Cast, now: datetime, verdict: str = "approve", comment: str = "") -> None:
    round_ = signoffs.open_round_of(baseline)
    assert round_ is not None
    signoffs.decide(round_id=round_.pk, verdict=verdict, comment=comment, actor=cast.sam, at=now)
    baseline.refresh_from_db()


def scanned(name: str, cast: Cast, now: datetime, *packages: Any, **fields: Any) -> Host:
    host = make_host(name, **fields)
    report = make_report(host, packages=packages or (make_package("openssl", "3.0.17-1~deb12u3"),), collected_at=now)
    inventory.record(host_id=host.pk, report=report, source="ssh", actor=cast.bot, at=now)
    host.refresh_from_db()
    return host


def test_diagram() -> None:
    assert fsm.diagram("cmdb.baseline") == {
        ("draft", "propose", "proposed"),
        ("proposed", "approve", "approved"),
        ("proposed", "adopt", "approved"),
        ("proposed", "refuse", "draft"),
        ("approved", "supersede", "superseded"),
        ("approved", "retire", "retired"),
    }


def test_propose_asks_the_security_officers(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    round_ = signoffs.open_round_of(baseline)
    assert round_ is not None
    assert (baseline.state, baseline.version) == (BaselineState.PROPOSED, 1)
    assert [v.user for v in round_.levels.get().voters.all()] == [cast.sam]
    sign(baseline, cast, now)
    assert (baseline.state, baseline.approved_at) == (BaselineState.APPROVED, now)


def test_approved_supersedes_the_version_before(cast: Cast, now: datetime) -> None:
    first = propose(cast, now)
    sign(first, cast, now)
    second = propose(cast, now, items=[("openssl", "amd64", "3.0.18-1")])
    sign(second, cast, now)
    first.refresh_from_db()
    assert (first.state, second.state, second.version) == (BaselineState.SUPERSEDED, BaselineState.APPROVED, 2)


def test_refused_goes_back_to_draft(cast: Cast, now: datetime) -> None:
    first = propose(cast, now)
    sign(first, cast, now)
    second = propose(cast, now)
    sign(second, cast, now, "refuse", "Too old.")
    first.refresh_from_db()
    assert (first.state, second.state) == (BaselineState.APPROVED, BaselineState.DRAFT)


def test_proposer_cannot_sign(cast: Cast, now: datetime) -> None:
    RoleGrant.objects.create(user=cast.cora, role="security_officer")
    cast.cora.refresh_from_db()
    baseline = propose(cast, now)
    round_ = signoffs.open_round_of(baseline)
    assert round_ is not None
    with pytest.raises(NotAllowed):
        signoffs.decide(round_id=round_.pk, verdict="approve", comment="", actor=cast.cora, at=now)


def test_approve_without_a_round_is_refused(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    with pytest.raises(Blocked):
        workflow.fire(Baseline, baseline.pk, "approve", actor=cast.sam, at=now)


@pytest.mark.parametrize("items", [[], [("a", "amd64", "1"), ("a", "amd64", "2")], [("a", "", "1")]])
def test_propose_refuses_unusable_items(cast: Cast, now: datetime, items: list[tuple[str, str, str]]) -> None:
    with pytest.raises((Blocked, Invalid)):
        propose(cast, now, items=items)
    assert not Baseline.objects.filter(state=BaselineState.PROPOSED).exists()


def test_propose_needs_the_right(cast: Cast, now: datetime) -> None:
    for person in (cast.eve, cast.otto, cast.sam, cast.root):
        with pytest.raises(NotAllowed):
            propose(cast, now, actor=person)
    assert not Baseline.objects.exists()


@pytest.fixture
def only_our_gate() -> Iterator[list[Any]]:
    """The gates of `adopt` as they are without an app above; a test may add a voucher."""
    known = registry._gates["cmdb.baseline.adopt"]
    registry._gates["cmdb.baseline.adopt"] = [baselines.find_adopt_blockers]
    yield registry._gates["cmdb.baseline.adopt"]
    registry._gates["cmdb.baseline.adopt"] = known


def test_adopt_needs_somebody_to_vouch(cast: Cast, now: datetime, only_our_gate: list[Any]) -> None:
    plain = propose(cast, now)
    with pytest.raises(Blocked, match="not taken from a signed manifest"):
        baselines.adopt(baseline_id=plain.pk, actor=cast.cora, at=now)
    taken = propose(cast, now, name="other", source_digest="d" * 64)
    with pytest.raises(Blocked, match="Nothing here can tell"):
        baselines.adopt(baseline_id=taken.pk, actor=cast.cora, at=now)
    only_our_gate.append(lambda baseline, **_: [])
    assert baselines.adopt(baseline_id=taken.pk, actor=cast.cora, at=now).state == BaselineState.APPROVED


def test_propose_from_a_manifest_keeps_what_it_does_not_name(
    cast: Cast, now: datetime, only_our_gate: list[Any]
) -> None:
    platform = make_platform()
    first = propose(cast, now, name=str(platform))
    sign(first, cast, now)
    only_our_gate.append(lambda baseline, **_: [])
    news = [("openssl", "amd64", "3.0.17-1~deb12u4")]
    second = baselines.propose_from(platform_id=platform.pk, items=news, source_digest="d" * 64, actor=cast.bot, at=now)
    assert second.state == BaselineState.APPROVED
    assert sorted(second.items.values_list("name", "version")) == [
        ("bash", "5.2.15-2"),
        ("openssl", "3.0.17-1~deb12u4"),
    ]
    first.refresh_from_db()
    assert first.state == BaselineState.SUPERSEDED


def test_propose_from_waits_where_nobody_vouches(cast: Cast, now: datetime, only_our_gate: list[Any]) -> None:
    made = baselines.propose_from(
        platform_id=make_platform().pk, items=ITEMS, source_digest="d" * 64, actor=cast.bot, at=now
    )
    assert made.state == BaselineState.PROPOSED
    assert baselines.new_items(made) == sorted(ITEMS)
    assert baselines.request_approval(baseline_id=made.pk, actor=cast.cora, at=now).is_open
    draft = baselines.draft(name="x", platform_id=make_platform().pk, items=ITEMS, actor=cast.cora, at=now)
    with pytest.raises(Conflict):
        baselines.request_approval(baseline_id=draft.pk, actor=cast.cora, at=now)


def test_retire(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    with pytest.raises(Conflict):
        baselines.retire(baseline_id=baseline.pk, reason="x", actor=cast.cora, at=now)
    sign(baseline, cast, now)
    baselines.retire(baseline_id=baseline.pk, reason="Replaced.", actor=cast.cora, at=now)
    baseline.refresh_from_db()
    assert (baseline.state, audit.history(baseline).first().verb) == (  # type: ignore[union-attr]
        BaselineState.RETIRED,
        "cmdb.baseline.retired",
    )


# --- results ------------------------------------------------------------------------------------------------------------
def result(baseline: Baseline, host: Host, at: datetime) -> str:
    return next(r.result for r in compliance(baseline, at=at).hosts if r.host_id == host.pk)


def test_compliance_of_each_kind(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    openssl = make_package("openssl", "3.0.17-1~deb12u3")
    exact = scanned("at", cast, now, openssl, make_package("bash", "5.2.15-2"))
    below = scanned("below", cast, now, replace(openssl, version="3.0.9-1"), make_package("bash", "5.3-1"))
    above = scanned("above", cast, now, replace(openssl, version="3.0.17-1~deb12u10"))
    odd = scanned("odd", cast, now, replace(openssl, version="3.0 beta"))
    old = scanned("old", cast, now - timedelta(days=3), openssl)
    never = make_host("never", platform=make_platform())
    elsewhere = make_host("elsewhere", platform=make_platform(release="13"))
    seen = compliance(baseline, at=now)
    assert {r.host_name: str(r.result) for r in seen.hosts} == {
        exact.name: "at",
        below.name: "below",
        above.name: "above",
        odd.name: "unknown",
        old.name: "unknown",
        never.name: "unknown",
    }
    assert elsewhere.name not in {r.host_name for r in seen.hosts}
    assert seen.hosts[0].host_name == "below"
    row = next(r for r in seen.hosts if r.host_name == "below")
    assert (row.below, row.at, row.above, row.absent) == (1, 0, 1, 0)
    assert (seen.interval.good, seen.interval.unknown, seen.interval.bad) == (2, 3, 1)
    assert (round(seen.interval.low, 1), round(seen.interval.high, 1)) == (33.3, 83.3)


def test_compliance_package_that_is_not_there_is_absent(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    scanned("small", cast, now, make_package("bash", "5.2.15-2"))
    row = compliance(baseline, at=now).hosts[0]
    assert (str(row.result), row.absent) == ("at", 1)


def test_compliance_exempt_while_the_exemption_lasts(cast: Cast, now: datetime) -> None:
    baseline = propose(cast, now)
    host = scanned("below", cast, now, make_package("openssl", "1.0-1"))
    asked = exemptions.request(
        kind="baseline",
        subject="web",
        host_id=host.pk,
        reason="Vendor pins it.",
        compensating_control="Not reachable from outside.",
        expires_at=now + timedelta(hours=1),
        actor=cast.cora,
        at=now,
    )
    assert result(baseline, host, now) == BaselineResult.BELOW
    exemptions.grant(exemption_id=asked.pk, actor=cast.sam, at=now)
    assert result(baseline, host, now) == BaselineResult.EXEMPT
    assert result(baseline, host, now + timedelta(hours=2)) == BaselineResult.BELOW


def test_compliance_of_a_group_and_of_who_looks(cast: Cast, now: datetime) -> None:
    group = make_group("mine")
    scanned("in", cast, now, groups=[group])
    scanned("out", cast, now)
    make_host("silent", groups=[group])
    make_host("elsewhere", groups=[group], platform=make_platform(release="13"))
    baseline = propose(cast, now, group_id=group.pk)
    assert {r.host_name: str(r.result) for r in compliance(baseline, at=now).hosts} == {"in": "at", "silent": "unknown"}
    everywhere = propose(cast, now, name="all")
    assert [r.host_name for r in compliance(everywhere, at=now, actor=cast.eve).hosts] == []
    assert len(compliance(everywhere, at=now, actor=cast.ann).hosts) == 2


@pytest.mark.parametrize("number", [1, 3])
def test_compliance_asks_a_fixed_number_of_queries(cast: Cast, now: datetime, number: int) -> None:
    baseline = propose(cast, now)
    for index in range(number):
        scanned(f"host-{index}", cast, now)
    with CaptureQueriesContext(connection) as queries:
        assert len(compliance(baseline, at=now).hosts) == number
    assert len(queries) == 5


def test_of_host_lists_approved_ones(cast: Cast, now: datetime) -> None:
    group = make_group("mine")
    host = scanned("in", cast, now, groups=[group])
    sign(propose(cast, now, name="all"), cast, now)
    sign(propose(cast, now, name="mine", group_id=group.pk), cast, now)
    propose(cast, now, name="not yet")
    assert [(b.name, str(r.result)) for b, r in of_host(host, at=now)] == [("mine", "at"), ("all", "at")]


def test_interval_of_nobody_promises_nothing() -> None:
    assert (interval([]).low, interval([]).high) == (0.0, 100.0)
