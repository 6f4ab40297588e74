"""Bounded reading of compressed data."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
from collections.abc import Callable

import pytest

from changes.remote.compressed import BoundedReader, Unreadable, compression_of

PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gz", gzip.compress),
    ("xz", lzma.compress),
    ("bz2", bz2.compress),
]
TEXT = random.Random(3).randbytes(200_000).hex().encode()


def reader(data: bytes, kind: str, **bounds: int) -> BoundedReader:
    return BoundedReader(io.BytesIO(data), kind=kind, **{"max_bytes": 10_000_000, **bounds})


@pytest.mark.parametrize(("kind", "pack"), PACKERS)
@pytest.mark.parametrize("step", [1_000, 65_536, -1])
def test_read_returns_what_was_packed(kind: str, pack: Callable[[bytes], bytes], step: int) -> None:
    packed = pack(TEXT)

    source = reader(packed, kind)

    assert b"".join(iter(lambda: source.read(step), b"")) == TEXT
    assert compression_of(packed) == kind


@pytest.mark.parametrize(("kind", "pack"), PACKERS)
def test_streams_one_after_the_other_are_one(kind: str, pack: Callable[[bytes], bytes]) -> None:
    assert reader(pack(b"one ") + pack(b"two") + bytes(512), kind).read() == b"one two"


@pytest.mark.parametrize(("kind", "pack"), PACKERS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_data_cut_off_is_unreadable_never_short(kind: str, pack: Callable[[bytes], bytes], share: float) -> None:
    packed = pack(TEXT)

    with pytest.raises(Unreadable, match="ends in the middle"):
        reader(packed[: int(len(packed) * share)], kind).read()


@pytest.mark.parametrize(("kind", "pack"), PACKERS)
def test_garbage_behind_the_end_is_unreadable(kind: str, pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Unreadable):
        reader(pack(TEXT) + b"garbage", kind).read()


@pytest.mark.parametrize(("kind", "pack"), PACKERS)
def test_flipped_byte_is_unreadable(kind: str, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(TEXT))
    packed[len(packed) // 2] ^= 0xFF

    with pytest.raises(Unreadable):
        reader(bytes(packed), kind).read()


@pytest.mark.parametrize("kind", ["", "gz"])
def test_more_than_the_bound_is_unreadable(kind: str) -> None:
    data = gzip.compress(TEXT) if kind else TEXT

    with pytest.raises(Unreadable, match="more than the allowed 1000 bytes"):
        reader(data, kind, max_bytes=1_000).read()


def test_absurd_ratio_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="more than 300 times its size"):
        reader(gzip.compress(bytes(50_000_000)), "gz", max_bytes=100_000_000).read()


def test_dictionary_larger_than_the_memory_allowed_is_unreadable() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 * 1024 * 1024}]
    packed = lzma.compress(b"x", filters=filters)

    with pytest.raises(Unreadable, match="damaged"):
        reader(packed, "xz").read()


def test_allowance_bounds_what_is_read_next() -> None:
    source = reader(TEXT, "")
    source.allow(100)
    assert source.read(100) == TEXT[:100]
    source.allow(50)

    with pytest.raises(Unreadable, match="headers"):
        source.read(51)
