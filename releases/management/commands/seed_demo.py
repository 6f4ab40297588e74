"""`manage.py seed_demo`: a simulated estate and its month, up to a stage, through the same verbs as everything else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from changes.models import RFC, Feed
from cmdb.models import Host
from patchflow.kernel import audit, trail, workflow
from patchflow.kernel.models import AuditEntry, User
from releases.demo import months
from releases.demo.story import begun
from releases.executors.simulator_fleet import WHOLE

CHAIN = "demo"
LEAST = 40
"""A smaller fleet has not every environment in every change."""


class Command(BaseCommand):
    help = (
        "Makes a simulated estate and takes it through the monthly cycle up to a stage: "
        "manual test, smoke test, and what `make run` shows. Never in production."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--stage", choices=months.STAGES, default="half_way")
        parser.add_argument(
            "--hosts", type=int, default=WHOLE, help=f"about so many simulated hosts ({LEAST} to {WHOLE})"
        )
        parser.add_argument(
            "--ledger", type=Path, help="what the simulated hosts remember (var/simulator.journal, where `up` looks)"
        )
        parser.add_argument("--force", action="store_true", help="also where other hosts or changes are known")

    def handle(self, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("Never in production: a simulated estate has no place among real ones.")
        if said := _there():
            self.stdout.write(said)
            return
        if not options["force"] and (other := _others()):
            raise CommandError(
                f"There are {other} here already, so nothing was simulated. With --force it is added to them."
            )
        call_command("people", stdout=self.stdout)
        stage, now, bot = options["stage"], timezone.now(), User.bot()
        size = max(LEAST, min(WHOLE, options["hosts"]))
        _record("release.demo.begun", bot, stage=stage, hosts=size)
        ledger = options["ledger"] or Path(settings.VAR) / "simulator.journal"
        ledger.unlink(missing_ok=True)
        start = now - timedelta(days=months.LENGTH[stage])
        with begun(
            now=now, at=start, ledger=ledger, folder=Path(settings.VAR) / "simulated", say=self._say, size=size
        ) as story:
            months.tell(story, stage)
        _record("release.demo.seeded", bot, stage=stage, hosts=len(story.fleet()))
        trail.seal(at=timezone.now())
        self._say(f"{len(story.fleet())} simulated hosts are {stage.replace('_', ' ')} through their month.")

    def _say(self, words: str) -> None:
        self.stdout.write(f"demo: {words}")
        self.stdout.flush()


def _there() -> str:
    """What to say where the demo is there already. Raises CommandError where it was begun and never ended."""
    entries = {e.verb: e for e in AuditEntry.objects.filter(verb__startswith="release.demo.").order_by("pk")}
    if not entries:
        return ""
    if "release.demo.seeded" not in entries:
        raise CommandError("The demo was begun and not ended. Begin with an empty database (remove the folder var).")
    return f"demo: it is there already (stage {entries['release.demo.seeded'].detail['stage']})."


def _others() -> str:
    """What is known here that is neither simulated nor this very computer."""
    known = {
        "hosts": Host.objects.filter(is_local=False).count(),
        "RFCs": RFC.objects.count(),
        "feeds": Feed.objects.count(),
    }
    return " and ".join(f"{count} {what}" for what, count in known.items() if count)


def _record(verb: str, bot: User, **detail: Any) -> None:
    @workflow.verb(verb)
    def write(*, actor: User, at: Any) -> None:
        audit.record(audit.named(CHAIN), verb, actor=actor, at=at, detail=detail)

    write(actor=bot, at=timezone.now())
