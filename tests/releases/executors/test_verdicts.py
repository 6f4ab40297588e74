"""What looking at a host says, for the cases that decide between waiting, repeating and giving up."""

from dataclasses import replace

import pytest

from cmdb.remote.connection import Endpoint
from releases.executors.base import Action, JobResult, ObserveSpec, PackageChange, PackageState, Stage, Verdict
from releases.executors.verdicts import verdict_of

CHANGE = PackageChange(name="a", arch="all", from_version="1", to_version="2")
OLD = PackageState(name="a", arch="all", version="1", status="installed")
NEW = PackageState(name="a", arch="all", version="2", status="installed")
HALF = PackageState(name="a", arch="all", version="2", status="half-configured")
OTHER = PackageState(name="a", arch="all", version="1.5", status="installed")


def verdict(
    state: PackageState, *, outcome: Stage | None = None, action: Action = Action.INSTALL, **seen: object
) -> Verdict:
    spec = ObserveSpec(endpoint=Endpoint(address="h"), job_key="j", action=action, packages=(CHANGE,))
    facts = {"apt_running": (), "interrupted": False, "alive": False, "stage": Stage.INSTALLING, "health_failures": ()}
    result = JobResult(outcome=outcome, reason="r") if outcome else None
    found, reason = verdict_of(spec, states=(state,), result=result, **(facts | seen))
    assert reason
    return found


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        (NEW, {}, Verdict.SUCCEEDED),
        (OLD, {}, Verdict.UNDONE),
        (OTHER, {}, Verdict.FAILED),
        (OTHER, {"stage": Stage.STAGED}, Verdict.UNDONE),
        (OLD, {"stage": None}, Verdict.UNDONE),
        (NEW, {"alive": True}, Verdict.RUNNING),
        (NEW, {"apt_running": ("apt-get (7)",)}, Verdict.RUNNING),
        (HALF, {"interrupted": True}, Verdict.INTERRUPTED),
        (NEW, {"stage": Stage.RESTARTING}, Verdict.RUNNING),
        (NEW, {"health_failures": ("web: 500",)}, Verdict.FAILED),
    ],
)
def test_without_a_last_word_the_package_database_decides(
    state: PackageState, seen: dict[str, object], expected: Verdict
) -> None:
    assert verdict(state, **seen) is expected


def test_a_host_that_was_taken_back_and_is_not_healthy_is_said_to_be_so() -> None:
    spec = ObserveSpec(
        endpoint=Endpoint(address="h"),
        job_key="j",
        action=Action.ROLLBACK,
        packages=(replace(CHANGE, from_version="2", to_version="1"),),
    )
    found = verdict_of(
        spec, states=(OLD,), apt_running=(), interrupted=False, alive=False, stage=Stage.VERIFYING,
        result=JobResult(outcome=Stage.SUCCEEDED, reason="r"), health_failures=("web: 500",),
    )  # fmt: skip
    assert found == (Verdict.FAILED, "taken back, and still not healthy: web: 500")


@pytest.mark.parametrize(
    ("state", "outcome", "expected"),
    [
        (NEW, Stage.SUCCEEDED, Verdict.SUCCEEDED),
        (OLD, Stage.SUCCEEDED, Verdict.FAILED),
        (OTHER, Stage.SUCCEEDED, Verdict.FAILED),
        (OTHER, Stage.NOT_NEEDED, Verdict.SUCCEEDED),
        (NEW, Stage.FAILED, Verdict.FAILED),
        (OLD, Stage.REFUSED, Verdict.UNDONE),
        (NEW, Stage.CANCELLED, Verdict.SUCCEEDED),
    ],
)
def test_package_database_outranks_the_jobs_own_claim(state: PackageState, outcome: Stage, expected: Verdict) -> None:
    assert verdict(state, outcome=outcome) is expected


def test_failed_job_with_unfinished_packages_is_failed_and_claimed_success_is_interrupted() -> None:
    assert verdict(HALF, outcome=Stage.FAILED, interrupted=True) is Verdict.FAILED
    assert verdict(HALF, outcome=Stage.SUCCEEDED, interrupted=True) is Verdict.INTERRUPTED


def test_staging_installs_nothing_and_says_so() -> None:
    assert verdict(OLD, action=Action.STAGE, outcome=Stage.STAGED_ONLY) is Verdict.SUCCEEDED
    assert verdict(OLD, action=Action.STAGE, stage=Stage.ACCEPTED) is Verdict.UNDONE
