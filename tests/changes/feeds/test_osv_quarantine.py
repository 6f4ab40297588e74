"""Broken documents: put aside whole, with their reason, while the rest goes in."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from changes.feeds.base import Quarantined
from changes.feeds.documents import Limits
from tests.changes.feeds.material import affecting, all_documents, as_tar_xz, fetched, minimal, refused_one


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in minimal().items() if name != key}


def package(**changes: Any) -> dict[str, Any]:
    record = affecting(("introduced", "0"), ("fixed", "1.0-1"))
    record["affected"][0]["package"] |= changes
    return record


BROKEN: list[tuple[Any, str]] = [
    (b"", "It is not JSON: Expecting value, line 1, column 1."),
    (b'{"id": "DSA-1-1", ', "It is not JSON: Expecting property name enclosed in double quotes, line 1, column 19."),
    (b'{"id": "DSA-\xff1-1"}', "It is not UTF-8 text (byte 12)."),
    (b'{"id": "DSA-1-1", "id": "DSA-2-1"}', "An object in it has the same key twice, so it could be read in two ways."),
    (b'{"id": "DSA-1-1", "x": NaN}', "It holds the number NaN, which JSON does not have."),
    (b"[" * 1_000_000, "It is nested deeper than 40 levels."),
    (b"[" * 60 + b"]" * 60, "It is nested deeper than 40 levels."),
    (b'{"id": "DSA-1-1", "x": ' + b"9" * 5_000 + b"}", "It is not JSON that can be stored: Exceeds the limit"),
    (b'{"id": "DSA-1-1", "summary": "a\\u0000b"}', "A text in it holds a NUL character."),
    (b'{"id": "DSA-1-1", "a\\ud800b": 1}', "A text in it holds half a character (a lone surrogate)."),
    (b'"text"', "The document is text; an object is needed."),
    (without("id"), "id is missing."),
    (minimal(id=17), "id is a number; text is needed."),
    (minimal(id="../../etc/passwd"), "id is '../../etc/passwd', which is no id of an advisory."),
    (without("modified"), "modified is missing."),
    (minimal(modified="yesterday"), "modified is 'yesterday'; a time like 2026-11-20T00:12:41Z is needed."),
    (minimal(modified="2026-02-31T00:00:00Z"), "modified is '2026-02-31T00:00:00Z'; there is no such time."),
    (minimal(modified="0001-01-01T00:00:00+14:00"), "modified is '0001-01-01T00:00:00+14:00'; there is no such time."),
    (minimal(withdrawn=True), "withdrawn is true/false; text is needed."),
    (minimal(summary=["a"]), "summary is a list; text is needed."),
    (minimal(affected={}), "affected is an object; a list is needed."),
    (minimal(affected=["acme"]), "affected[0] is text; an object is needed."),
    (minimal(aliases=["CVE-2026-1", 2]), "aliases[1] is a number; text is needed."),
    (minimal(references=[{"type": "WEB"}]), "references[0].url is missing."),
    (minimal(severity=[{"type": "CVSS_V3", "score": 9.8}]), "severity[0].score is a number; text is needed."),
    (package(name=None), "affected[0].package.name is null; text is needed."),
    (package(name="acme web; rm"), "affected[0].package.name is 'acme web; rm', which no package can be called."),
    (package(ecosystem=12), "affected[0].package.ecosystem is a number; text is needed."),
    (affecting(("fixed", "1.0-1")), "affected[0].ranges[0].events has no introduced."),
    (
        affecting(("introduced", "0"), ("fixed", "1"), ("last_affected", "2")),
        "affected[0].ranges[0].events has both fixed and last_affected.",
    ),
    (
        affecting(("introduced", "0"), ("repaired", "1")),
        "affected[0].ranges[0].events[1] needs exactly one of introduced, fixed, last_affected, limit.",
    ),
    (
        minimal(affected=[{"package": {"ecosystem": "Debian:12", "name": "a"}, "ranges": [{"type": "MOON"}]}]),
        "affected[0].ranges[0].type is 'MOON'; ECOSYSTEM, SEMVER or GIT is needed.",
    ),
    (minimal(affected=[{}] * 20_001), "affected has 20001 entries; at most 20000 are taken."),
]


@pytest.mark.parametrize(("data", "error"), BROKEN, ids=[error[:50] for _, error in BROKEN])
def test_broken_document_is_put_aside_with_its_reason(tmp_path: Path, data: Any, error: str) -> None:
    aside = refused_one(tmp_path, data)

    raw = (tmp_path / "record.json").read_bytes()
    assert aside.error.startswith(error)
    assert aside.error.endswith("report it to its publisher or get it again.")
    assert (aside.document_name, aside.document_sha256) == ("record.json", hashlib.sha256(raw).hexdigest())
    assert aside.prefix == raw[:2000]


def test_put_aside_document_tells_its_id_where_that_can_be_read(tmp_path: Path) -> None:
    assert refused_one(tmp_path, minimal(affected=7)).advisory_id == "DSA-9999-1"


def test_document_larger_than_allowed_is_put_aside(tmp_path: Path) -> None:
    aside = refused_one(tmp_path, minimal(details="x" * 5_000), limits=Limits(max_document_bytes=4_000))

    assert aside.error.startswith("It is larger than the allowed 4000 bytes")


def test_record_from_the_future_is_put_aside(tmp_path: Path) -> None:
    now = datetime(2026, 11, 18, 9, 42, tzinfo=UTC)

    aside = refused_one(tmp_path, minimal(modified="2026-11-20T00:00:00Z"), now=now)

    assert aside.error.startswith("modified lies in the future.")


def test_rest_of_the_batch_goes_in(tmp_path: Path) -> None:
    broken = {f"broken-{n:02}.json": encoded(data) for n, (data, _) in enumerate(BROKEN)}
    path = tmp_path / "batch.tar.xz"
    path.write_bytes(as_tar_xz({**broken, **all_documents()}))

    drafts, aside, feed = fetched(path)

    assert len(drafts) == len(all_documents())
    assert sorted(each.document_name.partition("#")[0] for each in aside) == sorted(broken)
    assert (feed.tally.drafts, feed.tally.quarantined, feed.tally.complete) == (len(drafts), len(aside), True)


def test_same_id_with_other_content_for_the_same_release_is_put_aside(tmp_path: Path) -> None:
    first = affecting(("introduced", "0"), ("fixed", "1.0-1"))
    second = affecting(("introduced", "0"), ("fixed", "1.0-2"))

    drafts, aside = read_folder(tmp_path, first, second)

    assert [draft.fixes[0].fixed_version for draft in drafts] == ["1.0-1"]
    assert [each.advisory_id for each in aside] == ["DSA-9999-1"]
    assert aside[0].error.startswith("The id DSA-9999-1 stood in this batch before")


def test_same_id_for_another_release_is_taken(tmp_path: Path) -> None:
    first = affecting(("introduced", "0"), ("fixed", "1.0-1"), ecosystem="Debian:11")
    second = affecting(("introduced", "0"), ("fixed", "1.0-2"), ecosystem="Debian:12")

    drafts, aside = read_folder(tmp_path, first, second)

    assert [draft.fixes[0].release for draft in drafts] == ["11", "12"]
    assert aside == []


def test_same_document_twice_is_a_repeat_with_a_note(tmp_path: Path) -> None:
    drafts, aside = read_folder(tmp_path, minimal(), minimal())

    assert [draft.notes for draft in drafts] == [(), ("The same document stands in this batch more than once.",)]
    assert aside == []


def test_names_are_made_fit_for_a_log(tmp_path: Path) -> None:
    path = tmp_path / "batch.tar.xz"
    path.write_bytes(as_tar_xz({"evil\n\u202egnp\x1b[31m.json": b"{"}))

    _, aside, _ = fetched(path)

    assert [each.document_name for each in aside] == ["evil??gnp?[31m.json"]


def encoded(data: Any) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


def read_folder(tmp_path: Path, *records: Any) -> tuple[list[Any], list[Quarantined]]:
    for number, record in enumerate(records):
        (tmp_path / f"{number}.json").write_bytes(encoded(record))
    drafts, aside, _ = fetched(tmp_path)
    return drafts, aside
