"""Advisories as a distribution would publish them (OSV), about the packages of the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FIXES = {
    "acme-tool": ("DSA-9001-1", "CVE-2026-90001", "A hole in the small tool"),
    "acme-brittle": ("DSA-9003-1", "CVE-2026-90003", "A hole in the brittle package"),
    "acme-kernel": ("DSA-9004-1", "CVE-2026-90004", "A hole that only a restart closes"),
    "acme-slow": ("DSA-9005-1", "CVE-2026-90005", "A hole in the slow package"),
}
"""Package → advisory, vulnerability, summary. All are fixed in 1.1, for Debian 12."""


def publish(folder: Path) -> Path:
    """Writes one document per advisory into `folder`, which a feed reads."""
    folder.mkdir(parents=True)
    for package, (advisory, vulnerability, summary) in FIXES.items():
        document: dict[str, Any] = {
            "schema_version": "1.6.0",
            "id": advisory,
            "modified": "2026-11-20T08:00:00Z",
            "published": "2026-11-20T08:00:00Z",
            "upstream": [vulnerability],
            "summary": f"{package} - security update",
            "details": f"{summary}.",
            "affected": [
                {
                    "package": {"ecosystem": "Debian:12", "name": package},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
                }
            ],
        }
        (folder / f"{advisory}.json").write_text(json.dumps(document))
    return folder
