"""Where records come from: files, folders, archives whole, cut off, damaged, or built to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from changes.feeds.base import FeedError
from changes.feeds.documents import Limits
from changes.feeds.osv import OsvFeed
from tests.changes.feeds.material import all_documents, as_tar, as_tar_xz, as_zip, encode_minimal, fetched

IDS = [
    "ALBA-2026:9002",
    "ALSA-2026:9001",
    "DEBIAN-CVE-2026-90003",
    "DSA-9001-1",
    "GHSA-acme-acme-acme",
    "RLSA-2026:9003",
    "UBUNTU-CVE-2026-90011",
    "USN-9100-1",
]


def archive(tmp_path: Path, data: bytes, name: str = "batch") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(as_zip(all_documents()), id="zip"),
        pytest.param(as_zip(all_documents(), method=zipfile.ZIP_STORED), id="zip stored"),
        pytest.param(as_tar(all_documents()), id="tar"),
        pytest.param(as_tar_xz(all_documents()), id="tar.xz"),
        pytest.param(gzip.compress(as_tar(all_documents())), id="tar.gz"),
        pytest.param(bz2.compress(as_tar(all_documents())), id="tar.bz2"),
    ],
)
def test_archive_is_known_by_its_content_not_its_name(tmp_path: Path, data: bytes) -> None:
    drafts, aside, feed = fetched(archive(tmp_path, data))

    assert sorted(draft.advisory_id for draft in drafts) == IDS
    assert aside == []
    assert feed.tally.complete


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_single_compressed_record_is_read(tmp_path: Path, pack: object) -> None:
    drafts, _, _ = fetched(archive(tmp_path, pack(all_documents()["DSA-9001-1.json"])))  # type: ignore[operator]

    assert [draft.advisory_id for draft in drafts] == ["DSA-9001-1"]


def test_members_that_are_no_records_are_counted_and_left(tmp_path: Path) -> None:
    data = as_tar_xz({"LICENSE": b"x" * 3_000_000, "advisories/8/a.json": encode_minimal(), "b.yaml": b"{}"})

    drafts, aside, feed = fetched(archive(tmp_path, data))

    assert (len(drafts), aside, feed.tally.ignored) == (1, [], 2)


def test_names_that_climb_out_write_nothing(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    before = sorted(tmp_path.rglob("*"))
    names = {"../../escaped.json": encode_minimal(), "/tmp/absolute-escaped.json": encode_minimal(id="DSA-9999-2")}

    for number, data in enumerate((as_tar_xz(names), as_zip(names))):
        drafts, _, _ = fetched(archive(inside, data, name=f"evil{number}"))
        assert len(drafts) == 2

    written = {path.name for path in set(tmp_path.rglob("*")) - set(before)}
    assert written == {"evil0", "evil1"}
    assert not Path("/tmp/absolute-escaped.json").exists()


def test_folder_is_read_in_order_and_links_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(encode_minimal())
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "b.json").write_bytes(encode_minimal(id="DSA-2-1"))
    (folder / "sub" / "a.json").write_bytes(encode_minimal(id="DSA-3-1"))
    (folder / "a.json").write_bytes(encode_minimal(id="DSA-1-1"))
    os.symlink(secret, folder / "z.json")

    drafts, aside, _ = fetched(folder)

    assert [draft.advisory_id for draft in drafts] == ["DSA-1-1", "DSA-2-1", "DSA-3-1"]
    assert [(each.document_name, each.error.partition(".")[0]) for each in aside] == [
        ("z.json", "It is a link or no regular file")
    ]


def test_missing_place_is_an_error_of_the_feed(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be read"):
        fetched(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz", "zip"])
def test_archive_cut_off_anywhere_is_reported_and_incomplete(tmp_path: Path, kind: str) -> None:
    members = {f"{n}.json": encode_minimal(id=f"DSA-{n}-1", details=noise(n)) for n in range(30)}
    whole = {
        "tar": as_tar(members),
        "tar.gz": gzip.compress(as_tar(members)),
        "tar.xz": as_tar_xz(members),
        "zip": as_zip(members),
    }[kind]
    end = whole.rstrip(b"\0") if kind == "tar" else whole

    for share in (0.1, 0.5, 0.77, 0.99):
        drafts, aside, feed = fetched(archive(tmp_path, end[: int(len(end) * share)]))
        assert len(drafts) < 30
        assert (len(aside), feed.tally.complete) == (1, False)
        assert aside[0].error.startswith("The file breaks off: ")


def test_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    data = bytearray(as_tar({f"{n}.json": encode_minimal(id=f"DSA-{n}-1") for n in range(5)}))
    data[1024 * 2 + 148 : 1024 * 2 + 156] = b"99999999"  # the third header's checksum

    drafts, aside, feed = fetched(archive(tmp_path, bytes(data)))

    assert [draft.advisory_id for draft in drafts] == ["DSA-0-1", "DSA-1-1"]
    assert (len(aside), feed.tally.complete) == (1, False)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_bomb_is_refused_by_its_ratio_in_flat_memory(tmp_path: Path, pack: object) -> None:
    bomb = pack(as_tar({"bomb.json": b" " * 200_000_000}))  # type: ignore[operator]
    path = archive(tmp_path, bomb)
    del bomb

    tracemalloc.start()
    _, aside, feed = fetched(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert any("times its size" in each.error for each in aside)
    assert not feed.tally.complete
    assert peak < 80_000_000


def test_zip_bomb_of_many_members_is_refused_by_its_ratio(tmp_path: Path) -> None:
    members = {f"{n}.json": b" " * 1_000_000 for n in range(100)}

    _, aside, feed = fetched(archive(tmp_path, as_zip(members)))

    assert aside[-1].error.startswith("The file breaks off: it unpacks to more than the allowed multiple")
    assert not feed.tally.complete


def test_header_of_a_tar_member_cannot_fill_the_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.json")
    info.pax_headers = {"comment": noise(1) * 2_000}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(b""))

    drafts, aside, _ = fetched(archive(tmp_path, lzma.compress(buffer.getvalue())))

    assert drafts == []
    assert "the headers of its members are larger than allowed" in aside[0].error


def test_zip_directory_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    data = bytearray(as_zip({"a.json": encode_minimal()}))
    at = data.rfind(b"PK\x05\x06")
    data[at + 12 : at + 16] = struct.pack("<L", 100_000_000)

    _, aside, _ = fetched(archive(tmp_path, bytes(data)))

    assert "directory is larger than" in aside[0].error


def test_damaged_zip_member_is_put_aside_and_the_rest_goes_in(tmp_path: Path) -> None:
    data = bytearray(
        as_zip({"a.json": encode_minimal(details=noise(1)), "b.json": encode_minimal(id="DSA-2-1")}, method=0)
    )
    data[200] ^= 0xFF

    drafts, aside, feed = fetched(archive(tmp_path, bytes(data)))

    assert [draft.advisory_id for draft in drafts] == ["DSA-2-1"]
    assert [each.error.partition("(")[0] for each in aside] == ["The archive's member is damaged "]
    assert feed.tally.complete


def test_too_many_documents_end_the_run(tmp_path: Path) -> None:
    members = {f"{n}.json": encode_minimal(id=f"DSA-{n}-1") for n in range(12)}

    drafts, aside, feed = fetched(archive(tmp_path, as_tar_xz(members)), limits=Limits(max_documents=10))

    assert len(drafts) == 10
    assert aside[-1].error == "It holds more than the allowed 10 documents."
    assert not feed.tally.complete


def test_too_many_bytes_end_the_run(tmp_path: Path) -> None:
    members = {f"{n}.json": encode_minimal(id=f"DSA-{n}-1", details=noise(n)) for n in range(12)}

    for data in (as_tar_xz(members), as_zip(members)):
        _, aside, feed = fetched(archive(tmp_path, data), limits=Limits(max_total_bytes=20_000))
        assert "more than the allowed 20000 bytes" in aside[-1].error
        assert not feed.tally.complete


def test_thousands_of_records_pass_in_flat_memory(tmp_path: Path) -> None:
    def peak_of(count: int) -> int:
        members = {f"{n}.json": encode_minimal(id=f"DSA-{n}-1", details=noise(n)) for n in range(count)}
        path = archive(tmp_path, as_tar(members), name=f"batch{count}")
        del members

        feed = OsvFeed(name="osv-test", location=path)
        tracemalloc.start()
        assert sum(1 for _ in feed.fetch(since=None)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    small, large = peak_of(200), peak_of(2_000)

    assert large - small < 2_000 * 1_000  # of each record of 3 kB only its id and hash stay


def noise(seed: int) -> str:
    """Text that does not compress away."""
    return random.Random(seed).randbytes(1_500).hex()
