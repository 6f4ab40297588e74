"""What looking at a host says about a job of unknown outcome: a pure function of what was seen."""

from patchflow.kernel.blockers import kept
from releases.executors.base import Action, JobResult, ObserveSpec, PackageState, Stage, Verdict

OF_RESULT = {
    Stage.SUCCEEDED: Verdict.SUCCEEDED,
    Stage.NOT_NEEDED: Verdict.SUCCEEDED,
    Stage.STAGED_ONLY: Verdict.SUCCEEDED,
    Stage.FAILED: Verdict.FAILED,
    Stage.REFUSED: Verdict.UNDONE,
    Stage.CANCELLED: Verdict.UNDONE,
}


def verdict_of(
    spec: ObserveSpec,
    *,
    states: tuple[PackageState, ...],
    apt_running: tuple[str, ...],
    interrupted: bool,
    alive: bool,
    stage: Stage | None,
    result: JobResult | None,
    health_failures: tuple[str, ...],
) -> tuple[Verdict, str]:
    """(verdict, reason in words). The package database outranks what the job says of itself.

    A job that claims success while its packages are elsewhere has failed. Success without the job's own last word
    needs every package in place, nothing unfinished and every health check passing.
    """
    if alive or apt_running:
        what = ", ".join(apt_running) or kept("the job, at %(stage)s", stage=f"{stage}")
        return Verdict.RUNNING, kept("at work: %(what)s", what=what)
    if interrupted and not (result is not None and result.outcome is Stage.FAILED):
        return Verdict.INTERRUPTED, kept("packages are unfinished; recover before anything else")
    wrong = [
        _told(state) for change, state in zip(spec.packages, states, strict=True) if not _is(state, change.to_version)
    ]
    before = all(_is(state, change.from_version) for change, state in zip(spec.packages, states, strict=True))
    if result is not None and (own := OF_RESULT[result.outcome]) is not Verdict.SUCCEEDED:
        if own is Verdict.UNDONE and not before and not wrong:
            return Verdict.SUCCEEDED, kept("the job did not do it, but every package is at its version")
        return own, result.reason
    if spec.action is Action.STAGE:
        return (
            (Verdict.SUCCEEDED, result.reason)
            if result
            else (Verdict.UNDONE, kept("nothing was installed, as ordered"))
        )
    if wrong and result is None and stage in (None, Stage.ACCEPTED, Stage.STAGED):
        return Verdict.UNDONE, kept("the job ended before it installed anything")
    if wrong and before:
        if result is not None:
            return Verdict.FAILED, kept(
                "the job reports success, the host is as before: %(names)s", names=", ".join(wrong)
            )
        return Verdict.UNDONE, kept("every package is as before")
    if wrong and not _past(result):
        return Verdict.FAILED, kept("not at its version: %(names)s", names=", ".join(wrong))
    if stage is Stage.RESTARTING and result is None:
        return Verdict.RUNNING, kept("installed; waits for the restart of the host")
    if health_failures and spec.action is Action.ROLLBACK:
        return Verdict.FAILED, kept("taken back, and still not healthy: %(what)s", what="; ".join(health_failures))
    if health_failures:
        return Verdict.FAILED, kept("not healthy: %(what)s", what="; ".join(health_failures))
    return Verdict.SUCCEEDED, result.reason if result else kept(
        "every package is at its version and nothing is unfinished"
    )


def _past(result: JobResult | None) -> bool:
    # "not needed" also covers hosts that are past the wanted version.
    return result is not None and result.outcome is Stage.NOT_NEEDED


def _is(state: PackageState, version: str) -> bool:
    return state.version == version and (not version or state.status == "installed")


def _told(state: PackageState) -> str:
    return f"{state.name} {state.version} {state.status}".strip() if state.version else f"{state.name} not there"
