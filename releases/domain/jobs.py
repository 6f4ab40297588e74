"""Jobs: run by a worker under a lease, and what people ask of a single one.

`run` is one visit. Everything it needs is in rows and on the host, so a visit may be killed at any line: the lease ends,
the sweep rings again, and the next visit finds the work by its key. Nothing is ordered under another key unless the host
has said that nothing was done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q

from patchflow.kernel import audit, queue, registry, workflow
from patchflow.kernel.blockers import Blocker, english, label_of
from patchflow.kernel.errors import Conflict, NotAllowed
from patchflow.kernel.faults import fault
from patchflow.kernel.models import User
from patchflow.kernel.queue import Claim
from patchflow.kernel.rules import capability, failing
from releases.domain.advance import CREW, RUN, RUN_MANY
from releases.domain.crews import Crew, work_together
from releases.domain.looking import look
from releases.domain.rollouts import ADVANCE, said
from releases.domain.visits import Visit
from releases.domain.working import work
from releases.enums_rollout import BAD, LIVE, JobState
from releases.models import Job, Ring
from releases.queries.rollouts import may_go_on

SWEPT = 2000
"""Jobs rung for by one sweep; the next one rings for the rest."""
AWAY = (JobState.UNKNOWN, JobState.LOST)
DUE = Q(state__in=LIVE) | Q(state=JobState.LOST, look_asked_at__isnull=False)


def run(*, job_id: int, owner: str, now: Callable[[], datetime], wait: Callable[[float], None]) -> str:
    """One visit to a job that is due: takes the lease, acts or looks, gives the lease back. Returns the state it left.

    Empty: the job is not due, or another worker holds it. Safe to call at any time, any number of times. Waits some seconds
    at most; raises nothing for what a host does.
    """
    lease: timedelta = settings.PATCHFLOW["LEASE"]
    held = queue.claim(Job.objects.filter(DUE, pk=job_id), owner=owner, lease=lease)
    if not held:
        return ""
    fault("after_lease")
    visit = Visit(held[0], now, wait)
    try:
        seeing = visit.job.state in AWAY
        pause = look(visit) if seeing else work(visit)
    except Conflict:  # taken over, or moved on by a person: whoever holds it now goes on
        pause = timedelta(seconds=5)
    except Exception:
        _leave(visit, timedelta(seconds=30))
        raise
    fault("before_release")
    return _leave(visit, pause)


def run_many(*, job_ids: Sequence[int], owner: str, now: Callable[[], datetime], wait: Callable[[float], None]) -> int:
    """One visit to all of these jobs that are due, and to others of their rings while there is room (`_hold`), together where
    they are of one ring; returns how many. What `run` says of one job holds for each of them, as a test proves. Jobs out of
    sight are looked at one by one."""
    for pk in Job.objects.filter(DUE, pk__among=job_ids, state__in=AWAY).values_list("pk", flat=True):
        queue.enqueue(RUN, job_id=pk)
    held = _hold(job_ids, owner)
    fault("after_leases")
    rings = dict(Job.objects.filter(pk__among=[claim.pk for claim in held]).order_by().values_list("pk", "ring_id"))
    for ring_id in sorted(set(rings.values())):
        crew = Crew([claim for claim in held if rings[claim.pk] == ring_id], now, wait)
        try:
            work_together(crew, work)
        except Exception:
            for pk in list(crew.jobs):
                crew.leave(pk, timedelta(seconds=30))
            _leave_many(crew)
            raise
        fault("before_leave")
        _leave_many(crew)
    return len(held)


def _hold(job_ids: Sequence[int], owner: str) -> list[Claim]:
    """Takes those of the jobs that are free and, up to a crew, others of their rings that nobody holds, the longest unheard
    first. Crews come apart (two messages share them out, a worker dies); without this each piece would keep a worker for
    some seconds for ever smaller handfuls of hosts."""
    lease: timedelta = settings.PATCHFLOW["LEASE"]
    at_work = Job.objects.filter(state__in=set(LIVE) - set(AWAY))
    held = queue.claim(at_work.filter(pk__among=job_ids), owner=owner, lease=lease, limit=len(job_ids))
    room = CREW - len(held)
    if held and room > 0:
        rings = set(Job.objects.filter(pk__among=[c.pk for c in held]).order_by().values_list("ring_id", flat=True))
        free = queue.due(at_work.filter(ring_id__in=rings), now=queue.database_now())
        longest = free.order_by(F("heard_at").asc(nulls_first=True), "pk").values_list("pk", flat=True)[:room]
        held += queue.claim(at_work.filter(pk__among=list(longest)), owner=owner, lease=lease, limit=room)
    return held


def _leave_many(crew: Crew) -> None:
    """As `_leave`, for all that a crew held: by as many statements as there are times to come again."""
    states = dict(Job.objects.filter(pk__among=crew.pauses).order_by().values_list("pk", "state"))
    by_pause: dict[timedelta | None, list[Claim]] = {}
    for pk, pause in crew.pauses.items():
        by_pause.setdefault(pause if states.get(pk) in LIVE else timedelta.max, []).append(crew.held[pk])
    ended = by_pause.pop(timedelta.max, [])  # what ends or goes back to pending lets its lease go itself
    if ended and (not set(BAD).isdisjoint(states.values()) or may_go_on(crew.rollout.pk)):
        queue.enqueue(ADVANCE, rollout_id=crew.rollout.pk)
    for pause, claims in by_pause.items():
        later = crew.now() + pause if pause else None
        given = queue.write(Job, claims, lease_until=None, lease_owner="", not_before=later)
        if given and not pause:
            queue.enqueue(RUN_MANY, job_ids=sorted(given))


def _leave(visit: Visit, pause: timedelta | None) -> str:
    """Gives the lease back, and rings for whoever goes on. A job that is no longer live keeps the time set for it."""
    held, job_id = visit.held, visit.held.pk
    state, rollout_id = Job.objects.values_list("state", "rollout_id").get(pk=job_id)
    if state in LIVE:
        given = queue.release(Job, held, not_before=visit.now() + pause if pause else None)
        if given and not pause and state in AWAY:
            queue.enqueue(RUN, job_id=job_id)
        elif given and not pause:
            queue.enqueue(RUN_MANY, job_ids=[job_id])
    else:
        Job.objects.filter(pk=job_id, fence=held.fence).update(lease_until=None, lease_owner="")
        queue.enqueue(ADVANCE, rollout_id=rollout_id)
    return str(state)


@registry.sweep("jobs")
def sweep(*, now: datetime) -> int:
    """Rings for jobs that are due and that nobody holds: messages lost, workers killed, hosts to be looked at again."""
    rows = queue.due(Job.objects.filter(DUE), now=now).order_by("not_before", "pk")
    together: dict[int, list[int]] = {}
    found = list(rows.values_list("pk", "ring_id", "state")[:SWEPT])
    for pk, ring_id, state in found:
        if state in AWAY:
            queue.enqueue(RUN, job_id=pk)
        else:
            together.setdefault(ring_id, []).append(pk)
    for pks in together.values():
        for start in range(0, len(pks), CREW):
            queue.enqueue(RUN_MANY, job_ids=pks[start : start + CREW])
    return len(found)


# --- what people ask of one job ---------------------------------------------------------------------------------------
def _locked(job_id: int, needed: str, actor: User) -> Job:
    peek = Job.objects.filter(pk=job_id).first()
    if peek is None:
        raise Conflict("This job no longer exists.", code="conflict.gone")
    workflow.lock(Ring, peek.ring_id)
    job = workflow.lock(Job, job_id)
    if refused := failing([capability(needed)], job, actor):
        raise NotAllowed(refused)
    return job


def why_not_cancel(job: Job, actor: User) -> list[Blocker]:
    """Why this person cannot leave the host out now, the same as the verb raises."""
    return failing([capability("job.cancel")], job, actor) or _has_ended(job)


def _has_ended(job: Job) -> list[Blocker]:
    if job.state == JobState.PENDING or job.state in LIVE:
        return []
    return [Blocker("conflict.state", english("It has ended: %(state)s.", state=label_of(job)))]


def why_not_look(job: Job, actor: User) -> list[Blocker]:
    """Why this person cannot have its host looked at now, the same as the verb raises."""
    return failing([capability("job.observe")], job, actor) or _in_sight(job)


def _in_sight(job: Job) -> list[Blocker]:
    if job.state in AWAY:
        return []
    return [Blocker("conflict.state", english("It is %(state)s: there is nothing to find out.", state=label_of(job)))]


@workflow.verb("release.job.cancel_asked")
def cancel(*, job_id: int, reason: str, actor: User, at: datetime) -> Job:
    """Leaves one host out. A pending job is cancelled; one at work is asked to stop before it installs, and looked at.

    Raises NotAllowed, Conflict (it has ended).
    """
    reason = said(reason, "job.reason")
    job = _locked(job_id, "job.cancel", actor)
    if ended := _has_ended(job):
        raise Conflict(ended)
    if job.state == JobState.PENDING:
        workflow.fire(Job, job_id, "cancel", actor=actor, at=at, reason=reason)
    else:
        Job.objects.filter(pk=job_id).update(cancel_asked_at=at, not_before=None)
        audit.record(
            Ring.objects.get(pk=job.ring_id),
            "release.job.cancel_asked",
            job,
            actor=actor,
            at=at,
            detail={"reason": reason},
        )
        queue.enqueue(RUN, job_id=job_id)
    return Job.objects.get(pk=job_id)


@workflow.verb("release.job.look_asked")
def look_again(*, job_id: int, actor: User, at: datetime) -> Job:
    """Looks at the host of a job that is out of sight, or was given up as lost: at once, and for a lost one once."""
    job = _locked(job_id, "job.observe", actor)
    if in_sight := _in_sight(job):
        raise Conflict(in_sight)
    Job.objects.filter(pk=job_id).update(look_asked_at=at, not_before=None)
    audit.record(Ring.objects.get(pk=job.ring_id), "release.job.look_asked", job, actor=actor, at=at)
    queue.enqueue(RUN, job_id=job_id)
    return Job.objects.get(pk=job_id)
