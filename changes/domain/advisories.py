"""Taking in what vendors say. Insert-only: a repeat changes nothing, what is changed is a new revision."""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from changes.domain import catalogue
from changes.enums_identify import AdvisoryStatus
from changes.feeds.base import AdvisoryDraft, Quarantined, Relation
from changes.models import (
    Advisory,
    AdvisoryVulnerability,
    Feed,
    FeedRun,
    Fix,
    QuarantinedDocument,
    Revision,
    Vulnerability,
)
from cmdb.domain import recordsets

SCOPE_LENGTH = 400
_CHUNK = 500


@dataclass(kw_only=True, slots=True)
class Ingested:
    """What a batch changed: counts, and the ids of the fixes and updates that must be evaluated again."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    fixes: set[int] = field(default_factory=set)
    updates: set[int] = field(default_factory=set)

    def add(self, other: Ingested) -> None:
        """Adds another batch to this sum."""
        self.new, self.changed = self.new + other.new, self.changed + other.changed
        self.unchanged, self.withdrawn = self.unchanged + other.unchanged, self.withdrawn + other.withdrawn
        self.fixes |= other.fixes
        self.updates |= other.updates


def ingest(drafts: Sequence[AdvisoryDraft], *, run: FeedRun, at: datetime) -> Ingested:
    """Takes a batch in, in one transaction: all of it or nothing. Idempotent: the documents' hashes decide.

    New and changed documents become revisions; their fixes replace those of the revision before (a fix that is stated
    again stays as it is). A document that says it is withdrawn ends its fixes (R14).
    """
    with transaction.atomic():
        sorted_out = _sort_out(drafts, run)
        _write_advisories(sorted_out, run=run, at=at)
        touched = [(row, draft) for row, draft in sorted_out.fresh + sorted_out.changed]
        _write_revisions(touched, run=run, at=at)
        _write_vulnerabilities(touched, at=at)
        derived = catalogue.derive(touched, at=at)
        Advisory.objects.filter(pk__in=sorted_out.seen).update(last_seen_run=run.pk)
        revived = _revive(sorted_out.revived)
    return Ingested(
        new=len(sorted_out.fresh),
        changed=len(sorted_out.changed) + len(sorted_out.revived),
        unchanged=sorted_out.unchanged - len(sorted_out.revived),
        withdrawn=sum(draft.withdrawn_at is not None for _, draft in touched),
        fixes=derived.fixes | revived,
        updates=derived.updates,
    )


def quarantine(documents: Iterable[Quarantined], *, feed: Feed, at: datetime) -> None:
    """Keeps documents that could not be read, each once, with its error."""
    rows = [
        QuarantinedDocument(
            feed=feed,
            document_name=found.document_name,
            document_sha256=found.document_sha256,
            advisory_id=found.advisory_id[:130],
            beginning=found.prefix.decode("utf-8", "replace").replace("\x00", "\ufffd"),
            error=found.error,
            first_seen_at=at,
            last_seen_at=at,
        )
        for found in documents
    ]
    QuarantinedDocument.objects.bulk_create(
        rows,
        batch_size=_CHUNK,
        update_conflicts=True,
        unique_fields=["feed", "document_name", "document_sha256"],
        update_fields=["last_seen_at", "error"],
    )


def mark_vanished(advisory_ids: Sequence[int], *, at: datetime) -> set[int]:
    """Marks advisories that their source no longer lists; their fixes stay, with the verdict unknown: never "fixed".

    Returns the ids of these fixes.
    """
    found: set[int] = set()
    for start in range(0, len(advisory_ids), _CHUNK):
        ids = advisory_ids[start : start + _CHUNK]
        Advisory.objects.filter(pk__in=ids).update(status=AdvisoryStatus.VANISHED, vanished_at=at)
        fixes = Fix.objects.filter(advisory__in=ids, withdrawn_at__isnull=True)
        found |= set(fixes.values_list("pk", flat=True))
        fixes.update(vanished_at=at)
    return found


def _revive(ids: Sequence[int]) -> set[int]:
    """Advisories that are listed again, as they were."""
    if not ids:
        return set()
    Advisory.objects.filter(pk__in=ids).update(status=AdvisoryStatus.CURRENT, vanished_at=None)
    fixes = Fix.objects.filter(advisory__in=ids, vanished_at__isnull=False)
    found = set(fixes.values_list("pk", flat=True))
    fixes.update(vanished_at=None)
    return found


@dataclass(slots=True)
class _SortedOut:
    fresh: list[tuple[Advisory, AdvisoryDraft]] = field(default_factory=list)
    changed: list[tuple[Advisory, AdvisoryDraft]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    revived: list[int] = field(default_factory=list)
    unchanged: int = 0


def _sort_out(drafts: Sequence[AdvisoryDraft], run: FeedRun) -> _SortedOut:
    known: dict[str, list[Advisory]] = defaultdict(list)
    ids = {draft.advisory_id for draft in drafts}
    for held in Advisory.objects.filter(feed=run.feed_id, advisory_id__in=ids).defer("text", "references"):
        known[held.advisory_id].append(held)
    found, taken = _SortedOut(), set()
    for draft in drafts:
        if (draft.advisory_id, draft.document_sha256) in taken:
            continue  # some vendors file the same document under each release
        taken.add((draft.advisory_id, draft.document_sha256))
        row = _same(known[draft.advisory_id], draft)
        if row is None:
            fresh = Advisory(feed=run.feed, advisory_id=draft.advisory_id, scope=_scope(draft), revision=0)
            known[draft.advisory_id].append(fresh)
            found.fresh.append((fresh, draft))
        elif row.document_sha256 != draft.document_sha256:
            found.changed.append((row, draft))
        else:
            found.unchanged += 1
            found.seen.append(row.pk)
            if row.status == AdvisoryStatus.VANISHED:
                found.revived.append(row.pk)
    return found


def _places(draft: AdvisoryDraft) -> list[str]:
    return sorted(":".join(part for part in place if part) for place in draft.releases)


def _scope(draft: AdvisoryDraft) -> str:
    text = " ".join(_places(draft))
    return text if len(text) <= SCOPE_LENGTH else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _same(rows: list[Advisory], draft: AdvisoryDraft) -> Advisory | None:
    """The advisory that this document is a revision of: of the same id, the one about the same releases."""
    for row in rows:
        if row.document_sha256 == draft.document_sha256 or row.scope == _scope(draft):
            return row
    places = set(_places(draft))
    for row in rows:
        if not places or not row.scope or row.scope.startswith("sha256:") or places & set(row.scope.split()):
            return row
    return None


def _write_advisories(found: _SortedOut, *, run: FeedRun, at: datetime) -> None:
    for row, draft in found.fresh + found.changed:
        row.vendor, row.title, row.text = draft.vendor[:60], draft.title[:500], draft.text.replace("\x00", "")
        row.kind, row.severity_vendor = draft.kind, draft.severity_vendor[:40]
        row.severity_rank = draft.severity_rank
        row.references = [list(pair) for pair in draft.references]
        row.cvss, row.notes = [list(pair) for pair in draft.cvss], list(draft.notes)
        row.published_at, row.modified_at = draft.published_at, draft.modified_at
        row.withdrawn_at, row.vanished_at = draft.withdrawn_at, None
        row.status = AdvisoryStatus.WITHDRAWN if draft.withdrawn_at else AdvisoryStatus.CURRENT
        row.document_name, row.document_sha256 = draft.document_name, draft.document_sha256
        row.revision += 1
        row.last_seen_run = run.pk
        row.first_seen_at = row.first_seen_at or at
    Advisory.objects.bulk_create([row for row, _ in found.fresh], batch_size=_CHUNK)
    columns = [
        "vendor", "title", "text", "kind", "severity_vendor", "severity_rank", "references", "cvss", "notes",
        "published_at", "modified_at", "withdrawn_at", "vanished_at", "status", "document_name", "document_sha256",
        "revision", "last_seen_run",
    ]  # fmt: skip
    if found.changed:
        Advisory.objects.bulk_update([row for row, _ in found.changed], columns, batch_size=100)


def _write_revisions(touched: Sequence[tuple[Advisory, AdvisoryDraft]], *, run: FeedRun, at: datetime) -> None:
    Revision.objects.bulk_create(
        [
            Revision(
                advisory=row,
                number=row.revision,
                document_sha256=draft.document_sha256,
                packed=zlib.compress(draft.document, 6),
                severity_vendor=draft.severity_vendor[:40],
                modified_at=draft.modified_at,
                seen_at=at,
                run=run,
            )
            for row, draft in touched
        ],
        batch_size=_CHUNK,
    )


def _write_vulnerabilities(touched: Sequence[tuple[Advisory, AdvisoryDraft]], *, at: datetime) -> None:
    drafts = {each.id: each for _, draft in touched for each in draft.vulnerabilities}
    if not drafts:
        return
    Vulnerability.objects.bulk_create(
        [
            Vulnerability(
                cve=cve,
                aliases=list(each.aliases),
                cvss=[list(pair) for pair in each.cvss],
                severity_vendor=each.severity_vendor[:40],
                first_seen_at=at,
            )
            for cve, each in drafts.items()
        ],
        batch_size=_CHUNK,
        ignore_conflicts=True,
    )
    rows = {row.cve: row for row in Vulnerability.objects.filter(cve__in=drafts)}
    told_more = [row for cve, row in rows.items() if not row.cvss and drafts[cve].cvss]
    for row in told_more:
        row.cvss = [list(pair) for pair in drafts[row.cve].cvss]
    Vulnerability.objects.bulk_update(told_more, ["cvss"], batch_size=_CHUNK)
    AdvisoryVulnerability.objects.filter(advisory__in=[row.pk for row, _ in touched if row.revision > 1]).delete()
    names = [
        {"advisory_id": row.pk, "vulnerability_id": rows[each.id].pk, "fixes": each.relation == Relation.FIXES}
        for row, draft in touched
        for each in draft.vulnerabilities
    ]
    columns = {"advisory_id": "int", "vulnerability_id": "int", "fixes": "bool"}
    recordsets.insert(AdvisoryVulnerability, columns, names, {})
