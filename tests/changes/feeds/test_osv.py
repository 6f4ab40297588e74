"""What each distribution's records become."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from changes.feeds.base import (
    AdvisoryKind,
    FixDraft,
    FixState,
    Relation,
    SeverityRank,
    VulnerabilityDraft,
    kinds,
    make_feed,
    rank_severity,
)
from changes.feeds.osv import OsvFeed
from tests.changes.feeds.material import DOCUMENTS, NAMES, document, fetched, minimal, read_one


def test_debian_advisory_matches_sources_by_release(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("DSA-9001-1"))

    assert (draft.source, draft.advisory_id, draft.vendor) == ("osv-test", "DSA-9001-1", "Debian")
    assert (draft.title, draft.kind) == ("acme-web - security update", AdvisoryKind.SECURITY)
    assert draft.text == "A crafted header let anyone read the server's memory."
    assert (draft.severity_vendor, draft.severity_rank) == ("high", SeverityRank.IMPORTANT)
    assert draft.published_at == datetime(2026, 3, 2, tzinfo=UTC)
    assert draft.modified_at == datetime(2026, 3, 2, 9, 15, 0, 123456, tzinfo=UTC)
    assert draft.withdrawn_at is None
    assert draft.vulnerabilities == (
        VulnerabilityDraft(id="CVE-2026-90001", relation=Relation.FIXES),
        VulnerabilityDraft(id="CVE-2026-90002", relation=Relation.FIXES),
    )
    common = {
        "ecosystem": "deb",
        "distribution": "debian",
        "package_name": "acme-web",
        "name_kind": "source",
        "state": FixState.FIXED,
    }
    assert draft.fixes == (
        FixDraft(**common, release="12", fixed_version="1:2.4-1+deb12u3", severity_vendor="high"),
        FixDraft(**common, release="11", fixed_version="1:2.2-4+deb11u7", severity_vendor="medium"),
    )


def test_reference_that_is_no_web_address_is_left_out_with_a_note(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("DSA-9001-1"))

    assert draft.references == (("ADVISORY", "https://advisories.example.org/dsa-9001"),)
    assert draft.notes == ("A reference that is no web address was left out.",)


def test_debian_urgency_and_absence_of_a_fix_become_states(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("DEBIAN-CVE-2026-90003"))

    assert [(fix.release, fix.state) for fix in draft.fixes] == [
        ("12", FixState.NO_FIX),
        ("11", FixState.OUT_OF_SUPPORT),
        ("13", FixState.NOT_AFFECTED),
    ]
    assert draft.fixes[0].reason == "The vendor names no fixed version for this release."
    assert draft.vulnerabilities == (
        VulnerabilityDraft(id="CVE-2026-90003", relation=Relation.FIXES, aliases=("DEBIAN-CVE-2026-90003",)),
    )
    assert draft.title == "Integer overflow in acme-lib."


def test_ubuntu_notice_tells_channels_and_the_severity_of_each_cve(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("USN-9100-1"))

    assert [(fix.release, fix.channel, fix.flavour, fix.state) for fix in draft.fixes] == [
        ("22.04", "", "plain", FixState.FIXED),
        ("16.04", "esm-infra", "esm", FixState.FIXED),
        ("20.04", "fips-updates", "fips", FixState.FIXED),
    ]
    assert {fix.name_kind for fix in draft.fixes} == {"source"}
    assert draft.fixes[1].reason == "Available with Ubuntu Pro: https://ubuntu.com/pro"
    assert (draft.severity_vendor, draft.severity_rank) == ("high", SeverityRank.IMPORTANT)
    assert draft.vulnerabilities == (
        VulnerabilityDraft(
            id="CVE-2026-90010",
            relation=Relation.FIXES,
            aliases=("UBUNTU-CVE-2026-90010",),
            cvss=(("CVSS_V3", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"),),
            severity_vendor="high",
        ),
        VulnerabilityDraft(id="CVE-2026-90099", relation=Relation.MENTIONS),
    )


def test_withdrawn_record_keeps_its_statement_and_its_time(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("UBUNTU-CVE-2026-90011"))

    assert draft.withdrawn_at == datetime(2026, 4, 20, 12, tzinfo=UTC)
    assert [(fix.release, fix.state, fix.affected_versions) for fix in draft.fixes] == [("24.04", FixState.NO_FIX, ())]
    assert draft.severity_rank == SeverityRank.NEGLIGIBLE
    assert draft.vulnerabilities[0].cvss == draft.cvss != ()


def test_almalinux_matches_binaries_and_shows_modules_only_in_the_version(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("ALSA-2026_9001"))

    assert (draft.severity_vendor, draft.severity_rank) == ("Important", SeverityRank.IMPORTANT)
    assert [cve.id for cve in draft.vulnerabilities] == ["CVE-2026-90020", "CVE-2026-90021"]
    assert {cve.relation for cve in draft.vulnerabilities} == {Relation.FIXES}
    assert [(fix.package_name, fix.name_kind, fix.modular, fix.module) for fix in draft.fixes] == [
        ("acme-script", "binary", True, "acme-script:3.1"),
        ("acme-script-libs", "binary", True, "acme-script:3.1"),
    ]


@pytest.mark.parametrize(
    ("summary", "module", "candidates"),
    [
        ("Low: acme security update", "", ()),
        ("Low: virt:rhel and virt-devel:rhel security update", "", ("virt:rhel", "virt-devel:rhel")),
        ("ALSA-2022:5468: php:8.0 security update (Important)", "php:8.0", ("php:8.0",)),
    ],
)
def test_module_stream_is_told_only_where_it_is_sure(
    tmp_path: Path, summary: str, module: str, candidates: tuple[str, ...]
) -> None:
    draft = read_one(tmp_path, {**document("ALSA-2026_9001"), "summary": summary})

    assert {(fix.modular, fix.module, fix.module_candidates) for fix in draft.fixes} == {(True, module, candidates)}


def test_stream_like_words_make_no_module_of_an_ordinary_package(tmp_path: Path) -> None:
    draft = read_one(tmp_path, {**document("ALBA-2026_9002"), "summary": "None: kernel:4.18.0 bug fix update"})

    assert {(fix.modular, fix.module, fix.module_candidates) for fix in draft.fixes} == {(False, "", ())}
    assert (draft.severity_vendor, draft.severity_rank) == ("None", SeverityRank.UNKNOWN)


@pytest.mark.parametrize(
    ("advisory_id", "summary", "kind"),
    [
        ("ALBA-2026:1", "acme bug fix update", AdvisoryKind.BUGFIX),
        ("ALEA-2026:1", "acme enhancement update", AdvisoryKind.ENHANCEMENT),
        ("ALEA-2026:1", "new packages: acme", AdvisoryKind.NEWPACKAGE),
        ("RLBA-2026:1", "acme bug fix update", AdvisoryKind.BUGFIX),
        ("RLSA-2026:1", "Low: acme", AdvisoryKind.SECURITY),
        ("USN-1-1", "acme bug fix update", AdvisoryKind.SECURITY),
    ],
)
def test_kind_comes_from_the_id(tmp_path: Path, advisory_id: str, summary: str, kind: AdvisoryKind) -> None:
    assert read_one(tmp_path, minimal(id=advisory_id, summary=summary)).kind == kind


def test_rocky_matches_sources_because_its_exporter_lists_only_these(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("RLSA-2026_9003"))

    assert [(fix.distribution, fix.release, fix.package_name, fix.name_kind) for fix in draft.fixes] == [
        ("rocky", "9", "acme-jdk", "source")
    ]
    assert draft.vulnerabilities[0].cvss == (("CVSS_V3", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:L/I:N/A:N"),)


def test_rocky_page_is_read_record_by_record(tmp_path: Path) -> None:
    page = {"advisories": [document("RLSA-2026_9003"), {"id": 7}], "total": 2, "links": {}}
    path = tmp_path / "page.json"
    path.write_text(json.dumps(page))

    drafts, aside, feed = fetched(path)

    assert [draft.advisory_id for draft in drafts] == ["RLSA-2026:9003"]
    assert [(each.document_name, each.error.split(".")[0]) for each in aside] == [
        ("page.json#1", "id is a number; text is needed")
    ]
    assert (feed.tally.documents, feed.tally.complete) == (2, True)


def test_other_ecosystems_give_an_advisory_without_fixes_and_say_so(tmp_path: Path) -> None:
    draft = read_one(tmp_path, document("GHSA-acme-acme-acme"))

    assert draft.fixes == ()
    assert draft.notes == (
        "Packages of 'npm' make no fix: that ecosystem or release is not matched.",
        "An entry without a package (source code only) makes no fix.",
    )
    assert [cve.id for cve in draft.vulnerabilities] == ["CVE-2026-90040"]


@pytest.mark.parametrize(
    "ecosystem",
    ["Debian", "Debian:sid", "Ubuntu:jammy", "Ubuntu:Pro:Space:22.04:LTS", "AlmaLinux:nine", "Alpine:v3.20"],
)
def test_unknown_release_gives_a_note_never_another_release(tmp_path: Path, ecosystem: str) -> None:
    draft = read_one(
        tmp_path, minimal(affected=[{"package": {"ecosystem": ecosystem, "name": "acme"}, "versions": ["1"]}])
    )

    assert draft.fixes == ()
    assert draft.notes == (f"Packages of {ecosystem!r} make no fix: that ecosystem or release is not matched.",)


@pytest.mark.parametrize(
    ("purl", "channel"),
    [
        ("", "esm"),
        ("pkg:deb/ubuntu/acme@1?arch=source&distro=esm-apps/jammy", "esm-apps"),
        ("pkg:deb/ubuntu/acme@1?arch=source&distro=esm-infra-legacy/trusty", "esm-infra-legacy"),
        ("pkg:deb/ubuntu/acme@1?arch=source&distro=trusty/esm", "esm-infra"),
    ],
)
def test_pocket_of_ubuntu_pro_comes_from_the_package_url(tmp_path: Path, purl: str, channel: str) -> None:
    package = {"ecosystem": "Ubuntu:Pro:14.04:LTS", "name": "acme", "purl": purl}
    draft = read_one(tmp_path, minimal(affected=[{"package": package, "versions": ["1.0-1"]}]))

    assert [(fix.release, fix.channel, fix.flavour) for fix in draft.fixes] == [("14.04", channel, "esm")]


def test_record_without_affected_packages_says_so(tmp_path: Path) -> None:
    draft = read_one(tmp_path, minimal(affected=[]))

    assert (draft.fixes, draft.notes) == ((), ("It names no affected package.",))


@pytest.mark.parametrize(
    ("word", "rank"),
    [
        ("Critical", 5),
        ("high**", 4),
        ("Moderate", 3),
        ("low", 2),
        ("unimportant", 1),
        ("not yet assigned", 0),
        ("end-of-life", 0),
        ("untriaged", 0),
        ("None", 0),
    ],
)
def test_rank_severity_keeps_the_unknown_apart_from_low(word: str, rank: int) -> None:
    assert rank_severity(word) == rank


def test_since_leaves_out_what_is_older_and_counts_it() -> None:
    feed = OsvFeed(name="osv-test", location=DOCUMENTS)

    found = list(feed.fetch(since=datetime(2026, 5, 3, tzinfo=UTC)))

    assert sorted(draft.advisory_id for draft in found) == ["ALBA-2026:9002", "GHSA-acme-acme-acme", "RLSA-2026:9003"]
    assert (feed.tally.documents, feed.tally.unchanged, feed.tally.complete) == (len(NAMES), len(NAMES) - 3, True)


def test_fetch_may_be_repeated_and_says_the_same() -> None:
    feed = OsvFeed(name="osv-test", location=DOCUMENTS)

    assert list(feed.fetch(since=None)) == list(feed.fetch(since=None))


def test_feeds_are_made_by_kind_and_an_unknown_kind_is_named() -> None:
    feed = make_feed("osv", name="osv-debian", location=DOCUMENTS)

    assert (feed.name, "osv" in kinds()) == ("osv-debian", True)
    with pytest.raises(LookupError, match="no feed of kind 'smoke-signals'"):
        make_feed("smoke-signals")
