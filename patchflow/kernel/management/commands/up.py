"""`manage.py up`: everything on this computer: database, broker, web, worker, scheduler; dead children are restarted."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from patchflow.kernel import audit
from patchflow.kernel.embedded import (
    CannotStart,
    Child,
    broker_command,
    broker_urls,
    die_with_parent,
    port_is_free,
    wait_for_socket,
)
from patchflow.kernel.models import AuditEntry, RoleGrant, User

PACE = (
    "--staging", "10-30", "--installing", "40-150", "--restarting", "30-60", "--verifying", "5-20",
    "--rate", "fail=0.02", "--rate", "lose=0.01",
)  # fmt: skip
"""How the simulated hosts of the demo behave: a job takes a minute or three, and some fail."""
QUEUES = "tick,default,scan,exec,notify"
TICKING = ("--queues", "tick", "--pool", "solo", "--hostname", "scheduler@%h", "--without-mingle", "--without-gossip")
"""The scheduler carries out in its own process what it rings for: however long the workers' visits and builds take, sweeps and
ticks of rollouts go on."""
FIRST_ROLES = (
    "administrator",
    "configuration_manager",
    "change_manager",
    "release_manager",
    "operator",
    "security_officer",
    "auditor",
)


@transaction.atomic
def first_administrator() -> str:
    """Makes the first person, who may make all others, and returns the password for the first log-in; empty if there is somebody."""
    if User.objects.filter(is_active=True).exclude(username="bot").exists():
        return ""
    password = secrets.token_urlsafe(12)
    admin = User.objects.create_user("admin", password=password, is_staff=True, must_change_password=True)
    RoleGrant.objects.bulk_create([RoleGrant(user=admin, role=role) for role in FIRST_ROLES])
    detail = {"roles": list(FIRST_ROLES), "by": "manage.py up"}
    audit.record(admin, "access.user.created", actor=User.bot(), at=timezone.now(), detail=detail)
    return password


class Command(BaseCommand):
    help = "Runs Patchflow on this computer: http://127.0.0.1:8000 (Ctrl-C ends it and everything it started)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=2, help="worker processes")
        parser.add_argument(
            "--local", action="store_true", help="inventory this very computer, for real (it is only read)"
        )
        parser.add_argument(
            "--demo",
            action="store_true",
            help="the same, and a simulated estate half-way through its month, ready for the tour of the README",
        )

    def handle(self, **options: Any) -> None:
        host, port = options["host"], options["port"]
        if not port_is_free(host, port):
            raise CommandError(
                f"Port {port} on {host} is in use. Stop what listens there, or choose another: make run PORT=8001"
            )
        var = Path(settings.VAR)
        (var / "log").mkdir(parents=True, exist_ok=True)
        (var / "broker").mkdir(exist_ok=True)
        runtime = Path(tempfile.mkdtemp(prefix="pf-"))  # short: a socket's path must stay below 108 bytes
        children: list[Child] = []
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGHUP, _stop)
        try:
            environment = self._broker(var, runtime, children)
            simulator, environment = self._simulator(var, runtime, environment, paced=options["demo"])
            self._prepare(local=options["local"] or options["demo"])
            web, *others = self._processes(host, port, options["workers"], environment, var)
            self._start(children, [web])
            self.stdout.write(self.style.SUCCESS(f"Patchflow runs at http://{host}:{port}  (Ctrl-C stops it)"))
            if options["demo"]:
                self._seed(children)
            self._start(children, [*simulator, *others])
            self._watch(children)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.stdout.write("stopping …")
        finally:
            for child in reversed(children):
                child.stop(patience=10 if child.name == "worker" else 5)
            shutil.rmtree(runtime, ignore_errors=True)

    def _broker(self, var: Path, runtime: Path, children: list[Child]) -> dict[str, str]:
        environment = dict(os.environ)
        if not environment.get("PATCHFLOW_BROKER_URL"):
            socket_path = runtime / "broker.sock"
            command = broker_command(var / "broker", socket_path)
            child = Child("broker", command, environment, var / "log" / "broker.log")
            child.start()
            children.append(child)
            wait_for_socket(socket_path)
            environment |= broker_urls(socket_path)
        return environment

    def _simulator(
        self, var: Path, runtime: Path, environment: dict[str, str], *, paced: bool
    ) -> tuple[list[Child], dict[str, str]]:
        """Simulated hosts are a process of their own: killing workers never kills what remembers. `paced`: slow enough to
        watch."""
        if settings.PRODUCTION or environment.get("PATCHFLOW_SIMULATOR"):
            return [], environment
        where = str(runtime / "hosts.sock")
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulator", "--socket", where]
        command += ["--ledger", str(var / "simulator.journal"), *(PACE if paced else ())]
        child = Child("simulator", command, environment, var / "log" / "simulator.log")
        return [child], environment | {"PATCHFLOW_SIMULATOR": where}

    def _start(self, children: list[Child], mine: list[Child]) -> None:
        for child in mine:
            children.append(child)
            child.start()

    def _seed(self, children: list[Child]) -> None:
        """The demo, made by a process of its own while the web serves already; the simulator and the workers follow, for they
        would act on what is half told."""
        if not self._is_new():
            return
        self.stdout.write("demo: a simulated estate is being made, which takes about a minute; look around meanwhile.")
        self.stdout.flush()
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "seed_demo"]
        seed = subprocess.Popen(command, preexec_fn=die_with_parent(os.getpid()))
        try:
            while seed.poll() is None:
                self._supervise(children)
        finally:
            if seed.poll() is None:
                seed.terminate()
                seed.wait()
        if seed.returncode:
            self.stdout.write(self.style.WARNING("demo: it was not made; everything else goes on."))

    def _is_new(self) -> bool:
        """Whether nobody has made the demo here yet."""
        return not AuditEntry.objects.filter(verb="release.demo.seeded").exists()

    def _prepare(self, *, local: bool) -> None:
        """Migrations, and the first administrator, whose credentials are printed once."""
        call_command("migrate", verbosity=0, interactive=False)
        if password := first_administrator():
            said = f"First administrator: admin / {password}   (shown once; the first log-in asks for one of your own)"
            self.stdout.write(self.style.WARNING(said))
        if local:
            call_command("this_computer", verbosity=0)

    def _processes(self, host: str, port: int, workers: int, environment: dict[str, str], var: Path) -> list[Child]:
        python = sys.executable
        bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        web = [
            python,
            "-m",
            "gunicorn",
            "patchflow.wsgi",
            "--bind",
            bind,
            "--workers",
            "2",
            "--worker-class",
            "gthread",
            "--threads",
            "4",
            "--logger-class",
            "patchflow.access_log.Logger",
            "--no-control-socket",  # it would lie in the home of the account, for all who run there
        ]
        celery = [python, "-m", "celery", "-A", "patchflow"]
        worker = [
            *celery,
            "worker",
            "--concurrency",
            str(workers),
            "--queues",
            QUEUES,
            "--loglevel",
            "info",
        ]
        scheduler = [
            *celery,
            "worker",
            "--beat",
            "--schedule",
            str(var / "beat-schedule"),
            "--loglevel",
            "info",
            *TICKING,
        ]
        commands = {"web": [*web, "--access-logfile", "-"], "worker": worker, "scheduler": scheduler}
        return [Child(name, command, environment, var / "log" / f"{name}.log") for name, command in commands.items()]

    def _watch(self, children: list[Child]) -> None:
        while True:
            self._supervise(children)

    def _supervise(self, children: list[Child]) -> None:
        """Looks after the children once, and rests."""
        for child in children:
            child.supervise(lambda text: self.stdout.write(f"{timezone.now():%H:%M:%S} {text}"))
        time.sleep(0.5)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
