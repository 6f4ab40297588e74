"""A visit to a job at work: the gates once more, the order, and following it by what the host writes.

A function that returns a time says when to come again (None or zero: at once, the lease is given back); the network is
never used inside a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from cmdb.remote.errors import RemoteError
from patchflow.kernel.blockers import english
from patchflow.kernel.errors import Conflict, Refusal
from patchflow.kernel.faults import fault
from patchflow.kernel.instance import instance_key
from patchflow.kernel.queue import due, short_ones_wait
from releases.domain import slips
from releases.domain.gates import ask_whole
from releases.domain.host_batches import Batch
from releases.domain.host_gates import ask_hosts
from releases.domain.offline import put_off
from releases.domain.orders import look_of, order_for, restart_of
from releases.domain.profiles import run_minutes
from releases.domain.rollouts import key_of
from releases.domain.slips import Slip
from releases.domain.visits import Visit, told
from releases.enums_rollout import LIVE, JobState
from releases.executors.base import Batch as Orders
from releases.executors.base import Handle, JobOrder, JobProgress, JobResult, Observed, Stage, StartAnswer, Verdict
from releases.models import Job
from releases.queries.rollouts import Signed, signed

S = JobState
POLL = timedelta(seconds=15)
"""How long one visit follows a job; others may be waiting for a worker."""
PAUSE = 0.25
RESTART_SILENCE = timedelta(minutes=20)
"""A host that restarts may be silent for so long before it is out of sight; another one as long as is set."""
SHORTEST = RESTART_SILENCE
"""No job is overdue before that, whatever was signed."""
OVERDUE = "overdue"
SOON = timedelta(seconds=10)
BACK_OFF = timedelta(minutes=2)
REACHED = {
    Stage.STAGED: S.STAGED,
    Stage.INSTALLING: S.INSTALLING,
    Stage.RESTARTING: S.RESTARTING,
    Stage.VERIFYING: S.VERIFYING,
}
STEPS = ((S.CLAIMED, "stage", S.STAGED), (S.STAGED, "install", S.INSTALLING), (S.INSTALLING, "verify", S.VERIFYING))

Pause = timedelta | None


def work(visit: Visit) -> Pause:
    """Takes the job as far as it goes in some seconds."""
    job = visit.job
    if job.cancel_asked_at and job.ordered_at is None:
        visit.move("cancel", reason=english("The rollout was stopped before it was ordered."))
        return None
    try:
        order = order_for(job, fence=visit.held.fence)
    except Refusal as refusal:
        if job.state == S.CLAIMED and job.ordered_at is None:
            _give_back(visit, english("it cannot be ordered: %(refusal)s", refusal=refusal), BACK_OFF, code="order")
            return None
        return silent(visit, f"{refusal}")
    if job.state == S.CLAIMED and not _there(visit, order) and (pause := _order(visit, order)) is not None:
        return pause
    return _follow(visit, visit.executor.attach([order]), order)


# --- ordering ---------------------------------------------------------------------------------------------------------
def _there(visit: Visit, order: JobOrder) -> bool:
    """Whether the host has this order already: asked whenever an earlier visit may have sent it."""
    if visit.job.ordered_at is None:
        return False
    progress = visit.executor.events(visit.executor.attach([order]))[0]
    if not progress.reachable:
        return True  # following it says so, and waits
    return progress.known


def _order(visit: Visit, order: JobOrder) -> Pause:
    """Asks every gate again at the moment of acting, then gives the order. None: it is there; else when to come again."""
    if visit.job.cancel_asked_at:
        visit.move("cancel", reason=english("The rollout was stopped before its order arrived."))
        return SOON
    if (batch := _let_through(visit)) is None:
        return SOON
    visit.renew()
    visit.write(ordered_at=visit.now())
    fault("before_start")
    handle = visit.executor.start(Orders(orders=(replace(order, way=batch.ways.get(visit.job.host_id)),)))
    fault("after_start")
    return answered(visit, handle.jobs[0].answer)


def _let_through(visit: Visit) -> Batch | None:
    """What the gates looked at, if every one still lets it through; otherwise it is given back or refused, with the slip."""
    job, now = visit.job, visit.now()
    slip, batch = ask_whole(job.rollout, at=now), Batch(job.rollout, job.ring, [job], now)
    if slip.runs:
        slip = ask_hosts(batch, limit=1)[0][1]
    if slip.runs:
        return batch
    with transaction.atomic():
        slips.row(slip, rollout=job.rollout, job=job, at=now).save()
        _deny(visit, slip)
    return None


def _deny(visit: Visit, slip: Slip) -> None:
    if slip.verdict == "refuse" and not slip.halts:
        visit.move("refuse", statement=slip.statement, reason=slip.sentence, code=slip.code, slip_key=slip.key)
        return
    later = slip.not_before or visit.now() + BACK_OFF
    visit.move("release", statement=slip.statement, code=slip.code, not_before=later, slip_key=slip.key)


def answered(visit: Visit, answer: StartAnswer) -> Pause:
    """What follows from the host's word. None: it has the order."""
    if answer.has_it:
        visit.write(heard_at=visit.now())
        return None
    match answer.word:
        case "busy":
            _give_back(visit, english("another job lives there: %(why)s", why=answer.reason), BACK_OFF, code="busy")
        case "stale":
            raise Conflict("The host has seen a newer holder of this job.", code="conflict.fence")
        case "unsupported":
            statement = english("Will not run, because it cannot be worked on: %(why)s", why=answer.reason)
            visit.move("refuse", statement=statement, reason=answer.reason, code="unsupported")
        case "different":
            visit.move(
                "fail",
                reason=english(
                    "The host knows %(job)s for another order: %(why)s", job=visit.job.job_key, why=answer.reason
                ),
                code="different",
            )
        case _ if not answer.unknown:
            put_off(visit, answer.reason)
    return SOON


def _give_back(visit: Visit, why: str, pause: timedelta, *, code: str, new_attempt: bool = False) -> None:
    """Back to pending: nothing was done. A new attempt, where the host has ended this one, takes a new key."""
    later, job = visit.now() + pause, visit.job
    facts = {"new_key": key_of(instance_key(), job.rollout, job.host_id, job.attempt + 1)} if new_attempt else {}
    statement = english(
        "Will be tried again at %(when)s UTC, because %(why)s.", when=f"{later:%d %b %Y %H:%M}", why=why
    )
    visit.move("release", statement=statement, code=code, not_before=later, **facts)


# --- following --------------------------------------------------------------------------------------------------------
def _follow(visit: Visit, handle: Handle, order: JobOrder) -> Pause:
    """Polls the journal until the job ends, the host falls silent, or others wait for this worker."""
    asked = False
    while True:
        if visit.job.cancel_asked_at and not asked:
            visit.executor.cancel(handle)
            asked = True
        progress = visit.executor.events(handle, after={order.job_key: visit.job.last_seq})[0]
        fault("after_events")
        again, pause = take(visit, progress)
        if not again:
            return pause
        if visit.now() - visit.began >= POLL or others_wait(visit.began, visit.now(), [visit.held.pk]):
            return None
        visit.wait(PAUSE)
        visit.renew()
        visit.load()


def others_wait(began: datetime, now: datetime, held: Collection[int]) -> bool:
    """Whether a job is due that nobody holds, or a message of another kind waits: then those that only wait go to the end of
    the line. Workers take the next message from each queue in turn, so that each would otherwise wait for a whole visit."""
    if now - began < timedelta(seconds=2):
        return False
    free = due(Job.objects.filter(Q(state__in=LIVE)), now=now).exclude(pk__in=held)
    return free.exists() or short_ones_wait()


def take(visit: Visit, progress: JobProgress) -> tuple[bool, Pause]:
    """Records what is new. (whether to go on polling, else when to come again)."""
    if not progress.reachable:
        return False, silent(visit, progress.reason)
    if not progress.known:
        visit.move("lose", reason=english("The host does not know this job any more."))
        return False, None
    visit.keep(progress.events)
    for event in progress.events:  # every stage is recorded, also one that began and ended between two looks
        _reach(visit, event.stage, None)
    if progress.stage is not None:
        _reach(visit, progress.stage, progress.result)
    if progress.result is not None:
        return False, _settle(visit, progress.result)
    if not progress.alive:
        return _ended_silently(visit, progress.reason)
    if progress.pause:
        return False, timedelta(seconds=progress.pause)
    if late := overdue(visit.job, signed(visit.job.rollout.manifest_id), at=visit.now()):
        visit.move("lose", reason=late, code=OVERDUE)
        return False, None
    return True, None


def overdue(job: Job, manifest: Signed, *, at: datetime) -> str:
    """Why a job that its host still works at takes too long: past its signed run time and what a restart may take. Empty: it does
    not. Nothing is ended on the host, where half an installation is worse than a late one; but the job counts as bad, so that
    its ring goes on or fails, and it is looked at like any other of which nobody knows the end."""
    if job.ordered_at is None or at - job.ordered_at < SHORTEST:
        return ""
    minutes = run_minutes(manifest.document)[manifest.hosts[job.host_id]["class"]]
    if at - job.ordered_at < timedelta(minutes=minutes) + RESTART_SILENCE:
        return ""
    taken = int((at - job.ordered_at).total_seconds() // 60)
    return english(
        "it has been at work for %(taken)s minutes, and %(minutes)s were signed for it. Its package manager is not killed: log in"
        " there, see what it waits for (a question, a lock, a script that hangs), and end that",
        taken=taken,
        minutes=minutes,
    )


def _ended_silently(visit: Visit, why: str) -> tuple[bool, Pause]:
    if visit.job.state == S.RESTARTING and visit.now() - visit.job.state_at < RESTART_SILENCE:
        return False, SOON
    visit.move("lose", reason=why or english("Its process has ended there without a result."))
    return False, None


def silent(visit: Visit, why: str) -> Pause:
    """The host does not answer: come again, until it has been silent for too long; then it is out of sight."""
    since = visit.job.heard_at or visit.job.claimed_at or visit.job.state_at
    limit = RESTART_SILENCE if visit.job.state == S.RESTARTING else settings.PATCHFLOW["SILENCE"]
    if visit.now() - since < limit:
        return SOON
    visit.move(
        "lose",
        reason=english("It has not answered since %(when)s UTC: %(why)s", when=f"{since:%d %b %Y %H:%M}", why=why),
    )
    return None


def _reach(visit: Visit, stage: Stage, result: JobResult | None) -> None:
    """Moves the job up to the stage that its journal shows, one recorded step after the other."""
    for name in _steps(S(visit.job.state), stage, result.outcome if result else None)[0]:
        visit.move(name)


def _steps(state: JobState, stage: Stage, outcome: Stage | None) -> tuple[list[str], JobState]:
    """(the transitions up to the stage that the journal shows, the state after them)."""
    target = REACHED.get(stage)
    if target is None and outcome is Stage.SUCCEEDED:
        target = S.VERIFYING
    order, names = [S.CLAIMED, S.STAGED, S.INSTALLING, S.RESTARTING, S.VERIFYING], []
    while target is not None and order.index(state) < order.index(target):
        if state == S.RESTARTING:
            name, state = "verify", S.VERIFYING
        elif state == S.INSTALLING and target == S.RESTARTING:
            name, state = "restart", S.RESTARTING
        else:
            name, state = next((name, to) for source, name, to in STEPS if source == state)
        names.append(name)
    return names, state


def steps_to(state: str, progress: JobProgress, *, stage: Stage | None = None) -> Sequence[str]:
    """All transitions that the news of a job show, in order; `stage`: the stage it is taken to be at, where it is not the one that
    its host told."""
    told = tuple([event.stage for event in progress.events])
    return _steps_shown(state, told, stage or progress.stage, progress.result and progress.result.outcome)


@lru_cache(maxsize=1000)
def _steps_shown(state: str, told: tuple[Stage, ...], stage: Stage | None, outcome: Stage | None) -> tuple[str, ...]:
    """Worked out once for all jobs whose journals tell the same."""
    names, at = list[str](), S(state)
    for each in (*told, stage):
        if each is not None:
            more, at = _steps(at, each, outcome if each is stage else None)
            names += more
    return tuple(names)


def _settle(visit: Visit, result: JobResult) -> Pause:
    """Takes the job's own account of its end; success counts only once the host shows it (law 7)."""
    match result.outcome:
        case Stage.SUCCEEDED | Stage.NOT_NEEDED:
            return _confirm(visit, result)
        case Stage.REFUSED | Stage.CANCELLED if visit.job.state in (S.CLAIMED, S.STAGED):
            _undone(visit, result)
        case _:
            visit.move("fail", reason=result.reason or str(result.outcome), code=result.code, result=told(result))
    return None


def _undone(visit: Visit, result: JobResult) -> None:
    """Nothing was installed: refused for good, to be tried again later, or cancelled."""
    if result.outcome is Stage.REFUSED and not result.permanent:
        _give_back(visit, result.reason, BACK_OFF, code=result.code, new_attempt=True)
        return
    with transaction.atomic():
        if visit.job.state == S.STAGED:
            visit.move("release", statement="", code="", not_before=visit.now())
        if result.outcome is Stage.CANCELLED:
            visit.move("cancel", reason=english("It was stopped on the host before it installed."), result=told(result))
            return
        statement = english("Did not run, because the host refused: %(why)s", why=result.reason)
        visit.move("refuse", statement=statement, reason=result.reason, code=result.code, result=told(result))


def _confirm(visit: Visit, result: JobResult) -> Pause:
    """A look at the host, independent of what the job said of itself."""
    visit.renew()
    try:
        seen = visit.executor.observe(look_of(visit.job))
    except (RemoteError, Refusal) as error:
        return silent(visit, f"{error}")
    fault("after_observe")
    if seen.verdict is Verdict.RUNNING:
        return _too_long(visit, seen.reason)
    if seen.verdict is Verdict.INTERRUPTED:
        visit.move("lose", reason=seen.reason)
    elif seen.verdict is not Verdict.SUCCEEDED:
        reason = english(
            "It reports %(outcome)s, but the host shows otherwise: %(why)s",
            outcome=result.outcome.value.replace("_", " "),
            why=seen.reason,
        )
        visit.move("fail", reason=reason, code="not_shown", result=told(result, seen))
    elif result.outcome is Stage.NOT_NEEDED and visit.job.state == S.CLAIMED:
        visit.move(
            "skip", reason=result.reason or english("every package is there already."), result=told(result, seen)
        )
    else:
        _reach(visit, Stage.VERIFYING, None)
        visit.move("succeed", reason=seen.reason + restart_owed(visit.job, seen), result=told(result, seen))
    return None


def restart_owed(job: Job, seen: Observed, profile: Mapping[str, Any] | None = None) -> str:
    """What a person must know where a restart is needed that did not take place."""
    if not seen.restart_needed:
        return ""
    rules = profile or signed(job.rollout.manifest_id).document["profile"]
    return " " + english("A restart is still needed: %(rule)s.", rule=restart_of(job, rules).sentence)


def _too_long(visit: Visit, why: str) -> Pause:
    if visit.now() - visit.job.state_at < RESTART_SILENCE:
        return SOON
    visit.move("lose", reason=english("It has ended, but the host stays at work: %(why)s", why=why))
    return None
