"""What dnf is asked, and what its words mean. The work is its own library's (`solver`), in a process of its own.

Files are installed by dnf from the local folder, not by rpm itself: so the transaction stands in the host's `dnf history`
with its command line, can be undone from there, takes dnf's locks, and keeps which packages a person asked for. Within
that very transaction it is compared once more with what was signed; every repository is switched off.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from . import look, rpmdb, ways
from .packaging import Manager, Plan, Refused, first_meaning, run, too_slow
from .solver import MARK

if TYPE_CHECKING:
    from .packaging import Packages

# Words of dnf and rpm -> (code, whether waiting cannot help). First match wins.
MEANING = (
    (r"needs \d+\w* more space|No space left on device|[Nn]ot enough free space|more space needed|"
     r"[Cc]url error \(23\)", "disk_full", False),
    (r"checksum doesn't match|GPG signature|GPG check FAILED|is not signed|[Pp]ublic key (?:for|is)|BAD signature|"
     r"signature (?:hdr|data)|SIGNATURES NOT OK|digest: BAD|repomd\.xml parser error", "repository_untrusted", True),
    (r"[Ll]ock(?:ed)? (?:on|by)|transaction lock|already locked|LockError", "locked", False),
    (r"[Pp]rotected packages", "removal", True),
    (r"[Cc]url error|Cannot download|[Tt]imeout was reached|[Aa]ll mirrors|Failed to download metadata|Status code: \d|"
     r"no cache for|Cache-only enabled", "repository_unreachable", False),
    (r"was not found|nothing provides|conflict|cannot install|requires |[Pp]roblem:|file .* from install of|depsolve",
     "impossible", True),
)  # fmt: skip
PERMANENT = {"held", "impossible", "not_contained", "repository_untrusted", "downgrade", "no_sha256"}
PASSING = {"artifact_missing"}
NO_SCRIPT = re.compile(
    r"^error: (Error in (?:POST\w+|PREUN|TRIGGER\w*|\w*TRANS\w*) scriptlet in rpm package \S+)", re.M
)


KEPT = re.compile(r"^warning: (\S+) created as \S+\.rpmnew", re.M)


class Dnf(Manager):
    """dnf (version 4) over rpm: Red Hat Enterprise Linux 8 to 10, its rebuilds, Fedora up to 40."""

    name = "dnf"
    suffix = ".rpm"

    native = staticmethod(rpmdb.native)
    state = staticmethod(rpmdb.state)
    newer = staticmethod(rpmdb.newer)
    lock_holders = staticmethod(rpmdb.lock_holders)
    audit = staticmethod(rpmdb.audit)
    unfinished = staticmethod(rpmdb.unfinished)
    torn = staticmethod(rpmdb.torn)
    restart_needed = staticmethod(rpmdb.restart_needed)

    def __init__(self) -> None:
        self._last: tuple[Any, Any] = (None, None)
        """The last question for a plan and its answer: the same is not asked twice of unchanged lists."""

    def refresh(self, log: str | None = None) -> None:
        """Fetches and verifies the lists of every enabled repository; none is passed over. -y takes in the keys that the
        host's own configuration names: without it the first contact with a signed list fails for ever."""
        self._last = (None, None)
        patience = ["--setopt=*.skip_if_unavailable=0", "--setopt=retries=1", "--setopt=timeout=10"]
        if self.way:
            patience += [f"--setopt=*.{name}={value}" for name, value in ways.dnf_settings(self.way).items()]
        words = ["dnf", "-y", "makecache", "--refresh", *patience]
        try:
            status, text = run(words, log, seconds=self.lists_within, without=self.aside, meanwhile=self.meanwhile)
        except subprocess.TimeoutExpired:
            raise Refused("repository_unreachable", "the lists did not come in time", False) from None
        if status:
            raise self.meaning(text, "repository_untrusted")

    def simulate(self, packages: Packages, archives: str, downgrade: bool, log: str | None = None) -> Plan:
        return self._plan(self._solve(packages, archives, downgrade, log))

    def announced(self, packages: Packages, archives: str, downgrade: bool) -> list[dict[str, Any]]:
        coming = self._solve(packages, archives, downgrade, None)["coming"]
        found = [one["file"] for one in coming if one.get("file")]
        for file in found:
            if not file["sha256"]:
                raise Refused("no_sha256", f"the signed lists have no SHA-256 for {file['filename']}", True)
        return found

    def fetch(self, packages: Packages, archives: str, downgrade: bool, log: str, seconds: float) -> None:
        self._solve(packages, archives, downgrade, log, download=True, seconds=seconds)

    def identity(self, path: str) -> tuple[str, ...]:
        status, fields, words = look.say(["rpm", "-qp", "--nosignature", "--qf", rpmdb.ROW, path])
        if status or fields.count("\t") != 2:
            raise ValueError(words or fields)
        name, arch, version = fields.strip().split("\t")
        return name, re.sub(r"^0:", "", version), arch

    def rehearse(self, packages: Packages, plan: Plan, files: Iterable[str], downgrade: bool, log: str) -> None:
        """rpm's own test of the transaction: room on the disks, conflicts of files, and that it is exactly the plan."""
        told, _ = self._transact(packages, plan, sorted(files), downgrade, log, test=True)
        if "refused" in told:
            raise self._no(told)

    def install(
        self, packages: Packages, plan: Plan, archives: str, downgrade: bool, log: str, lock: int
    ) -> tuple[int, str]:
        files = [os.path.join(archives, name) for name in sorted(os.listdir(archives)) if name.endswith(self.suffix)]
        told, text = self._transact(packages, plan, files, downgrade, log, test=False)
        return (1 if "refused" in told or told["errors"] else 0), text

    def finish(self, interrupted: Sequence[str], log: str) -> tuple[int, str]:
        """Installs the interrupted job's files again: their scripts run to the end, the old versions go."""
        if not interrupted:
            began = rpmdb.open_transaction() or "with what is there twice"
            return 1, (
                f"error: dnf was stopped in transaction {began} and its files are not here: finish it by hand, with "
                "`dnf remove --duplicates` or `dnf history redo last`"
            )
        told, text = self._asked({"verb": "finish", "paths": list(interrupted)}, log, shown="dnf: finish")
        return (1 if "refused" in told else 0), text

    def mark_automatic(self, names: Sequence[str], log: str) -> None:
        """What an update brings in new; what was there keeps its mark by itself."""
        run(["dnf", "-q", "-y", "-C", "mark", "remove", *names], log, seconds=60)

    def meaning(self, text: str, otherwise: str = "failed") -> Refused:
        lines = [line.strip() for line in text.splitlines()]
        kept = [line for line in lines if line and not line.startswith((MARK, "$", "-----", "Error Summary"))]
        said = [line for line in kept if re.match(r"- |[Ee]rror|\w+Error|warning|Problem", line)] or kept
        quote = " ".join(said[-4:])[:600]
        return first_meaning(MEANING, text, quote or "dnf said nothing", otherwise)

    def warnings(self, text: str) -> list[str]:
        kept = [
            f"{path} was changed here and stays; the new one lies beside it, .rpmnew" for path in KEPT.findall(text)
        ]
        return [f"{words}; see the log" for words in NO_SCRIPT.findall(text)] + kept

    # ------------------------------------------------------------- its library

    def _solve(
        self,
        packages: Packages,
        archives: str,
        downgrade: bool,
        log: str | None,
        download: bool = False,
        seconds: float | None = None,
    ) -> Any:
        wish = {
            "verb": "solve", "packages": list(packages), "archives": archives, "downgrade": downgrade, "download": download,
        }  # fmt: skip
        if download and self.way:
            wish["settings"] = ways.dnf_settings(self.way)
        if self._last[0] == wish:
            return self._last[1]
        within = self.dry_run_within if seconds is None else seconds
        shown = "dnf: download" if download else "dnf: what would be done"
        try:
            told, _ = self._asked(wish, log, within, shown, meanwhile=self.meanwhile)
        except subprocess.TimeoutExpired:
            if download:
                raise Refused("repository_unreachable", "the download did not end in time", False) from None
            raise too_slow(within) from None
        if "refused" in told:
            raise self._no(told)
        self._last = (wish, told)
        return told

    def _no(self, told: Any) -> Refused:
        if told["code"] in PERMANENT | PASSING:
            return Refused(told["code"], told["refused"], told["code"] in PERMANENT)
        return self.meaning(told["refused"], "impossible")

    def _plan(self, told: Any) -> Plan:
        changes = {(one["name"], one["arch"]): (one["from"], one["to"]) for one in told["coming"]}
        kept = frozenset((one["name"], one["arch"]) for one in told["coming"] if one.get("kept"))
        return Plan(changes, dict(told["going"]), kept)

    def _transact(
        self, packages: Packages, plan: Plan, paths: Sequence[str], downgrade: bool, log: str, *, test: bool
    ) -> tuple[Any, str]:
        wish = {
            "verb": "transact", "packages": list(packages), "downgrade": downgrade, "paths": list(paths), "test": test,
            "coming": [[name, to] for (name, _), (_, to) in sorted(plan.changes.items())], "going": sorted(plan.removals),
        }  # fmt: skip
        return self._asked(wish, log, shown="dnf: rehearsal" if test else "dnf: install from the compared files")

    def _asked(
        self,
        wish: dict[str, Any],
        log: str | None,
        seconds: float | None = None,
        shown: str = "",
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[Any, str]:
        """(what the library answered, all that was said). Without an answer it was stopped: that is said too."""
        code = "import sys; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]); from onhost import solver; solver.main()"
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        argv = [python(), "-c", code, folder]
        given = json.dumps(dict(wish, key=os.path.basename(os.path.dirname(log or "")))).encode()
        status, text = run(argv, log, seconds, given, shown, self.aside, meanwhile)
        lines = [line for line in text.splitlines() if line.startswith(MARK)]
        if lines:
            told = json.loads(lines[-1][len(MARK) :])
            return told, text + (f"\nerror: {told['refused']}" if "refused" in told else "")
        return {"code": "stopped", "refused": f"dnf ended without an answer, exit {status}"}, text


def python() -> str:
    """The Python that dnf itself runs on: its library is there, and may be nowhere else."""
    with open(shutil.which("dnf") or "/usr/bin/dnf", "rb") as file:
        first = file.readline(200).decode(errors="replace")
    return first[2:].split()[0] if first.startswith("#!") else "/usr/bin/python3"


def why_not() -> str:
    """Why this manager cannot be used here, in words, or nothing."""
    path = os.path.realpath(shutil.which("dnf") or "")
    if not os.path.isfile(path):
        return "this host has rpm, but no dnf"
    if "dnf5" in os.path.basename(path):
        return "this host has dnf 5, of which only dnf 4 is known"
    return ""
