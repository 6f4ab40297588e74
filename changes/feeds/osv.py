"""Advisories in the Open Source Vulnerability format (ossf.github.io/osv-schema), as Debian, Ubuntu, AlmaLinux and
Rocky Linux publish them: one JSON document per advisory, alone, in a folder or in an archive."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from changes.feeds import osv_shape as shape
from changes.feeds.base import AdvisoryDraft, FeedError, Quarantined, Tally, register
from changes.feeds.documents import Ignored, Incomplete, Limits, RawDocument, quarantined, read_documents
from changes.feeds.osv_records import read_record
from changes.feeds.osv_shape import BadRecord
from changes.remote.downloads import DownloadError, DownloadLimits, download
from patchflow.kernel.addresses import Resolver, resolve

_ADVICE = "Nothing of this document was taken in; report it to its publisher or get it again."
_CLOCK_TOLERANCE = timedelta(days=1)
_ENVELOPES = ("advisories", "vulns")
_REPEAT = "The same document stands in this batch more than once."


@dataclass(frozen=True, slots=True)
class _Seen:
    """What stood under an id earlier in the batch: hash of the document, releases of its fixes."""

    digest: bytes
    releases: frozenset[tuple[str, str, str]]


_SeenById = dict[str, list[_Seen]]


@register("osv")
class OsvFeed:
    """OSV records from `location`: an http(s) address, a file, a folder, or an archive of them.

    `name` becomes the drafts' source. `now`, if given, is the time by which records "modified" later than tomorrow
    are refused. `allow_private` lets an address inside one's own network be reached. `resolver` and `transport` stand
    for the network. After or during `fetch`, `tally` counts.
    """

    def __init__(
        self,
        *,
        name: str,
        location: str | Path,
        now: datetime | None = None,
        allow_private: bool = False,
        limits: Limits | None = None,
        download_limits: DownloadLimits | None = None,
        resolver: Resolver = resolve,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self.tally = Tally()
        self._location = location
        self._latest = now + _CLOCK_TOLERANCE if now else None
        self._allow_private = allow_private
        self._limits = limits or Limits()
        self._download_limits = download_limits
        self._resolver, self._transport = resolver, transport

    def fetch(self, *, since: datetime | None) -> Iterator[AdvisoryDraft | Quarantined]:
        """Yield each record as a draft, or the document as Quarantined; see `changes.feeds.base.Feed`.

        The same document twice is yielded twice (AlmaLinux files one under each release), the second time with a note;
        the same id with other content for the same release is Quarantined.
        """
        self.tally = Tally()
        seen: _SeenById = {}
        with self._opened() as path:
            try:
                for found in read_documents(path, limits=self._limits):
                    yield from self._taken(found, since=since, seen=seen)
                self.tally.complete = True
            except Incomplete as broken:
                self.tally.quarantined += 1
                yield broken.report
            except OSError as error:
                raise FeedError(
                    f"{path} cannot be read ({error.strerror}). Correct the path.", retryable=False
                ) from error

    @contextmanager
    def _opened(self) -> Iterator[Path]:
        location = str(self._location)
        if isinstance(self._location, Path) or "://" not in location:
            yield Path(location)
            return
        with tempfile.NamedTemporaryFile(prefix="osv-") as file:
            try:
                download(
                    location,
                    into=file,  # type: ignore[arg-type]
                    limits=self._download_limits,
                    allow_private=self._allow_private,
                    resolver=self._resolver,
                    transport=self._transport,
                )
            except DownloadError as error:
                raise FeedError(str(error), retryable=error.retryable) from error
            file.flush()
            yield Path(file.name)

    def _taken(
        self, found: RawDocument | Quarantined | Ignored, *, since: datetime | None, seen: _SeenById
    ) -> Iterator[AdvisoryDraft | Quarantined]:
        if isinstance(found, Ignored):
            self.tally.ignored += 1
        elif isinstance(found, Quarantined):
            self.tally.documents += 1
            self.tally.quarantined += 1
            yield found
        else:
            for record, document in _records(found):
                self.tally.documents += 1
                yield from self._judged(record, document, since=since, seen=seen)

    def _judged(
        self, record: Any, document: RawDocument, *, since: datetime | None, seen: _SeenById
    ) -> Iterator[AdvisoryDraft | Quarantined]:
        try:
            if isinstance(record, BadRecord):
                raise record
            draft = read_record(record, source=self.name, document=document)
            if self._latest and draft.modified_at > self._latest:
                raise BadRecord("modified lies in the future.", advisory_id=draft.advisory_id)
            draft = self._compared(draft, seen)
        except BadRecord as error:
            self.tally.quarantined += 1
            yield quarantined(document.name, document.data, f"{error} {_ADVICE}", advisory_id=error.advisory_id)
            return
        if since and draft.modified_at < since:
            self.tally.unchanged += 1
            return
        self.tally.drafts += 1
        self.tally.fixes += len(draft.fixes)
        yield draft

    def _compared(self, draft: AdvisoryDraft, seen: _SeenById) -> AdvisoryDraft:
        digest, releases = bytes.fromhex(draft.document_sha256), draft.releases
        earlier = seen.setdefault(draft.advisory_id, [])
        if any(entry.digest == digest for entry in earlier):
            self.tally.repeats += 1
            return replace(draft, notes=(*draft.notes, _REPEAT))
        for entry in earlier:
            if not entry.releases or not releases or entry.releases & releases:
                raise BadRecord(
                    f"The id {draft.advisory_id} stood in this batch before, with other content for the same release.",
                    advisory_id=draft.advisory_id,
                )
        earlier.append(_Seen(digest, releases))
        return draft


def _records(document: RawDocument) -> Iterator[tuple[Any, RawDocument]]:
    """The records of one document: itself, or those of a list or of a page of Rocky's service ("advisories")."""
    try:
        value = shape.parse_json(document.data)
    except BadRecord as error:
        yield error, document
        return
    listed = value if isinstance(value, list) else None
    if isinstance(value, dict) and "id" not in value:
        listed = next((value[key] for key in _ENVELOPES if isinstance(value.get(key), list)), None)
    if listed is None:
        yield value, document
        return
    for position, record in enumerate(listed):
        data = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        yield record, RawDocument(name=f"{document.name}#{position}", data=data)
