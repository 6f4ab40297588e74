"""`manage.py evaluate <list of packages> <advisories>`: what one list of packages misses; nothing is written."""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from changes.domain import offline
from changes.feeds.base import FeedError, make_feed


class Command(BaseCommand):
    help = "Compares a list of packages with advisories, in memory: the same SQL as everywhere, nothing is written."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "packages", type=Path, help="a dpkg status file, or lines of name, arch, version, source, its version"
        )
        parser.add_argument("advisories", help="a file, folder, archive or web address")
        parser.add_argument("--kind", default="osv", help="how the advisories are written")
        parser.add_argument("--distribution", default="debian")
        parser.add_argument("--release", required=True, help="12, 22.04, 9.4 …")
        parser.add_argument("--ecosystem", choices=["deb", "rpm"], default="deb")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            packages = offline.read_packages(options["packages"].read_bytes())
            feed = make_feed(options["kind"], name="evaluate", location=options["advisories"])
            found = offline.evaluate(
                packages,
                feed.fetch(since=None),
                ecosystem=options["ecosystem"],
                distribution=options["distribution"],
                release=options["release"],
            )
        except (OSError, LookupError, offline.UnreadableList, FeedError) as error:
            raise CommandError(str(error)) from error
        for row in found:
            sure = " (low confidence)" if row.low_confidence else ""
            fixed = row.fixed_version or "no fix"
            self.stdout.write(
                f"{row.verdict}\t{row.package}\t{row.installed_version}\t{fixed}\t{row.advisory_id}\t{row.basis}{sure}"
            )
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(Counter(r.verdict for r in found).items()))
        self.stderr.write(
            f"{len(packages)} packages, {feed.tally.drafts} advisories ({feed.tally.quarantined} put aside): {counts or 'nothing'}"
        )
