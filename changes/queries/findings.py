"""Findings: what is true of a package version, joined with where it is installed. A view, not a table.

Here the verdict meets the host: which kernel runs (R10), what its own package manager offers, how old its facts are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models.expressions import RawSQL

from changes.enums_identify import AppliesVerdict
from changes.queries.matching import RUNNABLE_KERNELS
from cmdb.models import Host

if TYPE_CHECKING:
    from patchflow.kernel.models import User

_VISIBLE = " /* visible */"
_KERNELS = ", ".join(f"'{name}'" for name in RUNNABLE_KERNELS)


def _runs(package: str) -> str:
    """SQL: this package is the kernel that the host runs (`uname -r` is in its name, or its version with the arch)."""
    return (
        f"({package}.name = 'linux-image-' || h.kernel_running OR {package}.name = 'linux-image-unsigned-' || h.kernel_running"
        f" OR ({package}.name IN ({_KERNELS}) AND {package}.version || '.' || {package}.arch = h.kernel_running))"
    )


def _installed_kernel(condition: str) -> str:
    return f"""EXISTS (SELECT 1 FROM cmdb_installation i2 JOIN cmdb_packageversion pv2 ON pv2.id = i2.package_version_id
        WHERE i2.host_id = h.id AND i2.gone_seen_at IS NULL
        AND (pv2.name LIKE 'linux-image-%' OR pv2.name IN ({_KERNELS})) AND {condition})"""  # noqa: S608


# RPM systems keep some packages beside older ones of themselves (kernels, their modules, headers for building). There the
# newest installed decides, in the branch without kernels; what runs decides for kernels.
_NEWER_BESIDE = """(f.ecosystem = 'rpm' AND EXISTS (SELECT 1 FROM cmdb_installation i3
        JOIN cmdb_packageversion pv3 ON pv3.id = i3.package_version_id
        WHERE i3.host_id = h.id AND i3.gone_seen_at IS NULL AND pv3.name = pv.name AND pv3.arch = pv.arch AND pv3.key > pv.key))"""

# Only the running kernel exposes; where it is none of the installed packages nobody can tell (then every one counts).
_RUNNING_KNOWN = _installed_kernel(_runs("pv2"))
_NEWER_WAITS = _installed_kernel("pv2.key >= f.fixed_key AND f.fixed_key <> '~'")
_OFFERED = """EXISTS (SELECT 1 FROM cmdb_pendingupdate o WHERE o.host_id = h.id AND o.gone_seen_at IS NULL
        AND o.name = pv.name AND o.arch = pv.arch AND o.candidate_version = f.fixed_version)"""

_FROM = """
  FROM changes_versionfix vf
  JOIN changes_fix f ON f.id = vf.fix_id
  JOIN cmdb_packageversion pv ON pv.id = vf.package_version_id
  JOIN cmdb_installation i ON i.package_version_id = pv.id AND i.gone_seen_at IS {gone}
  JOIN cmdb_host h ON h.id = i.host_id AND h.retired_at IS NULL"""

# What hosts report is theirs alone: it makes a finding only where the host itself offers it.
_OWN = f"(f.advisory_id IS NOT NULL OR {_OFFERED})"

# An exemption granted for the package, to the host or to a group of it: the finding stands, but is not counted.
_EXEMPT = """EXISTS (SELECT 1 FROM cmdb_exemption x WHERE x.state = 'granted' AND x.kind = 'package'
        AND x.subject IN (pv.name, pv.source_name)
        AND x.platform IN ('', f.distribution, f.distribution || ' ' || f.release, f.distribution || '-' || f.release || '-' || pv.arch)
        AND (x.host_id = h.id OR x.group_id IN (SELECT gm.group_id FROM cmdb_groupmember gm WHERE gm.host_id = h.id)))"""


@dataclass(frozen=True, slots=True)
class _Branch:
    """A part of the view: most findings need no look at kernels, so that look costs the others nothing."""

    where: str
    verdict: str
    basis: str
    gone: bool = False
    """Of packages that the host had and has no more: a kernel runs on after its package is removed."""

    @property
    def joined(self) -> str:
        return _FROM.format(gone="NOT NULL" if self.gone else "NULL")


_BRANCHES = (
    _Branch(f"NOT f.is_kernel AND NOT {_NEWER_BESIDE}", "vf.verdict", "vf.basis"),
    _Branch(
        f"f.is_kernel AND ({_runs('pv')} OR NOT {_RUNNING_KNOWN})",
        f"""CASE WHEN vf.verdict <> 'applicable' THEN vf.verdict WHEN NOT {_RUNNING_KNOWN} THEN 'unknown'
            WHEN {_NEWER_WAITS} THEN 'fixed_pending_restart' ELSE vf.verdict END""",
        f"""CASE WHEN vf.verdict <> 'applicable' THEN vf.basis WHEN NOT {_RUNNING_KNOWN} THEN 'running_unknown'
            WHEN {_NEWER_WAITS} THEN 'not_running' ELSE vf.basis END""",
    ),
    _Branch(
        f"f.is_kernel AND {_runs('pv')} AND NOT {_RUNNING_KNOWN}",
        f"CASE WHEN vf.verdict = 'applicable' AND {_NEWER_WAITS} THEN 'fixed_pending_restart' ELSE vf.verdict END",
        f"CASE WHEN vf.verdict = 'applicable' AND {_NEWER_WAITS} THEN 'not_running' ELSE vf.basis END",
        gone=True,
    ),
)


def _union(columns: Callable[[_Branch], str], condition: str) -> str:
    return " UNION ALL ".join(
        f"SELECT {columns(each)} {each.joined} WHERE {condition} AND {_OWN} AND {each.where}{_VISIBLE}"
        for each in _BRANCHES
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One package of one host against one statement. `since`: when both were known here; versions as written."""

    host_id: int
    host_name: str
    update_id: int | None
    fix_id: int
    advisory_id: int | None
    package: str
    arch: str
    installed_version: str
    installed_source_version: str
    fixed_version: str
    name_kind: str
    verdict: str
    basis: str
    low_confidence: bool
    reason: str
    candidate: str
    held: bool
    exempt: bool
    installed_seen_at: datetime
    known_at: datetime
    audited_at: datetime | None

    @property
    def since(self) -> datetime:
        return max(self.installed_seen_at, self.known_at)


_PLACES = {column.name: place for place, column in enumerate(fields(Finding))}
_BOOLEANS = [_PLACES[name] for name in ("low_confidence", "held", "exempt")]
_MOMENTS = [_PLACES[name] for name in ("installed_seen_at", "known_at", "audited_at")]
_CANDIDATE = _PLACES["candidate"]


def _columns(branch: _Branch) -> str:
    return f"""h.id AS host_id, h.name AS host_name, f.update_id, f.id AS fix_id, f.advisory_id, pv.name AS name, pv.arch AS arch,
    pv.version, pv.source_version, f.fixed_version, f.name_kind, {branch.verdict}, {branch.basis}, vf.low_confidence, f.reason,
    (SELECT max(o.candidate_version) FROM cmdb_pendingupdate o WHERE o.host_id = h.id AND o.gone_seen_at IS NULL
      AND o.name = pv.name AND o.arch = pv.arch),
    i.held, {_EXEMPT}, i.installed_seen_at, f.known_at, h.audited_at"""  # noqa: S608


def of_hosts(host_ids: Iterable[int]) -> Iterator[Finding]:
    """All findings of these hosts."""
    yield from _findings(f"h.id IN ({_listed(host_ids)})", None)


def of_update(update_id: int, *, actor: User | None = None) -> Iterator[Finding]:
    """All findings of one update on the hosts that `actor` may see (None: all)."""
    yield from _findings(f"f.update_id = {int(update_id)}", actor)


def of_updates(update_ids: Iterable[int], host_ids: Iterable[int]) -> Iterator[Finding]:
    """All findings of these updates on these hosts."""
    yield from _findings(f"f.update_id IN ({_listed(update_ids)}) AND h.id IN ({_listed(host_ids)})", None)


def _findings(condition: str, actor: User | None) -> Iterator[Finding]:
    # Rows of one host follow one another.
    sql = f"{_union(_columns, condition)} ORDER BY host_name, host_id, name, arch, fix_id"
    for row in _rows(sql, actor):
        values = list(row)
        for place in _BOOLEANS:
            values[place] = bool(values[place])
        for place in _MOMENTS:
            values[place] = _moment(values[place])
        values[_CANDIDATE] = values[_CANDIDATE] or ""
        yield Finding(*values)


RANKED = ("applicable", "applicable_after_channel", "unknown", "fixed_pending_restart", "no_fix", "exempt")
"""Open verdicts, the one that decides for a host first; an exemption counts only where nothing else is open."""


def _rank(verdict: str) -> str:
    cases = " ".join(f"WHEN '{name}' THEN {place}" for place, name in enumerate(RANKED))
    return f"CASE WHEN {_EXEMPT} THEN 5 ELSE CASE {verdict} {cases} ELSE 2 END END"


def counts(update_ids: Iterable[int], *, actor: User | None = None) -> dict[int, dict[str, int]]:
    """Update → verdict (or "exempt") → hosts, each host once with its worst; what is fixed is not counted here."""
    found: dict[int, dict[str, int]] = {}
    rows = _union(
        lambda branch: f"f.update_id, h.id AS host_id, {_rank(branch.verdict)} AS rank",
        f"f.update_id IN ({_listed(update_ids)})",
    )
    sql = f"""SELECT update_id, rank, count(*) FROM (
        SELECT update_id, host_id, min(rank) AS rank FROM ({rows}) AS found GROUP BY update_id, host_id) AS each_host
        GROUP BY update_id, rank"""  # noqa: S608
    for update_id, rank, count in _rows(sql, actor):
        found.setdefault(update_id, {})[RANKED[rank]] = count
    return found


def reach(update_ids: Iterable[int] | None = None, *, actor: User | None = None) -> dict[int, int]:
    """Update → hosts that miss it, of all updates or of these (those that no host misses are not in it); only hosts that
    `actor` may see (None: all)."""
    among = "f.update_id IS NOT NULL" if update_ids is None else f"f.update_id IN ({_listed(update_ids)})"
    rows = _union(
        lambda branch: f"f.update_id, h.id AS host_id, {branch.verdict} AS verdict",
        f"{among} AND vf.verdict IN ('applicable', 'applicable_after_channel') AND NOT {_EXEMPT}",
    )
    sql = f"""SELECT update_id, count(DISTINCT host_id) FROM ({rows}) AS found
        WHERE verdict IN ('applicable', 'applicable_after_channel') GROUP BY update_id"""  # noqa: S608
    return dict(_rows(sql, actor))


@dataclass(frozen=True, slots=True)
class Reached:
    """Of all pairs of host and update that were applicable by `moment`: how many, and how many are so no more."""

    moment: datetime
    pairs: int
    fixed: int


def over_time(update_ids: Iterable[int], moments: Sequence[datetime], *, actor: User | None = None) -> list[Reached]:
    """How these updates came to the hosts, from the spans of what was installed. One query.

    Of updates that an advisory in force describes. Without kernels: there what runs decides, and that is kept for now only.
    """
    if not moments:
        return []
    adapted = [connection.ops.adapt_datetimefield_value(moment) for moment in moments]
    sums = ", ".join(
        "sum(CASE WHEN since <= %s THEN 1 ELSE 0 END), sum(CASE WHEN still = 0 AND gone <= %s THEN 1 ELSE 0 END)"
        for _ in moments
    )
    sql = f"""SELECT {sums} FROM (
        SELECT max(i.gone_seen_at) AS gone, sum(CASE WHEN i.gone_seen_at IS NULL THEN 1 ELSE 0 END) AS still,
          CASE WHEN min(i.installed_seen_at) > min(f.known_at) THEN min(i.installed_seen_at) ELSE min(f.known_at) END AS since
        {_FROM.replace("AND i.gone_seen_at IS {gone}", "")}
        WHERE f.update_id IN ({_listed(update_ids)}) AND vf.verdict IN ('applicable', 'applicable_after_channel')
          AND f.advisory_id IS NOT NULL AND f.withdrawn_at IS NULL AND NOT f.is_kernel
          AND (i.gone_seen_at IS NULL OR i.gone_seen_at > f.known_at){_VISIBLE}
        GROUP BY f.update_id, h.id) AS pairs"""  # noqa: S608
    (row,) = _rows(sql, actor, [value for moment in adapted for value in (moment, moment)])
    return [Reached(moment, row[2 * n] or 0, row[2 * n + 1] or 0) for n, moment in enumerate(moments)]


def hosts_with(verdicts: Iterable[str]) -> RawSQL:
    """The ids of the hosts on which one of these verdicts stands, for `Host.filter(pk__in=…)`: the same view as the lists."""
    wanted = ", ".join(f"'{AppliesVerdict(each).value}'" for each in verdicts)
    rows = _union(lambda branch: f"h.id AS host_id, {branch.verdict} AS verdict", "vf.verdict <> 'fixed'")
    sql = f"SELECT DISTINCT host_id FROM ({rows}) AS found WHERE verdict IN ({wanted})"  # noqa: S608
    return RawSQL(sql.replace(_VISIBLE, "").replace("%", "%%"), [])  # noqa: S611  ours, from whole names and verdicts


def _rows(sql: str, actor: User | None, given: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Runs our SQL; at its mark, the hosts that `actor` may see. Its percent signs are doubled, unless its own parameters
    are `given`, which stand before the mark."""
    condition, params = "", ()
    if actor is not None and actor.scopes_for("host.view") is not None:
        condition, params = " AND 1 = 0", ()
        if actor.scopes_for("host.view"):
            visible, params = Host.objects.visible_to(actor).values("pk").query.sql_with_params()
            condition = f" AND h.id IN ({visible})"
    with _tuned() as cursor:
        ours = sql.replace("%", "%%") if given is None else sql
        cursor.execute(ours.replace(_VISIBLE, condition), (*(given or ()), *params * sql.count(_VISIBLE)))
        return list(cursor.fetchall())


@contextmanager
def _tuned() -> Iterator[Any]:
    """A cursor for which PostgreSQL looks single rows up: its defaults (for disks that turn) would read whole tables."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            yield cursor
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off; SET LOCAL random_page_cost = 1.1")
        yield cursor


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(str(int(each)) for each in ids) or "NULL"


def _moment(value: Any) -> datetime | None:
    """SQLite gives times as text in UTC, PostgreSQL as times."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
