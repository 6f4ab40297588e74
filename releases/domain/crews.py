"""A crew: one worker's hold on many jobs of a ring, taken through the same steps as a single visit, set by set.

One call of the executor for all of them, one transaction for what all of them report. Whatever is not the usual course
(a failure, a silence, a refusal, a stop) is left to a visit of its own: there is one place that decides about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from cmdb.domain import scans
from cmdb.remote.errors import RemoteError
from patchflow.kernel import queue, workflow
from patchflow.kernel import rows as many
from patchflow.kernel.blockers import english, sentences
from patchflow.kernel.commits import need_not_wait
from patchflow.kernel.errors import Conflict, Refusal
from patchflow.kernel.faults import fault
from patchflow.kernel.models import User
from patchflow.kernel.queue import Claim
from releases.domain import slips
from releases.domain.gates import ask_whole
from releases.domain.host_batches import Batch
from releases.domain.host_gates import ask_hosts
from releases.domain.orders import Orders
from releases.domain.rollouts import ADVANCE
from releases.domain.slips import Slip
from releases.domain.trials import acting
from releases.domain.visits import Visit, clean, told
from releases.domain.working import (
    BACK_OFF,
    PAUSE,
    POLL,
    SOON,
    Pause,
    answered,
    others_wait,
    overdue,
    restart_owed,
    steps_to,
    take,
)
from releases.enums_rollout import JobState
from releases.executors.base import Batch as OrdersGiven
from releases.executors.base import Executor, JobOrder, JobProgress, Observed, Stage, StartAnswer, Verdict, Way
from releases.models import Job, JobEvent, Ring
from releases.queries.rollouts import may_go_on, proven_once

log = structlog.get_logger(__name__)
S = JobState
SLOWEST = 2.0
"""Seconds between two questions to many hosts at most; the first follow quickly."""
SLICE = 500
"""Jobs whose news is recorded by the first transaction of a look; as many again for each that took no longer than `QUICK`."""
QUICK = 0.5
"""Seconds."""
NOTHING: Mapping[str, Any] = {}
"""The facts of a step that has none: one object for all, so that it is written for the trail once."""
COURSE = ("stage", "install", "restart", "verify", "skip", "succeed")


class Crew:
    """Jobs at work (not out of sight, nobody asked to stop them) of one ring, each under its lease."""

    def __init__(self, held: Iterable[Claim], now: Callable[[], datetime], wait: Callable[[float], None]) -> None:
        self.held = {claim.pk: claim for claim in held}
        self.now, self.wait, self.began = now, wait, now()
        self.bot = User.bot()
        self.pauses: dict[int, Pause] = {}
        """When to come again to a job that was left: this holds it no longer."""
        self.ring_id = Job.objects.values_list("ring_id", flat=True).order_by().get(pk=next(iter(self.held)))
        self.ways: dict[int, Way] = {}
        """Host → the distribution point through which the gates let it."""
        self.renewed = time.monotonic()
        self.look_again()
        self.load()

    def look_again(self) -> None:
        """Reads the ring and its rollout as they stand this very moment."""
        self.ring = Ring.objects.select_related("rollout__release").order_by().get(pk=self.ring_id)
        self.rollout = self.ring.rollout

    def load(self) -> None:
        """Reads the jobs that are still held anew."""
        mine = [pk for pk in self.held if pk not in self.pauses]
        self.jobs: dict[int, Job] = {job.pk: job for job in Job.objects.lean().filter(pk__among=mine).order_by("pk")}
        for job in self.jobs.values():
            job.rollout, job.ring = self.rollout, self.ring

    @cached_property
    def executor(self) -> Executor:
        return acting(self.rollout.executor)

    @cached_property
    def orders(self) -> Orders:
        return Orders(list(self.jobs.values()))

    # --- holding --------------------------------------------------------------------------------------------------------
    def write(self, pks: Iterable[int], **columns: object) -> None:
        """Writes columns of these jobs where the fence holds; the others belong to somebody else now."""
        wanted = [self.held[pk] for pk in pks]
        kept = queue.write(Job, wanted, **columns)
        for claim in wanted:
            if claim.pk not in kept:
                self.leave(claim.pk, timedelta(seconds=5))
        for pk in kept:
            for name, value in columns.items():
                setattr(self.jobs[pk], name, value)

    def renew(self) -> None:
        """Prolongs the leases once a quarter of them has passed: each write of thousands of rows costs more than it gives."""
        lease: timedelta = settings.PATCHFLOW["LEASE"]
        if time.monotonic() - self.renewed >= lease.total_seconds() / 4:
            self.write(list(self.jobs), lease_until=queue.database_now() + lease)
            self.renewed = time.monotonic()

    def leave(self, pk: int, pause: Pause) -> None:
        """Lets go of one job, to come again after `pause`."""
        self.jobs.pop(pk, None)
        self.pauses[pk] = pause

    def alone(self, pk: int, act: Callable[[Visit], Pause]) -> None:
        """One job by a visit of its own."""
        try:
            self.leave(pk, act(Visit(self.held[pk], self.now, self.wait)))
        except Conflict:
            self.leave(pk, timedelta(seconds=5))

    def fire(
        self,
        names: Sequence[str],
        steps_of: Callable[[Job], Sequence[workflow.Step]],
        pks: Iterable[int],
        also: Callable[[Job], Mapping[str, object]] | None = None,
    ) -> list[int]:
        """Fires the steps of these jobs; those refused (taken over, moved on by a person) are let go. Those that moved."""
        rows = Job.objects.lean().filter(pk__among=list(pks))
        fences = {pk: claim.fence for pk, claim in self.held.items()}
        fired = workflow.fire_steps(
            rows, names, actor=self.bot, at=self.now(), steps_of=steps_of, fences=fences, also=also
        )
        for pk in set(pks) - set(fired.done):
            self.leave(pk, timedelta(seconds=5))
        return fired.done


def work_together(crew: Crew, alone: Callable[[Visit], Pause]) -> None:
    """Takes all jobs of the crew as far as they go in some seconds; `alone` is a visit to one of them."""
    with proven_once():
        orders = _orders(crew, alone)
        _give(crew, orders, alone)
        fault("after_give")
    _follow(crew, orders)


def _orders(crew: Crew, alone: Callable[[Visit], Pause]) -> dict[int, JobOrder]:
    """The orders of all; a job that cannot be ordered is visited alone, which gives it back with the reason."""
    found: dict[int, JobOrder] = {}
    for pk, job in list(crew.jobs.items()):
        try:
            found[pk] = crew.orders.order(job, fence=crew.held[pk].fence)
        except Refusal:
            crew.alone(pk, alone)
    return found


# --- ordering ---------------------------------------------------------------------------------------------------------
def _give(crew: Crew, orders: dict[int, JobOrder], alone: Callable[[Visit], Pause]) -> None:
    """Gives the orders of the jobs that have none yet, after asking every gate again at the moment of acting."""
    fresh = [job for job in crew.jobs.values() if job.state == S.CLAIMED and job.ordered_at is None]
    fresh += _never_arrived(crew, orders)
    fresh = _let_through(crew, _not_stopped(crew, fresh))
    if not fresh:
        return
    crew.renew()
    going = [job.pk for job in fresh if job.pk in crew.jobs]
    crew.write(going, ordered_at=crew.now())
    going = [pk for pk in going if pk in crew.jobs]
    if not going:
        return
    fault("before_give")
    handle = crew.executor.start(OrdersGiven(orders=tuple(_on_its_way(crew, pk, orders[pk]) for pk in going)))
    fault("given")
    for pk, started in zip(going, handle.jobs, strict=True):
        if not started.answer.has_it and pk in crew.jobs:
            crew.alone(pk, _answers(started.answer))


def _on_its_way(crew: Crew, pk: int, order: JobOrder) -> JobOrder:
    way = crew.ways.get(crew.jobs[pk].host_id)
    return replace(order, way=way) if way is not None else order


def _never_arrived(crew: Crew, orders: dict[int, JobOrder]) -> list[Job]:
    """Jobs whose order an earlier visit may have sent, and that their hosts do not know: asked before anything else."""
    sent = [job for job in crew.jobs.values() if job.state == S.CLAIMED and job.ordered_at is not None]
    if not sent:
        return []
    answers = crew.executor.events(crew.executor.attach([orders[job.pk] for job in sent]))
    return [job for job, there in zip(sent, answers, strict=True) if there.reachable and not there.known]


def _not_stopped(crew: Crew, fresh: list[Job]) -> list[Job]:
    """Without those that somebody asked to stop before they were ordered: they are cancelled."""
    asked = {job.pk for job in fresh if job.cancel_asked_at}
    if asked:
        reason = english("The rollout was stopped before its order arrived.")
        for pk in crew.fire(["cancel"], lambda _job: [("cancel", {"reason": reason})], asked):
            crew.leave(pk, SOON)
    return [job for job in fresh if job.pk in crew.jobs]


def _answers(answer: StartAnswer) -> Callable[[Visit], Pause]:
    return lambda visit: answered(visit, answer)


def _let_through(crew: Crew, fresh: list[Job]) -> list[Job]:
    """Those that every gate still lets through; the others are given back or refused, each with its slip."""
    if not fresh:
        return []
    crew.look_again()
    now, asked = crew.now(), []
    whole = ask_whole(crew.rollout, at=now)
    if whole.runs:
        batch = Batch(crew.rollout, crew.ring, fresh, now, reached=crew.orders.endpoint, kinds=crew.orders.kinds)
        asked, crew.ways = ask_hosts(batch, limit=len(fresh), brief=True), batch.ways
    asked = asked or [(job, whole) for job in fresh]
    denied = {job.pk: (job, slip) for job, slip in asked if not slip.runs}
    if denied:
        _deny(crew, denied, now)
    return [job for job in fresh if job.pk in crew.jobs]


def _deny(crew: Crew, denied: dict[int, tuple[Job, Slip]], now: datetime) -> None:
    def steps_of(job: Job) -> list[workflow.Step]:
        slip = denied[job.pk][1]
        facts = {"statement": slip.statement, "code": slip.code, "slip_key": slip.key}
        if slip.verdict == "refuse" and not slip.halts:
            return [("refuse", {**facts, "reason": slip.sentence})]
        return [("release", {**facts, "not_before": slip.not_before or now + BACK_OFF})]

    with transaction.atomic():
        done = crew.fire(["refuse", "release"], steps_of, denied)
        slips.keep_many([denied[pk] for pk in done], rollout=crew.rollout, at=now)
    for pk in done:
        crew.leave(pk, SOON)


# --- following --------------------------------------------------------------------------------------------------------
def _follow(crew: Crew, orders: dict[int, JobOrder]) -> None:
    """Asks for the journals of all until they have ended, or others wait for this worker."""
    pause, told_to_stop = PAUSE, set[int]()
    while crew.jobs:
        _stop(crew, orders, told_to_stop)
        handle = crew.executor.attach([orders[pk] for pk in crew.jobs])
        after = {job.job_key: job.last_seq for job in crew.jobs.values()}
        answers = dict(zip(list(crew.jobs), crew.executor.events(handle, after=after), strict=True))
        fault("after_journals")
        with proven_once():
            _take(crew, answers)
        if not crew.jobs:
            return
        if crew.now() - crew.began >= POLL or others_wait(crew.began, crew.now(), crew.held):
            break
        crew.wait(pause)
        pause = min(pause * 2, SLOWEST)
        crew.renew()
        crew.load()
    for pk in list(crew.jobs):
        crew.leave(pk, None)


def _stop(crew: Crew, orders: dict[int, JobOrder], told: set[int]) -> None:
    """Tells the hosts of jobs that somebody asked to stop, once in a visit; what became of it is in their journals."""
    asked = [pk for pk, job in crew.jobs.items() if job.cancel_asked_at and pk not in told]
    if asked:
        crew.executor.cancel(crew.executor.attach([orders[pk] for pk in asked]))
        told.update(asked)


def _take(crew: Crew, answers: dict[int, JobProgress]) -> None:
    """Records what is new of all: journals, stages, and success where the host shows it. In slices, each for good: a worker
    that dies again and again still gets something done, and one that does well takes larger ones."""
    rest, size, done = list(answers), SLICE, False
    while rest:
        began, some, rest = time.monotonic(), rest[:size], rest[size:]
        done = _take_some(crew, {pk: answers[pk] for pk in some if pk in crew.jobs}) or done
        if time.monotonic() - began < QUICK:
            size *= 2
    if done and crew.jobs and may_go_on(crew.rollout.pk):  # of the last ones tells who gives the leases back
        queue.enqueue(ADVANCE, rollout_id=crew.rollout.pk)


def _take_some(crew: Crew, answers: dict[int, JobProgress]) -> bool:
    """Whether any of them is done."""
    usual = {pk: progress for pk, progress in answers.items() if _usual(progress) and not _late(crew, pk, progress)}
    ended = [pk for pk, progress in usual.items() if progress.result is not None]
    seen = _looked_at(crew, ended)
    for pk in ended:
        if pk not in seen:
            usual.pop(pk)
    # Renewing the leases may have shown some to be another's.
    held = {pk: p for pk, p in usual.items() if pk in crew.jobs}
    news = {pk: p for pk, p in held.items() if p.events or p.result or _quiet_for_long(crew, pk)}
    done = _record(crew, news, seen) if news else []
    for pk, progress in answers.items():
        if pk not in usual and pk in crew.jobs:
            crew.alone(pk, _takes(progress))
        elif progress.pause and progress.result is None and pk in crew.jobs:
            crew.leave(pk, timedelta(seconds=progress.pause))
    return bool(done)


def _takes(progress: JobProgress) -> Callable[[Visit], Pause]:
    return lambda visit: take(visit, progress)[1]


def _usual(progress: JobProgress) -> bool:
    """Under way, or ended by its own account as wanted."""
    if not (progress.reachable and progress.known):
        return False
    if progress.result is None:
        return progress.alive
    return progress.result.outcome in (Stage.SUCCEEDED, Stage.NOT_NEEDED)


def _late(crew: Crew, pk: int, progress: JobProgress) -> bool:
    """At work for longer than was signed; a person who does it by hand takes the time that it takes."""
    if progress.result is not None or progress.pause:
        return False
    return bool(overdue(crew.jobs[pk], crew.orders.document, at=crew.now()))


def _quiet_for_long(crew: Crew, pk: int) -> bool:
    heard = crew.jobs[pk].heard_at
    return heard is None or crew.now() - heard >= timedelta(seconds=5)


def _looked_at(crew: Crew, ended: list[int]) -> dict[int, Observed]:
    """What the hosts show, of those that show success."""
    if not ended:
        return {}
    crew.renew()
    ended = [pk for pk in ended if pk in crew.jobs]
    found = crew.executor.observe_all([crew.orders.look(crew.jobs[pk]) for pk in ended])
    fault("after_looks")
    return {
        pk: seen
        for pk, seen in zip(ended, found, strict=True)
        if not isinstance(seen, RemoteError) and seen.verdict is Verdict.SUCCEEDED
    }


def _record(crew: Crew, news: dict[int, JobProgress], seen: dict[int, Observed]) -> list[int]:
    """One transaction: the steps of each job as its journal shows them, the journals, the inventory that follows. Those that
    have succeeded."""
    profile = crew.orders.document.document["profile"]
    changed: set[int] = set()
    results = {pk: told(news[pk].result, shown) for pk, shown in seen.items() if pk in news}
    events, lasts, now = _lines(crew, news), _lasts(crew, news), crew.now()

    def steps_of(job: Job) -> list[workflow.Step]:
        progress = news[job.pk]
        if job.pk not in seen:
            return [(name, NOTHING) for name in steps_to(job.state, progress)]
        shown = seen[job.pk]
        result = results[job.pk]
        if _not_needed(progress) and not steps_to(job.state, progress) and job.state == S.CLAIMED:
            reason = progress.result and progress.result.reason
            return [("skip", {"reason": reason or english("every package is there already."), "result": result})]
        changed.add(job.pk)
        names = steps_to(job.state, progress, stage=Stage.VERIFYING)
        reason = shown.reason + restart_owed(job, shown, profile)
        return [*((name, NOTHING) for name in names), ("succeed", {"reason": reason, "result": result})]

    fault("before_record")
    with transaction.atomic():
        need_not_wait()  # the hosts' journals say it again
        # Before the ring is locked, which other crews wait for; what a job that was taken over has said is true as well.
        many.insert(JobEvent, [line for lines in events.values() for line in lines], ignore_conflicts=True)
        done = crew.fire(COURSE, steps_of, news, lambda job: {"last_seq": lasts[job.pk], "heard_at": now})
        good = [pk for pk in done if pk in seen]
        if changed.intersection(good) and profile.get("inventory_after", True):
            _ask_inventory([crew.jobs[pk].host_id for pk in good if pk in changed], crew)
    fault("after_record")
    for pk in good:
        crew.leave(pk, None)
    return good


def _not_needed(progress: JobProgress) -> bool:
    return progress.result is not None and progress.result.outcome is Stage.NOT_NEEDED


def _lines(crew: Crew, news: dict[int, JobProgress]) -> dict[int, list[dict[str, Any]]]:
    """The journal's new lines of each job, as rows."""
    return {
        pk: [
            {
                "job_id": pk, "attempt": crew.jobs[pk].attempt, "seq": e.seq, "at": e.at, "stage": e.stage.value,
                "message": clean(e.message), "data": clean(e.data),
            }
            for e in progress.events
        ]
        for pk, progress in news.items()
    }  # fmt: skip


def _lasts(crew: Crew, news: dict[int, JobProgress]) -> dict[int, int]:
    """How far the journal of each job has been read then."""
    return {pk: max([crew.jobs[pk].last_seq, *(e.seq for e in progress.events)]) for pk, progress in news.items()}


def _ask_inventory(host_ids: list[int], crew: Crew) -> None:
    """The inventory follows: one scan of these hosts, less those being read already."""
    try:
        scans.request(host_ids=host_ids, actor=crew.bot, at=crew.now())
    except Refusal as refusal:
        log.info("jobs.no_scan", hosts=len(host_ids), why=sentences(refusal.blockers))
