"""Small OSV documents of our own, and ways to put them into files, folders and archives."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from changes.feeds.base import AdvisoryDraft, Quarantined
from changes.feeds.osv import OsvFeed

DOCUMENTS = Path(__file__).parent / "documents"
NAMES = sorted(path.name for path in DOCUMENTS.glob("*.json"))


def document(name: str) -> dict[str, Any]:
    """One of the documents, parsed, to be changed by a test."""
    loaded: dict[str, Any] = json.loads((DOCUMENTS / f"{name}.json").read_bytes())
    return loaded


def minimal(**changes: Any) -> dict[str, Any]:
    """The smallest record that makes one fix, with `changes`."""
    event_list = [{"introduced": "0"}, {"fixed": "1.0-1"}]
    package = {"ecosystem": "Debian:12", "name": "acme"}
    record = {
        "id": "DSA-9999-1",
        "modified": "2026-01-02T03:04:05Z",
        "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": event_list}]}],
    }
    return {**record, **changes}


def affecting(*events: tuple[str, str], ecosystem: str = "Debian:12", **more: Any) -> dict[str, Any]:
    """A record with one range of these events."""
    ranges = [{"type": "ECOSYSTEM", "events": [{kind: text} for kind, text in events]}] if events else []
    return minimal(affected=[{"package": {"ecosystem": ecosystem, "name": "acme"}, "ranges": ranges, **more}])


def fetched(location: Path, **settings: Any) -> tuple[list[AdvisoryDraft], list[Quarantined], OsvFeed]:
    """What a feed makes of a place: drafts, documents put aside, the feed with its tally."""
    feed = OsvFeed(name="osv-test", location=location, **settings)
    drafts, aside = [], []
    for found in feed.fetch(since=None):
        (drafts if isinstance(found, AdvisoryDraft) else aside).append(found)  # type: ignore[arg-type]
    return drafts, aside, feed


def read_one(tmp_path: Path, record: Any) -> AdvisoryDraft:
    """The draft of one record, which must not be put aside."""
    drafts, aside, _ = fetched(written(tmp_path, record))
    assert [each.error for each in aside] == []
    assert len(drafts) == 1
    return drafts[0]


def refused_one(tmp_path: Path, data: Any, **settings: Any) -> Quarantined:
    """What was put aside of one document, which must not be taken in."""
    drafts, aside, _ = fetched(written(tmp_path, data), **settings)
    assert drafts == []
    assert len(aside) == 1
    return aside[0]


def written(tmp_path: Path, data: Any) -> Path:
    """A file with these bytes, or this value as JSON."""
    path = tmp_path / "record.json"
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return path


def as_tar(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def as_zip(members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def as_tar_xz(members: Mapping[str, bytes]) -> bytes:
    return lzma.compress(as_tar(members))


def all_documents() -> dict[str, bytes]:
    return {name: (DOCUMENTS / name).read_bytes() for name in NAMES}


def encode_minimal(**changes: Any) -> bytes:
    return json.dumps(minimal(**changes)).encode()
