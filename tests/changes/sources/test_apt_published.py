"""Debian's own security repository, where this machine has its signed files."""

from __future__ import annotations

import lzma
from datetime import UTC, datetime
from pathlib import Path

import pytest

from changes.sources import deb822
from changes.sources.apt import Release, RepositorySpec, fetch_release
from changes.sources.fetchers import CallableFetcher
from cmdb import versions

SIGNER = "05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0"
URI = "https://security.example/debian-security"


def file(shared_data: Path, name: str) -> bytes:
    path = shared_data / "debian" / name
    if not path.exists():
        pytest.skip(f"no {path} (set PATCHFLOW_TEST_DATA to the published data)")
    return path.read_bytes()


def release_of(shared_data: Path, *, now: datetime, suite: str, keyring: str, edit: bytes = b"") -> Release:
    data = file(shared_data, f"archive/{suite}.InRelease")
    if edit:
        assert edit in data
        data = data.replace(edit, edit.swapcase(), 1)
    spec = RepositorySpec(
        uri=URI,
        suite=suite,
        components=("main",),
        architectures=("amd64",),
        keyring=file(shared_data, f"keyring/{keyring}.gpg"),
    )
    return fetch_release(spec, fetcher=CallableFetcher({f"{URI}/dists/{suite}/InRelease": data}.get), now=now)


def test_security_release_is_good_until_its_end(shared_data: Path) -> None:
    keyring = "debian-archive-bookworm-security-automatic"

    good = release_of(shared_data, now=datetime(2026, 11, 22, tzinfo=UTC), suite="bookworm-security", keyring=keyring)
    late = release_of(shared_data, now=datetime(2026, 11, 28, tzinfo=UTC), suite="bookworm-security", keyring=keyring)

    assert (good.result.ok, good.result.signer, len(good.entries)) == (True, SIGNER, 292)
    assert good.result.date == datetime(2026, 11, 20, 0, 12, 41, tzinfo=UTC)
    assert good.result.valid_until == datetime(2026, 11, 27, 0, 12, 41, tzinfo=UTC)
    assert (good.by_hash, good.entries["main/binary-amd64/Packages.xz"].size > 0) == (True, True)
    assert (late.result.ok, late.result.failed, late.entries) == (False, "release.valid_until", {})


def test_one_changed_letter_or_another_key_is_refused(shared_data: Path) -> None:
    now, own = datetime(2026, 11, 22, tzinfo=UTC), "debian-archive-bookworm-security-automatic"
    other = "debian-archive-bookworm-automatic"

    edited = release_of(shared_data, now=now, suite="bookworm-security", keyring=own, edit=b"Debian-Security")
    stranger = release_of(shared_data, now=now, suite="bookworm-security", keyring=other)

    assert [release.result.failed for release in (edited, stranger)] == ["release.signature"] * 2


def test_updates_release_has_no_end_and_says_so(shared_data: Path) -> None:
    release = release_of(
        shared_data,
        now=datetime(2026, 11, 22, tzinfo=UTC),
        suite="bookworm-updates",
        keyring="debian-archive-bookworm-automatic",
    )

    assert (release.result.ok, release.result.valid_until) == (True, None)


def test_published_stanzas_can_all_be_read(shared_data: Path) -> None:
    text = lzma.decompress(file(shared_data, "archive/bookworm-security.Packages.sample.xz"))

    found = [deb822.fields(stanza) for stanza in deb822.stanzas(deb822.lines_of([text]))]

    assert len(found) == 182
    assert all(versions.key("deb", each["version"]) and len(each["sha256"]) == 64 for each in found)
