"""`manage.py up`: everything on this computer: database, broker, web, worker, scheduler; dead children are restarted."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from patchflow.kernel.embedded import CannotStart, Child, broker_command, broker_urls, port_is_free, wait_for_socket
from patchflow.kernel.models import RoleGrant, User

FIRST_ROLES = (
    "administrator",
    "configuration_manager",
    "change_manager",
    "release_manager",
    "operator",
    "security_officer",
    "auditor",
)


class Command(BaseCommand):
    help = "Runs Patchflow on this computer: http://127.0.0.1:8000 (Ctrl-C ends it and everything it started)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=2, help="worker processes")
        parser.add_argument(
            "--demo", action="store_true", help="inventory this very computer, ready for the tour of the README"
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
            environment = self._simulator(var, runtime, environment, children)
            self._prepare(options["demo"])
            mine = self._processes(host, port, options["workers"], environment, var)
            children += mine
            for child in mine:
                child.start()
            self.stdout.write(self.style.SUCCESS(f"Patchflow runs at http://{host}:{port}  (Ctrl-C stops it)"))
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
        self, var: Path, runtime: Path, environment: dict[str, str], children: list[Child]
    ) -> dict[str, str]:
        """Simulated hosts are a process of their own: killing workers never kills what remembers."""
        if settings.PRODUCTION or environment.get("PATCHFLOW_SIMULATOR"):
            return environment
        where = str(runtime / "hosts.sock")
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "simulator", "--socket", where]
        command += ["--ledger", str(var / "simulator.journal")]
        child = Child("simulator", command, environment, var / "log" / "simulator.log")
        child.start()
        children.append(child)
        return environment | {"PATCHFLOW_SIMULATOR": where}

    def _prepare(self, demo: bool) -> None:
        """Migrations, and the first administrator, whose credentials are printed once."""
        call_command("migrate", verbosity=0, interactive=False)
        if not User.objects.filter(is_active=True).exclude(username="bot").exists():
            password = secrets.token_urlsafe(12)
            admin = User.objects.create_user("admin", password=password, is_staff=True)
            RoleGrant.objects.bulk_create([RoleGrant(user=admin, role=role) for role in FIRST_ROLES])
            self.stdout.write(
                self.style.WARNING(
                    f"First administrator: admin / {password}   (shown once; change it after the first log-in)"
                )
            )
        if demo:
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
            "--no-control-socket",  # it would lie in the home of the account, for all who run there
        ]
        celery = [python, "-m", "celery", "-A", "patchflow"]
        worker = [
            *celery,
            "worker",
            "--concurrency",
            str(workers),
            "--queues",
            "default,scan,exec,notify",
            "--loglevel",
            "info",
        ]
        beat = [*celery, "beat", "--loglevel", "warning", "--schedule", str(var / "beat-schedule"), "--pidfile", ""]
        commands = {"web": [*web, "--access-logfile", "-"], "worker": worker, "scheduler": beat}
        return [Child(name, command, environment, var / "log" / f"{name}.log") for name, command in commands.items()]

    def _watch(self, children: list[Child]) -> None:
        def say(text: str) -> None:
            self.stdout.write(f"{timezone.now():%H:%M:%S} {text}")

        while True:
            for child in children:
                child.supervise(say)
            time.sleep(0.5)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
