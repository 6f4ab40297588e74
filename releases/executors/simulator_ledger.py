"""What simulated hosts have, and what was really done to them: the port of a ledger, and one SQLite file that does it.

The file is shared by whoever opens it. For thousands of hosts a process of its own keeps a `simulator_journal`.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Protocol

from patchflow.kernel.values import value
from releases.executors.base import JobOrder, PackageChange, PackageState
from releases.executors.simulator_plan import Course, Habit, Plan

SCHEMA = """
create table if not exists jobs (key text primary key, address text not null, fence integer not null,
  said text not null, plan text not null, accepted_at text not null, cancelled_at text, applied integer not null);
create table if not exists packages (address text not null, name text not null, arch text not null,
  version text not null, status text not null, primary key (address, name, arch));
create table if not exists effects (id integer primary key, job_key text not null, address text not null,
  name text not null, from_version text not null, to_version text not null, at text not null);
create table if not exists hosts (address text primary key, habit text not null default '', starts integer not null default 1);
"""


@value(kw_only=True)
class Effect:
    """One package that a simulated host really changed: the witness against what jobs claim."""

    job_key: str
    address: str
    name: str
    from_version: str
    to_version: str
    at: datetime


@value(kw_only=True)
class KnownJob:
    """A job's row. Without `said` it was cancelled before it arrived."""

    key: str
    address: str
    fence: int
    said: str
    course: Course | None
    packages: tuple[PackageChange, ...]


class Moment(Protocol):
    """The ledger as it is at one moment, under its lock: everything due has happened."""

    now: datetime

    def job(self, key: str) -> KnownJob | None: ...
    def busy_job(self, address: str, *, but: str) -> str: ...
    def accept(self, order: JobOrder, said: str, plan: Plan) -> None: ...
    def raise_fence(self, key: str, fence: int) -> None: ...
    def cancel(self, key: str, address: str, fence: int) -> None: ...
    def habit(self, address: str) -> Habit | None: ...
    def switch(self, address: str, habit: Habit | None) -> None: ...
    def starts(self, address: str) -> int: ...
    def states(self, address: str, changes: Sequence[PackageChange]) -> tuple[PackageState, ...]: ...
    def all_states(self, address: str) -> tuple[PackageState, ...]: ...
    def put(self, address: str, state: PackageState) -> None: ...
    def take_for_granted(self, address: str, changes: Sequence[PackageChange]) -> None: ...
    def effects(self, job_key: str) -> list[Effect]: ...


class Ledger(Protocol):
    def at(self, now: datetime) -> AbstractContextManager[Moment]: ...


class SimulatorLedger:
    """One file. `at` lets everything due happen first, then gives one transaction to read and write in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as db:
            db.executescript(SCHEMA)

    @contextmanager
    def at(self, now: datetime) -> Iterator["SqliteMoment"]:
        with self._open() as db:
            db.execute("begin immediate")
            moment = SqliteMoment(db, now)
            moment.settle()
            yield moment
            db.execute("commit")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=20, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.executescript("pragma journal_mode=wal; pragma synchronous=normal;")
            yield db  # an error closes without commit


class SqliteMoment:
    """A moment of the file, in one transaction."""

    def __init__(self, db: sqlite3.Connection, now: datetime) -> None:
        self.db, self.now = db, now

    # ------------------------------------------------------------------------ jobs

    def job(self, key: str) -> KnownJob | None:
        row = self.db.execute("select * from jobs where key = ?", (key,)).fetchone()
        return _known(row) if row else None

    def busy_job(self, address: str, *, but: str) -> str:
        rows = self.db.execute("select * from jobs where address = ? and key != ? and said != ''", (address, but))
        courses = [known.course for known in map(_known, rows.fetchall())]
        return next((course.job_key for course in courses if course and course.busy(self.now)), "")

    def accept(self, order: JobOrder, said: str, plan: Plan) -> None:
        """Writes a job down. One that was cancelled before it came stays cancelled."""
        written = (said, json.dumps(asdict(plan)), self.now.isoformat())
        self.db.execute(
            "insert into jobs values (?, ?, ?, ?, ?, ?, null, 0) on conflict (key) do update set"
            " fence = excluded.fence, said = excluded.said, plan = excluded.plan, accepted_at = excluded.accepted_at,"
            " applied = 0",
            (order.job_key, order.endpoint.address, order.fence, *written),
        )

    def raise_fence(self, key: str, fence: int) -> None:
        self.db.execute("update jobs set fence = ? where key = ?", (fence, key))

    def cancel(self, key: str, address: str, fence: int) -> None:
        now = self.now.isoformat()
        self.db.execute(
            "insert into jobs values (?, ?, ?, '', '', ?, ?, 1)"
            " on conflict (key) do update set fence = excluded.fence, cancelled_at = coalesce(cancelled_at, ?)",
            (key, address, fence, now, now, now),
        )

    def settle(self) -> None:
        """Lets everything happen on the hosts that is due. What happened stays."""
        rows = self.db.execute("select * from jobs where not applied order by accepted_at, key").fetchall()
        for known in map(_known, rows):
            if known.course is None or not known.course.applied(self.now):
                continue
            self.db.execute("update jobs set applied = 1 where key = ?", (known.key,))
            self._apply(known, known.course)

    def _apply(self, known: KnownJob, course: Course) -> None:
        if course.plan.restarts:
            self.db.execute(
                "insert into hosts (address, starts) values (?, 2) on conflict (address) do update set starts = starts + 1",
                (known.address,),
            )
        if course.plan.effect == "none":
            return
        for change in known.packages:
            before = self.state(known.address, change)
            status = "half-configured" if course.plan.effect == "half" else "installed"
            after = PackageState(
                name=change.name,
                arch=change.arch,
                version=change.to_version,
                status=status if change.to_version else "",
            )
            if after == before:
                continue
            self.put(known.address, after)
            self.db.execute(
                "insert into effects (job_key, address, name, from_version, to_version, at) values (?, ?, ?, ?, ?, ?)",
                (known.key, known.address, change.name, before.version, after.version, course.applied_at.isoformat()),
            )

    # ----------------------------------------------------------------------- hosts

    def habit(self, address: str) -> Habit | None:
        row = self.db.execute("select habit from hosts where address = ?", (address,)).fetchone()
        return (row["habit"] or None) if row else None

    def switch(self, address: str, habit: Habit | None) -> None:
        self.db.execute(
            "insert into hosts (address, habit) values (?, ?) on conflict (address) do update set habit = excluded.habit",
            (address, habit or ""),
        )

    def starts(self, address: str) -> int:
        """How often the host was started: its boot id follows from it."""
        row = self.db.execute("select starts from hosts where address = ?", (address,)).fetchone()
        return int(row["starts"]) if row else 1

    def state(self, address: str, change: PackageChange) -> PackageState:
        row = self.db.execute(
            "select version, status from packages where address = ? and name = ? and arch = ?",
            (address, change.name, change.arch),
        ).fetchone()
        version, status = (row["version"], row["status"]) if row else ("", "")
        return PackageState(name=change.name, arch=change.arch, version=version, status=status)

    def states(self, address: str, changes: Sequence[PackageChange]) -> tuple[PackageState, ...]:
        return tuple(self.state(address, change) for change in changes)

    def all_states(self, address: str) -> tuple[PackageState, ...]:
        rows = self.db.execute("select name, arch, version, status from packages where address = ?", (address,))
        return tuple(PackageState(**dict(row)) for row in rows.fetchall())

    def put(self, address: str, state: PackageState) -> None:
        self.db.execute(
            "insert or replace into packages values (?, ?, ?, ?, ?)",
            (address, state.name, state.arch, state.version, state.status),
        )

    def take_for_granted(self, address: str, changes: Sequence[PackageChange]) -> None:
        """A package nobody has furnished is where the order says it comes from."""
        for change in changes:
            status = "installed" if change.from_version else ""
            self.db.execute(
                "insert or ignore into packages values (?, ?, ?, ?, ?)",
                (address, change.name, change.arch, change.from_version, status),
            )

    def effects(self, job_key: str) -> list[Effect]:
        rows = self.db.execute("select * from effects where ? in ('', job_key) order by id", (job_key,)).fetchall()
        fields = ("job_key", "address", "name", "from_version", "to_version")
        return [Effect(at=datetime.fromisoformat(row["at"]), **{name: row[name] for name in fields}) for row in rows]


def _known(row: sqlite3.Row) -> KnownJob:
    said = json.loads(row["said"]) if row["said"] else None
    cancelled = datetime.fromisoformat(row["cancelled_at"]) if row["cancelled_at"] else None
    course = said and Course(
        job_key=row["key"],
        plan=Plan.from_said(json.loads(row["plan"])),
        accepted_at=datetime.fromisoformat(row["accepted_at"]),
        cancelled_at=cancelled,
    )
    packages = tuple(PackageChange(**package) for package in said["packages"]) if said else ()
    return KnownJob(
        key=row["key"],
        address=row["address"],
        fence=row["fence"],
        said=row["said"],
        course=course or None,
        packages=packages,
    )
