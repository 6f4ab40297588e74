"""What the simulator's process and its clients say to each other: one JSON document a line, many jobs in each."""

import functools
from collections.abc import Mapping
from typing import Any

from cmdb.remote.connection import Endpoint
from cmdb.remote.errors import RemoteError, Unreachable
from patchflow.kernel.json_text import bytes_from, read
from releases.executors.base import (
    Action,
    ArtifactSpec,
    HealthCheck,
    JobOrder,
    JobProgress,
    Observed,
    ObserveSpec,
    PackageChange,
    RestartPolicy,
    Stage,
    StartedJob,
    Step,
    Timeouts,
    Verdict,
    Way,
)
from releases.executors.wire import parts_of, progress_heard, result_heard, states_heard, way_said

Said = dict[str, Any]


def order_sent(order: JobOrder) -> Said:
    place = {"key": order.job_key, "fence": order.fence, "address": order.endpoint.address}
    return {**place, **parts_of(order), **way_said(order.way)}


def order_received(said: Mapping[str, Any]) -> JobOrder:
    """Hosts that are alike get the same packages, files and rules: what was made of them once is used for all."""
    alike = bytes_from([said.get(name, ()) for name in ALIKE])
    return JobOrder(
        job_key=said["key"],
        fence=said["fence"],
        endpoint=endpoint_at(said["address"]),
        machine_id=said["machine_id"],
        refresh=said["refresh"],
        **_made(alike),
    )


@functools.lru_cache(maxsize=50_000)
def endpoint_at(address: str) -> Endpoint:
    """Where a simulated host is: asked several times for each, and looked at whether it may be used at the first."""
    return Endpoint(address=address)


ALIKE = ("action", "packages", "artifacts", "restart", "health", "steps", "timeouts", "way")


@functools.lru_cache(maxsize=1000)
def _made(alike: bytes) -> dict[str, Any]:
    said = dict(zip(ALIKE, read(alike), strict=True))
    return {
        "action": Action(said["action"]),
        "packages": tuple(PackageChange(**package) for package in said["packages"]),
        "artifacts": tuple(ArtifactSpec(**artifact) for artifact in said["artifacts"]),
        "restart": RestartPolicy(**said["restart"]),
        "health": tuple(HealthCheck(**check) for check in said["health"]),
        "steps": tuple(Step(**step) for step in said["steps"]),
        "timeouts": Timeouts(**said["timeouts"]),
        "way": Way(**said["way"]) if said["way"] else None,
    }


def job_sent(job: StartedJob, after: int = 0) -> list[Any]:
    return [job.job_key, job.fence, job.endpoint.address, after]


def progress_sent(progress: JobProgress) -> Said:
    if not progress.known:
        return {"known": False, "reachable": progress.reachable, "reason": progress.reason}
    return {
        "known": True,
        "reachable": True,
        "alive": progress.alive,
        "stage": progress.stage,
        "events": progress.events,
        "result": progress.result,
    }


def progress_received(key: str, said: Mapping[str, Any]) -> JobProgress:
    if not said["known"]:
        return JobProgress(job_key=key, reachable=said["reachable"], reason=said["reason"])
    return progress_heard(key, said)


def spec_sent(spec: ObserveSpec) -> list[Any]:
    changes = [[c.name, c.arch, c.from_version, c.to_version] for c in spec.packages]
    return [spec.endpoint.address, spec.job_key, spec.action, changes]


def spec_received(said: list[Any]) -> ObserveSpec:
    address, key, action, changes = said
    packages = _changes(tuple(map(tuple, changes)))
    return ObserveSpec(endpoint=endpoint_at(address), job_key=key, action=Action(action), packages=packages)


@functools.lru_cache(maxsize=1000)
def _changes(said: tuple[tuple[str, str, str, str], ...]) -> tuple[PackageChange, ...]:
    return tuple(PackageChange(name=n, arch=a, from_version=f, to_version=t) for n, a, f, t in said)


def seen_sent(seen: Observed | RemoteError) -> Said | Observed:
    return {"unreachable": seen.reason} if isinstance(seen, RemoteError) else seen


def seen_received(said: Said) -> Observed | RemoteError:
    if "unreachable" in said:
        return Unreachable(said["unreachable"])
    return Observed(
        **{
            **said,
            "verdict": Verdict(said["verdict"]),
            "packages": states_heard(said["packages"]),
            "apt_running": tuple(said["apt_running"]),
            "health_failures": tuple(said["health_failures"]),
            "ledger_stage": Stage(said["ledger_stage"]) if said["ledger_stage"] else None,
            "result": result_heard(said["result"]),
        }
    )
