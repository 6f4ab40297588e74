"""What hosts and rollouts wait for, in words, worked out when somebody reads it: as often asked for fifty rows as for one.

A row keeps what was said of it last. Between two ticks the kill switch may have been turned on, its ring may be full, and a
time that was named is over.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cached_property

from django.db.models import Count

from patchflow.kernel.blockers import English, english, english_n, kept, label_of
from releases.domain.rollouts import WAITS
from releases.enums_rollout import JobState, RingState, RolloutState
from releases.models import Job, KillSwitch, Rollout

NEXT = english("Its gates are asked next.")
_NAMED = re.compile(
    r"(Does not start now \(is asked again at |Will (?:be (?:asked|tried) again|run) at )(\d\d \w{3} \d{4} \d\d:\d\d)( UTC.*)",
    re.DOTALL,
)
_WHY = re.compile(r" UTC(?:, in its next window|\))?, because (.*)\.", re.DOTALL)
_MINUTE = "%d %b %Y %H:%M"
_MOVED_ON = (RingState.SOAKING, RingState.PASSED, RingState.FAILED, RingState.SKIPPED)


class Waiting:
    """Says it of the rows of one page, as of `at`. Two queries at most: the switch, and how many hosts are at work in each ring
    that is open. Jobs are read with their ring and rollout."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    @cached_property
    def _switch(self) -> KillSwitch | None:
        return KillSwitch.objects.filter(name="all", is_on=True).first()

    @cached_property
    def _at_work(self) -> dict[int, int]:
        """Ring → its places that are taken, of the rings that are open."""
        rows = Job.objects.live().filter(ring__state=RingState.RUNNING, rollout__state=RolloutState.RUNNING)
        return dict(rows.order_by().values_list("ring_id").annotate(n=Count("pk")))

    def of_rollout(self, rollout: Rollout) -> str:
        """What the whole rollout waits for; empty where it waits for nothing, or does not run."""
        if rollout.state != RolloutState.RUNNING:
            return ""
        if self._switch is not None:
            return english(
                "Waits, because %(why)s.",
                why=english("the kill switch is on: %(reason)s", reason=self._switch.reason.rstrip().rstrip(".")),
            )
        return still(rollout.statement, at=self.at)

    def of_job(self, job: Job) -> str:
        """What will happen to its host, or what happened, and why."""
        if job.state != JobState.PENDING:
            return job.statement
        rollout, ring = job.rollout, job.ring
        if rollout.state in (RolloutState.PAUSED, RolloutState.HALTED, RolloutState.STOPPING):
            return english(
                "Waits, because %(why)s.",
                why=english("%(rollout)s is %(state)s", rollout=rollout.number, state=label_of(rollout)),
            )
        if rollout.state != RolloutState.RUNNING:
            return job.statement or WAITS
        if whole := self.of_rollout(rollout):
            return whole
        if ring.state in _MOVED_ON:
            return english(
                "Waits, because %(why)s.",
                why=english("ring “%(ring)s” is %(state)s", ring=ring.name, state=label_of(ring)),
            )
        if job.statement != WAITS and (said := still(job.statement, at=self.at, again=job.not_before)):
            return said
        if ring.state != RingState.RUNNING:
            return WAITS
        return _for_a_place(ring.concurrency) if self._at_work.get(ring.pk, 0) >= ring.concurrency else NEXT


def _for_a_place(places: int) -> English:
    return english_n(
        "Waits until the only place of its ring is free.",
        "Waits until one of the %(n)s places of its ring is free.",
        places,
    )


def still(statement: str, *, at: datetime, again: datetime | None = None) -> str:
    """A sentence that names when something will be done, without a time that is over; `again`: the time that counts by now,
    where it was put off without another sentence. Empty where it should have begun by now."""
    named = _NAMED.fullmatch(statement)
    if named is None:
        return statement
    begin, when, rest = named.groups()
    moment = again or datetime.strptime(when, _MINUTE).replace(tzinfo=UTC)
    if moment > at:
        return f"{begin}{moment.astimezone(UTC):{_MINUTE}}{rest}"
    if begin.startswith("Will run"):
        return ""
    why = _WHY.fullmatch(rest)
    return kept("Will be asked again soon, because %(why)s.", why=why[1]) if why else statement
