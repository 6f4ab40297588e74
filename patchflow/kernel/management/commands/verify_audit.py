"""`manage.py verify_audit`: proves the audit trail, or names the first bad row of each chain and seal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from patchflow.kernel import trail


class Command(BaseCommand):
    help = "Recomputes every chain, seal and published head of the audit trail; fails if anything was changed."

    def handle(self, **options: Any) -> None:
        found = trail.verify()
        self.stdout.write(
            f"{found.entries} entries in {found.chains} chains, {found.seals} seals; "
            f"{found.unsealed} entries not sealed yet, {found.unpublished} seals after the last published head."
        )
        if found.unpublished or found.unsealed:
            self.stdout.write("What a database superuser changed since the last published head cannot be proven.")
        if not found.whole:
            for fault in found.faults:
                self.stderr.write(self.style.ERROR(fault))
            raise CommandError(f"The trail is not whole: {len(found.faults)} faults.")
        self.stdout.write(self.style.SUCCESS("The trail is whole."))
