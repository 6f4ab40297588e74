"""`manage.py this_computer`: this very computer as a host, inventoried for real; it only reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from cmdb.domain import hosts, scans
from cmdb.models import ScanResult
from patchflow.kernel.errors import Refusal
from patchflow.kernel.models import User

FRESH = timedelta(hours=1)


class Command(BaseCommand):
    help = "Adds this computer as a host and reads its packages, pending updates and restart evidence (nothing is changed)."

    def handle(self, **options: Any) -> None:
        bot = User.bot()
        host = hosts.ensure_local(actor=bot, at=timezone.now())
        if host.audited_at and timezone.now() - host.audited_at < FRESH:
            return
        try:
            run = scans.request(host_ids=[host.pk], scanner="local", actor=bot, at=timezone.now())
        except Refusal as refusal:  # a scan is under way already
            self.stdout.write(f"{host}: {refusal}")
            return
        scans.run(scan_run_id=run.pk, now=timezone.now(), owner="this_computer")
        result = ScanResult.objects.get(scan_run=run, host=host)
        self.stdout.write(f"{host}: {result.get_state_display()} {result.reason}".rstrip())
