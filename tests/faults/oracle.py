"""The oracle: what the hosts say that was done (the simulator's journal) against what Patchflow's rows say.

It reads files and tables and knows nothing of the domain: a mistake there is not repeated here. The simulator is never
the victim of a fault, so that its journal is the truth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from releases.executors.simulator_journal import read_journal

OVER = {"succeeded", "not_needed", "failed", "undone", "refused", "cancelled"}
"""Ends of a job about which nothing is left to find out. A lost one is none: nobody knows what became of it."""
AT_WORK = {"claimed", "staged", "installing", "restarting", "verifying", "unknown"}


@dataclass
class Hosts:
    """What was really done: orders that arrived, orders that arrived once more, changes, by the address of the host."""

    orders: Counter[str] = field(default_factory=Counter)
    again: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    ordered_at: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)

    def started_after(self, moment: datetime) -> int:
        """Orders that hosts took later, by the journal's clock."""
        return sum(datetime.fromisoformat(at) > moment for at in self.ordered_at)

    @classmethod
    def read(cls, journal: Path) -> Hosts:
        return cls.told(read_journal(journal))

    @classmethod
    def told(cls, lines: Iterable[list[Any]]) -> Hosts:
        found = cls()
        for word, key, *rest in lines:
            match word:
                case "order":
                    found.orders[rest[0]] += 1
                    found.ordered_at.append(rest[4])
                    found.keys[key] = rest[0]
                case "again":
                    found.again += 1
                case "effect":
                    found.changes[rest[0]] += 1
        return found


@dataclass(frozen=True)
class Row:
    """A job as the database has it, with the states that the audit trail shows for it, in order."""

    host: str
    state: str
    attempt: int = 1
    held: bool = False
    trail: tuple[str, ...] = ()


@dataclass
class Rows:
    """A rollout as the database has it. `promised`: every host of the signed manifest."""

    promised: set[str]
    jobs: list[Row]
    rollout: str = "completed"
    release: str = "deployed"

    @classmethod
    def read(cls, database_url: str, rollout_id: int) -> Rows:
        with psycopg.connect(database_url.replace("postgres://", "postgresql://", 1)) as connection:
            ask = connection.execute
            rollout, release, document = ask(
                "SELECT o.state, r.state, m.document FROM releases_rollout o JOIN releases_release r ON r.id = o.release_id"
                " JOIN releases_manifest m ON m.id = o.manifest_id WHERE o.id = %s", [rollout_id],
            ).fetchone() or ("", "", {"hosts": []})  # fmt: skip
            trail: dict[str, list[str]] = {}
            for pk, after in ask(
                "SELECT object_id, after_state FROM kernel_auditentry WHERE object_type = 'releases.job'"
                " AND outcome = 'done' AND after_state <> '' ORDER BY chain, seq"
            ):
                trail.setdefault(pk, []).append(after)
            jobs = [
                Row(host, state, attempt, held, tuple(trail.get(str(pk), ())))
                for pk, host, state, attempt, held in ask(
                    "SELECT j.id, h.name, j.state, j.attempt, j.lease_until IS NOT NULL FROM releases_job j"
                    " JOIN cmdb_host h ON h.id = j.host_id WHERE j.rollout_id = %s ORDER BY j.id", [rollout_id],
                )
            ]  # fmt: skip
        return cls({host["name"] for host in document["hosts"]}, jobs, rollout, release)

    def states(self) -> Counter[str]:
        return Counter(job.state for job in self.jobs)


def judge(rows: Rows, hosts: Hosts, *, ended: tuple[str, str] = ("completed", "deployed")) -> list[str]:
    """Everything that is wrong, in words; empty: all held. `ended`: how rollout and release must stand."""
    wrong = [*_lost(rows, hosts), *_twice(rows, hosts), *_stuck(rows, ended), *_untold(rows)]
    return wrong


def _lost(rows: Rows, hosts: Hosts) -> list[str]:
    have = Counter(job.host for job in rows.jobs)
    wrong = _some("lost: in the manifest, and without a job", rows.promised - set(have))
    wrong += _some(
        "lost: succeeded, and nothing was changed there",
        (j.host for j in rows.jobs if _good(j) and not hosts.changes[j.host]),
    )
    wrong += _some(
        "lost: changed, and its job says otherwise",
        (j.host for j in rows.jobs if j.state in OVER and not _good(j) and hosts.changes[j.host]),
    )
    return wrong


def _good(job: Row) -> bool:
    return job.state == "succeeded"


def _twice(rows: Rows, hosts: Hosts) -> list[str]:
    have = Counter(job.host for job in rows.jobs)
    wrong = _some("twice: changed more than once", (host for host, times in hosts.changes.items() if times > 1))
    wrong += _some("twice: ordered under two keys", (host for host, times in hosts.orders.items() if times > 1))
    wrong += _some("twice: more than one job", (host for host, times in have.items() if times > 1))
    wrong += _some("twice: tried again", (j.host for j in rows.jobs if j.attempt != 1))
    wrong += _some("not in the manifest, and changed", set(hosts.changes) - rows.promised)
    return wrong


def _stuck(rows: Rows, ended: tuple[str, str]) -> list[str]:
    wrong = _some("stuck: without an end", (f"{j.host} ({j.state})" for j in rows.jobs if j.state not in OVER))
    wrong += _some("stuck: still held", (j.host for j in rows.jobs if j.held))
    if (rows.rollout, rows.release) != ended:
        wrong.append(f"stuck: rollout and release are {rows.rollout} and {rows.release}, not {ended[0]} and {ended[1]}")
    return wrong


def _untold(rows: Rows) -> list[str]:
    """The trail: its last word is the row's state, and nothing that happens once is told twice."""
    wrong = _some(
        "untold: the trail's last word is another",
        (j.host for j in rows.jobs if (j.trail or ("pending",))[-1] != j.state),
    )
    wrong += _some("told twice: an end", (j.host for j in rows.jobs if sum(s in OVER for s in j.trail) > 1))
    wrong += _some(
        "told twice: a step of one course",
        (j.host for j in rows.jobs if len(set(j.trail)) != len(j.trail) and "pending" not in j.trail),
    )
    return wrong


def _some(what: str, which: Iterable[str]) -> list[str]:
    found = sorted(which)
    return [f"{what}: {len(found)} ({', '.join(found[:5])}{', …' if len(found) > 5 else ''})"] if found else []
