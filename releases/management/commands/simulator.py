"""`manage.py simulator`: hosts that exist in a ledger only, as a process of their own, for demos, rehearsals and faults."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from cmdb.remote.errors import RemoteError
from patchflow.kernel import garbage
from releases.executors.simulator import SimulatorExecutor
from releases.executors.simulator_client import SimulatorClient
from releases.executors.simulator_journal import JournalLedger
from releases.executors.simulator_plan import HABITS, Habits
from releases.executors.simulator_server import SimulatorServer


def _span(text: str) -> tuple[float, float]:
    low, _dash, high = text.partition("-")
    return float(low), float(high or low)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(text)
    return name, value


class Command(BaseCommand):
    help = (
        "Runs simulated hosts behind a socket (PATCHFLOW_SIMULATOR names it to the workers); with --switch, changes how "
        "hosts of a running one behave. Habits: " + "; ".join(f"{name}: {what}" for name, what in HABITS.items())
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--socket", required=True, help="a path, or host:port of this computer")
        parser.add_argument(
            "--ledger", type=Path, help="the file that remembers what was really done; only appended to"
        )
        parser.add_argument("--seed", type=int, default=0, help="the same seed and keys give the same course")
        for name, usual in (("staging", "1-3"), ("installing", "2-8"), ("restarting", "3-10"), ("verifying", "1-2")):
            parser.add_argument(f"--{name}", type=_span, default=_span(usual), help=f"seconds, or from-to ({usual})")
        parser.add_argument("--beginning", type=float, default=0.1, help="seconds from staged to installing (0.1)")
        parser.add_argument("--latency", type=_span, default=(0, 0), help="seconds until hosts answer")
        parser.add_argument(
            "--rate",
            type=_pair,
            action="append",
            default=[],
            metavar="HABIT=SHARE",
            help="of all jobs, 0 to 1; repeatable",
        )
        parser.add_argument(
            "--switch",
            type=_pair,
            action="append",
            default=[],
            metavar="HOST=HABIT",
            help="empty habit: by the rates again",
        )

    def handle(self, **options: Any) -> None:
        where: str = options["socket"]
        if options["switch"]:
            client = SimulatorClient(where)
            for address, habit in options["switch"]:
                self._known(habit or "well")
                try:
                    client.switch(address, habit or None)
                except RemoteError as error:
                    raise CommandError(f"{address} was not switched: {error.reason}") from None
            return
        if options["ledger"] is None:
            raise CommandError("Say with --ledger where the hosts remember what was done.")
        rates: dict[Any, float] = {self._known(name): float(share) for name, share in options["rate"]}
        spans = {name: options[name] for name in ("staging", "installing", "restarting", "verifying")}
        habits = Habits(rates=rates, beginning=options["beginning"], **spans)
        ledger = JournalLedger(options["ledger"])
        simulator = SimulatorExecutor(ledger, clock=timezone.now, seed=options["seed"], habits=habits)
        server = SimulatorServer(simulator, latency=options["latency"])
        garbage.look_less_often()

        def ready() -> None:
            self.stdout.write(f"simulator: {len(ledger.jobs)} jobs known, listens at {where}")

        try:
            asyncio.run(server.serve(where, ready=ready))
        except KeyboardInterrupt:
            self.stdout.write("simulator: stopped")
        except OSError as error:
            raise CommandError(f"It cannot listen at {where}: {error}") from None

    def _known(self, habit: str) -> str:
        if habit not in HABITS:
            raise CommandError(f"There is no habit {habit!r}; known: {', '.join(HABITS)}.")
        return habit
