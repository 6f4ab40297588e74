"""What every chapter of the demo needs: who acts, when it is, and the simulator with its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from cmdb.domain import scans
from cmdb.models import Host, ScanRun
from patchflow.kernel import registry
from patchflow.kernel.models import User
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_fleet import WHOLE, SimulatedHost, fleet
from releases.executors.simulator_journal import JournalLedger
from releases.executors.simulator_plan import Habits
from releases.executors.simulator_scanner import SimulatedScanner

HABITS = Habits(staging=(10, 30), installing=(40, 150), restarting=(30, 60), verifying=(5, 20))
"""At a pace that one can watch: a job takes a minute or three (`up --demo` gives the simulator the same)."""


class Clock:
    """A time that passes only by waiting, never beyond the present."""

    def __init__(self, at: datetime, *, end: datetime) -> None:
        self.at, self.end = at, end

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at = min(self.end, self.at + timedelta(seconds=seconds))


@dataclass
class Story:
    """The demo as it is told: `clock` moves forward only, up to `now`."""

    now: datetime
    clock: Clock
    simulator: SimulatorExecutor
    scanner: SimulatedScanner
    folder: Path
    """Where the feed's documents lie."""
    say: Callable[[str], None]
    size: int = WHOLE
    reached: Callable[[str], None] = lambda _stage: None
    """Told of each stage when it is reached."""
    people: dict[str, User] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    """Name → host, of the simulated fleet."""
    things: dict[str, Any] = field(default_factory=dict)
    """What one chapter makes and another needs."""

    @property
    def at(self) -> datetime:
        return self.clock.at

    @property
    def bot(self) -> User:
        return User.bot()

    def who(self, name: str) -> dict[str, Any]:
        """The arguments of a verb: this person, at this moment; every act takes some minutes."""
        self.clock.wait(240)
        return {"actor": self.people[name] if name != "bot" else self.bot, "at": self.at}

    def until(self, moment: datetime) -> None:
        """Lets time pass until then; a moment that is past already is now."""
        self.clock.at = max(self.clock.at, min(moment, self.now))

    def day(self, days: float, hour: int, minute: int = 0) -> None:
        """To this hour of the day that is so many days before the present."""
        day = (self.now - timedelta(days=days)).date()
        self.until(datetime.combine(day, time(hour, minute), tzinfo=self.now.tzinfo))

    def fleet(self) -> tuple[SimulatedHost, ...]:
        return fleet(self.size)

    def ids(self, wanted: Callable[[SimulatedHost], bool]) -> list[int]:
        """The ids of the simulated hosts for which this holds."""
        return [self.hosts[one.name].pk for one in self.fleet() if wanted(one)]

    def scan(self, host_ids: list[int] | None = None) -> ScanRun:
        """Asks for a scan of these hosts (all) and carries it out."""
        pks = [host.pk for host in self.hosts.values()] if host_ids is None else host_ids
        run = scans.request(host_ids=pks, scanner=self.scanner.name, **self.who("otto"))
        self.work_scans()
        return ScanRun.objects.get(pk=run.pk)

    def work_scans(self) -> None:
        """Carries out what scans are queued: those that rollouts ask for too."""
        for pk in ScanRun.objects.filter(state__in=scans.OPEN).order_by("pk").values_list("pk", flat=True):
            scans.run(scan_run_id=pk, now=self.at, owner="demo")


@contextmanager
def begun(
    *, now: datetime, at: datetime, ledger: Path, folder: Path, say: Callable[[str], None], size: int = WHOLE
) -> Iterator[Story]:
    """A story that begins at `at`. For as long as it is told, the simulator of this process runs by its clock and keeps what
    is done in `ledger`, where the simulator's own process finds it afterwards. Raises RuntimeError where that process runs.
    """
    simulator, scanner = registry.executors["simulator"], registry.scanners["simulator"]
    if not isinstance(simulator, SimulatorExecutor):
        raise RuntimeError("A simulator runs as a process of its own (PATCHFLOW_SIMULATOR): end it first.")
    clock = Clock(at, end=now)
    before = dict(vars(simulator)), dict(vars(scanner))
    journal = JournalLedger(ledger)
    simulator.ledger, simulator.clock, simulator.habits, scanner.clock = journal, clock.now, HABITS, clock.now
    try:
        yield Story(now=now, clock=clock, simulator=simulator, scanner=scanner, folder=folder, say=say, size=size)
    finally:
        journal.close()
        for one, kept in zip((simulator, scanner), before, strict=True):
            vars(one).clear()
            vars(one).update(kept)
