"""Orders to JSON for the host, and its JSON back to answers. The host is not trusted to have said it well."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from releases.executors.base import (
    ArtifactSpec,
    DryRun,
    HealthCheck,
    JobEvent,
    JobOrder,
    JobProgress,
    JobResult,
    PackageChange,
    PackageState,
    Stage,
)


def order_said(order: JobOrder) -> dict[str, Any]:
    """All of the order but key, fence and endpoint: what must be the same when an order is given again."""
    return {
        "action": order.action.value,
        "packages": [asdict(package) for package in order.packages],
        "artifacts": [asdict(artifact) for artifact in order.artifacts],
        "restart": asdict(order.restart),
        "health": checks_said(order.health),
        "timeouts": asdict(order.timeouts),
        "machine_id": order.machine_id,
        "refresh": order.refresh,
    }


def checks_said(checks: tuple[HealthCheck, ...]) -> list[dict[str, Any]]:
    return [asdict(check) for check in checks]


def progress_heard(job_key: str, said: Mapping[str, Any]) -> JobProgress:
    if not said["known"]:
        return JobProgress(job_key=job_key, reachable=True, reason="the host does not know this job")
    return JobProgress(
        job_key=job_key,
        reachable=True,
        known=True,
        alive=bool(said["alive"]),
        stage=Stage(said["stage"]) if said["stage"] else None,
        events=tuple(event_heard(job_key, row) for row in said["events"]),
        result=result_heard(said["result"]),
    )


def event_heard(job_key: str, row: Mapping[str, Any]) -> JobEvent:
    return JobEvent(
        job_key=job_key,
        seq=int(row["seq"]),
        at=datetime.fromisoformat(row["at"]).astimezone(UTC),
        stage=Stage(row["stage"]),
        message=str(row["message"]),
        data=dict(row["data"]),
    )


def result_heard(row: Mapping[str, Any] | None) -> JobResult | None:
    if row is None:
        return None
    return JobResult(
        outcome=Stage(row["outcome"]),
        code=row["code"],
        reason=row["reason"],
        permanent=bool(row["permanent"]),
        packages=states_heard(row["packages"]),
        restart_needed=bool(row["restart_needed"]),
        restarted=bool(row["restarted"]),
        boot_id=row["boot_id"],
        log_tail=row["log_tail"],
    )


def states_heard(rows: list[Mapping[str, str]]) -> tuple[PackageState, ...]:
    return tuple(PackageState(**row) for row in rows)


def dry_run_heard(said: Mapping[str, Any]) -> DryRun:
    if said.get("refused") or said.get("code"):
        return DryRun(refused=said["refused"], code=said["code"])
    return DryRun(
        changes=tuple(PackageChange(**row) for row in said["changes"]),
        removals=tuple(said["removals"]),
        artifacts=tuple(ArtifactSpec(**row) for row in said["artifacts"]),
    )
