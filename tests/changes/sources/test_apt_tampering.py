"""Ways to tamper with a repository: each is refused, at its check, with its reason, and nothing is read."""

from __future__ import annotations

import itertools
import lzma
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from changes.sources.apt import fetch_release
from changes.sources.base import Refused
from changes.sources.fetchers import CallableFetcher
from tests.changes.sources.building import RELEASE, URI, Built, key, opened, public, signed, spec, stanza

Files = dict[str, Any]
Tampering = Callable[[Files], Files]

XZ = f"{URI}/dists/bookworm-security/main/binary-amd64/Packages.xz"


def edited_index(files: Files) -> Files:
    return {**files, XZ: lzma.compress(stanza(Version="1:0.1-1"))}


def edited_index_of_the_same_size(files: Files) -> Files:
    return {**files, XZ: files[XZ][:-1] + bytes([files[XZ][-1] ^ 1])}


def truncated_index(files: Files) -> Files:
    return {**files, XZ: files[XZ][:-20]}


def grown_index(files: Files) -> Files:
    return {**files, XZ: files[XZ] + b"\0"}


def endless_index(files: Files) -> Files:
    return {**files, XZ: itertools.repeat(b"x" * 65_536)}


def missing_index(files: Files) -> Files:
    return {RELEASE: files[RELEASE]}


def edited_release(files: Files) -> Files:
    return {**files, RELEASE: files[RELEASE].replace(b"Origin: Acme", b"Origin: Acne")}


def strangers_key(_: Files) -> Files:
    return Built(signers=("stranger",)).publish()


def unsigned(_: Files) -> Files:
    return Built(signers=()).publish()


def no_release(files: Files) -> Files:
    return {uri: data for uri, data in files.items() if uri != RELEASE}


def truncated_release(files: Files) -> Files:
    return {**files, RELEASE: files[RELEASE][:-60]}


def emptied_release(files: Files) -> Files:
    return {**files, RELEASE: b""}


def endless_release(files: Files) -> Files:
    return {**files, RELEASE: itertools.repeat(b"x" * 65_536)}


def text_before_the_signed(files: Files) -> Files:
    return {**files, RELEASE: b"Suite: stable\n\n" + files[RELEASE]}


def text_behind_the_signature(files: Files) -> Files:
    return {**files, RELEASE: files[RELEASE] + b"\nSuite: stable\n"}


def second_message(files: Files) -> Files:
    return {**files, RELEASE: files[RELEASE] + signed(b"Suite: stable\n", "stranger")}


def expired(_: Files) -> Files:
    return Built(date=datetime(2026, 11, 1, tzinfo=UTC)).publish()


def from_the_future(_: Files) -> Files:
    return Built(date=datetime(2026, 11, 19, tzinfo=UTC)).publish()


def dateless(_: Files) -> Files:
    return Built(fields={"Date": ""}).publish()


def undated_words(_: Files) -> Files:
    return Built(fields={"Valid-Until": "for ever"}).publish()


def another_suite(_: Files) -> Files:
    return Built(suite="oldstable", codename="bullseye").publish()


def only_md5(_: Files) -> Files:
    return Built(hashes=("MD5Sum",)).publish()


def only_md5_and_sha1(_: Files) -> Files:
    return Built(hashes=("MD5Sum", "SHA1")).publish()


def index_not_listed(_: Files) -> Files:
    return Built(endings=()).publish()


def fields_twice(_: Files) -> Files:
    return Built(fields={"Label": "a\nDate: Wed, 18 Nov 2026 09:00:00 UTC"}).publish()


TAMPERED: list[tuple[Tampering, str, str]] = [
    (edited_index, "index.size", "signed"),
    (edited_index_of_the_same_size, "index.sha256", "it was changed"),
    (truncated_index, "index.size", "cut off or changed"),
    (grown_index, "index.size", "larger than the signed"),
    (endless_index, "index.size", "without end"),
    (missing_index, "index.fetched", "the server has it in no form"),
    (index_not_listed, "index.listed", "vouches for no main/binary-amd64/Packages"),
    (edited_release, "release.signature", "No given key signed"),
    (strangers_key, "release.signature", "No given key signed"),
    (unsigned, "release.signature", "not properly signed: it does not begin"),
    (truncated_release, "release.signature", "not properly signed: it does not end"),
    (emptied_release, "release.signature", "not properly signed"),
    (text_before_the_signed, "release.signature", "not properly signed: it does not begin"),
    (text_behind_the_signature, "release.signature", "not properly signed: it does not end"),
    (second_message, "release.signature", "not properly signed: it is not one signed message"),
    (no_release, "release.fetched", "does not exist: the suite is unsigned"),
    (endless_release, "release.fetched", "has no end"),
    (expired, "release.valid_until", "the mirror is frozen"),
    (undated_words, "release.valid_until", "'for ever', which is no time"),
    (from_the_future, "release.date", "in the future"),
    (dateless, "release.date", "has no Date"),
    (another_suite, "release.suite", "must not stand in for another"),
    (only_md5, "release.hashes", "found: md5sum"),
    (only_md5_and_sha1, "release.hashes", "found: md5sum, sha1"),
    (fields_twice, "release.syntax", "stands twice"),
]


@pytest.mark.parametrize(("tamper", "failed", "reason"), TAMPERED, ids=[each[0].__name__ for each in TAMPERED])
def test_tampered_repository_is_refused(now: datetime, tamper: Tampering, failed: str, reason: str) -> None:
    repository = opened(tamper(Built().publish()), now=now)

    result = repository.result
    assert (result.ok, result.failed) == (False, failed)
    assert reason in result.reason
    assert [check.ok for check in result.checks] == [True] * (len(result.checks) - 1) + [False]
    with pytest.raises(Refused):
        list(repository.packages())


def test_older_release_than_the_one_seen_is_a_replay(now: datetime) -> None:
    newer = Built()
    older = newer.but(date=newer.date - timedelta(hours=6))

    assert opened(older.publish(), now=now).result.ok
    assert opened(newer.publish(), now=now, last_seen=newer.date).result.ok
    result = opened(older.publish(), now=now, last_seen=newer.date).result

    assert (result.ok, result.failed) == (False, "release.date")
    assert "an old state is played again" in result.reason


def test_index_of_an_older_release_is_a_mixed_snapshot(now: datetime) -> None:
    older = Built(packages=stanza(Version="1:2.4-1+deb12u2"))

    result = opened({**older.publish(), RELEASE: Built().publish()[RELEASE]}, now=now).result

    assert not result.ok
    assert result.failed in ("index.size", "index.sha256")


def test_index_that_unpacks_to_more_than_signed_is_refused_while_read(now: datetime) -> None:
    built = Built()
    indexes = {"main/binary-amd64/Packages": b"", "main/binary-amd64/Packages.xz": lzma.compress(built.packages)}
    files = {XZ: indexes["main/binary-amd64/Packages.xz"], RELEASE: signed(built.release(indexes), "archive")}

    repository = opened(files, now=now)

    with pytest.raises(Refused, match="it unpacks to more than the allowed 0 bytes") as caught:
        list(repository.packages())
    assert caught.value.result.failed == "index.read"


def test_suite_without_valid_until_is_bounded_by_its_age_if_asked(now: datetime) -> None:
    files = Built(valid_for=None, date=now - timedelta(days=20)).publish()

    endless = opened(files, now=now).result
    bounded = opened(files, now=now, max_age=timedelta(days=10)).result

    assert (endless.ok, endless.valid_until) == (True, None)
    assert "only going back in time can be noticed" in endless.checks[5].detail
    assert (bounded.ok, bounded.failed) == (False, "release.valid_until")


def test_valid_until_ends_at_its_very_moment() -> None:
    files = Built().publish()
    ends = datetime(2026, 11, 25, 6, tzinfo=UTC)

    assert opened(files, now=ends - timedelta(seconds=1)).result.ok
    assert not opened(files, now=ends).result.ok


@pytest.mark.parametrize("keyring", [b"", b"garbage"])
def test_keyring_without_a_key_is_refused(now: datetime, keyring: bytes) -> None:
    result = opened(Built().publish(), now=now, keyring=keyring).result

    assert result.failed == "release.signature"
    assert "The keyring" in result.reason


def test_revoked_key_is_refused(now: datetime) -> None:
    revoked = bytes(public("archive")) + bytes(public("archive").revoke(key("archive").certifier()))

    result = opened(Built().publish(), now=now, keyring=revoked).result

    assert result.failed == "release.signature"
    assert "only revoked ones" in result.reason


def test_key_that_expired_by_then_is_refused(now: datetime) -> None:
    certificate = public("archive")
    ends = datetime.now(UTC) + timedelta(days=400)
    renewed = certificate.set_expiration(ends, key("archive").certifier())
    built = Built(date=ends + timedelta(days=1))

    result = opened(built.publish(), now=built.date, keyring=bytes(renewed)).result

    assert result.failed == "release.key"
    assert "The key expired at" in result.reason


def test_flipped_bits_anywhere_are_refused(now: datetime) -> None:
    """100 single flips in the release and in the index: 100 % refused, or harmless to the verified content."""
    files, chance = Built().publish(), random.Random(5)
    clean = list(opened(files, now=now).packages())
    refused = 0
    for number in range(200):
        uri = RELEASE if number % 2 else XZ
        data = bytearray(files[uri])
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        repository = opened({**files, uri: bytes(data)}, now=now)
        if repository.result.ok:
            assert list(repository.packages()) == clean
            assert uri == RELEASE  # armor has places that mean nothing
        else:
            refused += 1
    assert refused >= 180


def test_release_alone_can_be_asked_for(now: datetime) -> None:
    release = fetch_release(spec(), fetcher=CallableFetcher(Built().publish().get), now=now)

    assert release.result.ok
    assert set(release.entries) == {f"main/binary-amd64/Packages{end}" for end in ("", ".gz", ".xz")}
