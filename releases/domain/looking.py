"""A visit to a job out of sight: looking at the host, at growing intervals, until it is known what became of it.

Interrupted work is finished once, by a recovery under a key of its own; then the host is looked at again. After a day of
looking it is given up as lost; a later look may still correct that.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from cmdb.remote.errors import RemoteError
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Refusal
from patchflow.kernel.faults import fault
from releases.domain.orders import look_of, recovery_of
from releases.domain.visits import Visit, told
from releases.enums_rollout import JobState
from releases.executors.base import Batch, Observed, Verdict

SOON = timedelta(seconds=10)
LATER = timedelta(minutes=5)
FIRST = timedelta(seconds=30)
LONGEST = timedelta(hours=1)
CHECK = 12
"""Recovery is followed for some seconds in one visit; the next goes on."""


def look(visit: Visit) -> timedelta | None:
    """Looks once. Returns when to look again; None: it is known, or given up."""
    try:
        if visit.job.recovery_key and (pause := _recovering(visit)):
            return _unless_over(visit, pause, english("a recovery is at work"))
        seen = visit.executor.observe(look_of(visit.job))
    except (RemoteError, Refusal) as error:
        return _later(visit, f"{error}")
    fault("after_look")
    match seen.verdict:
        case Verdict.SUCCEEDED:
            visit.move("observe_succeeded", reason=seen.reason, result=told(seen.result, seen))
        case Verdict.UNDONE if visit.job.state == JobState.UNKNOWN:
            visit.move("observe_undone", reason=seen.reason, result=told(seen.result, seen))
        case Verdict.RUNNING:
            return _unless_over(visit, _patience(visit), seen.reason)
        case Verdict.INTERRUPTED if visit.job.state == JobState.UNKNOWN and not visit.job.recovery_key:
            visit.write(recovery_key=f"{visit.job.job_key}-recover")
            fault("before_recovery")
            return SOON if _recovering(visit) else None
        case _:
            _failed(visit, seen)
    return None


def _patience(visit: Visit) -> timedelta:
    """How long to let a host work on that is seen at work: a tenth of the time for which it has been looked at."""
    since = visit.job.unknown_since or visit.job.state_at
    return min(LATER, max(SOON, (visit.now() - since) / 10))


def _failed(visit: Visit, seen: Observed) -> None:
    visit.move("observe_failed", reason=seen.reason, result=told(seen.result, seen))


def _recovering(visit: Visit) -> timedelta | None:
    """Orders the recovery if the host does not have it, and follows it for some seconds. None: it has ended there."""
    order = recovery_of(visit.job, fence=visit.held.fence)
    handle = visit.executor.attach([order])
    progress = visit.executor.events(handle)[0]
    if progress.reachable and not progress.known:
        answer = visit.executor.start(Batch(orders=(order,))).jobs[0].answer
        fault("after_recovery")
        if not answer.has_it:
            return FIRST
    for _turn in range(CHECK):
        progress = visit.executor.events(handle)[0]
        if not progress.reachable:
            return FIRST
        if progress.result is not None or not progress.alive:
            return None
        visit.wait(1)
        visit.renew()
    return SOON


def _later(visit: Visit, why: str) -> timedelta | None:
    """Not to be seen: again, each time after twice as long."""
    visit.write(looks=visit.job.looks + 1)
    return _unless_over(visit, min(LONGEST, FIRST * 2 ** min(visit.job.looks - 1, 10)), why)


def _unless_over(visit: Visit, pause: timedelta, why: str) -> timedelta | None:
    limit: timedelta = settings.PATCHFLOW["LOOK_AFTER_UNKNOWN"]
    if visit.job.state == JobState.LOST:
        visit.write(look_asked_at=None, reason=english("Looked at again in vain: %(why)s", why=why))
        return None
    since = visit.job.unknown_since or visit.job.state_at
    if visit.now() - since < limit:
        return pause
    visit.move(
        "give_up",
        reason=english("not seen for %(hours)s hours: %(why)s", hours=int(limit.total_seconds() // 3600), why=why),
    )
    return None
