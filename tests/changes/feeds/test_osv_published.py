"""The published databases, where this machine has them."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path

import pytest

from changes.feeds.base import AdvisoryDraft, FixState, Relation
from changes.feeds.osv import OsvFeed
from tests.changes.feeds.material import fetched


def place(shared_data: Path, name: str) -> Path:
    path = shared_data / name
    if not path.exists():
        pytest.skip(f"no {path} (set PATCHFLOW_TEST_DATA to the published data)")
    return path


def test_all_of_almalinux_goes_in(shared_data: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    feed = OsvFeed(name="osv-almalinux", location=place(shared_data, "almalinux/osv-database.2026-08-21.tar.xz"))
    ids, cves, fixes, rows = set(), set(), set(), Counter[str]()

    for draft in feed.fetch(since=None):
        assert isinstance(draft, AdvisoryDraft)
        ids.add(draft.advisory_id)
        cves |= {cve.id for cve in draft.vulnerabilities if cve.relation is Relation.FIXES}
        for fix in draft.fixes:
            fixes.add((draft.advisory_id, fix))
            rows[fix.state] += 1
            rows["modular"] += fix.modular
            rows["module known"] += bool(fix.module)

    assert (feed.tally.documents, feed.tally.drafts, feed.tally.quarantined) == (5_680, 5_680, 0)
    assert (feed.tally.fixes, len(ids), len(cves)) == (71_329, 5_637, 6_592)
    # 37 ids stand under several releases with the same content each time.
    assert (feed.tally.repeats, len(fixes)) == (43, 69_160)
    assert rows == {FixState.FIXED: 71_329, "modular": 20_750, "module known": 16_920}
    assert feed.tally.complete
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before  # kB; other tests have been in this process
    assert grown < 256 * 1024


def test_debian_samples_go_in_and_fragments_are_put_aside(shared_data: Path) -> None:
    drafts, aside, _ = fetched(place(shared_data, "debian/osv"))

    assert [(draft.advisory_id, len(draft.vulnerabilities), len(draft.fixes)) for draft in drafts] == [
        ("DLA-3623-1", 44, 0),
        ("DSA-3029-1", 1, 1),
    ]
    assert {each.document_name.partition("#")[0] for each in aside} == {
        "CVE-2016-1585.debian.json",
        "CVE-2017-6507.debian.json",
    }


def test_ubuntu_samples_go_in_whole(shared_data: Path) -> None:
    drafts, aside, _ = fetched(place(shared_data, "ubuntu/osv"))

    assert (len(drafts), aside) == (16, [])
    states = Counter((fix.flavour, fix.state) for draft in drafts for fix in draft.fixes)
    assert states == {
        ("plain", FixState.FIXED): 15,
        ("plain", FixState.NO_FIX): 30,
        ("esm", FixState.FIXED): 8,
        ("esm", FixState.NO_FIX): 15,
    }
    assert sum(draft.withdrawn_at is not None for draft in drafts) == 5
    assert {cve.id[:4] for draft in drafts for cve in draft.vulnerabilities} == {"CVE-"}


def test_rocky_samples_go_in_whole(shared_data: Path) -> None:
    drafts, aside, _ = fetched(place(shared_data, "rpm-other/rocky-osv"))

    assert aside == []
    assert [(fix.package_name, fix.modular, fix.module) for draft in drafts for fix in draft.fixes] == [
        ("java-11-openjdk", False, ""),
        ("firefox", False, ""),
        ("ruby", True, "ruby:3.3"),
        ("rubygem-mysql2", True, "ruby:3.3"),
        ("rubygem-pg", True, "ruby:3.3"),
    ]
