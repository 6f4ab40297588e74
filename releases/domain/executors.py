"""The executors that this installation has, by name. A new one is one file in `releases/executors` and one line here."""

from __future__ import annotations

from functools import cached_property

from django.conf import settings
from django.utils import timezone

from patchflow.kernel import registry
from releases.domain.tasks_by_hand import HouseDesk
from releases.executors.base import Executor
from releases.executors.manual import ManualExecutor
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_client import SimulatorClient
from releases.executors.simulator_ledger import SimulatorLedger
from releases.executors.simulator_plan import Habits
from releases.executors.simulator_scanner import SimulatedScanner
from releases.executors.ssh import SshExecutor


class HouseSimulator(SimulatorExecutor):
    """The simulator inside the worker, where no process of its own runs (`manage.py simulator`); its file is made when it
    is first asked."""

    def __init__(self) -> None:
        self.clock, self.seed, self.habits = timezone.now, 0, Habits()

    @cached_property
    def ledger(self) -> SimulatorLedger:  # type: ignore[override]
        return SimulatorLedger(settings.VAR / "simulator.sqlite3")


registry.executors.add("ssh", SshExecutor())
registry.executors.add("manual", ManualExecutor(HouseDesk(timezone.now), registry.executors["ssh"]))
where = settings.PATCHFLOW["SIMULATOR"]
simulator: Executor = registry.executors.add("simulator", SimulatorClient(where) if where else HouseSimulator())
"""In production it acts in trial mode only (`gates.trial_mode`)."""
if not settings.PRODUCTION:
    registry.scanners.add("simulator", SimulatedScanner(simulator, clock=timezone.now))
