"""Files that lie on a host for a job to come: what they may take, and that none is left half there."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from releases.executors.onhost.packaging import Refused
from releases.executors.onhost.store import KEEP_STAGED, SPARE, Store, free_at


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"), ".deb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "archives"
    made.mkdir()
    return made


def file(folder: Path, name: str, content: bytes = b"bytes") -> tuple[str, dict[str, Any]]:
    """A fetched file, and what was signed of it."""
    path = folder / f"{name}_1.1_all.deb"
    path.write_bytes(content + name.encode())
    signed = {"package": name, "version": "1.1", "arch": "all", "filename": path.name, "size": path.stat().st_size}
    return str(path), {**signed, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def changes(*names: str) -> dict[tuple[str, str], tuple[str, str]]:
    return {(name, "all"): ("1.0", "1.1") for name in names}


def names(store: Store) -> list[str]:
    return sorted(os.listdir(store.folder))


def test_what_was_taken_is_given_without_taking_room_again(store: Store, folder: Path) -> None:
    path, signed = file(folder, "one")
    store.take({path: signed})
    assert not Path(path).exists(), "it was moved, not copied"

    assert store.give(changes("one", "two"), [signed], str(folder)) == 1
    assert Path(path).samefile(store.path_of(signed))

    store.take({path: signed})
    assert names(store) == [f"{signed['sha256']}.deb"], "the same file again leaves nothing beside it"


def test_it_is_kept_from_when_it_was_laid_ready_whenever_it_was_made(store: Store, folder: Path) -> None:
    path, signed = file(folder, "one")
    os.utime(path, (time.time() - 2 * KEEP_STAGED,) * 2)
    store.take({path: signed})
    store.empty([])
    assert store.has(signed)


def test_a_file_that_is_no_longer_what_was_signed_is_thrown_away(store: Store, folder: Path) -> None:
    path, signed = file(folder, "one")
    store.take({path: signed})
    Path(store.path_of(signed)).write_bytes(b"other" + b"one")
    assert store.give(changes("one"), [signed], str(folder)) == 0
    assert names(store) == []


def test_all_are_kept_or_none(store: Store, folder: Path) -> None:
    one, two = file(folder, "one"), file(folder, "two")
    Path(two[0]).unlink()
    with pytest.raises(FileNotFoundError):
        store.take(dict([one, two]))
    assert names(store) == []


def test_what_lay_there_before_stays_when_the_rest_cannot_be_kept(store: Store, folder: Path) -> None:
    one, two = file(folder, "one"), file(folder, "two")
    store.take(dict([one]))
    one = file(folder, "one")  # as on another disk: given as a copy
    Path(two[0]).unlink()
    with pytest.raises(FileNotFoundError):
        store.take(dict([one, two]))
    assert names(store) == [f"{one[1]['sha256']}.deb"]


def test_too_little_room_is_told_with_the_figures_and_what_lies_there_asks_for_none(store: Store, folder: Path) -> None:
    _path, signed = file(folder, "one")
    store.want_room([signed], str(folder))
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    with pytest.raises(Refused, match=r"has \d+ MiB free: too few to lay \d+ MiB ready there and leave 512 MiB") as no:
        store.want_room([{**signed, "size": free - SPARE // 2}], str(folder))
    assert (no.value.code, no.value.permanent) == ("disk_full", False)

    taken, kept = file(folder, "two", b"x" * (3 << 19))
    store.take({taken: kept})
    with pytest.raises(Refused, match=r"; 2 MiB lie ready in \S+/store already"):
        store.want_room([{**signed, "size": free}], str(folder))

    huge = {**signed, "size": free * 2}
    os.makedirs(store.folder, exist_ok=True)
    Path(store.path_of(huge)).touch()
    os.truncate(store.path_of(huge), huge["size"])  # of that size, and no block of it is there
    store.want_room([huge], str(folder))


def test_room_is_made_of_what_lies_there_for_others(store: Store, folder: Path) -> None:
    one, two = file(folder, "one"), file(folder, "two")
    store.take(dict([one, two]))
    before = names(store)
    assert store.make_room([one[1]]) == ""
    assert names(store) == before, "this disk is not short: to give up files would help nobody"
    large = {**one[1], "size": free_at(str(folder)) // 3}
    assert store.make_room([large]) == ""
    assert "thrown away" in store.make_room([large], times=6), (
        "where it was refused for room it is short of what it unpacks to"
    )
    store.take(dict([file(folder, "two")]))

    store.spare = 1 << 60
    assert store.make_room([one[1]]).startswith("1 files (1 MiB) that lay ready for other jobs were thrown away")
    assert names(store) == [f"{one[1]['sha256']}.deb"]
    assert store.make_room([one[1]]) == ""
