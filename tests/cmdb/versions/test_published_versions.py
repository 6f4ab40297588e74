"""Keys of versions that vendors have published: all are accepted, and sort as the package manager sorts them."""

from __future__ import annotations

import csv
import json
import lzma
import random
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, islice
from pathlib import Path

import pytest

from cmdb.versions import deb, rpm
from tests.cmdb.versions.native import NativeOrder

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3_600)]

Versions = dict[str, set[str]]  # by package
FIX_LINE = re.compile(r"\t\[[a-z]+\] - (\S+) (\S+)")


def existing(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no {path} (set PATCHFLOW_TEST_DATA to the published data)")
    return path


def table(path: Path) -> Iterator[dict[str, str]]:
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as text:
        yield from csv.DictReader(text, delimiter="\t", quoting=csv.QUOTE_NONE)


@pytest.fixture(scope="module")
def debian(data: Path) -> Versions:
    """Versions of an inventory, the archive's indices, changelogs and advisories."""
    found: Versions = defaultdict(set)
    for name in (
        "bookworm-security.main.amd64.tsv.xz",
        "bookworm-updates.main.amd64.tsv.xz",
        "bookworm.main.amd64.reduced.tsv.xz",
    ):
        for row in table(existing(data / "debian" / "archive" / name)):
            found[row["source"]] |= {row["version"], row["source_version"]}
    for row in table(existing(data / "debian" / "inventory" / "inventory.tsv")):
        found[row["source"]] |= {row["version"], row["source_version"]}
    for row in table(existing(data / "debian" / "archive" / "changelog-cve-fixes.tsv.xz")):
        found[row["source"]].add(row["version"])
    with lzma.open(existing(data / "debian" / "dsa" / "DSA-list.2023-04.txt.xz"), "rt") as lines:
        for package, version in (match.groups() for match in map(FIX_LINE.match, lines) if match):
            if not version.startswith("<"):
                found[package].add(version)
    return found


@pytest.fixture(scope="module")
def almalinux(data: Path) -> Versions:
    """Fixed versions of the complete OSV database."""
    found: Versions = defaultdict(set)
    archive = existing(data / "almalinux" / "osv-database.2026-08-21.tar.xz")
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member) if member.name.endswith(".json") else None
            if file is None:
                continue
            for affected in json.load(file)["affected"]:
                events = [event for span in affected["ranges"] for event in span["events"]]
                found[affected["package"]["name"]] |= {event["fixed"] for event in events if "fixed" in event}
    return found


def same_package_pairs(found: Versions, *, count: int) -> list[tuple[str, str]]:
    """Return every pair of versions of one package, or a fair sample of `count`."""
    every = [pair for versions in found.values() for pair in combinations(sorted(versions), 2)]
    return every if len(every) <= count else random.Random(1).sample(every, count)


def differing(
    key: Callable[[str], str], native: NativeOrder, pairs: Iterable[tuple[str, str]]
) -> list[tuple[str, str, int]]:
    wrong = (
        (left, right, answer)
        for left, right, answer in native.compare(pairs)
        if (key(left) > key(right)) - (key(left) < key(right)) != answer
    )
    return list(islice(wrong, 20))


def test_published_debian_versions_sort_as_apt_does(debian: Versions, apt: NativeOrder, pair_count: int) -> None:
    pairs = same_package_pairs(debian, count=pair_count)
    assert len(pairs) >= min(pair_count, 5_000)
    assert differing(deb.key, apt, pairs) == []
    print(f"{len(pairs)} pairs of {len(debian)} Debian sources")  # noqa: T201 - shown by -s


def test_published_almalinux_versions_sort_as_librpm_does(
    almalinux: Versions, librpm: NativeOrder, pair_count: int
) -> None:
    pairs = same_package_pairs(almalinux, count=pair_count)
    assert len(pairs) >= min(pair_count, 500_000)
    assert differing(rpm.key, librpm, pairs) == []
    print(f"{len(pairs)} pairs of {len(almalinux)} AlmaLinux packages")  # noqa: T201 - shown by -s
