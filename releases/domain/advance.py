"""What a rollout does by itself, every few seconds and after each job: gates, claims, rings, its end.

Each step is one transaction that reads everything anew under the rollout's lock: killed anywhere, the next tick goes on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

from changes.domain import clocks
from changes.queries.rfcs import running_clocks
from cmdb.enums import Environment
from patchflow.kernel import queue, registry, workflow
from patchflow.kernel.blockers import english
from patchflow.kernel.commits import need_not_wait
from patchflow.kernel.faults import fault
from patchflow.kernel.models import User
from releases import planning
from releases.domain import announcements, releases, rollouts, slips
from releases.domain.gates import ask_whole
from releases.domain.host_batches import Batch
from releases.domain.host_gates import ask_hosts
from releases.domain.owners import tell_owners
from releases.domain.slips import Slip
from releases.enums import ReleaseOutcome
from releases.enums_rollout import JobState, RolloutState
from releases.models import Job, Release, Ring, Rollout
from releases.queries.rollouts import due_rollouts, proven_once, signed, view_of

log = structlog.get_logger(__name__)
RUN = "releases.tasks.run_job"
RUN_MANY = "releases.tasks.run_jobs"
CREW = 1000
"""Jobs of one message: they are visited together. Hosts let through in one step, so that a stop waits for no more."""
STEPS = 50
"""Steps of one tick at most; what is left is done at the next."""
ASKED = 100
"""Hosts asked at least for each claim, so that some deferred ones do not hold up the rest."""


def advance(*, rollout_id: int, now: datetime) -> int:
    """Does what is due for a rollout; returns how many hosts were let through. Safe to call at any time, any number of times."""
    through = 0
    for _step in range(STEPS):
        done, claimed, end = _tick(rollout_id, now)
        through += claimed
        if done or end is not None:
            _stop_clocks(rollout_id, now)
        if end is not None:
            _end(rollout_id, now)
        if not done:
            break
    return through


def _tick(rollout_id: int, now: datetime) -> tuple[bool, int, planning.Action | None]:
    """(whether something was done, hosts let through, the end that is reached)."""
    with proven_once(), transaction.atomic():
        rows = Rollout.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
        rollout = rows.filter(pk=rollout_id, state__in=[RolloutState.RUNNING, RolloutState.STOPPING]).first()
        if rollout is None:
            return False, 0, None
        slip = _ask(rollout, now) if rollout.state == RolloutState.RUNNING else None
        if slip is not None and slip.halts:
            rollouts.halt(rollout_id=rollout_id, cause=slip.statement, actor=User.bot(), at=now)
            return False, 0, None
        view = view_of(rollout, now=now, is_open=slip is not None and slip.runs, expired=_expired(rollout, now))
        actions = planning.next_actions(view, now)
        if end := next((a for a in actions if isinstance(a, planning.Complete | planning.EndStopped)), None):
            return False, 0, end
        called_off = rollouts.call_off(rollout, at=now) if rollout.state == RolloutState.STOPPING else 0
        done, claimed = _perform(rollout, actions, now)
        done = done or called_off > 0
        transaction.on_commit(lambda: fault("after_tick"))
        return done, claimed, None


def _expired(rollout: Rollout, now: datetime) -> bool:
    latest = signed(rollout.manifest_id).moment("latest")
    return latest is not None and now >= latest and not rollout.is_way_back


def _ask(rollout: Rollout, now: datetime) -> Slip:
    """Asks the gates of the whole rollout; writes a slip when the verdict has changed."""
    slip = ask_whole(rollout, at=now)
    if slip.key != rollout.slip_key:
        slips.row(slip, rollout=rollout, job=None, at=now).save()
        rollout.slip_key, rollout.statement = slip.key, "" if slip.runs else slip.statement
        rollout.save(update_fields=["slip_key", "statement"])
    return slip


def _perform(rollout: Rollout, actions: list[planning.Action], now: datetime) -> tuple[bool, int]:
    """Whether anything was done, and how many hosts were let through."""
    bot = User.bot()
    done, claimed = False, 0
    for action in actions:
        match action:
            case planning.NotifyRing(ring_id):
                tell_owners(ring_id, actor=bot, at=now)
            case planning.StartRing(ring_id):
                workflow.fire(Ring, ring_id, "start", actor=bot, at=now)
            case planning.SoakRing(ring_id):
                workflow.fire(Ring, ring_id, "soak", actor=bot, at=now)
            case planning.PassRing(ring_id):
                workflow.fire(Ring, ring_id, "hold", actor=bot, at=now)
            case planning.SkipRing(ring_id):
                workflow.fire(Ring, ring_id, "skip", actor=bot, at=now, reason=english("No host of it is left to do."))
            case planning.FailRing(ring_id, cause):
                workflow.fire(Ring, ring_id, "fail", actor=bot, at=now, cause=cause)
            case planning.Halt(cause):
                rollouts.halt(rollout_id=rollout.pk, cause=cause, actor=bot, at=now)
            case planning.Withdraw(ring_id):
                rollouts.withdraw_some(ring_id, reason=rollout.reason, actor=bot, at=now)
            case planning.Expire(ring_id):
                _expire(ring_id, now)
            case planning.Claim(ring_id, count):
                asked, through = _claim(rollout, ring_id, count, now)
                claimed += through
                done = done or asked
                continue
        done = True
    return done, claimed


def _expire(ring_id: int, now: datetime) -> None:
    """Past the latest start nobody waits in silence: what has not begun is refused, with that reason."""
    reason = english("The latest start that was signed has passed.")
    facts = {
        "statement": english("Will not run: %(why)s", why=reason),
        "reason": reason,
        "code": "start",
        "slip_key": "refuse:start:",
    }
    pending = Job.objects.filter(ring_id=ring_id, state=JobState.PENDING)
    jobs = list(pending.order_by("pk")[: rollouts.AT_ONCE])  # the next step of the tick takes the next
    rollout = Rollout.objects.get(rings=ring_id)
    gate = {"gate": "start", "verdict": "refuse", "input": {"now": f"{now:%Y-%m-%dT%H:%M:%SZ}"}, "sentence": reason}
    slip = slips.Slip(slips.SlipVerdict.REFUSE, facts["statement"], [gate])
    slips.keep_many([(job, slip) for job in jobs], rollout=rollout, at=now)
    rows = Job.objects.filter(pk__in=[job.pk for job in jobs])
    workflow.fire_many(rows, "refuse", actor=User.bot(), at=now, facts_of=lambda _job: facts)


# --- letting hosts through --------------------------------------------------------------------------------------------
def _claim(rollout: Rollout, ring_id: int, count: int, now: datetime) -> tuple[bool, int]:
    """Asks the gates of the next due hosts and lets up to `count` through: slips, claims, and after commit the messages."""
    need_not_wait()  # nothing is ordered before a crew has written down that it orders it
    ring, count = Ring.objects.get(pk=ring_id), min(count, CREW)
    due = queue.due(Job.objects.lean().filter(ring=ring, state=JobState.PENDING), now=now)
    jobs = list(due.order_by("not_before", "pk")[: max(count, ASKED)])
    found = ask_hosts(Batch(rollout, ring, jobs, now), limit=count)
    slips.keep_many([(job, slip) for job, slip in found if slip.key != job.slip_key], rollout=rollout, at=now)
    _fire(found, "defer", lambda job, slip: slip.verdict == "defer" and slip.key != job.slip_key, now)
    _put_off(found)
    _fire(found, "refuse", lambda _job, slip: slip.verdict == "refuse", now)
    through = _let_through(found, now)
    return bool(found), len(through)


def _let_through(found: list[tuple[Job, Slip]], now: datetime) -> list[int]:
    try:
        with transaction.atomic():
            through = _fire(found, "claim", lambda _job, slip: slip.runs, now)
    except IntegrityError:  # another rollout has taken one of the hosts this very moment: its gate says so next time
        log.info("rollout.host_taken")
        return []
    transaction.on_commit(lambda: fault("after_claim"))
    for start in range(0, len(through), CREW):
        queue.enqueue(RUN_MANY, job_ids=through[start : start + CREW])
    return through


def _put_off(found: list[tuple[Job, Slip]]) -> None:
    """The same verdict as before: only asked again later, without another row."""
    until: dict[datetime | None, list[int]] = defaultdict(list)
    for job, slip in found:
        if slip.verdict == "defer" and slip.key == job.slip_key:
            until[slip.not_before].append(job.pk)
    for not_before, pks in until.items():
        Job.objects.filter(pk__among=pks, state=JobState.PENDING).update(not_before=not_before)


def _fire(found: list[tuple[Job, Slip]], name: str, chosen: Callable[[Job, Slip], bool], now: datetime) -> list[int]:
    facts: dict[int, Mapping[str, Any]] = {
        job.pk: {
            "statement": slip.statement, "code": slip.code, "reason": slip.sentence, "not_before": slip.not_before,
            "slip_key": slip.key,
        }
        for job, slip in found
        if chosen(job, slip)
    }  # fmt: skip
    if not facts:
        return []
    rows = Job.objects.lean().filter(pk__among=facts)
    return workflow.fire_many(rows, name, actor=User.bot(), at=now, facts_of=lambda job: facts[job.pk]).done


# --- the end ----------------------------------------------------------------------------------------------------------
OUTCOMES = {
    True: {"full": ReleaseOutcome.ROLLED_BACK},
    False: {"full": ReleaseOutcome.FULL, "partial": ReleaseOutcome.PARTIAL, "failed": ReleaseOutcome.FAILED},
}


def _stop_clocks(rollout_id: int, now: datetime) -> None:
    """The start-by clocks of the changes stop when the first ring with a production host has begun. A way back stops none."""
    running = running_clocks(Release.objects.get(rollouts=rollout_id).rfc_ids())
    if not running:
        return
    forward = Ring.objects.filter(rollout_id=rollout_id, rollout__reverses__isnull=True, started_at__isnull=False)
    production = Job.objects.filter(ring=OuterRef("pk"), host__ci__environment=Environment.PRODUCTION)
    began = forward.filter(Exists(production.order_by())).order_by("started_at").first()
    if began is None or began.started_at is None:
        return
    for rfc_id in running:
        clocks.stop(rfc_id=rfc_id, actor=User.bot(), at=began.started_at)


def _end(rollout_id: int, now: datetime) -> None:
    """Ends the rollout and its release's deployment, in a transaction that locks RFCs < release < rollout and asks again."""
    release = Release.objects.get(rollouts=rollout_id)
    with transaction.atomic():
        releases.lock_rfcs(release.rfc_ids())
        workflow.lock(Release, release.pk)
        rollout = workflow.lock(Rollout, rollout_id)
        view = view_of(rollout, now=now, is_open=True)
        match planning.next_actions(view, now):
            case [planning.Complete(outcome)]:
                name = "complete"
            case [planning.EndStopped(outcome)]:
                name = "stopped"
            case _:
                return
        bot = User.bot()
        rollout = workflow.fire(Rollout, rollout_id, name, actor=bot, at=now, outcome=outcome)
        announcements.ended(rollout, at=now)
        fault("before_finish")
        back = rollout.is_way_back
        said = OUTCOMES[back].get(outcome, ReleaseOutcome.ROLLED_BACK_PARTLY)
        releases.finished(release_id=release.pk, outcome=said, actor=bot, at=now)
    fault("after_finish")


@registry.sweep("rollouts")
def sweep(*, now: datetime) -> int:
    """Rings for every rollout that something may be done for."""
    ids = list(due_rollouts().order_by("pk").values_list("pk", flat=True))
    for pk in ids:
        queue.enqueue(rollouts.ADVANCE, rollout_id=pk)
    return len(ids)
