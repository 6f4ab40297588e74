"""Orders to JSON for the host, and its JSON back to answers. The host is not trusted to have said it well."""

import functools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
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
    Way,
)

UNREADABLE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
"""What is raised here for an answer that cannot be read."""
LONGEST_CODE = 60
"""Characters of a job's code, as its row keeps them."""
LONGEST_JOURNAL = 2**31
"""Lines of a job's journal, as their rows number them."""


def text_heard(value: Any) -> str:
    """As text that every column takes: without NUL and without halves of characters (lone surrogates). None says nothing."""
    if type(value) is str and value.isascii() and "\x00" not in value:
        return value
    return "" if value is None else str(value).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def as_told(value: Any) -> Any:
    """A dataclass as JSON tells it, and what is in it; at a fraction of what `dataclasses.asdict` takes for it."""
    kind: Any = type(value)
    if names := _names_of(kind):
        return {name: as_told(getattr(value, name)) for name in names}
    if isinstance(value, tuple | list):
        return [as_told(each) for each in value]
    return value


@functools.cache
def _names_of(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind)) if is_dataclass(kind) else ()


def order_said(order: JobOrder) -> dict[str, Any]:
    """All of the order but key, fence, endpoint and way: what must be the same when an order is given again."""
    return {name: as_told(part) for name, part in parts_of(order).items()}


def parts_of(order: JobOrder) -> dict[str, Any]:
    """What `order_said` tells, as it is."""
    parts: dict[str, Any] = {
        "action": order.action.value,
        "packages": order.packages,
        "artifacts": order.artifacts,
        "restart": order.restart,
        "health": order.health,
        "timeouts": order.timeouts,
        "machine_id": order.machine_id,
        "refresh": order.refresh,
    }
    if order.steps:  # an order without any is said as before there were steps: a host may have it already
        parts["steps"] = order.steps
    return parts


def way_said(way: Way | None) -> dict[str, Any]:
    """A way as a field of the question, where there is one: a host that downloads directly is asked as ever."""
    return {"way": as_told(way)} if way is not None else {}


def checks_said(checks: tuple[HealthCheck, ...]) -> list[dict[str, Any]]:
    return [as_told(check) for check in checks]


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
    seq = int(row["seq"])
    if not 0 <= seq < LONGEST_JOURNAL:
        raise ValueError(f"no line of a journal has the number {seq}")
    return JobEvent(
        job_key=job_key,
        seq=seq,
        at=datetime.fromisoformat(row["at"]).astimezone(UTC),
        stage=Stage(row["stage"]),
        message=text_heard(row["message"]),
        data=dict(row["data"]),
    )


def result_heard(row: Mapping[str, Any] | None) -> JobResult | None:
    if row is None:
        return None
    return JobResult(
        outcome=Stage(row["outcome"]),
        code=text_heard(row["code"])[:LONGEST_CODE],
        reason=text_heard(row["reason"]),
        permanent=bool(row["permanent"]),
        packages=states_heard(row["packages"]),
        restart_needed=bool(row["restart_needed"]),
        restarted=bool(row["restarted"]),
        boot_id=text_heard(row["boot_id"]),
        log_tail=text_heard(row["log_tail"]),
    )


def states_heard(rows: list[Mapping[str, Any]]) -> tuple[PackageState, ...]:
    return tuple(
        PackageState(
            name=text_heard(row["name"]),
            arch=text_heard(row["arch"]),
            version=text_heard(row["version"]),
            status=text_heard(row["status"]),
        )
        for row in rows
    )


def dry_run_heard(said: Mapping[str, Any]) -> DryRun:
    if said.get("refused") or said.get("code"):
        return DryRun(refused=text_heard(said["refused"]), code=text_heard(said["code"]))
    return DryRun(
        changes=tuple(
            PackageChange(**{name: text_heard(value) for name, value in row.items()}) for row in said["changes"]
        ),
        removals=tuple(map(text_heard, said["removals"])),
        artifacts=tuple(ArtifactSpec(**row) for row in said["artifacts"]),
    )
