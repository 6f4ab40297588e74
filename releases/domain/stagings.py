"""Laying the files of a rollout ready on its hosts before their window opens, where the signed profile says so.

A sweep writes a row for each pending job and rings for the rings whose rows are due; a visit asks the gates, orders, and later
asks the hosts how it went. It holds rows under leases and never waits: killed at any line, the next sweep rings again, and the
next visit finds the work by its key. Nothing here ever holds up a job: what is not laid ready it fetches itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from cmdb.queries.windows import Opening
from patchflow.kernel import audit, queue, registry, workflow
from patchflow.kernel import rows as many
from patchflow.kernel.blockers import kept
from patchflow.kernel.errors import Refusal
from patchflow.kernel.faults import fault
from patchflow.kernel.instance import instance_key
from patchflow.kernel.models import User
from patchflow.kernel.queue import Claim
from releases.domain import gates, slips
from releases.domain.host_batches import Batch, Target
from releases.domain.host_gates import (
    BUSY,
    alone,
    ask_hosts,
    files_verified,
    in_service,
    reachable,
    same_machine,
    windows_signed,
)
from releases.domain.orders import Orders
from releases.domain.profiles import stage_hours
from releases.domain.slips import Answer, NamedGate, Slip, never, passed, wait
from releases.domain.trials import acting
from releases.domain.ways import downloads
from releases.enums_rollout import JobState, RingState, RolloutState
from releases.enums_staging import StagingState
from releases.executors.base import Batch as OrdersGiven
from releases.executors.base import JobOrder, JobProgress, Stage, StartAnswer, Timeouts
from releases.executors.onhost.advice import without_promise
from releases.models import Job, Ring, Rollout, Staging
from releases.queries.rollouts import proven_once, signed

RUN = "releases.tasks.stage_ring"
S = StagingState
CREW = 200
"""So many hosts of a rollout are laid ready at once, and as many are seen to in one visit."""
PARTY = 10
"""Hosts that are asked under one lease: as many as an executor asks at a time, so that it outlasts those that do not answer."""
LEAST = timedelta(seconds=Timeouts().staging) + timedelta(minutes=5)
"""So long before its window nothing is begun any more: a host takes no longer to fetch, or gives up; with the time in which an
order is handed over, and files are compared."""
OVERDUE = timedelta(hours=1)
"""After that nobody waits for the host's word any longer."""
ATTEMPTS = 3
AGAIN, LONGEST = timedelta(minutes=10), timedelta(hours=4)
"""A host that could not be reached is tried again after so long, then after as long as it was tried for, at most so long."""
LOOK = timedelta(seconds=10)
LEFT_OUT = (JobState.CANCELLED, JobState.REFUSED)
OVER = (RolloutState.STOPPING, RolloutState.STOPPED, RolloutState.COMPLETED, RolloutState.CANCELLED)
Ends = dict[int, tuple[str, Mapping[str, Any]]]
"""Row → the transition that follows, with its facts."""


# --- which rows there are -----------------------------------------------------------------------------------------------
def _due() -> QuerySet[Staging]:
    """Open rows that something may be done for: ordered ones whatever became of their rollout; waiting ones while it runs, and
    those whose job waits no longer."""
    waits = Q(state=S.WAITING)
    goes_on = Q(rollout__state=RolloutState.RUNNING) | ~Q(job__state=JobState.PENDING)
    return Staging.objects.filter(Q(state=S.ORDERED) | waits & goes_on)


@registry.sweep("stagings")
def sweep(*, now: datetime) -> int:
    """Writes the rows that are missing, and rings for the rings whose rows are due."""
    running = Rollout.objects.filter(state=RolloutState.RUNNING, reverses__isnull=True).order_by("pk")
    for pk in running.filter(manifest__document__profile__stage_hours__gt=0).values_list("pk", flat=True):
        if _missing(pk).exists():
            ask(rollout_id=pk, actor=User.bot(), at=now)
    waiting = Staging.objects.filter(state=S.WAITING, not_before__isnull=False)
    waiting.filter(~Q(job__state=JobState.PENDING)).update(not_before=None)
    rings = sorted(set(queue.due(_due(), now=now).order_by().values_list("ring_id", flat=True).distinct()))
    for pk in rings:
        queue.enqueue(RUN, ring_id=pk)
    return len(rings)


def _missing(rollout_id: int) -> QuerySet[Job]:
    return Job.objects.filter(rollout_id=rollout_id, state=JobState.PENDING, staging__isnull=True).order_by()


@workflow.verb("release.staging.asked", Rollout, "rollout_id")
def ask(*, rollout_id: int, actor: User, at: datetime) -> int:
    """Writes a waiting row for each pending job of the rollout that has none; returns how many. Called by the sweep where the
    signed profile wants files laid ready; said again, it does nothing."""
    rollout, mine = workflow.lock(Rollout, rollout_id), instance_key()
    rows = [
        {"job_id": pk, "ring_id": ring_id, "key": key_of(mine, rollout, host_id, 1)}
        for pk, ring_id, host_id in _missing(rollout_id).values_list("pk", "ring_id", "host_id")
    ]
    many.insert(Staging, rows, same={"rollout_id": rollout_id, "state_at": at, "asked_at": at})
    if rows:
        hours = stage_hours(signed(rollout.manifest_id).document["profile"])
        audit.record(rollout, "release.staging.asked", actor=actor, at=at, detail={"hosts": len(rows), "hours": hours})
    return len(rows)


def key_of(instance: str, rollout: Rollout, host_id: int, attempt: int) -> str:
    """The key of one attempt, as the host keeps it; no job has one like it."""
    return f"{instance}-{rollout.number}-{host_id}-staging-{attempt}"


# --- the gates ----------------------------------------------------------------------------------------------------------
def goes_on(target: Target) -> Answer:
    return target.batch.once("ring", answer=lambda: _goes_on(target.batch.rollout, target.batch.ring, target.batch.at))


def _goes_on(rollout: Rollout, ring: Ring, at: datetime) -> Answer:
    given = {"rollout": rollout.state, "ring": ring.state}
    if rollout.state != RolloutState.RUNNING:
        return wait(kept("%(rollout)s is %(state)s", rollout=rollout.number, state=rollout.state), at + BUSY, **given)
    if ring.state in (RingState.FAILED, RingState.SKIPPED):
        return wait(kept("ring “%(ring)s” is %(state)s", ring=ring.name, state=ring.state), at + BUSY, **given)
    return passed(kept("%(rollout)s goes on", rollout=rollout.number), **given)


def its_turn(target: Target) -> Answer:
    """Its job waits for its turn: afterwards nothing is laid ready any more."""
    state = target.job.state
    if state != JobState.PENDING:
        said = kept("its job is %(state)s: it fetches its files itself", state=state.replace("_", " "))
        return target.batch.once("turn", state, answer=lambda: never(said, job=state))
    return target.batch.once("turn", state, answer=lambda: passed(kept("its job waits for its turn"), job=state))


def ahead(target: Target) -> Answer:
    """So many hours before its window, and not so late that it would still be at it when the window opens."""
    entry, mine = target.entry, windows_signed(target)
    assert entry is not None  # noqa: S101  same_machine has looked
    alike = ("ahead", entry["class"], *(w.pk for w in mine))
    return target.batch.once(
        *alike, answer=lambda: _ahead(target, [o for w in mine for o in target.batch.allowed_openings_of(w)])
    )


def _ahead(target: Target, found: list[Opening]) -> Answer:
    batch, hours = target.batch, stage_hours(target.batch.signed.document["profile"])
    earliest, latest = batch.signed.moment("earliest"), batch.signed.moment("latest")
    need = timedelta(minutes=batch.minutes_of(target.job))
    starts = sorted((max(o.starts_at, earliest or o.starts_at), o.ends_at, o.name, o.window_id) for o in found)
    given: dict[str, Any] = {"hours": hours, "minutes": int(need.total_seconds() // 60)}
    fits = [one for one in starts if one[1] - one[0] >= need and (latest is None or one[0] < latest)]
    if late := [one for one in fits if one[0] <= batch.at + LEAST]:
        until = max(one[1] for one in late)
        said = kept(
            "window “%(window)s” is open, or opens in a moment: its job fetches its files itself", window=late[0][2]
        )
        return wait(said, until, key=f"open:{until:%Y%m%d%H%M}", **given)
    if not fits:
        return never(kept("none of its windows opens again in time"), **given)
    opens, _ends, name, window = fits[0]
    since = opens - timedelta(hours=hours)
    when = f"{opens:%d %b %Y %H:%M}"
    if since > batch.at:
        said = kept(
            "its files are laid ready %(hours)s hours before window “%(window)s”, which opens at %(when)s UTC",
            hours=hours,
            window=name,
            when=when,
        )
        return wait(said, since, key=f"{window}:{opens:%Y%m%d%H%M}", opens=opens, **given)
    said = kept("window “%(window)s” opens at %(when)s UTC", window=name, when=when)
    return passed(said, opens=opens, window=window, **given)


WHOLE: list[NamedGate[gates.Whole]] = [(name, gate) for name, gate in gates.GATES if name != "freeze"]
HOST: list[NamedGate[Target]] = [
    ("turn", its_turn),
    ("ring", goes_on),
    ("machine", same_machine),
    ("service_state", in_service),
    ("ahead", ahead),
    ("alone", alone),
    ("files", files_verified),
    ("reach", reachable),
    ("downloads", downloads),
]
"""Not asked, as nothing but files is put on the host: freeze, window, start, redundancy, restart, and when it was scanned."""


# --- a visit ------------------------------------------------------------------------------------------------------------
def run(*, ring_id: int, owner: str, now: Callable[[], datetime]) -> int:
    """One visit to the rows of a ring that are due, some at a time; returns how many. Safe to call at any time, any number of
    times; raises nothing for what a host does. It ends in time for others: what is left is due at the next sweep."""
    lease: timedelta = settings.PATCHFLOW["LEASE"]
    seen, until = 0, now() + lease
    while seen < CREW and now() < until:
        found = _visit(ring_id, owner, lease, now)
        seen += found
        if found < PARTY:
            break
    return seen


def _visit(ring_id: int, owner: str, lease: timedelta, now: Callable[[], datetime]) -> int:
    due = queue.due(_due().filter(ring_id=ring_id), now=now())
    held = queue.claim(due, owner=owner, lease=lease, limit=PARTY)
    if not held:
        return 0
    fault("after_staging_leases")
    party = Party(ring_id, held, now)
    try:
        with proven_once():
            party.give([row for row in party.rows.values() if row.state == S.WAITING])
            party.hear([row for row in party.rows.values() if row.state == S.ORDERED])
    finally:
        party.leave(party.rows, LOOK)
    return len(held)


class Party:
    """Rows of one ring, each under its lease."""

    def __init__(self, ring_id: int, held: Iterable[Claim], now: Callable[[], datetime]) -> None:
        self.held, self.now, self.bot = {claim.pk: claim for claim in held}, now, User.bot()
        self.ring = Ring.objects.select_related("rollout__release").order_by().get(pk=ring_id)
        self.rollout = self.ring.rollout
        found = Staging.objects.filter(pk__among=list(self.held)).select_related("job").order_by("pk")
        self.rows: dict[int, Staging] = {row.pk: row for row in found}
        for row in self.rows.values():
            row.rollout, row.ring, row.job.rollout, row.job.ring = self.rollout, self.ring, self.rollout, self.ring

    @cached_property
    def orders(self) -> Orders:
        return Orders([row.job for row in self.rows.values()])

    def order_of(self, row: Staging) -> JobOrder | Refusal:
        """The order of a row, or why it cannot be made now."""
        try:
            return self.orders.staging(row, fence=self.held[row.pk].fence)
        except Refusal as refusal:
            return refusal

    def leave(self, pks: Iterable[int], pause: timedelta) -> None:
        """Gives leases back, to come again after `pause`."""
        mine = [self.held[pk] for pk in list(pks) if self.rows.pop(pk, None) is not None]
        queue.write(Staging, mine, lease_until=None, lease_owner="", not_before=self.now() + pause)

    def fire(self, steps: Ends) -> list[int]:
        """Fires one transition for each row; who has moved on, or is another's by now, is let go. Those that moved."""
        if not steps:
            return []
        fences = {pk: claim.fence for pk, claim in self.held.items()}
        fired = workflow.fire_steps(
            Staging.objects.filter(pk__among=list(steps)), sorted({name for name, _facts in steps.values()}),
            actor=self.bot, at=self.now(), steps_of=lambda row: [steps[row.pk]], fences=fences,
        )  # fmt: skip
        for pk in steps:
            self.rows.pop(pk, None)
        return fired.done

    # --- ordering -------------------------------------------------------------------------------------------------------
    def give(self, waiting: list[Staging]) -> None:
        """Asks every gate, and orders where all let it through. A gate of the whole rollout that is shut is told by the rollout
        itself: its rows wait, and nothing is written."""
        now = self.now()
        turned = [row for row in waiting if row.job.state != JobState.PENDING]
        if len(turned) < len(waiting) and not gates.ask_whole(self.rollout, at=now, gates=WHOLE).runs:
            self.leave([row.pk for row in waiting if row not in turned], BUSY)
            waiting = turned
        at_work = Staging.objects.filter(rollout=self.rollout, state=S.ORDERED).count()
        room = max(CREW - at_work, 0)
        later = [row for row in waiting if row.job.state == JobState.PENDING][room:]
        self.leave([row.pk for row in later], LOOK)
        waiting = [row for row in waiting if row.pk in self.rows]
        if not waiting:
            return
        batch = Batch(self.rollout, self.ring, [row.job for row in waiting], now)
        said = ask_hosts(batch, limit=len(waiting), gates=HOST)
        asked = {row.pk: slip for row, (_job, slip) in zip(waiting, said, strict=True)}
        self._deny({pk: slip for pk, slip in asked.items() if not slip.runs}, now)
        through = {pk: slip for pk, slip in asked.items() if slip.runs}
        made = {pk: self.order_of(self.rows[pk]) for pk in through}
        orders = {pk: order for pk, order in made.items() if isinstance(order, JobOrder)}
        self._unordered({pk: why for pk, why in made.items() if isinstance(why, Refusal)}, now)
        going = self._written({pk: through[pk] for pk in orders}, now)
        if not going:
            return
        fault("before_staging")
        given = tuple(replace(orders[pk], way=batch.ways.get(row.job.host_id)) for pk, row in going.items())
        handle = acting(self.rollout.executor).start(OrdersGiven(orders=given))
        fault("staging_given")
        answers = dict(zip(going, handle.jobs, strict=True))
        self.rows |= going
        self.fire({pk: end for pk, one in answers.items() if (end := self._answered(going[pk], one.answer))})
        self.leave(going, LOOK)

    def _deny(self, denied: Mapping[int, Slip], now: datetime) -> None:
        """Refuses or defers, each with its slip; the same verdict as before is only asked again later."""
        steps: Ends = {}
        for pk, slip in denied.items():
            until, row = slip.not_before or now + AGAIN, self.rows[pk]
            if slip.verdict == "refuse":
                reason = slip.sentence
                if slip.code == "turn" and row.reason and row.code != "ahead":
                    reason = kept(
                        "%(why)s, and until then it waited because %(because)s", why=slip.sentence, because=row.reason
                    )
                steps[pk] = ("refuse", {"reason": reason, "code": slip.code, "slip_key": slip.key})
            elif slip.key == row.slip_key:
                self.leave([pk], until - now)
            else:
                said = kept(
                    "Is looked at again at %(when)s UTC, because %(why)s.",
                    when=f"{until:%d %b %Y %H:%M}",
                    why=slip.sentence,
                )
                steps[pk] = ("defer", {
                    "statement": said, "reason": slip.sentence, "code": slip.code, "not_before": until, "slip_key": slip.key,
                })  # fmt: skip
        with transaction.atomic():
            jobs = {pk: self.rows[pk].job for pk in steps}
            done = self.fire(steps)
            slips.keep_many([(jobs[pk], _told(denied[pk])) for pk in done], rollout=self.rollout, at=now, ahead=True)

    def _unordered(self, refused: Mapping[int, Refusal], now: datetime) -> None:
        """Says why no order can be made to these; the same cause as before is only looked at again later."""
        steps: Ends = {}
        for pk, refusal in refused.items():
            why = kept("it cannot be ordered: %(why)s", why=str(refusal).rstrip("."))
            if (self.rows[pk].code, self.rows[pk].reason) == ("order", why):
                self.leave([pk], AGAIN)
                continue
            when = now + AGAIN
            said = kept("Is looked at again at %(when)s UTC, because %(why)s.", when=f"{when:%d %b %Y %H:%M}", why=why)
            facts = {"statement": said, "reason": why, "code": "order", "not_before": when, "slip_key": ""}
            steps[pk] = ("defer", facts)
        self.fire(steps)

    def _written(self, through: Mapping[int, Slip], now: datetime) -> dict[int, Staging]:
        """Writes down that these are ordered, with their slips, before they are: afterwards their hosts may have the order."""
        steps: Ends = {}
        for pk, slip in through.items():
            opens = next(gate["input"]["opens"] for gate in slip.gates if gate["gate"] == "ahead")
            facts = {
                "statement": _told(slip).statement,
                "slip_key": slip.key,
                "window_at": datetime.fromisoformat(opens),
            }
            steps[pk] = ("order", facts)
        mine = {pk: self.rows[pk] for pk in steps}
        with transaction.atomic():
            done = self.fire(steps)
            slips.keep_many(
                [(mine[pk].job, _told(through[pk])) for pk in done], rollout=self.rollout, at=now, ahead=True
            )
        return {pk: mine[pk] for pk in done}

    def _answered(self, row: Staging, answer: StartAnswer) -> tuple[str, Mapping[str, Any]] | None:
        """What follows from the host's word. None: it has the order, or may have it."""
        match answer.word:
            case "busy":
                return self._put_off(row, kept("another job lives there: %(why)s", why=answer.reason), "busy")
            case "unsupported":
                return "refuse", {
                    "reason": kept("it cannot be worked on: %(why)s", why=answer.reason),
                    "code": "unsupported",
                }
            case "different":
                return "fail", {"reason": answer.reason, "code": "different"}
            case "unreachable" if not answer.unknown:
                return self._put_off(row, kept("it could not be reached: %(why)s", why=answer.reason), "unreachable")
        return None

    def _put_off(
        self, row: Staging, why: str, code: str, *, pause: timedelta | None = None, **facts: Any
    ) -> tuple[str, Mapping[str, Any]]:
        now, hours = self.now(), stage_hours(signed(self.rollout.manifest_id).document["profile"])
        tried_for = now - (row.window_at - timedelta(hours=hours)) if row.window_at else timedelta()
        later = now + (pause or min(max(AGAIN, tried_for), LONGEST))
        said = kept(
            "Is tried again at %(when)s UTC, because %(why)s.", when=f"{later:%d %b %Y %H:%M}", why=why.rstrip(".")
        )
        return "put_off", {"statement": said, "reason": why, "code": code, "not_before": later, **facts}

    # --- hearing how it went --------------------------------------------------------------------------------------------
    def hear(self, ordered: list[Staging]) -> None:
        """Asks the hosts how far they are, once; those of a rollout that is over, and those that were left out, are told to
        leave it. Whom nobody can ask any more is given up in time."""
        made = {row.pk: self.order_of(row) for row in ordered}
        orders = {pk: order for pk, order in made.items() if isinstance(order, JobOrder)}
        self._give_up({pk: why for pk, why in made.items() if isinstance(why, Refusal)})
        if not orders:
            return
        executor = acting(self.rollout.executor)
        handle = executor.attach(list(orders.values()))
        over = self.rollout.state in OVER
        leaving = [order for pk, order in orders.items() if over or self.rows[pk].job.state in LEFT_OUT]
        if leaving:
            executor.cancel(executor.attach(leaving))
        answers = dict(zip(orders, executor.events(handle), strict=True))
        fault("staging_heard")
        self.fire({pk: end for pk, one in answers.items() if (end := self._heard(self.rows[pk], one))})
        fault("staging_recorded")

    def _give_up(self, unasked: Mapping[int, Refusal]) -> None:
        """Hosts that cannot be asked, as no order to them can be made: it is said at once, and they are given up in time."""
        late = {pk for pk in unasked if (at := self.rows[pk].ordered_at) and self.now() - at >= OVERDUE}
        ends: Ends = {}
        for pk in late:
            why = kept("it cannot be asked: %(why)s", why=str(unasked[pk]).rstrip("."))
            ends[pk] = ("lose", {"reason": why, "code": "order"})
        for pk in unasked.keys() - late:
            row, why = self.rows[pk], str(unasked[pk]).rstrip(".")
            if (row.code, row.reason) != ("unasked", why):
                said = kept("Nobody knows how far it is, as it cannot be asked: %(why)s.", why=why)
                ends[pk] = self._noted(said, why, "unasked", AGAIN)
        self.fire(ends)
        self.leave(unasked.keys() - ends.keys(), AGAIN)

    def _noted(self, said: str, why: str, code: str, pause: timedelta) -> tuple[str, Mapping[str, Any]]:
        """What is known of an ordered one, where it is something else than before."""
        return "note", {"statement": said, "reason": why, "code": code, "not_before": self.now() + pause}

    def _heard(self, row: Staging, said: JobProgress) -> tuple[str, Mapping[str, Any]] | None:
        """What follows from the host's account. None: look again later."""
        if said.result is not None:
            return self._ended(row, said.result.outcome, said.result.code, said.result.reason, said.result.permanent)
        if said.reachable and not said.known:
            late = row.ordered_at is not None and self.now() - row.ordered_at > AGAIN
            return self._put_off(row, kept("the order has not arrived"), "order", pause=None if late else LOOK)
        if said.reachable and not said.alive:
            return "lose", {
                "reason": said.reason or kept("its process has ended there without a result"),
                "code": "unknown",
            }
        if row.ordered_at is not None and self.now() - row.ordered_at < OVERDUE:
            if said.reachable:
                return self._noted(kept("It answers, and is at it."), "", "", LOOK) if row.code else None
            if row.code == "unreachable":
                return None
            silent = kept("Nobody knows how far it is, as it does not answer: %(why)s.", why=said.reason.rstrip("."))
            return self._noted(silent, said.reason, "unreachable", LOOK)
        if said.reachable:
            return "lose", {"reason": kept("it is still at it after an hour"), "code": "overdue"}
        return "lose", {"reason": kept("it does not answer: %(why)s", why=said.reason), "code": "unreachable"}

    def _ended(
        self, row: Staging, outcome: Stage, code: str, reason: str, permanent: bool
    ) -> tuple[str, Mapping[str, Any]]:
        if outcome in (Stage.STAGED_ONLY, Stage.NOT_NEEDED):
            return "stage", {"reason": reason}
        if outcome is Stage.CANCELLED:
            return "refuse", {"reason": kept("it was called off before it had ended"), "code": "cancelled"}
        if outcome is Stage.REFUSED and not permanent and row.attempt < ATTEMPTS:
            key = key_of(instance_key(), self.rollout, row.job.host_id, row.attempt + 1)
            return self._put_off(row, reason, code, pause=AGAIN, new_key=key)
        if outcome is Stage.REFUSED and not permanent:
            why = without_promise(reason)
            reason = kept(
                "%(count)s attempts came to nothing, and no other follows: %(why)s", count=row.attempt, why=why
            )
        return "fail", {"reason": reason or str(outcome), "code": code}


def _told(slip: Slip) -> Slip:
    """The slip in words that do not promise an installation."""
    if slip.runs:
        why = next(gate["sentence"] for gate in slip.gates if gate["gate"] == "ahead")
        return replace(slip, statement=kept("Its files are laid ready now, because %(why)s.", why=why))
    if slip.verdict == "refuse":
        return replace(slip, statement=kept("Is not laid ready, because %(why)s.", why=slip.sentence))
    return slip
