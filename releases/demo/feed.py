"""Identify: the simulated vendor publishes advisories, as documents in a folder of our own; the feed reads them."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from changes.domain import exploited, feeds, polls
from changes.models import Feed, FeedRun, SoftwareUpdate
from releases.demo.story import Story
from releases.executors import simulator_software as software
from releases.executors.simulator_software import FIXES, Fix, Platform

NAME = "simulated-vendor"
VECTORS = {
    "Critical": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
    "Important": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
    "Moderate": "CVSS:3.1/AV:N/AC:H/PR:L/UI:N/S:U/C:L/I:L/A:L",
    "Low": "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N",
}


def add(story: Story) -> Feed:
    """Sam adds the feed; there is nothing in it yet but what was mended long ago."""
    folder = story.folder / "advisories"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    feed = feeds.add(
        name=NAME, title="Simulated vendor: invented products, invented flaws", kind="osv", location_kind="folder",
        location=str(folder), **story.who("sam"),
    )  # fmt: skip
    story.things["feed"] = feed
    return feed


def publish(story: Story, wave: int) -> list[SoftwareUpdate]:
    """A wave of advisories appears and is read; the updates that it announces."""
    for fix in FIXES:
        if fix.wave == wave:
            path = story.folder / "advisories" / f"{advisory_id(fix)}.json"
            path.write_text(json.dumps(document(fix, at=story.at - timedelta(hours=1)), indent=1))
    story.scanner.published = wave
    _tell_exploited(story, wave)
    poll(story)
    return updates_of(wave)


def poll(story: Story) -> FeedRun:
    run = feeds.poll(feed_id=story.things["feed"].pk, **story.who("bot"))
    done = polls.run(run_id=run.pk, now=story.at)
    assert done is not None  # noqa: S101  nobody else could hold it
    return done


def _tell_exploited(story: Story, wave: int) -> None:
    """The catalogue of what is known to be exploited, as of this wave."""
    listed = [fix for fix in software.fixes_until(wave) if fix.exploited]
    if not any(fix.wave == wave for fix in listed):
        return
    entries = [{"cveID": cve(fix), "dateAdded": f"{story.at:%Y-%m-%d}"} for fix in listed]
    exploited.record(document=json.dumps({"vulnerabilities": entries}).encode(), **story.who("sam"))


def updates_of(wave: int) -> list[SoftwareUpdate]:
    names = {fix.product for fix in FIXES if fix.wave == wave}
    found = SoftwareUpdate.objects.filter(name__in=names).order_by("pk")
    versions = {
        software.version(software.BY_NAME[f.product], p, f.number)
        for f in FIXES
        if f.wave == wave
        for p in software.PLATFORMS
    }
    return [update for update in found if update.fixed_version in versions]


def updates_for(product: str, number: int, platforms: Collection[Platform]) -> list[int]:
    """The ids of an update of a product, one for each of these platforms."""
    fixed = {software.version(software.BY_NAME[product], platform, number) for platform in platforms}
    rows = SoftwareUpdate.objects.filter(name=product, fixed_version__in=fixed).order_by("pk")
    return list(rows.values_list("pk", flat=True))


def advisory_id(fix: Fix) -> str:
    return f"SIM-{2026:04}-{100 + FIXES.index(fix):04}"


def cve(fix: Fix) -> str:
    """In the right format, and of a number that nobody has given."""
    return f"CVE-2026-{990_000 + FIXES.index(fix)}"


def document(fix: Fix, *, at: datetime) -> dict[str, Any]:
    """The advisory as an OSV record."""
    product = software.BY_NAME[fix.product]
    return {
        "schema_version": "1.7.0",
        "id": advisory_id(fix),
        "summary": f"{fix.product}: simulated security update ({fix.word})",
        "details": f"{fix.flaw}\n\nThis advisory is simulated: product, flaw and numbers are invented for the demo.",
        "published": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "modified": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "upstream": [cve(fix)],
        "severity": [{"type": "CVSS_V3", "score": VECTORS[fix.word]}],
        "references": [{"type": "ADVISORY", "url": f"https://vendor.simulated.invalid/{advisory_id(fix)}"}],
        "affected": [
            {
                "package": {"ecosystem": platform.osv, "name": fix.product},
                "ranges": [
                    {
                        "type": "ECOSYSTEM",
                        "events": [{"introduced": "0"}, {"fixed": software.version(product, platform, fix.number)}],
                    }
                ],
            }
            for platform in software.PLATFORMS
        ],
    }
