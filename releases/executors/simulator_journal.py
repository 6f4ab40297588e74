"""A ledger for thousands of simulated hosts: held in memory by one process, every change a line at the end of a file.

The file is only ever appended to, before anything is answered: killed at any moment, the next process reads it and goes
on. It is the witness of what was ordered and what was really done, and can be read by anybody (`read_journal`).
"""

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from patchflow.kernel.json_text import bytes_from, read
from releases.executors.base import JobOrder, PackageChange, PackageState
from releases.executors.simulator_ledger import Effect, KnownJob
from releases.executors.simulator_plan import Course, Habit, Plan

Line = list[Any]


def read_journal(path: Path) -> Iterator[Line]:
    """The lines as they were written, without a last one that was cut off by a kill: [word, …]."""
    if path.exists():
        for text in path.read_bytes().split(b"\n")[:-1]:
            yield read(text)


class JournalLedger:
    """What is known of all hosts; `path` is its file. One process and one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs: dict[str, KnownJob] = {}
        self.of_host: dict[str, list[str]] = defaultdict(list)
        self.cancelled: dict[str, datetime] = {}
        self.packages: dict[str, dict[tuple[str, str], PackageState]] = defaultdict(dict)
        self.habits: dict[str, Habit] = {}
        self.starts: dict[str, int] = {}
        self.effects: list[Effect] = []
        self.due: list[tuple[datetime, int, KnownJob]] = []
        self.lines: list[Line] = []
        self._number = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._recover()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    @contextmanager
    def at(self, now: datetime) -> Iterator["JournalMoment"]:
        moment = JournalMoment(self, now)
        moment.settle()
        try:
            yield moment
        finally:
            self._write()

    def close(self) -> None:
        os.close(self._file)

    def _write(self) -> None:
        if self.lines:
            text = b"".join(bytes_from(line) + b"\n" for line in self.lines)
            self.lines.clear()
            while text:
                text = text[os.write(self._file, text) :]

    # --- what changes it: done the same when it happens and when it is read again ---------------------------------------
    def _recover(self) -> None:
        done: Counter[str] = Counter()
        for line in read_journal(self.path):
            getattr(self, f"_on_{line[0]}")(*line[1:])
            done[line[1]] += line[0] == "done"
        ordered, self.due = sorted(self.due, key=lambda due: due[1]), []
        for one in ordered:
            if done[one[2].key]:
                done[one[2].key] -= 1
            else:
                heapq.heappush(self.due, one)
        if self.path.exists():
            kept = self.path.read_bytes().rfind(b"\n") + 1  # what stands after it was never answered
            os.truncate(self.path, kept)

    def _on_order(self, key: str, address: str, fence: int, said: str, plan: dict[str, Any], at: str) -> None:
        packages = tuple(PackageChange(**package) for package in read(said)["packages"])
        self.take(key, address, fence, said, packages, Plan.from_said(plan), datetime.fromisoformat(at))

    def _on_again(self, key: str, fence: int) -> None:
        self.jobs[key] = replace(self.jobs[key], fence=fence)

    def _on_cancel(self, key: str, address: str, fence: int, at: str) -> None:
        self.call_off(key, address, fence, datetime.fromisoformat(at))

    def _on_done(self, key: str, address: str, restarts: bool) -> None:
        if restarts:
            self.starts[address] = self.starts.get(address, 1) + 1

    def _on_effect(
        self, key: str, address: str, name: str, arch: str, old: str, new: str, status: str, at: str
    ) -> None:
        self.put(address, PackageState(name=name, arch=arch, version=new, status=status))
        when = datetime.fromisoformat(at)
        self.effects.append(Effect(job_key=key, address=address, name=name, from_version=old, to_version=new, at=when))

    def _on_put(self, address: str, name: str, arch: str, version: str, status: str) -> None:
        self.put(address, PackageState(name=name, arch=arch, version=version, status=status))

    def _on_switch(self, address: str, habit: Any) -> None:
        self.habits.pop(address, None)
        if habit:
            self.habits[address] = habit

    def take(
        self,
        key: str,
        address: str,
        fence: int,
        said: str,
        packages: tuple[PackageChange, ...],
        plan: Plan,
        at: datetime,
    ) -> None:
        course = Course(job_key=key, plan=plan, accepted_at=at, cancelled_at=self.cancelled.get(key))
        known = KnownJob(key=key, address=address, fence=fence, said=said, course=course, packages=packages)
        if key not in self.jobs:
            self.of_host[address].append(key)
        self.jobs[key] = known
        self._number += 1
        heapq.heappush(self.due, (course.applied_at, self._number, known))

    def call_off(self, key: str, address: str, fence: int, at: datetime) -> None:
        self.cancelled.setdefault(key, at)
        known = self.jobs.get(key)
        if known is None:
            self.jobs[key] = KnownJob(key=key, address=address, fence=fence, said="", course=None, packages=())
            self.of_host[address].append(key)
        else:
            course = known.course and replace(known.course, cancelled_at=self.cancelled[key])
            self.jobs[key] = replace(known, fence=fence, course=course)

    def put(self, address: str, state: PackageState) -> None:
        self.packages[address][state.name, state.arch] = state


class JournalMoment:
    """The hosts at one moment. What it changes is in the file before anybody hears of it."""

    def __init__(self, ledger: JournalLedger, now: datetime) -> None:
        self.ledger, self.now = ledger, now

    def _keep(self, *line: Any) -> None:
        self.ledger.lines.append(list(line))

    # ------------------------------------------------------------------------ jobs
    def job(self, key: str) -> KnownJob | None:
        return self.ledger.jobs.get(key)

    def busy_job(self, address: str, *, but: str) -> str:
        for key in self.ledger.of_host.get(address, ()):
            course = self.ledger.jobs[key].course
            if key != but and course and course.busy(self.now):
                return key
        return ""

    def accept(self, order: JobOrder, said: str, plan: Plan) -> None:
        key, address = order.job_key, order.endpoint.address
        self._keep("order", key, address, order.fence, said, plan, self.now.isoformat())
        self.ledger.take(key, address, order.fence, said, order.packages, plan, self.now)

    def raise_fence(self, key: str, fence: int) -> None:
        self._keep("again", key, fence)
        self.ledger.jobs[key] = replace(self.ledger.jobs[key], fence=fence)

    def cancel(self, key: str, address: str, fence: int) -> None:
        self._keep("cancel", key, address, fence, self.now.isoformat())
        self.ledger.call_off(key, address, fence, self.now)

    def settle(self) -> None:
        """Lets everything happen on the hosts that is due. What happened stays."""
        due = self.ledger.due
        while due and due[0][0] <= self.now:
            known = heapq.heappop(due)[2]
            newest = self.ledger.jobs[known.key].course
            course = (
                known.course if newest is None or newest.plan is not (known.course and known.course.plan) else newest
            )
            if course is not None and course.cancelled_at is None:
                self._apply(known, course)

    def _apply(self, known: KnownJob, course: Course) -> None:
        key, address = known.key, known.address
        if course.plan.restarts:
            self.ledger.starts[address] = self.starts(address) + 1
        status = "half-configured" if course.plan.effect == "half" else "installed"
        for change in known.packages if course.plan.effect != "none" else ():
            before = self._state(address, change)
            after = replace(before, version=change.to_version, status=status if change.to_version else "")
            if after != before:
                line = (key, address, change.name, change.arch, before.version, after.version, after.status)
                at = course.applied_at.isoformat()
                self._keep("effect", *line, at)
                self.ledger._on_effect(*line, at)
        self._keep("done", key, address, course.plan.restarts)

    # ----------------------------------------------------------------------- hosts
    def habit(self, address: str) -> Habit | None:
        return self.ledger.habits.get(address)

    def switch(self, address: str, habit: Habit | None) -> None:
        self._keep("switch", address, habit)
        self.ledger._on_switch(address, habit)

    def starts(self, address: str) -> int:
        return self.ledger.starts.get(address, 1)

    def _state(self, address: str, change: PackageChange) -> PackageState:
        there = self.ledger.packages[address].get((change.name, change.arch))
        return there or PackageState(name=change.name, arch=change.arch, version="", status="")

    def states(self, address: str, changes: Sequence[PackageChange]) -> tuple[PackageState, ...]:
        return tuple(self._state(address, change) for change in changes)

    def all_states(self, address: str) -> tuple[PackageState, ...]:
        return tuple(state for state in self.ledger.packages[address].values() if state.version)

    def put(self, address: str, state: PackageState) -> None:
        self._keep("put", address, state.name, state.arch, state.version, state.status)
        self.ledger.put(address, state)

    def take_for_granted(self, address: str, changes: Sequence[PackageChange]) -> None:
        for change in changes:
            if (change.name, change.arch) not in self.ledger.packages[address]:
                status = "installed" if change.from_version else ""
                self.put(
                    address,
                    PackageState(name=change.name, arch=change.arch, version=change.from_version, status=status),
                )

    def effects(self, job_key: str) -> list[Effect]:
        return [effect for effect in self.ledger.effects if job_key in ("", effect.job_key)]
