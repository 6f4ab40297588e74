"""One OSV record as an advisory."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from changes.feeds import osv_ecosystems as ecosystems
from changes.feeds import osv_shape as shape
from changes.feeds.base import (
    AdvisoryDraft,
    Relation,
    SeverityRank,
    VulnerabilityDraft,
    rank_severity,
)
from changes.feeds.documents import RawDocument
from changes.feeds.osv_fixes import read_affected
from changes.feeds.osv_shape import BadRecord

MAX_IDS = 20_000
MAX_REFERENCES = 20_000
MAX_SEVERITIES = 50
MAX_TITLE = 500

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+~-]{0,119}")
_URL = re.compile(r"(https?|ftp)://[^\s<>\"\\]{1,2000}", re.IGNORECASE)
_VECTOR = re.compile(r"[A-Za-z0-9:./]{1,250}")
_CVSS_TYPES = frozenset({"CVSS_V2", "CVSS_V3", "CVSS_V4"})

Cvss = tuple[tuple[str, str], ...]


def id_of(value: Any) -> str:
    """The record's id. Raises BadRecord where there is none that could be one."""
    found = shape.text(shape.record(value, "The document"), "id", "")
    if not _ID.fullmatch(found):
        raise BadRecord(f"id is {found[:60]!r}, which is no id of an advisory.")
    return found


def read_record(value: Any, *, source: str, document: RawDocument) -> AdvisoryDraft:
    """Turn one parsed record into an advisory. Raises BadRecord, with the id where it has one."""
    advisory_id = id_of(value)
    try:
        return _read(value, advisory_id, source=source, document=document)
    except BadRecord as error:
        raise BadRecord(str(error), advisory_id=advisory_id) from None


def _read(value: dict[str, Any], advisory_id: str, *, source: str, document: RawDocument) -> AdvisoryDraft:
    modified_at = shape.moment(value, "modified")
    if modified_at is None:
        raise BadRecord("modified is missing.")
    summary = shape.text(value, "summary", "", default="").strip()
    details = shape.text(value, "details", "", default="").strip()
    affected = read_affected(value, summary=summary)
    notes = list(affected.notes)
    word, cvss = _severities(value, "", notes)
    per_cve = _cves_map(value, notes)
    vulnerabilities = _vulnerabilities(value, advisory_id, cvss, per_cve)
    severity = _vendor_word(
        summary, [word], [fix.severity_vendor for fix in affected.fixes], [word for word, _ in per_cve.values()]
    )
    return AdvisoryDraft(
        source=source,
        advisory_id=advisory_id,
        vendor=ecosystems.vendor_of(advisory_id) or next(iter(affected.vendors), ""),
        title=_title(summary, details, advisory_id),
        text=details,
        kind=ecosystems.kind_of(advisory_id, summary),
        severity_vendor=severity,
        severity_rank=rank_severity(severity) if severity else SeverityRank.UNKNOWN,
        published_at=shape.moment(value, "published"),
        modified_at=modified_at,
        withdrawn_at=shape.moment(value, "withdrawn"),
        references=_references(value, notes),
        vulnerabilities=vulnerabilities,
        fixes=tuple(affected.fixes),
        cvss=cvss,
        notes=tuple(notes),
        document_name=document.name,
        document_sha256=document.sha256,
        document=document.data,
    )


def _title(summary: str, details: str, advisory_id: str) -> str:
    title = summary or details.partition("\n")[0].strip() or advisory_id
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 3] + "..."


def _vendor_word(summary: str, *others: list[str]) -> str:
    """The vendor's word for the whole: from the summary, else the gravest of the words given for its parts."""
    words = [ecosystems.severity_in(summary)]
    if not words[0]:
        words = [word for group in others for word in group if word]
    return max(words, key=rank_severity, default="")


def _severities(owner: dict[str, Any], at: str, notes: list[str]) -> tuple[str, Cvss]:
    """Ubuntu's word and the CVSS vectors of a `severity` list."""
    word, vectors = "", []
    for position, value in enumerate(shape.items(owner, "severity", at, limit=MAX_SEVERITIES)):
        where = f"{at}severity[{position}]"
        entry = shape.record(value, where)
        kind, score = shape.text(entry, "type", f"{where}."), shape.text(entry, "score", f"{where}.")
        if kind == "Ubuntu":
            word = word or score[:40]
        elif kind in _CVSS_TYPES and _VECTOR.fullmatch(score):
            vectors.append((kind, score))
        else:
            notes.append(f"A severity of type {kind[:40]!r} was not understood.")
    return word, tuple(dict.fromkeys(vectors))


def _cves_map(value: dict[str, Any], notes: list[str]) -> dict[str, tuple[str, Cvss]]:
    """Ubuntu's severity per CVE, which notices carry beside each package."""
    found: dict[str, tuple[str, Cvss]] = {}
    for entry in shape.items(value, "affected", "", limit=MAX_IDS):
        specific = entry.get("database_specific") or {}
        listed = specific.get("cves_map") if isinstance(specific, dict) else None
        for cve in _objects(listed.get("cves") if isinstance(listed, dict) else None):
            name = ecosystems.cve_in(str(cve.get("id", "")))
            if name and name not in found:
                found[name] = _severities(cve, f"cves_map {name}.", notes)
    return found


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _vulnerabilities(
    value: dict[str, Any], advisory_id: str, cvss: Cvss, per_cve: dict[str, tuple[str, Cvss]]
) -> tuple[VulnerabilityDraft, ...]:
    """The vulnerabilities by CVE. `related` says "fixes" for AlmaLinux and Rocky, and where nothing else does."""
    named = [advisory_id] if ecosystems.cve_in(advisory_id) else []
    named += shape.texts(value, "upstream", "", limit=MAX_IDS) + shape.texts(value, "aliases", "", limit=MAX_IDS)
    related = shape.texts(value, "related", "", limit=MAX_IDS)
    fixes = _by_cve(named)
    if ecosystems.vendor_of(advisory_id) in ("AlmaLinux", "Rocky Linux") or not fixes:
        fixes = {**fixes, **{cve: found for cve, found in _by_cve(related).items() if cve not in fixes}}
    mentions = {cve: found for cve, found in _by_cve(related).items() if cve not in fixes}
    drafts = []
    for cve, aliases in fixes.items():
        word, vectors = per_cve.get(cve, ("", ()))
        own = cvss if len(fixes) == 1 else ()
        drafts.append(
            VulnerabilityDraft(
                id=cve,
                relation=Relation.FIXES,
                aliases=aliases,
                cvss=tuple(dict.fromkeys(vectors + own)),
                severity_vendor=word,
            )
        )
    drafts += [VulnerabilityDraft(id=cve, relation=Relation.MENTIONS, aliases=a) for cve, a in mentions.items()]
    return tuple(drafts)


def _by_cve(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """CVE -> the vendor's own names for it (UBUNTU-CVE-2024-1), in order."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        cve = ecosystems.cve_in(name)
        if cve:
            aliases = found.get(cve, ())
            found[cve] = aliases if name == cve or name in aliases else (*aliases, name)
    return found


def _references(value: dict[str, Any], notes: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for position, item in enumerate(shape.items(value, "references", "", limit=MAX_REFERENCES)):
        where = f"references[{position}]"
        entry = shape.record(item, where)
        kind, url = shape.text(entry, "type", f"{where}."), shape.text(entry, "url", f"{where}.")
        if _URL.fullmatch(url):
            found.append((kind[:40], url))
        else:
            notes.append("A reference that is no web address was left out.")
    return tuple(dict.fromkeys(found))
