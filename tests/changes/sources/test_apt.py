"""A repository whose chain holds: signature, index, package."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from changes.sources.apt import verify_file
from changes.sources.base import PackageRecord, Refused, RejectedRecord
from tests.changes.sources.building import DEB, PACKAGES, RELEASE, Built, opened, public, signed, stanza

CHECKS = [
    "release.fetched",
    "release.signature",
    "release.key",
    "release.suite",
    "release.date",
    "release.valid_until",
    "release.hashes",
    "index.sha256",
]


def records(built: Built, now: datetime, **changes: Any) -> list[PackageRecord | RejectedRecord]:
    return list(opened(built.publish(), now=now, **changes).packages())


def test_every_check_passes_in_order_and_tells_what_was_seen(now: datetime) -> None:
    files = Built().publish()

    result = opened(files, now=now).result

    assert [(check.name, check.ok) for check in result.checks] == [(name, True) for name in CHECKS]
    assert (result.ok, result.reason, result.failed) == (True, "", "")
    assert result.release_sha256 == hashlib.sha256(files[RELEASE]).hexdigest()
    (index,) = result.indexes
    packed = files[f"https://packages.example/debian/dists/bookworm-security/{PACKAGES}.xz"]
    assert (index.path, index.size) == (f"{PACKAGES}.xz", len(packed))
    assert result.index_sha256 == index.sha256 == hashlib.sha256(packed).hexdigest()
    assert (result.signer, result.signer_name) == (public("archive").fingerprint, "archive <archive@example.org>")
    assert result.date == datetime(2026, 11, 18, 6, tzinfo=UTC)
    assert result.valid_until == datetime(2026, 11, 25, 6, tzinfo=UTC)


def test_packages_are_read_with_their_sources(now: datetime) -> None:
    library, documentation = records(Built(), now)

    assert library == PackageRecord(
        name="libacme1",
        version="1:2.4-1+deb12u3+b1",
        arch="amd64",
        source_name="acme",
        source_version="1:2.4-1+deb12u3",
        filename="pool/main/a/acme/libacme1_2.4-1+deb12u3+b1_amd64.deb",
        size=len(DEB),
        sha256=hashlib.sha256(DEB).hexdigest(),
        component="main",
        depends="libc6 (>= 2.36), libssl3 (>= 3.0)",
        section="libs",
        description="library of Acme",
    )
    assert isinstance(documentation, PackageRecord)
    assert (documentation.arch, documentation.source_name, documentation.source_version) == ("all", "acme", "1:2.4-1")


@pytest.mark.parametrize("endings", [("",), (".gz",), (".xz",), ("", ".gz")])
def test_index_is_read_in_every_form(now: datetime, endings: tuple[str, ...]) -> None:
    assert len(records(Built(endings=endings), now)) == 2


def test_form_that_the_server_lacks_gives_way_to_the_next(now: datetime) -> None:
    files = {uri: data for uri, data in Built().publish().items() if not uri.endswith(".xz")}

    assert opened(files, now=now).result.indexes[0].path == f"{PACKAGES}.gz"


def test_index_is_asked_for_by_its_hash_where_the_release_says_so(now: datetime) -> None:
    files = Built(fields={"Acquire-By-Hash": "yes"}).publish()
    uri = next(uri for uri in files if uri.endswith(".xz"))
    data = files.pop(uri)
    files[uri.replace("Packages.xz", f"by-hash/SHA256/{hashlib.sha256(data).hexdigest()}")] = data

    assert opened(files, now=now).result.indexes[0].path == f"{PACKAGES}.xz"


def test_several_components_and_architectures_are_all_verified(now: datetime) -> None:
    built = Built(endings=("",))
    contrib = stanza(Package="acme-extra", Filename="pool/contrib/a/acme/e.deb")
    indexes = {PACKAGES: built.packages, PACKAGES.replace("main", "contrib"): contrib}
    files = {f"https://packages.example/debian/dists/bookworm-security/{p}": data for p, data in indexes.items()}
    files[RELEASE] = signed(built.release(indexes), "archive")

    repository = opened(files, now=now, components=("main", "contrib"))

    found = [(record.component, record.name) for record in repository.packages() if isinstance(record, PackageRecord)]
    assert found == [("main", "libacme1"), ("main", "acme-doc"), ("contrib", "acme-extra")]
    lines = sorted(f"{index.sha256}  {index.path}\n" for index in repository.result.indexes)
    assert repository.result.index_sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize("armored", [False, True])
def test_keyring_of_several_keys_may_be_binary_or_armored(now: datetime, armored: bool) -> None:
    keys = [public("stranger"), public("archive")]
    keyring = "".join(str(each) for each in keys).encode() if armored else b"".join(bytes(each) for each in keys)

    result = opened(Built().publish(), now=now, keyring=keyring).result

    assert (result.ok, result.signer) == (True, public("archive").fingerprint)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"SHA256": None, "MD5sum": "0" * 32}, "it has no sha256; older hashes prove nothing."),
        ({"SHA256": "0" * 63}, "its SHA256 is no SHA-256."),
        ({"Size": "0"}, "its size '0' is none that a package can have."),
        ({"Size": "-1"}, "its size '-1' is none that a package can have."),
        ({"Filename": "../../etc/passwd"}, "its file name '../../etc/passwd' could lead out of the repository."),
        ({"Filename": "pool/../../x.deb"}, "its file name 'pool/../../x.deb' could lead out of the repository."),
        ({"Filename": "/etc/passwd"}, "its file name '/etc/passwd' could lead out of the repository."),
        ({"Filename": None}, "it has no filename."),
        ({"Version": "one two"}, "version 'one two' holds a character that Debian versions cannot have."),
        ({"Package": "Läuft"}, "'Läuft' is no name of a package."),
        ({"Architecture": "riscv64"}, "it is for 'riscv64', which was not asked for."),
        ({"Source": "acme (1.0"}, "its source 'acme (1.0' cannot be read."),
        ({"Essential": "yes\nEssential: no"}, "the field 'essential' stands twice."),
        ({"Section": "libs\nnonsense"}, "'nonsense' is no field."),
    ],
)
def test_entry_that_cannot_be_used_is_rejected_alone(now: datetime, changes: dict[str, str], error: str) -> None:
    bad, good = records(Built(packages=stanza(**changes) + stanza(Package="acme-good")), now)

    assert isinstance(bad, RejectedRecord)
    assert (bad.error, bad.index_path, bad.position) == (error, f"{PACKAGES}.xz", 0)
    assert isinstance(good, PackageRecord)
    assert good.name == "acme-good"


def test_same_package_with_another_hash_is_rejected(now: datetime) -> None:
    built = Built(packages=stanza() + stanza() + stanza(SHA256="a" * 64))

    first, again, other = records(built, now)

    assert first == again
    assert isinstance(other, RejectedRecord)
    assert other.error == "libacme1 1:2.4-1+deb12u3+b1 amd64 stands twice, with different hashes."


def test_nothing_is_read_of_a_refused_repository(now: datetime) -> None:
    repository = opened({}, now=now)

    with pytest.raises(Refused) as caught:
        next(repository.packages())
    assert caught.value.result is repository.result
    assert not repository.result.ok


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "packages.example"},
        {"suite": "../secret"},
        {"suite": "a/../../b"},
        {"components": ("main/../..",)},
        {"architectures": ("amd64 ",)},
        {"components": ()},
    ],
)
def test_specification_that_could_lead_elsewhere_is_refused(now: datetime, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is no |needs a"):
        opened({}, now=now, **changes)


@pytest.fixture
def record(now: datetime) -> PackageRecord:
    found = records(Built(), now)[0]
    assert isinstance(found, PackageRecord)
    return found


def test_file_as_signed_passes(record: PackageRecord, tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(DEB)

    for source in (DEB, tmp_path / "a.deb"):
        result = verify_file(source, record)
        assert [(check.name, check.ok) for check in result.checks] == [("file.size", True), ("file.sha256", True)]
        assert result.ok


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (DEB[:-1], "file.size"),
        (DEB + b"x", "file.size"),
        (b"", "file.size"),
        (bytes([DEB[0] ^ 1]) + DEB[1:], "file.sha256"),
    ],
)
def test_file_that_was_changed_is_refused(record: PackageRecord, tmp_path: Path, data: bytes, failed: str) -> None:
    (tmp_path / "a.deb").write_bytes(data)

    for source in (data, tmp_path / "a.deb"):
        result = verify_file(source, record)
        assert (result.ok, result.failed) == (False, failed)


def test_file_without_end_is_refused_after_its_size(record: PackageRecord) -> None:
    result = verify_file(Path("/dev/zero"), record)

    assert result.reason == f"{record.filename.rpartition('/')[2]} has more than {len(DEB)} bytes, signed {len(DEB)}."


def test_missing_file_is_refused(record: PackageRecord, tmp_path: Path) -> None:
    assert verify_file(tmp_path / "nowhere", record).failed == "file.read"
