"""An RPM repository as it should be is read; each way to tamper with it is refused, at its check, with its reason."""

from __future__ import annotations

import gzip
import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from changes.sources.base import PackageRecord, Refused, RejectedRecord, verify_file
from changes.sources.rpm import RpmRepositorySpec
from tests.changes.sources.building import key, public
from tests.changes.sources.building_rpm import FILE, PRIMARY, REPOMD, Built, opened, package

Files = dict[str, Any]
Tampering = Callable[[Files], Files]
SIGNATURE = f"{REPOMD}.asc"


def test_packages_are_read_with_versions_sources_and_hashes(now: datetime) -> None:
    repository = opened(Built().publish(), now=now)

    assert repository.result.ok, repository.result.reason
    assert [check.name for check in repository.result.checks] == [
        "release.fetched", "release.signature", "release.key", "release.date", "release.valid_until", "release.hashes",
        "index.sha256",
    ]  # fmt: skip
    library, docs = list(repository.packages())
    assert isinstance(library, PackageRecord)
    assert isinstance(docs, PackageRecord)
    assert (library.name, library.version, library.arch) == ("libacme", "2.4-3.el9", "x86_64")
    assert (library.source_name, library.source_version) == ("acme", "2.4-3.el9")
    assert (docs.version, docs.source_version) == ("1:2.4-3.el9", "1:2.4-3.el9"), "an epoch of 0 is none"
    assert library.provides == "libacme, libacme.so.1()(64bit)"
    assert verify_file(FILE, library).ok
    assert not verify_file(FILE + b"!", library).ok


def edited_index(files: Files) -> Files:
    return {**files, PRIMARY: gzip.compress(package(ver="0.1").encode())}


def edited_index_of_the_same_size(files: Files) -> Files:
    return {**files, PRIMARY: files[PRIMARY][:-1] + bytes([files[PRIMARY][-1] ^ 1])}


def truncated_index(files: Files) -> Files:
    return {**files, PRIMARY: files[PRIMARY][:-20]}


def endless_index(files: Files) -> Files:
    return {**files, PRIMARY: itertools.repeat(b"x" * 65_536)}


def missing_index(files: Files) -> Files:
    return {uri: data for uri, data in files.items() if uri != PRIMARY}


def edited_repomd(files: Files) -> Files:
    return {**files, REPOMD: files[REPOMD].replace(b"primary.xml", b"primarx.xml")}


def strangers_key(_: Files) -> Files:
    return Built(signer="stranger").publish()


def unsigned(_: Files) -> Files:
    return Built(signer="").publish()


def signature_of_another_state(files: Files) -> Files:
    return {**files, SIGNATURE: Built(packages=package()).publish()[SIGNATURE]}


def truncated_signature(files: Files) -> Files:
    return {**files, SIGNATURE: files[SIGNATURE][:-60]}


def two_signatures(files: Files) -> Files:
    return {**files, SIGNATURE: files[SIGNATURE] + b"\n" + Built(signer="stranger").publish()[SIGNATURE]}


def no_repomd(_: Files) -> Files:
    return {}


def endless_repomd(files: Files) -> Files:
    return {**files, REPOMD: itertools.repeat(b"x" * 65_536)}


def from_the_future(_: Files) -> Files:
    return Built(date=datetime(2026, 11, 19, tzinfo=UTC)).publish()


def dateless(_: Files) -> Files:
    return Built(date=None).publish()


def only_sha1(_: Files) -> Files:
    return Built(kind="sha1").publish()


def index_elsewhere(_: Files) -> Files:
    return Built(href="../../other/primary.xml.gz").publish()


def index_by_its_address(_: Files) -> Files:
    return Built(href="/etc/primary.xml.gz").publish()


def index_packed_otherwise(_: Files) -> Files:
    return Built(href="repodata/primary.xml.zst").publish()


def no_index_listed(_: Files) -> Files:
    return Built(types=("filelists",)).publish()


def two_indexes_listed(_: Files) -> Files:
    return Built(types=("primary", "primary")).publish()


TAMPERED: list[tuple[Tampering, str, str]] = [
    (edited_index, "index.size", "signed"),
    (edited_index_of_the_same_size, "index.sha256", "it was changed"),
    (truncated_index, "index.size", "cut off or changed"),
    (endless_index, "index.size", "without end"),
    (missing_index, "index.fetched", "the server does not have it"),
    (edited_repomd, "release.signature", "No given key signed"),
    (strangers_key, "release.signature", "No given key signed"),
    (signature_of_another_state, "release.signature", "No given key signed"),
    (truncated_signature, "release.signature", "its signature is cut off"),
    (two_signatures, "release.signature", "not one block of signatures"),
    (unsigned, "release.fetched", "the repository's lists are unsigned"),
    (no_repomd, "release.fetched", "there is no RPM repository"),
    (endless_repomd, "release.fetched", "has no end"),
    (from_the_future, "release.date", "in the future"),
    (dateless, "release.date", "has no Date"),
    (only_sha1, "release.hashes", "found: sha1"),
    (index_elsewhere, "index.listed", "outside of the repository"),
    (index_by_its_address, "index.listed", "outside of the repository"),
    (index_packed_otherwise, "index.listed", "cannot be read here"),
    (no_index_listed, "index.listed", "names 0 lists"),
    (two_indexes_listed, "index.listed", "names 2 lists"),
]


@pytest.mark.parametrize(("tamper", "failed", "reason"), TAMPERED, ids=[each[0].__name__ for each in TAMPERED])
def test_tampered_repository_is_refused(now: datetime, tamper: Tampering, failed: str, reason: str) -> None:
    repository = opened(tamper(Built().publish()), now=now)

    result = repository.result
    assert (result.ok, result.failed) == (False, failed), result.reason
    assert reason in result.reason
    assert [check.ok for check in result.checks] == [True] * (len(result.checks) - 1) + [False]
    with pytest.raises(Refused):
        list(repository.packages())


def test_older_list_than_the_one_seen_is_a_replay_and_an_old_one_may_be_bounded(now: datetime) -> None:
    newer = Built()
    assert newer.date is not None
    older = newer.but(date=newer.date - timedelta(hours=6))

    assert opened(older.publish(), now=now).result.ok
    result = opened(older.publish(), now=now, last_seen=newer.date).result
    assert (result.ok, result.failed) == (False, "release.date")
    assert "an old state is played again" in result.reason
    bounded = opened(newer.publish(), now=now + timedelta(days=11), max_age=timedelta(days=10)).result
    assert bounded.failed == "release.valid_until"


@pytest.mark.parametrize(
    ("built", "why"),
    [
        (Built(open_size=10), "it unpacks to more than the allowed 10 bytes"),
        (Built(doctype='<!DOCTYPE x [<!ENTITY a "b">]>'), "it declares a document type"),
        (Built(packages="<package>"), "it is no XML"),
    ],
)
def test_signed_list_that_is_no_list_is_refused_while_read(now: datetime, built: Built, why: str) -> None:
    repository = opened(built.publish(), now=now)

    with pytest.raises(Refused, match=why) as caught:
        list(repository.packages())
    assert caught.value.result.failed == "index.read"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"name": "a b"}, "no name of a package"),
        ({"arch": "x86 64"}, "no architecture"),
        ({"href": "../x.rpm"}, "lead out of the repository"),
        ({"location": 'xml:base="https://elsewhere.example/"'}, "lead out of the repository"),
        ({"kind": "sha1"}, "it has no SHA-256"),
        ({"size": "0"}, "none that a package can have"),
        ({"rel": ""}, "no release"),
    ],
)
def test_entry_that_cannot_be_used_is_rejected_alone(now: datetime, changes: dict[str, str], why: str) -> None:
    built = Built(packages=package(**changes) + package(name="other"))

    bad, good = list(opened(built.publish(), now=now).packages())

    assert isinstance(bad, RejectedRecord)
    assert why in bad.error
    assert isinstance(good, PackageRecord)


def test_same_package_with_two_hashes_is_rejected_and_source_packages_are_left_out(now: datetime) -> None:
    built = Built(packages=package() + package(sum="0" * 64) + package(arch="src"))

    first, second = list(opened(built.publish(), now=now).packages())

    assert isinstance(first, PackageRecord)
    assert isinstance(second, RejectedRecord)
    assert "stands twice" in second.error


def test_revoked_key_is_refused(now: datetime) -> None:
    revoked = bytes(public("archive")) + bytes(public("archive").revoke(key("archive").certifier()))

    assert opened(Built().publish(), now=now, keyring=revoked).result.failed == "release.signature"


@pytest.mark.parametrize("uri", ["", "no address", "https://packages.example/$releasever/os"])
def test_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        RpmRepositorySpec(uri=uri, suite="x", architectures=(), keyring=b"")


def test_flipped_bits_anywhere_are_refused(now: datetime) -> None:
    """150 single flips: refused, or harmless to the verified content."""
    files, chance = Built().publish(), random.Random(5)
    clean = list(opened(files, now=now).packages())
    refused = 0
    for number in range(150):
        uri = (REPOMD, PRIMARY, SIGNATURE)[number % 3]
        data = bytearray(files[uri])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        repository = opened({**files, uri: bytes(data)}, now=now)
        if repository.result.ok:
            assert list(repository.packages()) == clean
            assert uri == SIGNATURE  # armor has places that mean nothing
        else:
            refused += 1
    assert refused >= 130
