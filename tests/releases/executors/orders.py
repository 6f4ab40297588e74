"""Orders for tests, made the way a release makes them: from a dry run on the host, then signed as they are."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

from cmdb.remote.connection import Endpoint
from releases.executors.base import Action, Batch, Executor, Handle, JobOrder, JobProgress

_numbers = itertools.count(1)


def order_for(
    executor: Executor, endpoint: Endpoint, *wanted: tuple[str, str], action: Action = Action.INSTALL, **more: object
) -> JobOrder:
    plan = executor.dry_run(endpoint, wanted)
    assert not plan.refused, plan.refused
    order = JobOrder(
        job_key=f"JOB-{next(_numbers)}.1",
        fence=1,
        endpoint=endpoint,
        action=action,
        packages=plan.changes,
        artifacts=plan.artifacts,
    )
    return replace(order, **more)


def start(executor: Executor, *orders: JobOrder) -> Handle:
    handle = executor.start(Batch(orders=orders))
    assert [job.answer.word for job in handle.jobs] == ["accepted"] * len(orders), handle
    return handle


def ended(executor: Executor, handle: Handle, *, seconds: float = 60) -> JobProgress:
    """The only job's whole journal and its result, once it has one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        progress = executor.events(handle)[0]
        if progress.result is not None:
            return progress
        time.sleep(0.2)
    raise AssertionError(f"no result after {seconds} s: {progress}")


def at_stage(executor: Executor, handle: Handle, stage: str, *, seconds: float = 30) -> JobProgress:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        progress = executor.events(handle)[0]
        if stage in stages(progress):
            return progress
        time.sleep(0.2)
    raise AssertionError(f"never {stage}: {progress}")


def stages(progress: JobProgress) -> Sequence[str]:
    return [event.stage.value for event in progress.events]
