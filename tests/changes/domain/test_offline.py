"""One list of packages against advisories, in memory: the same answers as with the database."""

from __future__ import annotations

import json
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from changes.domain import applicability, offline
from changes.feeds.base import make_feed
from changes.models import VersionFix
from tests.factories import identify as make
from tests.factories.people import Cast

STATUS = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.11-1

Package: postgresql
Status: install ok installed
Architecture: all
Source: postgresql-common (248+deb12u1)
Version: 15+248+deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
DOCUMENTS = [
    make.record("DSA-1-1", [("openssl", "3.0.12-1")]),
    make.record("DSA-2-1", [("postgresql-common", "248+deb12u1")]),
    make.record("DSA-3-1", [("gone", "2")]),
    make.record("DSA-4-1", [("openssl", "3.0.13-1")], ecosystem="Debian:11"),
]


def test_read_packages_of_dpkg_resolves_sources_and_skips_what_is_gone() -> None:
    found = [(p.name, p.source_name, p.source_version) for p in offline.read_packages(STATUS)]

    assert found == [("libssl3", "openssl", "3.0.11-1"), ("postgresql", "postgresql-common", "248+deb12u1")]


def test_read_packages_says_which_line_is_wrong() -> None:
    with pytest.raises(offline.UnreadableList, match="Line 2"):
        offline.read_packages(b"a\tall\t1\ta\t1\nb 2\n")


def test_evaluate_command_prints_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "status").write_bytes(STATUS)
    folder = tmp_path / "osv"
    folder.mkdir()
    for document in DOCUMENTS:
        (folder / f"{document['id']}.json").write_text(json.dumps(document))
    out, err = StringIO(), StringIO()

    call_command("evaluate", str(tmp_path / "status"), str(folder), release="12", stdout=out, stderr=err)

    assert out.getvalue() == "applicable\tlibssl3\t3.0.11-1\t3.0.12-1\tDSA-1-1\tbelow\n"
    assert "2 packages, 4 advisories (0 put aside): 1 applicable" in err.getvalue()


def test_evaluate_command_without_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("evaluate", str(tmp_path / "none"), str(tmp_path), release="12")


@pytest.mark.django_db
def test_evaluate_gives_what_the_database_gives(cast: Cast, now: datetime) -> None:
    packages = offline.read_packages(STATUS)
    for each in packages:
        make.make_version(
            make.make_platform(),
            each.name,
            each.version,
            source=(each.source_name, each.source_version),
            arch=each.arch,
        )
    make.poll(make.make_feed(cast.sam, at=now), DOCUMENTS, actor=cast.sam, at=now)
    applicability.evaluate_all()
    rows = VersionFix.objects.values_list("package_version__name", "fix__advisory__advisory_id", "verdict", "basis")

    found = offline.evaluate(
        packages, [make.draft(document) for document in DOCUMENTS], ecosystem="deb", distribution="debian", release="12"
    )

    assert {(row.package, row.advisory_id, row.verdict, row.basis) for row in found} == set(rows)


@pytest.mark.integration
def test_evaluate_a_real_machine_against_real_almalinux_advisories_finds_nothing_of_another_distribution(
    shared_data: Path,
) -> None:
    status = shared_data / "debian" / "inventory" / "dpkg-status.reduced"
    feed = make_feed("osv", name="alma", location=shared_data / "almalinux" / "samples")

    packages = offline.read_packages(status.read_bytes())
    found = offline.evaluate(packages, feed.fetch(since=None), ecosystem="deb", distribution="debian", release="12")

    assert (len(packages), feed.tally.drafts, found) == (910, 4, [])
