"""Mutated documents and archives: whatever comes, `fetch` yields drafts and documents put aside, and never raises."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from changes.feeds.base import AdvisoryDraft, FixState, Quarantined
from cmdb import versions
from tests.changes.feeds.material import all_documents, as_tar, as_tar_xz, as_zip, fetched

DOCUMENTS = all_documents()
ODD: list[Any] = [
    None, True, 0, -1, 1e308, 10**30, "", "0", "\u202e", "x" * 70_000, "\n", "'; DROP TABLE", [], {}, [[]], [None],
    {"": ""}, "9999-12-31T23:59:59Z", "Debian:12", "Ubuntu:Pro:", ":", "1:1:1-1", "CVE-2026-1", "%00", "\ud800",
]  # fmt: skip


def mutated_bytes(chance: random.Random, data: bytes) -> bytes:
    """Some bytes flipped, cut, doubled or put in."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, what = chance.randrange(len(found) or 1), chance.randrange(4)
        if what == 0 and found:
            found[at] = chance.randrange(256)
        elif what == 1:
            del found[at : at + chance.randint(1, 40)]
        elif what == 2:
            found[at:at] = found[at : at + chance.randint(1, 40)]
        else:
            found[at:at] = chance.choice([b'"', b"[", b"{", b"\\ud800", b"\x00", b"1e999", b",", b"\xff"])
    return bytes(found)


def mutated_tree(chance: random.Random, value: Any) -> Any:
    """One to three places of the tree replaced, removed or swapped."""
    tree = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        owners = [node for node in walk(tree) if isinstance(node, dict | list) and node]
        if not owners:
            break
        owner = chance.choice(owners)
        key = chance.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        what = chance.randrange(3)
        if what == 0:
            owner[key] = copy.deepcopy(chance.choice(ODD))
        elif what == 1:
            del owner[key]
        else:
            owner[key] = copy.deepcopy(chance.choice(list(walk(value))))
    return tree


def walk(node: Any) -> Any:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def check(found: list[AdvisoryDraft], aside: list[Quarantined]) -> None:
    """What holds for whatever came out."""
    for draft in found:
        assert draft.advisory_id
        assert draft.modified_at.tzinfo is not None
        for fix in draft.fixes:
            if fix.state is FixState.FIXED:
                versions.key(fix.ecosystem, fix.fixed_version)  # raises where it is none
            if fix.state is FixState.NOT_AFFECTED:
                assert fix.fixed_version == ""
    assert all(each.error for each in aside)
    json.dumps([draft.text for draft in found]).encode("utf-8")


@pytest.mark.parametrize("seed", range(8))
def test_mutated_documents_never_raise(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(100):
        data = chance.choice(list(DOCUMENTS.values()))
        tree = json.dumps(mutated_tree(chance, json.loads(data))).encode()
        (tmp_path / f"{number:03}.json").write_bytes(tree if number % 2 else mutated_bytes(chance, data))

    drafts, aside, feed = fetched(tmp_path)

    check(drafts, aside)
    assert feed.tally.complete
    assert aside  # the mutations do bite


@pytest.mark.parametrize("pack", [as_tar, as_tar_xz, as_zip])
def test_mutated_archives_never_raise(tmp_path: Path, pack: Any) -> None:
    chance = random.Random(7)
    whole = pack(DOCUMENTS)
    path = tmp_path / "batch"
    refused = 0
    for _ in range(60):
        path.write_bytes(mutated_bytes(chance, whole))
        drafts, aside, _ = fetched(path)
        check(drafts, aside)
        refused += bool(aside)
    assert refused > 30


def test_unpaired_event_never_reads_as_not_affected(tmp_path: Path) -> None:
    chance = random.Random(11)
    texts = ["0", "1.0-1", "2.0-1", "1.0", "-", "", "~", "1:0-1", "abc", "9" * 300]
    for number in range(300):
        events = [{chance.choice(["introduced", "fixed"]): chance.choice(texts)} for _ in range(chance.randint(1, 5))]
        entry = {
            "package": {"ecosystem": chance.choice(["Debian:12", "AlmaLinux:9"]), "name": "acme"},
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }
        record = {"id": f"DSA-{number}-1", "modified": "2026-01-01T00:00:00Z", "affected": [entry]}
        (tmp_path / f"{number}.json").write_text(json.dumps(record))

    drafts, _, _ = fetched(tmp_path)

    assert len(drafts) > 50
    for draft in drafts:
        assert draft.fixes
        if any(fix.state is FixState.NOT_AFFECTED for fix in draft.fixes):
            assert b'{"fixed": "0"}' in draft.document
