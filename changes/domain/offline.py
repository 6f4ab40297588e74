"""The same comparison on a database in memory: for one list of packages and some advisories, without hosts or rows kept.

There is no second matcher: it runs the text of `changes.queries.matching`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from changes.domain.statements import Statement, key_of, statements_of
from changes.feeds.base import AdvisoryDraft, Quarantined
from changes.queries import matching
from changes.sources import deb822

_STATED = [column.name for column in fields(Statement)]
_TABLES = f"""
CREATE TABLE cmdb_platform (id INTEGER PRIMARY KEY, ecosystem, distribution, release);
CREATE TABLE cmdb_packageversion (id INTEGER PRIMARY KEY, platform_id, name, version, arch, source_name, source_version,
  module, origin_class, key, source_key);
CREATE TABLE changes_fix (id INTEGER PRIMARY KEY, advisory_id, {", ".join(_STATED)}, withdrawn_at, vanished_at);
CREATE INDEX fix_by_name ON changes_fix (name, distribution, release);
"""


class UnreadableList(ValueError):
    """The list of packages cannot be read; the text says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed package, as its package manager writes it."""

    name: str
    version: str
    arch: str
    source_name: str
    source_version: str
    module: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """One package against one statement of one advisory."""

    package: str
    installed_version: str
    fixed_version: str
    advisory_id: str
    verdict: str
    basis: str
    low_confidence: bool


def read_packages(data: bytes) -> list[Package]:
    """Packages of a dpkg status file, or of lines "name arch version source source-version [module]" split by tabs.

    Raises UnreadableList.
    """
    lines = data.splitlines(keepends=True)
    try:
        if data.startswith(b"Package:"):
            return list(_of_dpkg(lines))
        return [_of_line(number, line.decode()) for number, line in enumerate(lines, 1) if line.strip()]
    except (deb822.BadStanza, UnicodeDecodeError, KeyError) as error:
        raise UnreadableList(f"The list of packages cannot be read: {error}.") from error


def _of_dpkg(lines: list[bytes]) -> Iterator[Package]:
    for stanza in deb822.stanzas(lines):
        found = deb822.fields(stanza)
        if not found.get("status", "install ok installed").endswith(" installed"):
            continue
        source, _, rest = found.get("source", found["package"]).partition(" ")
        yield Package(
            name=found["package"],
            version=found["version"],
            arch=found.get("architecture", "all"),
            source_name=source,
            source_version=rest.strip("() ") or found["version"],
        )


def _of_line(number: int, line: str) -> Package:
    parts = line.rstrip("\r\n").split("\t")
    if not 5 <= len(parts) <= 6 or not all(parts[:5]):
        raise UnreadableList(f"Line {number} needs name, arch, version, source and source version, split by tabs.")
    name, arch, version, source, source_version, *module = parts
    return Package(
        name=name, arch=arch, version=version, source_name=source, source_version=source_version, module="".join(module)
    )


def evaluate(
    packages: Iterable[Package],
    advisories: Iterable[AdvisoryDraft | Quarantined],
    *,
    ecosystem: str,
    distribution: str,
    release: str,
) -> list[Offline]:
    """What these packages miss, and what is unknown about them, by package name. All count as the distribution's own."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(_TABLES)
        database.execute("INSERT INTO cmdb_platform VALUES (1, ?, ?, ?)", (ecosystem, distribution, release))
        database.executemany(
            f"INSERT INTO cmdb_packageversion VALUES ({', '.join('?' * 11)})",  # noqa: S608
            [
                (
                    number, 1, p.name, p.version, p.arch, p.source_name, p.source_version, p.module, "distribution",
                    key_of(ecosystem, p.version), key_of(ecosystem, p.source_version),
                )
                for number, p in enumerate(packages, 1)
            ],
        )  # fmt: skip
        database.executemany(
            f"INSERT INTO changes_fix (advisory_id, {', '.join(_STATED)}) VALUES ({', '.join('?' * (len(_STATED) + 1))})",  # noqa: S608
            _rows(advisories),
        )
        return _found(database)
    finally:
        database.close()


def _rows(advisories: Iterable[AdvisoryDraft | Quarantined]) -> Iterator[list[object]]:
    for draft in advisories:
        if isinstance(draft, AdvisoryDraft) and draft.withdrawn_at is None:
            for statement in statements_of(draft):
                yield [draft.advisory_id, *(getattr(statement, name) for name in _STATED)]


def _found(database: sqlite3.Connection) -> list[Offline]:
    rows = database.execute(
        f"""SELECT pv.name, CASE f.name_kind WHEN 'source' THEN pv.source_version ELSE pv.version END, f.fixed_version,
        f.advisory_id, m.verdict, m.basis, m.low_confidence FROM ({matching.select()}) m
        JOIN cmdb_packageversion pv ON pv.id = m.package_version_id JOIN changes_fix f ON f.id = m.fix_id
        ORDER BY pv.name, pv.arch, f.fixed_version, f.advisory_id"""  # noqa: S608
    )
    return [
        Offline(
            package=name, installed_version=installed, fixed_version=fixed, advisory_id=advisory, verdict=verdict,
            basis=basis, low_confidence=bool(low),
        )
        for name, installed, fixed, advisory, verdict, basis, low in rows
    ]  # fmt: skip
