"""Acceptance: installed, checked, taken back, installed again, by rows; what cannot be told is never a pass."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from changes.models import Evidence
from cmdb.domain import groups, points
from patchflow.kernel import workflow
from patchflow.kernel.errors import Blocked, Conflict, Invalid, NotAllowed
from releases.domain import acceptance, acceptance_work
from releases.executors.base import Way
from releases.models import AcceptanceRun, AcceptanceStep, Release
from releases.queries.releases import proof_of
from tests.factories.changes import make_host
from tests.factories.releases import NEW, OLD, Yard, building, composed, in_testing, install, planned, run_tests
from tests.fakes.repository import Package


def steps(run: AcceptanceRun) -> list[tuple[str, str]]:
    return list(run.steps.values_list("kind", "outcome"))


def test_a_run_walks_all_steps_and_sends_the_release_on(yard: Yard) -> None:
    release = in_testing(yard)
    (run,) = run_tests(yard, release)
    assert run.state == "passed"
    assert steps(run) == [(kind, "passed") for kind in ("resolve", "install", "way_back", "back", "reinstall")]
    assert [o.action for o in yard.executor.orders] == ["install", "rollback", "install"]
    assert yard.machine(yard.test_host).packages == {"openssl": NEW}
    release = Release.objects.get(pk=release.pk)
    assert release.state == "scheduling"
    proof = proof_of(release)
    assert (proof.passed, proof.asked, proof.back, proof.back_percent) == (1, 1, 1, 100)
    evidence = Evidence.objects.filter(rfc=release.rfc_ids()[0], kind__in=["acceptance", "rollback_rehearsal"])
    assert set(evidence.values_list("kind", "passed")) == {("acceptance", True), ("rollback_rehearsal", True)}


def test_the_files_of_the_way_back_are_registered_and_verified(yard: Yard) -> None:
    release = in_testing(yard)
    run_tests(yard, release)
    back = release.builds.get().artifacts.filter(use="back")
    assert [(row.artifact.package, row.artifact.version) for row in back] == [("openssl", OLD)]


def test_every_previous_version_of_the_class_must_have_a_way_back(yard: Yard) -> None:
    """One host has an even older version that the repository no longer lists: known before anybody approves."""
    from cmdb.models import Installation

    other = yard.world.hosts[2]
    Installation.objects.filter(host=other).update(gone_seen_at=yard.at)
    install(other, "openssl", "0.9-1", at=yard.at)
    release = in_testing(yard)
    (run,) = run_tests(yard, release)
    assert run.state == "failed"
    assert "0.9-1" in run.reason
    release = Release.objects.get(pk=release.pk)
    assert release.state == "planning"
    assert Evidence.objects.filter(rfc=release.rfc_ids()[0], kind="acceptance", passed=False).exists()


def test_an_update_that_cannot_be_taken_back_fails_where_a_way_back_was_promised(yard: Yard) -> None:
    yard.executor.no_way_back.add("openssl")
    release = in_testing(yard)
    (run,) = run_tests(yard, release)
    assert (run.state, "no way back" in run.reason.lower()) == ("failed", True)


def test_without_a_promise_a_missing_way_back_is_said_and_skipped(yard: Yard) -> None:
    from tests.factories.releases import rfc_of

    yard.executor.no_way_back.add("openssl")
    release = in_testing(yard, rfc_of(yard, way_back="none"))
    (run,) = run_tests(yard, release)
    assert run.state == "passed"
    assert steps(run)[2:] == [("way_back", "skipped"), ("back", "skipped"), ("reinstall", "skipped")]
    assert proof_of(release).back == 0


def test_a_failing_installation_sends_the_release_back_to_planning(yard: Yard) -> None:
    release = in_testing(yard)
    yard.machine(yard.test_host).fails.add("openssl")
    (run,) = run_tests(yard, release)
    assert (run.state, run.reason) == ("failed", "openssl did not configure")
    release = Release.objects.get(pk=release.pk)
    assert release.state == "planning"
    assert "openssl did not configure" in release.reason


def test_more_than_was_built_fails_the_run(yard: Yard) -> None:
    release = in_testing(yard)
    yard.repository.packages.append(Package("surprise", "1.0"))
    yard.executor.needs["openssl"] = {"surprise": "1.0"}
    (run,) = run_tests(yard, release)
    assert (run.state, "surprise 1.0" in run.reason) == ("failed", True)
    assert not yard.executor.orders, "nothing was ordered"


def test_a_host_that_has_it_already_shows_nothing(yard: Yard) -> None:
    release = in_testing(yard)
    yard.machine(yard.test_host).packages["openssl"] = NEW
    (run,) = run_tests(yard, release)
    assert run.state == "inconclusive"
    assert Release.objects.get(pk=release.pk).state == "testing", "an inconclusive run moves nothing"
    yard.machine(yard.test_host).packages["openssl"] = OLD
    (again,) = run_tests(yard, release)
    assert (again.number, again.state) == (2, "passed")


def test_a_silent_host_is_looked_at_and_nothing_is_ordered_twice(yard: Yard) -> None:
    """It took the order and is never heard of: the host's packages decide."""
    release = in_testing(yard)
    machine = yard.machine(yard.test_host)
    machine.silent = True
    (run,) = acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    for _ in range(2):
        AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
        acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at)
    assert len(yard.executor.orders) == 1
    machine.packages["openssl"] = NEW  # the installation went on without us
    AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
    acceptance_work.advance(run_id=run.pk, owner="other worker", now=yard.at)
    assert steps(AcceptanceRun.objects.get(pk=run.pk))[1] == ("install", "passed")
    assert len(yard.executor.orders) == 1


def test_a_refusal_that_may_pass_is_tried_again_under_new_keys_then_given_up(yard: Yard) -> None:
    release = in_testing(yard)
    yard.machine(yard.test_host).refuses = "dpkg_locked"
    (run,) = run_tests(yard, release, rounds=25)
    assert run.state == "inconclusive"
    keys = [o.job_key for o in yard.executor.orders]
    assert len(keys) == len(set(keys)) == acceptance_work.ATTEMPTS
    fences = [o.fence for o in yard.executor.orders]
    assert fences == sorted(fences)


def test_a_host_that_waits_for_its_point_uses_up_no_attempt(yard: Yard) -> None:
    release, cast = in_testing(yard), yard.cast
    group = groups.add(name="behind dp", host_ids=[yard.test_host.pk], actor=cast.cora, at=yard.at)
    given = {"name": "dp", "address": "http://dp.example.org:3142", "group_id": group.pk}
    point = points.add(**given, actor=cast.cora, at=yard.at)
    (run,) = run_tests(yard, release, rounds=acceptance_work.ATTEMPTS + 3)
    assert (run.state, yard.executor.orders, run.ordered.get("tried", 0)) == ("running", [], 0)
    assert (steps(run), yard.executor.rehearsed) == ([], [None]), "nor is it asked what it would do: only the build was"
    points.check(point_id=point.pk, actor=cast.otto, at=yard.at, ask=lambda _a: (True, "It answered within 3 ms."))
    for _ in range(20):
        AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
        acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at)
    run.refresh_from_db()
    assert run.state == "passed"
    assert [order.way.point for order in yard.executor.orders if order.way] == ["dp"] * 3
    way = Way(point="dp", address="http://dp.example.org:3142")
    assert yard.executor.rehearsed == [None, way, way], "forwards, and of the way back"


def test_a_run_that_waits_too_long_for_a_point_ends_inconclusive_and_says_why(yard: Yard) -> None:
    release, cast = in_testing(yard), yard.cast
    group = groups.add(name="behind dp", host_ids=[yard.test_host.pk], actor=cast.cora, at=yard.at)
    given = {"name": "dp", "address": "http://dp.example.org:3142", "group_id": group.pk}
    points.add(**given, actor=cast.cora, at=yard.at)
    (run,) = run_tests(yard, release, rounds=2)
    AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
    acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at + acceptance_work.PATIENCE + timedelta(seconds=1))
    run.refresh_from_db()
    assert run.state == "inconclusive"
    assert run.steps.get(outcome="unknown").summary == (
        "The test host cannot download: nobody knows whether dp answers (it was never checked): mend it, or say at the point "
        "that its hosts then download directly."
    )


def test_a_host_that_cannot_be_reached_ends_inconclusive_after_patience(yard: Yard) -> None:
    release = in_testing(yard)
    yard.machine(yard.test_host).away = True
    (run,) = run_tests(yard, release, rounds=2)
    assert run.state == "running"
    AcceptanceRun.objects.filter(pk=run.pk).update(not_before=None)
    acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at + acceptance_work.PATIENCE + timedelta(seconds=1))
    assert AcceptanceRun.objects.get(pk=run.pk).state == "inconclusive"


# --- planning and judging -------------------------------------------------------------------------------------------------
def test_plan_refuses_production_hosts_that_are_no_target(yard: Yard) -> None:
    stranger = make_host("lonely", at=yard.at)
    release = composed(yard)
    given = {"release_id": release.pk, "update_id": yard.world.update.pk, "actor": yard.cast.tia, "at": yard.at}
    with pytest.raises(Invalid):
        acceptance.plan(host_id=stranger.pk, **given)
    assert acceptance.plan(host_id=yard.world.hosts[0].pk, **given).host == yard.world.hosts[0]


def test_plan_refuses_other_updates_and_wrong_checks(yard: Yard) -> None:
    from tests.factories.changes import make_update

    release = composed(yard)
    other = make_update("curl", "9", at=yard.at)
    given = {"release_id": release.pk, "host_id": yard.test_host.pk, "actor": yard.cast.tia, "at": yard.at}
    with pytest.raises(Invalid):
        acceptance.plan(update_id=other.pk, **given)
    with pytest.raises(Invalid):
        acceptance.plan(update_id=yard.world.update.pk, checks=[{"name": "x", "kind": "smoke", "target": "y"}], **given)
    with pytest.raises(NotAllowed):
        acceptance.plan(**{**given, "update_id": yard.world.update.pk, "actor": yard.cast.rex})


def test_runs_are_refused_while_an_update_has_no_test(yard: Yard) -> None:
    release = planned(yard)
    plan = release.acceptance_plans.get()
    acceptance.drop(release_id=release.pk, plan_id=plan.pk, reason="other host", actor=yard.cast.tia, at=yard.at)
    from releases.domain import builds
    from tests.factories.releases import work

    builds.request(release_id=release.pk, actor=yard.cast.rex, at=yard.at)
    work(yard, release)
    with pytest.raises(Blocked) as refused:
        acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    assert [b.code for b in refused.value.blockers] == ["acceptance.uncovered"]


def test_a_failed_test_is_not_dropped_for_its_result(yard: Yard) -> None:
    release = in_testing(yard)
    acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    with pytest.raises(Blocked):
        acceptance.drop(
            release_id=release.pk,
            plan_id=release.acceptance_plans.get().pk,
            reason="x",
            actor=yard.cast.tia,
            at=yard.at,
        )


def test_nobody_judges_a_run_as_passed(yard: Yard) -> None:
    release = in_testing(yard)
    (run,) = acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    with pytest.raises(Invalid):
        acceptance.judge(run_id=run.pk, verdict="passed", reason="looks good", actor=yard.cast.tia, at=yard.at)
    acceptance_work.advance(run_id=run.pk, owner="test", now=yard.at)
    with pytest.raises(Blocked):
        workflow.fire(AcceptanceRun, run.pk, "succeed", actor=yard.cast.bot, at=yard.at)
    acceptance.judge(run_id=run.pk, verdict="failed", reason="the page is white", actor=yard.cast.tia, at=yard.at)
    assert Release.objects.get(pk=release.pk).state == "planning"


def test_steps_are_rows_that_are_never_edited(yard: Yard) -> None:
    release = in_testing(yard)
    (run,) = run_tests(yard, release)
    step = run.steps.first()
    assert step is not None
    step.outcome = "failed"
    with pytest.raises(Conflict):
        step.save()
    with pytest.raises(Conflict):
        AcceptanceStep.objects.all().delete()
    with pytest.raises(Conflict):
        acceptance.record_step(
            run_id=run.pk, kind="install", outcome="passed", summary="x", actor=yard.cast.bot, at=yard.at
        )


def test_one_live_run_per_plan(yard: Yard) -> None:
    release = in_testing(yard)
    (run,) = acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
    assert acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at) == []
    with pytest.raises(IntegrityError), transaction.atomic():
        AcceptanceRun.objects.create(
            plan=run.plan, build=run.build, number=2, requested_by=yard.cast.tia, requested_at=yard.at
        )


def test_runs_wait_for_the_build(yard: Yard) -> None:
    release = building(yard)
    with pytest.raises(Conflict):
        acceptance.request_runs(release_id=release.pk, actor=yard.cast.tia, at=yard.at)
