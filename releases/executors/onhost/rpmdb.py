"""What is so on this host by rpm's database and dnf's history. Changes nothing.

rpm knows no half-configured package. What a power cut leaves is the new version beside the old one, and a transaction in
dnf's history that has a beginning and no end.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable

from . import look
from .ledger import read
from .look import say

EVR = "%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}"
ROW = "%{NAME}\\t%{ARCH}\\t" + EVR + "\\n"
LOCKS = ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock")
PID_LOCKS = ("/var/lib/dnf/rpmdb_lock.pid", "/var/cache/dnf/metadata_lock.pid", "/var/cache/dnf/download_lock.pid")
HISTORY = ("/var/lib/dnf/history.sqlite", "/usr/lib/sysimage/libdnf/history.sqlite")
SIDE_BY_SIDE = re.compile(r"^(installonlypkg\((kernel|kernel-module|vm)\)|multiversion\(kernel\))", re.M)
PART = re.compile(r"\d+|[a-zA-Z]+|~|\^")


def rows(*names: str) -> list[tuple[str, str, str]]:
    """(name, arch, version) of every installed package, or of these; "0:" is no epoch."""
    text = say(["rpm", "-q", "--qf", ROW, *names] if names else ["rpm", "-qa", "--qf", ROW])[1]
    parts = [line.split("\t") for line in text.splitlines() if line.count("\t") == 2]
    return [(name, arch, re.sub(r"^0:", "", version)) for name, arch, version in parts if name != "gpg-pubkey"]


def native() -> str:
    return os.uname().machine


def state(name: str, arch: str) -> dict[str, str]:
    """The newest of a package's versions here. "duplicate": it lies beside an older one that should have gone with it."""
    found = rows(name)
    mine = [row for row in found if row[1] == arch] or [row for row in found if row[1] == "noarch"]
    if not mine and len({row[1] for row in found}) == 1:  # the architecture changes with the version
        mine = found
    if not mine:
        return {"name": name, "arch": arch, "version": "", "status": ""}
    versions = sorted((row[2] for row in mine), key=functools.cmp_to_key(compare))
    status = "installed" if len(mine) == 1 or side_by_side(name) else "duplicate"
    return {"name": name, "arch": arch or mine[0][1], "version": versions[-1], "status": status}


def side_by_side(name: str) -> bool:
    """Whether several versions of this package are meant to be there together, as kernels are."""
    if name in ("kernel", "kernel-PAE"):
        return True
    return bool(SIDE_BY_SIDE.search(say(["rpm", "-q", "--qf", "[%{PROVIDENAME}\\n]", name])[1]))


def duplicates() -> dict[str, list[str]]:
    """Name -> its versions, of packages that should be there in one version only."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, arch, version in rows():
        found.setdefault((name, arch), []).append(version)
    return {
        name: versions for (name, _), versions in sorted(found.items()) if len(versions) > 1 and not side_by_side(name)
    }


def unfinished() -> list[str]:
    return sorted(duplicates())


def open_transaction() -> str:
    """The last transaction of dnf's history, if it began and did not end, as "3 (its command line)"."""
    path = next((path for path in HISTORY if os.path.exists(path)), "")
    if not path:
        return ""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as history:
        last = history.execute("SELECT id, dt_end, cmdline FROM trans ORDER BY id DESC LIMIT 1").fetchone()
    return f"{last[0]} ({last[2]})" if last and not last[1] else ""


def torn() -> bool:
    return bool(open_transaction())


def audit() -> str:
    found = [f"{name} is there twice: {', '.join(versions)}" for name, versions in duplicates().items()]
    began = open_transaction()
    return "; ".join(found + ([f"transaction {began} began and did not end"] if began else []))


def lock_holders() -> list[str]:
    """Who holds rpm's lock, or one that dnf notes by its process."""
    found = look.lock_holders(LOCKS)
    for path in PID_LOCKS:
        pid = read(path).strip()
        if pid.isdigit() and re.search(r"dnf|yum|packagekit|onhost", read(f"/proc/{pid}/cmdline")):
            found.append(f"{read(f'/proc/{pid}/comm').strip()} ({pid})")
    return sorted(set(found))


def restart_needed() -> bool:
    """By dnf's own judgement; where its plugin is missing, by the newest kernel against the one running."""
    if shutil.which("dnf"):
        status, text, _ = say(["dnf", "-q", "-C", "needs-restarting", "-r"], 120)
        if status in (0, 1) and (status == 0 or "Reboot is required" in text or "should be rebooted" in text):
            return status == 1
    return newer_kernel(rows("kernel", "kernel-core"))


def newer_kernel(kernels: Iterable[tuple[str, str, str]]) -> bool:
    """Whether a newer kernel is installed than the one running; no where the one running is no package here."""
    mine = [(version, arch) for _, arch, version in kernels]
    running = [version for version, arch in mine if os.uname().release in (f"{version}.{arch}", version)]
    return bool(running) and any(newer(version, running[0]) for version, _ in mine)


# ------------------------------------------------------------------ the order of versions, as rpm has it (rpmvercmp)
def newer(left: str, right: str) -> bool:
    return compare(left, right) > 0


def compare(left: str, right: str) -> int:
    """Less than, equal to or greater than 0, for [epoch:]version-release."""
    ours, theirs = parts(left), parts(right)
    if int(ours[0]) != int(theirs[0]):
        return int(ours[0]) - int(theirs[0])
    return compare_text(ours[1], theirs[1]) or compare_text(ours[2], theirs[2])


def parts(text: str) -> tuple[str, str, str]:
    epoch, _, rest = text.rpartition(":")
    version, _, release = rest.partition("-")
    return epoch or "0", version, release


def compare_text(left: str, right: str) -> int:
    ours, theirs = PART.findall(left), PART.findall(right)
    for one, other in zip(ours, theirs):  # noqa: B905 - older Pythons over there
        order = segment(one, other)
        if order:
            return order
    if len(ours) == len(theirs):
        return 0
    longer = ours[len(theirs) :] or theirs[len(ours) :]
    sign = 1 if len(ours) > len(theirs) else -1
    return -sign if longer[0] == "~" else sign


def segment(one: str, other: str) -> int:
    """ "~" comes before everything, even the end; "^" before everything but the end; numbers after letters."""
    for mark in ("~", "^"):
        if mark in (one, other):
            return 0 if one == other else (-1 if one == mark else 1)
    if one.isdigit() != other.isdigit():
        return 1 if one.isdigit() else -1
    left, right = (int(one), int(other)) if one.isdigit() else (one, other)
    return (left > right) - (left < right)  # type: ignore[operator]
