"""Trial mode: the whole month with the real estate, and no host is touched; nothing of it ever runs or counts for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changes.domain import rfcs
from changes.models import RFC, Evidence
from cmdb.domain import baselines
from cmdb.models import Baseline
from patchflow.kernel import registry, trial
from patchflow.kernel.errors import Blocked, Invalid
from releases.domain import acceptance, advance, builds, releases
from releases.domain.trials import acting
from releases.executors.base import Batch
from releases.executors.simulator_ledger import SimulatorLedger
from releases.executors.simulator_plan import Habits
from releases.models import Job, PermissionSlip, Release, Rollout
from tests.factories import changes as made
from tests.factories.releases import OLD, Yard, building, composed, in_testing, manifest_of, ready, rfc_of
from tests.factories.rollouts import Deployment
from tests.releases.domain.test_reviews import completed, rolled_out

pytestmark = pytest.mark.django_db
AT_ONCE = Habits(staging=(0.1, 0.2), installing=(0.1, 0.2), restarting=(0.1, 0.2), verifying=(0.1, 0.2))


@pytest.fixture(autouse=True)
def hurried(now: datetime, tmp_path: Path) -> Iterator[None]:
    """The simulator of this process lives in its own time, a second for every question."""
    simulator: Any = registry.executors["simulator"]
    kept, at = dict(vars(simulator)), [now]

    def clock() -> datetime:
        at[0] += timedelta(seconds=1)
        return at[0]

    simulator.clock, simulator.habits = clock, AT_ONCE
    simulator.ledger = SimulatorLedger(tmp_path / "simulated.sqlite3")
    yield
    vars(simulator).clear()
    vars(simulator).update(kept)


def enter(yard: Yard) -> None:
    trial.enter(reason="Before the first real month.", actor=yard.cast.ada, at=yard.at)


def leave(yard: Yard) -> None:
    trial.leave(reason="The month was walked.", actor=yard.cast.ada, at=yard.at)


def untouched(yard: Yard) -> bool:
    """Whether every machine is as it was, and was ordered nothing."""
    machines = [*(yard.machine(host) for host in yard.world.hosts), yard.machine(yard.test_host)]
    return not yard.executor.orders and all(m.packages == {yard.world.update.name: OLD} for m in machines)


def test_a_trial_walks_the_whole_month_and_touches_no_host(yard: Yard) -> None:
    enter(yard)
    release = ready(yard, executor="")
    assert (release.trial, release.executor) == (True, "simulator")
    assert manifest_of(release).document["trial"] is True
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    release = rolled_out(yard, release)
    assert (release.state, release.outcome) == ("deployed", "full")
    completed(yard, release)
    release = releases.accept(release_id=release.pk, actor=yard.cast.rex, at=yard.at + timedelta(days=3))
    rfc = RFC.objects.get(pk=release.rfc_ids()[0])
    rfc = rfcs.close(rfc_id=rfc.pk, code="successful", actor=yard.cast.che, at=yard.at + timedelta(days=3))
    assert (rfc.state, rfc.trial) == ("closed", True)
    assert all(text.startswith("Trial: ") for text in Evidence.objects.values_list("summary", flat=True))
    assert Job.objects.filter(state="succeeded").count() == len(yard.world.hosts)
    assert Rollout.objects.get().executor == "simulator"
    assert untouched(yard)


def test_a_baseline_of_a_trial_is_not_adopted(yard: Yard) -> None:
    test_a_trial_walks_the_whole_month_and_touches_no_host(yard)
    assert not Baseline.objects.exists(), "it proposes none by itself"
    manifest = manifest_of(Release.objects.get())
    [one] = manifest.document["classes"]
    baseline = baselines.propose_from(
        platform_id=made.make_platform().pk, source_digest=manifest.digest, actor=yard.cast.cora, at=yard.at,
        items=[(p["name"], p["arch"], p["to"]) for p in one["packages"]],
    )  # fmt: skip
    for _mode in ("in the trial", "after it"):
        with pytest.raises(Blocked, match="trial"):
            baselines.adopt(baseline_id=baseline.pk, actor=yard.cast.cora, at=yard.at)
        if trial.active():
            leave(yard)


def test_in_a_trial_no_release_is_composed_for_another_executor(yard: Yard) -> None:
    enter(yard)
    rfc = rfc_of(yard)
    with pytest.raises(Invalid, match="Only the simulator acts"):
        composed(yard, rfc, executor="fake")


def test_a_real_change_waits_in_a_trial(yard: Yard) -> None:
    rfc = rfc_of(yard)
    enter(yard)
    with pytest.raises(Blocked, match="was made before, for real"):
        composed(yard, rfc, executor="")
    with pytest.raises(Blocked, match="was made before, for real"):
        rfcs.begin(rfc_id=rfc.pk, actor=yard.cast.rex, at=yard.at)


def test_a_change_of_a_trial_goes_on_in_it_alone(yard: Yard) -> None:
    enter(yard)
    authorized, submitted = rfc_of(yard), made.submitted(yard.world)
    leave(yard)
    with pytest.raises(Blocked, match="never counts as real"):
        composed(yard, authorized)
    with pytest.raises(Blocked, match="never counts as real"):
        rfcs.evaluate(rfc_id=submitted.pk, actor=yard.cast.che, at=yard.at)
    assert rfcs.cancel(rfc_id=submitted.pk, reason="Over.", actor=yard.cast.ann, at=yard.at).state == "cancelled"


def test_what_a_trial_signed_is_another_document(yard: Yard) -> None:
    real = made.draft(yard.world)
    enter(yard)
    tried = made.draft(yard.world)
    assert "trial" not in real.change_document()
    assert tried.change_document()["trial"] is True


def test_a_release_sealed_in_a_trial_does_not_start_for_real(yard: Yard) -> None:
    enter(yard)
    release = ready(yard, executor="")
    leave(yard)
    with pytest.raises(Blocked, match="never counts as real"):
        releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    assert untouched(yard)


def test_a_rollout_of_a_trial_halts_when_the_trial_is_left(yard: Yard) -> None:
    enter(yard)
    release = ready(yard, executor="")
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    leave(yard)
    rollout = Rollout.objects.get(release=release)
    advance.advance(rollout_id=rollout.pk, now=yard.at.replace(hour=22, minute=5))
    rollout.refresh_from_db()
    assert rollout.state == "halted"
    assert "sealed in trial mode" in rollout.reason
    assert not Job.objects.exclude(state="pending").exists()


def test_a_real_rollout_waits_while_there_is_a_trial(yard: Yard) -> None:
    release = ready(yard)
    releases.deploy(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    ordered = len(yard.executor.orders)
    enter(yard)
    rollout, night = Rollout.objects.get(release=release), yard.at.replace(hour=22, minute=5)
    advance.advance(rollout_id=rollout.pk, now=night)
    slip = PermissionSlip.objects.filter(rollout=rollout, job__isnull=True).latest("pk")
    assert (slip.verdict, "trial mode: nothing is executed on hosts" in slip.statement) == ("defer", True)
    assert set(Job.objects.values_list("state", flat=True)) == {"pending"}
    assert len(yard.executor.orders) == ordered
    leave(yard)
    assert rolled_out(yard, release).state == "deployed"


def test_a_real_release_is_neither_built_nor_tested_in_a_trial(yard: Yard) -> None:
    planned, tested = building(yard), in_testing(yard)
    before = len(yard.executor.orders)
    enter(yard)
    builds.run(build_id=planned.builds.get().pk, owner="test", now=yard.at)
    assert "nothing is executed on hosts" in planned.builds.get().reason.lower()
    with pytest.raises(Blocked, match="othing is executed"):
        acceptance.request_runs(release_id=tested.pk, actor=yard.cast.tia, at=yard.at)
    assert len(yard.executor.orders) == before


def test_the_last_door_lets_no_order_out(yard: Yard) -> None:
    """Whatever a gate overlooks: a real executor in a trial starts nothing, and may still be asked."""
    enter(yard)
    with pytest.raises(Blocked, match="othing is executed"):
        acting("fake").start(Batch(orders=()))
    assert acting("fake").name == "fake"
    assert acting("simulator") is registry.executors["simulator"]
    leave(yard)
    assert acting("fake") is registry.executors["fake"]


def test_no_trial_begins_while_hosts_are_worked_on(make: Callable[..., Deployment]) -> None:
    deployment = make()
    deployment.start()
    deployment.tick()
    Rollout.objects.update(executor="fake")
    with pytest.raises(Blocked, match="at work on hosts"):
        trial.enter(reason="Try", actor=deployment.cast.ada, at=deployment.clock.at)
    assert not trial.active()


def test_in_production_the_simulator_acts_in_a_trial_only(yard: Yard, settings: Any) -> None:
    settings.PRODUCTION = True
    with pytest.raises(Invalid, match="in trial mode only"):
        composed(yard, executor="simulator")
    enter(yard)
    assert composed(yard, made.authorized(yard.world), executor="").executor == "simulator"
